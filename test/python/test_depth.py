# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Depth is free: 96 layers need the kernels of 12, and at most twice the time."""

import os
import resource

import pytest
from helpers import onnx_models, tools
from helpers.models import mesh_options
from partita.zoo import shipped

SHALLOW, DEEP = 12, 96


@pytest.fixture
def deep(compiler, scratch):
    """deep(NAME, LAYERS): the file of a tiny model with so many layers, without weights."""

    def make(name: str, layers: int):
        model, _ = onnx_models.relayered(name, "tiny", layers)
        return onnx_models.write_absent(model, scratch / f"{name}{layers}.onnx")

    return make


def compile_for_two(model, mesh: str) -> tuple[dict, float]:
    """What `inspect` reports of the executable, and the processor seconds of compiling it."""
    out = model.with_suffix("")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    request = ["--topology", "cpu:2", *mesh_options(mesh)]
    tools.succeeds(tools.partita("compile", model, *request, "-o", out))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    document = tools.succeeds(tools.partita("inspect", out, "--format", "json")).json()
    return document["report"], seconds


@pytest.mark.parametrize("mesh", ["tp=2", "auto"])
@pytest.mark.parametrize("name", onnx_models.LAYER_PREFIX)
def test_depth_adds_no_kernels(deep, name, mesh):
    shallow, _ = compile_for_two(deep(name, SHALLOW), mesh)
    report, _ = compile_for_two(deep(name, DEEP), mesh)
    assert report["raised"]["attention"] == DEEP
    assert report["commands"] > 6 * shallow["commands"]
    assert report["kernels"] == shallow["kernels"] > 0


@pytest.mark.skipif(
    not os.environ.get("PARTITA_TIMED"), reason="a timed test: PARTITA_TIMED=1 runs it"
)
def test_depth_takes_no_time(deep):
    """Time at most doubles; the least of some is least disturbed by what else runs."""
    models = {layers: deep("bert", layers) for layers in (SHALLOW, DEEP)}
    seconds = dict.fromkeys(models, float("inf"))
    for _ in range(5):
        for layers, model in models.items():
            seconds[layers] = min(seconds[layers], compile_for_two(model, "tp=2")[1])
    assert seconds[DEEP] <= 2 * seconds[SHALLOW], seconds


@pytest.mark.parametrize("name", onnx_models.LAYER_PREFIX)
def test_the_deep_model_is_the_model(name):
    """With as many layers as the tiny model has, it is the tiny model."""
    ours, kinds = onnx_models.relayered(name, "tiny", 3)
    theirs, their_kinds = shipped.load(name, "tiny")
    assert list(ours.graph.node) == list(theirs.graph.node)
    assert kinds == their_kinds
    deeper, kinds = onnx_models.relayered(name, "tiny", 5)
    per_layer = (len(deeper.graph.node) - len(ours.graph.node)) / 2
    assert per_layer > 10 and per_layer == int(per_layer)
    assert set(kinds) == {t.name for t in deeper.graph.initializer if t.external_data}
