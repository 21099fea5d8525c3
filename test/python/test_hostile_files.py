# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files that were made to do harm: small ones that stand for much, names that
write messages, places that lead elsewhere. Each is handled, or refused with one
message, in the time and the memory of a small model.

docs/hostile-files.md lists the limits. What a user may do wrong without meaning to
is in test_bad_input.py and test_bad_run.py.
"""

import itertools
import json
import os
import pathlib

import numpy
import pytest
from helpers import onnx_models, tools
from helpers.onnx_models import FLOAT, INT64, make_model
from onnx import TensorProto, helper

pytestmark = pytest.mark.usefixtures("compiler")

CRASHERS = tools.ROOT / "test" / "fuzz" / "crashers"
X = {"x": (FLOAT, [4, 8])}
Y = {"y": (FLOAT, [4, 8])}
CPU = ("--topology", "cpu:2")
MEMORY = 1 << 30


def bounded(*arguments, seconds=30, memory=MEMORY):
    """Runs the compiler with so much time and memory; a sanitizer needs more."""
    factor = 10 if tools.SANITIZED else 1
    limit = tools.limit_memory(memory)
    return tools.partita(*arguments, timeout=seconds * factor, preexec_fn=limit)


def plan(scratch, model, **limits):
    """`partita plan` of a model or of its bytes."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    path = scratch / "m.onnx"
    path.write_bytes(content)
    return bounded("plan", path, *CPU, **limits)


def refused(done, exit_code: int, code: str, *words: str) -> tools.Message:
    message = tools.fails(done, exit_code)
    assert message.code == code, done
    assert len(message.text) + len(message.hint) < 2000, "a message is for people"
    for word in words:
        assert word in message.text, done
    return message


def handled(done) -> None:
    """It went well, or was refused with one message that is not about memory."""
    assert done.code in (0, 2, 3), done
    if done.code:
        assert tools.fails(done, done.code).code != "memory", done


node = helper.make_node
tensor = onnx_models.tensor
array = numpy.array


# ===----------------------------------------------------------------------===#
# Functions
# ===----------------------------------------------------------------------===#


def function(name: str, calls):
    """A function of one value that calls others in turn."""
    values = ["a", *(f"t{i}" for i in range(len(calls) - 1)), "b"]
    nodes = [
        node(call, [a], [b], domain="" if call == "Relu" else "local")
        for call, a, b in zip(calls, values, values[1:])
    ]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], nodes, imports)


def calling(name: str, functions):
    model = make_model([node(name, ["x"], ["y"], domain="local")], X, Y)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.extend(functions)
    return model


def layers(count: int, calls: int):
    """Each function calls the one before it so often."""
    made = [function("F0", ["Relu"])]
    made += [function(f"F{i}", [f"F{i - 1}"] * calls) for i in range(1, count + 1)]
    return calling(f"F{count}", made)


FUNCTIONS = {
    "calls itself": (calling("F", [function("F", ["F"])]), "calls itself"),
    "call each other": (
        calling("F", [function("F", ["G"]), function("G", ["F"])]),
        "calls itself",
    ),
    "2^40 nodes": (layers(40, 2), "more than a million nodes"),
    "5000 deep": (layers(5000, 1), "more than 100 deep"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions(scratch, case):
    model, words = FUNCTIONS[case]
    refused(plan(scratch, model, seconds=10), 2, "import.function", words)


# ===----------------------------------------------------------------------===#
# Structure
# ===----------------------------------------------------------------------===#


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def chain(kind: bytes, count: int) -> bytes:
    """A model of so many nodes, each of which reads the one before it."""
    model = make_model([], X, Y)
    nodes = [
        field(1, field(1, b"x" if i == 0 else b"t%d" % (i - 1))
                 + field(2, b"y" if i == count - 1 else b"t%d" % i)
                 + field(4, kind))
        for i in range(count)
    ]  # fmt: skip
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    return model.SerializeToString() + field(7, graph + b"".join(nodes))


@pytest.mark.parametrize("kind, attribute", [(b"If", b"then_branch"), (b"Loop", b"body")])
def test_subgraphs_10000_deep(scratch, kind, attribute):
    graph = field(2, b"inner")
    for _ in range(10_000):
        graph = field(1, field(4, kind) + field(5, field(1, attribute) + field(6, graph)))
    refused(plan(scratch, b"\x08\x0a" + field(7, graph), seconds=10), 2, "import.nesting")


def test_many_nodes_are_planned(scratch):
    tools.succeeds(plan(scratch, chain(b"Relu", 100_000), seconds=60, memory=2 << 30))


def test_no_memory(scratch):
    """Where memory ends there is a message, whoever was allocating."""
    content = chain(b"Relu", 100_000)
    for megabytes in (40, 80, 160):
        done = plan(scratch, content, memory=megabytes << 20)
        assert tools.SANITIZED or refused(done, 3, "memory")


def test_more_nodes_than_are_imported(scratch):
    done = plan(scratch, chain(b"Relu", 1_000_001), seconds=60, memory=3 << 30)
    refused(done, 3, "import.nodes", "million")


def wide(kind: str, count: int):
    """One node that reads the same value so often."""
    return make_model([node(kind, ["x"] * count, ["y"])], X, Y)


def test_many_operands(scratch):
    tools.succeeds(plan(scratch, wide("Sum", 10_000), seconds=20))
    refused(plan(scratch, wide("Sum", 10_001)), 3, "import.operands", "10000")
    outputs = node("Split", ["x"], [f"y{i}" for i in range(10_001)], num_outputs=10_001)
    refused(plan(scratch, make_model([outputs], X, Y)), 3, "import.operands")


def test_many_outputs(scratch):
    """Once quadratic in time and memory: each had a list of the attributes of all."""
    names = [f"y{i}" for i in range(20_000)]
    nodes = [node("Relu", ["x"], [name]) for name in names]
    model = make_model(nodes, X, {name: Y["y"] for name in names})
    tools.succeeds(plan(scratch, model, seconds=40, memory=3 << 30))


def test_many_inputs(scratch):
    names = [f"x{i}" for i in range(10_000)]
    model = make_model([node("Sum", names, ["y"])], {name: X["x"] for name in names}, Y)
    tools.succeeds(plan(scratch, model, seconds=40, memory=3 << 30))


def test_a_value_that_everything_reads(scratch):
    """Once quadratic in time: the planner looked at all its readers after each."""
    names = ["x", *(f"t{i}" for i in range(20_000)), "y"]
    nodes = [node("Add", [a, "x"], [b]) for a, b in itertools.pairwise(names)]
    tools.succeeds(plan(scratch, make_model(nodes, X, Y), seconds=20))


def test_huge_attributes(scratch):
    many = make_model(
        [node("Constant", [], ["s"], value_ints=[1] * 3_000_000), node("Reshape", ["x", "s"], ["y"])],
        X,
        Y,
    )  # fmt: skip
    handled(plan(scratch, many))
    turned = make_model([node("Transpose", ["x"], ["y"], perm=list(range(1_000_000)))], X, Y)
    refused(plan(scratch, turned), 2, "import.node", "permutation")
    named = make_model([node("Relu", ["x"], ["y"])], X, Y)
    for i in range(100_000):
        named.graph.node[0].attribute.add(name=f"a{i}", i=i, type=2)
    refused(plan(scratch, named), 2, "import.node", "a0")


# ===----------------------------------------------------------------------===#
# Shapes
# ===----------------------------------------------------------------------===#


def bomb(kind, inputs, constants, **attributes):
    """A node whose result is as large as its small inputs say, and then summed up."""
    ends = [
        node("Cast", ["big"], ["f"], to=FLOAT),
        node("ReduceSum", ["f"], ["s"], keepdims=0),
    ]
    nodes = [
        node(kind, inputs, ["big"], **attributes),
        *ends,
        node("Add", ["x", "s"], ["y"]),
    ]
    return make_model(nodes, X, Y, [tensor(name, value) for name, value in constants.items()])


def bombs(count: int):
    row, image = array([3, 4], "f4"), array([[[[3, 4]]]], "f4")
    sizes = array([1, 1, 1, count])
    return {
        "Expand": bomb("Expand", ["c", "n"], {"c": row[:1], "n": [count]}),
        "Tile": bomb("Tile", ["c", "n"], {"c": row, "n": [count]}),
        "ConstantOfShape": bomb("ConstantOfShape", ["n"], {"n": [count]}),
        "Range": bomb("Range", ["a", "n", "d"], {"a": 0, "n": count, "d": 1}),
        "Pad": bomb("Pad", ["c", "n"], {"c": row, "n": [count, 0]}),
        "nearest": bomb("Resize", ["c", "", "", "n"], {"c": image, "n": sizes}, mode="nearest"),
        "linear": bomb("Resize", ["c", "", "", "n"], {"c": image, "n": sizes}, mode="linear"),
        "OneHot": bomb("OneHot", ["i", "n", "v"], {"i": [3], "n": count, "v": row}),
        "HannWindow": bomb("HannWindow", ["n"], {"n": count}),
    }


@pytest.mark.parametrize("kind", bombs(1))
def test_shape_bombs(scratch, kind):
    """A result of 2^30 to 2^40 elements takes no room before something runs; one of
    2^62 is refused."""
    for bits in (30, 40):
        handled(plan(scratch, bombs(1 << bits)[kind], seconds=10))
    done = plan(scratch, bombs(1 << 62)[kind], seconds=10)
    assert tools.fails(done, 2).code in ("import.shape", "import.node"), done


def test_doubling_again_and_again(scratch):
    names = [f"c{i}" for i in range(33)]
    model = bomb("Identity", ["c32"], {"c0": [1]})
    doubled = [node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    for concat in reversed(doubled):
        model.graph.node.insert(0, concat)
    handled(plan(scratch, model, seconds=40))


def test_identity_matrix(scratch):
    model = bomb("EyeLike", ["e"], {"n": [1 << 20, 1 << 20]})
    model.graph.node.insert(0, node("ConstantOfShape", ["n"], ["e"]))
    handled(plan(scratch, model, seconds=10))


def loop(count: int, body, initializers=()):
    infos = [("i", INT64, []), ("c", TensorProto.BOOL, []), ("s", FLOAT, [4, 8])]
    ins = [helper.make_tensor_value_info(*info) for info in infos]
    outs = [helper.make_tensor_value_info(n, t, s) for n, (_, t, s) in zip(["c2", "s2"], infos[1:])]
    graph = helper.make_graph([node("Identity", ["c"], ["c2"]), *body], "b", ins, outs)
    start = [tensor("n", array(count)), tensor("t", array(True)), *initializers]
    return make_model([node("Loop", ["n", "t", "x"], ["y"], body=graph)], X, Y, start)


def test_endless_loop(scratch):
    done = plan(scratch, loop(1 << 62, [node("Relu", ["s"], ["s2"])]))
    refused(done, 3, "import.unknown-operator", "more iterations")


def test_loop_that_doubles(scratch):
    done = plan(scratch, loop(100, [node("Concat", ["s", "s"], ["s2"], axis=0)]))
    refused(done, 2, "import.shape", "Concat")


@pytest.mark.parametrize("dims", [[1 << 62], [1 << 60], [1 << 31, 1 << 31], [0, 1 << 62, 4]])
def test_huge_dimensions(scratch, dims):
    """[0, 2^62, 4] has no element, but the product of its other sizes is none."""
    spec = (FLOAT, dims)
    done = plan(scratch, make_model([node("Relu", ["x"], ["y"])], {"x": spec}, {"y": spec}))
    refused(done, 2, "import.shape", '"x"')


@pytest.mark.parametrize("rank", [17, 100_000])
def test_many_dimensions(scratch, rank):
    spec = (FLOAT, [1] * rank)
    done = plan(scratch, make_model([node("Relu", ["x"], ["y"])], {"x": spec}, {"y": spec}))
    refused(done, 3, "import.rank", '"x"', str(rank))


# ===----------------------------------------------------------------------===#
# Names and types
# ===----------------------------------------------------------------------===#

LONG = b"q" * (1 << 20)
NAMES = {
    "NUL": (b"a\0b", 2, "control character"),
    "line break": (b"a\nerror[internal]: b", 2, "control character"),
    "escape": (b"\x1b[31ma", 2, "control character"),
    "not UTF-8": (b"a\xff\xfe\x80", 2, "not UTF-8"),
    "megabyte": (LONG, 3, "1048576 bytes"),
}


def everywhere():
    """Where names stand: models in which one is AAAA."""
    relu = node("Relu", ["x"], ["y"])
    labelled = make_model([node("Relu", ["x"], ["y"], name="AAAA")], X, Y)
    inner = make_model([node("Relu", ["x"], ["AAAA"]), node("Neg", ["AAAA"], ["y"])], X, Y)
    weight = make_model([node("Add", ["x", "AAAA"], ["y"])], X, Y, [tensor("AAAA", [1.0])])
    symbol = make_model([relu], {"x": (FLOAT, ["AAAA", 8])}, Y)
    called = calling("AAAA", [function("AAAA", ["Relu"])])
    place = onnx_models.linear()
    onnx_models.make_external(place, "w", "AAAA", 0, 256)
    return {
        "node": labelled,
        "value": inner,
        "input": make_model([node("Relu", ["AAAA"], ["y"])], {"AAAA": X["x"]}, Y),
        "output": make_model([node("Relu", ["x"], ["AAAA"])], X, {"AAAA": Y["y"]}),
        "weight": weight,
        "operator": make_model([node("AAAA", ["x"], ["y"])], X, Y),
        "attribute": make_model([node("Relu", ["x"], ["y"], AAAA=1)], X, Y),
        "dimension": symbol,
        "function": called,
        "file": place,
    }


def renamed(message: bytes, name: bytes) -> bytes:
    """The message of protobuf with another name for AAAA, at any depth: lengths
    around it have to follow, so fields are taken apart where that gives sense."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return value, at

    if message == b"AAAA":
        return name
    if b"AAAA" not in message:
        return message
    out, at = b"", 0
    while at < len(message):
        start = at
        tag, at = number(at)
        size, at = number(at)
        if tag & 7 == 2:
            content = message[at : at + size]
            at += size
            out += (
                field(tag >> 3, renamed(content, name)) if b"AAAA" in content else message[start:at]
            )
        else:
            assert tag & 7 == 0, "a number"
            out += message[start:at]
    return out  # fmt: skip


@pytest.mark.parametrize("where", everywhere())
def test_names(scratch, where):
    model = everywhere()[where].SerializeToString()
    for name, exit_code, words in NAMES.values():
        done = plan(scratch, renamed(model, name))
        refused(done, exit_code, "import.name", words)


@pytest.mark.parametrize(
    "model",
    [
        make_model([node("Identity", ["x"], ["y"])], {"x": (TensorProto.STRING, [2])}, Y),
        make_model(
            [node("Relu", ["x"], ["y"])],
            X,
            Y,
            [helper.make_tensor("s", TensorProto.STRING, [2], [b"a", LONG])],
        ),
        make_model([node("Constant", [], ["y"], value_string=LONG)], X, Y),
        make_model([node("Constant", [], ["y"], value_strings=[b"a"] * 100_000)], X, Y),
    ],
    ids=["input", "weight", "constant", "constants"],
)
def test_strings(scratch, model):
    tools.fails(plan(scratch, model), 3)


# ===----------------------------------------------------------------------===#
# Files beside the model
# ===----------------------------------------------------------------------===#


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "socket"])
def test_a_model_that_is_no_file(scratch, kind):
    path = scratch / "m.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = pathlib.Path("/dev/zero")
    else:
        os.mknod(path, 0o140644)
    code = "file.open" if kind == "socket" else "file.not-regular"
    refused(bounded("plan", path, *CPU, seconds=10), 2, code)


def external(scratch, location: str, offset=0, length=256):
    model = onnx_models.linear()
    onnx_models.make_external(model, "w", location, offset, length)
    return plan(scratch, model, seconds=10)


def test_external_data_goes_by_no_link(scratch):
    """Not even by one to a file that could be named directly."""
    (scratch / "data").mkdir()
    (scratch / "data" / "w.bin").write_bytes(bytes(256))
    tools.succeeds(external(scratch, "data/w.bin"))
    (scratch / "link").symlink_to("data/w.bin")
    (scratch / "folder").symlink_to("data")
    (scratch / "zero").symlink_to("/dev/zero")
    for location in ("link", "folder/w.bin", "zero"):
        refused(external(scratch, location), 2, "file.outside", '"w"', "link")


@pytest.mark.parametrize("location", ["/dev/zero", "/proc/self/mem", "data/../w.bin", "m.onnx/w"])
def test_external_data_elsewhere(scratch, location):
    (scratch / "w.bin").write_bytes(bytes(256))
    tools.fails(external(scratch, location), 2)


@pytest.mark.parametrize("offset", [(1 << 63) - 1, (1 << 63) - 256, (1 << 64) - 256, 1 << 80])
def test_external_data_whose_end_overflows(scratch, offset):
    (scratch / "w.bin").write_bytes(bytes(256))
    refused(external(scratch, "w.bin", offset), 2, "import.external-data", '"w"')


def test_a_file_larger_than_any_disk(scratch):
    """Mostly holes: nothing may read it whole."""
    with open(scratch / "w.bin", "wb") as file:
        file.truncate(1 << 42)
    tools.succeeds(external(scratch, "w.bin", (1 << 42) - 256))


# ===----------------------------------------------------------------------===#
# Plans
# ===----------------------------------------------------------------------===#


@pytest.fixture
def good_plan(scratch):
    """A plan as it is written, report included."""
    path = onnx_models.write(onnx_models.linear(), scratch / "m.onnx")
    tools.succeeds(tools.partita("plan", path, *CPU, "-o", scratch / "plan.json"))
    return json.loads((scratch / "plan.json").read_text())


def inspect(scratch, text: str):
    path = scratch / "hostile.json"
    path.write_text(text)
    return bounded("inspect", path)


def test_a_plan_of_a_gigabyte(scratch):
    path = scratch / "plan.json"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    refused(bounded("inspect", path, seconds=10), 2, "file.too-large")


def test_a_plan_that_grows_when_parsed(scratch):
    done = inspect(scratch, '{"format": [' + "[]," * (20 << 20) + "[]]}")
    handled(done)


@pytest.mark.parametrize("where", ["model", "report", "something"])
def test_plans_that_nest(scratch, good_plan, where):
    """A document with a report is as limited as one without."""
    assert "report" in good_plan
    text = json.dumps({**good_plan, where: "HERE"})
    for deep in (
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ):
        refused(inspect(scratch, text.replace('"HERE"', deep)), 2, "plan.syntax", "deep")


def test_a_plan_that_only_nests(scratch):
    refused(inspect(scratch, "[" * 100_000), 2, "plan.syntax", "deep")


@pytest.mark.parametrize("key", ["format", "mesh", "report"])
def test_plans_that_say_it_twice(scratch, good_plan, key):
    text = json.dumps(good_plan)
    again = json.dumps({key: good_plan[key]})[1:-1]
    refused(inspect(scratch, text[:-1] + ", " + again + "}"), 2, "plan.syntax", key, "twice")


# ===----------------------------------------------------------------------===#
# Arrays
# ===----------------------------------------------------------------------===#


def npy(header: str, data=b"", version=2) -> bytes:
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def described(shape: str, descr="'<f4'", order="False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({shape})}}"


ARRAYS = {
    "2^62 elements": npy(described(f"{1 << 62},")),
    "2^80 elements": npy(described(f"{1 << 40}, {1 << 40}")),
    "a size of 100 digits": npy(described("9" * 100 + ",")),
    "100000 dimensions": npy(described("1," * 100_000), bytes(4)),
    "by columns": npy(described("1," * 100_000, order="True"), bytes(4)),
    "no element of many": npy(described(f"0, {1 << 62}, {1 << 62}")),
    "a header of 4 GiB": b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
    "a header without an end": npy("{'descr': '" + "<" * 500_000),
    "a header that nests": npy("{'shape': " + "(" * 500_000),
    "100000 keys": npy("{" + "'a': 1, " * 100_000 + "}"),
    "structured": npy(described("1,", descr="[('a', '<f4')]"), bytes(4)),
    "pickled": npy(described("1,", descr="'|O'"), b"cos\nsystem\n(S'true'\ntR."),
}


@pytest.fixture(scope="module")
def executable(tmp_path_factory):
    tools.require_compiler()
    folder = tmp_path_factory.mktemp("executable")
    path = onnx_models.write(onnx_models.linear(), folder / "m.onnx")
    tools.succeeds(tools.partita("compile", path, *CPU, "-o", folder / "out"))
    return folder / "out"


def run_on(executable, path):
    done = tools.start(executable, "--input", f"x={path}", timeout=30)
    assert done.code in (0, 2, 3), done
    return done


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(executable, scratch, name):
    path = scratch / "x.npy"
    path.write_bytes(ARRAYS[name])
    tools.fails(run_on(executable, path), 2)


# ===----------------------------------------------------------------------===#
# What fuzzers have found
# ===----------------------------------------------------------------------===#


def crashers(target: str):
    return sorted((CRASHERS / target).glob("*"), key=str)


@pytest.mark.parametrize("path", crashers("Import"), ids=lambda path: path.name)
def test_models_that_crashed(scratch, path):
    handled(plan(scratch, path.read_bytes(), seconds=10))


@pytest.mark.parametrize("path", crashers("PlanFile"), ids=lambda path: path.name)
def test_plans_that_crashed(path):
    handled(bounded("inspect", path, seconds=10))


@pytest.mark.parametrize("path", crashers("Npy"), ids=lambda path: path.name)
def test_arrays_that_crashed(executable, path):
    run_on(executable, path)


@pytest.mark.parametrize("path", crashers("Instance"), ids=lambda path: path.name)
def test_instances_that_crashed(compiler, path):
    done = tools.start(tools.PARTITA.parent / "partita-solve", path, "--effort", "2", timeout=10)
    assert done.code in (0, 2, 4), done


@pytest.mark.parametrize("path", crashers("Topology"), ids=lambda path: path.name)
def test_words_that_crashed(scratch, path):
    model = onnx_models.write(onnx_models.linear(), scratch / "m.onnx")
    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    for option in ("--topology", "--mesh", "--pin"):
        rest = () if option == "--topology" else CPU
        done = bounded("plan", model, *rest, f"{option}={text}", seconds=10)
        assert done.code in (0, 1, 2, 3, 4), done
