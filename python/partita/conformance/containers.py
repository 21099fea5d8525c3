# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sequences and optional values at the ends of a model, as tensors.

Programs take and give tensors. A case whose model has a sequence or an optional
value as input or output is run as a model around it, which puts the sequence
together from its elements, and takes it apart again:

    SequenceConstruct(x_0, x_1) -> x        SequenceAt(y, 0) -> y_0
    Optional(x_value) -> x                  SequenceLength(y) -> y_length
                                            OptionalHasElement(y) -> y_has

How many elements there are is the case's, as shapes are (see specialise).
"""

from __future__ import annotations

import numpy
import onnx
from onnx import helper, numpy_helper


class _Rewriter:
    """A copy of a model, with nodes before and after its own."""

    def __init__(self, model: onnx.ModelProto):
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.before: list[onnx.NodeProto] = []
        self.after: list[onnx.NodeProto] = []
        self.ports: list[onnx.ValueInfoProto] = []
        self.arrays: dict[str, numpy.ndarray] = {}

    def _tensor(self, name: str, array: numpy.ndarray) -> str:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.ports.append(helper.make_tensor_value_info(name, kind, array.shape))
        self.arrays[name] = array
        return name

    def _made(self, name: str, kind: onnx.TypeProto, value) -> str:
        """Makes the value `name` from inputs."""
        what = kind.WhichOneof("value")
        if what == "tensor_type":
            return self._tensor(name, value)
        if what == "optional_type":
            inner = kind.optional_type.elem_type
            if value is None:
                node = helper.make_node("Optional", [], [name], type=inner)
            else:
                part = self._made(f"{name}_value", inner, value)
                node = helper.make_node("Optional", [part], [name])
        elif value:
            parts = [self._tensor(f"{name}_{i}", array) for i, array in enumerate(value)]
            node = helper.make_node("SequenceConstruct", parts, [name])
        else:
            element = kind.sequence_type.elem_type.tensor_type.elem_type
            node = helper.make_node("SequenceEmpty", [], [name], dtype=element)
        self.before.append(node)
        return name

    def _read(self, name: str, kind: onnx.TypeProto, value) -> None:
        """Gives the value `name` as outputs."""
        what = kind.WhichOneof("value")
        if what == "tensor_type":
            self._tensor(name, value)
        elif what == "optional_type":
            has = self._tensor(f"{name}_has", numpy.array(value is not None))
            self.after.append(helper.make_node("OptionalHasElement", [name], [has]))
            if value is not None:
                inner = f"{name}_value"
                self.after.append(helper.make_node("OptionalGetElement", [name], [inner]))
                self._read(inner, kind.optional_type.elem_type, value)
        else:
            length = self._tensor(f"{name}_length", numpy.array(len(value), numpy.int64))
            self.after.append(helper.make_node("SequenceLength", [name], [length]))
            for i, array in enumerate(value):
                part, at = self._tensor(f"{name}_{i}", array), f"{name}_at_{i}"
                index = numpy_helper.from_array(numpy.array(i, numpy.int64), at)
                self.model.graph.initializer.append(index)
                self.after.append(helper.make_node("SequenceAt", [name, at], [part]))

    def _end(self, ports, values: dict, convert):
        """Ports of tensors as they are, others converted; with their arrays."""
        self.ports, self.arrays = [], {}
        for port in ports:
            if port.type.WhichOneof("value") != "tensor_type":
                convert(port.name, port.type, values[port.name])
                continue
            self.ports.append(port)
            if port.name in values:
                self.arrays[port.name] = values[port.name]
        return self.ports, self.arrays

    def run(self, values: dict, expected: dict):
        """The model, its inputs and its outputs."""
        graph = self.model.graph
        inputs, arrays = self._end(list(graph.input), values, self._made)
        outputs, results = self._end(list(graph.output), expected, self._read)
        nodes = [*self.before, *graph.node, *self.after]
        del graph.node[:], graph.input[:], graph.output[:]
        graph.node.extend(nodes)
        graph.input.extend(inputs)
        graph.output.extend(outputs)
        return self.model, arrays, results


def opened(model: onnx.ModelProto, values: dict, expected: dict):
    """The model, its inputs and its outputs, all tensors."""
    ports = [*model.graph.input, *model.graph.output]
    if all(port.type.WhichOneof("value") == "tensor_type" for port in ports):
        return model, values, expected
    return _Rewriter(model).run(values, expected)
