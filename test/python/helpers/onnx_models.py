# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX models made here: small ones, broken ones, and ones of any depth."""

from __future__ import annotations

import pathlib
import re

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from partita import metadata
from partita.zoo import shipped, weights
from partita.zoo.table import MODELS

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def make_model(nodes, ins, outs, initializers=(), opset=18, properties=None):
    """A ModelProto; ins and outs map names to (element type, dimensions)."""
    infos = [
        [helper.make_tensor_value_info(n, *spec) for n, spec in s.items()] for s in (ins, outs)
    ]
    graph = helper.make_graph(list(nodes), "test", *infos, initializer=list(initializers))
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    for key, value in (properties or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def write(model, path: pathlib.Path) -> pathlib.Path:
    """Writes a model as it is, right or wrong."""
    path.write_bytes(model.SerializeToString())
    return path


def tensor(name: str, values) -> TensorProto:
    """An initializer."""
    return numpy_helper.from_array(numpy.asarray(values), name)


def linear(features: int = 8, weights: bool = True):
    """y = x w, x of [4, features]; the smallest model with a weight."""
    values = numpy.arange(features * features, dtype=numpy.float32).reshape(features, features)
    return make_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        {"x": (FLOAT, [4, features])},
        {"y": (FLOAT, [4, features])},
        [tensor("w", values)] if weights else [],
    )


def make_external(model, name: str, location: str, offset: int, length: int) -> None:
    """Moves an initializer's data to a file; the file is the caller's business."""
    for initializer in model.graph.initializer:
        if initializer.name == name:
            initializer.ClearField("raw_data")
            initializer.data_location = TensorProto.EXTERNAL
            entries = (("location", location), ("offset", offset), ("length", length))
            for key, value in entries:
                initializer.external_data.add(key=key, value=str(value))


def attention(heads: int, sequence: int, width: int):
    """Softmax(q kᵀ / √width) v as exporters decompose it, q, k, v of [1, heads, sequence, width]."""
    shape = (FLOAT, [1, heads, sequence, width])
    scale = tensor("scale", numpy.float32(width**-0.5))
    return make_model(
        [
            helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2], name="turn"),
            helper.make_node("MatMul", ["q", "kt"], ["products"], name="scores"),
            helper.make_node("Mul", ["products", "scale"], ["scaled"], name="scale"),
            helper.make_node("Softmax", ["scaled"], ["p"], axis=-1, name="softmax"),
            helper.make_node("MatMul", ["p", "v"], ["y"], name="mix"),
        ],
        {"q": shape, "k": shape, "v": shape},
        {"y": shape},
        [scale],
    )


#: What the names of a layer's nodes and weights begin with, before its number.
LAYER_PREFIX = {"bert": "encoder.layer.", "gpt2": "transformer.h.", "llama": "model.layers."}


class _Layered:
    """A graph of the zoo taken apart: what precedes the layers, they, the rest."""

    def __init__(self, name: str, size: str):
        self.proto, self.kinds = shipped.load(name, size)
        self.pattern = re.compile(re.escape(LAYER_PREFIX[name]) + r"(\d+)(?=[./])")
        self.prefix = LAYER_PREFIX[name]
        nodes = list(self.proto.graph.node)
        numbers = [self.index(node.name) for node in nodes]
        # A node that is not named after its layer stands among those that are.
        ends = {number: place for place, number in enumerate(numbers) if number is not None}
        begin = numbers.index(0)
        self.before, self.after = nodes[:begin], nodes[max(ends.values()) + 1 :]
        self.layers: dict[int, list] = {}
        for number in sorted(ends):
            self.layers[number] = nodes[begin : ends[number] + 1]
            begin = ends[number] + 1

    def index(self, name: str) -> int | None:
        found = self.pattern.match(name)
        return int(found[1]) if found else None

    def output(self, index: int) -> str:
        """What the next layer reads of a layer."""
        return self.layers[index][-1].output[0]

    def move(self, message, index: int, names: dict[str, str]):
        """A copy of a node or a weight for another layer, with other values."""
        copy = type(message).FromString(message.SerializeToString())
        if self.index(copy.name) is not None:
            copy.name = self.pattern.sub(f"{self.prefix}{index}", copy.name, count=1)
        for field in ("input", "output"):
            values = getattr(copy, field, [])
            for position, value in enumerate(values):
                values[position] = names.get(value, value)
        return copy

    def weights(self, index: int) -> list:
        return [t for t in self.proto.graph.initializer if self.index(t.name) == index]


def relayered(name: str, size: str, layers: int):
    """(ModelProto, kinds of weights) of a zoo's model with another number of layers.

    The second layer is repeated; the first and the last stay what they are. At
    least two layers; as many as the model has give its own nodes.
    """
    parts = _Layered(name, size)
    last, graph = max(parts.layers), parts.proto.graph
    nodes = parts.before + parts.layers[0]
    initializers = [t for t in graph.initializer if parts.index(t.name) in (None, 0)]
    kinds = {t.name: parts.kinds[t.name] for t in initializers if t.name in parts.kinds}
    previous = parts.output(0)
    for index in range(1, layers):
        source = last if index == layers - 1 else 1
        weights = parts.weights(source)
        names = {t.name: parts.move(t, index, {}).name for t in weights}
        kinds |= {names[t.name]: parts.kinds[t.name] for t in weights}
        if source != last and index != 1:
            values = [value for node in parts.layers[source] for value in node.output]
            names |= {value: f"{value}/{index}" for value in values}
        names[parts.output(source - 1)] = previous
        clones = [parts.move(node, index, names) for node in parts.layers[source]]
        for clone in clones:
            if source != index and parts.index(clone.name) is None:
                clone.name += f"/{index}"
        nodes += clones
        initializers += [parts.move(t, index, {}) for t in weights]
        previous = nodes[-1].output[0]
    nodes += parts.after
    for field, values in (("node", nodes), ("initializer", initializers), ("value_info", [])):
        # Clearing the field ends the life of what is still in it.
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    entry = MODELS[name].sizes[size]
    metadata.set_property(parts.proto, metadata.DIMS, metadata.format_dims(entry.dims))
    return parts.proto, kinds


def write_absent(proto, path: pathlib.Path) -> pathlib.Path:
    """Writes a graph of the zoo without weights."""
    weights.save(proto, str(path), None)
    return path


def write_zeros(proto, path: pathlib.Path) -> pathlib.Path:
    """Writes a graph of the zoo with weights of zero, which take no room on the disk."""
    write_absent(proto, path)
    model = onnx.load(str(path), load_external_data=False)
    kept = [entry for entry in model.metadata_props if entry.key != metadata.WEIGHTS]
    kept = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    size = 0
    for initializer in model.graph.initializer:
        place = {entry.key: entry.value for entry in initializer.external_data}
        if place:
            size = max(size, int(place["offset"]) + int(place["length"]))
    with open(f"{path}.data", "wb") as data:
        data.truncate(size)
    return write(model, path)
