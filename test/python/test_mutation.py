# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tests can fail: a program that is wrong in one place never passes `verify`.

`verify --mutate` breaks the command table of bert tiny on two ranks: it drops
one collective, lets one rank read one shard of a weight one unit off, or swaps
what two ranks read. Every such program must end with exit code 5.
"""

import concurrent.futures
import itertools
import os
import re

import pytest
from helpers import tools

RANKS = 2

@pytest.fixture(scope="module")
def verify(zoo_model):
    """verify(MUTATION): the finished command, on bert tiny at tp=2."""
    path = zoo_model("bert").path

    def run(mutation: str) -> tools.Done:
        return tools.partita(
            *("verify", path, "--topology", f"cpu:{RANKS}", "--mesh", f"tp={RANKS}"),
            *(["--mutate", mutation] if mutation else []),
        )

    return run


@pytest.fixture(scope="module")
def count(verify):
    """count(KIND): how many places there are to break; the error says it."""

    def of(kind: str) -> int:
        message = tools.fails(verify(f"{kind}:999999"), 1)
        return int(re.search(r"has (\d+) ", message.text)[1])

    return of


def assert_all_found(verify, mutations) -> None:
    """Every mutation ends with exit code 5 and a message that names an output."""

    def one(mutation: str) -> str | None:
        done = verify(mutation)
        if done.code != 5:
            return f"{mutation}: exit code {done.code}\n{done}"
        assert tools.fails(done, 5).code == "verify.mismatch"
        return None

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        missed = [text for text in pool.map(one, mutations) if text]
    assert not missed, f"{len(missed)} of {len(mutations)} were missed:\n" + "\n".join(missed)


def test_nothing_is_wrong_without_a_mutation(verify):
    tools.succeeds(verify(""))


def test_every_dropped_collective_is_found(verify, count):
    collectives = count("drop-collective")
    assert collectives >= 6
    assert_all_found(verify, [f"drop-collective:{i}" for i in range(collectives)])


def test_every_swap_of_ranks_is_found(verify):
    pairs = itertools.combinations(range(RANKS), 2)
    assert_all_found(verify, [f"swap-ranks:{a},{b}" for a, b in pairs])


def test_some_shifted_shards_are_found(verify, count):
    shards = count("shift-shard")
    assert shards >= 2 * 3 * 6, "six split weights a layer, on two ranks"
    assert_all_found(verify, [f"shift-shard:{i}" for i in range(0, shards, 8)])


@pytest.mark.slow
def test_every_shifted_shard_is_found(verify, count):
    shards = count("shift-shard")
    assert_all_found(verify, [f"shift-shard:{i}" for i in range(shards) if i % 8])


def test_what_is_no_mutation_is_a_usage_error(verify):
    for text in ("drop-collective:-1", "drop-collective:x", "nonsense", "swap-ranks:0,0"):
        assert tools.fails(verify(text), 1).code == "verify.mutate"
