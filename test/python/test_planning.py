# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Plans of large models for large machines, and plans within a memory limit."""

import json
import math
import signal
import subprocess
import sys
import time

import pytest
from helpers import tools

GIB = 2**30


def planned(model, *arguments):
    done = tools.partita("plan", model, *arguments, "--format", "json")
    return tools.succeeds(done).json()


@pytest.fixture(scope="module")
def gpt3(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "gpt3.onnx"
    arguments = ["export", "gpt3-175b", "--size", "full", "--no-weights", "-o", path]
    tools.succeeds(tools.start(sys.executable, "-m", "partita.zoo", *arguments))
    return path


def test_a_large_model_on_a_thousand_gpus(gpt3):
    plan = planned(gpt3, "--topology", "dgx-h100x128")
    assert math.prod(plan["mesh"].values()) == 1024
    assert 0 < plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]
    assert plan["gap"] < 0.02
    # 350 GB of weights do not fit into one GPU, nor half of it into two.
    assert 0 < max(plan["predicted"]["peak_bytes"]) <= 79.647 * GIB
    assert plan["predicted"]["resident_bytes"] < max(plan["predicted"]["peak_bytes"])
    assert any("programs do not run on this machine" in note for note in plan["notes"])


def test_a_large_model_on_too_little(gpt3):
    done = tools.partita("plan", gpt3, "--topology", "rtx-4090x8")
    message = tools.fails(done, 4)
    assert message.code == "plan.memory" and "at least" in str(message)
    # What takes it, and what has a plan.
    assert "a rank (rtx-4090, mesh x=8) holds at least 42" in message.text
    assert "13.5 GiB  transformer.h.[0-95].mlp.c_fc.weight (96)" in message.text
    assert "--topology rtx-4090x8x2: step " in message.text
    assert message.hint.endswith("--topology rtx-4090x8x2")


def test_no_time_is_enough_for_a_plan(gpt3, zoo_model):
    for model, machine in ((gpt3, "dgx-h100x128"), (zoo_model("bert").path, "cpu:4")):
        plan = planned(model, "--topology", machine, "--time-limit", "0")
        assert plan["stopped_by"] == "time" and not plan["proved"]
        assert 0 <= plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]
    whole = planned(zoo_model("bert").path, "--topology", "cpu:4")
    assert whole["stopped_by"] in ("exhausted", "gap", "work")
    assert whole["predicted"]["step_seconds"] <= plan["predicted"]["step_seconds"]
    # Whether a limit that is not reached is there makes no difference.
    same = planned(zoo_model("bert").path, "--topology", "cpu:4", "--time-limit", "1000")
    assert {**same, "run": 0} == {**whole, "run": 0}


def test_interrupted_it_keeps_the_best(gpt3, tmp_path):
    request = ["plan", gpt3, "--topology", "dgx-h100x128", "--axes", "3", "--format", "json"]
    with subprocess.Popen(
        [str(word) for word in [tools.PARTITA, *request, "--dump-dir", tmp_path / "stages"]],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        # It searches from then on.
        while not (tmp_path / "stages" / "01-raised.mlir").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    plan = json.loads(out)
    assert plan["stopped_by"] == "user" and math.prod(plan["mesh"].values()) == 1024
    assert 0 <= plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]


def test_weights_of_large_models_are_not_drawn(tmp_path):
    arguments = ["export", "gpt3-175b", "--size", "full", "-o", tmp_path / "m.onnx"]
    done = tools.start(sys.executable, "-m", "partita.zoo", *arguments)
    assert done.code == 1 and "--no-weights" in done.err
    assert not list(tmp_path.iterdir())


def test_programs_keep_to_the_limit(zoo_model, scratch):
    model = zoo_model("bert").path
    roomy = planned(model, "--topology", "cpu:2")
    limit = max(roomy["predicted"]["peak_bytes"]) * 3 // 4
    tight = planned(model, "--topology", "cpu:2", "--memory-limit", f"{limit}B")
    assert max(tight["predicted"]["peak_bytes"]) <= limit
    assert tight["predicted"]["step_seconds"] >= roomy["predicted"]["step_seconds"]
    assert roomy["bound"]["step_seconds"] <= tight["bound"]["step_seconds"]
    # The bound is that of the limit, whatever the plan was then made with.
    given = planned(model, "--topology", "cpu:2", "--memory-limit", "1500KiB")
    assert given["bound"]["space"].endswith("at most 1.4648 MiB a rank")
    assert not given["proved"] or given["gap"] == 0
    # What is promised is what is allocated.
    options = ["--topology", "cpu:2", "--memory-limit", f"{limit}B"]
    tools.succeeds(tools.partita("verify", model, *options, "--check-arena"))


def test_too_little_memory(zoo_model):
    model = zoo_model("bert").path
    for limit, words in {"10KiB": "holds at least", "960KB": "the program of the"}.items():
        done = tools.partita("plan", model, "--topology", "cpu:2", "--memory-limit", limit)
        message = tools.fails(done, 4)
        assert message.code == "plan.memory" and words in message.text


def test_what_makes_room_is_planned(zoo_model):
    model = zoo_model("bert").path
    request = ["plan", model, "--topology", "cpu:2", "--memory-limit", "900KB"]
    message = tools.fails(tools.partita(*request), 4)
    for change in ("--topology cpu:4", "bf16 in place of f32", "--dim batch=1"):
        assert f"\n    {change}: step " in message.text, change
    # The pins that do not matter are not named.
    pins = ["--pin", "pooler*:replicated", "--pin", "*.output*:replicated"]
    request = ["plan", model, "--topology", "cpu:2", "--mesh", "tp=2", *pins]
    message = tools.fails(tools.partita(*request, "--memory-limit", "1000KiB"), 4)
    assert "\n    without --pin '*.output*:replicated': step " in message.text
    assert "without --pin 'pooler" not in message.text


@pytest.mark.parametrize("limit", ["", "5", "x", "-3GiB", "0GiB", "nanGiB", "1e99 TiB"])
def test_what_is_no_limit(zoo_model, limit):
    done = tools.partita(
        "plan", zoo_model("bert").path, "--topology", "cpu:2", f"--memory-limit={limit}"
    )
    tools.fails(done, 1)


@pytest.mark.parametrize("axes", ["0", "5", "x"])
def test_what_is_no_number_of_axes(zoo_model, axes):
    tools.fails(
        tools.partita("plan", zoo_model("bert").path, "--topology", "cpu:2", "--axes", axes), 1
    )


def test_a_mesh_has_its_axes(zoo_model):
    model = zoo_model("bert").path
    done = tools.partita("plan", model, "--topology", "cpu:2", "--mesh", "tp=2", "--axes", "1")
    tools.fails(done, 1)


def test_axes_are_found(zoo_model):
    model = zoo_model("bert").path
    one, two, three = (
        planned(model, "--topology", "cpu:8", "--axes", str(axes)) for axes in (1, 2, 3)
    )
    assert list(one["mesh"].values()) == [8]
    steps = [plan["predicted"]["step_seconds"] for plan in (one, two, three)]
    bounds = [plan["bound"]["step_seconds"] for plan in (one, two, three)]
    # More meshes, no higher bound; what is best of few is among many.
    assert bounds[0] >= bounds[1] >= bounds[2]
    assert max(bounds) <= max(steps)
