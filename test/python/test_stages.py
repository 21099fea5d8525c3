# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Plans in stages and micro-batches: their files, their text, what refuses them."""

import json

import pytest
from helpers import tools

TRAIN = ["--train", "adamw", "--global-batch", "16", "--dim", "sequence=16"]
MACHINE = ["--topology", "dgx-h100"]


def planned(model, *arguments):
    done = tools.partita("plan", model, *arguments, "--format", "json")
    return tools.succeeds(done).json()


@pytest.fixture(scope="module")
def gpt2(zoo_model):
    return zoo_model("gpt2").path


def test_a_plan_with_stages(gpt2, scratch):
    arguments = [gpt2, *TRAIN, *MACHINE, "--mesh", "pp=2,x=4", "--micro-batches", "4"]
    plan = planned(*arguments)
    execution = plan["execution"]
    assert execution["micro_batches"] == 4 and not execution["recompute"]
    assert len(execution["stages"]) == 2
    for stage in execution["stages"]:
        assert sum(stage["forward_seconds"]) > 0 and sum(stage["backward_seconds"]) > 0
    assert {op.get("stage", 0) for op in plan["strategies"].values()} == {0, 1}
    predicted = plan["predicted"]
    assert predicted["idle_seconds"] > 0
    parts = ["compute_seconds", "communication_seconds", "idle_seconds"]
    assert predicted["step_seconds"] == pytest.approx(sum(predicted[p] for p in parts))
    assert 0 < plan["bound"]["step_seconds"] <= predicted["step_seconds"]
    # The same again from its file.
    path = scratch / "plan.json"
    tools.succeeds(tools.partita("plan", *arguments, "-o", path))
    again = planned(gpt2, *TRAIN, *MACHINE, "--plan", path)
    for field in ["mesh", "execution", "strategies", "bound"]:
        assert again[field] == plan[field], field
    text = tools.succeeds(tools.partita("plan", *arguments)).out
    assert "4 micro-batches" in text and "stages\n" in text and " idle" in text


def test_a_search_for_stages(gpt2):
    found = planned(gpt2, *TRAIN, *MACHINE, "--max-stages", "2")
    for mesh, count in [("x=8", 1), ("pp=2,x=4", 2), ("x=2,y=4", 4)]:
        one = planned(gpt2, *TRAIN, *MACHINE, "--mesh", mesh, "--micro-batches", count)
        step = found["predicted"]["step_seconds"]
        assert step <= 1.02 * one["predicted"]["step_seconds"], mesh
        assert found["bound"]["step_seconds"] <= one["predicted"]["step_seconds"]


@pytest.mark.parametrize(
    "schedule, chunks", [("gpipe", 2), ("interleaved:3", 6), ("zb-h1", 2), ("zb-v", 4)]
)
def test_a_schedule_that_is_asked_for(gpt2, scratch, schedule, chunks):
    how = ["--mesh", "pp=2,x=4", "--micro-batches", "4", "--recompute", "never"]
    arguments = [gpt2, *TRAIN, *MACHINE, *how, "--schedule", schedule]
    path = scratch / "plan.json"
    text = tools.succeeds(tools.partita("plan", *arguments, "-o", path)).out
    assert schedule in text and ("chunk" in text) == (chunks > 2)
    plan = json.loads(path.read_text())
    execution = plan["execution"]
    assert execution["schedule"] == schedule and len(execution["stages"]) == chunks
    assert schedule in plan["bound"]["space"] and "1f1b" not in plan["bound"]["space"]
    splits = schedule.startswith("zb")
    for chunk in execution["stages"]:
        assert ("weight_seconds" in chunk) == splits
        assert not splits or sum(chunk["weight_seconds"]) > 0
    places = {(op.get("stage", 0), op.get("chunk", 0)) for op in plan["strategies"].values()}
    assert len(places) == chunks
    assert plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]
    # The same again from its file.
    again = planned(gpt2, *TRAIN, *MACHINE, "--plan", path)
    for field in ["mesh", "execution", "strategies", "bound"]:
        assert again[field] == plan[field], field
    assert again["predicted"]["step_seconds"] == plan["predicted"]["step_seconds"]


def test_schedules_compared(gpt2, scratch):
    how = ["--mesh", "pp=2,x=4", "--micro-batches", "4", "--recompute", "never"]
    for name in ["1f1b", "interleaved:2", "auto"]:
        arguments = [gpt2, *TRAIN, *MACHINE, *how, "--schedule", name, "-o", scratch / name]
        tools.succeeds(tools.partita("plan", *arguments))
    request = ["diff", scratch / "1f1b", scratch / "interleaved:2", "--model", gpt2, *TRAIN]
    done = tools.partita(*request, "--format", "json")
    found = json.loads(done.out)
    assert done.code == 7 and found["schedule"] == ["1f1b", "interleaved:2"]
    assert "interleaved:2" in tools.partita(*request).out
    best = json.loads((scratch / "auto").read_text())
    for name in ["1f1b", "interleaved:2"]:
        one = json.loads((scratch / name).read_text())
        step = one["predicted"]["step_seconds"]
        assert best["predicted"]["step_seconds"] <= 1.02 * step
        assert best["bound"]["step_seconds"] <= step


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--mesh", "pp=2,x=4", "--schedule", "2f2b"], "schedule.name"),
        (["--mesh", "pp=2,x=4", "--schedule", "interleaved:0"], "schedule.name"),
        (["--mesh", "x=8", "--schedule", "gpipe"], "usage.schedule"),
        (["--max-stages", "1", "--schedule", "zb-v"], "usage.schedule"),
        (
            ["--mesh", "pp=4,x=2", "--micro-batches", "2", "--schedule", "interleaved:2"],
            "schedule.shape",
        ),
        (["--mesh", "pp=2,x=4", "--schedule", "interleaved:500"], "plan.stages"),
    ],
)
def test_schedules_that_there_are_not(gpt2, arguments, message):
    done = tools.partita("plan", gpt2, *TRAIN, *MACHINE, *arguments)
    assert tools.fails(done, 1).code == message


def test_hostile_schedules_in_files(gpt2, scratch):
    path = scratch / "plan.json"
    how = ["--mesh", "pp=2,x=4", "--micro-batches", "4", "--schedule", "interleaved:2"]
    tools.succeeds(tools.partita("plan", gpt2, *TRAIN, *MACHINE, *how, "-o", path))
    right = json.loads(path.read_text())
    some = next(name for name, op in right["strategies"].items() if op.get("chunk"))

    def broken(change):
        plan = json.loads(path.read_text())
        change(plan)
        file = scratch / "broken.json"
        file.write_text(json.dumps(plan))
        done = tools.partita("plan", gpt2, *TRAIN, *MACHINE, "--plan", file)
        return tools.fails(done, 2).code

    def execution(**fields):
        return lambda plan: plan["execution"].update(fields)

    assert broken(execution(schedule="2f2b")) == "plan.field"
    assert broken(execution(schedule=3)) == "plan.field"
    assert broken(execution(schedule="interleaved:1000")) == "plan.field"
    assert broken(execution(schedule="1f1b")) == "plan.field"
    assert broken(execution(stages=right["execution"]["stages"][:3])) == "plan.field"
    assert broken(execution(micro_batches=1 << 40)) == "plan.field"
    assert broken(lambda plan: plan["strategies"][some].update(chunk=2)) == "plan.field"
    assert broken(lambda plan: plan["strategies"][some].update(chunk=-1)) == "plan.field"
    assert broken(lambda plan: plan["execution"].pop("schedule")) == "plan.field"


def test_recomputation_takes_time_and_saves_memory(gpt2):
    common = [gpt2, *TRAIN, *MACHINE, "--mesh", "pp=2,x=4", "--micro-batches", "4"]
    kept = planned(*common, "--recompute", "never")
    again = planned(*common, "--recompute", "always")
    assert again["execution"]["recompute"]
    assert again["predicted"]["step_seconds"] > kept["predicted"]["step_seconds"]
    assert max(again["predicted"]["peak_bytes"]) < max(kept["predicted"]["peak_bytes"])


def test_plans_of_another_request_are_not_compared(gpt2, scratch):
    for count in ["2", "4"]:
        micro = ["--mesh", "x=8", "--micro-batches", count]
        tools.partita("plan", gpt2, *TRAIN, *MACHINE, *micro, "-o", scratch / count)
    request = ["diff", scratch / "2", scratch / "4", "--model", gpt2]
    done = tools.partita(*request, *TRAIN)
    assert done.code == 7 and "different models" not in done.out
    # Without --train and --global-batch the model is none of four micro-batches.
    found = tools.fails(tools.partita(*request, "--dim", "batch=3"), 2)
    assert str(scratch / "2") in found.text and "--global-batch" in found.hint


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--mesh", "x=8", "--micro-batches", "3"], 1, "plan.micro-batches"),
        (["--topology", "dgx-h100x16", "--mesh", "pp=128,x=1"], 1, "plan.stages"),
        (["--mesh", "pp=3,x=2"], 1, "plan.mesh-size"),
    ],
)
def test_what_cannot_be_cut(gpt2, arguments, code, message):
    machine = [] if "--topology" in arguments else MACHINE
    done = tools.partita("plan", gpt2, *TRAIN, *machine, *arguments)
    found = tools.fails(done, code)
    assert message in (found.code, found.text.split()[0])


def test_what_does_not_look_at_stages(gpt2, scratch):
    path = scratch / "plan.json"
    arguments = [gpt2, "--dim", "batch=4", "--dim", "sequence=16", "--topology", "cpu:2"]
    plan = [*arguments, "--mesh", "pp=2,x=1", "--micro-batches", "2", "-o", path]
    tools.succeeds(tools.partita("plan", *plan))
    done = tools.partita("explain", *arguments, path, "*")
    assert tools.fails(done, 3).code == "plan.axis-unsupported"


def test_plans_of_experts(gpt2, scratch):
    """Megatron's plan is a mesh and pins, one of the plans of the search."""
    machine = [
        "--topology",
        "dgx-h100x2",
        "--micro-batches",
        "4",
        "--recompute",
        "never",
    ]
    expert = planned(gpt2, *TRAIN, *machine, "--expert", "megatron:tp=2,pp=2,sp")
    assert expert["mesh"] == {"pp": 2, "data": 4, "tensor": 2}
    assert "*:batch=data" in expert["pins"]
    assert "transformer.h.*.attn.c_attn/Gemm:n=tensor" in expert["pins"]
    ours = planned(gpt2, *TRAIN, *machine, "--mesh", "pp=2,x=4,y=2")
    assert ours["bound"]["step_seconds"] <= expert["predicted"]["step_seconds"]
    # The same by hand, for whom it is a beginning.
    pins = [word for pin in expert["pins"] for word in ("--pin", pin)]
    again = planned(gpt2, *TRAIN, *machine, "--mesh", "pp=2,data=4,tensor=2", *pins)
    for field in ["mesh", "execution", "strategies", "predicted"]:
        assert again[field] == expert[field], field
    for sizes, word in [("megatron:tp=3", "multiply"), ("alpa:tp=2", "megatron")]:
        done = tools.partita("plan", gpt2, *TRAIN, *machine, "--expert", sizes)
        message = tools.fails(done, 1)
        assert message.code == "plan.expert" and word in message.text


def test_diff_of_plans_with_stages(gpt2, scratch):
    """What each decision costs, and what stages wait, sum to what the plans differ by."""
    arguments = {
        "expert": ["--expert", "megatron:tp=2,pp=2", "--micro-batches", "4"],
        "ours": ["--mesh", "x=8", "--micro-batches", "2", "--recompute", "always"],
    }
    for name, how in arguments.items():
        path = scratch / name
        tools.succeeds(tools.partita("plan", gpt2, *TRAIN, *MACHINE, *how, "-o", path))
    request = ["diff", scratch / "expert", scratch / "ours", "--model", gpt2, *TRAIN]
    done = tools.partita(*request, "--format", "json")
    assert done.code == 7
    found = json.loads(done.out)
    assert found["micro_batches"] == [4, 2] and found["recompute"] == [False, True]
    predicted = found["predicted"]
    steps = predicted["step_seconds"]
    for side in (0, 1):
        of_lines = sum(line["seconds"][side] for line in found["strategies"])
        rest = found["others_seconds"][side] + found["waiting_seconds"][side]
        assert of_lines + rest == pytest.approx(steps[side])
        parts = [
            "compute_seconds",
            "communication_seconds",
            "waiting_for_stages_seconds",
        ]
        assert sum(predicted[part][side] for part in parts) == pytest.approx(steps[side])
        once = predicted["communication_once_a_step_seconds"][side]
        often = predicted["communication_of_micro-batches_seconds"][side]
        assert once + often == pytest.approx(predicted["communication_seconds"][side])
    assert found["waiting_seconds"][0] > 0 and found["waiting_seconds"][1] == 0
    again = predicted["of_these_again_for_recomputation_seconds"]
    assert again[0] == 0 and again[1] > 0
    text = tools.partita(*request).out
    for word in ("4 micro-batches", "layers run again", "(waiting, unequal stages)"):
        assert word in text
    same = ["diff", scratch / "ours", scratch / "ours", "--model", gpt2, *TRAIN]
    assert "the same" in tools.succeeds(tools.partita(*same)).out


def test_a_stage_that_is_not_there(gpt2, scratch):
    path = scratch / "plan.json"
    arguments = [gpt2, "--dim", "batch=4", "--dim", "sequence=16"]
    machine = ["--topology", "cpu:2", "--mesh", "pp=2,x=1", "--micro-batches", "2"]
    tools.succeeds(tools.partita("plan", *arguments, *machine, "-o", path))
    plan = json.loads(path.read_text())
    for op in plan["strategies"].values():
        if "stage" in op:
            op["stage"] = 7
    path.write_text(json.dumps(plan))
    done = tools.partita("plan", *arguments, "--topology", "cpu:2", "--plan", path)
    assert tools.fails(done, 2).code == "plan.field"


def test_micro_batches_of_another_batch(gpt2, scratch):
    """The file is wrong for this model, not the command line."""
    path = scratch / "plan.json"
    arguments = ["--dim", "sequence=16", "--topology", "cpu:2"]
    batch = [gpt2, "--dim", "batch=4", *arguments]
    tools.succeeds(tools.partita("plan", *batch, "--micro-batches", "4", "-o", path))
    done = tools.partita("plan", gpt2, "--dim", "batch=6", *arguments, "--plan", path)
    message = tools.fails(done, 2)
    assert message.code == "plan.micro-batches" and "plan.json" in message.text


def test_no_time_is_enough_for_a_plan_with_stages(gpt2):
    search = ["--max-stages", "2", "--time-limit", "0"]
    plan = planned(gpt2, *TRAIN, *MACHINE, *search)
    assert plan["stopped_by"] == "time"
    assert plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]
