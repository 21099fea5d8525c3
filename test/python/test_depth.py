# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Depth is free: 96 layers need the kernels of 12, and at most twice the time."""

import time

import pytest
from helpers import onnx_models, tools

SHALLOW, DEEP = 12, 96


@pytest.fixture
def deep(compiler, scratch):
    """deep(LAYERS): the file of a bert with that many layers, without weights."""
    return lambda layers: onnx_models.write(
        onnx_models.deep_bert(layers), scratch / f"bert{layers}.onnx"
    )


def compile_for_two(model, mesh) -> tuple[dict, float]:
    """What `inspect` reports of the executable, and the seconds that compiling took."""
    out = model.with_suffix("")
    before = time.perf_counter()
    request = ["--topology", "cpu:2", *mesh]
    tools.succeeds(tools.partita("compile", model, *request, "-o", out))
    seconds = time.perf_counter() - before
    document = tools.succeeds(tools.partita("inspect", out, "--format", "json")).json()
    return document["report"], seconds


@pytest.mark.parametrize("mesh", [["--mesh", "tp=2"], []], ids=["tp=2", "auto"])
def test_depth_is_free(deep, mesh):
    models = {layers: deep(layers) for layers in (SHALLOW, DEEP)}
    seconds, reports = {}, {}
    # The least of three is least disturbed by what else runs.
    for _ in range(3):
        for layers, model in models.items():
            reports[layers], once = compile_for_two(model, mesh)
            seconds[layers] = min(once, seconds.get(layers, once))
        if seconds[DEEP] <= 2 * seconds[SHALLOW]:
            break
    assert reports[DEEP]["raised"]["attention"] == DEEP
    assert reports[DEEP]["commands"] > 6 * reports[SHALLOW]["commands"]
    assert reports[DEEP]["kernels"] == reports[SHALLOW]["kernels"] > 0
    assert seconds[DEEP] <= 2 * seconds[SHALLOW], seconds


def test_the_deep_model_is_the_model(deep, zoo_model):
    """With as many layers as bert tiny has, it is bert tiny."""
    import onnx

    ours = onnx.load(str(deep(3)), load_external_data=False)
    theirs = onnx.load(str(zoo_model("bert").path), load_external_data=False)
    assert list(ours.graph.node) == list(theirs.graph.node)
