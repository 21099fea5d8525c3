# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs specialised models, each in a process of its own.

`partita batch` is started once a worker and forks for each command: a crash or
an endless loop is the failure of one case, and starting the compiler is not
paid for each of two thousand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import zlib
from dataclasses import dataclass, field

import numpy
import onnx

from .. import arrays
from ..errors import UNSUPPORTED, UserError
from .cases import stored

INTERPRETED, RAISED, COMPILED = MODES = ("interp", "raised", "compiled")

_ERROR = re.compile(
    r"^error\[(?P<code>[^\]]*)\]: (?P<text>.*?)(?=^  hint: |\Z)", re.MULTILINE | re.DOTALL
)


@dataclass
class Outcome:
    """How one run ended: passed, failed or unsupported, why, and what ran."""

    status: str
    reason: str = ""
    outputs: list[numpy.ndarray] = field(default_factory=list)
    operations: dict[str, str] = field(default_factory=dict)


class Worker:
    """Runs one model after the other; to be closed."""

    def __init__(self, partita: str, mode: str, ranks: int, time_limit: int):
        self.mode, self.ranks, self.time_limit = mode, ranks, time_limit
        self.folder = tempfile.mkdtemp(prefix="partita-conformance-")
        try:
            self.batch = subprocess.Popen(
                [partita, "batch", "--time-limit", str(time_limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise UserError(f"{partita} cannot be started: {error.strerror}") from None

    def close(self) -> None:
        """Ends the process and removes its files."""
        self.batch.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name: str, model: onnx.ModelProto, values: dict[str, numpy.ndarray]) -> Outcome:
        """Runs a model on the values of those inputs that it has."""
        folder = os.path.join(self.folder, "case")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        path = os.path.join(folder, "model.onnx")
        onnx.save(model, path)
        inputs = []
        for i, port in enumerate(model.graph.input):
            if port.name not in values:
                continue
            value, file = values[port.name], os.path.join(folder, f"input_{i}.npy")
            arrays.save(file, stored(value))
            inputs += ["--input", f"{port.name}={file}"]
        outputs = os.path.join(folder, "outputs")
        if self.mode == COMPILED:
            return self._compiled(name, path, inputs, outputs)
        command = ["interpret", path, *inputs, "--output-dir", outputs, "--format", "json"]
        return _outcome(*self._partita(command + ["--raised"] * (self.mode == RAISED)))

    def _compiled(self, name: str, path: str, inputs: list[str], outputs: str) -> Outcome:
        """With one strategy of those that split, chosen by the case's name."""
        executable = os.path.join(os.path.dirname(path), "executable")
        machine = ["--topology", f"cpu:{self.ranks}", "--mesh", f"r={self.ranks}"]
        plan = ["--split-plan", str(zlib.crc32(name.encode()))] if self.ranks > 1 else []
        code, out, err = self._partita(["compile", path, *machine, *plan, "-o", executable])
        if code != 0:
            return _outcome(code, out, err)
        command = [executable, *inputs, "--output-dir", outputs, "--report", "json"]
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=self.time_limit,
            )
        except subprocess.TimeoutExpired:
            return _outcome(128 + signal.SIGALRM, "", "")
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return _outcome(code, done.stdout, done.stderr)

    def _partita(self, words: list[str]) -> tuple[int, str, str]:
        self.batch.stdin.write(json.dumps(words) + "\n")
        self.batch.stdin.flush()
        line = self.batch.stdout.readline()
        if not line:
            raise UserError(f"partita batch ended with {self.batch.wait()}")
        answer = json.loads(line)
        return answer["code"], answer["out"], answer["err"]


def _outcome(code: int, out: str, err: str) -> Outcome:
    """From an exit code and what was printed."""
    if code == 0:
        report = json.loads(out)
        files = [output["file"] for output in report["outputs"]]
        return Outcome("passed", "", [arrays.load(f) for f in files], report.get("operations", {}))
    if code == 128 + signal.SIGALRM:
        return Outcome("failed", "takes too long")
    if code >= 128:
        return Outcome("failed", f"crashed: signal {code - 128} {err[-200:]}".strip())
    return Outcome("unsupported" if code == UNSUPPORTED else "failed", _reason(err))


def _reason(err: str) -> str:
    """The message, with its code and without the place, which is a file of ours."""
    found = _ERROR.search(err)
    if not found:
        return err.strip()[-400:] or "ended without a message"
    text = " ".join(found["text"].split())
    # A list of operators has no use for its heading.
    text = re.sub(r"^\S*model\.onnx: (uses operators that are not supported: )?", "", text)
    text = re.sub(r" x\d+, first at node \"[^\"]*\"", "", text)
    return f"{found['code']}: {text}"
