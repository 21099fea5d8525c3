# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a plan chose, as remarks of MLIR."""

import re

import onnx
import pytest
from helpers import tools

LINE = re.compile(r"(?:(.*?): )?remark: (passed|missed|analysis): (plan|gap|split|replicated): (.*)")


def remarks(done):
    lines = tools.succeeds(done).err.splitlines()
    return [LINE.fullmatch(line).groups() for line in lines]


@pytest.fixture(scope="module")
def bert(zoo_model):
    return zoo_model("bert").path


def test_what_was_chosen_is_said(bert):
    request = ["plan", bert, "--topology", "cpu:4", "--mesh", "tp=2,dp=2"]
    done = tools.partita(*request, "--format", "json", "--remarks")
    found = remarks(done)
    plan = done.json()
    # At nodes of the model, once for layers that are alike.
    nodes = {node.name for node in onnx.load(bert, load_external_data=False).graph.node}
    products = [
        (place, text)
        for place, kind, category, text in found
        if category == "split" and "attention" in text and place in nodes
    ]
    assert any("n = " in text and "tp" in text for _, text in products)
    assert any(re.search(r"\[0-\d+\].* \(\d+\): .*compute", text) for _, text in products)
    assert {kind for _, kind, category, _ in found if category == "split"} == {"passed"}
    (whole,) = [text for _, kind, category, text in found if category == "plan"]
    assert whole.startswith("mesh tp=2,dp=2: step ")
    # All that is split is said to be.
    split = sum(1 for op in plan["strategies"].values() if op["factors"])
    counts = [
        int(match[1]) if (match := re.match(r"\S+ \((\d+)\):", text)) else 1
        for _, _, category, text in found
        if category == "split"
    ]
    assert sum(counts) == split
    # Without the option nothing is, and the plan is the same.
    quiet = tools.succeeds(tools.partita(*request, "--format", "json"))
    assert quiet.err == "" and {**quiet.json(), "run": 0} == {**plan, "run": 0}


def test_what_was_missed_is_said(bert):
    pins = ["--pin", "*intermediate*:replicated"]
    request = ["plan", bert, "--topology", "cpu:2", "--mesh", "q=2", *pins]
    found = remarks(tools.partita(*request, "--remarks", "--remarks-filter", "replicated"))
    assert {(kind, category) for _, kind, category, _ in found} == {("missed", "replicated")}
    assert any("intermediate" in text and "all ranks along q" in text for *_, text in found)


def test_stages_are_said(zoo_model):
    train = ["--topology", "dgx-h100", "--train", "adamw", "--global-batch", "8"]
    mesh = ["--mesh", "pp=2,x=4", "--micro-batches", "4", "--schedule", "1f1b"]
    done = tools.partita(
        "plan", zoo_model("gpt2").path, *train, *mesh, "--remarks", "--remarks-filter", "plan|gap"
    )
    found = remarks(done)
    assert "2 stages, 1f1b, 4 micro-batches" in found[0][3]
    assert [category for _, _, category, _ in found] == ["plan", "gap"]


def test_remarks_are_written_for_other_tools(bert, tmp_path):
    file = tmp_path / "remarks.yaml"
    request = ["plan", bert, "--topology", "cpu:2", "--remarks-output", file]
    assert tools.succeeds(tools.partita(*request)).err == ""
    text = file.read_text()
    documents = text.split("\n--- ")
    assert text.startswith("--- !Analysis") and len(documents) > 10
    assert all("Function:        step" in document for document in documents)
    assert "!Passed" in text and "Pass:            split" in text and "CommunicationSeconds:" in text


def test_what_is_no_filter_and_no_place(bert, tmp_path):
    request = ["plan", bert, "--topology", "cpu:2"]
    message = tools.fails(tools.partita(*request, "--remarks", "--remarks-filter", "("), 1)
    assert message.code == "usage.remarks-filter"
    # Known before the model is looked at.
    nothing = ["plan", tmp_path / "none.onnx", "--topology", "cpu:2", "--remarks-filter", "plan"]
    message = tools.fails(tools.partita(*nothing), 1)
    assert message.code == "usage.remarks-filter" and "no remarks" in message.text
    absent = tmp_path / "absent" / "remarks.yaml"
    message = tools.fails(tools.partita(*request, "--remarks-output", absent), 2)
    assert message.code == "file.write"
