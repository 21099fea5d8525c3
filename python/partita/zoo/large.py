# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Published configurations of models that no single device holds, to plan for.

They are exported in bfloat16 and without weights. What is left out is the
default of transformers.
"""

from __future__ import annotations

#: Brown et al. 2020, table 2.1; the vocabulary as Megatron-LM pads it.
GPT3_175B = dict(vocab_size=51200, n_embd=12288, n_layer=96, n_head=96, n_positions=2048)
#: Narayanan et al. 2021, table 1: 529.6 and 1,008 billion parameters.
GPT_530B = dict(vocab_size=51200, n_embd=20480, n_layer=105, n_head=128, n_positions=2048)
GPT_1T = dict(vocab_size=51200, n_embd=25600, n_layer=128, n_head=160, n_positions=2048)
#: Llama Team 2024, table 3.
LLAMA3_405B = dict(
    vocab_size=128256,
    hidden_size=16384,
    num_hidden_layers=126,
    num_attention_heads=128,
    num_key_value_heads=8,
    intermediate_size=53248,
    max_position_embeddings=131072,
    rms_norm_eps=1e-5,
)
#: Jiang et al. 2024, table 1.
MIXTRAL_8X7B = dict(
    vocab_size=32000,
    hidden_size=4096,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    intermediate_size=14336,
    max_position_embeddings=32768,
    num_local_experts=8,
    num_experts_per_tok=2,
    sliding_window=None,
)
#: He et al. 2015, table 1.
RESNET_152 = dict(image_size=224, num_labels=1000, depths=[3, 8, 36, 3])
#: Raffel et al. 2020, section 3.7.
T5_LARGE = dict(vocab_size=32128, d_model=1024, d_ff=4096, num_layers=24, num_heads=16)
