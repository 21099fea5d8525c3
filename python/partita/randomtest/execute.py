# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a case through Partita and through both oracles, and judges it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy
from onnx import ModelProto

#: As a share of the reference's standard deviation (or size, if that is less).
TOLERANCE = 1e-4
LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """`kind` is "passed", "unsupported", or what is wrong; `text` says more."""

    kind: str
    text: str = ""

    @property
    def failed(self) -> bool:
        return self.kind not in ("passed", "unsupported")


@dataclass(frozen=True)
class Trial:
    """A model with its inputs, and how it is split."""

    model: ModelProto
    arrays: dict[str, numpy.ndarray]
    ranks: int
    mesh: str
    plan_seed: int

    def options(self) -> list[str]:
        """The options of `partita` that name the plan."""
        options = ["--topology", f"cpu:{self.ranks}", "--random-plan", str(self.plan_seed)]
        return options + (["--mesh", self.mesh] if self.mesh else [])


def reference(trial: Trial) -> list[numpy.ndarray]:
    """ONNX Runtime's outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Whatever it optimises is not what the model says.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        trial.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, trial.arrays)


def difference(got: numpy.ndarray, expected: numpy.ndarray) -> float:
    """The largest difference as a share of the expected spread; infinite if in kind."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    if not numpy.issubdtype(expected.dtype, numpy.floating):
        return 0.0 if numpy.array_equal(got, expected) else float("inf")
    if not numpy.array_equal(numpy.isnan(got), numpy.isnan(expected)):
        return float("inf")
    got, expected = (numpy.nan_to_num(x.astype(numpy.float64)) for x in (got, expected))
    spread = max(expected.std(), numpy.abs(expected).max() * 0.1, 1e-3)
    return float(numpy.abs(got - expected).max() / spread)


def _run(command: list) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
        check=False,
    )


def _refusal(what: str, done: subprocess.CompletedProcess) -> Verdict:
    text = done.stderr.strip()[-2000:]
    if done.returncode == 3:
        return Verdict("unsupported", text)
    code = re.search(r"error\[([\w.-]+)\]", text)
    kind = code[1] if code else f"exit code {done.returncode}"
    return Verdict(f"{what}: {kind}", text)


def judge(partita: str, trial: Trial) -> Verdict:
    """Compiles and runs the trial, and compares with both oracles."""
    with tempfile.TemporaryDirectory(prefix="partita-random-") as name:
        folder = Path(name)
        try:
            return _judge(partita, trial, folder)
        except subprocess.TimeoutExpired as late:
            return Verdict("timeout", f"{late.cmd[0]} took over {LIMIT_SECONDS} s")


def _judge(partita: str, trial: Trial, folder: Path) -> Verdict:
    path = folder / "m.onnx"
    path.write_bytes(trial.model.SerializeToString())
    given = []
    for name, array in trial.arrays.items():
        numpy.save(folder / f"{name}.npy", array)
        given += ["--input", f"{name}={folder / name}.npy"]
    # Against the interpreter, with dead memory poisoned.
    done = _run([partita, "verify", path, *trial.options(), *given, "--check-arena"])
    if done.returncode:
        return _refusal("verify", done)
    # Against ONNX Runtime.
    done = _run([partita, "compile", path, *trial.options(), "-o", folder / "out"])
    if done.returncode:
        return _refusal("compile", done)
    done = _run([folder / "out", *given, "--output-dir", folder / "outputs"])
    if done.returncode:
        return _refusal("run", done)
    try:
        answers = reference(trial)
    except Exception as error:  # Its classes have no base of their own.
        return Verdict("reference", f"ONNX Runtime cannot run the model: {error}")
    worst = []
    for value, expected in zip(trial.model.graph.output, answers):
        share = difference(numpy.load(folder / "outputs" / f"{value.name}.npy"), expected)
        if not share <= TOLERANCE:
            worst.append(f"{value.name} differs from ONNX Runtime's by {share:.3g}")
    return Verdict("mismatch", "; ".join(worst)) if worst else Verdict("passed")
