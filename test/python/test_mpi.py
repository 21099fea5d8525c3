# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks as processes that talk by MPI. What does not depend on that is in test_processes.py."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest
from helpers import tools
from helpers.processes import (
    AS_ROOT,
    FAULTS,
    GRACE,
    SEEDS,
    as_with_threads,
    assert_clean,
    free_port,
    needs_mpi,
    outputs_of,
    processes_of,
    run_here,
    runs_on,
    torchrun,
)

pytestmark = [needs_mpi, pytest.mark.usefixtures("temporary", "as_root")]

MPI = ["--communicator", "mpi"]
#: Open MPI's own, to start several processes without the executable's help.
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np"]
#: mpirun takes its time to start and to end processes.
STARTING = 3


@pytest.fixture
def as_root(monkeypatch):
    for name, value in AS_ROOT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("processes", [2, 3, 4, 5])
def test_every_way_to_move_shards(processes):
    """The suite that runs over each communicator."""
    suite = tools.BUILD / "unittests" / "PartitaRuntimeTests"
    words = [*MPIRUN, processes, suite, "[backends]", "--use-colour", "no"]
    done = tools.start(*words, environment={"PARTITA_TEST_COMMUNICATOR": "mpi"})
    assert done.code == 0, str(done)
    counts = re.findall(r"All tests passed \((\d+) assertions in 4 test cases\)", done.out)
    assert len(counts) == processes and min(map(int, counts)) >= 20, str(done)


@pytest.mark.parametrize(
    "options", [MPI, [*MPI, "--processes", 2, "--ranks-per-process", 2], [*MPI, "--processes", 4]]
)
def test_equal_to_threads(gpt2, scratch, options):
    assert as_with_threads(gpt2, scratch, *options).err == ""


@pytest.mark.parametrize(
    "name, ranks, options",
    [
        ("bert", 3, ["--stages", "tp=2|tp=1", "--micro-batches", 1]),
        ("gpt2", 4, ["--mesh", "pp=2,tp=2", "--micro-batches", 2]),
        ("t5", 4, ["--mesh", "dp=2,tp=2", "--ranks-per-process", 2]),
        ("mixtral", 2, ["--mesh", "ep=2"]),
    ],
)
def test_verify(zoo_model, name, ranks, options):
    words = ["--topology", f"cpu:{ranks}", *MPI, *options]
    tools.succeeds(tools.partita("verify", zoo_model(name).path, *words))


def test_a_users_mpirun(gpt2, scratch):
    words = [gpt2, *MPI, "--random-inputs", 5, "--output-dir", scratch / "out"]
    done = tools.succeeds(tools.start(*MPIRUN, 4, *words))
    assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")
    assert done.err.startswith("4 processes, started by Open MPI (")


# ---------------------------------------------------------------------------
# What does not fit
# ---------------------------------------------------------------------------


def test_mpi_knows_of_no_other_processes(gpt2, scratch):
    """torchrun started them, and MPI was not told."""
    port = free_port()
    words = [gpt2, *MPI, "--random-inputs", 5, "--output-dir", scratch / "out", "--timeout", 10]
    running = [
        subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, **torchrun(rank, 4, port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    texts = [process.communicate(timeout=60)[1] for process in running]
    assert {process.returncode for process in running} == {1}, texts
    assert all("error[launch.contradiction]: process" in text for text in texts), texts
    assert not outputs_of(scratch / "out")


def test_there_is_no_mpirun(gpt2, scratch):
    message = tools.fails(run_here(gpt2, scratch / "out", *MPI, "--mpirun", "no-such-program"), 3)
    assert message.code == "launch.mpirun" and "no-such-program" in message.text


def test_mpirun_fails(gpt2, scratch):
    done = run_here(gpt2, scratch / "out", *MPI, "--mpirun", "mpirun --no-such-option")
    assert done.code == 6 and done.err.startswith("error[launch.mpirun]: mpirun: "), str(done)


def test_outputs_that_cannot_be_written(gpt2, scratch):
    """Known to the first process only, and mpirun does not tell."""
    (scratch / "out").write_text("")
    tools.fails(run_here(gpt2, scratch / "out", *MPI), 2)
    tools.fails(run_here(gpt2, scratch / "there", *MPI, "--trace", scratch / "no" / "trace"), 2)
    assert not outputs_of(scratch / "there")


def test_without_the_plugin(gpt2, scratch):
    bare = scratch / "bare"
    shutil.copy(gpt2, bare)
    shutil.copytree(f"{gpt2}.d", scratch / f"{gpt2.name}.d")
    (scratch / f"{gpt2.name}.d" / "libpartita_mpi.so").unlink()
    tools.succeeds(run_here(bare, scratch / "out"))
    message = tools.fails(run_here(bare, scratch / "none", *MPI), 3)
    assert message.code == "run.communicator" and "libpartita_mpi.so" in message.text


def test_a_bad_input_is_told_once(gpt2, scratch):
    done = run_here(gpt2, scratch / "out", *MPI, "--weights-dir", scratch)
    assert tools.fails(done, 2).code.startswith("weights.")


# ---------------------------------------------------------------------------
# Faults
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("kind, code", FAULTS)
def test_faults_are_named(gpt2, scratch, temporary, kind, code, rank):
    inject = {"PARTITA_INJECT": f"rank={rank},command=30,kind={kind}"}
    begin = time.monotonic()
    done = run_here(gpt2, scratch / "out", *MPI, "--timeout", 4, environment=inject, timeout=60)
    assert time.monotonic() - begin < 4 + GRACE + STARTING
    message = tools.fails(done, 6)
    assert message.code == code
    assert message.text.splitlines()[0].startswith(f"rank {rank}: ")
    assert "command 30, " in message.text and "(nodes transformer.h.1" in message.text
    assert_clean(gpt2, scratch / "out")
    (folder,) = temporary.iterdir()
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_parent_takes_all_along(gpt2, scratch, temporary, number):
    process = runs_on(gpt2, 5, gpt2, *MPI, "--output-dir", scratch / "out")
    time.sleep(1)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == -number and "error" not in err
    # mpirun cleans up after its processes.
    limit = time.monotonic() + GRACE + STARTING
    while (processes_of(gpt2) or list(temporary.glob("ompi.*"))) and time.monotonic() < limit:
        time.sleep(0.02)
    assert_clean(gpt2, scratch / "out")


@pytest.mark.parametrize("victim", [0, 3])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_faults_under_a_users_mpirun(gpt2, scratch, victim, number):
    """Nothing hangs, whoever is first to see it: mpirun or a rank."""
    words = [gpt2, *MPI, "--timeout", 2, "--output-dir", scratch / "out"]
    process = runs_on(gpt2, 4, *MPIRUN, 4, *words)
    time.sleep(1)
    os.kill(sorted(processes_of(gpt2))[victim], number)
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 2 + GRACE + STARTING
    assert process.returncode != 0 and (f"rank {victim}" in err), err
    if number == signal.SIGSTOP:
        assert process.returncode == 6, err
    assert_clean(gpt2, scratch / "out")


@pytest.mark.parametrize("seed", range(SEEDS // 4))
def test_seeded_faults(gpt2, scratch, seed):
    """Something happens to a random rank at a random moment: mostly while they start."""
    chance = random.Random(seed)
    victim, number = chance.randrange(4), chance.choice([signal.SIGKILL, signal.SIGSTOP])
    process = runs_on(gpt2, 5, gpt2, *MPI, "--timeout", 3, "--output-dir", scratch / "out")
    time.sleep(chance.uniform(0, 1.5))
    ranks = sorted(set(processes_of(gpt2)) - {process.pid})
    os.kill(ranks[victim], number)
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 2 * 3 + GRACE + STARTING
    assert process.returncode == 6, err
    assert f"rank {victim}: " in err.splitlines()[0], err
    assert_clean(gpt2, scratch / "out")
