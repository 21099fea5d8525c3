# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""partita-solve: what it prints is true, the same anywhere, and there when it is stopped."""

import json
import os
import random
import signal
import subprocess

import pytest
from helpers import tools

SOLVE = tools.PARTITA.parent / "partita-solve"


def layered(seed: int, layers: int, values: int = 6) -> dict:
    """Layers of four nodes in a ring, each tied to the next layer; memory is scarce."""
    rng = random.Random(seed)
    count = 4 * layers
    intervals = [[i // 4, i // 4 + 1 + rng.randrange(4)] for i in range(count)]
    costs = [[rng.randrange(1000) for _ in range(values)] for _ in range(count)]
    usages = [[rng.randrange(1, 100) for _ in range(values)] for _ in range(count)]
    ends = [[i, i + 4] for i in range(count - 4)]
    ends += [[i, i - i % 4 + (i + 1) % 4] for i in range(count)]
    tables = [[rng.randrange(500) for _ in range(values**2)] for _ in ends]
    nodes = {"intervals": intervals, "costs": costs, "usages": usages}
    edges = {"nodes": ends, "costs": tables}
    return {"problem": {"name": "x", "nodes": nodes, "edges": edges, "usage_limit": 320}}


def judge(instance: dict, assignment: list[int]) -> tuple[int, bool]:
    """Cost, and whether memory suffices."""
    problem = instance["problem"]
    nodes, edges = problem["nodes"], problem["edges"]
    cost = sum(costs[k] for costs, k in zip(nodes["costs"], assignment, strict=True))
    for (a, b), table in zip(edges["nodes"], edges["costs"], strict=True):
        cost += table[assignment[a] * len(nodes["costs"][b]) + assignment[b]]
    peak = 0
    for time_ in range(max(end for _, end in nodes["intervals"])):
        alive = [i for i, (b, e) in enumerate(nodes["intervals"]) if b <= time_ < e]
        peak = max(peak, sum(nodes["usages"][i][assignment[i]] for i in alive))
    return cost, peak <= problem["usage_limit"]


@pytest.fixture
def instance(compiler, scratch):
    """make(LAYERS): the instance and its file."""

    def make(layers: int, **changes):
        made = layered(7, layers)
        made["problem"].update(changes)
        path = scratch / "instance.json"
        path.write_text(json.dumps(made))
        return made, path

    return make


def answer(done) -> dict:
    assert done.code == 0, str(done)
    return json.loads(done.out.splitlines()[-1])


def test_the_answer_is_what_it_says(instance):
    made, path = instance(10)
    line = answer(tools.start(SOLVE, path, "--time-limit", "20"))
    assert (line["cost"], line["valid"]) == judge(made, line["assignment"])
    assert line["lower_bound"] == line["cost"] and line["stopped_by"] == "gap"


def test_effort_is_the_same_everywhere(instance):
    _, path = instance(60)
    lines = []
    for threads in ("1", "2", "2"):
        options = ["--effort", "4", "--seed", "3", "--threads", threads, "--quiet"]
        lines.append(answer(tools.start(SOLVE, path, *options)))
        lines[-1].pop("seconds")
    assert lines[0] == lines[1] == lines[2]
    assert lines[0]["rounds"] <= 4


def test_no_time_is_enough_for_a_plan(instance):
    made, path = instance(400)
    done = tools.start(SOLVE, path, "--time-limit", "0")
    line = answer(done)
    assert (line["cost"], line["valid"]) == (judge(made, line["assignment"])[0], True)
    assert line["lower_bound"] <= line["cost"] and "lower bound" in done.err


def test_interrupted_it_keeps_the_best(instance):
    made, path = instance(3000, usage_limit=450)
    with subprocess.Popen(
        [SOLVE, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "cost none" in process.stderr.readline():
            pass
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    line = json.loads(out)
    assert line["stopped_by"] == "user" and process.returncode == 0
    assert judge(made, line["assignment"]) == (line["cost"], True)


def test_a_full_disk(instance):
    _, path = instance(3)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [SOLVE, path, "--quiet"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2 and "output.write" in done.stderr


def test_memory_ends(instance):
    _, path = instance(4000, usage_limit=450)
    limit = tools.limit_memory(12 << 20)
    if limit is None:
        pytest.skip("sanitizers look after memory themselves")
    done = tools.start(SOLVE, path, "--quiet", "--time-limit", "1", preexec_fn=limit)
    assert tools.fails(done, 3).code == "memory"


def test_what_cannot_be_solved(instance, scratch):
    _, path = instance(3, usage_limit=1)
    message = tools.fails(tools.start(SOLVE, path, "--quiet"), 4)
    assert message.code == "solve.infeasible"
    path.write_text('{"problem": {"nodes": ')
    assert tools.fails(tools.start(SOLVE, path), 2).code == "solve.read"
    tools.fails(tools.start(SOLVE, scratch / "absent.json"), 2)
    assert tools.start(SOLVE).code == 1
    assert tools.start(SOLVE, path, "--threads", "3").code == 1


@pytest.fixture
def certified(instance, scratch):
    """The answer for an instance with a certificate, and the files of both."""
    _, path = instance(12)
    proof = scratch / "proof"
    line = answer(tools.start(SOLVE, path, "--quiet", "--certificate", proof))
    return line, path, proof


def test_a_certificate_proves_the_bound(certified):
    line, path, proof = certified
    assert line["certified_bound"] == line["lower_bound"] == line["cost"]
    done = tools.succeeds(tools.partita("verify-bound", path, proof))
    assert f"costs less than {line['cost']}\n" in done.out
    checked = tools.succeeds(tools.partita("verify-bound", path, proof, "--format", "json")).json()
    assert checked["certified_bound"] == checked["claimed_bound"] == line["cost"]
    assert checked["holds"] and checked["branches"] >= 1


def test_a_certificate_of_an_open_bound(instance, scratch):
    _, path = instance(300, usage_limit=330)
    proof = scratch / "proof"
    line = answer(tools.start(SOLVE, path, "--quiet", "--time-limit", "1", "--certificate", proof))
    assert line["stopped_by"] == "time"
    assert 0 < line["certified_bound"] <= line["lower_bound"] < line["cost"]
    checked = tools.succeeds(tools.partita("verify-bound", path, proof, "--format", "json")).json()
    assert checked["certified_bound"] == line["certified_bound"]


def test_certificates_that_do_not_hold(certified, instance, scratch):
    line, path, proof = certified
    text = proof.read_text()
    claim = f'{{"bound":{line["cost"]}}}'
    assert text.endswith(claim + "\n")
    proof.write_text(text.replace(claim, f'{{"bound":{line["cost"] + 1}}}'))
    done = tools.partita("verify-bound", path, proof)
    assert tools.fails(done, 5).code == "certificate.claim"
    assert f"costs less than {line['cost']}\n" in done.out
    proof.write_text(text[: len(text) // 2])
    assert tools.fails(tools.partita("verify-bound", path, proof), 2).code == "certificate.syntax"
    proof.write_text(text.replace('"version":1', '"version":2'))
    assert tools.fails(tools.partita("verify-bound", path, proof), 2).code == "certificate.field"
    proof.write_text(text)
    instance(12, name="y")
    message = tools.fails(tools.partita("verify-bound", path, proof), 2)
    assert "for 'x', the instance is 'y'" in message.text
    # Of an instance with the same name it proves nothing false.
    instance(12, usage_limit=400)
    better = answer(tools.start(SOLVE, path, "--quiet"))["cost"]
    assert better < line["cost"]
    tools.fails(tools.partita("verify-bound", path, proof), 5)
    path.write_text('{"problem": [')
    message = tools.fails(tools.partita("verify-bound", path, proof), 2)
    assert message.code == "certificate.instance"
    tools.fails(tools.partita("verify-bound", path, scratch / "absent"), 2)
    tools.fails(tools.start(SOLVE, path, "--quiet", "--certificate", scratch / "no" / "proof"), 2)
