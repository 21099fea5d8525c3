# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX Runtime's own operators (domain com.microsoft) compute what ONNX Runtime does.

Each case is a model of one such node; it is compiled whole and split over two
ranks, and both are compared with ONNX Runtime on the same inputs.
"""

import dataclasses

import numpy

import pytest
from helpers import onnx_models, tools
from onnx import TensorProto, helper
from partita import metadata

FLOAT, INT32, INT64, UINT8 = (
    TensorProto.FLOAT,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
)
BATCH, TOKENS, HEADS, SIZE = 2, 5, 4, 16
WIDTH = HEADS * SIZE
STATE = (FLOAT, [BATCH, TOKENS, WIDTH])

CASES = {}


@dataclasses.dataclass
class Case:
    """A node: its inputs (None: left out; an array: a weight), outputs, attributes."""

    op: str
    inputs: dict
    outputs: dict
    attributes: dict = dataclasses.field(default_factory=dict)
    ranges: dict = dataclasses.field(default_factory=dict)
    domain: str = "com.microsoft"

    def model(self):
        names = ["" if spec is None else name for name, spec in self.inputs.items()]
        arrays = {n: s for n, s in self.inputs.items() if isinstance(s, numpy.ndarray)}
        # What is stored beside the graph's own inputs must reach the node.
        given = {n: s for n, s in self.inputs.items() if isinstance(s, tuple)}
        outputs = [name if spec is not None else "" for name, spec in self.outputs.items()]
        node = helper.make_node(
            self.op, names, outputs, domain=self.domain, name="node", **self.attributes
        )
        model = onnx_models.make_model(
            [node],
            given,
            {n: s for n, s in self.outputs.items() if s is not None},
            [onnx_models.tensor(name, array) for name, array in arrays.items()],
            opset=20,
        )
        if self.domain:
            model.opset_import.append(helper.make_opsetid(self.domain, 1))
        ranges = ",".join(f"{name}={low}:{high}" for name, (low, high) in self.ranges.items())
        if ranges:
            metadata.set_property(model, metadata.INPUT_RANGES, ranges)
        return model


def case(name, *arguments, **settings):
    CASES[name] = Case(*arguments, **settings)


def weights(*shape, seed=1):
    values = numpy.random.default_rng([seed, *shape]).standard_normal(shape)
    return (values / shape[0] ** 0.5).astype(numpy.float32)


def vector(size, seed=2):
    return weights(1, size, seed=seed)[0]


def kept(tokens, heads=HEADS):
    return (FLOAT, [BATCH, heads, tokens, SIZE])


# ===----------------------------------------------------------------------===#
# Activations, norms, products
# ===----------------------------------------------------------------------===#

case("bias_gelu", "BiasGelu", {"x": STATE, "b": vector(WIDTH)}, {"y": STATE})
case("fast_gelu", "FastGelu", {"x": STATE}, {"y": STATE})
case("fast_gelu_bias", "FastGelu", {"x": STATE, "b": vector(WIDTH)}, {"y": STATE})
case("gelu", "Gelu", {"x": STATE}, {"y": STATE})
case("quick_gelu", "QuickGelu", {"x": STATE}, {"y": STATE}, {"alpha": 1.5})
case(
    "layer_norm",
    "SimplifiedLayerNormalization",
    {"x": STATE, "g": vector(WIDTH)},
    {"y": STATE},
    domain="",
)
case(
    "skip_norm",
    "SkipLayerNormalization",
    {"x": STATE, "s": STATE, "g": vector(WIDTH), "b": vector(WIDTH), "c": vector(WIDTH, 5)},
    {"y": STATE, "mean": None, "deviation": None, "sum": STATE},
)
case(
    "skip_rms_norm",
    "SkipSimplifiedLayerNormalization",
    {"x": STATE, "s": STATE, "g": vector(WIDTH)},
    {"y": STATE, "mean": None, "deviation": None, "sum": STATE},
    {"epsilon": 1e-5},
)
IDS = (INT32, [BATCH, TOKENS])
case(
    "embedding",
    "EmbedLayerNormalization",
    {
        "words": IDS,
        "segments": IDS,
        "table": weights(31, WIDTH),
        "places": weights(9, WIDTH),
        "kinds": weights(2, WIDTH),
        "g": vector(WIDTH),
        "b": vector(WIDTH, 3),
        "mask": IDS,
    },
    {"y": STATE, "count": (INT32, [BATCH])},
    ranges={"words": (0, 31), "mask": (1, 2)},
)
case(
    "fused_matmul",
    "FusedMatMul",
    {"a": (FLOAT, [BATCH, WIDTH, TOKENS]), "b": (FLOAT, [BATCH, 6, WIDTH])},
    {"y": (FLOAT, [BATCH, TOKENS, 6])},
    {"transA": 1, "transB": 1, "alpha": 0.5},
)


def few_bits(name, bits, k, n, zeros):
    """MatMulNBits with blocks of 16, of which k need not be a multiple."""
    blocks = -(-k // 16)
    rng = numpy.random.default_rng(bits)
    inputs = {
        "x": (FLOAT, [BATCH, TOKENS, k]),
        "w": rng.integers(0, 256, (n, blocks, 16 * bits // 8), numpy.uint8),
        "scale": rng.uniform(0.01, 0.05, (n, blocks)).astype(numpy.float32),
    }
    if zeros == "packed":
        inputs["z"] = rng.integers(0, 256, (n, -(-blocks * bits // 8)), numpy.uint8)
    elif zeros == "float":
        inputs["z"] = rng.uniform(0, 2**bits, (n, blocks)).astype(numpy.float32)
    case(
        name,
        "MatMulNBits",
        inputs,
        {"y": (FLOAT, [BATCH, TOKENS, n])},
        {"K": k, "N": n, "bits": bits, "block_size": 16},
    )


few_bits("four_bits", 4, 48, 12, "packed")
few_bits("four_bits_rest", 4, 32, 12, None)
few_bits("four_bits_float_zeros", 4, 48, 12, "float")
few_bits("eight_bits", 8, 48, 12, "packed")

# ===----------------------------------------------------------------------===#
# Attention
# ===----------------------------------------------------------------------===#

PROJECTION = {"x": STATE, "w": weights(WIDTH, 3 * WIDTH), "b": vector(3 * WIDTH)}
PAST, ALL = 3, 3 + TOKENS


def attention(name, extra=None, outputs=None, attributes=None, ranges=None):
    case(
        name,
        "Attention",
        PROJECTION | (extra or {}),
        {"y": STATE} | (outputs or {}),
        {"num_heads": HEADS} | (attributes or {}),
        ranges or {},
    )


LENGTHS = (INT32, [BATCH])
attention("attention")
attention("attention_causal", attributes={"unidirectional": 1})
attention("attention_lengths", {"mask": LENGTHS}, ranges={"mask": (1, TOKENS + 1)})
attention("attention_row_mask", {"mask": (INT32, [BATCH, TOKENS])}, attributes={"scale": 0.2})
attention("attention_mask", {"mask": (INT32, [BATCH, TOKENS, TOKENS])})
attention(
    "attention_past",
    {"mask": None, "past": (FLOAT, [2, BATCH, HEADS, PAST, SIZE])},
    {"present": (FLOAT, [2, BATCH, HEADS, ALL, SIZE])},
    {"unidirectional": 1},
)
attention(
    "attention_bias", {"mask": None, "past": None, "bias": (FLOAT, [1, HEADS, TOKENS, TOKENS])}
)


def multi_head(name, inputs, outputs=None, ranges=None, **attributes):
    case(
        name,
        "MultiHeadAttention",
        inputs,
        {"y": STATE} | (outputs or {}),
        {"num_heads": HEADS} | attributes,
        ranges or {},
    )


CROSS = (FLOAT, [BATCH, 7, WIDTH])
NOTHING = {"b": None, "mask": None, "bias": None}
multi_head("multi_head", {"q": STATE, "k": STATE, "v": STATE, "b": vector(3 * WIDTH)})
multi_head("multi_head_cross", {"q": STATE, "k": CROSS, "v": CROSS})
multi_head("multi_head_encoder", {"q": STATE, "k": kept(7), "v": kept(7)})
multi_head(
    "multi_head_mask",
    {"q": STATE, "k": STATE, "v": STATE, "b": None, "mask": (INT32, [BATCH, TOKENS])},
)
multi_head(
    "multi_head_past",
    {"q": STATE, "k": STATE, "v": STATE, **NOTHING, "pk": kept(PAST), "pv": kept(PAST)},
    {"nk": kept(ALL), "nv": kept(ALL)},
    unidirectional=1,
)

GROUPS, TABLE = 2, 16
ANGLES = numpy.arange(TABLE)[:, None] * 0.7 ** numpy.arange(SIZE // 2)[None, :]
TURNS = {"cos": numpy.cos(ANGLES).astype("f4"), "sin": numpy.sin(ANGLES).astype("f4")}
HALF_TURNS = {name: table[:, : SIZE // 4].copy() for name, table in TURNS.items()}
FEW = (FLOAT, [BATCH, TOKENS, GROUPS * SIZE])


def grouped(
    name, tokens, total, capacity=None, lengths=None, extra=None, packed=False, **attributes
):
    """GroupQueryAttention of new tokens behind a cache (none: capacity None)."""
    state = lambda heads: (FLOAT, [BATCH, tokens, heads * SIZE])  # noqa: E731
    cache = lambda size: None if size is None else kept(size, GROUPS)  # noqa: E731
    new = cache(max(total, capacity or 0))
    inputs = {
        "q": state(HEADS + 2 * GROUPS if packed else HEADS),
        "k": None if packed else state(GROUPS),
        "v": None if packed else state(GROUPS),
        "pk": cache(capacity),
        "pv": cache(capacity),
        "lengths": LENGTHS,
        "total": numpy.asarray(total, numpy.int32),
        "cos": None,
        "sin": None,
    }
    case(
        name,
        "GroupQueryAttention",
        inputs | (extra or {}),
        {"y": state(HEADS), "nk": new, "nv": new},
        {"num_heads": HEADS, "kv_num_heads": GROUPS} | attributes,
        # The key that is last of each of the batch.
        ranges={"lengths": lengths or (total - 1, total)},
    )


grouped("grouped_prompt", TOKENS, TOKENS)
grouped("grouped_packed", TOKENS, TOKENS, packed=True)
grouped("grouped_rotary", TOKENS, TOKENS, extra=TURNS, do_rotary=1)
grouped(
    "grouped_rotary_interleaved", TOKENS, TOKENS, extra=TURNS, do_rotary=1, rotary_interleaved=1
)
grouped("grouped_decode", 1, 7, 9, (2, 7), TURNS, do_rotary=1)
grouped("grouped_decode_window", 1, 7, 9, (2, 7), TURNS, do_rotary=1, local_window_size=3)
grouped("grouped_window", TOKENS, TOKENS, local_window_size=2)
grouped("grouped_softcap", TOKENS, TOKENS, softcap=1.5)
grouped("grouped_smooth", TOKENS, TOKENS, smooth_softmax=1)
grouped(
    "grouped_sinks",
    TOKENS,
    TOKENS,
    extra={"place": None, "bias": None, "sinks": vector(HEADS)},
)
grouped(
    "grouped_bias",
    TOKENS,
    TOKENS,
    extra={"place": None, "bias": (FLOAT, [1, HEADS, TOKENS, TOKENS])},
)


def rotary(name, shape, positions, tables=TURNS, ranges=None, **attributes):
    case(
        name,
        "RotaryEmbedding",
        {"x": (FLOAT, shape), "where": (INT64, positions), **tables},
        {"y": (FLOAT, shape)},
        attributes,
        ranges or {"where": (0, TABLE)},
    )


rotary("rotary", STATE[1], [BATCH, TOKENS])
rotary("rotary_first", STATE[1], [1], ranges={"where": (0, TABLE - TOKENS)})
rotary("rotary_heads", kept(TOKENS)[1], [BATCH, TOKENS], interleaved=1)
rotary(
    "rotary_part",
    STATE[1],
    [BATCH, TOKENS],
    HALF_TURNS,
    num_heads=HEADS,
    rotary_embedding_dim=SIZE // 2,
)

# ===----------------------------------------------------------------------===#
# Mixtures of experts
# ===----------------------------------------------------------------------===#

EXPERTS, INNER = 4, 12


def mixture(name, k, wide=1, extra=None, **attributes):
    case(
        name,
        "MoE",
        {
            "x": STATE,
            "scores": (FLOAT, [BATCH * TOKENS, EXPERTS]),
            "w1": weights(EXPERTS, wide * INNER, WIDTH),
            "b1": weights(EXPERTS, wide * INNER),
            "w2": weights(EXPERTS, WIDTH, INNER),
            "b2": weights(EXPERTS, WIDTH),
            **(extra or {}),
        },
        {"y": STATE},
        {"k": k} | attributes,
    )


mixture("experts", 2, activation_type="gelu", normalize_routing_weights=1)
mixture("experts_one", 1, activation_type="relu")
mixture("experts_three", 3, activation_type="silu")
mixture(
    "experts_swiglu",
    2,
    wide=2,
    activation_type="swiglu",
    swiglu_fusion=1,
    normalize_routing_weights=1,
    activation_alpha=1.702,
    activation_beta=1.0,
    swiglu_limit=2.0,
)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_onnxruntime(tmp_path, name, ranks):
    path = onnx_models.write(CASES[name].model(), tmp_path / "model.onnx")
    mesh = ["--mesh", "tp=2"] if ranks > 1 else []
    done = tools.partita(
        *("verify", path, "--topology", f"cpu:{ranks}", *mesh),
        *("--reference", "onnxruntime", "--format", "json"),
    )
    verdict = tools.succeeds(done).json()
    assert verdict["passed"], verdict
    names = {name for name, spec in CASES[name].outputs.items() if spec is not None}
    assert {output["name"] for output in verdict["outputs"]} == names


@pytest.mark.parametrize("factor", ["s", "t"])
@pytest.mark.parametrize("name", ["attention_causal", "attention_past"])
def test_causal_attention_splits_queries_or_keys(tmp_path, name, factor):
    """One of both is split; the other is whole on every rank."""
    path = onnx_models.write(CASES[name].model(), tmp_path / "model.onnx")
    request = ["verify", path, "--topology", "cpu:2", "--mesh", "r=2", "--pin", f"*:{factor}=r"]
    done = tools.partita(*request, "--reference", "onnxruntime", "--format", "json")
    assert tools.succeeds(done).json()["passed"]


def test_experts_split_over_their_axis(tmp_path):
    """Half of the experts on each of two ranks: half of the arithmetic and weights."""
    width, inner = 256, 512
    state = (FLOAT, [BATCH, TOKENS, width])
    large = {
        "x": state,
        "w1": weights(EXPERTS, inner, width),
        "b1": weights(EXPERTS, inner),
        "w2": weights(EXPERTS, width, inner),
        "b2": weights(EXPERTS, width),
    }
    small = CASES["experts"]
    case = dataclasses.replace(small, inputs=small.inputs | large, outputs={"y": state})
    path = onnx_models.write(case.model(), tmp_path / "model.onnx")
    request = ["verify", path, "--topology", "cpu:2", "--mesh", "ep=2"]
    done = tools.partita(*request, "--reference", "onnxruntime", "--format", "json")
    assert tools.succeeds(done).json()["passed"]
    reports = []
    for ranks in (1, 2):
        out = tmp_path / f"on{ranks}"
        mesh = ["--topology", f"cpu:{ranks}", "--mesh", f"ep={ranks}"]
        tools.succeeds(tools.partita("compile", path, *mesh, "-o", out))
        reports.append(tools.report(out, "--random-inputs", "1"))
    whole, parts = reports
    for key in ("matmul_flops", "weight_bytes_read"):
        assert max(parts[key]) <= 0.55 * whole[key][0], (key, parts[key], whole[key])
