# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Indices that only run time knows, of tables that are whole, cut in rows or cut in columns."""

import numpy
import pytest
from helpers import onnx_models, tools
from onnx import TensorProto, helper

ROWS, COLUMNS, COUNT = 7, 6, 5
PINS = {"whole": "*:i0=r", "rows": "*:v=r", "columns": "*:p1=r"}


@pytest.fixture(params=PINS)
def built(request, compiler, scratch):
    """The table and the executable for two ranks that gathers from it."""
    table = numpy.arange(1, ROWS * COLUMNS + 1, dtype=numpy.float32).reshape(ROWS, COLUMNS)
    model = onnx_models.make_model(
        [helper.make_node("Gather", ["table", "index"], ["y"], name="gather")],
        {"index": (TensorProto.INT64, [COUNT])},
        {"y": (TensorProto.FLOAT, [COUNT, COLUMNS])},
        [onnx_models.tensor("table", table)],
    )
    path = onnx_models.write(model, scratch / "m.onnx")
    options = ["--topology", "cpu:2", "--mesh", "r=2", "--pin", PINS[request.param]]
    tools.succeeds(tools.partita("verify", path, *options))
    tools.succeeds(tools.partita("compile", path, *options, "-o", scratch / "out"))
    return table, scratch / "out"


def gather(executable, scratch, index):
    numpy.save(scratch / "index.npy", numpy.array(index))
    return tools.start(
        executable, "--input", f"index={scratch}/index.npy", "--output-dir", scratch / "o"
    )


def test_negative_indices_count_from_the_end_of_the_whole(built, scratch):
    table, executable = built
    index = [0, -1, -ROWS, ROWS - 1, -3]
    tools.succeeds(gather(executable, scratch, index))
    numpy.testing.assert_array_equal(numpy.load(scratch / "o" / "y.npy"), table[index])


@pytest.mark.parametrize("bad", [ROWS, -ROWS - 1])
def test_indices_outside_are_refused(built, scratch, bad):
    message = tools.fails(gather(built[1], scratch, [0, bad, 1, 2, 3]), 2)
    assert str(bad) in message.text and str(ROWS) in message.text
    assert not (scratch / "o" / "y.npy").exists()
