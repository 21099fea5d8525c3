# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators with kernels of their own compute what ONNX Runtime does, whole and split.

ONNX's own cases know no recurrent layer with everything at once, and no loop
that must not be unrolled.
"""

import numpy

import pytest
from helpers import onnx_models, tools
from onnx import TensorProto, helper
from partita import metadata

FLOAT, INT32, INT64, BOOL = (
    TensorProto.FLOAT,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.BOOL,
)
STEPS, BATCH, WIDTH, HIDDEN = 5, 4, 6, 8


def random(*shape):
    values = numpy.random.default_rng(shape).standard_normal(shape)
    return (values / shape[-1] ** 0.5).astype(numpy.float32)


def recurrent(op, gates, inputs=(), results=2, **attributes):
    """A layer with weights for both directions, and the inputs behind them."""
    weights = {
        "w": random(2, gates * HIDDEN, WIDTH),
        "r": random(2, gates * HIDDEN, HIDDEN),
        "b": random(2, 2 * gates * HIDDEN),
    }
    state = (FLOAT, [2, BATCH, HIDDEN])
    known = {
        "lengths": (INT32, [BATCH]),
        "h": state,
        "c": state,
        "p": random(2, 3 * HIDDEN),
    }
    weights |= {n: known[n] for n in inputs if isinstance(known.get(n), numpy.ndarray)}
    outputs = {"y": (FLOAT, [STEPS, 2, BATCH, HIDDEN]), "y_h": state, "y_c": state}
    outputs = dict(list(outputs.items())[:results])
    node = helper.make_node(
        op,
        ["x", "w", "r", "b", *inputs],
        list(outputs),
        direction="bidirectional",
        hidden_size=HIDDEN,
        **attributes,
    )
    given = {"x": (FLOAT, [STEPS, BATCH, WIDTH])}
    given |= {n: known[n] for n in inputs if isinstance(known.get(n), tuple)}
    return [node], given, outputs, weights


def one(op, given, outputs, weights=None, **attributes):
    """One node, whose inputs are those given and then the weights."""
    weights = weights or {}
    node = helper.make_node(op, [*given, *weights], list(outputs), **attributes)
    return [node], given, outputs, weights


def resize(sizes, **attributes):
    nodes, given, outputs, _ = one(
        "Resize", {"x": (FLOAT, [2, 4, 6, 10])}, {"y": (FLOAT, sizes)}, **attributes
    )
    nodes[0].input.extend(["", "", "sizes"])
    return nodes, given, outputs, {"sizes": numpy.array(sizes)}


SCATTER = {"x": (FLOAT, [4, 6, 8]), "i": (INT64, [3, 2]), "u": (FLOAT, [3, 8])}
CASES = {
    "lstm": recurrent("LSTM", 4, ["lengths", "h", "c", "p"], 3),
    "gru": recurrent("GRU", 3, ["lengths", "h"], linear_before_reset=1),
    "gru_reset_first": recurrent("GRU", 3, ["", "h"]),
    "rnn": recurrent("RNN", 1, ["lengths"], activations=["Relu", "Tanh"]),
    "resize_cubic": resize([2, 4, 9, 7], mode="cubic"),
    "resize_antialias": resize([2, 4, 4, 4], mode="linear", antialias=1),
    "resize_corners": resize(
        [2, 4, 12, 15], mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "top_k": one(
        "TopK",
        {"x": (FLOAT, [4, 9])},
        {"v": (FLOAT, [4, 3]), "i": (INT64, [4, 3])},
        {"k": numpy.array([3])},
    ),
    "scatter_add": one("ScatterND", SCATTER, {"y": SCATTER["x"]}, reduction="add"),
    "gather_nd": one(
        "GatherND",
        {"x": (FLOAT, [4, 6, 8]), "i": (INT64, [4, 3, 1])},
        {"y": (FLOAT, [4, 3, 8])},
        batch_dims=1,
    ),
}


def write(path, case):
    nodes, given, outputs, weights = case
    model = onnx_models.make_model(
        nodes,
        given,
        outputs,
        [onnx_models.tensor(name, array) for name, array in weights.items()],
    )
    # Lengths of sequences (of zero steps ONNX says nothing) and indices.
    limits = {INT32: "1:5", INT64: "0:4"}
    ranges = [f"{n}={limits[spec[0]]}" for n, spec in given.items() if spec[0] in limits]
    if ranges:
        metadata.set_property(model, metadata.INPUT_RANGES, ",".join(ranges))
    return onnx_models.write(model, path)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(compiler, tmp_path, name, ranks):
    path = write(tmp_path / "model.onnx", CASES[name])
    mesh = ["--mesh", "r=2"] if ranks > 1 else []
    done = tools.partita(
        *("verify", path, "--topology", f"cpu:{ranks}", *mesh),
        *("--reference", "onnxruntime", "--format", "json"),
    )
    assert tools.succeeds(done).json()["passed"]


def loop(count, source, result, make_node):
    """A loop from one tensor to another; its node comes of the names of both in an iteration."""
    i, go, on, before, after = (f"{count}.{name}" for name in ("i", "go", "on", "a", "b"))
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", [go], [on]), make_node(before, after)],
        "body",
        [value(i, INT64, []), value(go, BOOL, []), value(before, FLOAT, [4])],
        [value(on, BOOL, []), value(after, FLOAT, [4])],
    )
    return helper.make_node("Loop", [count, "", source], [result], body=body)


def loop_case(count, nested):
    """Adds one `count` times, or that often `count` times."""

    def add(a, b):
        return helper.make_node("Add", [a, "one"], [b])

    def inner(a, b):
        return loop("m", a, b, add)

    numbers = {"one": numpy.float32([1]), "n": numpy.array(count), "m": numpy.array(count)}
    weights = {name: numbers[name] for name in ("one", "n", *("m" * nested))}
    port = (FLOAT, [4])
    return [loop("n", "x", "y", inner if nested else add)], {"x": port}, {"y": port}, weights


@pytest.mark.parametrize("nested", [False, True])
def test_small_loops_are_unrolled(compiler, tmp_path, nested):
    path = write(tmp_path / "model.onnx", loop_case(5, nested))
    done = tools.partita(
        *("verify", path, "--topology", "cpu:1"),
        *("--reference", "onnxruntime", "--format", "json"),
    )
    assert tools.succeeds(done).json()["passed"]


@pytest.mark.parametrize("count,nested", [(10**15, False), (10**4, True)])
def test_large_loops_are_refused_at_once(compiler, tmp_path, count, nested):
    path = write(tmp_path / "model.onnx", loop_case(count, nested))
    done = tools.partita("plan", path, "--topology", "cpu:1", timeout=60)
    assert done.code == 3 and "more iterations than can be unrolled" in done.err, done
