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
    ).split()
}


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


def tensors(folder: str, kind: str, ports) -> dict[str, numpy.ndarray]:
    """The arrays of input_I.pb or output_I.pb by the names of the graph's ports.

    Raises Unsupported for what is no tensor of numbers.
    """
    arrays = {}
    for i, port in enumerate(ports):
        path = os.path.join(folder, f"{kind}_{i}.pb")
        if not os.path.exists(path):
            continue
        what = port.type.WhichOneof("value")
        if what != "tensor_type":
            raise Unsupported(f"its {kind} is a {what.removesuffix('_type')}")
        tensor = onnx.TensorProto()
        with open(path, "rb") as file:
            tensor.ParseFromString(file.read())
        if tensor.data_type not in NUMBERS:
            name = onnx.TensorProto.DataType.Name(tensor.data_type)
            raise Unsupported(f"its {kind} has the element type {name}")
        arrays[port.name] = numpy_helper.to_array(tensor)
    return arrays


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
