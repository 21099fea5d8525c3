# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models of any depth and size for the planner, which needs no weights.

python3 -m partita.planner_models gpt --layers N [--hidden H] -o F.onnx
python3 -m partita.planner_models random --operations N [--seed S] -o F.onnx

`gpt` is the decoder of GPT-3 with N layers, as exporters write it. `random` has no
two parts that are alike: products, norms, elementwise operations and sums of
what came up to a few operations before.
"""

from __future__ import annotations

import argparse
import random
import sys

from .errors import USAGE, UserError, run_command
from .zoo import weights


class _Graph:
    """An ONNX graph under construction; parameters have no data."""

    def __init__(self, dtype: str):
        import onnx

        self.helper = onnx.helper
        self.types = onnx.TensorProto
        self.dtype = getattr(onnx.TensorProto, dtype)
        self.nodes = []
        self.initializers = []

    def node(self, kind: str, name: str, *operands: str, **attributes) -> str:
        """Adds a node with one result, which it returns."""
        self.nodes.append(
            self.helper.make_node(kind, list(operands), [name + ".out"], name=name, **attributes)
        )
        return name + ".out"

    def parameter(self, name: str, *shape: int) -> str:
        """Adds a parameter."""
        tensor = self.types(name=name, data_type=self.dtype, dims=shape)
        tensor.data_location = self.types.EXTERNAL
        self.initializers.append(tensor)
        return name

    def constant(self, name: str, values: list, kind: int, shape: list[int]) -> str:
        """Adds a small tensor with data."""
        self.initializers.append(self.helper.make_tensor(name, kind, shape, values))
        return name

    def dense(self, name: str, operand: str, rows: int, columns: int) -> str:
        """A product with a weight, and a bias."""
        product = self.node(
            "MatMul", name + "/MatMul", operand, self.parameter(name + ".weight", rows, columns)
        )
        return self.node("Add", name + "/Add", product, self.parameter(name + ".bias", columns))

    def norm(self, name: str, operand: str, width: int) -> str:
        """A layer norm over the last dimension."""
        scale, bias = (self.parameter(f"{name}.{part}", width) for part in ("weight", "bias"))
        return self.node("LayerNormalization", name, operand, scale, bias, axis=-1)

    def save(self, name: str, inputs, outputs, path: str) -> None:
        """Writes the model; inputs and outputs are (name, type, shape)."""
        helper = self.helper
        graph = helper.make_graph(
            self.nodes,
            name,
            *(
                [helper.make_tensor_value_info(value, kind, shape) for value, kind, shape in part]
                for part in (inputs, outputs)
            ),
            initializer=self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 8
        weights.save(model, path, None)


def gpt(
    layers: int,
    hidden: int,
    heads: int,
    vocabulary: int,
    sequence: int,
    path: str,
    dtype: str = "BFLOAT16",
) -> None:
    """Writes a decoder of `layers` layers with tokens (batch, sequence) as its input."""
    graph = _Graph(dtype)
    head = hidden // heads
    integers = graph.types.INT64
    to_heads = graph.constant("to_heads", [0, 0, heads, head], integers, [4])
    from_heads = graph.constant("from_heads", [0, 0, hidden], integers, [3])
    scale = graph.constant("scale", [head**-0.5], graph.dtype, [])
    mask = graph.node(
        "Trilu",
        "mask/Trilu",
        graph.node(
            "ConstantOfShape",
            "mask/Fill",
            graph.constant("mask/shape", [sequence, sequence], integers, [2]),
            value=graph.helper.make_tensor("value", graph.dtype, [1], [-10000.0]),
        ),
        graph.constant("mask/above", [1], integers, []),
        upper=1,
    )
    table = graph.parameter("wte.weight", vocabulary, hidden)
    embedded = graph.node("Gather", "wte", table, "tokens")
    stream = graph.node("Add", "wpe", embedded, graph.parameter("wpe.weight", sequence, hidden))
    for layer in range(layers):
        name = f"h.{layer}"
        normed = graph.norm(f"{name}.ln_1", stream, hidden)

        def by_head(part: str, order: list[int], name=name, normed=normed) -> str:
            row = graph.dense(f"{name}.attn.{part}", normed, hidden, hidden)
            split = graph.node("Reshape", f"{name}.attn.{part}/Reshape", row, to_heads)
            return graph.node("Transpose", f"{name}.attn.{part}/Transpose", split, perm=order)

        query, value = by_head("q", [0, 2, 1, 3]), by_head("v", [0, 2, 1, 3])
        scores = graph.node("MatMul", f"{name}.attn/Scores", query, by_head("k", [0, 2, 3, 1]))
        scores = graph.node("Mul", f"{name}.attn/Scale", scores, scale)
        scores = graph.node("Add", f"{name}.attn/Mask", scores, mask)
        weighed = graph.node("Softmax", f"{name}.attn/Softmax", scores, axis=-1)
        mixed = graph.node("MatMul", f"{name}.attn/Mix", weighed, value)
        mixed = graph.node("Transpose", f"{name}.attn/Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", f"{name}.attn/Reshape", mixed, from_heads)
        projected = graph.dense(f"{name}.attn.proj", mixed, hidden, hidden)
        stream = graph.node("Add", f"{name}.attn/Residual", stream, projected)
        normed = graph.norm(f"{name}.ln_2", stream, hidden)
        wide = graph.dense(f"{name}.mlp.fc", normed, hidden, 4 * hidden)
        wide = graph.node("Relu", f"{name}.mlp/Relu", wide)
        narrow = graph.dense(f"{name}.mlp.proj", wide, 4 * hidden, hidden)
        stream = graph.node("Add", f"{name}.mlp/Residual", stream, narrow)
    stream = graph.norm("ln_f", stream, hidden)
    head_weight = graph.parameter("lm_head.weight", hidden, vocabulary)
    logits = graph.node("MatMul", "lm_head", stream, head_weight)
    graph.save(
        f"gpt-{layers}",
        [("tokens", integers, ["batch", sequence])],
        [(logits, graph.dtype, ["batch", sequence, vocabulary])],
        path,
    )


#: Of the values of a random graph.
_WIDTHS = (1024, 2048, 4096)
#: How many values may be waiting for a use.
_OPEN = 6


def random_graph(operations: int, seed: int, path: str) -> None:
    """Writes a connected graph of about `operations` operations; equal seeds, equal graphs."""
    draw = random.Random(seed)
    graph = _Graph("BFLOAT16")
    waiting = [("x", _WIDTHS[0])]

    def product(name: str, operand: str, rows: int, columns: int) -> str:
        return graph.node("MatMul", name, operand, graph.parameter(name + ".w", rows, columns))

    def step(name: str) -> None:
        value, width = waiting.pop(draw.randrange(len(waiting)))
        kind = draw.choice(("product", "product", "fork", "unary", "norm", "sum", "sum"))
        others = [pair for pair in waiting if pair[1] == width]
        if kind == "sum" and others:
            other = draw.choice(others)
            waiting.remove(other)
            waiting.append((graph.node("Add", name, value, other[0]), width))
        elif kind == "fork" and len(waiting) < _OPEN:
            waiting.append((value, width))
            waiting.append((graph.node("Tanh", name, value), width))
        elif kind == "norm":
            waiting.append((graph.norm(name, value, width), width))
        elif kind == "unary":
            operator = draw.choice(("Relu", "Sigmoid", "Tanh"))
            waiting.append((graph.node(operator, name, value), width))
        else:
            wide = draw.choice(_WIDTHS)
            waiting.append((product(name, value, width, wide), wide))

    while len(graph.nodes) < operations:
        step(f"op{len(graph.nodes)}")
    # One output, so that all of it is needed.
    total = ""
    for value, width in waiting:
        part = product(f"out{len(graph.nodes)}", value, width, _WIDTHS[0])
        total = graph.node("Add", f"sum{len(graph.nodes)}", total, part) if total else part
    shape = ["batch", "sequence", _WIDTHS[0]]
    graph.save("random", [("x", graph.dtype, shape)], [(total, graph.dtype, shape)], path)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="partita.planner_models", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    deep = kinds.add_parser("gpt")
    deep.add_argument("--layers", type=int, default=96)
    deep.add_argument("--hidden", type=int, default=12288)
    deep.add_argument("--heads", type=int, default=96)
    deep.add_argument("--vocabulary", type=int, default=50257)
    deep.add_argument("--sequence", type=int, default=2048)
    drawn = kinds.add_parser("random")
    drawn.add_argument("--operations", type=int, default=10000)
    drawn.add_argument("--seed", type=int, default=0)
    for command in (deep, drawn):
        command.add_argument("-o", "--output", required=True)
    options = parser.parse_args(arguments)

    def body() -> None:
        sizes = [value for value in vars(options).values() if isinstance(value, int)]
        if min(sizes) < 0 or options.kind == "gpt" and options.hidden % options.heads:
            raise UserError("sizes are positive, and heads divide the width", code=USAGE)
        if options.kind == "random":
            random_graph(options.operations, options.seed, options.output)
        else:
            gpt(
                options.layers,
                options.hidden,
                options.heads,
                options.vocabulary,
                options.sequence,
                options.output,
            )

    return run_command("partita.planner_models", body)


if __name__ == "__main__":
    sys.exit(main())
