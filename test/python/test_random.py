# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random models x meshes x strategies; the seeds are printed with what fails.

Thousands of cases are run by hand (python3 -m partita.randomtest); a fixed few
here. Cases that failed once are kept in data/random, made as small as they get.
"""

import pathlib
import shlex

import pytest
from helpers import tools
from partita.randomtest import __main__ as command_line
from partita.randomtest import execute, generate, minimise

KEPT = sorted((pathlib.Path(__file__).parent / "data" / "random").glob("*.onnx"))
SEEDS = range(1, 31)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_case(compiler, seed):
    """The oracles are the interpreter and ONNX Runtime."""
    case = generate.generate(seed)
    verdict = execute.judge(str(tools.PARTITA), minimise.whole(case))
    assert not verdict.failed, f"seed {seed}: {verdict.kind}\n{verdict.text}"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_failed_once(compiler, path):
    """STEM.options holds the plan, STEM.INPUT.npy the inputs."""
    options = shlex.split(path.with_suffix(".options").read_text())
    inputs = [
        ("--input", f"{file.name.split('.')[1]}={file}")
        for file in path.parent.glob(f"{path.stem}.*.npy")
    ]
    done = tools.partita("verify", path, *options, *(word for pair in inputs for word in pair))
    tools.succeeds(done)


def test_a_wrong_answer_is_a_mismatch(compiler, monkeypatch):
    """What ONNX Runtime says is looked at: an oracle that is off by a little objects."""
    trial = minimise.whole(generate.generate(7))
    right = execute.reference(trial)
    monkeypatch.setattr(execute, "reference", lambda _: [array + 0.5 for array in right])
    assert execute.judge(str(tools.PARTITA), trial).kind == "mismatch"


def test_a_failure_becomes_small():
    """Down to the operator that fails, here by definition."""

    def fails(trial) -> bool:
        return any(node.op_type == "Softmax" for node in trial.model.graph.node)

    cases = (generate.generate(seed) for seed in range(2000, 2100))
    case = next(c for c in cases if fails(minimise.whole(c)) and len(c.builder.nodes) > 8)
    assert [node.op_type for node in minimise.minimise(case, fails).model.graph.node] == ["Softmax"]


def test_without_a_compiler(capsys):
    assert command_line.main(["--partita", "/nonexistent"]) == 3
    assert "hint: build it" in capsys.readouterr().err


def test_an_interrupted_run_says_what_it_has_seen(capsys, monkeypatch, compiler):
    def interrupted(futures):
        yield next(iter(futures))
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line.concurrent.futures, "as_completed", interrupted)
    assert command_line.main(["--seed", "7", "--count", "3"]) == 130
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "1 passed, 0 failed, 0 unsupported"
    assert captured.err == "partita.randomtest: interrupted\n"


def test_the_same_seed_is_the_same_case():
    first, second = (minimise.whole(generate.generate(7)) for _ in range(2))
    assert first.model == second.model
    assert first.options() == second.options()


def test_models_are_valid():
    """By construction: checked by ONNX, and ONNX Runtime runs them."""
    import onnx

    for seed in range(1000, 1040):
        trial = minimise.whole(generate.generate(seed))
        onnx.checker.check_model(trial.model, full_check=True)
        assert len(execute.reference(trial)) == len(trial.model.graph.output)
