# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Test cases in the layout of ONNX's backend tests.

A case is a folder, at any depth, with

    model.onnx
    test_data_set_K/input_I.pb, output_I.pb     tensors in the graph's order
    data.json                                   optional: {"rtol": .., "atol": ..}

The node cases are made by the onnx package itself; `generate` writes them so.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from dataclasses import dataclass

import numpy
import onnx
from onnx import numpy_helper

from ..errors import UserError

MODEL = "model.onnx"

#: Element types that Partita computes with.
NUMBERS = {
    getattr(onnx.TensorProto, name)
    for name in (
        "FLOAT DOUBLE FLOAT16 BFLOAT16 BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64"
        " INT4 UINT4 INT2 UINT2 FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT4E2M1"
    ).split()
    if hasattr(onnx.TensorProto, name)
}


#: How Partita's files hold what NumPy has not, by the names of ml_dtypes.
STORED = {
    "bfloat16": "float32",
    "int4": "int8",
    "uint4": "uint8",
    "int2": "int8",
    "uint2": "uint8",
    "float8_e4m3fn": "float16",
    "float8_e4m3fnuz": "float16",
    "float8_e5m2": "float16",
    "float8_e5m2fnuz": "float16",
    "float4_e2m1fn": "float16",
}


def stored(value: numpy.ndarray) -> numpy.ndarray:
    """The array as it is in a file of inputs or outputs."""
    return value.astype(STORED.get(value.dtype.name, value.dtype), copy=False)


class Unsupported(Exception):
    """The case holds something that Partita does not compute with."""


@dataclass(frozen=True)
class Case:
    """A folder with a model; the name is its path below the folder of all cases."""

    name: str
    folder: str
    rtol: float = 1e-3
    atol: float = 1e-7

    def load(self) -> onnx.ModelProto:
        """The model; external data are found beside it."""
        return onnx.load(os.path.join(self.folder, MODEL))

    def data_sets(self) -> list[str]:
        """The folders of inputs and outputs, in their order."""
        names = [n for n in os.listdir(self.folder) if re.fullmatch(r"test_data_set_\d+", n)]
        names.sort(key=lambda name: int(name.rsplit("_", 1)[1]))
        return [os.path.join(self.folder, name) for name in names]


def find(folder: str) -> list[Case]:
    """All cases below a folder, by name. UserError if there are none."""
    found = []
    for path, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        if MODEL not in files or not any(f.startswith("test_data_set_") for f in folders):
            continue
        tolerances = {}
        if "data.json" in files:
            with open(os.path.join(path, "data.json"), encoding="utf-8") as file:
                data = json.load(file)
            tolerances = {key: data[key] for key in ("rtol", "atol") if key in data}
        found.append(Case(os.path.relpath(path, folder), path, **tolerances))
    if not found:
        raise UserError(
            f"{folder} has no case: a folder with {MODEL} and test_data_set_0",
            hint="python3 -m partita.conformance DIR --generate writes ONNX's node cases",
        )
    return sorted(found, key=lambda case: case.name)


def values(folder: str, kind: str, ports) -> dict:
    """What input_I.pb or output_I.pb hold by the names of the graph's ports:
    arrays, lists of arrays for sequences, None for optional values that are not
    there.

    Raises Unsupported for what is not of numbers.
    """
    found = {}
    for i, port in enumerate(ports):
        path = os.path.join(folder, f"{kind}_{i}.pb")
        if os.path.exists(path):
            with open(path, "rb") as file:
                found[port.name] = _parsed(file.read(), port.type, kind)
    return found


def _parsed(data: bytes, type_: onnx.TypeProto, kind: str):
    """The value of a type from its bytes; `kind` is for messages."""
    what = type_.WhichOneof("value")
    if what == "tensor_type":
        tensor = onnx.TensorProto.FromString(data)
        if tensor.data_type not in NUMBERS:
            name = onnx.TensorProto.DataType.Name(tensor.data_type)
            raise Unsupported(f"its {kind} has the element type {name}")
        return numpy_helper.to_array(tensor)
    if what == "sequence_type":
        parts, inner = onnx.SequenceProto.FromString(data), type_.sequence_type.elem_type
        if inner.WhichOneof("value") != "tensor_type":
            raise Unsupported(f"its {kind} is a sequence of other things than tensors")
        return [_parsed(t.SerializeToString(), inner, kind) for t in parts.tensor_values]
    if what == "optional_type":
        optional, inner = onnx.OptionalProto.FromString(data), type_.optional_type.elem_type
        field = inner.WhichOneof("value").replace("_type", "_value")
        if not optional.HasField(field):
            return None
        return _parsed(getattr(optional, field).SerializeToString(), inner, kind)
    raise Unsupported(f"its {kind} is a {what.removesuffix('_type')}")


def generate(folder: str) -> int:
    """Writes the node cases of the installed onnx package; how many there are."""
    from onnx.backend.test.case import node

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = node.collect_testcases(None)
    for case in made:
        path = os.path.join(folder, case.name)
        os.makedirs(path, exist_ok=True)
        onnx.save(case.model, os.path.join(path, MODEL))
        with open(os.path.join(path, "data.json"), "w", encoding="utf-8") as file:
            json.dump({"rtol": case.rtol, "atol": case.atol}, file)
        for k, (inputs, outputs) in enumerate(case.data_sets):
            data = os.path.join(path, f"test_data_set_{k}")
            os.makedirs(data, exist_ok=True)
            for kind, ports, values in (
                ("input", case.model.graph.input, inputs),
                ("output", case.model.graph.output, outputs),
            ):
                for i, (port, value) in enumerate(zip(ports, values)):
                    with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as file:
                        file.write(_serialised(value, port))
    return len(made)


def _serialised(value, port) -> bytes:
    """As ONNX's own writer of test data does it."""
    if hasattr(value, "SerializeToString"):
        return value.SerializeToString()
    kind = port.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.from_list(value, port.name).SerializeToString()
    if kind == "map_type":
        return numpy_helper.from_dict(value, port.name).SerializeToString()
    if kind == "optional_type":
        return numpy_helper.from_optional(value, port.name).SerializeToString()
    return numpy_helper.from_array(numpy.asarray(value), port.name).SerializeToString()
