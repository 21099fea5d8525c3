# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs ONNX's test cases.

python3 -m partita.conformance DIR [--generate] [--mode interp|raised|compiled]
    [--ranks N] [--only TEXT] [--json F] [--jobs J] [--time-limit S]

DIR holds cases in the layout of ONNX's backend tests, at any depth. Modes: the
program as imported, in the interpreter; after composites were raised; compiled
for N ranks, with every operation split that can be. Inputs on which shapes
depend are made constants; the JSON file says which ("fixed").

Exit codes: 0 nothing failed, 1 usage, 2 no cases, 3 a missing package,
5 a case failed.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import queue
import sys

from ..compiler import find_partita
from ..errors import INVALID_INPUT, MISMATCH, USAGE, UserError, missing_package, run_command
from ..files import written_whole


def run_case(case, worker) -> dict:
    """One line of the report: status, reason, fixed inputs, the model's operators,
    and the operations that ran (interpreted) with the rule of an example."""
    from .cases import Unsupported, values
    from .containers import opened

    line = {"status": "failed", "reason": "", "fixed": [], "operators": [], "operations": {}}
    try:
        model, sets = case.load(), case.data_sets()
        used = {(node.domain or "ai.onnx", node.op_type) for node in model.graph.node}
        line["operators"] = [f"{domain}::{name}" for domain, name in sorted(used)]
        for folder in sets:
            given = values(folder, "input", model.graph.input)
            expected = values(folder, "output", model.graph.output)
            line |= _run_data_set(case, worker, *opened(model, given, expected))
            if line["status"] != "passed":
                break
    except Unsupported as reason:
        line |= {"status": "unsupported", "reason": str(reason)}
    except Exception as error:  # A case that cannot be read must not end the run.
        line |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return line


def _run_data_set(case, worker, model, values, expected) -> dict:
    from .judge import difference
    from .specialise import DEPENDS_ON_INPUT, attempts, specialised

    first = None
    for fixed in attempts(values):
        outcome = worker.run(case.name, specialised(model, values, fixed), values)
        first = first or outcome
        if outcome.status != "unsupported" or not DEPENDS_ON_INPUT.search(outcome.reason):
            break
    else:
        outcome = first
    for output, got in zip(model.graph.output, outcome.outputs):
        if outcome.status == "passed" and output.name in expected:
            wrong = difference(expected[output.name], got, case.rtol, case.atol)
            if wrong:
                outcome.status, outcome.reason = "failed", f"output {output.name} {wrong}"
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "fixed": sorted(fixed) if outcome.status != "unsupported" else [],
        "operations": outcome.operations,
    }


def run_all(cases, make_worker, jobs: int) -> dict[str, dict]:
    """Results by name, from `jobs` workers."""
    idle: queue.SimpleQueue = queue.SimpleQueue()
    workers = [make_worker() for _ in range(jobs)]
    for worker in workers:
        idle.put(worker)

    def run(case):
        worker = idle.get()
        try:
            return case.name, run_case(case, worker)
        finally:
            idle.put(worker)

    try:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            return dict(pool.map(run, cases))
    finally:
        for worker in workers:
            worker.close()


def summary(results: dict[str, dict]) -> str:
    """Every failure, how often each reason was met, and the counts."""
    lines = [
        f"FAILED {name}: {line['reason']}"
        for name, line in results.items()
        if line["status"] == "failed"
    ]
    reasons = collections.Counter(
        line["reason"] for line in results.values() if line["status"] == "unsupported"
    )
    lines += [f"not supported x{count}: {reason}" for reason, count in reasons.most_common()]
    counts = collections.Counter(line["status"] for line in results.values())
    lines.append(
        f"{counts['passed']} passed, {counts['failed']} failed,"
        f" {counts['unsupported']} not supported"
    )
    return "\n".join(lines)


def run(options: argparse.Namespace) -> dict[str, dict]:
    """Everything that the command does, with its checked options."""
    try:
        from . import cases
        from .workers import Worker
    except ImportError as error:
        raise missing_package(error.name, "conformance", f"numpy onnx {error.name}") from None
    if options.generate:
        cases.generate(options.folder)
    partita = find_partita(options.partita)
    found = [case for case in cases.find(options.folder) if options.only in case.name]
    if not found:
        raise UserError(f"no case's name contains '{options.only}'", code=INVALID_INPUT)
    results = run_all(
        found,
        lambda: Worker(partita, options.mode, options.ranks, options.time_limit),
        options.jobs,
    )
    if options.json:
        with written_whole(options.json) as file:
            file.write(json.dumps(results, indent=1).encode() + b"\n")
    print(summary(results))
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="partita.conformance", description="run ONNX's test cases"
    )
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument(
        "--generate", action="store_true", help="first write the installed onnx's node cases to DIR"
    )
    parser.add_argument("--mode", choices=("interp", "raised", "compiled"), default="interp")
    parser.add_argument("--ranks", type=int, default=1, metavar="N", help="compiled: default 1")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose names hold TEXT")
    parser.add_argument("--json", metavar="F", help="write every case's result")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="J")
    parser.add_argument("--time-limit", type=int, default=60, metavar="S", help="default 60")
    parser.add_argument("--partita", default="", metavar="PATH", help="the compiler")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
        if min(options.ranks, options.jobs, options.time_limit) < 1:
            parser.error("--ranks, --jobs and --time-limit take positive numbers")
    except SystemExit as stop:
        return USAGE if stop.code else 0
    results: dict[str, dict] = {}
    code = run_command("partita.conformance", lambda: results.update(run(options)))
    failed = any(line["status"] == "failed" for line in results.values())
    return code or (MISMATCH if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
