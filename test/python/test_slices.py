# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Slices that go backwards, before whatever may read them."""

import numpy
import pytest
from helpers import onnx_models, tools
from onnx import TensorProto, helper

READERS = {
    "output": ([helper.make_node("Identity", ["r"], ["y"])], [3, 8]),
    "product": ([helper.make_node("MatMul", ["r", "w"], ["y"])], [3, 4]),
    "elementwise": ([helper.make_node("Exp", ["r"], ["y"])], [3, 8]),
    "transpose": ([helper.make_node("Transpose", ["r"], ["y"], perm=[1, 0])], [8, 3]),
    "softmax": ([helper.make_node("Softmax", ["r"], ["y"])], [3, 8]),
}


@pytest.mark.parametrize("axis, begin, step", [(0, 4, -2), (1, 7, -1)])
@pytest.mark.parametrize("reader", READERS)
def test_reversed(compiler, scratch, reader, axis, begin, step):
    nodes, shape = READERS[reader]
    size = [5, 8] if axis == 0 else [3, 8]
    model = onnx_models.make_model(
        [helper.make_node("Slice", ["x", "b", "e", "a", "s"], ["r"]), *nodes],
        {"x": (TensorProto.FLOAT, size)},
        {"y": (TensorProto.FLOAT, shape)},
        [
            *(onnx_models.tensor(n, [v]) for n, v in zip("beas", (begin, -99, axis, step))),
            onnx_models.tensor("w", numpy.arange(32, dtype=numpy.float32).reshape(8, 4)),
        ],
    )
    path = onnx_models.write(model, scratch / "m.onnx")
    for mesh in (["--topology", "cpu:1"], ["--topology", "cpu:2", "--random-plan", "1"]):
        tools.succeeds(tools.partita("verify", path, *mesh, "--check-arena"))
