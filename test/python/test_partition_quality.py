# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Nothing is quietly replicated: what each rank computes, reads and sends is counted.

All numbers come from --report json of executables that have run.
"""

import json

import pytest
from helpers import models, tools

NAMES = ["bert", "gpt2", "llama"]
#: Of bert tiny, for the bill of its collectives.
LAYERS, STATE_BYTES = 3, 6 * 10 * 96 * 4


@pytest.fixture(scope="module")
def run(zoo_model, tmp_path_factory):
    """run(NAME, RANKS, MESH): the report of one run, made once."""
    import shutil

    reports = {}

    def get(name: str, ranks: int, mesh: str) -> dict:
        key = name, ranks, mesh
        if key not in reports:
            folder = tmp_path_factory.mktemp("run")
            model = zoo_model(name)
            executable = model.compile(folder, ranks, *models.mesh_options(mesh))
            reports[key] = model.check(executable)
            shutil.rmtree(folder)
        return reports[key]

    return get


def bill(report: dict) -> str:
    return json.dumps(report["collectives"], indent=1)


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_matmul_flops_are_split(run, name, ranks):
    """Every rank has at most 1.05/N of the whole; tp=3 is asked of bert alone."""
    if ranks == 3 and name != "bert":
        pytest.skip("three ranks do not split this model's heads evenly")
    (whole,) = run(name, 1, "auto")["matmul_flops"]
    parts = run(name, ranks, f"tp={ranks}")["matmul_flops"]
    assert whole > 0 and sum(parts) >= whole
    assert max(parts) <= 1.05 / ranks * whole, [part / whole for part in parts]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_read_once(run, name, ranks):
    """Every rank reads at most 1.1/N of the bytes that one rank reads."""
    (whole,) = run(name, 1, "auto")["weight_bytes_read"]
    parts = run(name, ranks, f"tp={ranks}")["weight_bytes_read"]
    assert whole > 0
    assert max(parts) <= 1.1 / ranks * whole, [part / whole for part in parts]


def test_bert_sums_twice_a_layer(run):
    """Two all-reduces a layer, each of batch x sequence x hidden floats.

    Reduce-scatter and all-gather together count as one.
    """
    report = run("bert", 2, "tp=2")
    count = {}
    for line in report["collectives"]:
        assert line["group"] == [0, 1]
        if line["bytes"] == STATE_BYTES:
            count[line["kind"]] = count.get(line["kind"], 0) + line["count"]
    sums = count.get("all_reduce", 0) + min(
        count.get("reduce_scatter", 0), count.get("all_gather", 0)
    )
    assert sums == 2 * LAYERS, bill(report)


def test_gpt2_exchanges_no_shards(run):
    """The fused query, key and value is split by heads: nothing has to change places."""
    for ranks in (2, 4):
        report = run("gpt2", ranks, f"tp={ranks}")
        kinds = {line["kind"] for line in report["collectives"]}
        assert kinds and not kinds & {"all_to_all", "permute"}, bill(report)


@pytest.mark.parametrize("name", NAMES)
def test_plan_document(zoo_model, scratch, name):
    """`plan --format json` promises what the executable then has."""
    model, path = zoo_model(name), scratch / "plan.json"
    request = [model.path, "--topology", "cpu:2", "--mesh", "tp=2"]
    plan = tools.succeeds(tools.partita("plan", *request, "--format", "json", "-o", path))
    document = json.loads(path.read_text())
    for key in ("mesh", "strategies", "predicted", "bound", "gap", "run"):
        assert key in document, key
    assert document["predicted"]["step_seconds"] > 0
    assert 0 < document["bound"]["step_seconds"] <= document["predicted"]["step_seconds"]
    assert 0 <= document["gap"] < 1
    assert document["run"]["seconds"] >= 0 and document["run"]["host"]
    # The same document stands on stdout, and the same plan is found again.
    again = tools.succeeds(tools.partita("plan", *request, "--format", "json")).json()
    for one in (document, again):
        one.pop("run")
    assert document == again and plan.code == 0
    executable = model.compile(scratch, 2, "--plan", path)
    report = model.check(executable)
    assert report["peak_bytes"] == document["predicted"]["peak_bytes"]
