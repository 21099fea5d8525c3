# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory: what is promised is what is allocated, and what is dead is never read."""

import os

import numpy
import pytest
from helpers import models, onnx_models, tools
from partita import arrays, metadata
from partita.zoo import shipped

MIB = 1 << 20
#: What a rank may use beside what was promised: its thread, tables, messages.
SLACK = 4 * MIB
#: What the process itself uses: inputs, outputs, the program, libraries.
CASES = [
    ("mlp", 2, ["--mesh", "tp=2"]),
    ("bert", 1, []),
    ("bert", 4, ["--mesh", "dp=2,tp=2"]),
    ("gpt2", 3, ["--mesh", "tp=3"]),
    ("gpt2", 4, ["--mesh", "tp=4", "--random-plan", "31"]),
    ("llama", 2, ["--mesh", "tp=2"]),
    ("llama", 4, ["--mesh", "dp=2,tp=2", "--random-plan", "32"]),
    ("minilm", 2, ["--mesh", "tp=2"]),
    ("minilm", 2, ["--mesh", "dp=2"]),
]


@pytest.mark.skipif(tools.SANITIZED, reason="sanitizers count allocations themselves")
@pytest.mark.parametrize("name, ranks, options", CASES, ids=lambda value: str(value))
def test_allocations_are_as_promised(zoo_model, scratch, name, ranks, options):
    """An allocator that counts sees no more than the promise and 4 MiB a rank.

    Inputs and outputs of the whole process are in that, so the promise is tight.
    """
    model = zoo_model(name)
    executable = model.compile(scratch, ranks, *options)
    report = model.check(executable, environment={"PARTITA_COUNT_ALLOCATIONS": "1"})
    assert report["peak_bytes"] == report["promised_peak_bytes"]
    promised, counted = sum(report["peak_bytes"]), report["counted_peak_bytes"]
    assert promised <= counted, "the counter sees at least what the ranks report"
    assert counted <= promised + ranks * SLACK, (counted - promised) / MIB


@pytest.mark.parametrize("name, ranks, options", CASES, ids=lambda value: str(value))
def test_dead_memory_is_never_read(zoo_model, scratch, name, ranks, options):
    """Filling what is dead with NaN changes no bit of the outputs."""
    model = zoo_model(name)
    executable = model.compile(scratch, ranks, *options)
    outputs = []
    for flags in ([], ["--check-arena"]):
        # Twice: the second step finds what the first one left.
        model.check(executable, *flags, "--repeat", "2")
        outputs.append(arrays.load_all(str(scratch / "outputs"), model.expected))
    for tensor in model.expected:
        assert outputs[0][tensor].tobytes() == outputs[1][tensor].tobytes(), tensor


@pytest.mark.parametrize("ranks", [1, 2])
def test_long_attention_keeps_no_scores(compiler, scratch, ranks):
    """At sequence 8192 the scores alone would be heads x 8192² floats."""
    heads, sequence, width = 2, 8192, 16
    path = onnx_models.write(onnx_models.attention(heads, sequence, width), scratch / "long.onnx")
    request = ["--topology", f"cpu:{ranks}", "-o", scratch / "long"]
    tools.succeeds(tools.partita("compile", path, *request))
    generator = numpy.random.default_rng(8192)
    feed = {
        name: generator.standard_normal((1, heads, sequence, width), dtype=numpy.float32)
        for name in "qkv"
    }
    arrays.save_all(str(scratch / "in"), feed)
    given = [word for n in "qkv" for word in ("--input", f"{n}={scratch / 'in' / n}.npy")]
    environment = {} if tools.SANITIZED else {"PARTITA_COUNT_ALLOCATIONS": "1"}
    report = tools.report(
        scratch / "long", *given, "--output-dir", scratch / "out", environment=environment
    )
    scores = heads * sequence * sequence * 4
    assert sum(report["peak_bytes"]) < scores / 4
    assert report.get("counted_peak_bytes", 0) < scores / 4
    got = numpy.load(scratch / "out" / "y.npy")
    rows = numpy.arange(0, sequence, 512)
    products = feed["q"][:, :, rows] @ feed["k"].swapaxes(2, 3) * width**-0.5
    weights = numpy.exp(products - products.max(-1, keepdims=True))
    expected = weights @ feed["v"] / weights.sum(-1, keepdims=True)
    models.assert_close(got[:, :, rows], expected, "attention")


def test_weights_stay_on_disk(compiler, scratch):
    """A model with 27 GB of weights in a sparse file compiles in less than 1 GB."""
    model, _ = shipped.load("llama", "7b")
    metadata.set_property(model, metadata.DIMS, "batch=1,sequence=128")
    path = onnx_models.write_zeros(model, scratch / "large.onnx")
    data = os.stat(f"{path}.data")
    assert data.st_size > 26e9 and data.st_blocks < 1000
    request = ["--topology", "cpu:2", "--mesh", "tp=2", "-o", str(scratch / "large")]
    command = [str(tools.PARTITA), "compile", str(path), *request]
    child = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert usage.ru_maxrss < 1_000_000, f"{usage.ru_maxrss} KiB"  # KiB
