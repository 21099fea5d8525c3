# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What of a transformers model is exported: a module with exactly its inputs and outputs.

The inputs' names say what a model is. Masks are handed to it as it uses them,
[batch, 1, 1 or sequence, sequence]: what transformers builds itself indexes by
the grid of all positions.
"""

from __future__ import annotations

from typing import Any

from .table import Model

#: The symbols of each input's first dimensions; those that follow are fixed.
DIMS = {
    "x": ("batch",),
    "input_ids": ("batch", "sequence"),
    "attention_mask": ("batch", "sequence"),
    "token_type_ids": ("batch", "sequence"),
    "decoder_input_ids": ("batch", "target"),
    "pixel_values": ("batch",),
    "input_features": ("batch",),
}
#: Sizes that the exporter does not take for special ones.
_EXAMPLE = {"batch": 3, "sequence": 11, "target": 7}


def example_inputs(model: Model, configuration) -> tuple:
    """One tensor of ones for each input; `configuration` is transformers' or a builder's."""
    import torch

    def example(name: str):
        shape = [_EXAMPLE[dim] for dim in DIMS[name]]
        if name == "x":
            return torch.ones(*shape, configuration.features)
        if name == "pixel_values":
            side = configuration.image_size
            return torch.ones(*shape, configuration.num_channels, side, side)
        if name == "input_features":
            # Its second convolution halves the sequence.
            frames = 2 * configuration.max_source_positions
            return torch.ones(*shape, configuration.num_mel_bins, frames)
        return torch.ones(*shape, dtype=torch.int64)

    return tuple(example(name) for name in model.inputs)


def make_wrapper(model: Model, held: str, module):
    """The module to export; it holds `module` under the name `held`."""
    if "decoder_input_ids" in model.inputs:
        wrapper = _encoder_decoder(model, held)
    elif "input_ids" in model.inputs:
        wrapper = _text(model, held)
    else:
        wrapper = _plain(model, held)
    setattr(wrapper, held, module)
    return wrapper.eval()


def _additive(keep, module):
    """A mask that is added to scores, of the model's type: zero where a key is seen."""
    import torch

    dtype = next(module.parameters()).dtype
    return torch.where(keep, 0.0, torch.finfo(dtype).min).to(dtype)


def _causal(tokens):
    """[queries, keys]: which keys each of the tokens sees."""
    import torch

    position = torch.arange(tokens.shape[1])
    return position[None, :] <= position[:, None]


def _outputs(model: Model, result: Any) -> tuple:
    return tuple(result[name] for name in model.outputs)


def _text(model: Model, held: str):
    import torch

    class TextModel(torch.nn.Module):
        def forward(self, input_ids, attention_mask, token_type_ids=None):
            keep = attention_mask[:, None, None, :].to(torch.bool)
            if model.causal:
                keep = keep & _causal(input_ids)
            # What a model computes of the mask itself cannot take it prepared.
            run = getattr(self, held)
            mask = attention_mask if model.plain_mask else _additive(keep, run)
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            return _outputs(model, run(input_ids=input_ids, attention_mask=mask, **types))

    return TextModel()


def _encoder_decoder(model: Model, held: str):
    import torch

    class TextToText(torch.nn.Module):
        def forward(self, input_ids, attention_mask, decoder_input_ids):
            keep = attention_mask[:, None, None, :].to(torch.bool)
            run = getattr(self, held)
            result = run(
                input_ids=input_ids,
                attention_mask=_additive(keep, run),
                decoder_input_ids=decoder_input_ids,
                decoder_attention_mask=_additive(_causal(decoder_input_ids)[None, None], run),
            )
            return _outputs(model, result)

    class SpeechToText(torch.nn.Module):
        def forward(self, input_features, decoder_input_ids):
            run = getattr(self, held)
            result = run(
                input_features=input_features,
                decoder_input_ids=decoder_input_ids,
                decoder_attention_mask=_additive(_causal(decoder_input_ids)[None, None], run),
            )
            return _outputs(model, result)

    return TextToText() if "input_ids" in model.inputs else SpeechToText()


def _plain(model: Model, held: str):
    """One input, passed by position."""
    import torch

    class PlainModel(torch.nn.Module):
        def forward(self, x):
            result = getattr(self, held)(x)
            return _outputs(model, result) if model.model_class else result

    return PlainModel()


# ===----------------------------------------------------------------------===#
# Experts
# ===----------------------------------------------------------------------===#


def make_experts_dense(module) -> None:
    """Lets every expert see every token, where transformers loops over those chosen.

    Which tokens an expert gets depends on data, and so would shapes. All experts
    are one batched product; those that were not chosen weigh nothing.
    """
    import types

    for part in module.modules():
        if hasattr(part, "gate_up_proj") and hasattr(part, "num_experts"):
            part.forward = types.MethodType(_dense_experts, part)


def _dense_experts(self, hidden_states, top_k_index, top_k_weights):
    import torch

    expert = torch.arange(self.num_experts)
    chosen = top_k_index[:, :, None] == expert[None, None, :]
    weights = torch.where(chosen, top_k_weights[:, :, None], 0.0).sum(1).to(hidden_states.dtype)
    tokens = hidden_states[None].expand(self.num_experts, -1, -1)
    gate, up = torch.bmm(tokens, self.gate_up_proj.transpose(1, 2)).chunk(2, dim=-1)
    result = torch.bmm(self.act_fn(gate) * up, self.down_proj.transpose(1, 2))
    return (result * weights.transpose(0, 1)[:, :, None]).sum(0)
