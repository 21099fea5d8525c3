# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random models on random meshes under random strategies, against two oracles.

python3 -m partita.randomtest [--seed N] [--count N] [--jobs N] [--keep DIR]
    [--family NAME ...] [--partita PATH]

Case i has seed N + i: a model that is valid by construction, a mesh of up to six
ranks and a random legal strategy for each operation. It is compiled and run, and
compared with the interpreter and with ONNX Runtime. A failing case is made
smaller and kept in DIR as NAME.onnx with its inputs, and the command that shows
it is printed.

The last line is "N passed, N failed, N unsupported". Exit codes: 0 none failed,
1 usage, 3 no compiler, 5 some did.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import shlex
import sys
from pathlib import Path

from ..compiler import find_partita
from ..errors import MISMATCH, USAGE, run_command
from .execute import Verdict, judge
from .families import FAMILIES
from .generate import generate
from .minimise import minimise, save, whole


def run_case(partita: str, seed: int, families, keep: Path | None) -> tuple[int, Verdict, str]:
    """The case's seed, its verdict and the command that shows a failure."""
    case = generate(seed, families)
    trial = whole(case)
    verdict = judge(partita, trial)
    if not verdict.failed or keep is None:
        return seed, verdict, ""
    small = minimise(case, lambda trial: judge(partita, trial).kind == verdict.kind)
    return seed, judge(partita, small), shlex.join(map(str, save(small, keep, f"seed{seed}")))


def run(options: argparse.Namespace, counts: dict[str, int]) -> None:
    """Runs all cases; adds to `counts`."""
    partita = find_partita(options.partita)
    print(f"seeds {options.seed} to {options.seed + options.count - 1}", flush=True)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        futures = [
            pool.submit(run_case, partita, seed, options.family, options.keep)
            for seed in range(options.seed, options.seed + options.count)
        ]
        try:
            for future in concurrent.futures.as_completed(futures):
                seed, verdict, command = future.result()
                counts["failed" if verdict.failed else verdict.kind] += 1
                if verdict.kind != "passed":
                    print(f"seed {seed}: {verdict.kind}\n  {verdict.text}", flush=True)
                if command:
                    print(f"  {command}", flush=True)
        finally:  # an interrupted run says what it has seen
            pool.shutdown(cancel_futures=True)
            print(", ".join(f"{count} {kind}" for kind, count in counts.items()), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="partita.randomtest")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first case")
    parser.add_argument("--count", type=int, default=100, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where failing cases go")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--partita", default="", metavar="PATH", help="the compiler")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else 0
    counts = {"passed": 0, "failed": 0, "unsupported": 0}
    code = run_command("partita.randomtest", lambda: run(options, counts))
    return MISMATCH if not code and counts["failed"] else code


if __name__ == "__main__":
    sys.exit(main())
