# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A model for one set of inputs: shapes are theirs, and some values are known.

Partita compiles static shapes. The cases give sizes by data, and let shapes
depend on inputs (the axes of a reduction, the target of a reshape), which in
models are constants: such inputs become initializers.
"""

from __future__ import annotations

import re

import numpy
import onnx
from onnx import numpy_helper

#: The importer's reasons that go away where inputs are constants.
DEPENDS_ON_INPUT = re.compile("depends on data|is not a known number")


def specialised(model, values: dict[str, numpy.ndarray], fixed: set[str]) -> onnx.ModelProto:
    """A copy of the model whose inputs have the shapes of the values, and where
    the inputs named in `fixed` are initializers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inputs = list(copy.graph.input)
    del copy.graph.input[:]
    for port in inputs:
        value = values.get(port.name)
        if value is not None and port.name in fixed:
            copy.graph.initializer.append(numpy_helper.from_array(value, port.name))
            continue
        if value is not None:
            shape = port.type.tensor_type.shape
            shape.Clear()
            for size in value.shape:
                shape.dim.add().dim_value = size
        copy.graph.input.append(port)
    return copy


def attempts(values: dict[str, numpy.ndarray]) -> list[set[str]]:
    """Which inputs to fix: none; else vectors and numbers besides the first
    input; else all vectors and numbers."""
    small = [name for name, value in values.items() if value.ndim <= 1]
    later = [name for name in small if name != next(iter(values), None)]
    tries: list[set[str]] = [set()]
    for names in (later, small):
        if set(names) not in tries:
            tries.append(set(names))
    return tries
