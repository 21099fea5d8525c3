# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The planner's bounds against another relaxation: a linear program over marginals.

Of every variable and every table there is a distribution over values, and those of
tables add up to those of their variables (the local polytope). What that costs least is
at most the least price, and no messages say more.
"""

import json

import pytest
from helpers import tools

optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
sparse = pytest.importorskip("scipy.sparse")

TESTS = tools.BUILD / "unittests" / "PartitaPlannerTests"
#: Messages may end a little below the linear program, whose solver rounds.
TOLERANCE, ROUNDING = 0.005, 1e-7


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    if not TESTS.exists():
        pytest.skip(f"{TESTS} is not built")
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    done = tools.start(TESTS, "[.relaxation]", environment={"PARTITA_PROBLEMS": str(path)})
    assert done.code == 0, done
    return [json.loads(line) for line in path.read_text().splitlines()]


def least_of_marginals(problem) -> float | None:
    """What the linear program costs; None if nothing is allowed."""
    costs, upper, entries, right = [], [], [], []

    def add(price) -> int:
        costs.append(0 if price is None else price)
        upper.append(0 if price is None else None)
        return len(costs) - 1

    def equate(columns, minus, value) -> None:
        entries.extend((len(right), column, 1) for column in columns)
        entries.extend((len(right), column, -1) for column in minus)
        right.append(value)

    unary = [[add(price) for price in prices] for prices in problem["unary"]]
    for columns in unary:
        equate(columns, [], 1)
    for first, second, prices in problem["edges"]:
        table, width = [add(price) for price in prices], len(unary[second])
        for i, column in enumerate(unary[first]):
            equate(table[i * width : (i + 1) * width], [column], 0)
        for j, column in enumerate(unary[second]):
            equate(table[j::width], [column], 0)
    rows, columns, values = zip(*entries, strict=True)
    matrix = sparse.csr_array((values, (rows, columns)), shape=(len(right), len(costs)))
    scale = max(costs) or 1
    found = optimize.linprog(
        [cost / scale for cost in costs],
        A_eq=matrix,
        b_eq=right,
        bounds=[(0, most) for most in upper],
        method="highs",
    )
    return None if found.status == 2 else found.fun * scale


def test_bounds_agree_with_a_linear_program(problems):
    assert len(problems) >= 50
    compared = tight = 0
    for number, problem in enumerate(problems):
        least = least_of_marginals(problem)
        if least is None or problem["price"] >= 10**18:
            assert problem["price"] >= 10**18, number
            continue
        slack = ROUNDING * max(problem["price"], 1)
        assert problem["bound"] <= least + slack <= problem["price"] + 2 * slack, number
        assert least - problem["bound"] <= TOLERANCE * problem["price"] + slack, number
        compared += 1
        tight += problem["price"] - least <= slack
    assert compared >= 50
    assert tight > compared / 2
