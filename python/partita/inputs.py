# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random inputs that are valid for a model, as .npy files.

python3 -m partita.inputs MODEL.onnx [--seed N] [--dim NAME=SIZE ...] -o DIR

Floats are standard normal. Integers come from the model's partita.input_ranges
where it has one for them, and from 0:2 otherwise. A mask is a row of ones, and
every second row ends in some zeros. Values depend on the seed and on the
input's name, not on the other inputs.
"""

from __future__ import annotations

import argparse
import sys
import zlib

from . import metadata
from .errors import USAGE, missing_package, run_command


def random_inputs(model, seed: int, overrides: list[str]) -> dict:
    """numpy arrays by input name for an onnx.ModelProto; --dim items override."""
    import numpy

    sizes = metadata.bindings(model, overrides)
    ranges = metadata.parse_ranges(metadata.properties(model).get(metadata.INPUT_RANGES, ""))
    arrays = {}
    for entry in metadata.graph_inputs(model):
        generator = numpy.random.default_rng([seed, zlib.crc32(entry.name.encode())])
        arrays[entry.name] = _draw(
            entry, entry.shape(sizes), ranges.get(entry.name, metadata.DEFAULT_RANGE), generator
        )
    return arrays


def _draw(entry: metadata.Input, shape: tuple[int, ...], values: metadata.Range, generator):
    import numpy

    dtype = metadata.numpy_type(entry)
    if values == metadata.MASK:
        return _draw_mask(shape, generator).astype(dtype)
    if numpy.issubdtype(dtype, numpy.floating):
        return generator.standard_normal(shape).astype(dtype)
    return generator.integers(*values, size=shape).astype(dtype)


def _draw_mask(shape: tuple[int, ...], generator):
    """Rows along the last dimension; odd rows end in at least one zero."""
    import numpy

    mask = numpy.ones(shape, numpy.int64)
    length = shape[-1] if shape else 1
    rows = mask.reshape(-1, length)
    if length > 1:
        for row in rows[1::2]:
            row[generator.integers(1, length) :] = 0
    return mask


def _run(options: argparse.Namespace) -> None:
    try:
        from . import arrays
    except ImportError:
        raise missing_package("numpy", "making inputs", "numpy") from None
    model = metadata.load_model(options.model)
    arrays.save_all(options.output, random_inputs(model, options.seed, options.dim))


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="partita.inputs", description="random, valid inputs")
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("-o", dest="output", required=True, metavar="DIR")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else 0
    return run_command("partita.inputs", lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
