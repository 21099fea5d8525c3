# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs in stages and micro-batches compute what the model computes."""

import json
import re
import time

import pytest
from helpers import tools
from helpers.processes import GRACE, needs_gloo, outputs_of, run_here

#: Dimensions by model; batches that eight micro-batches divide.
DIMS = {
    "bert": ["batch=8", "sequence=12"],
    "gpt2": ["batch=8", "sequence=12"],
    "llama": ["batch=8", "sequence=12"],
    "resnet": ["batch=8"],
    "t5": ["batch=8", "sequence=12", "target=8"],
}
MESHES = {"pp=2": 2, "pp=4": 4, "pp=2,tp=2": 4, "pp=2,dp=2": 4, "dp=2,pp=2,tp=2": 8}
GLOO = pytest.param(["--communicator", "gloo"], marks=needs_gloo)
#: Every mesh with every number of micro-batches, and every model with each.
CASES = [
    (model, mesh, 2 ** ((m + i) % 4))
    for m, model in enumerate(DIMS)
    for i, mesh in enumerate(MESHES)
]


def dims(name):
    return [word for dim in DIMS[name] for word in ("--dim", dim)]


def machine(mesh):
    return ["--topology", f"cpu:{MESHES[mesh]}", "--mesh", mesh]


@pytest.mark.parametrize("name, mesh, count", CASES, ids=lambda value: str(value))
def test_stages_compute_the_same(zoo_model, name, mesh, count):
    arguments = [*dims(name), *machine(mesh), "--micro-batches", count]
    if count > 1 and 8 // count < int(dict(a.split("=") for a in mesh.split(",")).get("dp", 1)):
        pytest.skip("a sample a micro-batch is not split over dp")
    done = tools.partita("verify", zoo_model(name).path, *arguments, "--check-arena")
    assert tools.succeeds(done).out.endswith("verified\n")


@pytest.mark.parametrize("name", DIMS)
@pytest.mark.parametrize("stages, ranks", [("tp=2|tp=1", 3), ("tp=1|dp=2|tp=2", 5)])
def test_stages_of_different_shapes(zoo_model, name, stages, ranks):
    machine = ["--topology", f"cpu:{ranks}", "--stages", stages, "--micro-batches", "2"]
    done = tools.partita("verify", zoo_model(name).path, *dims(name), *machine, "--check-arena")
    assert tools.succeeds(done).out.endswith("verified\n")


def test_stages_of_a_file(zoo_model, scratch):
    """The shapes of stages are in the plan, and nobody splits over what is not there."""
    path = scratch / "plan.json"
    arguments = [zoo_model("gpt2").path, *dims("gpt2"), "--topology", "cpu:3"]
    plan = [*arguments, "--stages", "tp=2|tp=1", "--micro-batches", "2", "-o", path]
    tools.succeeds(tools.partita("plan", *plan))
    document = json.loads(path.read_text())
    assert document["mesh"] == {"pp": 2, "tp": 2}
    assert [stage["axes"] for stage in document["execution"]["stages"]] == [["tp"], []]
    assert {op["kind"] for op in document["report"]["collectives"]} >= {"transfer"}
    verify = ["verify", *arguments, "--plan", path]
    tools.succeeds(tools.partita(*verify))
    document["execution"]["stages"][0]["axes"] = []
    document["execution"]["stages"][1]["axes"] = ["tp"]
    path.write_text(json.dumps(document))
    assert tools.fails(tools.partita(*verify), 2).code == "plan.illegal"
    del document["execution"]["stages"][1]["axes"]
    path.write_text(json.dumps(document))
    assert tools.fails(tools.partita(*verify), 2).code == "plan.field"


@pytest.mark.parametrize(
    "stages, code",
    [("tp=2|tp=2", "plan.mesh-size"), ("tp=2|", "mesh.stages"), ("pp=2|tp=1", "mesh.stages")],
)
def test_stages_that_are_none(zoo_model, stages, code):
    done = tools.partita("plan", zoo_model("gpt2").path, "--topology", "cpu:3", "--stages", stages)
    assert tools.fails(done, 1).code == code


@pytest.mark.parametrize("mesh", ["pp=2", "pp=2,tp=2"])
def test_a_rank_has_what_its_stage_needs(zoo_model, scratch, mesh):
    """Memory is as promised, and of the weights nobody has more than a part."""
    model, out = zoo_model("gpt2"), scratch / "gpt2"
    arguments = [*dims("gpt2"), *machine(mesh), "--micro-batches", "2", "-o", out]
    tools.succeeds(tools.partita("compile", model.path, *arguments))
    done = tools.start(out, "--random-inputs", "1", "--repeat", "2", "--report", "json")
    report = tools.succeeds(done).json()
    assert report["peak_bytes"] == report["promised_peak_bytes"]
    whole = scratch / "whole"
    tools.succeeds(
        tools.partita("compile", model.path, *dims("gpt2"), "--topology", "cpu:1", "-o", whole)
    )
    done = tools.start(whole, "--random-inputs", "1", "--report", "json")
    everything = tools.succeeds(done).json()["weight_bytes_read"][0]
    assert max(report["weight_bytes_read"]) < 0.75 * everything


@pytest.fixture(scope="module")
def stages(tmp_path_factory, zoo_model):
    """gpt2 on some meshes with four micro-batches, and what it computes in one step."""
    folder, made = tmp_path_factory.mktemp("stages"), {}

    def make(mesh):
        if mesh not in made:
            out = folder / mesh.replace(",", "-")
            arguments = [*dims("gpt2"), *machine(mesh), "--micro-batches", "4", "-o", out]
            tools.succeeds(tools.partita("compile", zoo_model("gpt2").path, *arguments))
            tools.succeeds(run_here(out, out.parent / f"{out.name}-outputs"))
            made[mesh] = (out, outputs_of(out.parent / f"{out.name}-outputs"))
        return made[mesh]

    return make


@pytest.mark.parametrize("mesh", ["pp=2", "pp=4", "pp=2,dp=2", "pp=2,tp=2"])
@pytest.mark.parametrize("options", [["--check-arena"], GLOO])
def test_steps_overlap(stages, scratch, mesh, options):
    """Many steps give what one gives, and begin before the one before is over."""
    executable, expected = stages(mesh)
    trace, repeat = scratch / "trace.json", 40
    words = ["--repeat", repeat, "--trace", trace, *options]
    tools.succeeds(run_here(executable, scratch / "outputs", *words))
    assert outputs_of(scratch / "outputs") == expected
    events = json.loads(trace.read_text())["traceEvents"]

    def steps_of(rank):
        """When its steps began and ended."""
        own = [e for e in events if e["ph"] == "X" and e["tid"] == rank]
        own = [e for e in own if e["cat"].startswith("step,") and e["name"] != "idle"]
        each = len(own) // repeat
        assert len(own) == each * repeat
        parts = [own[i : i + each] for i in range(0, len(own), each)]
        return [(part[0]["ts"], part[-1]["ts"] + part[-1]["dur"]) for part in parts]

    steps = [steps_of(rank) for rank in range(MESHES[mesh])]
    assert any(
        begin < end
        for last in steps[MESHES[mesh] // 2 :]
        for (begin, _), (_, end) in zip(steps[0][1:], last, strict=False)
    )


def test_the_time_of_a_step(stages, scratch):
    """Predicted and measured times are of the same steps, and their parts add up."""
    executable, _ = stages("pp=2")
    words = [scratch / "outputs", "--warmup", 2, "--repeat", 5]
    report = tools.succeeds(run_here(executable, *words)).json()
    assert len(report["step_seconds_all"]) == 5
    assert report["measured"]["step_seconds"] == pytest.approx(sum(report["step_seconds_all"]) / 5)
    # It is begun before the one before it is done.
    assert report["step_latency_seconds"] > 0
    for times in (report["predicted"], report["measured"]):
        parts = (times[f"{part}_seconds"] for part in ("compute", "communication", "idle"))
        assert sum(parts) == pytest.approx(times["step_seconds"])
        assert times["bubble"] == pytest.approx(times["idle_seconds"] / times["step_seconds"])
        assert times["compute_seconds"] > 0 and times["communication_seconds"] > 0
    # One step fills and drains the stages: one of five parts of it, at least.
    predicted = tools.succeeds(run_here(executable, scratch / "once")).json()["predicted"]
    assert predicted["bubble"] > 0.2 > report["predicted"]["bubble"]
    assert predicted["compute_seconds"] == report["predicted"]["compute_seconds"]


def test_waits_are_in_the_trace(stages, scratch):
    """What a rank does is computation, exchange or idleness, one after the other."""
    executable, _ = stages("pp=2")
    trace = scratch / "trace.json"
    tools.succeeds(tools.start(executable, "--random-inputs", 5, "--repeat", 3, "--trace", trace))
    events = json.loads(trace.read_text())["traceEvents"]
    kinds = {e["cat"] for e in events if e["ph"] == "X"}
    assert {f"step,{what}" for what in ("compute", "communication", "idle")} <= kinds
    for rank in range(2):
        end = 0
        for event in (e for e in events if e["ph"] == "X" and e["tid"] == rank):
            assert event["ts"] >= end - 0.01
            end = event["ts"] + event["dur"]


@pytest.mark.parametrize("rank", range(4))
@pytest.mark.parametrize("options", [[], GLOO])
@pytest.mark.usefixtures("temporary")
def test_a_fault_between_steps(stages, scratch, rank, options):
    """Ranks that go ahead, and replicas that hear nothing of each other, notice."""
    executable, _ = stages("pp=2,dp=2")
    inject = {"PARTITA_INJECT": f"rank={rank},step=3,command=5,kind=hang"}
    words = ["--repeat", 1000, "--timeout", 1, *options]
    begin = time.monotonic()
    done = run_here(executable, scratch / "outputs", *words, environment=inject, timeout=30)
    assert time.monotonic() - begin < 1 + GRACE
    message = tools.fails(done, 6)
    assert message.code == "run.timeout"
    where = "was in |did not finish .*; it is in |did not come .*\n  in command 5, "
    assert re.search(f"rank {rank}: ({where})", message.text)
    assert not outputs_of(scratch / "outputs")


def test_a_plan_of_a_file(zoo_model, scratch):
    """A plan with stages is written, read and run; one in a wrong order is refused."""
    model, path = zoo_model("gpt2").path, scratch / "plan.json"
    arguments = [model, *dims("gpt2")]
    plan = [*arguments, *machine("pp=2,tp=2"), "--micro-batches", "4", "-o", path]
    tools.succeeds(tools.partita("plan", *plan))
    verify = ["verify", *arguments, "--topology", "cpu:4", "--plan", path]
    tools.succeeds(tools.partita(*verify))
    document = json.loads(path.read_text())
    for op in document["strategies"].values():
        op["stage"] = 1 - op.get("stage", 0)
    path.write_text(json.dumps(document))
    message = tools.fails(tools.partita(*verify), 2)
    assert message.code == "plan.stage-order" and "later stage" in message.text


def test_what_cannot_be_cut(zoo_model):
    arguments = [zoo_model("gpt2").path, *dims("gpt2"), *machine("pp=2")]
    done = tools.partita("verify", *arguments, "--micro-batches", "3")
    assert tools.fails(done, 1).code == "plan.micro-batches"
