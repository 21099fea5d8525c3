# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every model of the zoo says on 1 to 4 ranks what ONNX Runtime says of it whole.

Most cases compile, run and compare here, with one answer of ONNX Runtime for
all; `partita verify --reference onnxruntime` does the same and is tested by one
case a model.
"""

import concurrent.futures
import os
import random
import shutil

import pytest
from helpers import models, tools

#: Where random strategies are drawn: every mesh of more than one rank.
RANDOM_MESHES = ["dp=2", "tp=2", "dp=3", "tp=3", "dp=4", "tp=4", "dp=2,tp=2"]
RANDOM_PLANS = 20
_BASE_SEED = 20_000


@pytest.mark.parametrize("ranks, mesh", models.LAYOUTS, ids=lambda value: str(value))
@pytest.mark.parametrize("name", models.ALL)
def test_agrees_with_onnxruntime(zoo_model, scratch, name, ranks, mesh):
    model = zoo_model(name)
    executable = model.compile(scratch, ranks, *models.mesh_options(mesh))
    report = model.check(executable)
    assert report["ranks"] == ranks
    for key in ("peak_bytes", "weight_bytes_read", "matmul_flops"):
        assert len(report[key]) == ranks
    assert bool(report["collectives"]) <= (ranks > 1)


def random_case(name: str, index: int) -> tuple[int, list[str]]:
    """(ranks, options) of a random legal plan; the same for the same arguments."""
    seed = _BASE_SEED + 100 * models.ALL.index(name) + index
    mesh = random.Random(seed).choice(RANDOM_MESHES)
    ranks = 1
    for axis in mesh.split(","):
        ranks *= int(axis.partition("=")[2])
    return ranks, ["--mesh", mesh, "--random-plan", str(seed)]


def run_random_plans(model: models.Model, scratch, indices) -> None:
    """Compiles and checks the given cases, one a processor; names all that fail."""

    def one(index: int) -> str | None:
        ranks, options = random_case(model.name, index)
        folder = scratch / str(index)
        try:
            model.check(model.compile(folder, ranks, *options))
        except AssertionError as error:
            return f"partita verify {model.name}.onnx --topology cpu:{ranks} {' '.join(options)}\n{error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return None

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        problems = [problem for problem in pool.map(one, indices) if problem]
    assert not problems, f"{len(problems)} of {len(indices)} fail:\n" + "\n\n".join(problems)


@pytest.mark.parametrize("name", models.ALL)
def test_some_random_plans(zoo_model, scratch, name):
    run_random_plans(zoo_model(name), scratch, range(4))


@pytest.mark.slow
@pytest.mark.parametrize("name", models.ALL)
def test_all_random_plans(zoo_model, scratch, name):
    run_random_plans(zoo_model(name), scratch, range(4, RANDOM_PLANS))


@pytest.mark.parametrize("ranks", [2, 3])
def test_rows_of_an_image_are_split(zoo_model, scratch, ranks):
    """Convolutions and pools over rows exchange the borders of their blocks."""
    model = zoo_model("resnet")
    pins = [word for op in ("Conv", "Pool") for word in ("--pin", f"*{op}*:h=rows")]
    executable = model.compile(scratch, ranks, "--mesh", f"rows={ranks}", *pins)
    report = model.check(executable)
    whole = model.check(model.compile(scratch / "whole", 1))["matmul_flops"][0]
    assert max(report["matmul_flops"]) <= 1.1 * whole / ranks
    kinds = {collective["kind"] for collective in report["collectives"]}
    assert "halo_exchange" in kinds and "all_gather" not in kinds


@pytest.mark.parametrize("name", models.ALL)
def test_verify_command(zoo_model, name):
    """The command itself, on its own inputs, against both references."""
    model = zoo_model(name)
    for reference in ("onnxruntime", "interp"):
        done = tools.partita(
            *("verify", model.path, "--topology", "cpu:2", "--mesh", "tp=2"),
            *("--reference", reference, "--format", "json"),
        )
        verdict = tools.succeeds(done).json()
        assert verdict["passed"] and verdict["mesh"]
        assert {output["name"] for output in verdict["outputs"]} == set(model.expected)
        assert all(
            output["allowed"] <= 1e-4 * output["deviation"] * 1.001 for output in verdict["outputs"]
        )
