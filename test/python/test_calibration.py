# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measured times of this machine: how they are taken, read and followed.

How near predictions come is no test: other processes run, too. `partita bench
calibration` says it, and docs/performance.md what it said."""

import os
import pathlib
import re
import sys

import pytest
from helpers import tools

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> pathlib.Path:
    """A quick calibration of one and two ranks."""
    path = tmp_path_factory.mktemp("calibration") / "machine.yaml"
    done = tools.succeeds(tools.partita("calibrate", "--ranks", "2,1", "--quick", "-o", path))
    assert "measured with 1 and 2 ranks" in done.out and not done.err
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return path


@pytest.fixture
def bert(zoo_model):
    return zoo_model("bert").path


def plan(model, *arguments) -> dict:
    done = tools.partita("plan", model, "--topology", "cpu:2", *arguments, "--format", "json")
    return tools.succeeds(done).json()


def predicted(model, *arguments) -> tuple[float, float]:
    document = plan(model, *arguments)["predicted"]
    return document["compute_seconds"], document["communication_seconds"]


def scaled(text: str, factor: float, below: str) -> str:
    """The text with all times after a line of `below` multiplied."""
    at = text.index(below)

    def times(match):
        return re.sub(r"[\d.]+(?= [num]?s)", lambda n: f"{factor * float(n[0]):.9f}", match[0])

    return text[:at] + re.sub(r"time: \[[^\]]*\]", times, text[at:])


def test_the_file_is_what_was_asked_for(measured):
    text = measured.read_text()
    assert text.startswith("partita_calibration: 1\ndevice: ")
    assert re.findall(r"^  - ranks: (\d+)", text, re.MULTILINE) == ["1", "2"]
    for name in ("gemm", "attention", "conv", "memory"):
        assert text.count(f"class: {name}\n") == 2
    for name in ("all_gather", "reduce_scatter", "all_reduce", "all_to_all"):
        assert text.count(f"move: {name}\n") == 1
    for times in re.findall(r"time: \[([^\]]*)\]", text):
        assert all(re.fullmatch(r"[\d.]+ (ns|us|ms)", t.strip()) for t in times.split(","))


def test_prices_follow(measured, scratch, bert):
    text = measured.read_text()
    two = text[text.index("  - ranks: 2") :]
    head = text[: text.index("  - ranks: 1")]
    kept = scratch / "plan.json"
    own = predicted(bert, "--split-plan", "1", "--calibration", measured, "-o", kept)
    # The same plan at other prices.
    assert own != predicted(bert, "--plan", kept)
    slower = scratch / "slower.yaml"
    slower.write_text(head + scaled(two, 10, "kernels:"))
    compute, communication = predicted(bert, "--plan", kept, "--calibration", slower)
    assert compute == pytest.approx(10 * own[0], rel=1e-3)
    assert communication == pytest.approx(10 * own[1], rel=1e-3)
    slower.write_text(head + scaled(two, 1000, "collectives:"))
    compute, communication = predicted(bert, "--plan", kept, "--calibration", slower)
    assert compute == pytest.approx(own[0], rel=1e-3)
    assert communication > 100 * own[1]
    # Nothing is moved where that costs so much, unless a mesh is demanded.
    assert plan(bert, "--calibration", slower)["predicted"]["communication_seconds"] == 0


def test_a_plan_is_compiled_and_priced_alike(measured, scratch, bert):
    request = ["--topology", "cpu:2", "--calibration", measured]
    done = tools.partita("compile", bert, *request, "-o", scratch / "out")
    assert "predicted step" in tools.succeeds(done).out
    info = tools.succeeds(tools.start(scratch / "out", "--info")).json()
    assert info["predicted"] == plan(bert, "--calibration", measured)["predicted"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("partita_calibration: 1", "partita_calibration: 7"), "calibration.version"),
        (("partita_calibration: 1", "partita_topology: 1"), "calibration.format"),
        (("time: [", "time: [1 us, "), "calibration.count"),
        ((" us", ""), "calibration.quantity"),
        (("class: gemm", "class: gem"), "calibration.name"),
        (("ranks: 2", "ranks: 8"), "calibration.load"),
        (("cores", "{cores"), "calibration.yaml"),
    ],
)
def test_bad_files(measured, scratch, bert, change, code):
    bad = scratch / "bad.yaml"
    bad.write_text(measured.read_text().replace(*change))
    request = ["plan", bert, "--topology", "cpu:2", "--calibration", bad]
    message = tools.fails(tools.partita(*request), 2)
    assert message.code == code and str(bad) in message.text


def test_no_such_file_and_other_machines(measured, scratch, bert):
    request = ["plan", bert, "--topology", "cpu:2", "--calibration", scratch / "none"]
    tools.fails(tools.partita(*request), 2)
    request = ["plan", bert, "--topology", "dgx-h100", "--calibration", measured]
    assert tools.fails(tools.partita(*request), 3).code == "calibration.machine"


def test_what_cannot_be_written_is_not_measured(scratch):
    request = ["calibrate", "-o", scratch / "none" / "machine.yaml"]
    tools.fails(tools.partita(*request, timeout=5), 2)
    tools.fails(tools.partita("calibrate", "--quick", "--ranks", "1", "-o", "/dev/full"), 2)
    tools.fails(tools.partita("calibrate", "--ranks", "0", "-o", scratch / "m.yaml"), 1)
    tools.fails(tools.partita("calibrate"), 1)
    assert not list(scratch.iterdir())


def test_bench(measured, bert):
    request = [
        "--ranks",
        "2",
        "--rounds",
        "1",
        "--calibration",
        measured,
        "--format",
        "json",
    ]
    done = tools.succeeds(tools.partita("bench", "calibration", bert, *request))
    answer = done.json()
    rows = answer["rows"]
    assert [row["mesh"] for row in rows[1:]] == ["dp=2", "sp=2", "tp=2"]
    assert [row["chosen"] for row in rows] == [True, False, False, False]
    for row in rows:
        error = 100 * (row["predicted_seconds"] / row["measured_seconds"] - 1)
        assert row["error_percent"] == pytest.approx(error)
    (summary,) = answer["ranks"]
    times = [row["measured_seconds"] for row in rows]
    assert summary["chosen_over_fastest"] == pytest.approx(times[0] / min(times))
    errors = [abs(row["error_percent"]) for row in rows]
    assert summary["mean_absolute_error_percent"] == pytest.approx(sum(errors) / len(errors))


def test_documented_commands(scratch):
    page = (tools.ROOT / "docs" / "calibration.md").read_text()
    (commands,) = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    folders = [str(tools.PARTITA.parent), str(pathlib.Path(sys.executable).parent)]
    environment = {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    done = tools.start(
        "bash",
        "-euxo",
        "pipefail",
        "-c",
        commands,
        environment=environment,
        cwd=scratch,
    )
    assert done.code == 0, str(done)
    assert "rank correlation" in done.out


def test_documented_file(scratch, bert):
    page = (tools.ROOT / "docs" / "calibration.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = scratch / "example.yaml"
    path.write_text(example)
    request = ["--mesh", "tp=2"]
    assert predicted(bert, *request, "--calibration", path) != predicted(bert, *request)
