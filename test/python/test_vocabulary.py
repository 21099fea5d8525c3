# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What follows a product with a vocabulary works on each rank's part of it.

The scores are split by columns. The best of them and the loss take two rounds:
each rank's own, and one of what the ranks found, which is small.
"""

import numpy
import pytest
from helpers import onnx_models, tools
from onnx import TensorProto, helper

ROWS, WIDTH = 8, 64
node = helper.make_node


def best(smallest: bool):
    outs = {"v": (TensorProto.FLOAT, [ROWS, 5]), "i": (TensorProto.INT64, [ROWS, 5])}
    top = node("TopK", ["scores", "k"], ["v", "i"], axis=-1, largest=int(not smallest))
    return [top], {}, outs, [onnx_models.tensor("k", numpy.array([5], numpy.int64))]


def winner():
    outs = {"i": (TensorProto.INT64, [ROWS, 1])}
    return [node("ArgMax", ["scores"], ["i"], axis=-1)], {}, outs, []


def loss():
    ins = {"labels": (TensorProto.INT64, [ROWS])}
    entropy = node("SoftmaxCrossEntropyLoss", ["scores", "labels"], ["loss"])
    return [entropy], ins, {"loss": (TensorProto.FLOAT, [])}, []


HEADS = {"largest": best(False), "smallest": best(True), "winner": winner(), "loss": loss()}


@pytest.mark.parametrize("words", [4096, 50257])
@pytest.mark.parametrize("head", HEADS)
def test_scores_stay_where_they_are(compiler, scratch, head, words):
    nodes, ins, outs, constants = HEADS[head]
    weight = numpy.random.default_rng(words).standard_normal((WIDTH, words), numpy.float32)
    model = onnx_models.make_model(
        [node("MatMul", ["x", "w"], ["scores"], name="scores"), *nodes],
        {"x": (TensorProto.FLOAT, [ROWS, WIDTH]), **ins},
        outs,
        [onnx_models.tensor("w", weight), *constants],
    )
    path = onnx_models.write(model, scratch / "m.onnx")
    options = ["--topology", "cpu:2", "--mesh", "tp=2"]
    tools.succeeds(tools.partita("verify", path, *options, "--reference", "onnxruntime"))
    tools.succeeds(tools.partita("compile", path, *options, "-o", scratch / "out"))
    report = tools.report(scratch / "out", "--random-inputs", "1")
    assert max(report["matmul_flops"]) < 0.52 * 2 * ROWS * WIDTH * words
    moved = sum(line["bytes"] * line["count"] for line in report["collectives"])
    assert 0 < moved < 4 * ROWS * words / 8, report["collectives"]


def test_equal_elements_go_by_their_indices(compiler, scratch):
    """Across the parts of the two rounds too."""
    outs = {"v": (TensorProto.FLOAT, [1, 40]), "i": (TensorProto.INT64, [1, 40])}
    model = onnx_models.make_model(
        [node("TopK", ["x", "k"], ["v", "i"])],
        {"x": (TensorProto.FLOAT, [1, 4000])},
        outs,
        [onnx_models.tensor("k", numpy.array([40], numpy.int64))],
    )
    path = onnx_models.write(model, scratch / "m.onnx")
    x = numpy.zeros((1, 4000), numpy.float32)
    x[0, [7, 1999, 2000, 3999]] = [1, 2, 2, numpy.nan]
    numpy.save(scratch / "x.npy", x)
    for ranks in ("1", "2"):
        out = scratch / ranks
        options = ["--topology", f"cpu:{ranks}"]
        tools.succeeds(tools.partita("compile", path, *options, "-o", out))
        tools.succeeds(
            tools.start(out, "--input", f"x={scratch}/x.npy", "--output-dir", scratch / "o")
        )
        indices = numpy.load(scratch / "o" / "i.npy")[0]
        rest = [i for i in range(40) if i != 7][:36]
        assert indices.tolist() == [3999, 1999, 2000, 7, *rest]
