# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bad input to the compiler ends with one message, the right exit code, and no output.

tools.fails checks the message: one, with a code, a place and a hint. What the
compiled program refuses is in test_bad_run.py.
"""

import os
import random
import resource
import signal
import subprocess
import sys

import pytest
from helpers import onnx_models, tools
from helpers.onnx_models import FLOAT, INT64
from onnx import helper

pytestmark = pytest.mark.usefixtures("compiler")


def node(kind, ins, outs, **attributes):
    return helper.make_node(kind, ins, outs, name=f"the {kind}", **attributes)


def refused(path, exit_code: int, code: str, *words: str, options=()) -> tools.Message:
    """Compiling the model must fail like this, and leave nothing behind."""
    before = sorted(os.listdir(path.parent))
    out = path.parent / "out"
    done = tools.partita("compile", path, "--topology", "cpu:2", *options, "-o", out)
    message = tools.fails(done, exit_code)
    assert message.code == code, done
    for word in words:
        assert word in message.text + message.hint, f"'{word}' is not said\n{done}"
    assert sorted(os.listdir(path.parent)) == before, "something was left behind"
    return message


def refused_model(scratch, model, exit_code: int, code: str, *words: str) -> tools.Message:
    return refused(onnx_models.write(model, scratch / "m.onnx"), exit_code, code, *words)


# ===----------------------------------------------------------------------===#
# Bytes
# ===----------------------------------------------------------------------===#


@pytest.mark.parametrize("eighth", range(8))
def test_truncated_model(zoo_model, scratch, eighth):
    whole = zoo_model("bert").path.read_bytes()
    path = scratch / "m.onnx"
    path.write_bytes(whole[: len(whole) * eighth // 8])
    message = refused(path, 2, "import.malformed", "m.onnx")
    assert "truncated" in message.hint


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes(scratch, seed):
    path = scratch / "m.onnx"
    path.write_bytes(random.Random(seed).randbytes(10 ** (seed % 5)))
    refused(path, 2, "import.malformed", "m.onnx")


@pytest.mark.parametrize("seed", range(6))
def test_damaged_models_never_crash(scratch, seed):
    """Some bytes of a good model are changed: it compiles, or is refused."""
    graph, _ = onnx_models.relayered("llama", "tiny", 2)
    good = onnx_models.write_absent(graph, scratch / "good.onnx").read_bytes()
    generator = random.Random(seed)
    for attempt in range(6):
        damaged = bytearray(good)
        for _ in range(generator.choice([1, 1, 4, 16])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path = scratch / "m.onnx"
        path.write_bytes(damaged)
        done = tools.partita("plan", path, "--topology", "cpu:2")
        assert done.code in (0, 2, 3), f"seed {seed}, attempt {attempt}\n{done}"
        if done.code:
            tools.fails(done, done.code)


# ===----------------------------------------------------------------------===#
# Graphs
# ===----------------------------------------------------------------------===#

X = {"x": (FLOAT, [4, 8])}
Y = {"y": (FLOAT, [4, 8])}
BROKEN = {
    "cycle": (
        [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), node("Relu", ["a"], ["y"])],
        X,
        2,
        "import.cycle",
        ["the Add", "the Neg"],
    ),
    "dangling input": (
        [node("Add", ["x", "nowhere"], ["y"])],
        X,
        2,
        "import.dangling-input",
        ["the Add", '"nowhere"'],
    ),
    "dangling output": ([node("Relu", ["x"], ["z"])], X, 2, "import.dangling-output", ['"y"']),
    "duplicate output": (
        [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])],
        X,
        2,
        "import.duplicate-name",
        ['"y"'],
    ),
    "output named like an input": (
        [node("Relu", ["x"], ["x"]), node("Neg", ["x"], ["y"])],
        X,
        2,
        "import.duplicate-name",
        ['"x"'],
    ),
    "mixed dtypes": (
        [node("Add", ["x", "i"], ["y"])],
        {**X, "i": (INT64, [4, 8])},
        2,
        "import.node",
        ["the Add", "tensor(int64)"],
    ),
    "dtype that the operator refuses": (
        [node("Gather", ["x", "x"], ["y"])],
        X,
        2,
        "import.node",
        ["the Gather", "tensor(float)"],
    ),
    "shapes that do not fit": (
        [node("Add", ["x", "z"], ["y"])],
        {**X, "z": (FLOAT, [4, 7])},
        2,
        "import.node",
        ["the Add"],
    ),
    "inner dimensions that differ": (
        [node("MatMul", ["x", "x"], ["y"])],
        X,
        2,
        "import.node",
        ["the MatMul"],
    ),
    "too few inputs": ([node("Add", ["x"], ["y"])], X, 2, "import.node", ["the Add"]),
    "unknown attribute": (
        [node("Relu", ["x"], ["y"], colour=3)],
        X,
        2,
        "import.node",
        ["the Relu", "colour"],
    ),
    "dimensions past int64": (
        [node("Relu", ["x"], ["y"])],
        {"x": (FLOAT, [1 << 40, 1 << 40])},
        2,
        "import.shape",
        ['"x"'],
    ),
    "negative dimension": (
        [node("Relu", ["x"], ["y"])],
        {"x": (FLOAT, [4, -8])},
        2,
        "import.shape",
        ['"x"'],
    ),
    "unbound dimension": (
        [node("Relu", ["x"], ["y"])],
        {"x": (FLOAT, ["rows", 8])},
        2,
        "import.unbound-dimension",
        ["rows", "--dim rows="],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_graph(scratch, case):
    nodes, ins, exit_code, code, words = BROKEN[case]
    refused_model(scratch, onnx_models.make_model(nodes, ins, Y), exit_code, code, *words)


def test_intermediate_shape_past_int64(scratch):
    """Each input is small; what the node would make of them is not."""
    shapes = {"x": (FLOAT, [1 << 32, 1]), "z": (FLOAT, [1, 1 << 32])}
    model = onnx_models.make_model([node("Add", ["x", "z"], ["y"])], shapes, Y)
    refused_model(scratch, model, 2, "import.shape", "the Add")


def test_unknown_operators_are_named_at_once(scratch):
    nodes = [node("Frobnicate", ["x"], [f"a{i}"]) for i in range(3)]
    nodes += [node("Quux", ["a0"], ["b"]), node("Relu", ["b"], ["y"])]
    message = refused_model(
        scratch, onnx_models.make_model(nodes, X, Y), 3, "import.unknown-operator"
    )
    assert "Frobnicate" in message.text and "Quux" in message.text
    assert "3" in message.text, "how often"


@pytest.mark.parametrize("opset", [1, 6, 999])
def test_unknown_opset(scratch, opset):
    model = onnx_models.make_model([node("Relu", ["x"], ["y"])], X, Y, opset=opset)
    refused_model(scratch, model, 3, "import.unknown-opset", str(opset))


@pytest.mark.parametrize("opset", [0, -1])
def test_impossible_opset(scratch, opset):
    model = onnx_models.make_model([node("Relu", ["x"], ["y"])], X, Y, opset=opset)
    refused_model(scratch, model, 2, "import.opset", str(opset))


def test_initializer_of_another_size(scratch):
    model = onnx_models.linear()
    model.graph.initializer[0].dims[0] = 9
    refused_model(scratch, model, 2, "import.tensor-data", '"w"', "256", "288")


def test_initializer_past_int64(scratch):
    model = onnx_models.linear()
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    refused_model(scratch, model, 2, "import.shape", '"w"')


# ===----------------------------------------------------------------------===#
# External data
# ===----------------------------------------------------------------------===#


@pytest.fixture
def external(scratch):
    """external(LOCATION, ...): a model whose weight w of 256 bytes is at that place."""
    (scratch / "model").mkdir()
    (scratch / "secret.bin").write_bytes(bytes(256))

    def make(location, offset=0, length=256):
        model = onnx_models.linear()
        onnx_models.make_external(model, "w", location, offset, length)
        return onnx_models.write(model, scratch / "model" / "m.onnx")

    return make


def test_external_data_is_found(external, scratch):
    (scratch / "model" / "w.bin").write_bytes(bytes(512))
    path = external("w.bin", 256)
    tools.succeeds(tools.partita("compile", path, "--topology", "cpu:2", "-o", scratch / "out"))


def test_external_data_outside(external, scratch):
    refused(external("../secret.bin"), 2, "file.outside", '"w"', "../secret.bin")
    refused(external("sub/../../secret.bin"), 2, "file.outside", '"w"')
    refused(external(str(scratch / "secret.bin")), 2, "file.outside", '"w"', "secret.bin")
    refused(external(""), 2, "file.outside", '"w"')


def test_external_data_by_a_symbolic_link(external, scratch):
    (scratch / "model" / "link.bin").symlink_to(scratch / "secret.bin")
    refused(external("link.bin"), 2, "file.outside", '"w"', "link.bin")
    (scratch / "model" / "folder").symlink_to(scratch)
    refused(external("folder/secret.bin"), 2, "file.outside", '"w"')


def test_external_data_that_is_not_there(external, scratch):
    refused(external("none.bin"), 2, "file.open", '"w"', "none.bin")
    (scratch / "model" / "folder").mkdir()
    refused(external("folder"), 2, "file.not-regular", '"w"')
    os.mkfifo(scratch / "model" / "pipe")
    refused(external("pipe"), 2, "file.not-regular", '"w"')


@pytest.mark.parametrize(
    "offset, length", [(1, 256), (1 << 62, 256), (-1, 256), ("many", 256), (0, 255), (0, 1 << 62)]
)
def test_external_data_past_the_end(external, scratch, offset, length):
    (scratch / "model" / "w.bin").write_bytes(bytes(256))
    refused(external("w.bin", offset, length), 2, "import.external-data", '"w"')


# ===----------------------------------------------------------------------===#
# Places to write
# ===----------------------------------------------------------------------===#


@pytest.fixture
def good(scratch):
    """A good model in a folder of its own."""
    (scratch / "model").mkdir()
    return onnx_models.write(onnx_models.linear(), scratch / "model" / "m.onnx")


def contents(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "place", ["missing/out", "model/m.onnx/out", "model", "/dev/full", "/proc/out"]
)
@pytest.mark.parametrize("command", ["compile", "plan"])
def test_unwritable_output(good, scratch, command, place):
    before = contents(scratch)
    done = tools.partita(command, good, "--topology", "cpu:2", "-o", scratch / place)
    tools.fails(done, 2)
    assert contents(scratch) == before


@pytest.mark.parametrize("command", [["plan"], ["compile", "-o", "OUT"], ["verify"]])
def test_stdout_is_full(good, scratch, command):
    words = [str(scratch / "out") if word == "OUT" else word for word in command]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [tools.PARTITA, words[0], good, "--topology", "cpu:2", *words[1:]],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    message = tools.fails(tools.Done(words, done.returncode, "", done.stderr), 2)
    assert "standard output" in message.text


@pytest.mark.parametrize("command", [["plan"], ["plan", "--format", "json"], ["verify"]])
def test_a_reader_that_goes_away(good, command):
    """Quietly, as other tools end before `head`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [tools.PARTITA, command[0], good, "--topology", "cpu:2", *command[1:]],
            check=False,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def limit_file_size(size: int):
    """For preexec_fn: a disk that is full after so many bytes of a file."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [0, 4096, 100_000, 4_000_000])
def test_disk_is_full_for_an_executable(good, scratch, size):
    before = contents(scratch)
    request = [good, "--topology", "cpu:2", "-o", scratch / "out"]
    done = tools.partita("compile", *request, preexec_fn=limit_file_size(size))
    tools.fails(done, 2)
    assert contents(scratch) == before


def test_disk_is_full_for_a_plan(good, scratch):
    before = contents(scratch)
    request = [good, "--topology", "cpu:2", "-o", scratch / "plan.json"]
    done = tools.partita("plan", *request, preexec_fn=limit_file_size(100))
    tools.fails(done, 2)
    assert contents(scratch) == before


def test_a_failed_compilation_keeps_the_old_executable(good, scratch):
    request = ["--topology", "cpu:2", "-o", scratch / "out"]
    tools.succeeds(tools.partita("compile", good, *request))
    before = contents(scratch)
    bad = onnx_models.make_model([node("Frobnicate", ["x"], ["y"])], X, Y)
    path = onnx_models.write(bad, scratch / "model" / "bad.onnx")
    tools.fails(tools.partita("compile", path, *request), 3)
    tools.fails(tools.partita("compile", good, *request, preexec_fn=limit_file_size(100_000)), 2)
    path.unlink()
    assert contents(scratch) == before
    tools.report(scratch / "out", "--random-inputs", "1")


# ===----------------------------------------------------------------------===#
# Options
# ===----------------------------------------------------------------------===#


@pytest.mark.parametrize(
    "options, exit_code, words",
    [
        (["--topology", "cpu:2", "--mesh", "tp=3"], 1, ["tp=3"]),
        (["--topology", "cpu:2", "--mesh", "tp"], 1, ["tp"]),
        (["--topology", "cpu:0"], 1, ["cpu:0"]),
        (["--topology", "toaster:2"], 3, ["toaster"]),
        (["--topology", "cpu:2", "--dim", "rows"], 1, ["rows"]),
        (["--topology", "cpu:2", "--dim", "rows=0"], 1, ["rows=0"]),
        (["--topology", "cpu:2", "--dim", "rows=3"], 2, ["rows"]),
        (["--topology", "cpu:2", "--mesh", "tp=2", "--pin", "nothing*:m=tp"], 1, ["nothing*"]),
        (["--topology", "cpu:2", "--mesh", "tp=2", "--pin", "*"], 1, ["*"]),
        (["--topology", "cpu:2", "--no-such-option"], 1, ["no-such-option"]),
        ([], 1, ["topology"]),
        (["--topology", "cpu:2", "--plan", "/nowhere/plan.json"], 2, ["/nowhere/plan.json"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else str(value),
)
def test_wrong_options(good, options, exit_code, words):
    message = tools.fails(tools.partita("plan", good, *options), exit_code)
    for word in words:
        assert word in message.text, message


def test_contradictory_pins_are_named(good):
    """Those that contradict each other, and not the one that has no part in it."""
    pins = ["input:*:replicated", "product:n=tp", "product:replicated"]
    options = [word for pin in pins for word in ("--pin", pin)]
    done = tools.partita("plan", good, "--topology", "cpu:2", "--mesh", "tp=2", *options)
    message = tools.fails(done, 4)
    assert message.code == "plan.pins-conflict"
    assert all(pin in message.text for pin in pins[1:])
    assert "input" not in message.text


def test_no_such_model(scratch):
    for path in (scratch / "none.onnx", scratch):
        message = tools.fails(tools.partita("plan", path, "--topology", "cpu:2"), 2)
        assert str(path) in message.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mesh": 3}', "\xff\xfe", '{"version": 1e999}'])
def test_wrong_plan_file(good, scratch, text):
    plan = scratch / "plan.json"
    plan.write_bytes(text.encode("latin-1"))
    message = tools.fails(tools.partita("plan", good, "--topology", "cpu:2", "--plan", plan), 2)
    assert "plan.json" in message.text
    tools.fails(tools.partita("inspect", plan), 2)


def test_plan_of_another_model(good, zoo_model, scratch):
    plan = scratch / "plan.json"
    tools.succeeds(tools.partita("plan", good, "--topology", "cpu:2", "-o", plan))
    done = tools.partita("plan", zoo_model("mlp").path, "--topology", "cpu:2", "--plan", plan)
    assert tools.fails(done, 2).code == "plan.other-model"


def test_missing_reference_names_the_repair(good, scratch):
    request = ["verify", good, "--topology", "cpu:1", "--reference", "onnxruntime"]
    done = tools.partita(*request, environment={"PARTITA_PYTHON": "/nowhere/python"})
    assert "/nowhere/python -m pip install" in tools.fails(done, 3).hint
    # A Python that knows nothing of this package, or of any other.
    bare = scratch / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    done = tools.partita(*request, environment={"PARTITA_PYTHON": str(bare)})
    assert "pip install" in tools.fails(done, 3).hint


def test_weights_absent(scratch):
    """Planning and compiling go well; only running needs what is not there."""
    model = onnx_models.linear()
    onnx_models.make_external(model, "w", "m.onnx.data", 0, 256)
    model.metadata_props.add(key="partita.weights", value="absent")
    path = onnx_models.write(model, scratch / "m.onnx")
    request = [path, "--topology", "cpu:2"]
    tools.succeeds(tools.partita("plan", *request))
    tools.succeeds(tools.partita("compile", *request, "-o", scratch / "out"))
    tools.succeeds(tools.partita("inspect", scratch / "out"))
    message = tools.fails(tools.start(scratch / "out", "--random-inputs", "1"), 2)
    assert message.code == "weights.absent"
    tools.fails(tools.partita("verify", *request), 2)
