# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes what the fuzzers start from.

python3 test/fuzz/seeds.py FOLDER

FOLDER/TARGET gets one file for each seed of a target. Models are ONNX's own node
cases, one for each operator and set of attributes, and a few with what these lack:
functions, weights outside the file, names that repeat. The rest is written here.
"""

from __future__ import annotations

import io
import json
import pathlib
import sys
import warnings

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from partita.conformance.specialise import specialised

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
MAX_MODEL_BYTES = 4096

# ===----------------------------------------------------------------------===#
# Models
# ===----------------------------------------------------------------------===#


def kind(model) -> tuple:
    """What two cases of one kind have in common."""
    return tuple(
        (node.domain, node.op_type, tuple(sorted(a.name for a in node.attribute)))
        for node in model.graph.node
    )


def node_cases():
    """(name, model): of each kind the first case, with its vectors as constants."""
    from onnx.backend.test.case import node

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = node.collect_testcases(None)
    seen = set()
    for case in cases:
        if case.name.endswith("_expanded") or kind(case.model) in seen:
            continue
        arrays = case.data_sets[0][0]
        values = {
            port.name: value
            for port, value in zip(case.model.graph.input, arrays)
            if isinstance(value, numpy.ndarray) and value.dtype.kind in "fiub"
        }
        later = [name for name in values if name != case.model.graph.input[0].name]
        small = {name for name in later if values[name].size <= 64}
        model = specialised(case.model, values, small)
        if model.ByteSize() <= MAX_MODEL_BYTES:
            seen.add(kind(case.model))
            yield case.name, model


def model_of(nodes, weights=(), functions=(), domains=()):
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", FLOAT, [2, 3])], [info("y", FLOAT, None)], list(weights)
    )
    opsets = [
        helper.make_opsetid("", 18),
        *(helper.make_opsetid(d, 1) for d in domains),
    ]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=10, functions=list(functions)
    )


def external(location: str):
    """y = x + w, where w lies in a file beside the model."""
    weight = TensorProto(name="w", data_type=FLOAT, dims=[2, 3])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "64"), ("length", "24")):
        weight.external_data.add(key=key, value=value)
    return model_of([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def with_functions():
    """A function that calls another, with an attribute handed down."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    inner = helper.make_node("LeakyRelu", ["a"], ["b"])
    inner.attribute.add(
        name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT
    )
    leaf = helper.make_function(
        "local", "Leaf", ["a"], ["b"], [inner], imports, ["slope"]
    )
    calls = [
        helper.make_node("Leaf", ["a"], ["t"], domain="local", slope=0.5),
        helper.make_node("Leaf", ["t"], ["b"], domain="local", slope=0.25),
    ]
    twice = helper.make_function("local", "Twice", ["a"], ["b"], calls, imports)
    call = helper.make_node("Twice", ["x"], ["y"], domain="local")
    return model_of([call], functions=[leaf, twice], domains=["local"])


def shapes_by_arithmetic():
    """A reshape whose target is computed from the shape of its input."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "i"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "zero"], ["u"]),
        helper.make_node("Concat", ["u", "minus"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["r"]),
        helper.make_node("Expand", ["r", "s"], ["e"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("Add", ["e", "c"], ["y"]),
    ]
    weights = {"i": 0, "zero": [0], "minus": [-1]}
    return model_of(
        nodes, [numpy_helper.from_array(numpy.array(v), n) for n, v in weights.items()]
    )


def models():
    for name, model in node_cases():
        yield name, model.SerializeToString()
    made = {
        "external": external("w.bin"),
        "external-link": external("link"),
        "external-outside": external("../w.bin"),
        "functions": with_functions(),
        "shapes": shapes_by_arithmetic(),
    }
    for name, model in made.items():
        yield name, model.SerializeToString()


# ===----------------------------------------------------------------------===#
# The rest
# ===----------------------------------------------------------------------===#


def plan(**changes) -> dict:
    """What `partita plan` writes of a product and a sum."""
    batch = {"b": [{"size": 4, "axes": ["dp"]}]}
    product = {
        **batch,
        "n": [{"size": 3}, {"size": 8, "axes": ["tp"]}],
        "k": [{"size": 8}],
    }
    document = {
        "format": "partita-plan",
        "version": 1,
        "model": {"name": "m", "identity": "0123456789abcdef"},
        "topology": "cpu:4",
        "mesh": {"dp": 2, "tp": 2},
        "strategies": {
            "product": {"op": "nn.matmul", "nodes": ["product"], "factors": product},
            "sum": {"op": "nn.add", "nodes": ["a", "b"], "factors": batch},
        },
        "predicted": {
            "step_seconds": 3e-6,
            "compute_seconds": 2e-6,
            "communication_seconds": 1e-6,
            "load_seconds": 0,
            "resident_bytes": 1024,
            "peak_bytes": [2048, 2048, 2048, 2048],
        },
        "bound": {"step_seconds": 3e-6, "space": "every mesh"},
        "gap": 0.0,
        "proved": True,
        "stopped_by": "exhausted",
        "pins": ["product:n=tp"],
        "notes": ['\u00e9 "quoted"\n'],
        "seed": 0,
        "effort": 32,
        "run": {"seconds": 0.25, "host": "here"},
    }
    return {**document, **changes}


def plans():
    yield "whole", json.dumps(plan(), indent=2).encode()
    yield "dense", json.dumps(plan()).encode()
    yield (
        "report",
        json.dumps(plan(report={"commands": 3, "memory": [{"a": 1.5}]})).encode(),
    )
    yield "empty", json.dumps(plan(strategies={}, mesh={})).encode()
    without = plan()
    del without["run"]
    yield "without-run", json.dumps(without).encode()
    yield "twice", b'{"format": "partita-plan", "format": "partita-plan"}'
    yield "deep", b"[" * 40


def arrays():
    made = {
        "f4": numpy.arange(6, dtype="<f4").reshape(2, 3),
        "fortran": numpy.asfortranarray(numpy.arange(24, dtype="<i2").reshape(2, 3, 4)),
        "bool": numpy.array([True, False]),
        "scalar": numpy.array(3.0),
        "empty": numpy.zeros((0, 7), "<i8"),
        "big-endian": numpy.arange(3, dtype=">i4"),
        "objects": numpy.array([{}, []], dtype=object),
        "structured": numpy.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")]),
    }
    for name, array in made.items():
        for version in ((1, 0), (2, 0), (3, 0)):
            file = io.BytesIO()
            numpy.lib.format.write_array(file, array, version, allow_pickle=True)
            yield f"{name}-{version[0]}", file.getvalue()


def words():
    texts = (
        "cpu:4 cpu:2x3 cuda:1 cpu:4096x4096 cpu:0 dp=2,tp=4 tp=1 a=1048576,b=4 dp=2,dp=2"
        " product:n=tp product:n.0=tp *:replicated layer.*.w?:k=dp :=:"
        " dgx-h100x4 mi300x8x2@ethernet-25g-shared l40s dgx-v100"
    )
    for number, text in enumerate(texts.split()):
        yield str(number), text.encode()
    link = "{kind: nvlink, latency: 2 us, bandwidth: 150 GB/s}"
    levels = f"hierarchy:\n- {{level: n, size: 4, link: {link}}}\n"
    machines = {
        "based": "base: dgx-a100\nmachines: 3\n"
        "overrides: [{level: node, groups: 0-1, link: {bandwidth: 9 GB/s}}]\n",
        "levels": f"device: l40s\n{levels}",
        "mixed": f"{levels}devices:\n  d: {{kind: cpu, vector: {{f32: 1 TFLOP/s}}, "
        "memory: 2 GiB, memory_bandwidth: 9 GB/s, launch: 0 s}\n"
        "ranks: [{device: d, count: 3}, {device: l40s, count: 1}]\n",
        "joined": f"device: l40s\n{levels}machines: 2\nnetwork: ethernet-100g\n",
        "graph": "device: mi300x\ngraph:\n  ranks: 4\n  switches: {s: 2}\n"
        "  media: {bus: 20 GB/s}\n  links:\n"
        f"  - {{from: 0-3, to: s, spread: true, medium: bus, {link[1:]}\n"
        f"  - {{from: s.0, to: s.1, {link[1:]}\n",
    }
    for name, text in machines.items():
        yield name, f"partita_topology: 1\n{text}".encode()
    kernels = (
        "[{class: gemm, precision: f32, m: [1, 8], n: [4], k: [2], time: [1 us, 2 us]}, "
        "{class: memory, precision: bf16, bytes: [4 KiB], flops_per_byte: [0.1], time: [9 ns]}]"
    )
    moves = "[{move: all_gather, ranks: 2, bytes: [1 KiB, 1 MiB], time: [1 us, 1 ms]}]"
    loads = f"[{{ranks: 2, threads: 1, kernels: {kernels}, collectives: {moves}}}]"
    yield "times", f"partita_calibration: 1\ndevice: d\ncores: 2\nloads: {loads}\n".encode()


def instances():
    def made(nodes, ends, tables, limit):
        intervals, costs, usages = zip(*nodes, strict=True)
        nodes = {"intervals": intervals, "costs": costs, "usages": usages}
        edges = {"nodes": ends, "costs": tables}
        problem = {"name": "x", "nodes": nodes, "edges": edges, "usage_limit": limit}
        return json.dumps({"problem": problem}, separators=(",", ":")).encode()

    never = 10**18
    one = [[0, 2], [3], [1]]
    two = [[1, 3], [5, 7], [2, 0]]
    three = [[2, 2], [1, 0, 4], [6, 5, 4]]
    yield "one", made([one], [], [], 1)
    yield "pair", made([two, two], [[0, 1]], [[0, never, never, 4]], 3)
    yield "loop", made(
        [two, three], [[1, 1], [0, 1], [1, 0]], [[1] * 9, [2] * 6, [3] * 6], 9
    )
    yield "infeasible", made([one, one], [], [], 1)
    large = [[0, 9], [never - 1] * 2, [2**40, 0]]
    yield "large", made([large] * 3, [[0, 2]], [[never - 1] * 4], 2**41)


def certificates():
    """Instances, and below each what partita-solve wrote of it."""
    nodes = {
        "intervals": [[0, 2], [0, 2], [1, 3], [1, 3], [2, 4]],
        "costs": [[6, 0, 3], [4, 0, 4], [1, 3, 8], [8, 5, 8], [1, 5, 6]],
        "usages": [[3, 4, 1], [5, 4, 1], [5, 3, 2], [4, 5, 1], [3, 2, 2]],
    }
    tables = [
        [7, 1, 1, 6, 1, 8, 2, 0, 8],
        [2, 1, 3, 6, 8, 7, 6, 7, 8],
        [7, 7, 0, 7, 4, 2, 0, 6, 6],
        [7, 0, 7, 3, 6, 5, 1, 2, 1],
        [1, 3, 2, 2, 3, 2, 5, 3, 2],
        [8, 8, 7, 5, 4, 5, 7, 7, 7],
    ]
    edges = {"nodes": [[0, 1], [1, 2], [2, 3], [3, 4], [4, 0], [0, 2]], "costs": tables}
    problem = {"name": "x", "nodes": nodes, "edges": edges, "usage_limit": 7}
    head = {
        "format": "partita-certificate",
        "version": 1,
        "instance": "x",
        "target": 46,
        "message_bits": 9,
        "price_bits": 45,
        "variables": [[0, [0, 2]], [2, [1, 2]], [4, [0, 1, 2]]],
        "tables": [[[0, 1], [7, 7], [0, 0]], [[0, 2], [1, 2], [0, 0, 0]]],
    }

    def step(price, first, second):
        prices = [[1, price]] if price else []
        return {"prices": prices, "given": [first, [second, [0, 0, 0]]]}

    free, dear = [0, 0], -(2**58)
    steps = [step(2**46, [[512, 0], [512, 0]], free), step(2**46, [[512, 0], [0, -512]], free)]
    halves = [
        step(0, [[dear - 512, 0], free], [dear - 1024, 0]),
        step(2**47, [[0, dear - 1536], [0, -512]], [0, dear - 1024]),
    ]
    branches = [{"steps": steps, "split": [0, [1]]}, *({"steps": [half]} for half in halves)]
    lines = [{"problem": problem}, head, *branches, {"bound": 46}]
    texts = [json.dumps(line, separators=(",", ":")) + "\n" for line in lines]
    yield "branches", "".join(texts).encode()
    yield "cut-off", "".join(texts[:3]).encode()
    yield "trivial", "".join([*texts[:2], '{"steps":[]}\n', '{"bound":0}\n']).encode()


TARGETS = {
    "Import": models,
    "PlanFile": plans,
    "Npy": arrays,
    "Topology": words,
    "Instance": instances,
    "Certificate": certificates,
}


def main() -> None:
    (folder,) = map(pathlib.Path, sys.argv[1:])
    for target, seeds in TARGETS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
