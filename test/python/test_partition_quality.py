# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Nothing is quietly replicated: what each rank computes, reads and sends is counted.

All numbers come from --report json of executables that have run.
"""

import json
import shutil

import pytest
from helpers import models, onnx_models, tools

NAMES = ["bert", "gpt2", "llama"]
#: Of bert tiny, for the bill of its collectives.
LAYERS, STATE_BYTES = 3, 6 * 10 * 96 * 4


@pytest.fixture(scope="module")
def run(zoo_model, tmp_path_factory):
    """run(NAME, RANKS): the report of a run at tp=RANKS, made once.

    Four ranks do not divide the six heads of the tiny models, so there the full
    size runs: all of it but its depth, which is two layers. Its weights are zero.
    """
    folder, reports = tmp_path_factory.mktemp("run"), {}

    def make(name: str, size: str, ranks: int) -> dict:
        mesh = models.mesh_options("auto" if ranks == 1 else f"tp={ranks}")
        if size == "tiny":
            model = zoo_model(name)
            return model.check(model.compile(folder, ranks, *mesh))
        path, out = folder / f"{name}.onnx", folder / name
        onnx_models.write_zeros(onnx_models.relayered(name, size, 2)[0], path)
        request = ["--topology", f"cpu:{ranks}", *mesh, "-o", out]
        tools.succeeds(tools.partita("compile", path, *request))
        return tools.report(out, "--random-inputs", "1")

    def get(name: str, size: str, ranks: int) -> dict:
        key = name, size, ranks
        if key not in reports:
            reports[key] = make(*key)
        return reports[key]

    yield get
    shutil.rmtree(folder)


def bill(report: dict) -> str:
    return json.dumps(report["collectives"], indent=1)


@pytest.mark.parametrize(
    "name, size, ranks",
    [(name, "tiny", 2) for name in [*NAMES, "t5", "vit", "whisper", "mixtral"]]
    + [("bert", "tiny", 3)]
    + [(name, "full", ranks) for name in NAMES for ranks in (2, 4)],
)
def test_work_is_split(run, name, size, ranks):
    """No rank has more than 1.05/N of the FLOPs and 1.1/N of the weights of the whole.

    The products are compared with one rank's. Weights are those that one rank
    reads: where two ranks need the same bytes, both are counted.
    """
    whole, parts = run(name, size, 1), run(name, size, ranks)
    for key, most in (("matmul_flops", 1.05), ("weight_bytes_read", 1.1)):
        (total,) = whole[key]
        assert total > 0 and sum(parts[key]) >= total
        if key == "weight_bytes_read" and ranks == 3:
            continue
        assert max(parts[key]) <= most / ranks * total, (key, [p / total for p in parts[key]])


def test_bert_sums_twice_a_layer(run):
    """Two all-reduces a layer, each of batch x sequence x hidden floats.

    Reduce-scatter and all-gather together count as one.
    """
    report = run("bert", "tiny", 2)
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
    for size, ranks in (("tiny", 2), ("full", 2), ("full", 4)):
        report = run("gpt2", size, ranks)
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
