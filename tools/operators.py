#!/usr/bin/env python3
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes docs/operators.md: what is imported, and how ONNX's own cases go.

  tools/operators.py [--partita PATH] [--interp F.json --split F.json]

The operators are those that `partita operators` lists. Results come from

  python3 -m partita.conformance DIR --generate --mode interp --json F.json
  python3 -m partita.conformance DIR --mode compiled --ranks 2 --json F.json

Without them, those in the page are kept: whoever adds an operator need not run
all cases.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operators.md"

HEAD = """# Operators

Written by `tools/operators.py`; do not edit.

*Since* is the version of the operator set from which on an operator is known;
*body* says that it is imported as the function by which ONNX defines it, as far
as the operators in that are known. *Cases* are ONNX's own with this operator
(without their expansions): passed of all, in the interpreter and compiled for
two ranks with every operation split that can be. An empty cell: no case, or none run
since the operator was added. What is missing is not
supported, and refused with exit code 3: strings, results whose shape depends on
data, and random numbers.
"""

OPERATIONS = """
## Operations

What operators become, with the sharding rule of an example: dimensions with the
same name are one loop, which can be split; `reduce` leaves partial results,
`halo` reads borders of its neighbours, `replicate` stays whole, `linear` lets
partial sums through.
"""

ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` \| (?P<since>[^|]*) \|(?P<rest>.*)\|$", re.MULTILINE
)
RULE = re.compile(r"^\| `nn\.(?P<name>\w+)` \| `(?P<rule>[^`]*)` \|$", re.MULTILINE)


def imported(partita):
    """The operators as (name with its domain, since)."""
    out = subprocess.run(
        [partita, "operators", "--format", "json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for entry in json.loads(out):
        domain = "" if entry["domain"] == "ai.onnx" else entry["domain"] + "."
        yield (
            domain + entry["name"],
            f"{entry['since']}{' (body)' if entry['by_body'] else ''}",
        )


def documented(text):
    """The same from the page."""
    return [(row["name"], row["since"].strip()) for row in ROW.finditer(text)]


def counts(results):
    """ "passed/all" by operator."""
    passed, total = collections.Counter(), collections.Counter()
    for name, line in results.items():
        if "_expanded" in name:
            continue
        for operator in line["operators"]:
            short = operator.replace("ai.onnx::", "").replace("::", ".")
            total[short] += 1
            passed[short] += line["status"] == "passed"
    return {operator: f"{passed[operator]}/{total[operator]}" for operator in total}


def operations(results):
    """The operations of each operator, and the rule of an example of each."""
    used, rules = collections.defaultdict(set), {}
    for name, line in results.items():
        for operation, rule in line["operations"].items():
            # An example without dimensions says little.
            known = rules.get(operation.removeprefix("nn."))
            if known is None or "[]" in known:
                rules[operation.removeprefix("nn.")] = rule
            if "_expanded" not in name and len(line["operators"]) == 1:
                short = line["operators"][0].replace("ai.onnx::", "").replace("::", ".")
                used[short].add(operation.removeprefix("nn."))
    # What every program has says nothing.
    return {
        op: ", ".join(sorted(u - {"get_parameter"})) for op, u in used.items()
    }, rules


def page(operators, cells, rules):
    lines = [
        HEAD,
        "| operator | since | cases, interpreted | cases, split | operations |",
    ]
    lines.append("|---|---|---|---|---|")
    for name, since in operators:
        rest = cells.get(name, " | | ")
        lines.append(f"| `{name}` | {since} |{rest}|")
    lines += [OPERATIONS, "| operation | rule |", "|---|---|"]
    lines += [f"| `nn.{name}` | `{rule}` |" for name, rule in sorted(rules.items())]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="write docs/operators.md")
    parser.add_argument(
        "--partita", default=str(ROOT / "build" / "dev" / "bin" / "partita")
    )
    parser.add_argument("--interp", metavar="F.json", type=pathlib.Path)
    parser.add_argument("--split", metavar="F.json", type=pathlib.Path)
    options = parser.parse_args()
    if bool(options.interp) != bool(options.split):
        parser.error("--interp and --split go together")
    operators = list(imported(options.partita))
    if options.interp:
        interp = json.loads(options.interp.read_text())
        interpreted, split = (
            counts(interp),
            counts(json.loads(options.split.read_text())),
        )
        used, rules = operations(interp)
        cells = {
            name: f" {interpreted.get(name, '')} | {split.get(name, '')} | {used.get(name, '')} "
            for name, _ in operators
        }
    else:
        text = PAGE.read_text()
        cells = {row["name"]: row["rest"] for row in ROW.finditer(text)}
        rules = {row["name"]: row["rule"] for row in RULE.finditer(text)}
    PAGE.write_text(page(operators, cells, rules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
