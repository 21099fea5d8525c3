# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands of partita as a user sees them: what they take, print and leave behind."""

import json
import os
import re
import subprocess
import sys

import pytest
from helpers import tools

COMMANDS = ["compile", "plan", "inspect", "run", "verify", "bench", "topology"]
MACHINE = ["--topology", "cpu:2", "--mesh", "tp=2"]


@pytest.fixture(scope="module")
def bert(zoo_model):
    return zoo_model("bert")


@pytest.fixture(scope="module")
def executable(bert, tmp_path_factory):
    """Bert tiny on two ranks at tp=2."""
    return bert.compile(tmp_path_factory.mktemp("executable"), 2, "--mesh", "tp=2")


# ===----------------------------------------------------------------------===#
# Help and usage
# ===----------------------------------------------------------------------===#


def test_help_names_every_command(compiler):
    done = tools.succeeds(tools.partita("--help"))
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.out, re.MULTILINE), command
    for code in ("0 ok", "2 invalid input", "5 numerical mismatch"):
        assert code in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(compiler, command):
    done = tools.succeeds(tools.partita(command, "--help"))
    assert done.out and not done.err
    # Means of the tests are not offered to users.
    assert "--mutate" not in done.out and "--random-plan" not in done.out


def test_version_is_the_project_s(compiler):
    text = (tools.ROOT / "CMakeLists.txt").read_text()
    version = re.search(r"project\(Partita VERSION (\S+)", text)[1]
    assert tools.succeeds(tools.partita("--version")).out.strip() == version


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["--frobnicate"],
        ["compile"],
        ["compile", "m.onnx", "--topology", "cpu:1"],
        ["inspect"],
        ["run"],
        ["verify", "m.onnx", "--topology", "cpu:1", "--reference", "oracle"],
        ["verify", "m.onnx", "--topology", "cpu:1", "--rtol", "-1"],
        ["plan", "m.onnx", "--topology", "cpu:1", "--format", "yaml"],
        ["plan", "m.onnx", "--topology", "cpu:1", "--effort", "0"],
        ["bench", "m.onnx", "--ranks", "0"],
    ],
    ids=" ".join,
)
def test_usage_errors(compiler, arguments):
    message = tools.fails(tools.partita(*arguments), 1)
    assert message.code.startswith("usage")
    assert "partita" in message.hint


# ===----------------------------------------------------------------------===#
# plan and inspect
# ===----------------------------------------------------------------------===#


def test_plan_prints_what_inspect_shows(bert, scratch):
    path = scratch / "plan.json"
    plan = tools.succeeds(tools.partita("plan", bert.path, *MACHINE, "-o", path))
    shown = tools.succeeds(tools.partita("inspect", path))
    assert plan.out == shown.out and not plan.err
    for words in (
        "mesh tp=2",
        "predicted step: ",
        "bound: ",
        "3 attention, 3 gelu, 7 layer_norm",
        "left decomposed: none",
        "communication: ",
        "replicated work: ",
        "generated kernels",
    ):
        assert words in shown.out, words
    assert re.search(r"nn\.attention +3 +g = tp", shown.out)
    assert re.search(r"all_gather|all_reduce", shown.out)


def test_inspect_of_an_executable(bert, executable, scratch):
    path = scratch / "plan.json"
    tools.succeeds(tools.partita("plan", bert.path, *MACHINE, "-o", path))
    assert (
        tools.succeeds(tools.partita("inspect", executable)).out
        == tools.succeeds(tools.partita("inspect", path)).out
    )
    document = tools.partita("inspect", executable, "--format", "json").json()
    planned = json.loads(path.read_text())
    planned.pop("run")
    assert document == planned


def test_the_bill_is_what_runs(executable):
    document = tools.partita("inspect", executable, "--format", "json").json()
    planned = {
        (line["kind"], line["bytes"], line["count"])
        for line in document["report"]["collectives"]
        if not line["at_load"]
    }
    report = tools.report(executable, "--random-inputs", "1")
    ran = {(line["kind"], line["bytes"], line["count"]) for line in report["collectives"]}
    assert planned == ran and ran


def test_replicated_work_has_a_price(bert):
    """With everything whole, all work is done twice, and inspect says so."""
    request = ["plan", bert.path, *MACHINE, "--pin", "*:replicated", "--format", "json"]
    document = tools.succeeds(tools.partita(*request)).json()
    report = document["report"]
    assert not report["collectives"]
    kinds = {op["op"] for op in report["replicated"]}
    assert {"nn.matmul", "nn.attention", "nn.layer_norm"} <= kinds
    seconds = [op["seconds"] for op in report["replicated"]]
    assert seconds == sorted(seconds, reverse=True) and all(s >= 0 for s in seconds)
    # Neighbours that run as one are cheaper than the sum.
    compute = document["predicted"]["compute_seconds"]
    assert sum(seconds) == pytest.approx(compute, rel=0.3)


def test_inspect_refuses_what_is_no_plan(compiler, scratch):
    other = scratch / "script"
    other.write_text("#!/bin/sh\n")
    assert tools.fails(tools.partita("inspect", other), 2).code.startswith("plan.")
    message = tools.fails(tools.partita("inspect", "/bin/true", environment={"LC_ALL": "C"}), 2)
    assert "/bin/true" in message.text
    message = tools.fails(tools.partita("inspect", scratch / "none"), 2)
    assert str(scratch / "none") in message.text


def test_pins_are_obeyed(bert):
    request = ["plan", bert.path, *MACHINE, "--format", "json"]
    pin = ["--pin", "encoder.layer.1.attention.self/MatMul_1:replicated"]
    document = tools.succeeds(tools.partita(*request, *pin)).json()
    strategies = document["strategies"]
    assert document["pins"] == [pin[1]]
    assert strategies["encoder.layer.1.attention.self/MatMul_1"]["factors"] == {}
    assert strategies["encoder.layer.0.attention.self/MatMul_1"]["factors"] != {}


def test_diff(bert, scratch):
    plans = {}
    pin = ["--pin", "encoder.layer.1.attention.self/MatMul_1:replicated"]
    for name, options in {"a": [], "again": [], "b": pin}.items():
        plans[name] = scratch / name
        tools.succeeds(tools.partita("plan", bert.path, *MACHINE, *options, "-o", plans[name]))
    same = tools.succeeds(tools.partita("diff", plans["a"], plans["again"]))
    assert same.out.endswith("the same\n")
    request = ["diff", plans["a"], plans["b"], "--model", bert.path]
    done = tools.partita(*request)
    assert done.code == 7 and not done.err
    assert re.search(
        r"layer\.1\.attention\.self/MatMul_1 +1 +nn\.attention +g = tp +whole", done.out
    )
    document = tools.partita(*request, "--format", "json").json()
    assert not document["same"]
    assert document["mesh"] == ["tp=2", "tp=2"]
    step = document["predicted"]["step_seconds"]
    assert step == [
        json.loads(plans[name].read_text())["predicted"]["step_seconds"] for name in "ab"
    ]
    # What the differences cost is what the plans differ by.
    lines = document["strategies"]
    for side in (0, 1):
        parts = [line["seconds"][side] for line in lines] + [document["others_seconds"][side]]
        assert sum(parts) == pytest.approx(step[side], rel=1e-9)
    ids = [id for line in lines for id in line["ids"]]
    assert len(ids) == len(set(ids)) and "encoder.layer.1.attention.self/MatMul_1" in ids


def test_diff_puts_layers_together(bert, scratch):
    for axis in ("tp", "dp"):
        machine = ["--topology", "cpu:2", "--mesh", f"{axis}=2"]
        tools.succeeds(tools.partita("plan", bert.path, *machine, "-o", scratch / axis))
    done = tools.partita("diff", scratch / "tp", scratch / "dp")
    assert done.code == 7
    assert re.search(r"layer\.\[0-2\]\.output\.dense/MatMul +3 +nn\.matmul", done.out)


def test_diff_of_other_models(bert, zoo_model, scratch):
    for model in (bert, zoo_model("mlp")):
        plan = tools.partita("plan", model.path, *MACHINE, "-o", scratch / model.name)
        tools.succeeds(plan)
    done = tools.partita("diff", scratch / "bert", scratch / "mlp", "--format", "json")
    assert done.code == 7
    document = done.json()
    assert document["identity"][0] != document["identity"][1]
    assert any(line["first"] is None for line in document["strategies"])
    request = ["diff", scratch / "bert", scratch / "mlp", "--model", bert.path]
    assert tools.fails(tools.partita(*request), 2).code == "plan.other-model"
    assert tools.fails(tools.partita("diff", bert.path, scratch / "mlp"), 2)


def test_explain(bert, scratch):
    path = scratch / "plan.json"
    tools.succeeds(tools.partita("plan", bert.path, *MACHINE, "-o", path))
    node = "encoder.layer.1.output.dense/MatMul"
    done = tools.succeeds(tools.partita("explain", bert.path, path, node))
    assert done.out.startswith(node + " (nn.matmul)\n")
    assert re.search(r"^  decided: time: the next best, ", done.out, re.M)
    assert re.search(r"^  k = tp .* chosen$", done.out, re.M)
    assert re.search(r"^  whole +\S+ us +\+", done.out, re.M)
    # The same plan, made again.
    assert tools.succeeds(tools.partita("explain", bert.path, *MACHINE, node)).out == done.out
    request = ["explain", bert.path, path, "*layer.1.output*", "--format", "json"]
    for item in tools.succeeds(tools.partita(*request)).json():
        step = json.loads(path.read_text())["predicted"]["step_seconds"]
        assert item["chosen"]["step_seconds"] == step
        assert all(other["worse_by_seconds"] >= 0 for other in item["others"])
        assert item["number_of_others"] >= len(item["others"])


def test_explain_names_pins(bert):
    pin = "encoder.layer.1.attention.self/MatMul_1:replicated"
    request = ["explain", bert.path, *MACHINE, "--pin", pin, pin.split(":")[0]]
    item = tools.succeeds(tools.partita(*request, "--format", "json")).json()[-1]
    assert item["pins"] == [pin] and item["decided"] == f"pinned by {pin}"
    assert item["others"][0]["worse_by_seconds"] < 0


def test_explain_wants_a_plan_and_operations(bert, scratch):
    path = scratch / "plan.json"
    tools.succeeds(tools.partita("plan", bert.path, *MACHINE, "-o", path))
    assert tools.fails(tools.partita("explain", bert.path, path), 1).code == "usage"
    assert tools.fails(tools.partita("explain", bert.path, "*MatMul"), 1).code == "usage"
    message = tools.fails(tools.partita("explain", bert.path, path, "nothing/*"), 1)
    assert message.code == "explain.node"
    request = ["explain", bert.path, path, "*MatMul", "--topology", "cpu:4"]
    assert tools.fails(tools.partita(*request), 1).code == "plan.mesh-size"


# ===----------------------------------------------------------------------===#
# compile and run
# ===----------------------------------------------------------------------===#


def test_compile_is_quiet_and_deterministic(bert, scratch):
    for name in ("one", "two"):
        done = tools.partita("compile", bert.path, *MACHINE, "-o", scratch / name)
        tools.succeeds(done)
        assert not done.err and "2 ranks, mesh tp=2" in done.out
    assert (scratch / "one").read_bytes() == (scratch / "two").read_bytes().replace(
        b"two.d", b"one.d"
    )
    assert {entry.name for entry in scratch.iterdir()} == {"one", "one.d", "two", "two.d"}


def test_names_of_executables_may_have_commas(bert, scratch):
    out = scratch / "tp=1, and a comma"
    tools.succeeds(tools.partita("compile", bert.path, "--topology", "cpu:1", "-o", out))
    tools.succeeds(tools.start(out, "--random-inputs", "7"))


def test_every_stage_is_dumped(bert, scratch):
    folder = scratch / "stages"
    request = ["compile", bert.path, *MACHINE, "--dump-dir", folder, "-o", scratch / "out"]
    tools.succeeds(tools.partita(*request))
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == [
        "00-import.mlir",
        "01-raised.mlir",
        "02-plan.json",
        "03-planned.mlir",
        "04-reshards.mlir",
        "05-collectives.mlir",
        "06-local.mlir",
        "07-rt.mlir",
        "08-kernels.mlir",
        "09-program.txt",
    ]
    architecture = (tools.ROOT / "docs" / "architecture.md").read_text()
    for name in names:
        assert f"`{name}`" in architecture, f"docs/architecture.md does not explain {name}"
    content = {name: (folder / name).read_text() for name in names}
    assert "nn.matmul" in content["00-import.mlir"]
    assert "nn.attention" in content["01-raised.mlir"]
    assert json.loads(content["02-plan.json"])["mesh"] == {"tp": 2}
    assert "dist.strategy" in content["03-planned.mlir"]
    assert "dist.reshard" in content["04-reshards.mlir"]
    assert "dist.reshard" not in content["05-collectives.mlir"]
    assert "rt.collective" in content["06-local.mlir"]
    assert "rt.fusion" in content["07-rt.mlir"]
    assert "rt.fusion" not in content["08-kernels.mlir"]
    assert "load_parameter" in content["09-program.txt"]


def test_dimensions_are_overridden(bert, scratch):
    out = scratch / "out"
    request = ["--topology", "cpu:1", "--dim", "batch=2,sequence=7", "-o", out]
    tools.succeeds(tools.partita("compile", bert.path, *request))
    report = tools.report(out, "--random-inputs", "1")
    assert report["outputs"][0]["shape"][:2] == [2, 7]


def test_run_is_the_executable(executable, scratch):
    options = ["--random-inputs", "3", "--report", "json"]
    by_run = tools.succeeds(tools.partita("run", executable, *options)).json()
    by_itself = tools.succeeds(tools.start(executable, *options)).json()
    assert by_run["collectives"] == by_itself["collectives"]
    assert tools.partita("run", executable, "--no-such-option").code == 1
    assert "--random-inputs" in tools.succeeds(tools.partita("run", executable, "--help")).out
    message = tools.fails(tools.partita("run", scratch / "none"), 2)
    assert str(scratch / "none") in message.text


@pytest.mark.parametrize("phase, last", [("import", None), ("local", "05"), ("kernels", "07")])
def test_a_defect_leaves_a_reproducer(bert, scratch, phase, last):
    """The folder that the message names ends with what the phase was given."""
    done = tools.partita(
        *("compile", bert.path, *MACHINE, "--inject-defect", phase, "-o", scratch / "out"),
        environment={"TMPDIR": str(scratch)},
    )
    message = tools.fails(done, 70)
    assert phase in message.text and "report" in message.hint
    (folder,) = scratch.iterdir()
    assert str(folder) in message.hint
    stages = sorted(entry.name for entry in folder.iterdir())
    assert stages[-1].startswith(last) if last else not stages


def test_no_bar_where_there_is_no_terminal(zoo_model):
    """Bars are for people, and only for what takes longer than a second."""
    request = [zoo_model("mlp").path, "--ranks", "1", "--rounds", "150"]
    assert not tools.succeeds(tools.partita("bench", *request)).err
    assert "[####" in on_terminal("bench", *request)
    assert not on_terminal("plan", zoo_model("mlp").path, "--topology", "cpu:2")


def on_terminal(*arguments) -> str:
    """What a command writes to stderr if that is a terminal."""
    reader, terminal = os.openpty()
    process = subprocess.Popen(
        [str(tools.PARTITA), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "PARTITA_PYTHON": sys.executable, "TERM": "xterm"},
    )
    os.close(terminal)
    text = b""
    while True:
        try:
            chunk = os.read(reader, 4096)
        except OSError:  # Linux says so when the last writer is gone.
            break
        if not chunk:
            break
        text += chunk
    os.close(reader)
    assert process.wait() == 0
    return text.decode()


# ===----------------------------------------------------------------------===#
# verify
# ===----------------------------------------------------------------------===#


def test_verify_shows_the_worst_element(bert):
    request = ["verify", bert.path, *MACHINE]
    done = tools.succeeds(tools.partita(*request))
    assert done.out.rstrip().endswith("verified") and "last_hidden_state" in done.out
    done = tools.partita(*request, "--mutate", "swap-ranks:0,1")
    message = tools.fails(done, 5)
    assert message.code == "verify.mismatch"
    worst = re.search(r"element (\[\d+,\d+(,\d+)?\]) is", message.text)[1]
    first = done.out.splitlines()[3]
    assert worst in first and "DIFFERENT" in first
    assert "verified" not in done.out and "broken on purpose" in done.out


def test_verify_obeys_tolerances(bert):
    request = ["verify", bert.path, *MACHINE]
    tools.fails(tools.partita(*request, "--rtol", "0"), 5)
    tools.succeeds(tools.partita(*request, "--rtol", "0", "--atol", "0.01"))


def test_verify_takes_inputs(bert, scratch):
    tools.succeeds(tools.partita("verify", bert.path, *MACHINE, *bert.input_options()))
    wrong = ["--input", f"nobody={scratch / 'x.npy'}"]
    assert "nobody" in tools.fails(tools.partita("verify", bert.path, *MACHINE, *wrong), 2).text
    tools.fails(tools.partita("verify", bert.path, *MACHINE, "--input", "input_ids"), 1)


def test_verify_leaves_nothing_behind(bert, scratch):
    place = {"TMPDIR": str(scratch)}
    tools.succeeds(tools.partita("verify", bert.path, *MACHINE, environment=place))
    tools.fails(tools.partita("verify", bert.path, *MACHINE, "--rtol", "0", environment=place), 5)
    assert not list(scratch.iterdir())


# ===----------------------------------------------------------------------===#
# bench
# ===----------------------------------------------------------------------===#


def test_bench_measures_both_sides(zoo_model):
    request = ["bench", zoo_model("mlp").path, "--ranks", "1,2", "--axis", "tp", "--rounds", "4"]
    text = tools.succeeds(tools.partita(*request)).out
    assert "medians of 4 steps" in text and "onnxruntime" in text
    document = tools.succeeds(tools.partita(*request, "--format", "json")).json()
    assert [line["ranks"] for line in document["results"]] == [1, 2]
    assert [line["mesh"] for line in document["results"]] == ["tp=1", "tp=2"]
    for line in document["results"]:
        assert line["partita_seconds"] > 0 and line["onnxruntime_seconds"] > 0
        assert line["speed_against_onnxruntime"] == pytest.approx(
            line["onnxruntime_seconds"] / line["partita_seconds"]
        )
    assert len(document["all_seconds"]) == 4
    assert all(len(entry["seconds"]) == 4 for entry in document["all_seconds"])


def test_bench_of_steps_in_a_row(zoo_model):
    """Stages stay full, and a turn is that many steps of each contestant."""
    request = ["bench", zoo_model("mlp").path, "--dim", "batch=4", "--ranks", "2", "--axis", "pp"]
    request += ["--micro-batches", "4", "--rounds", "3", "--steps", "5"]
    text = tools.succeeds(tools.partita(*request)).out
    assert "medians of 3 times 5 steps in a row" in text and "pp=2" in text
    document = tools.succeeds(tools.partita(*request, "--format", "json")).json()
    assert document["steps"] == 5
    assert all(len(entry["seconds"]) == 3 for entry in document["all_seconds"])
    tools.fails(tools.partita(*request[:-1], "0"), 1)


def test_bench_without_python_names_the_repair(zoo_model):
    done = tools.partita(
        *("bench", zoo_model("mlp").path, "--ranks", "1", "--rounds", "1"),
        environment={"PARTITA_PYTHON": "/nowhere/python"},
    )
    assert "pip install" in tools.fails(done, 3).hint
