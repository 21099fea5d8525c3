# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training steps: gradients and updates in the interpreter, against PyTorch's."""

from __future__ import annotations

import pathlib

import numpy
import pytest
from onnx import TensorProto, helper
from partita import arrays
from partita.zoo import __main__ as zoo

from helpers.onnx_models import linear as linear_of
from helpers.onnx_models import make_model, tensor, write
from helpers.tools import fails, partita, succeeds

torch = pytest.importorskip("torch", reason="needs torch, whose gradients are the reference")
from helpers import onnx_torch  # noqa: E402  it imports torch

pytestmark = pytest.mark.usefixtures("compiler")

F64, I64 = TensorProto.DOUBLE, TensorProto.INT64


def step(path, folder: pathlib.Path, feed: dict, *options) -> dict[str, numpy.ndarray]:
    """The outputs of a training step in the interpreter."""
    files = folder / "inputs"
    arrays.save_all(str(files), feed)
    inputs = [
        word
        for name, file in arrays.file_names(feed).items()
        for word in ("--input", f"{name}={files / file}")
    ]
    out = folder / "outputs"
    done = partita("interpret", path, *inputs, *options, "--output-dir", out, "--format", "json")
    return {
        entry["name"]: numpy.load(entry["file"]) for entry in succeeds(done).json()["outputs"]
    }


def assert_near(got, expected, tolerance: float, what: str) -> None:
    """Fails where an element is further off than the tolerance of the largest one."""
    expected = expected.detach().numpy()
    assert got.shape == expected.shape, what
    limit = tolerance * max(numpy.abs(expected).max(initial=0), 1e-3)
    assert numpy.abs(got - expected).max(initial=0) <= limit, what


# ===----------------------------------------------------------------------===#
# Single operators
# ===----------------------------------------------------------------------===#


class Case:
    """Nodes from inputs of f64 named a, b, .. to y; the last ones may be of i64."""

    def __init__(self, name, nodes, *shapes, low=-1.0, high=1.0, indices=None, **constants):
        if isinstance(nodes, str):
            nodes = [(nodes, {})]
        self.name, self.nodes, self.constants, self.indices = name, nodes, constants, indices
        self.shapes, self.low, self.high = shapes, low, high

    def model(self, outputs=("y",)):
        names = [chr(ord("a") + i) for i in range(len(self.shapes))]
        constants = [tensor(name, value) for name, value in self.constants.items()]
        feeds = names + list(self.constants)
        nodes = []
        for i, (kind, attributes) in enumerate(self.nodes):
            attributes = dict(attributes)
            feeds = attributes.pop("inputs", feeds)
            results = attributes.pop("outputs", ["y"] if i + 1 == len(self.nodes) else [f"v{i}"])
            nodes.append(helper.make_node(kind, feeds, results, name=f"node{i}", **attributes))
            feeds = results
        inputs = {name: (F64, list(shape)) for name, shape in zip(names, self.shapes)}
        return make_model(nodes, inputs, {name: (F64, None) for name in outputs}, constants, opset=22)

    def feed(self) -> dict[str, numpy.ndarray]:
        random = numpy.random.default_rng(7)
        return {
            chr(ord("a") + i): random.uniform(self.low, self.high, shape)
            for i, shape in enumerate(self.shapes)
        }


def unary(names, shape=(3, 4), **options):
    return [Case(name, name, shape, **options) for name in names.split()]


def binary(names, **options):
    return [Case(name, name, (2, 3, 4), (3, 1), **options) for name in names.split()]


CASES = [
    *unary("Abs Neg Exp Tanh Sin Cos Erf Sigmoid Relu Sinh Cosh Asinh Atan Identity", low=-2, high=2),
    *unary("Log Sqrt Reciprocal", low=0.5, high=2),
    *unary("Asin Acos Atanh", low=-0.9, high=0.9),
    *unary("Acosh", low=1.5, high=3),
    *unary("Gelu", low=-3, high=3),
    Case("Gelu-tanh", [("Gelu", {"approximate": "tanh"})], (3, 4), low=-3, high=3),
    Case("silu", [("Sigmoid", {"inputs": ["a"], "outputs": ["s"]}), ("Mul", {"inputs": ["a", "s"]})],
         (3, 4), low=-3, high=3),
    *binary("Add Sub Mul Max Min"),
    *binary("Div Pow Mod", low=0.5, high=2),
    Case("MatMul", "MatMul", (3, 4), (4, 5)),
    Case("MatMul-one-matrix", "MatMul", (2, 3, 4), (4, 5)),
    Case("MatMul-batch", "MatMul", (2, 3, 4), (2, 4, 5)),
    Case("Softmax", "Softmax", (3, 4)),
    Case("LogSoftmax", [("LogSoftmax", {"axis": 1})], (2, 3, 4)),
    Case("LayerNormalization", "LayerNormalization", (2, 3, 4), (4,), (4,)),
    Case("LayerNormalization-plain", "LayerNormalization", (3, 4), (4,)),
    *[Case(name, [(name, {"keepdims": 0})], (2, 3, 4), axes=numpy.array([0, 2]))
      for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")],
    *[Case(f"CumSum-{e}{r}", [("CumSum", {"exclusive": e, "reverse": r})], (3, 4),
           axis=numpy.array(1)) for e in (0, 1) for r in (0, 1)],
    Case("Reshape", "Reshape", (3, 4), shape=numpy.array([2, 6])),
    Case("Transpose", [("Transpose", {"perm": [2, 0, 1]})], (2, 3, 4)),
    Case("Expand", "Expand", (3, 1), shape=numpy.array([2, 3, 4])),
    Case("Concat", [("Concat", {"axis": 1})], (2, 3), (2, 1), (2, 2)),
    Case("Split-one-part", [("Split", {"axis": 1, "outputs": ["p", "q"]}), ("Tanh", {"inputs": ["q"]})],
         (2, 5), sizes=numpy.array([2, 3])),
    Case("Slice", "Slice", (5, 7), starts=numpy.array([1, 1]), ends=numpy.array([4, 7]),
         axes=numpy.array([0, 1]), steps=numpy.array([1, 2])),
    Case("Slice-backwards", "Slice", (5, 7), starts=numpy.array([6]), ends=numpy.array([-8]),
         axes=numpy.array([1]), steps=numpy.array([-3])),
    Case("Pad", "Pad", (3, 4), pads=numpy.array([1, 0, 0, 2])),
    Case("Where", [("Greater", {"inputs": ["a", "b"], "outputs": ["c"]}),
                   ("Where", {"inputs": ["c", "b", "a"]})], (3, 4), (3, 4)),
    Case("used-twice", [("Tanh", {"inputs": ["a"], "outputs": ["t"]}), ("Mul", {"inputs": ["t", "a"]})],
         (3, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients_of_an_operator(case, tmp_path):
    model = case.model()
    path = write(model, tmp_path / "m.onnx")
    feed = case.feed()
    arguments = {name: torch.from_numpy(value).requires_grad_() for name, value in feed.items()}
    expected = onnx_torch.run(model, arguments, {})["y"]
    cotangent = numpy.random.default_rng(8).uniform(-1, 1, tuple(expected.shape))
    expected.backward(torch.from_numpy(cotangent))
    options = ("--train", "none", "--loss", "given", "--input-gradients")
    got = step(path, tmp_path, {**feed, "train.cotangent": cotangent}, *options)
    assert_near(got["y"], expected, 1e-12, "y")
    for name, argument in arguments.items():
        assert_near(got[f"{name}.grad"], argument.grad, 1e-11, name)


def test_what_has_no_derivative_is_named_all_at_once(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
        helper.make_node("Det", ["m"], ["d"], name="determinant"),
        helper.make_node("ReduceProd", ["m"], ["p"], name="multiply", keepdims=0),
        helper.make_node("Add", ["d", "p"], ["y"], name="sum"),
    ]
    model = make_model(
        nodes, {"x": (F64, [3, 3])}, {"y": (F64, [])}, [tensor("w", numpy.eye(3))], opset=18
    )
    path = write(model, tmp_path / "m.onnx")
    options = ("--train", "none", "--loss", "sum", "--output-dir", tmp_path)
    message = fails(partita("interpret", path, *options), 3)
    assert message.code == "differentiate.unsupported"
    assert "nn.det" in message.text and '"determinant"' in message.text
    assert "nn.reduce" in message.text and '"multiply"' in message.text


# ===----------------------------------------------------------------------===#
# The command line
# ===----------------------------------------------------------------------===#


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A linear classifier with a named batch dimension."""
    weight = numpy.random.default_rng(1).normal(size=(4, 3)).astype(numpy.float32)
    model = make_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        {"x": (TensorProto.FLOAT, ["batch", 4])},
        {"y": (TensorProto.FLOAT, ["batch", 3])},
        [tensor("w", weight)],
    )
    return write(model, tmp_path_factory.mktemp("linear") / "m.onnx")


def test_a_step_needs_its_batch(linear):
    machine = ("--topology", "cpu:2")
    assert fails(partita("plan", linear, "--train", "adamw", *machine), 1).code == (
        "usage.global-batch"
    )
    assert fails(partita("plan", linear, "--global-batch", "8", *machine), 1).code == "usage.train"
    message = fails(
        partita("plan", linear, "--train", "adamw", "--global-batch", 8, "--dim", "batch=4", *machine),
        2,
    )
    assert message.code == "import.batch"


def test_a_batch_that_a_model_does_not_have_is_refused(tmp_path):
    path = write(linear_of(), tmp_path / "m.onnx")
    options = ("--train", "adamw", "--topology", "cpu:2", "--global-batch")
    assert fails(partita("plan", path, *options, 8), 2).code == "import.batch"
    succeeds(partita("plan", path, *options, 4))


def test_executables_do_not_train(linear, tmp_path):
    options = ("--train", "adamw", "--global-batch", 8, "--topology", "cpu:2", "-o", tmp_path / "x")
    assert fails(partita("compile", linear, *options), 3).code == "compile.training"
    assert not (tmp_path / "x").exists()


def test_an_output_that_is_not_there_is_named(linear, tmp_path):
    options = ("--train", "none", "--loss-output", "z", "--dim", "batch=2", "--output-dir", tmp_path)
    assert "its outputs are y" in fails(partita("interpret", linear, *options), 1).hint


def test_the_batch_is_summed_where_weights_are_updated(tmp_path):
    """Data parallelism by itself: gradients are partial sums, each of which moves once."""
    path = tmp_path / "m.onnx"
    assert zoo.main(["export", "mlp", "-o", str(path)]) == 0
    machine = ("--topology", "cpu:4", "--mesh", "dp=4", "--format", "json")
    options = ("--train", "adamw", "--global-batch", 4096, *machine)
    plan = succeeds(partita("plan", path, *options)).json()
    gradient = plan["strategies"]["linear1/Gemm/grad.3"]
    assert gradient["op"] == "nn.matmul" and gradient["nodes"] == ["linear1/Gemm"]
    assert gradient["factors"] == {"k": [{"size": 4096, "axes": ["dp"]}]}
    sums = [
        entry["bytes"]
        for entry in plan["report"]["collectives"]
        if entry["kind"] in ("all_reduce", "reduce_scatter")
    ]
    assert 102 * 102 * 4 in sums
