# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX models made here: small ones, broken ones, and ones of any depth."""

from __future__ import annotations

import pathlib
import re

import numpy
from onnx import TensorProto, helper, numpy_helper
from partita.zoo import shipped

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def make_model(nodes, ins, outs, initializers=(), opset=18, metadata=None):
    """A ModelProto; ins and outs map names to (element type, dimensions)."""
    infos = [
        [helper.make_tensor_value_info(n, *spec) for n, spec in s.items()] for s in (ins, outs)
    ]
    graph = helper.make_graph(list(nodes), "test", *infos, initializer=list(initializers))
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    for key, value in (metadata or {}).items():
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


def deep_bert(layers: int):
    """Bert tiny with any number of layers from 3 on, and without weights.

    The graph that ships has three: the middle one is repeated, the last renamed.
    """
    proto, _ = shipped.load("bert", "tiny")
    graph = proto.graph
    parts: dict[int | None, list] = {None: [], 0: [], 1: [], 2: []}
    before: list = []
    for node in graph.node:
        found = re.match(r"encoder\.layer\.(\d+)\.", node.name)
        index = int(found[1]) if found else None
        (before if index is None and not parts[0] else parts[index]).append(node)
    entry, middle = (parts[index][-1].output[0] for index in (0, 1))
    weights = [t for t in graph.initializer if t.name.startswith("encoder.layer.1.")]

    def renamed(message, index: int, names: dict[str, str]):
        copy = type(message)()
        copy.CopyFrom(message)
        copy.name = re.sub(r"^encoder\.layer\.\d+\.", f"encoder.layer.{index}.", copy.name)
        for field in ("input", "output"):
            values = getattr(copy, field, [])
            for position, value in enumerate(values):
                values[position] = names.get(value, value)
        return copy

    nodes, initializers, previous = before + parts[0], [], entry
    for index in range(1, layers - 1):
        names = {t.name: t.name.replace("layer.1.", f"layer.{index}.") for t in weights}
        names |= {value: f"{value}/{index}" for node in parts[1] for value in node.output}
        names[entry] = previous
        nodes += [renamed(node, index, names) for node in parts[1]]
        initializers += [renamed(t, index, {}) for t in weights]
        previous = names[middle]
    last = {t.name: t.name.replace("layer.2.", f"layer.{layers - 1}.") for t in graph.initializer}
    last[middle] = previous
    nodes += [renamed(node, layers - 1, last) for node in parts[2]] + parts[None]
    for t in graph.initializer:
        if not t.name.startswith("encoder.layer.1."):
            copy = TensorProto()
            copy.CopyFrom(t)
            copy.name = last.get(t.name, t.name)
            initializers.append(copy)
    for field, values in (("node", nodes), ("initializer", initializers), ("value_info", [])):
        # Clearing the field ends the life of what is still in it.
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    metadata = {"partita.dims": "batch=6,sequence=10", "partita.weights": "absent"}
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto
