# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Searches that go on from a plan."""

import json

import pytest
from helpers import tools

TRAIN = ["--topology", "dgx-h100", "--train", "adamw", "--global-batch", "8"]


def plan(model, out, *arguments):
    tools.succeeds(tools.partita("plan", model, *arguments, "-o", out))
    return json.loads(out.read_text())


def step(plan):
    return plan["predicted"]["step_seconds"]


@pytest.fixture(scope="module")
def gpt2(zoo_model):
    return zoo_model("gpt2").path


def test_a_search_goes_on(gpt2, tmp_path):
    stopped = plan(gpt2, tmp_path / "stopped.json", *TRAIN, "--time-limit", "0")
    assert stopped["stopped_by"] == "time"
    resume = [*TRAIN, "--resume", tmp_path / "stopped.json"]
    # No time, no worse plan.
    kept = plan(gpt2, tmp_path / "kept.json", *resume, "--time-limit", "0")
    assert step(kept) == step(stopped) and kept["stopped_by"] == "time"
    assert kept["strategies"] == stopped["strategies"]
    assert kept["bound"]["step_seconds"] >= stopped["bound"]["step_seconds"]
    done = plan(gpt2, tmp_path / "done.json", *resume)
    whole = plan(gpt2, tmp_path / "whole.json", *TRAIN)
    assert step(done) <= step(stopped) and done["stopped_by"] not in ("time", "user")
    assert step(done) <= step(whole) * 1.001
    # What is done is not worse if it is done again; its bound is known.
    again = plan(gpt2, tmp_path / "again.json", *TRAIN, "--resume", tmp_path / "done.json")
    assert step(again) <= step(done)
    assert again["bound"]["step_seconds"] >= done["bound"]["step_seconds"]


def test_what_is_proved_is_not_searched_again(zoo_model, tmp_path):
    model = zoo_model("mlp").path
    first = plan(model, tmp_path / "first.json", *TRAIN)
    assert first["proved"]
    again = plan(model, tmp_path / "again.json", *TRAIN, "--resume", tmp_path / "first.json")
    assert {**again, "run": 0} == {**first, "run": 0}
    # A stranger's claim is not believed: of another machine nothing is known.
    other = [*TRAIN, "--resume", tmp_path / "first.json"]
    other[1] = "dgx-a100"
    moved = plan(model, tmp_path / "moved.json", *other)
    fresh = plan(model, tmp_path / "fresh.json", *other[:-2])
    assert moved["bound"]["step_seconds"] <= step(fresh)


def test_a_plan_on_one_mesh_goes_on(zoo_model, tmp_path):
    model = zoo_model("bert").path
    request = ["--topology", "cpu:4", "--mesh", "tp=2,dp=2"]
    first = plan(model, tmp_path / "first.json", *request)
    again = plan(model, tmp_path / "again.json", *request, "--resume", tmp_path / "first.json")
    assert step(again) <= step(first)
    assert again["bound"] == first["bound"]


def test_what_cannot_be_resumed(gpt2, zoo_model, tmp_path):
    file = tmp_path / "plan.json"
    plan(gpt2, file, *TRAIN, "--time-limit", "0", "--recompute", "never")
    bert = zoo_model("bert").path
    for code, exit_code, words in (
        ("plan.other-model", 2, ["plan", bert, *TRAIN]),
        ("plan.other-model", 2, ["plan", gpt2, *TRAIN, "--dim", "sequence=8"]),
        ("plan.mesh-size", 1, ["plan", gpt2, "--topology", "dgx-h100x2", *TRAIN[2:]]),
        ("plan.resume", 1, ["plan", gpt2, *TRAIN, "--recompute", "always"]),
        ("plan.resume", 1, ["plan", gpt2, *TRAIN, "--micro-batches", "128"]),
        ("plan.resume", 1, ["plan", gpt2, *TRAIN, "--mesh", "q=8"]),
    ):
        message = tools.fails(tools.partita(*words, "--resume", file), exit_code)
        assert message.code == code, message.text
    assert "computes nothing again" in tools.partita(
        "plan", gpt2, *TRAIN, "--recompute", "always", "--resume", file
    ).err
    absent = tools.partita("plan", gpt2, *TRAIN, "--resume", tmp_path / "absent.json")
    tools.fails(absent, 2)
    tools.fails(tools.partita("plan", gpt2, *TRAIN, "--resume", file, "--plan", file), 1)


def test_pins_hold_for_what_is_resumed(zoo_model, tmp_path):
    model = zoo_model("bert").path
    request = ["plan", model, "--topology", "cpu:2", "--mesh", "tp=2"]
    tools.succeeds(tools.partita(*request, "-o", tmp_path / "free.json"))
    pinned = [*request, "--pin", "*:replicated", "--resume", tmp_path / "free.json"]
    message = tools.fails(tools.partita(*pinned), 1)
    assert message.code == "plan.resume" and "otherwise than pins allow" in message.text


def test_what_does_not_fit_is_not_resumed(zoo_model, tmp_path):
    model = zoo_model("bert").path
    request = ["--topology", "cpu:2"]
    roomy = plan(model, tmp_path / "roomy.json", *request)
    limit = max(roomy["predicted"]["peak_bytes"]) * 3 // 4
    tight = [*request, "--memory-limit", f"{limit}B"]
    without = plan(model, tmp_path / "without.json", *tight)
    resumed = plan(model, tmp_path / "resumed.json", *tight, "--resume", tmp_path / "roomy.json")
    assert max(resumed["predicted"]["peak_bytes"]) <= limit
    assert step(resumed) == step(without)
