# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Descriptions of machines: what is shown, what is refused, what can be planned for."""

import re
import time

import pytest
from helpers import tools

pytestmark = pytest.mark.usefixtures("compiler")

FILE = """\
partita_topology: 1
name: ours
devices:
  old: {base: h100-sxm, memory: 40 GiB}
ranks: [{device: h100-sxm, count: 2}, {device: old, count: 2}]
hierarchy:
  - level: node
    size: 4
    link: {kind: nvlink, latency: 2 us, bandwidth: 150 GB/s}
machines: 3
network: {kind: ethernet, latency: 20 us, bandwidth: 25 Gbit/s}
overrides:
  - {level: node, groups: 1, link: {bandwidth: 50 GB/s}}
"""


@pytest.fixture
def written(scratch):
    def write(text):
        path = scratch / "machine.yaml"
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return path

    return write


def topology(*arguments):
    return tools.partita("topology", *arguments)


# ===----------------------------------------------------------------------===#
# show, validate, list
# ===----------------------------------------------------------------------===#


def test_show_a_file(written):
    shown = tools.succeeds(topology("show", written(FILE), "--format", "json")).json()
    assert (shown["name"], shown["ranks"]) == ("ours", 12)
    assert [(level["level"], level["size"]) for level in shown["levels"]] == [
        ("node", 4),
        ("cluster", 3),
    ]
    assert shown["levels"][0]["link"]["bytes_per_second"] == 150e9
    assert shown["levels"][1]["link"]["bytes_per_second"] == 3.125e9
    assert shown["devices"][1]["memory_bytes"] == 40 << 30
    assert [part["device"] for part in shown["ranges"]] == ["h100-sxm", "old"] * 3
    assert shown["overrides"][0]["link"]["bytes_per_second"] == 50e9
    text = tools.succeeds(topology("show", written(FILE))).out
    for words in ("ours: 12 ranks on 2 levels", "150 GB/s", "40 GiB", "node 1"):
        assert words in text


def test_validate_a_file(written):
    path = written(FILE)
    assert tools.succeeds(topology("validate", path)).out == f"{path}: ours, 12 ranks\n"
    judged = tools.succeeds(topology("validate", path, "--format", "json")).json()
    assert judged == {"valid": True, "name": "ours", "ranks": 12}


def test_the_examples_of_the_documentation(written):
    text = (tools.ROOT / "docs" / "topology.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    shown = [
        tools.succeeds(topology("show", written(example), "--format", "json")).json()
        for example in examples
    ]
    assert [machine["ranks"] for machine in shown] == [128, 8]
    assert [level["level"] for level in shown[1]["levels"]] == ["socket", "node"]


def test_what_is_listed_can_be_shown():
    listed = tools.succeeds(topology("list", "--format", "json")).json()
    text = tools.succeeds(topology("list")).out
    names = {machine["name"] for machine in listed["machines"]}
    assert {"dgx-a100", "dgx-h100", "dgx-b200", "gb200-nvl72", "mi300x8"} <= names
    for name in [*names, *(device["name"] for device in listed["devices"])]:
        assert re.search(rf"^  {name} ", text, re.MULTILINE), name
        tools.succeeds(topology("show", name))
    assert all(device["source"] for device in listed["devices"])
    for network in listed["networks"]:
        shown = tools.succeeds(
            topology("show", f"dgx-h100x2@{network}", "--format", "json")
        )
        assert shown.json()["ranks"] == 16


def test_a_cluster_by_name():
    shown = tools.succeeds(topology("show", "dgx-h100x128", "--format", "json")).json()
    assert shown["ranks"] == 1024
    assert shown["devices"][0]["matrix_flops"]["bf16"] == 989.4e12
    assert shown["levels"][0]["link"]["reduces"]
    assert shown["levels"][1]["link"]["kind"] == "infiniband"


# ===----------------------------------------------------------------------===#
# Bad input
# ===----------------------------------------------------------------------===#


def refused(path, code: str, *words: str, exit_code: int = 2) -> tools.Message:
    messages = set()
    for command in ("show", "validate"):
        began = time.monotonic()
        messages.add(tools.fails(topology(command, path), exit_code))
        assert time.monotonic() - began < 10
    (message,) = messages
    assert message.code == code, message
    for word in words:
        assert word in message.text + message.hint, f"'{word}' is not said: {message}"
    return message


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("150 GB/s", "150", "quantity", (":9:52: ", "the unit is missing", "900 GB/s")),
        ("150 GB/s", "0 GB/s", "quantity", (":9:52: ", "above zero")),
        ("150 GB/s", "-1 GB/s", "quantity", ("above zero",)),
        ("150 GB/s", "nan GB/s", "quantity", ("out of range",)),
        ("150 GB/s", ".inf", "quantity", ("no number",)),
        ("150 GB/s", "1e400 GB/s", "quantity", ("out of range",)),
        ("150 GB/s", "150 GB", "quantity", ("'GB'",)),
        ("size: 4", "size: 99999999999999999999", "count", (":8:11: ",)),
        ("size: 4", "size: 1000000", "ranks", ("4 of the 1000000",)),
        ("machines: 3", "machines: 1000000", "size", ("1048576",)),
        ("hierarchy:", "hierachy:", "key", (":6:1: ", "'hierarchy'")),
        ("machines: 3", "ranks: 3", "yaml", (":10:1: ", "twice", "line 5")),
        ("kind: nvlink", "kind: nvlnk", "name", ("'nvlink'",)),
        ("base: h100-sxm", "base: h100", "name", (":4:15: ",)),
        ("count: 2}]", "count: 3}]", "ranks", ("exceed",)),
        ("groups: 1", "groups: 3", "range", ("0 to 2",)),
        ("partita_topology: 1", "partita_topology: 2", "version", (":1:19: ",)),
        ("network: {", "# {", "network", ("joins",)),
    ],
)
def test_wrong_values(written, old, new, code, words):
    assert FILE.count(old) >= 1
    refused(written(FILE.replace(old, new)), f"topology.{code}", *words)


GRAPH = (
    "partita_topology: 1\ndevice: l40s\ngraph:\n  ranks: 4\n  switches: [s]\n  links:\n"
)
LINK = ", kind: pcie, latency: 1 us, bandwidth: 30 GB/s}\n"


def test_wrong_graphs(written):
    tools.succeeds(topology("show", written(GRAPH + "    - {from: 0-3, to: s" + LINK)))
    refused(
        written(GRAPH + "    - {from: 0-2, to: s" + LINK),
        "topology.disconnected",
        "from rank 0 to rank 3",
    )
    refused(
        written(GRAPH + "    - {from: 2, to: 2" + LINK), "topology.self-link", ":7:7: "
    )
    refused(written(GRAPH + "    - {from: 2, to: 4" + LINK), "topology.range")


def lines(count):
    return "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, count)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\1\2",
        b"\xff\xfe\x00",
        "a: [",
        "a: &a [1]\nb: *a\n",
        "a0: &a0 [x]\n" + lines(20),
        "[" * 200_000,
        "{a: " * 200_000,
        "- " * 200_000,
        "? " * 200_000,
        "[" + "1," * 2_000_000,
        "a: " + "x" * 10_000_000,
        "".join(f"a{i}: 1\n" for i in range(200_000)),
        "a: !!python/object:os.system {}",
        "partita_topology: 1\n---\npartita_topology: 1\n",
    ],
    ids=range(15),
)
def test_what_is_no_topology(written, text):
    message = refused(written(text), refused_code(written(text)))
    assert message.code in ("topology.yaml", "topology.format")


def refused_code(path) -> str:
    return tools.fails(topology("validate", path), 2).code


def test_files_that_are_none(scratch, written):
    refused(scratch / "absent.yaml", "file.open")
    huge = written("")
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    refused(huge, "file.too-large")
    folder = scratch / "folder.yaml"
    folder.mkdir()
    refused(folder, "file.not-regular")


@pytest.mark.parametrize(
    "name",
    ["dgx-h10", "dgx-h100x0", "dgx-h100x999999999", "dgx-h100x2@ib", "l40s@x", ""],
)
def test_names_that_are_none(name):
    refused(name, refused_name_code(name), exit_code=1)


def refused_name_code(name) -> str:
    code = tools.fails(topology("show", name), 1).code
    assert code in ("topology.name", "topology.size")
    return code


@pytest.mark.parametrize(
    "arguments", [[], ["show"], ["frobnicate"], ["list", "--format", "xml"]]
)
def test_usage(arguments):
    assert tools.fails(topology(*arguments), 1).code == "usage"


# ===----------------------------------------------------------------------===#
# 100,000 devices
# ===----------------------------------------------------------------------===#


def test_many_devices(written):
    shown = tools.succeeds(
        topology("show", "dgx-h100x12500", "--format", "json")
    ).json()
    assert shown["ranks"] == 100_000
    text = GRAPH.replace("ranks: 4", "ranks: 100000").replace(
        "[s]", "{leaf: 3125, spine: 8}"
    )
    text += "    - {from: 0-99999, to: leaf, spread: true" + LINK
    text += "    - {from: leaf, to: spine" + LINK.replace("30", "20")
    shown = tools.succeeds(topology("show", written(text), "--format", "json")).json()
    assert [level["size"] for level in shown["levels"]] == [32, 3125]
    refused(
        written(text.replace("to: leaf, spread: true", "to: 0-99999")),
        "topology.size",
    )


# ===----------------------------------------------------------------------===#
# Planning
# ===----------------------------------------------------------------------===#


def planned(model, *arguments):
    request = ["plan", model, "--format", "json", *arguments]
    return tools.succeeds(tools.partita(*request)).json()


def test_plan_for_machines_that_are_not_here(zoo_model, written):
    for name in ("dgx-a100", written(FILE)):
        plan = planned(zoo_model("bert").path, "--topology", name)
        assert plan["topology"] == str(name)
        assert 0 < plan["bound"]["step_seconds"] <= plan["predicted"]["step_seconds"]


PAIR = """\
partita_topology: 1
device: l40s
hierarchy:
  - {level: node, size: 2, link: {kind: pcie, latency: 1 us, bandwidth: 30 GB/s}}
"""
APART = PAIR.replace("size: 2", "size: 1") + (
    "machines: 2\nnetwork: {kind: ethernet, latency: 500 us, bandwidth: 10 Mb/s}\n"
)


def test_axes_are_priced_by_the_level_that_they_cross(zoo_model, scratch, written):
    """The same plan in one machine, and over a network that is slow."""
    model, plan = zoo_model("bert").path, scratch / "plan.json"
    pinned = ["--mesh", "tp=2", "--pin", "*MatMul*:n=tp"]
    near = planned(model, "--topology", written(PAIR), *pinned, "-o", plan)
    assert near["report"]["collectives"]
    far = planned(model, "--topology", written(APART), "--plan", plan)
    assert far["strategies"] == near["strategies"]
    assert far["predicted"]["step_seconds"] > 10 * near["predicted"]["step_seconds"]


def test_a_machine_that_changed_has_another_bound(zoo_model, scratch, written):
    model, plan = zoo_model("bert").path, scratch / "plan.json"
    pinned = ["--mesh", "tp=2", "--pin", "*MatMul*:n=tp"]
    before = planned(model, "--topology", written(PAIR), *pinned, "-o", plan)
    same = planned(model, "--topology", written(PAIR), "--plan", plan)
    assert same["bound"] == before["bound"] and before["bound"]["step_seconds"] > 0
    changed = written(PAIR.replace("30 GB/s", "3 GB/s"))
    assert (
        planned(model, "--topology", changed, "--plan", plan)["bound"]["step_seconds"]
        == 0
    )


def test_a_device_like_another_is_priced_like_it(zoo_model, written):
    """What is measured of a type holds for its variants, whatever they are called."""
    model = zoo_model("bert").path
    other = "devices:\n  ours: {base: l40s, memory: 40 GiB}\ndevice: ours\n"
    costs = [
        planned(model, "--topology", written(text), "--mesh", "tp=2")["predicted"]
        for text in (PAIR, PAIR.replace("device: l40s\n", other))
    ]
    assert costs[0] == costs[1]


def test_a_plan_for_many_devices(zoo_model):
    began = time.monotonic()
    plan = planned(
        zoo_model("bert").path, "--topology", "dgx-h100x12500", "--mesh", "dp=100000"
    )
    assert time.monotonic() - began < 60
    assert plan["predicted"]["step_seconds"] > 0


def test_no_executable_for_machines_that_are_not_here(zoo_model, scratch):
    model = zoo_model("bert").path
    for command in (["compile", "-o", scratch / "out"], ["verify"]):
        done = tools.partita(*command, model, "--topology", "dgx-a100")
        assert tools.fails(done, 3).code == "topology.kind"
    assert not list(scratch.iterdir())


def test_an_executable_for_a_file(zoo_model, scratch, written):
    path = written(
        "partita_topology: 1\n"
        "devices:\n"
        "  here: {kind: cpu, vector: {f32: 100 GFLOP/s}, memory: 4 GiB,\n"
        "    memory_bandwidth: 10 GB/s, launch: 2 us}\n"
        "device: here\n"
        "hierarchy:\n"
        "  - {level: process, size: 2, link: {kind: shared-memory, latency: 3 us,\n"
        "      bandwidth: 10 GB/s}}\n"
    )
    done = tools.partita("verify", zoo_model("bert").path, "--topology", path)
    assert "verified" in tools.succeeds(done).out
