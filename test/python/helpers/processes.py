# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Executables as processes, on one machine or on two."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest

from . import tools

needs_gloo = pytest.mark.skipif(
    tools.BUILD.exists() and not (tools.BUILD / "lib" / "libpartita_gloo.so").exists(),
    reason="built without Gloo",
)

needs_mpi = pytest.mark.skipif(
    tools.BUILD.exists()
    and not ((tools.BUILD / "lib" / "libpartita_mpi.so").exists() and shutil.which("mpirun")),
    reason="built without MPI, or there is no mpirun",
)

#: Open MPI wants to be told twice; other users need not.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

#: Seconds between the end of a wait and the end of a job that failed by it.
GRACE = 4
#: What $PARTITA_INJECT does to a rank, and what is said of it.
FAULTS = [
    ("kill", "run.rank-died"),
    ("stop", "run.rank-silent"),
    ("hang", "run.timeout"),
    ("error", "run.injected"),
]
#: Runs of randomized tests.
SEEDS = int(os.environ.get("PARTITA_FAULT_RUNS", "24"))


def run_here(executable, outputs, *options, **settings):
    words = [executable, "--random-inputs", 5, "--output-dir", outputs, "--report", "json"]
    return tools.start(*words, *options, **settings)


def as_with_threads(executable, scratch, *options) -> tools.Done:
    """Three steps, which have to give and to count the same as threads do."""
    done = tools.succeeds(run_here(executable, scratch / "out", *options, "--repeat", 3))
    assert outputs_of(scratch / "out") == outputs_of(executable.parent / "expected")
    report = done.json()
    threads = run_here(executable, scratch / "out").json()
    for key in ("peak_bytes", "weight_bytes_read", "matmul_flops", "collectives"):
        assert report[key] == threads[key]
    return done


def outputs_of(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def torchrun(rank, world, port, **more) -> dict[str, str]:
    """The variables that torchrun sets on one machine."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        **more,
    }


def processes_of(executable) -> list[int]:
    """Those that run this file."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(executable):
                found.append(int(pid))
        except OSError:
            pass
    return found


def assert_clean(executable, outputs):
    assert not processes_of(executable)
    assert not outputs_of(outputs)
    left = [path.name for path in (outputs.parent / "tmp").iterdir()]
    assert len(left) <= 1 and all(name.startswith("partita-flight-") for name in left)


def runs_on(executable, count, *words) -> subprocess.Popen:
    """Starts a command whose `count` processes of this file compute without end."""
    endless = [*words, "--repeat", 100000, "--random-inputs", 5]
    process = subprocess.Popen(
        [str(word) for word in endless],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(processes_of(executable)) < count and process.poll() is None:
        time.sleep(0.02)
    return process
