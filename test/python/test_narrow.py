# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights of four and eight bits: packed in the file, unpacked when they are loaded."""

import numpy as np
import pytest
from helpers.tools import partita

onnx = pytest.importorskip("onnx")
ml_dtypes = pytest.importorskip("ml_dtypes")

from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS, BATCH = 150, 81, 4  # An odd number of elements: one half byte is left.


def write_model(path, weight, scale):
    """x times the weight, which is dequantised by columns."""
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["w", "scale"], ["wide"], axis=1),
            helper.make_node("MatMul", ["x", "wide"], ["y"]),
        ],
        "narrow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, ROWS - 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [BATCH, COLUMNS])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(scale, "scale")],
    )
    opset = helper.make_opsetid("", 25)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=13), path)


KINDS = ["INT4", "UINT4", "INT2", "FLOAT8E4M3FN", "FLOAT8E5M2FNUZ", "FLOAT4E2M1"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("ranks", [0, 2])
def test_packed_weights(compiler, tmp_path, name, ranks):
    generator = np.random.default_rng(5)
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, name))
    weight = generator.integers(-8, 8, (ROWS - 1, COLUMNS)).astype(np.float32)
    weight = weight.astype(dtype).astype(np.float32)  # As the type has it.
    scale = np.linspace(0.5, 2, COLUMNS, dtype=np.float32)
    x = generator.standard_normal((BATCH, ROWS - 1)).astype(np.float32)
    model = tmp_path / "m.onnx"
    write_model(model, weight.astype(dtype), scale)
    np.save(tmp_path / "x.npy", x)
    given = ["--input", f"x={tmp_path / 'x.npy'}"]
    if ranks:
        machine = ["--topology", f"cpu:{ranks}", "--mesh", f"tp={ranks}"]
        done = partita("verify", model, *machine, *given)
        assert done.code == 0, str(done)
        return
    done = partita("interpret", model, *given, "--output-dir", tmp_path / "out")
    assert done.code == 0, str(done)
    np.testing.assert_allclose(
        np.load(tmp_path / "out" / "y.npy"), x @ (weight * scale), rtol=1e-4, atol=1e-3
    )


def test_arithmetic_on_narrow_types_is_refused(compiler, tmp_path):
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "narrow",
        [port("x", TensorProto.INT4, [3])],
        [port("y", TensorProto.INT4, [3])],
    )
    opset = helper.make_opsetid("", 25)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=13),
        tmp_path / "m.onnx",
    )
    done = partita("interpret", tmp_path / "m.onnx", "--output-dir", tmp_path)
    assert done.code == 2 and "tensor(int4)" in done.err
