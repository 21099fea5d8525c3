# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The table of models: everything that tells one from another is data here.

"tiny" sizes are made to bite, not to be fast: three layers, head counts that
four ranks do not divide, a vocabulary that nothing divides, and weights scaled
up so that attention is far from uniform. "full" is the published size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from . import large


@dataclass(frozen=True)
class Size:
    """One size of a model: its configuration and its default dimensions.

    What config leaves out is transformers' default, which is the published
    model's; vocab_size is always there.
    """

    config: dict[str, Any]
    dims: dict[str, int]
    #: Weights are drawn with deviation gain / sqrt(fan-in).
    gain: float = 1.2
    #: Of the parameters. Only float32 ones are drawn.
    dtype: str = "float32"


@dataclass(frozen=True)
class Model:
    """One model. model_class and config_class are names in transformers."""

    summary: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    #: The configuration's entry for the number of layers; empty: it has none.
    layers_key: str
    sizes: dict[str, Size]
    config_class: str = ""
    model_class: str = ""
    model_arguments: dict[str, Any] = field(default_factory=dict)
    #: Which of graph.py's modules it is where transformers has none.
    builder: str = ""
    causal: bool = False
    #: Whether the model wants the mask as it is an input, not prepared.
    plain_mask: bool = False
    #: The name of the configuration's entry for the longest sequence.
    positions_key: str = "max_position_embeddings"


TINY_DIMS = {"batch": 6, "sequence": 10}
FULL_DIMS = {"batch": 1, "sequence": 128}
TINY_GAIN = 1.5

_TINY_BERT = dict(
    vocab_size=1021,
    hidden_size=96,
    num_hidden_layers=3,
    num_attention_heads=6,
    intermediate_size=384,
    max_position_embeddings=64,
)
_TINY_GPT2 = dict(vocab_size=1021, n_embd=96, n_layer=3, n_head=6, n_positions=64)
_TINY_LLAMA = dict(
    vocab_size=1021,
    hidden_size=96,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    intermediate_size=256,
    max_position_embeddings=64,
)
_LLAMA_1B = dict(
    vocab_size=32000,
    hidden_size=2048,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    intermediate_size=5632,
    max_position_embeddings=2048,
    rms_norm_eps=1e-5,
)
_LLAMA_7B = dict(
    vocab_size=32000,
    hidden_size=4096,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    intermediate_size=11008,
    max_position_embeddings=4096,
    rms_norm_eps=1e-5,
)
_MINILM = dict(
    vocab_size=30522,
    hidden_size=384,
    num_hidden_layers=6,
    num_attention_heads=12,
    intermediate_size=1536,
    max_position_embeddings=512,
)

_TINY_VIT = dict(
    hidden_size=96,
    num_hidden_layers=3,
    num_attention_heads=6,
    intermediate_size=384,
    image_size=24,
    patch_size=6,
)
_TINY_T5 = dict(
    vocab_size=1021,
    d_model=96,
    d_kv=16,
    d_ff=256,
    num_layers=3,
    num_heads=6,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=16,
    n_positions=64,
)
_TINY_MIXTRAL = dict(
    _TINY_LLAMA,
    intermediate_size=128,
    num_local_experts=6,
    num_experts_per_tok=2,
    sliding_window=None,
)
# Mixtral 8x7B with a quarter of its widths and 24 of its layers: 1.3B.
_MIXTRAL_8X = dict(
    vocab_size=32000,
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=32,
    num_key_value_heads=8,
    intermediate_size=1792,
    max_position_embeddings=2048,
    num_local_experts=8,
    num_experts_per_tok=2,
    sliding_window=None,
)
_TINY_WHISPER = dict(
    vocab_size=1021,
    d_model=96,
    encoder_layers=3,
    decoder_layers=3,
    encoder_attention_heads=6,
    decoder_attention_heads=6,
    encoder_ffn_dim=384,
    decoder_ffn_dim=384,
    num_mel_bins=20,
    max_source_positions=15,
    max_target_positions=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=1,
    decoder_start_token_id=1,
)
_TINY_DEBERTA = dict(
    _TINY_BERT,
    type_vocab_size=0,
    relative_attention=True,
    position_biased_input=False,
    pos_att_type=["p2c", "c2p"],
    position_buckets=8,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    layer_norm_eps=1e-7,
)
_DEBERTA_V3 = dict(
    vocab_size=128100,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    type_vocab_size=0,
    relative_attention=True,
    position_biased_input=False,
    pos_att_type=["p2c", "c2p"],
    position_buckets=256,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    layer_norm_eps=1e-7,
)

# Odd sizes of images and channels: windows do not fit, shards are uneven.
_TINY_RESNET = dict(
    num_channels=3,
    image_size=45,
    embedding_size=14,
    hidden_sizes=[20, 36, 52],
    depths=[2, 1, 1],
    num_labels=31,
)
_TINY_CONVNEXT = dict(
    num_channels=3,
    image_size=37,
    hidden_sizes=[18, 30, 42],
    depths=[1, 2, 1],
    num_stages=3,
    num_labels=31,
)

MODELS: dict[str, Model] = {
    "mlp": Model(
        summary="linear layers with ReLU between them",
        inputs=("x",),
        outputs=("y",),
        layers_key="layers",
        builder="mlp",
        sizes={
            "tiny": Size(
                dict(features=48, hidden=102, classes=31, layers=3), {"batch": 6}, TINY_GAIN
            ),
            "full": Size(dict(features=1024, hidden=4096, classes=1024, layers=2), {"batch": 128}),
        },
    ),
    "bert": Model(
        summary="encoder with layer norm after each block; full: bert-base-uncased",
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        outputs=("last_hidden_state", "pooler_output"),
        layers_key="num_hidden_layers",
        config_class="BertConfig",
        model_class="BertModel",
        sizes={
            "tiny": Size(_TINY_BERT, TINY_DIMS, TINY_GAIN),
            "full": Size(dict(vocab_size=30522), FULL_DIMS),
        },
    ),
    "gpt2": Model(
        summary="decoder with fused query, key and value; full: gpt2, 124M",
        inputs=("input_ids", "attention_mask"),
        outputs=("logits",),
        layers_key="n_layer",
        config_class="GPT2Config",
        model_class="GPT2LMHeadModel",
        causal=True,
        positions_key="n_positions",
        sizes={
            "tiny": Size(_TINY_GPT2, TINY_DIMS, TINY_GAIN),
            "full": Size(dict(vocab_size=50257), FULL_DIMS),
        },
    ),
    "llama": Model(
        summary="decoder with grouped queries, rotary positions, RMS norm; full: TinyLlama 1.1B",
        inputs=("input_ids", "attention_mask"),
        outputs=("logits",),
        layers_key="num_hidden_layers",
        config_class="LlamaConfig",
        model_class="LlamaForCausalLM",
        causal=True,
        sizes={
            "tiny": Size(_TINY_LLAMA, TINY_DIMS, TINY_GAIN),
            "full": Size(_LLAMA_1B, FULL_DIMS),
            "7b": Size(_LLAMA_7B, FULL_DIMS),
        },
    ),
    "vit": Model(
        summary="image classifier of patches; full: vit-base-patch16-224",
        inputs=("pixel_values",),
        outputs=("logits",),
        layers_key="num_hidden_layers",
        config_class="ViTConfig",
        model_class="ViTForImageClassification",
        sizes={
            "tiny": Size(dict(_TINY_VIT, num_labels=31), {"batch": 6}, TINY_GAIN),
            "full": Size(dict(num_labels=1000), {"batch": 1}),
        },
    ),
    "t5": Model(
        summary="encoder and decoder with relative positions; full: t5-base",
        inputs=("input_ids", "attention_mask", "decoder_input_ids"),
        outputs=("logits",),
        layers_key="num_layers",
        config_class="T5Config",
        model_class="T5ForConditionalGeneration",
        positions_key="n_positions",
        sizes={
            "tiny": Size(_TINY_T5, TINY_DIMS | {"target": 7}),
            "full": Size(
                dict(vocab_size=32128, d_model=768, d_ff=3072, num_layers=12, num_heads=12),
                FULL_DIMS | {"target": 128},
            ),
        },
    ),
    "mixtral": Model(
        summary="decoder with experts, all of which see all tokens; full: 8 experts, 1.3B",
        inputs=("input_ids", "attention_mask"),
        outputs=("logits",),
        layers_key="num_hidden_layers",
        config_class="MixtralConfig",
        model_class="MixtralForCausalLM",
        causal=True,
        sizes={
            "tiny": Size(_TINY_MIXTRAL, TINY_DIMS, TINY_GAIN),
            "full": Size(_MIXTRAL_8X, FULL_DIMS),
        },
    ),
    "whisper": Model(
        summary="speech to text, encoder and decoder; full: whisper-base",
        inputs=("input_features", "decoder_input_ids"),
        outputs=("logits",),
        layers_key="encoder_layers",
        config_class="WhisperConfig",
        model_class="WhisperForConditionalGeneration",
        positions_key="max_target_positions",
        sizes={
            "tiny": Size(_TINY_WHISPER, {"batch": 6, "target": 10}, TINY_GAIN),
            "full": Size(
                dict(
                    vocab_size=51865,
                    d_model=512,
                    encoder_layers=6,
                    decoder_layers=6,
                    encoder_attention_heads=8,
                    decoder_attention_heads=8,
                    encoder_ffn_dim=2048,
                    decoder_ffn_dim=2048,
                ),
                {"batch": 1, "target": 128},
            ),
        },
    ),
    "deberta": Model(
        summary="encoder with disentangled positions; full: deberta-v3-base",
        inputs=("input_ids", "attention_mask"),
        outputs=("last_hidden_state",),
        layers_key="num_hidden_layers",
        config_class="DebertaV2Config",
        model_class="DebertaV2Model",
        plain_mask=True,
        sizes={
            "tiny": Size(_TINY_DEBERTA, TINY_DIMS, TINY_GAIN),
            "full": Size(_DEBERTA_V3, FULL_DIMS),
        },
    ),
    "resnet": Model(
        summary="convolutions with batch norm and bottlenecks; full: ResNet-50",
        inputs=("pixel_values",),
        outputs=("logits",),
        layers_key="",
        config_class="ResNetConfig",
        model_class="ResNetForImageClassification",
        sizes={
            "tiny": Size(_TINY_RESNET, {"batch": 3}),
            "full": Size(dict(image_size=224, num_labels=1000), {"batch": 1}),
        },
    ),
    "convnext": Model(
        summary="depthwise convolutions and layer norm over channels; full: ConvNeXt-T",
        inputs=("pixel_values",),
        outputs=("logits",),
        layers_key="",
        config_class="ConvNextConfig",
        model_class="ConvNextForImageClassification",
        sizes={
            "tiny": Size(_TINY_CONVNEXT, {"batch": 3}),
            "full": Size(dict(image_size=224, num_labels=1000), {"batch": 1}),
        },
    ),
    "unet": Model(
        summary="images to images: pools down, transposed convolutions up, skips between",
        inputs=("pixel_values",),
        outputs=("y",),
        layers_key="levels",
        builder="unet",
        sizes={
            "tiny": Size(
                dict(num_channels=3, image_size=20, width=10, classes=5, levels=2), {"batch": 3}
            ),
            "full": Size(
                dict(num_channels=3, image_size=256, width=32, classes=21, levels=4), {"batch": 1}
            ),
        },
    ),
    # One set of real weights: its sizes differ in their default dimensions only.
    "minilm": Model(
        summary="all-MiniLM-L6-v2 with its real weights",
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        outputs=("last_hidden_state",),
        layers_key="num_hidden_layers",
        config_class="BertConfig",
        model_class="BertModel",
        model_arguments=dict(add_pooling_layer=False),
        sizes={"tiny": Size(_MINILM, TINY_DIMS), "full": Size(_MINILM, FULL_DIMS)},
    ),
}


def _large(
    base: str, summary: str, config: dict[str, Any], dims: dict[str, int], dtype: str = "bfloat16"
) -> Model:
    """A published size of a model that is there, under a name of its own."""
    return replace(MODELS[base], summary=summary, sizes={"full": Size(config, dims, dtype=dtype)})


_PREFILL = {"batch": 64, "sequence": 2048}
MODELS |= {
    "gpt3-175b": _large("gpt2", "GPT-3, bfloat16, no weights", large.GPT3_175B, _PREFILL),
    "gpt-530b": _large(
        "gpt2", "GPT of 530 * 10^9 parameters, bfloat16", large.GPT_530B, _PREFILL
    ),
    "gpt-1t": _large("gpt2", "GPT of 10^12 parameters, bfloat16", large.GPT_1T, _PREFILL),
    "llama3-405b": _large("llama", "Llama 3.1 405B, bfloat16", large.LLAMA3_405B, _PREFILL),
    "mixtral-8x7b": _large(
        "mixtral", "Mixtral 8x7B, bfloat16, dense experts", large.MIXTRAL_8X7B, _PREFILL
    ),
    "resnet-152": _large("resnet", "ResNet-152", large.RESNET_152, {"batch": 64}, "float32"),
    "t5-large": _large(
        "t5", "t5-large", large.T5_LARGE, {"batch": 64, "sequence": 512, "target": 512}, "float32"
    ),
}
