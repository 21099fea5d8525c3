# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""partita bench planner: what it plans and what it says of it, at small sizes."""

import onnx
import pytest
from helpers import tools
from partita import planner_models

pytestmark = pytest.mark.usefixtures("compiler")

SMALL = (
    "--size",
    "tiny",
    "--batch",
    "16",
    "--global-batch",
    "16",
    "--growth-topology",
    "dgx-h100",
)


def run(*arguments: str):
    return tools.partita("bench", "planner", *SMALL, *arguments)


def bench(*arguments: str) -> dict:
    return tools.succeeds(run(*arguments, "--format", "json")).json()


def check_row(row: dict) -> None:
    assert row["exit_code"] == 0, row["error"]
    assert row["seconds"] > 0 and row["peak_bytes"] > 10e6
    assert 0 < row["bound_seconds"] <= row["step_seconds"]
    assert row["gap"] == pytest.approx(1 - row["bound_seconds"] / row["step_seconds"], abs=1e-9)


def test_models():
    topologies = ("--topology", "dgx-h100", "--topology", "cpu:2")
    answer = bench("gpt2", "--sections", "models", *topologies, "--dim", "batch=16")
    assert [(row["topology"], row["workload"]) for row in answer["rows"]] == [
        (topology, workload)
        for topology in ("dgx-h100", "cpu:2")
        for workload in ("prefill", "train")
    ]
    for row in answer["rows"]:
        check_row(row)
    forward, train = answer["rows"][:2]
    assert train["step_seconds"] > 2 * forward["step_seconds"]


def test_growth():
    sizes = (
        "--layers",
        "2,6",
        "--devices",
        "8,16",
        "--growth-layers",
        "2",
        "--operations",
        "40",
    )
    answer = bench("--sections", "layers,devices,random", *sizes)
    rows = answer["rows"]
    assert [(row["section"], row["case"]) for row in rows] == [
        ("layers", "2"),
        ("layers", "6"),
        ("devices", "8"),
        ("devices", "16"),
        ("random", ""),
    ]
    for row in rows:
        check_row(row)
    # More of the same takes longer to run; more devices do not.
    assert rows[1]["step_seconds"] > 1.5 * rows[0]["step_seconds"]
    assert rows[3]["step_seconds"] <= rows[2]["step_seconds"]
    assert rows[3]["topology"] == "dgx-h100x2"
    assert [ratio["what"] for ratio in answer["ratios"]] == [
        "layers: 6 over 2",
        "devices: 16 over 8",
    ]


def test_axes():
    meshes = ("--mesh", "x=2,y=4", "--mesh", "x=2,y=2,z=2")
    arguments = ("--workload", "prefill", "--topology", "dgx-h100", "--dim", "batch=16")
    answer = bench("gpt2", "--sections", "axes", *meshes, *arguments)
    assert [row["case"] for row in answer["rows"]] == [
        "mesh x=2,y=4",
        "mesh x=2,y=2,z=2",
        "up to 2 axes",
        "up to 3 axes",
    ]
    for row in answer["rows"]:
        check_row(row)
    # What more axes can do, fewer can too.
    steps = [row["step_seconds"] for row in answer["rows"]]
    assert steps[3] <= steps[2] <= steps[0]
    seconds = [row["seconds"] for row in answer["rows"]]
    assert [ratio["ratio"] for ratio in answer["ratios"]] == [
        pytest.approx(seconds[1] / seconds[0]),
        pytest.approx(seconds[3] / seconds[2]),
    ]


def test_a_plan_that_fails_is_a_row_with_the_reason():
    arguments = ("gpt2", "--sections", "models", "--workload", "prefill")
    [row] = bench(*arguments, "--topology", "abacus")["rows"]
    assert row["exit_code"] != 0 and row["gap"] is None
    assert "abacus" in row["error"]
    text = tools.succeeds(run(*arguments, "--topology", "abacus")).out
    assert row["error"] in text


def test_usage():
    for arguments in (
        ("--sections", "astrology"),
        ("--devices", "12", "--sections", "devices"),
    ):
        done = run(*arguments)
        assert done.code == 1 and arguments[1] in done.err
    done = run("nothing-like-it", "--sections", "models")
    assert done.code == 1 and "nothing-like-it" in done.err


def test_generated_models_are_what_they_say(scratch):
    for kind, size in (("gpt", ("--layers", "3")), ("random", ("--operations", "200"))):
        path = scratch / f"{kind}.onnx"
        assert planner_models.main([kind, *size, "-o", str(path)]) == 0
        model = onnx.load(path, load_external_data=False)
        if kind == "random":
            # Those that lead what is left to the output come on top.
            assert 200 <= len(model.graph.node) <= 212
            used = {name for node in model.graph.node for name in node.input}
            made = {name for node in model.graph.node for name in node.output}
            assert made - used == {model.graph.output[0].name}
        else:
            assert sum(node.op_type == "Softmax" for node in model.graph.node) == 3
