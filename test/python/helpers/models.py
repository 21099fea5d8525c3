# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The zoo's models with inputs and ONNX Runtime's answers, each made once."""

from __future__ import annotations

import pathlib

import numpy
import onnx
import onnxruntime
from partita import arrays, inputs
from partita.zoo import __main__ as zoo

from .tools import partita, start, succeeds

#: Seed of the inputs that every comparison uses.
INPUT_SEED = 3
#: What passes, in standard deviations of the expected output.
TOLERANCE = 1e-4

#: How each number of ranks may be split; "auto" leaves the choice to the planner.
MESHES = {
    1: ["auto"],
    2: ["dp=2", "tp=2", "auto"],
    3: ["dp=3", "tp=3", "auto"],
    4: ["dp=4", "tp=4", "dp=2,tp=2", "auto"],
}
LAYOUTS = [(ranks, mesh) for ranks, meshes in MESHES.items() for mesh in meshes]
#: New ones go last: seeds of random plans count from here.
ALL = "mlp minilm bert gpt2 llama t5 vit resnet convnext unet whisper mixtral deberta".split()


class Model:
    """One model: its file, inputs as files, and the outputs that are right."""

    def __init__(self, name: str, folder: pathlib.Path):
        self.name = name
        self.path = folder / f"{name}.onnx"
        self.feed_folder = folder / f"{name}.inputs"
        assert zoo.main(["export", name, "-o", str(self.path)]) == 0
        proto = onnx.load(str(self.path), load_external_data=False)
        self.feed = inputs.random_inputs(proto, INPUT_SEED, [])
        arrays.save_all(str(self.feed_folder), self.feed)
        self.expected = run_onnxruntime(self.path, self.feed)

    def input_options(self) -> list[str]:
        """--input NAME=FILE for each input."""
        files = arrays.file_names(self.feed)
        return [
            word
            for name, file in files.items()
            for word in ("--input", f"{name}={self.feed_folder / file}")
        ]

    def compile(self, folder: pathlib.Path, ranks: int, *options) -> pathlib.Path:
        """An executable of its own for these options."""
        out = folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        succeeds(partita("compile", self.path, "--topology", f"cpu:{ranks}", *options, "-o", out))
        return out

    def check(self, executable: pathlib.Path, *options, **settings) -> dict:
        """Runs an executable and compares all outputs; returns its report."""
        folder = executable.parent / "outputs"
        done = succeeds(
            start(
                executable,
                *self.input_options(),
                *("--output-dir", folder, "--report", "json"),
                *options,
                **settings,
            )
        )
        got = arrays.load_all(str(folder), self.expected)
        for name, expected in self.expected.items():
            assert_close(got[name], expected, f"{self.name}, output {name}")
        return done.json()


def run_onnxruntime(path: pathlib.Path, feed: dict) -> dict[str, numpy.ndarray]:
    """All outputs of a model by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed)))


def assert_close(got: numpy.ndarray, expected: numpy.ndarray, what: str) -> None:
    """Fails where an element is off by more than TOLERANCE deviations."""
    assert got.dtype == expected.dtype and got.shape == expected.shape, what
    # A NaN is no number below the limit.
    off = numpy.abs(got.astype(numpy.float64) - expected).max() / expected.std(dtype=numpy.float64)
    assert off <= TOLERANCE, f"{what} is off by {off:.3g} deviations"


def mesh_options(mesh: str) -> list[str]:
    """--mesh for an entry of MESHES."""
    return [] if mesh == "auto" else ["--mesh", mesh]
