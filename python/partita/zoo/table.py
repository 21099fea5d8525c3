# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The table of models: everything that tells one from another is data here.

"tiny" sizes are made to bite, not to be fast: three layers, head counts that
four ranks do not divide, a vocabulary that nothing divides, and weights scaled
up so that attention is far from uniform. "full" is the published size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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


@dataclass(frozen=True)
class Model:
    """One model. model_class and config_class are names in transformers."""

    summary: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers_key: str
    sizes: dict[str, Size]
    config_class: str = ""
    model_class: str = ""
    model_arguments: dict[str, Any] = field(default_factory=dict)
    causal: bool = False
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

MODELS: dict[str, Model] = {
    "mlp": Model(
        summary="linear layers with ReLU between them",
        inputs=("x",),
        outputs=("y",),
        layers_key="layers",
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
