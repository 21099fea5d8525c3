# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of partita.inputs and partita.reference on small models made here."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy
import onnx
import pytest
from onnx import TensorProto, helper
from partita import arrays, inputs, metadata, reference


def write_model(path, nodes, ins, outs, properties=None):
    """ins and outs map names to (element type, dimensions)."""
    infos = [
        [helper.make_tensor_value_info(n, *spec) for n, spec in s.items()] for s in (ins, outs)
    ]
    graph = helper.make_graph(nodes, "test", *infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    for key, value in (properties or {}).items():
        metadata.set_property(model, key, value)
    onnx.save(model, str(path))
    return str(path)


@pytest.fixture
def adder(tmp_path):
    """y = x + z, of shapes [rows, 3]; five rows unless told otherwise."""
    spec = (TensorProto.FLOAT, ["rows", 3])
    node = helper.make_node("Add", ["x", "z"], ["out/y:0"])
    return write_model(
        tmp_path / "adder.onnx",
        [node],
        {"x": spec, "z": spec},
        {"out/y:0": spec},
        {metadata.DIMS: "rows=5"},
    )


@pytest.fixture
def folders(tmp_path):
    return ["--inputs", str(tmp_path / "in"), "--outputs", str(tmp_path / "out")]


def save(tmp_path, **values):
    arrays.save_all(str(tmp_path / "in"), values)


def ones(rows, dtype=numpy.float32):
    return numpy.ones((rows, 3), dtype)


# ===----------------------------------------------------------------------===#
# Inputs
# ===----------------------------------------------------------------------===#


@pytest.fixture
def text_model(tmp_path):
    ids = (TensorProto.INT64, ["batch", "sequence"])
    kinds = {"ids": ids, "mask": ids, "other": (TensorProto.INT32, [400])}
    kinds |= {"flag": (TensorProto.BOOL, [400]), "x": (TensorProto.DOUBLE, ["batch", 500])}
    nodes = [helper.make_node("Identity", [name], [name + "_out"]) for name in kinds]
    return write_model(
        tmp_path / "text.onnx",
        nodes,
        kinds,
        {name + "_out": kind for name, kind in kinds.items()},
        {metadata.DIMS: "batch=6,sequence=10", metadata.INPUT_RANGES: "ids=5:9,mask=mask"},
    )


def test_random_inputs_are_valid(text_model):
    values = inputs.random_inputs(metadata.load_model(text_model), 7, ["batch=50"])
    assert values["ids"].shape == values["mask"].shape == (50, 10)
    assert set(values["ids"].flat) == {5, 6, 7, 8} and values["ids"].dtype == numpy.int64
    assert set(values["other"]) == {0, 1} and values["other"].dtype == numpy.int32
    assert set(values["flag"]) == {False, True} and values["flag"].dtype == numpy.bool_
    assert values["x"].dtype == numpy.float64 and abs(values["x"].std() - 1) < 0.02
    lengths = values["mask"].sum(1)
    assert (lengths[0::2] == 10).all()
    assert (lengths[1::2] < 10).all() and lengths.min() >= 1 and len(set(lengths)) > 5
    assert (numpy.diff(values["mask"], axis=1) <= 0).all()


def test_random_inputs_depend_on_the_seed_alone(text_model):
    model = metadata.load_model(text_model)
    one, same, other = (inputs.random_inputs(model, seed, []) for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert not (one["x"] == other["x"]).any()


def test_inputs_command_names_what_is_wrong(text_model, tmp_path, capsys):
    def fails(*arguments):
        assert inputs.main([*arguments, "-o", str(tmp_path / "in")]) == 2
        assert not os.path.exists(tmp_path / "in")
        return capsys.readouterr().err

    assert "'rows'" in fails(text_model, "--dim", "rows=3")
    assert "NAME=SIZE" in fails(text_model, "--dim", "batch=many")
    assert "at least 1" in fails(text_model, "--dim", "batch=0")
    model = onnx.load(text_model)
    metadata.set_property(model, metadata.DIMS, "batch=6")
    onnx.save(model, text_model)
    assert "'sequence' of input 'ids'" in fails(text_model)
    metadata.set_property(model, metadata.INPUT_RANGES, "ids=9:5")
    onnx.save(model, text_model)
    assert "LOW:HIGH" in fails(text_model, "--dim", "sequence=2")


def test_names_become_file_names():
    assert arrays.file_names(["a/b:0"]) == {"a/b:0": "a_b_0.npy"}
    with pytest.raises(Exception, match="a_b.npy"):
        arrays.file_names(["a/b", "a:b"])


# ===----------------------------------------------------------------------===#
# Reference
# ===----------------------------------------------------------------------===#


def test_runs_what_inputs_makes(adder, tmp_path, folders):
    assert inputs.main([adder, "--dim", "rows=4", "-o", str(tmp_path / "in")]) == 0
    assert reference.main([adder, *folders, "--dim", "rows=4"]) == 0
    x, z = (numpy.load(tmp_path / "in" / f"{name}.npy") for name in "xz")
    numpy.testing.assert_array_equal(numpy.load(tmp_path / "out" / "out_y_0.npy"), x + z)
    assert sorted(os.listdir(tmp_path / "out")) == ["out_y_0.npy"]


def test_repeat_reports_times(adder, tmp_path, folders, capsys):
    save(tmp_path, x=ones(2), z=ones(2))
    assert reference.main([adder, *folders, "--repeat", "5", "--threads", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["all_seconds"]) == 5 and report["step_seconds"] > 0


def test_runs_on_request(adder, tmp_path, folders):
    save(tmp_path, x=ones(2), z=ones(2))
    cpu = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "partita.reference", adder, *folders, "--on-request"]
    done = subprocess.run(
        [*command, "--cpus", str(cpu)], input="run\nrun\n", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    ready, *times = done.stdout.split()
    assert ready == "ready" and len(times) == 2 and all(float(time) > 0 for time in times)


@pytest.mark.parametrize(
    "values, dims, message",
    [
        (dict(x=ones(2)), [], "no z.npy"),
        (dict(x=ones(2), z=ones(3)), [], "dimension 0 of input 'z' is 3, and is rows=2 by"),
        (dict(x=ones(2), z=ones(2)), ["--dim", "rows=3"], "is 2, and is rows=3 by --dim"),
        (dict(x=ones(2), z=ones(2, numpy.float64)), [], "float64, and the model takes float32"),
        (dict(x=ones(2), z=numpy.ones(3, numpy.float32)), [], "takes 2 dimensions"),
        (dict(x=ones(2), z=numpy.ones((2, 4), numpy.float32)), [], "is 4, and is 3 by the model"),
    ],
)
def test_wrong_inputs(adder, tmp_path, folders, capsys, values, dims, message):
    save(tmp_path, **values)
    assert reference.main([adder, *folders, *dims]) == 2
    assert message in capsys.readouterr().err
    assert not os.path.exists(tmp_path / "out")


def test_hostile_arrays(adder, tmp_path, folders, capsys):
    save(tmp_path, x=ones(2), z=ones(2))
    file = tmp_path / "in" / "z.npy"
    whole = file.read_bytes()
    numpy.save(file, numpy.array([{}], dtype=object), allow_pickle=True)
    pickled = file.read_bytes()
    huge = whole.replace(b"(2, 3)", b"(9**9,)"), whole.replace(
        b"(2, 3), ", b"(2, 3999999999999999), "
    )
    for hostile in (b"", b"text", whole[:-3], whole[:20], pickled, *huge):
        file.write_bytes(hostile)
        assert reference.main([adder, *folders]) == 2, hostile[:80]
        assert "z.npy is not an array" in capsys.readouterr().err


def test_bad_models(adder, tmp_path, folders, capsys):
    save(tmp_path, x=ones(2), z=ones(2))

    def fails(path, code=2):
        assert reference.main([str(path), *folders]) == code
        return capsys.readouterr().err

    broken = tmp_path / "broken.onnx"
    assert "No such file" in fails(tmp_path / "none.onnx")
    with open(adder, "rb") as file:
        whole = file.read()
    for content in (b"", whole[:40], b"\xff" * 100):
        broken.write_bytes(content)
        assert "is not an ONNX model" in fails(broken)
    spec = (TensorProto.FLOAT, ["rows", 3])
    node = helper.make_node("Nonesuch", ["x"], ["y"])
    assert "Nonesuch" in fails(write_model(broken, [node], {"x": spec}, {"y": spec}), code=3)
    absent = {metadata.WEIGHTS: metadata.WEIGHTS_ABSENT}
    node = helper.make_node("Relu", ["x"], ["y"])
    path = write_model(broken, [node], {"x": spec}, {"y": spec}, absent)
    assert "without weights" in fails(path)


def test_missing_onnxruntime_names_the_repair(adder, folders, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    assert reference.main([adder, *folders]) == 3
    assert "pip install onnxruntime" in capsys.readouterr().err


def test_usage_errors(adder, folders):
    assert reference.main([adder]) == 1
    assert reference.main([adder, *folders, "--threads", "0"]) == 1
    assert reference.main([adder, *folders, "--cpus", "0,1", "--threads", "1"]) == 1
