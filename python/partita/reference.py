# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a model with ONNX Runtime: the oracle that shares no code with Partita.

python3 -m partita.reference MODEL.onnx --inputs DIR --outputs DIR
    [--dim NAME=SIZE ...] [--threads N] [--cpus LIST]
    [--repeat N | --on-request]

Reads DIR/INPUT.npy for every input and writes DIR/OUTPUT.npy for every output.
Symbolic dimensions take their sizes from the inputs, and ONNX Runtime is told
them before it optimises; --dim only checks that the inputs have these sizes.

For benchmarks, --repeat runs that many times after one run to warm up and
prints {"step_seconds": median, "all_seconds": [...]}. --on-request prints
"ready", then runs for each line on stdin, once or as often as it says, and
prints the seconds that a run took: a caller can interleave these runs with its own. Outputs are the first run's.

Exit codes: 0 ok, 1 usage, 2 the model or an input is invalid, 3 ONNX Runtime is
missing or does not know an operator.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time

from . import metadata
from .errors import INVALID_INPUT, UNSUPPORTED, USAGE, UserError, missing_package, run_command


def check_inputs(model, values: dict, overrides: list[str]) -> dict[str, int]:
    """Compares numpy arrays with the graph's inputs; returns the symbols' sizes.

    UserError names the input whose type, rank or size is wrong, or the two
    inputs that disagree on a symbol.
    """
    sizes = metadata.parse_dims(overrides)
    bound_by = {name: "--dim" for name in sizes}
    for entry in metadata.graph_inputs(model):
        value, wanted = values[entry.name], metadata.numpy_type(entry)
        where = f"input '{entry.name}'"
        if value.dtype != wanted:
            raise UserError(f"{where} holds {value.dtype}, and the model takes {wanted}")
        if value.ndim != len(entry.dims):
            raise UserError(
                f"{where} has shape {list(value.shape)}, and the model takes"
                f" {len(entry.dims)} dimensions"
            )
        for axis, (size, dim) in enumerate(zip(value.shape, entry.dims)):
            if isinstance(dim, str):
                expected = sizes.setdefault(dim, size)
                origin = f"{dim}={expected} by {bound_by.setdefault(dim, where)}"
            else:
                expected, origin = (size if dim is None else dim), f"{dim} by the model"
            if size != expected:
                raise UserError(f"dimension {axis} of {where} is {size}, and is {origin}")
    return sizes


def make_session(path: str, sizes: dict[str, int], threads: int, cpus: list[int]):
    """An onnxruntime.InferenceSession with static shapes on that many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    if cpus:
        # The calling thread works too; ONNX Runtime counts processors from 1.
        os.sched_setaffinity(0, {cpus[0]})
        if threads > 1:
            others = ";".join(str(cpu + 1) for cpu in cpus[1:threads])
            options.add_session_config_entry("session.intra_op_thread_affinities", others)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """All exceptions of ONNX Runtime, which have no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return tuple(kind for kind in kinds if issubclass(kind, Exception))


def _as_user_error(error: Exception) -> UserError:
    """An operator that ONNX Runtime lacks has no exception of its own either."""
    lacking = ("NOT_IMPLEMENTED", "No Op registered", "is not a registered function/op")
    unsupported = any(text in str(error) for text in lacking)
    return UserError(f"ONNX Runtime: {error}", code=UNSUPPORTED if unsupported else INVALID_INPUT)


def run(options: argparse.Namespace) -> None:
    """Everything that the command does, with its checked options."""
    for package in ("numpy", "onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise missing_package(package, "the reference", package)
    from . import arrays

    model = metadata.load_model(options.model)
    if metadata.properties(model).get(metadata.WEIGHTS) == metadata.WEIGHTS_ABSENT:
        raise UserError(
            f"{options.model} was exported without weights", hint="export it without --no-weights"
        )
    values = arrays.load_all(options.inputs, (e.name for e in metadata.graph_inputs(model)))
    sizes = check_inputs(model, values, options.dim)
    del model
    try:
        session = make_session(options.model, sizes, options.threads, options.cpus)
        names = [output.name for output in session.get_outputs()]
        outputs = session.run(names, values)
        arrays.save_all(options.outputs, dict(zip(names, outputs)))
        _measure(lambda: session.run(names, values), options)
    except _onnxruntime_errors() as error:
        raise _as_user_error(error) from None


def _measure(step, options: argparse.Namespace) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    if options.repeat:
        times = [seconds() for _ in range(options.repeat)]
        print(json.dumps({"step_seconds": statistics.median(times), "all_seconds": times}))
    elif options.on_request:
        print("ready", flush=True)
        for line in sys.stdin:
            count = int(line) if line.strip().isdigit() else 1
            print(f"{sum(seconds() for _ in range(count)) / count:.9f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partita.reference", description="run a model with ONNX Runtime"
    )
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--inputs", required=True, metavar="DIR")
    parser.add_argument("--outputs", required=True, metavar="DIR")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--cpus",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[],
        metavar="LIST",
        help="a processor a thread, as in 0,1: pins them",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--repeat", type=int, default=0, metavar="N", help="time N runs")
    mode.add_argument("--on-request", action="store_true", help="time a run a line on stdin")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
        if options.threads < 1 or options.repeat < 0:
            parser.error("--threads and --repeat take positive numbers")
        if options.cpus and len(options.cpus) != options.threads:
            parser.error("--cpus takes as many processors as there are threads")
    except SystemExit as stop:
        return USAGE if stop.code else 0
    return run_command("partita.reference", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
