# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a compiled program refuses, and how it ends when one of its ranks fails."""

import os
import resource
import shutil
import signal
import subprocess
import time

import numpy
import pytest
from helpers import onnx_models, tools

RANKS = 2


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with bert-like m.onnx, w.bin (its weights), and the executable out."""
    tools.require_compiler()
    folder = tmp_path_factory.mktemp("built")
    model = onnx_models.linear()
    data = model.graph.initializer[0].raw_data
    (folder / "w.bin").write_bytes(data)
    onnx_models.make_external(model, "w", "w.bin", 0, len(data))
    path = onnx_models.write(model, folder / "m.onnx")
    request = ["--topology", f"cpu:{RANKS}", "--mesh", f"tp={RANKS}"]
    tools.succeeds(
        tools.partita("compile", path, *request, "--pin", "*:k=tp", "-o", folder / "out")
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(built, scratch):
    """run(*OPTIONS): starts the executable; outputs would go to scratch/outputs."""

    def start(*options, **settings):
        return tools.start(built / "out", *options, "--output-dir", scratch / "outputs", **settings)

    return start


@pytest.fixture
def x(scratch):
    """x(ARRAY or BYTES): --input for x from a file with that content."""

    def save(content) -> list[str]:
        path = scratch / "x.npy"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            numpy.save(path, content, allow_pickle=True)
        return ["--input", f"x={path}"]

    return save


GOOD = numpy.ones((4, 8), numpy.float32)


def assert_nothing_written(scratch) -> None:
    outputs = scratch / "outputs"
    assert not outputs.exists() or not os.listdir(outputs)


def test_good_input_runs(run, x, scratch):
    tools.succeeds(run(*x(GOOD)))
    weights = numpy.arange(64, dtype=numpy.float32).reshape(8, 8)
    numpy.testing.assert_allclose(numpy.load(scratch / "outputs" / "y.npy"), GOOD @ weights)


@pytest.mark.parametrize(
    "content, words",
    [
        (GOOD.astype(numpy.float64), ["f64", "f32"]),
        (GOOD.astype(numpy.int64), ["i64", "f32"]),
        (GOOD[:3], ["[3,8]", "[4,8]"]),
        (GOOD.reshape(32), ["[32]", "[4,8]"]),
        (GOOD.reshape(4, 8, 1), ["[4,8,1]"]),
    ],
    ids=str,
)
def test_input_of_another_type(run, x, scratch, content, words):
    message = tools.fails(run(*x(content)), 2)
    for word in ["x", *words]:
        assert word in message.text
    assert_nothing_written(scratch)


def test_input_names(run, x, scratch):
    given = x(GOOD)
    cases = [
        ([], ["x"], 2),
        ([*given, "--input", given[1].replace("x=", "z=", 1)], ["z"], 2),
        ([*given, *given], ["x", "twice"], 2),
        (["--input", "x"], ["x"], 1),
        (["--input", "x="], ["x="], 1),
        (["--input", f"x={scratch}/none.npy"], ["none.npy"], 2),
        (["--input", f"x={scratch}"], [str(scratch)], 2),
    ]
    for options, words, code in cases:
        message = tools.fails(run(*options), code)
        for word in words:
            assert word in message.text
        assert_nothing_written(scratch)


def hostile_files() -> dict[str, bytes]:
    """.npy files that are none, or want more than they have."""
    import io

    file = io.BytesIO()
    numpy.save(file, GOOD)
    whole = file.getvalue()
    pickled = io.BytesIO()
    numpy.save(pickled, numpy.array([{"a": 1}], dtype=object), allow_pickle=True)
    fields = io.BytesIO()
    numpy.save(fields, numpy.zeros(2, [("a", "f4"), ("b", "i8")]))
    return {
        "empty": b"",
        "text": b"no array at all",
        "truncated data": whole[:-3],
        "truncated header": whole[:20],
        "pickled objects": pickled.getvalue(),
        "fields": fields.getvalue(),
        "huge": whole.replace(b"(4, 8), ", b"(4, 99999999999999999), "),
        "negative": whole.replace(b"(4, 8), ", b"(-4, -8),"),
        "code": whole.replace(b"(4, 8), ", b"exit(1),"),
        "big endian": whole.replace(b"<f4", b">f4"),
        "version 9": whole[:6] + b"\x09" + whole[7:],
    }


@pytest.mark.parametrize("case", hostile_files())
def test_hostile_npy(run, x, scratch, case):
    message = tools.fails(run(*x(hostile_files()[case])), 2)
    assert "x.npy" in message.text
    assert_nothing_written(scratch)


def test_usage(run, scratch):
    for options in (["--no-such-option"], ["--repeat", "0"], ["--report", "xml"], ["--repeat"]):
        tools.fails(run("--random-inputs", "1", *options), 1)
        assert_nothing_written(scratch)


# ===----------------------------------------------------------------------===#
# Files
# ===----------------------------------------------------------------------===#


def test_unwritable_outputs(built, scratch):
    (scratch / "file").write_text("")
    for place in (scratch / "none" / "outputs", scratch / "file", scratch / "file" / "outputs"):
        done = tools.start(built / "out", "--random-inputs", "1", "--output-dir", place)
        tools.fails(done, 2)
    for place in (scratch / "none" / "t.json", scratch, "/dev/full"):
        done = tools.start(built / "out", "--random-inputs", "1", "--trace", place)
        tools.fails(done, 2)
    assert os.listdir(scratch) == ["file"]


def test_disk_is_full(built, scratch):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    outputs = ["--output-dir", scratch / "outputs"]
    for options in (outputs, ["--trace", scratch / "t.json"]):
        done = tools.start(built / "out", "--random-inputs", "1", *options, preexec_fn=limit)
        tools.fails(done, 2)
        assert_nothing_written(scratch)
        assert not (scratch / "t.json").exists()


def test_stdout_is_full(built):
    with open("/dev/full", "w") as full:
        command = [built / "out", "--random-inputs", "1", "--report", "json"]
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    message = tools.fails(tools.Done([], done.returncode, "", done.stderr), 2)
    assert "standard output" in message.text


def test_weights_that_changed(built, scratch):
    """Weights are checked at load, wherever --weights-dir finds them."""
    data = (built / "w.bin").read_bytes()
    cases = {
        "flipped": data[:100] + b"\x00\x01" + data[102:],
        "short": data[:-1],
        "long": data + b"1",
    }
    options = ["--random-inputs", "1", "--weights-dir", scratch]
    tools.fails(tools.start(built / "out", *options), 2)
    for content in cases.values():
        (scratch / "w.bin").write_bytes(content)
        message = tools.fails(tools.start(built / "out", *options), 2)
        assert "w.bin" in message.text
    (scratch / "w.bin").write_bytes(data)
    tools.succeeds(tools.start(built / "out", *options))


# ===----------------------------------------------------------------------===#
# Ranks that fail
# ===----------------------------------------------------------------------===#


@pytest.mark.parametrize("command", [0, 999])
@pytest.mark.parametrize("rank", range(RANKS))
@pytest.mark.parametrize("kind", ["error", "alloc", "hang"])
def test_a_rank_that_fails_is_named(run, x, scratch, kind, rank, command):
    """Within five seconds, by exit code 6 and one message, and nothing is written."""
    inject = {"PARTITA_INJECT": f"rank={rank},command={command},kind={kind}"}
    before = time.monotonic()
    done = run(*x(GOOD), "--timeout", "1", environment=inject, timeout=30)
    seconds = time.monotonic() - before
    message = tools.fails(done, 6)
    assert f"rank {rank}" in message.text
    assert seconds < 5
    assert_nothing_written(scratch)
