# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks as processes: how they are started, meet, compute and fail."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time

import pytest
from helpers import tools
from helpers.processes import (
    FAULTS,
    GRACE,
    SEEDS,
    as_with_threads,
    assert_clean,
    free_port,
    needs_gloo,
    outputs_of,
    processes_of,
    run_here,
    runs_on,
    torchrun,
)

pytestmark = [needs_gloo, pytest.mark.usefixtures("temporary")]


@pytest.fixture(scope="module")
def stages(tmp_path_factory, zoo_model):
    """The same in stages."""
    folder = tmp_path_factory.mktemp("stages")
    out = zoo_model("gpt2").compile(folder, 4, "--mesh", "pp=2,dp=2", "--micro-batches", "2")
    run_here(out, folder / "expected")
    yield out
    shutil.rmtree(folder)


def start_all(executable, outputs, environments, *options, each=None):
    """Starts a process for each environment; waits for all. `each` gives more options by rank."""
    running = []
    for rank, environment in enumerate(environments):
        words = [executable, "--random-inputs", 5, "--output-dir", outputs, *options]
        words += each(rank) if each else []
        running.append(
            subprocess.Popen(
                [str(word) for word in words],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    done = []
    for process in running:
        out, err = process.communicate(timeout=60)
        done.append(tools.Done([str(executable)], process.returncode, out, err))
    return done


# ---------------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--processes", 4],
        ["--communicator", "gloo"],
        ["--processes", 2, "--ranks-per-process", 2],
        ["--ranks-per-process", 4],
    ],
)
def test_equal_to_threads(gpt2, scratch, options):
    as_with_threads(gpt2, scratch, *options)


@pytest.mark.parametrize(
    "name, ranks, mesh, options",
    [
        ("bert", 2, "tp=2", []),
        ("llama", 3, "tp=3", []),
        ("resnet", 2, "dp=2", []),
        ("t5", 4, "dp=2,tp=2", ["--ranks-per-process", 2]),
        ("mixtral", 4, "ep=4", []),
        ("gpt2", 4, "pp=2,tp=2", ["--micro-batches", 2]),
        ("bert", 4, "pp=4", ["--micro-batches", 1]),
        ("gpt2", 4, "pp=2,dp=2", ["--micro-batches", 3, "--ranks-per-process", 2]),
    ],
)
def test_verify(zoo_model, name, ranks, mesh, options):
    words = ["--topology", f"cpu:{ranks}", "--mesh", mesh, "--communicator", "gloo", *options]
    tools.succeeds(tools.partita("verify", zoo_model(name).path, *words))


def test_trace_has_all_ranks(gpt2, scratch):
    trace = scratch / "trace.json"
    tools.succeeds(run_here(gpt2, scratch / "out", "--processes", 4, "--trace", trace))
    events = tools.json.loads(trace.read_text())["traceEvents"]
    counts = [sum(e["ph"] == "X" and e["tid"] == rank for e in events) for rank in range(4)]
    assert min(counts) > 50


# ---------------------------------------------------------------------------
# Launchers
# ---------------------------------------------------------------------------


def mpi(rank, world, _):
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(world),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(world),
        "PMIX_NAMESPACE": f"test{os.getpid()}",
    }


def pmi(rank, world, _):
    return {"PMI_RANK": str(rank), "PMI_SIZE": str(world), "MPI_LOCALNRANKS": str(world)}


def slurm(rank, world, _):
    return {
        "SLURM_PROCID": str(rank),
        "SLURM_NTASKS": str(world),
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_ID": "0",
    }


@pytest.mark.parametrize(
    "launcher, name",
    [(torchrun, "torchrun"), (mpi, "Open MPI"), (pmi, "PMI"), (slurm, "Slurm")],
)
def test_launchers_are_obeyed(gpt2, scratch, launcher, name):
    port = free_port()
    environments = [launcher(rank, 4, port) for rank in range(4)]
    # Several launchers at once: the first in the order of the documentation.
    if launcher is torchrun:
        environments = [{**slurm(0, 2, port), **each} for each in environments]
    done = start_all(gpt2, scratch / "out", environments)
    assert [each.code for each in done] == [0, 0, 0, 0], "".join(map(str, done))
    assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")
    assert done[0].err.startswith(f"4 processes, started by {name} (")
    assert done[0].err.count("\n") == 1
    assert [each.out for each in done[1:]] == ["", "", ""]
    assert [each.err for each in done[1:]] == ["", "", ""]


@pytest.mark.parametrize(
    "environment, options, code, words",
    [
        (torchrun(0, 2, 1), ["--processes", 4], "contradiction", ["--processes 4", "WORLD_SIZE=2"]),
        (torchrun(4, 4, 1), [], "world", ["RANK=4", "WORLD_SIZE=4"]),
        (torchrun(0, 3, 1), [], "world", ["WORLD_SIZE=3", "has 4"]),
        (torchrun(0, 4, 1), ["--communicator", "threads"], "contradiction", ["torchrun"]),
        (torchrun("x", 4, 1), [], "variable", ["RANK=x"]),
        (torchrun(0, 4, "-1"), [], "variable", ["MASTER_PORT=-1"]),
        (
            torchrun(0, 4, 1, LOCAL_WORLD_SIZE="2", MASTER_ADDR="10.0.0.1"),
            [],
            "bind",
            ["several machines", "loopback"],
        ),
        ({}, ["--processes", 3], "world", ["--processes 3", "has 4"]),
        ({}, ["--processes", 2, "--communicator", "threads"], "contradiction", ["--processes 2"]),
        ({}, ["--processes", 4, "--on-request"], "contradiction", ["--on-request"]),
        ({}, ["--processes", 4, "--bind", "nowhere0"], "bind", ["nowhere0"]),
    ],
)
def test_contradictions(gpt2, scratch, environment, options, code, words):
    done = run_here(gpt2, scratch / "out", *options, environment=environment)
    message = tools.fails(done, 1)
    assert message.code == f"launch.{code}"
    for word in words:
        assert word in message.text


# ---------------------------------------------------------------------------
# Meeting
# ---------------------------------------------------------------------------


def one_error(done, code, name):
    """All ended with this exit code and message; returns its text."""
    assert {each.code for each in done} == {code}, "".join(map(str, done))
    texts = {each.err[each.err.index("error[") :] for each in done}
    assert len(texts) == 1, "".join(map(str, done))
    text = texts.pop()
    assert text.startswith(f"error[{name}]: "), text
    return text


def test_absent_rank(gpt2, scratch):
    port = free_port()
    done = start_all(
        gpt2, scratch / "out", [torchrun(rank, 4, port) for rank in range(3)], "--timeout", 1
    )
    assert "rank 3: did not come" in one_error(done, 6, "launch.absent")
    assert not outputs_of(scratch / "out")


def test_rank_0_comes_late(gpt2, scratch):
    """Others wait for it as long as --timeout says."""
    port = free_port()
    words = [str(w) for w in (gpt2, "--random-inputs", 5, "--output-dir", scratch / "out")]
    running = []
    for rank in (1, 2, 3, 0):
        if rank == 0:
            time.sleep(3)
        environment = {**os.environ, **torchrun(rank, 4, port)}
        running.append(subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL))
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")


def test_rank_given_twice(gpt2, scratch):
    port = free_port()
    environments = [torchrun(rank, 4, port) for rank in (0, 1, 1, 2)]
    done = start_all(gpt2, scratch / "out", environments, "--timeout", 5)
    assert "process 1: was started twice" in one_error(done, 1, "launch.twice")


def test_another_job(gpt2, scratch):
    port = free_port()
    tokens = ["a", "a", "a", "b"]
    environments = [
        torchrun(rank, 4, port, TORCHELASTIC_RUN_ID=token) for rank, token in enumerate(tokens)
    ]
    done = start_all(gpt2, scratch / "out", environments, "--timeout", 1)
    assert "rank 3: did not come" in one_error(done[:3], 6, "launch.absent")
    text = one_error(done[3:], 2, "launch.token")
    assert "job 'torchrun/b'" in text and "job 'torchrun/a'" in text


def test_another_plan(gpt2, scratch, zoo_model):
    other = zoo_model("gpt2").compile(scratch / "other", 4, "--mesh", "tp=4")
    port = free_port()
    words = ["--random-inputs", "5", "--timeout", "5"]
    running = [
        subprocess.Popen(
            [str(other if rank == 2 else gpt2), *words],
            env={**os.environ, **torchrun(rank, 4, port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    done = []
    for process in running:
        out, err = process.communicate(timeout=60)
        done.append(tools.Done([], process.returncode, out, err))
    assert "another plan than process" in one_error(done, 2, "launch.plan")


def test_worlds_that_differ(gpt2, scratch):
    """Each is right by itself."""
    port = free_port()
    environments = [torchrun(rank, 4, port) for rank in (0, 1, 3)] + [torchrun(1, 2, port)]
    done = start_all(
        gpt2,
        scratch / "out",
        environments,
        *("--timeout", 5),
        each=lambda number: ["--ranks-per-process", 2] if number == 3 else [],
    )
    text = one_error(done, 1, "launch.world")
    assert "2 processes with 2 ranks" in text and "4 with 1" in text


def test_other_weights(gpt2, scratch, zoo_model):
    """Where they are not compared with the model's, they are compared with each other."""
    model = zoo_model("gpt2").path
    folder = scratch / "weights"
    folder.mkdir()
    changed = bytearray(model.read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / model.name).write_bytes(changed)
    port = free_port()
    done = start_all(
        gpt2,
        scratch / "out",
        [torchrun(rank, 4, port) for rank in range(4)],
        "--skip-weight-check",
        each=lambda rank: ["--weights-dir", folder] if rank == 3 else [],
    )
    one_error(done, 2, "launch.weights")


def test_port_is_busy(gpt2, scratch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        message = tools.fails(run_here(gpt2, scratch / "out", "--processes", 4, "--port", port), 6)
        assert message.code == "launch.port" and str(port) in message.text
        done = start_all(gpt2, scratch / "out", [torchrun(0, 4, port)], "--timeout", 1)
        one_error(done, 6, "launch.port")


def test_something_else_listens(gpt2, scratch):
    """What answers at the port is no hub: rank 1 says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        words = [gpt2, "--random-inputs", 5, "--timeout", 5]
        process = subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, **torchrun(1, 4, port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = listener.accept()
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        _, err = process.communicate(timeout=30)
        connection.close()
    assert process.returncode == 6
    assert err.startswith("error[launch.stranger]")


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRTA\xff\xff\xff\xff",
        b"PRTA\x04\x00\x00\x00null",
        b'PRTA\x10\x00\x00\x00{"type":"hello"}',
        b"PRTA",
        b"",
        b"PRTA\x00\x10\x00\x00" + b"[" * 4096,
    ],
)
def test_junk_to_the_port(gpt2, scratch, junk):
    """Strangers are turned away, and the job goes on."""
    port = free_port()
    environments = [torchrun(rank, 4, port) for rank in range(4)]

    def words(rank):
        return [str(w) for w in (gpt2, "--random-inputs", 5, "--output-dir", scratch / "out")]

    first = subprocess.Popen(
        words(0),
        env={**os.environ, **environments[0]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(200):
        try:
            stranger = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.02)
    stranger.sendall(junk)
    others = [
        subprocess.Popen(words(rank), env={**os.environ, **environments[rank]})
        for rank in (1, 2, 3)
    ]
    _, err = first.communicate(timeout=60)
    stranger.close()
    assert [first.returncode] + [each.wait(60) for each in others] == [0, 0, 0, 0], err
    assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")


# ---------------------------------------------------------------------------
# Faults
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("rank, per_process", [(0, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("kind, code", [*FAULTS, ("alloc", "run.memory")])
def test_faults_are_named(gpt2, scratch, temporary, kind, code, rank, per_process):
    inject = {"PARTITA_INJECT": f"rank={rank},command=30,kind={kind}"}
    words = ["--processes", 4 // per_process, "--ranks-per-process", per_process, "--timeout", 1]
    begin = time.monotonic()
    done = run_here(gpt2, scratch / "out", *words, environment=inject, timeout=30)
    assert time.monotonic() - begin < 1 + GRACE
    message = tools.fails(done, 6)
    assert message.code == code
    first_line = message.text.splitlines()[0]
    # All ranks of a process go together.
    whole = kind in ("kill", "stop") and per_process == 2
    assert first_line.startswith("ranks 2, 3: " if whole else f"rank {rank}: ")
    assert "command 30, " in message.text and "(nodes transformer.h.1" in message.text
    if kind in ("kill", "stop", "hang"):
        assert "last completed: command 29, all_gather" in message.text
    if kind in ("stop", "hang"):
        assert "waited for rank" in message.text
    assert_clean(gpt2, scratch / "out")
    # The records say the same.
    (folder,) = temporary.iterdir()
    assert str(folder) in message.text
    assert len(list(folder.iterdir())) == 4
    doctor = tools.succeeds(tools.partita("doctor", folder, "--format", "json")).json()
    assert doctor["verdict"]["code"] == code
    assert message.text.startswith(f"{doctor['verdict']['place']}: ")
    assert [entry["rank"] for entry in doctor["ranks"]] == [0, 1, 2, 3]
    text = tools.succeeds(tools.partita("doctor", folder)).out
    assert text.startswith(f"{code}: {doctor['verdict']['place']}: ")


@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_faults_without_a_parent(gpt2, scratch, victim, number):
    """torchrun started the processes; rank 0 coordinates, and may be the one."""
    port = free_port()
    words = ["--repeat", 100000, "--timeout", 1, "--random-inputs", 5]
    running = [
        subprocess.Popen(
            [str(word) for word in (gpt2, *words, "--output-dir", scratch / "out")],
            env={**os.environ, **torchrun(rank, 4, port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    time.sleep(0.5)
    running[victim].send_signal(number)
    begin = time.monotonic()
    errors = []
    for rank, process in enumerate(running):
        if rank != victim:
            _, err = process.communicate(timeout=30)
            assert process.returncode == 6, err
            errors.append(err[err.index("error[") :])
    assert time.monotonic() - begin < 1 + GRACE
    running[victim].kill()
    running[victim].communicate()
    for error in errors:
        assert f": rank {victim}: " in error.splitlines()[0]
    assert_clean(gpt2, scratch / "out")


def test_killed_parent_takes_all_along(gpt2, scratch):
    process = runs_on(gpt2, 5, gpt2, "--processes", 4, "--output-dir", scratch / "out")
    time.sleep(0.3)
    process.kill()
    process.communicate()
    limit = time.monotonic() + 3
    while processes_of(gpt2) and time.monotonic() < limit:
        time.sleep(0.02)
    assert_clean(gpt2, scratch / "out")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_parent_takes_all_along(gpt2, scratch, number):
    process = runs_on(gpt2, 5, gpt2, "--processes", 4, "--output-dir", scratch / "out")
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == -number and "error" not in err
    assert_clean(gpt2, scratch / "out")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_seeded_faults(gpt2, stages, scratch, seed):
    """Something happens to a random rank at a random moment."""
    chance = random.Random(seed)
    gpt2 = stages if seed % 2 else gpt2
    victim, per_process = chance.randrange(4), chance.choice([1, 1, 2])
    number = chance.choice([signal.SIGKILL, signal.SIGSTOP])
    words = [gpt2, "--processes", 4 // per_process, "--ranks-per-process", per_process]
    process = subprocess.Popen(
        [str(w) for w in (*words, "--repeat", 300, "--timeout", 1, "--random-inputs", 5)]
        + ["--output-dir", str(scratch / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(processes_of(gpt2)) < 1 + 4 // per_process and process.poll() is None:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.6))
    # Children are numbered as they are started.
    children = sorted(set(processes_of(gpt2)) - {process.pid})
    begin = time.monotonic()
    if len(children) == 4 // per_process:
        os.kill(children[victim // per_process], number)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 1 + GRACE + 2
    if process.returncode == 0:  # It was over, or all but over.
        assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")
        return
    assert process.returncode == 6, err
    ranks = range(victim // per_process * per_process, (victim // per_process + 1) * per_process)
    named = ("ranks " if per_process > 1 else "rank ") + ", ".join(map(str, ranks))
    # Before all had met, or after all had done their steps, processes are named.
    assert f": {named}: " in err.splitlines()[0] or f"process {victim // per_process}: " in err
    if "after all steps were done" in err:  # The first process may have written.
        assert outputs_of(scratch / "out") in ({}, outputs_of(gpt2.parent / "expected"))
        return
    assert_clean(gpt2, scratch / "out")


# ---------------------------------------------------------------------------
# Records
# ---------------------------------------------------------------------------


def fail_into(executable, scratch, folder, *options):
    inject = {"PARTITA_INJECT": "rank=1,command=20,kind=error"}
    words = [*options, "--flight-dir", folder]
    return tools.fails(run_here(executable, scratch / "out", *words, environment=inject), 6)


@pytest.mark.parametrize("options", [["--processes", 4], ["--communicator", "threads"]])
def test_records_go_where_they_are_told(gpt2, scratch, temporary, options):
    folder = scratch / "records"
    message = fail_into(gpt2, scratch, folder, *options)
    assert str(folder) in message.text
    record = tools.json.loads((folder / "rank-1.json").read_text())
    assert record["ranks"] == 4 and record["state"] == "failed"
    assert record["events"][-1]["what"].startswith("command 19, ")
    assert all(event["begin_ns"] <= event["end_ns"] for event in record["events"])
    assert not list(temporary.iterdir())
    doctor = tools.succeeds(tools.partita("doctor", folder, "--format", "json")).json()
    assert doctor["verdict"]["code"] == "run.injected"


def test_a_rank_without_a_record_was_killed(gpt2, scratch):
    folder = scratch / "records"
    fail_into(gpt2, scratch, folder, "--processes", 4)
    (folder / "rank-3.json").unlink()
    doctor = tools.succeeds(tools.partita("doctor", folder))
    assert doctor.out.startswith("run.rank-died: rank 3: left no record")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "[" * 100000,
        lambda text: text.replace('"rank": 1', '"rank": 9'),
        lambda text: text.replace('"rank": 1', '"rank": 0'),
        lambda text: text.replace('"ranks": 4', '"ranks": 99999999999'),
        lambda text: text.replace('"job": "', '"job": "x'),
        lambda text: text.replace('"events"', '"event"'),
        lambda text: text.replace('"waits_for": [', '"waits_for": ["x",'),
    ],
)
def test_bad_records(gpt2, scratch, change):
    folder = scratch / "records"
    fail_into(gpt2, scratch, folder, "--processes", 4)
    path = folder / "rank-1.json"
    path.write_text(change(path.read_text()))
    tools.fails(tools.partita("doctor", folder), 2)


def test_no_records(scratch):
    assert tools.fails(tools.partita("doctor", scratch / "nothing"), 2).code == "doctor.empty"
    assert tools.fails(tools.partita("doctor", scratch), 2).code == "doctor.empty"


def test_run_takes_the_same_options(gpt2, scratch):
    words = ["--random-inputs", 5, "--processes", 4, "--output-dir", scratch / "out"]
    tools.succeeds(tools.partita("run", gpt2, *words))
    assert outputs_of(scratch / "out") == outputs_of(gpt2.parent / "expected")


def test_without_the_plugin(gpt2, scratch):
    bare = scratch / "bare"
    shutil.copy(gpt2, bare)
    shutil.copytree(f"{gpt2}.d", scratch / f"{gpt2.name}.d")
    (scratch / f"{gpt2.name}.d" / "libpartita_gloo.so").unlink()
    tools.succeeds(run_here(bare, scratch / "out"))
    message = tools.fails(run_here(bare, scratch / "none", "--processes", 4), 3)
    assert message.code == "run.communicator"
