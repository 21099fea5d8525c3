# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's own cases for its operators, and the runner of these cases.

The whole suite runs in the interpreter. Nothing may fail; what is not supported
must be so for a reason that is listed here, so that an operator which stops
being imported is noticed.
"""

import json
import re
import signal

import numpy as np
import pytest
from helpers.tools import PARTITA, partita, start

onnx = pytest.importorskip("onnx")

from partita.conformance import __main__ as conformance
from partita.conformance import cases, containers, judge
from partita.conformance.specialise import attempts, specialised

#: Fewer than this passed: something that worked no longer does.
FLOOR = 1800

#: Values that Partita does not have.
VALUES = re.compile(r"its (in|out)put has the element type \w+$|import\.unknown-opset")

#: Operators that are not imported, wholly or in some of their forms.
OPERATORS = set(
    """
    Dropout ImageDecoder Loop NonMaxSuppression NonZero RandomUniformLike TreeEnsemble
    Unique
    """.split()
)


@pytest.fixture(scope="module")
def node_cases(tmp_path_factory):
    """ONNX's node cases, written once."""
    folder = tmp_path_factory.mktemp("cases")
    assert cases.generate(str(folder)) > 1500
    return folder


def unlisted(reason: str) -> bool:
    operators = re.findall(r"[\w.]+::(\w+) \(since opset", reason)
    return not (VALUES.match(reason) or operators and OPERATORS.issuperset(operators))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["interp", "raised"])
def test_operators_compute_what_onnx_says(compiler, node_cases, tmp_path, mode):
    file = tmp_path / "results.json"
    command = [
        str(node_cases),
        "--mode",
        mode,
        "--partita",
        str(PARTITA),
        "--json",
        str(file),
    ]
    code = conformance.main(command)
    results = json.loads(file.read_text())
    failed = {
        name: r["reason"] for name, r in results.items() if r["status"] == "failed"
    }
    assert code == 0 and not failed, failed
    passed = sum(r["status"] == "passed" for r in results.values())
    assert passed >= FLOOR
    surprises = {
        name: r["reason"]
        for name, r in results.items()
        if r["status"] == "unsupported" and unlisted(r["reason"])
    }
    assert not surprises, surprises


@pytest.mark.slow
def test_operators_compute_the_same_compiled_and_split(compiler, node_cases, tmp_path):
    """Of every 25th case; all of them take minutes."""
    for case in cases.find(str(node_cases))[::25]:
        (tmp_path / case.name).symlink_to(case.folder)
    code, results = run(tmp_path, "--mode", "compiled", "--ranks", "2")
    failed = {
        name: r["reason"] for name, r in results.items() if r["status"] == "failed"
    }
    assert code == 0 and not failed, failed
    assert sum(r["status"] == "passed" for r in results.values()) >= 40


# The runner must be able to fail.


def write_case(folder, node, inputs, outputs, **tolerances):
    def port(name, value):
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        return onnx.helper.make_tensor_value_info(name, kind, value.shape)

    graph = onnx.helper.make_graph(
        [node],
        "case",
        [port(name, value) for name, value in inputs.items()],
        [port(name, value) for name, value in outputs.items()],
    )
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8),
        folder / "model.onnx",
    )
    for kind, values in (("input", inputs), ("output", outputs)):
        for i, (name, value) in enumerate(values.items()):
            tensor = onnx.numpy_helper.from_array(value, name)
            (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())
    if tolerances:
        (folder / "data.json").write_text(json.dumps(tolerances))


def write_relu(folder, wrong=0.0, **tolerances):
    x = np.array([-1, 2, 3], np.float32)
    y = np.maximum(x, 0) + np.float32(wrong)
    write_case(
        folder,
        onnx.helper.make_node("Relu", ["x"], ["y"]),
        {"x": x},
        {"y": y},
        **tolerances,
    )


def run(folder, *options):
    """The exit code and the results by case."""
    file = folder / "results.json"
    command = [str(folder), "--partita", str(PARTITA), "--json", str(file), *options]
    code = conformance.main(command)
    return code, json.loads(file.read_text())


def test_a_wrong_result_fails(compiler, tmp_path):
    write_relu(tmp_path / "node" / "test_right")
    write_relu(tmp_path / "node" / "test_wrong", wrong=0.01)
    write_relu(tmp_path / "other" / "test_tolerated", wrong=0.01, atol=0.1)
    code, results = run(tmp_path, "--jobs", "2")
    assert code == 5
    assert {name: r["status"] for name, r in results.items()} == {
        "node/test_right": "passed",
        "node/test_wrong": "failed",
        "other/test_tolerated": "passed",
    }
    assert "differs in 3 of 3 elements" in results["node/test_wrong"]["reason"]
    assert results["node/test_right"]["operations"]["nn.relu"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_cases_run_compiled(compiler, tmp_path, ranks):
    write_relu(tmp_path / "test_right")
    write_relu(tmp_path / "test_wrong", wrong=0.01)
    code, results = run(tmp_path, "--mode", "compiled", "--ranks", str(ranks))
    assert code == 5
    assert {name: r["status"] for name, r in results.items()} == {
        "test_right": "passed",
        "test_wrong": "failed",
    }


def test_inputs_that_shapes_depend_on_become_constants(compiler, tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    node = onnx.helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    inputs = {"x": x, "axes": np.array([1], np.int64)}
    write_case(tmp_path / "test_sum", node, inputs, {"y": x.sum(1)})
    code, results = run(tmp_path)
    assert code == 0
    assert results["test_sum"]["fixed"] == ["axes"]


def test_what_is_not_supported_is_no_failure(compiler, tmp_path):
    text = np.array(["a"], dtype=object)
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    write_case(tmp_path / "test_text", node, {"x": text}, {"y": text})
    code, results = run(tmp_path)
    assert code == 0
    assert results["test_text"]["status"] == "unsupported"
    assert results["test_text"]["reason"] == "its input has the element type STRING"


def test_a_case_that_cannot_be_read_is_one_failure(compiler, tmp_path):
    write_relu(tmp_path / "test_right")
    write_relu(tmp_path / "test_torn")
    (tmp_path / "test_torn" / "model.onnx").write_bytes(b"\xff\xff")
    code, results = run(tmp_path)
    assert code == 5
    assert [r["status"] for r in results.values()] == ["passed", "failed"]


def test_a_folder_without_cases_is_an_error(tmp_path, capsys):
    assert conformance.main([str(tmp_path)]) == 2
    assert "has no case" in capsys.readouterr().err
    assert conformance.main([str(tmp_path), "--jobs", "0"]) == 1


def test_half_precisions_may_round_twice():
    one = np.array([1.0], np.float16)
    assert not judge.difference(one, one + np.float16(2**-9), 1e-3, 0)
    assert judge.difference(one, one + np.float16(2**-8), 1e-3, 0)
    assert judge.difference(one, one.astype(np.float32), 1, 1)
    assert judge.difference(one, one[:0], 1, 1)
    assert judge.difference(np.array([1]), np.array([2]), 1, 1)
    assert not judge.difference(
        np.array([np.nan, np.inf]), np.array([np.nan, np.inf]), 0, 0
    )
    assert "first at []" in judge.difference(np.array(1.0), np.array(2.0), 0, 0)


def test_what_is_left_of_large_numbers_is_noise():
    right = np.array([1000.0, 0.0], np.float32)
    assert not judge.difference(right, right + np.array([0, 2e-4], np.float32), 1e-3, 0)
    assert judge.difference(right, right + np.array([0, 3e-4], np.float32), 1e-3, 0)
    alone = np.array([np.inf, 0.0], np.float32)
    assert judge.difference(alone, alone + np.array([0, 1e-7], np.float32), 1e-3, 0)


def test_narrow_elements_are_compared_as_they_are_stored():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    right = np.array([-8, 7]).astype(ml_dtypes.int4)
    assert not judge.difference(right, np.array([-8, 7], np.int8), 0, 0)
    assert judge.difference(right, np.array([-8, 6], np.int8), 0, 0)
    assert judge.difference(right, np.array([8, 7], np.uint8), 0, 0)
    eighth = np.array([0.125]).astype(ml_dtypes.float8_e4m3fn)
    assert not judge.difference(eighth, np.array([0.125], np.float16), 0, 0)


def sequence_model(position):
    """Puts the tensor t into the sequence s at a position."""
    element = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    sequence = onnx.helper.make_sequence_type_proto(element)
    optional = onnx.helper.make_optional_type_proto(sequence)
    at = onnx.numpy_helper.from_array(np.array(position, np.int64), "at")
    nodes = [
        onnx.helper.make_node("OptionalGetElement", ["s"], ["inner"]),
        onnx.helper.make_node("SequenceInsert", ["inner", "t", "at"], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "sequence",
        [
            onnx.helper.make_value_info("s", optional),
            onnx.helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, [2]),
        ],
        [onnx.helper.make_value_info("y", sequence)],
        [at],
    )
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.parametrize("position, right", [(0, True), (1, False)])
def test_sequences_and_optional_values_are_opened(compiler, tmp_path, position, right):
    parts = [np.array([1], np.float32), np.array([2, 3, 4], np.float32)]
    new = np.array([5, 6], np.float32)
    model = sequence_model(position)
    folder = tmp_path / "case" / "test_data_set_0"
    folder.mkdir(parents=True)
    onnx.save(model, tmp_path / "case" / "model.onnx")
    files = {
        "input_0": onnx.numpy_helper.from_optional(parts, "s"),
        "input_1": onnx.numpy_helper.from_array(new, "t"),
        "output_0": onnx.numpy_helper.from_list([new, *parts], "y"),
    }
    for name, value in files.items():
        (folder / f"{name}.pb").write_bytes(value.SerializeToString())
    code, results = run(tmp_path)
    assert (code == 0) == right, results
    # A sequence that is too short is another difference than a wrong element.
    opened, inputs, outputs = containers.opened(
        model, {"s": parts, "t": new}, {"y": [new]}
    )
    assert sorted(inputs) == ["s_value_0", "s_value_1", "t"]
    assert outputs["y_length"] == 1 and [p.name for p in opened.graph.output] == [
        "y_length",
        "y_0",
    ]


def test_optional_values_may_be_left_out():
    model = sequence_model(0)
    opened, inputs, _ = containers.opened(
        model, {"s": None, "t": np.zeros(2)}, {"y": []}
    )
    assert sorted(inputs) == ["t"]
    assert [node.op_type for node in opened.graph.node][0] == "Optional"


def test_inputs_are_fixed_step_by_step():
    values = {"x": np.zeros(3), "shape": np.zeros(2), "y": np.zeros((2, 2))}
    assert attempts(values) == [set(), {"shape"}, {"x", "shape"}]
    ports = [onnx.helper.make_tensor_value_info(name, 1, None) for name in values]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", ports, []))
    made = specialised(model, values, {"shape"})
    assert [port.name for port in made.graph.input] == ["x", "y"]
    assert [tensor.name for tensor in made.graph.initializer] == ["shape"]
    assert len(made.graph.input[1].type.tensor_type.shape.dim) == 2


# The commands beneath.


def test_interpret_writes_what_the_model_computes(compiler, tmp_path):
    write_relu(tmp_path / "case")
    np.save(tmp_path / "x.npy", np.array([-1, 2, 3], np.float32))
    done = partita(
        *(
            "interpret",
            tmp_path / "case" / "model.onnx",
            "--input",
            f"x={tmp_path / 'x.npy'}",
        ),
        *("--output-dir", tmp_path / "out"),
    )
    assert done.code == 0, str(done)
    assert "output y: f32[3]" in done.out
    assert np.array_equal(np.load(tmp_path / "out" / "y.npy"), [0, 2, 3])


def test_batch_goes_on_after_failures(compiler, tmp_path):
    write_relu(tmp_path / "small")
    big = np.zeros((3000, 3000), np.float32)
    node = onnx.helper.make_node("MatMul", ["x", "x"], ["y"])
    write_case(tmp_path / "big", node, {"x": big}, {"y": big})
    models = [
        tmp_path / "small" / "model.onnx",
        "missing.onnx",
        tmp_path / "big" / "model.onnx",
    ]
    out = str(tmp_path / "out")
    lines = [
        ["interpret", str(model), "--output-dir", out] for model in [*models, models[0]]
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = start(PARTITA, "batch", "--time-limit", "1", input=text)
    assert done.code == 0, str(done)
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["code"] for answer in answers] == [0, 2, 128 + signal.SIGALRM, 0]
    assert "missing.onnx" in answers[1]["err"]


def test_batch_refuses_what_is_no_command(compiler):
    done = start(PARTITA, "batch", input='{"a": 1}\n')
    assert done.code == 2
    assert "line 1 of standard input" in done.err
