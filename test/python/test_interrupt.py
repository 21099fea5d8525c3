# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ctrl-C leaves nothing behind."""

import os
import signal
import subprocess
import time

import pytest
from helpers import onnx_models, tools


@pytest.fixture
def model(compiler, scratch):
    """A model whose compilation takes a while: many layers."""
    proto, _ = onnx_models.relayered("bert", "tiny", 24)
    return onnx_models.write_zeros(proto, scratch / "m.onnx")


def entries(folder) -> set[str]:
    return set(os.listdir(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["compile", "verify"])
def test_interrupted(model, scratch, command, number):
    """Whenever the signal comes: it is sent as soon as something temporary is there."""
    folder = scratch / "t"
    folder.mkdir()
    words = [tools.PARTITA, command, model, "--topology", "cpu:2"]
    words += ["-o", folder / "out"] if command == "compile" else []
    process = subprocess.Popen(
        [str(word) for word in words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    deadline = time.monotonic() + 60
    while not entries(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    assert process.wait(30) == -number
    assert entries(folder) == set()
