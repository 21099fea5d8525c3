# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A graph under construction, of which every value's type is known.

A value is `exact` if all its elements are small whole numbers and so were those
that it was computed from: then rounding cannot differ between two ways to
compute it, and operators that are not continuous (comparisons, rounding, sorting)
may read it. `bound` limits the absolute value of all elements, so that no
random chain overflows or loses all its digits.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy
from onnx import TensorProto, helper, numpy_helper

#: Exact values stay below: sums of products of two of them are whole in f32.
EXACT_LIMIT = 64.0
#: Others stay below, give or take.
LIMIT = 20.0
MAX_ELEMENTS = 4096
OPSET = 18

TYPES = {
    "f32": TensorProto.FLOAT,
    "f64": TensorProto.DOUBLE,
    "i64": TensorProto.INT64,
    "i32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}
NUMPY = {
    "f32": numpy.float32,
    "f64": numpy.float64,
    "i64": numpy.int64,
    "i32": numpy.int32,
    "bool": numpy.bool_,
}


@dataclass(frozen=True)
class Value:
    """A tensor of the graph."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    exact: bool
    bound: float

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def real(self) -> bool:
        return self.dtype in ("f32", "f64")


class Impossible(Exception):
    """An operator found nothing that it could take; another is tried."""


class Builder:
    """Makes nodes; `rng` is all that its choices depend on."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.values: list[Value] = []
        self.nodes: list = []
        self.inputs: list[Value] = []
        self.initializers: list = []
        self._count = 0

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    # What there is.

    def pick(self, accepts=lambda value: True) -> Value:
        """A value that fits, late ones more often; fails if there is none."""
        fitting = [value for value in self.values if accepts(value)]
        if not fitting:
            raise Impossible
        recent = fitting[-4:]
        return self.rng.choice(recent if self.rng.random() < 0.6 else fitting)

    def axis(self, value: Value) -> int:
        if value.rank == 0:
            raise Impossible
        return self.rng.randrange(value.rank)

    def maybe_negative(self, axis: int, rank: int) -> int:
        """An axis, counted from the end half of the time."""
        return axis - rank if self.rng.random() < 0.5 else axis

    # What can be made.

    def shape(self, rank: int) -> tuple[int, ...]:
        """Sizes that are often no multiple of a mesh axis, of few elements."""
        while True:
            sizes = tuple(self.rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12)) for _ in range(rank))
            if math.prod(sizes) <= MAX_ELEMENTS:
                return sizes

    def input(self, dtype: str, shape: tuple[int, ...]) -> Value:
        name = self._name("x")
        exact = dtype not in ("f32", "f64")
        value = Value(name, dtype, shape, exact, 4.0)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def constant(self, array) -> str:
        """The name of a new initializer, which is no value that others pick."""
        name = self._name("w")
        self.initializers.append(numpy_helper.from_array(numpy.asarray(array), name))
        return name

    def ints(self, values) -> str:
        return self.constant(numpy.array(values, numpy.int64))

    def weight(self, dtype: str, shape: tuple[int, ...], scale: float = 1.0) -> str:
        """Normal numbers whose seed is drawn."""
        generator = numpy.random.default_rng(self.rng.getrandbits(32))
        return self.constant((generator.standard_normal(shape) * scale).astype(NUMPY[dtype]))

    def add(self, op: str, ins: list, outs: list[tuple], **attributes) -> list[Value]:
        """A node; `outs` are (dtype, shape, exact, bound) of its results."""
        names = [self._name("v") for _ in outs]
        inputs = [value.name if isinstance(value, Value) else value for value in ins]
        domain = attributes.pop("domain", "")
        name = self._name(op.lower() + "_")
        self.nodes.append(
            helper.make_node(op, inputs, names, name=name, domain=domain, **attributes)
        )
        made = [Value(name, *out) for name, out in zip(names, outs)]
        for value in made:
            if value.size > MAX_ELEMENTS:
                raise Impossible
        self.values += made
        return made

    def hidden(self, op: str, ins: list, **attributes) -> str:
        """The name of a node's result that no other operator picks."""
        name = self._name("h")
        inputs = [value.name if isinstance(value, Value) else value for value in ins]
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def like(self, op: str, ins: list, model: Value, **attributes) -> Value:
        """A node whose result has the type of `model`; see add for the rest."""
        exact = attributes.pop("exact", model.exact)
        bound = attributes.pop("bound", model.bound)
        return self.add(op, ins, [(model.dtype, model.shape, exact, bound)], **attributes)[0]

    def moved(self, op: str, ins: list, source: Value, shape, **attributes) -> Value:
        """A node that moves elements of `source` into another shape."""
        out = (source.dtype, tuple(shape), source.exact, source.bound)
        return self.add(op, ins, [out], **attributes)[0]

    # Checkpoints, for operators that turn out impossible half way.

    def mark(self):
        return len(self.values), len(self.nodes), len(self.initializers), len(self.inputs)

    def reset(self, mark) -> None:
        values, nodes, initializers, inputs = mark
        del self.values[values:], self.nodes[nodes:]
        del self.initializers[initializers:], self.inputs[inputs:]

    def model(self, outputs: list[Value]):
        """The ModelProto of what the outputs need."""
        return assemble(self.nodes, self.inputs, self.initializers, outputs)


def assemble(nodes, inputs: list[Value], initializers, outputs: list[Value]):
    """A ModelProto of the nodes that the outputs depend on."""
    needed, kept = {value.name for value in outputs}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)

    def info(value):
        return helper.make_tensor_value_info(value.name, TYPES[value.dtype], value.shape)

    used = [value for value in inputs if value.name in needed]
    graph = helper.make_graph(
        list(reversed(kept)),
        "random",
        [info(value) for value in used],
        [info(value) for value in outputs],
        [tensor for tensor in initializers if tensor.name in needed],
    )
    domains = {node.domain for node in kept} - {""}
    opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
