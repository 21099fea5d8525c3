# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions whose windows lie side by side are imported as matrix products."""

import json

import numpy
import pytest
from helpers import onnx_models, tools
from onnx import helper

FLOAT = onnx_models.FLOAT
#: Input, weight, output; some inputs end in what does not fill a patch.
SHAPES = {
    "image": ([2, 3, 8, 12], [6, 3, 4, 4], [2, 6, 2, 3]),
    "rest": ([2, 3, 7, 11], [6, 3, 2, 3], [2, 6, 3, 3]),
    "row": ([4, 2, 9], [5, 2, 3], [4, 5, 3]),
}


def patches(shapes):
    x, w, y = shapes
    values = numpy.random.default_rng(1).standard_normal(w).astype(numpy.float32)
    bias = numpy.arange(w[0], dtype=numpy.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", strides=w[2:])
    weights = [onnx_models.tensor("w", values), onnx_models.tensor("b", bias)]
    return onnx_models.make_model([node], {"x": (FLOAT, x)}, {"y": (FLOAT, y)}, weights)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_agrees_with_onnxruntime(tmp_path, name, ranks):
    path = onnx_models.write(patches(SHAPES[name]), tmp_path / "model.onnx")
    request = [path, "--topology", f"cpu:{ranks}", "--mesh", f"tp={ranks}"]
    reference = ["--reference", "onnxruntime", "--format", "json"]
    assert tools.succeeds(tools.partita("verify", *request, *reference)).json()["passed"]


def test_they_are_products(tmp_path):
    path = onnx_models.write(patches(SHAPES["rest"]), tmp_path / "model.onnx")
    done = tools.partita("plan", path, "--topology", "cpu:1", "--format", "json")
    kinds = json.dumps(tools.succeeds(done).json()["strategies"])
    assert "nn.matmul" in kinds and "nn.conv" not in kinds
