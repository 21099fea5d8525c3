# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training steps: gradients and updates in the interpreter, against PyTorch's."""

from __future__ import annotations

import pathlib

import numpy
import onnx
import pytest
from onnx import TensorProto, helper
from partita import arrays
from partita.zoo import __main__ as zoo

from helpers.onnx_models import linear as linear_of
from helpers.onnx_models import make_model, tensor, write
from helpers.tools import fails, partita, succeeds

torch = pytest.importorskip("torch", reason="needs torch, whose gradients are the reference")
from helpers import onnx_torch

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
    return {entry["name"]: numpy.load(entry["file"]) for entry in succeeds(done).json()["outputs"]}


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

    def __init__(self, name, nodes, *shapes, low=-1.0, high=1.0, tolerance=1e-11, **constants):
        if isinstance(nodes, str):
            nodes = [(nodes, {})]
        self.name, self.nodes, self.constants = name, nodes, constants
        self.shapes, self.low, self.high, self.tolerance = shapes, low, high, tolerance

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
        return make_model(
            nodes, inputs, {name: (F64, None) for name in outputs}, constants, opset=23
        )

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
    *unary(
        "Abs Neg Exp Tanh Sin Cos Erf Sigmoid Relu Sinh Cosh Asinh Atan Identity", low=-2, high=2
    ),
    *unary("Log Sqrt Reciprocal", low=0.5, high=2),
    *unary("Asin Acos Atanh", low=-0.9, high=0.9),
    *unary("Acosh", low=1.5, high=3),
    *unary("Gelu", low=-3, high=3),
    Case("Gelu-tanh", [("Gelu", {"approximate": "tanh"})], (3, 4), low=-3, high=3),
    Case(
        "silu",
        [("Sigmoid", {"inputs": ["a"], "outputs": ["s"]}), ("Mul", {"inputs": ["a", "s"]})],
        (3, 4),
        low=-3,
        high=3,
    ),
    *binary("Add Sub Mul Max Min"),
    *binary("Div Pow Mod", low=0.5, high=2),
    Case("MatMul", "MatMul", (3, 4), (4, 5)),
    Case("MatMul-one-matrix", "MatMul", (2, 3, 4), (4, 5)),
    Case("MatMul-batch", "MatMul", (2, 3, 4), (2, 4, 5)),
    Case("Softmax", "Softmax", (3, 4)),
    Case("LogSoftmax", [("LogSoftmax", {"axis": 1})], (2, 3, 4)),
    Case("LayerNormalization", "LayerNormalization", (2, 3, 4), (4,), (4,)),
    Case("LayerNormalization-plain", "LayerNormalization", (3, 4), (4,)),
    *[
        Case(name, [(name, {"keepdims": 0})], (2, 3, 4), axes=numpy.array([0, 2]))
        for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
    ],
    *[
        Case(
            f"CumSum-{e}{r}",
            [("CumSum", {"exclusive": e, "reverse": r})],
            (3, 4),
            axis=numpy.array(1),
        )
        for e in (0, 1)
        for r in (0, 1)
    ],
    Case("Reshape", "Reshape", (3, 4), shape=numpy.array([2, 6])),
    Case("Transpose", [("Transpose", {"perm": [2, 0, 1]})], (2, 3, 4)),
    Case("Expand", "Expand", (3, 1), shape=numpy.array([2, 3, 4])),
    Case("Concat", [("Concat", {"axis": 1})], (2, 3), (2, 1), (2, 2)),
    Case(
        "Split-one-part",
        [("Split", {"axis": 1, "outputs": ["p", "q"]}), ("Tanh", {"inputs": ["q"]})],
        (2, 5),
        sizes=numpy.array([2, 3]),
    ),
    Case(
        "Slice",
        "Slice",
        (5, 7),
        starts=numpy.array([1, 1]),
        ends=numpy.array([4, 7]),
        axes=numpy.array([0, 1]),
        steps=numpy.array([1, 2]),
    ),
    Case(
        "Slice-backwards",
        "Slice",
        (5, 7),
        starts=numpy.array([6]),
        ends=numpy.array([-8]),
        axes=numpy.array([1]),
        steps=numpy.array([-3]),
    ),
    Case("Pad", "Pad", (3, 4), pads=numpy.array([1, 0, 0, 2])),
    Case(
        "Where",
        [
            ("Greater", {"inputs": ["a", "b"], "outputs": ["c"]}),
            ("Where", {"inputs": ["c", "b", "a"]}),
        ],
        (3, 4),
        (3, 4),
    ),
    Case("Gather", "Gather", (5, 4), indices=numpy.array([[0, 3, -1], [3, 3, 2]])),
    Case("Gather-columns", [("Gather", {"axis": 1})], (3, 5), indices=numpy.array([4, 0, 4])),
    Case(
        "GatherElements",
        [("GatherElements", {"axis": 1})],
        (3, 5),
        indices=numpy.array([[0, 0], [4, -1], [2, 3]]),
    ),
    Case("GatherND", "GatherND", (3, 4, 2), indices=numpy.array([[0, 1], [2, 3], [0, 1]])),
    *[
        Case(
            f"ScatterElements-{kind}",
            [("ScatterElements", {"axis": 1, "reduction": kind, "inputs": ["a", "indices", "b"]})],
            (3, 5),
            (3, 2),
            indices=numpy.array([[0, 1], [4, -2], [2, 3]]),
        )
        for kind in ("none", "add")
    ],
    *[
        Case(
            f"ScatterND-{kind}",
            [("ScatterND", {"reduction": kind, "inputs": ["a", "indices", "b"]})],
            (5, 4),
            (2, 4),
            indices=numpy.array([[3], [0]]),
        )
        for kind in ("none", "add")
    ],
    Case("TopK", [("TopK", {"axis": 1, "outputs": ["y", "i"]})], (3, 5), count=numpy.array([2])),
    Case("Conv", [("Conv", {"pads": [1, 1, 1, 1]})], (2, 3, 6, 5), (4, 3, 3, 3), (4,)),
    Case(
        "Conv-windows",
        [("Conv", {"strides": [2, 3], "dilations": [2, 1], "pads": [1, 0, 2, 1]})],
        (2, 3, 9, 8),
        (4, 3, 3, 2),
    ),
    Case(
        "Conv-groups",
        [("Conv", {"group": 3, "strides": [2], "pads": [1, 1]})],
        (2, 6, 9),
        (9, 2, 4),
    ),
    Case("Conv-3d", "Conv", (1, 2, 4, 4, 3), (3, 2, 2, 3, 2)),
    Case(
        "ConvTranspose",
        [("ConvTranspose", {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 2]})],
        (2, 3, 4, 5),
        (3, 4, 3, 3),
    ),
    Case(
        "ConvTranspose-groups",
        [("ConvTranspose", {"group": 2, "dilations": [2]})],
        (2, 4, 5),
        (4, 3, 3),
    ),
    Case(
        "MaxPool",
        [("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]})],
        (2, 3, 7, 6),
    ),
    Case(
        "AveragePool", [("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 2]})], (2, 3, 6, 7)
    ),
    *[
        Case(
            f"attention-{name}",
            [
                ("Transpose", {"perm": [0, 1, 3, 2], "inputs": ["b"], "outputs": ["k"]}),
                ("MatMul", {"inputs": ["a", "k"], "outputs": ["s"]}),
                ("Mul", {"inputs": ["s", "scale"], "outputs": ["t"]}),
                ("Add", {"inputs": ["t", "d"], "outputs": ["m"]}),
                ("Softmax", {"inputs": ["m"], "outputs": ["p"]}),
                ("MatMul", {"inputs": ["p", "c"]}),
            ],
            (2, 3, 4, 5),
            (2, 3, 6, 5),
            (2, 3, 6, 2),
            mask,
            scale=numpy.array(0.7),
        )
        for name, mask in (("mask", (2, 1, 4, 6)), ("bias", (1, 3, 4, 6)), ("keys", (2, 1, 1, 6)))
    ],
    Case("Attention-causal", [("Attention", {"is_causal": 1})], *[(2, 3, 5, 4)] * 3),
    Case(
        "Attention-groups",
        [("Attention", {"scale": 0.4, "softcap": 0.8})],
        (2, 6, 3, 4),
        (2, 2, 5, 4),
        (2, 2, 5, 3),
        low=-2,
        high=2,
    ),
    # Only in f32 by its schema.
    *[
        Case(
            f"RotaryEmbedding-{i}",
            [
                *[
                    ("Cast", {"to": TensorProto.FLOAT, "inputs": [name], "outputs": [f"{name}32"]})
                    for name in "abc"
                ],
                ("RotaryEmbedding", {"interleaved": i, "inputs": ["a32", "b32", "c32"]}),
                ("Cast", {"to": F64}),
            ],
            (2, 3, 5, 6),
            (2, 5, 3),
            (2, 5, 3),
            tolerance=1e-6,
        )
        for i in (0, 1)
    ],
    Case("RMSNormalization", "RMSNormalization", (2, 3, 4), (4,)),
    Case(
        "used-twice",
        [("Tanh", {"inputs": ["a"], "outputs": ["t"]}), ("Mul", {"inputs": ["t", "a"]})],
        (3, 4),
    ),
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
    assert_near(got["y"], expected, case.tolerance, "y")
    for name, argument in arguments.items():
        assert_near(got[f"{name}.grad"], argument.grad, case.tolerance, name)


# ===----------------------------------------------------------------------===#
# Models
# ===----------------------------------------------------------------------===#


def zoo_reference(model):
    """ONNX's graph, the weights as leaves and the outputs, of a model of the zoo."""
    proto = onnx.load(str(model.path))
    weights = onnx_torch.leaves(proto)
    return proto, weights, onnx_torch.run(proto, model.feed, weights)


MODELS = "mlp bert gpt2 llama t5 vit resnet convnext unet whisper mixtral deberta".split()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_model(name, zoo_model, tmp_path):
    """In f32: each operation is rounded once; the reference is in f64."""
    model = zoo_model(name)
    _, weights, outputs = zoo_reference(model)
    output = next(iter(outputs))
    shape = tuple(outputs[output].shape)
    cotangent = numpy.random.default_rng(5).normal(size=shape).astype(numpy.float32)
    outputs[output].backward(torch.from_numpy(cotangent).double())
    options = ("--train", "none", "--loss", "given", "--loss-output", output)
    got = step(model.path, tmp_path, {**model.feed, "train.cotangent": cotangent}, *options)
    gradients = {key: value for key, value in got.items() if key.endswith(".grad")}
    expected = {f"{k}.grad": w.grad for k, w in weights.items() if w.grad is not None}
    assert gradients.keys() <= expected.keys()
    # What cancels out was removed from the program: biases of keys.
    for key in expected.keys() - gradients.keys():
        assert expected[key].abs().max() <= 1e-9, key
    for key, gradient in gradients.items():
        reference = expected[key].numpy()
        off = numpy.linalg.norm(gradient - reference)
        assert off <= 2e-5 * max(numpy.linalg.norm(reference), 1e-3), (key, off)


@pytest.mark.parametrize("name", ["mlp", "bert", "llama", "vit", "resnet"])
def test_gradients_in_bf16(name, zoo_model, tmp_path):
    """Weights and activations have eight bits; gradients of weights are of f32."""
    model = zoo_model(name)
    _, weights, outputs = zoo_reference(model)
    output = next(iter(outputs))
    outputs[output].sum().backward()
    options = ("--train", "none", "--loss", "sum", "--loss-output", output)
    got = step(model.path, tmp_path, model.feed, *options, "--precision", "bf16")
    off = total = 0.0
    for key, weight in weights.items():
        if f"{key}.grad" in got:
            gradient, reference = got[f"{key}.grad"], weight.grad.numpy()
            assert gradient.dtype == numpy.float32
            off += numpy.sum((gradient - reference) ** 2)
            total += numpy.sum(reference**2)
    assert off > 0 and (off / total) ** 0.5 <= 0.1


@pytest.mark.parametrize("name", ["mlp", "gpt2"])
def test_steps_of_adamw(name, zoo_model, tmp_path):
    """Three steps, each from the states that the last one left."""
    model = zoo_model(name)
    proto = onnx.load(str(model.path))
    weights = onnx_torch.leaves(proto)
    output = proto.graph.output[0].name
    logits = onnx_torch.run(proto, model.feed, weights)[output]
    targets = numpy.random.default_rng(6).integers(0, logits.shape[-1], tuple(logits.shape[:-1]))
    optimizer = torch.optim.AdamW(list(weights.values()), lr=0.01)
    states: dict[str, numpy.ndarray] = {}
    batch = next(iter(model.feed.values())).shape[0]
    for number in range(1, 4):
        optimizer.zero_grad()
        logits = onnx_torch.run(proto, model.feed, weights)[output]
        flat = logits.reshape(-1, logits.shape[-1])
        loss = torch.nn.functional.cross_entropy(flat, torch.from_numpy(targets).reshape(-1))
        loss.backward()
        optimizer.step()
        feed = {
            **model.feed,
            **states,
            "train.targets": targets,
            "train.learning_rate": numpy.float32(0.01),
            "train.step": numpy.int64(number),
        }
        options = ("--train", "adamw", "--global-batch", batch)
        got = step(model.path, tmp_path, feed, *options)
        assert_near(got.pop("train.loss"), loss, 1e-5, "loss")
        states = got
    for key, weight in weights.items():
        state = optimizer.state.get(weight)
        if not state:
            continue
        # Where a gradient is next to nothing its noise is divided by itself.
        sure = (state["exp_avg_sq"].sqrt() > 1e-6).numpy()
        off = (got[key] - weight.detach().numpy())[sure]
        assert numpy.sqrt(numpy.mean(off**2)) <= 1e-5, key
        assert_near(got[f"{key}.m"], state["exp_avg"], 1e-4, key)
        assert_near(got[f"{key}.v"], state["exp_avg_sq"], 1e-4, key)


def test_half_precision_is_trained_in_full(tmp_path):
    """The state of a weight of f16 is of f32, and keeps steps that f16 would lose."""
    random = numpy.random.default_rng(2)
    x, w = (random.normal(size=shape).astype(numpy.float16) for shape in ((6, 4), (4, 3)))
    model = make_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        {"x": (TensorProto.FLOAT16, [6, 4])},
        {"y": (TensorProto.FLOAT16, [6, 3])},
        [tensor("w", w)],
    )
    path = write(model, tmp_path / "m.onnx")
    targets = random.integers(0, 3, 6)
    master = torch.from_numpy(w).double() + 1e-5
    rounded = master.half().double().requires_grad_()
    logits = torch.from_numpy(x).double() @ rounded
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets)).backward()
    feed = {
        "x": x,
        "w": master.float().numpy(),
        "train.targets": targets,
        "train.learning_rate": numpy.float32(1e-5),
        "train.step": numpy.int64(1),
    }
    got = step(path, tmp_path, feed, "--train", "adamw", "--global-batch", 6)
    assert all(value.dtype == numpy.float32 for value in got.values())
    assert_near(got["w.m"], 0.1 * rounded.grad, 2e-3, "mean")
    # The first step is the rate's size, against the gradient, whatever that is.
    moved = got["w"] - master.numpy() * (1 - 1e-7)
    assert numpy.abs(moved + 1e-5 * rounded.grad.sign().numpy()).max() <= 3e-7


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
        partita(
            "plan", linear, "--train", "adamw", "--global-batch", 8, "--dim", "batch=4", *machine
        ),
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
    options = (
        "--train",
        "none",
        "--loss-output",
        "z",
        "--dim",
        "batch=2",
        "--output-dir",
        tmp_path,
    )
    assert "its outputs are y" in fails(partita("interpret", linear, *options), 1).hint


def test_the_batch_is_summed_where_weights_are_updated(tmp_path):
    """Data parallelism by itself: gradients are partial sums, each of which moves once."""
    path = tmp_path / "m.onnx"
    assert zoo.main(["export", "mlp", "-o", str(path)]) == 0
    machine = ("--topology", "cpu:4", "--mesh", "dp=4", "--format", "json")
    options = ("--train", "adamw", "--global-batch", 4096, *machine)
    plan = succeeds(partita("plan", path, *options)).json()
    assert {"k": [{"size": 4096, "axes": ["dp"]}]} in [
        strategy["factors"]
        for name, strategy in plan["strategies"].items()
        if name.startswith("linear1/Gemm/grad") and strategy["nodes"] == ["linear1/Gemm"]
    ]
    sums = [
        entry["bytes"]
        for entry in plan["report"]["collectives"]
        if entry["kind"] in ("all_reduce", "reduce_scatter")
    ]
    assert 102 * 102 * 4 in sums


def test_a_transformer_is_planned(zoo_model):
    """Nothing is said of gradients, and each is summed over the batch's ranks."""
    options = ("--train", "adamw", "--global-batch", 64, "--topology", "cpu:4", "--mesh", "dp=4")
    path = zoo_model("bert").path
    plan = succeeds(partita("plan", path, *options, "--format", "json")).json()
    sums = [
        name
        for name, strategy in plan["strategies"].items()
        if "/grad" in name and strategy["op"] == "nn.matmul" and "k" in strategy["factors"]
    ]
    assert len(sums) >= 18
    kinds = {entry["kind"] for entry in plan["report"]["collectives"]}
    assert kinds & {"all_reduce", "reduce_scatter"}
