# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a configuration to an ONNX graph that has no weights yet.

torch.onnx.export sees parameters as fake tensors, which have a shape and no
storage: a model of any size is exported in the memory of its graph, and the
graph cannot depend on weight values (by folding a transposition of a small
weight, or by merging two biases that happen to be equal). The result names
each parameter as external data; weights.py gives it bytes, or leaves it so.

Attention runs as transformers' "eager" code, which is the plainest graph; what
the exported module is given is in wrappers.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import os
import warnings
from typing import Any

from ..errors import missing_package
from . import wrappers
from .table import Model, Size
from .weights import Kind

#: The attribute that holds the model in the wrapper, and so the prefix of all
#: parameter names and scopes.
_HELD = "model_"
#: What constant folding may fold, in elements: shape arithmetic, no weights.
_FOLD_LIMIT = 1024
#: Parameters that are added to a state, as a row of a table of embeddings is.
_EMBEDDINGS = ("cls_token", "position_embeddings")
_EXPORT_PIP = "-r python/requirements-export.txt"


def build_graph(model: Model, size: Size, opset: int):
    """Exports to (onnx.ModelProto, weights.Kind by parameter name).

    Each parameter is an initializer whose data are external, in no file yet;
    every other constant of the graph has its value.
    """
    for package in ("torch", "transformers", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise missing_package(package, "exporting this model", _EXPORT_PIP)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with warnings.catch_warnings(), _quiet_logs():
        warnings.simplefilter("ignore")
        module, configuration = _make_module(model, size)
        kinds = _parameter_kinds(module)
        return _clean_up(_export(module, model, configuration, opset)), kinds


@contextlib.contextmanager
def _quiet_logs():
    """The exporter warns of operators of packages that no model here uses."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)


# ===----------------------------------------------------------------------===#
# torch modules without storage
# ===----------------------------------------------------------------------===#


def _make_module(model: Model, size: Size):
    """A module on the meta device, and its configuration as attributes."""
    import types

    import torch

    with torch.device("meta"):
        if not model.model_class:
            return _BUILDERS[model.builder](**size.config), types.SimpleNamespace(**size.config)
        import transformers

        configuration = getattr(transformers, model.config_class)(
            **size.config, use_cache=False, attn_implementation="eager"
        )
        module = getattr(transformers, model.model_class)(configuration, **model.model_arguments)
    module.tie_weights()
    for parameter in module.parameters():
        parameter.data = parameter.data.to(getattr(torch, size.dtype))
    for part in module.modules():
        if not _has_statistics(part):
            _compute_buffers(module, part)
    wrappers.make_experts_dense(module)
    return module, configuration


def _make_mlp(features: int, hidden: int, classes: int, layers: int):
    """Linear layers of widths features, hidden, ..., hidden, classes."""
    from collections import OrderedDict

    from torch import nn

    widths = [features] + [hidden] * (layers - 1) + [classes]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (width_in, width_out) in enumerate(itertools.pairwise(widths)):
        parts[f"linear{index}"] = nn.Linear(width_in, width_out)
        parts[f"relu{index}"] = nn.ReLU()
    parts.popitem()
    return nn.Sequential(parts)


def _make_unet(num_channels: int, image_size: int, width: int, classes: int, levels: int):
    """Blocks of two convolutions; each level down halves the image and doubles channels."""
    import torch
    from torch import nn

    def block(channels_in: int, channels_out: int) -> nn.Module:
        parts: list[nn.Module] = []
        for channels in (channels_in, channels_out):
            parts += [
                nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(),
            ]
        return nn.Sequential(*parts)

    class Level(nn.Module):
        """A block, the levels below it on half the image, and a block on both."""

        def __init__(self, channels_in: int, channels: int, below: int):
            super().__init__()
            self.down = block(channels_in, channels)
            self.pool = nn.MaxPool2d(2)
            below_module = (
                Level(channels, 2 * channels, below - 1)
                if below > 1
                else block(channels, 2 * channels)
            )
            self.below = below_module
            self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
            self.join = block(2 * channels, channels)

        def forward(self, x):
            skip = self.down(x)
            x = self.up(self.below(self.pool(skip)))
            return self.join(torch.cat([skip, x], 1))

    return nn.Sequential(Level(num_channels, width, levels), nn.Conv2d(width, classes, 1))


_BUILDERS = {"mlp": _make_mlp, "unet": _make_unet}


def _has_statistics(part) -> bool:
    """Whether its buffers are learnt: they are weights like any other."""
    import torch

    return isinstance(part, torch.nn.modules.batchnorm._BatchNorm)


def _compute_buffers(module, part) -> None:
    """Gives the buffers of a part (rotary frequencies, position ids) values."""
    import torch

    buffers = dict(part.named_buffers(recurse=False))
    for name, buffer in buffers.items():
        part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    if buffers:
        module._init_weights(part)


def _make_parameters_fake(module, mode) -> None:
    """Replaces meta parameters by fake ones of the CPU; tied ones stay tied."""
    import torch

    fakes: dict[int, Any] = {}
    with mode:
        for part in module.modules():
            for name, parameter in list(part.named_parameters(recurse=False)):
                if id(parameter) not in fakes:
                    fakes[id(parameter)] = torch.nn.Parameter(
                        torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu"),
                        requires_grad=False,
                    )
                part._parameters[name] = fakes[id(parameter)]
            if _has_statistics(part):
                for name, buffer in part.named_buffers(recurse=False):
                    part._buffers[name] = torch.empty(
                        buffer.shape, dtype=buffer.dtype, device="cpu"
                    )


def _parameter_kinds(module) -> dict[str, Kind]:
    """How each parameter is used, which decides how it is drawn."""
    import torch

    kinds = {}
    for path, part in module.named_modules():
        for name, parameter in part.named_parameters(recurse=False):
            full_name = f"{path}.{name}" if path else name
            if isinstance(part, torch.nn.Embedding) or name in _EMBEDDINGS:
                kinds[full_name] = Kind("embedding")
            elif name.endswith("bias"):
                kinds[full_name] = Kind("bias")
            elif parameter.dim() == 1:
                kinds[full_name] = Kind("scale")
            else:
                kinds[full_name] = Kind("linear", _fan_in(part, parameter))
        if _has_statistics(part):
            kinds[f"{path}.running_mean"] = Kind("bias")
            kinds[f"{path}.running_var"] = Kind("variance")
    return kinds


def _fan_in(part, parameter) -> int:
    """How many products each output of a linear layer sums."""
    # GPT-2's Conv1D keeps [in, out]. All others begin with the outputs, and
    # experts with their number.
    if type(part).__name__ == "Conv1D":
        return parameter.shape[0]
    if hasattr(part, "num_experts"):
        return parameter.shape[-1]
    return parameter[0].numel()


# ===----------------------------------------------------------------------===#
# Export
# ===----------------------------------------------------------------------===#


def _export(module, model: Model, configuration, opset: int):
    """The exporter's onnx_ir.Model, not yet optimised."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode()
    _make_parameters_fake(module, mode)
    wrapper = wrappers.make_wrapper(model, _HELD, module)
    with mode:
        inputs = wrappers.example_inputs(model, configuration)
    longest = getattr(configuration, model.positions_key, None)
    symbols = {name for entry in model.inputs for name in wrappers.DIMS[entry]}
    dims = {
        name: torch.export.Dim(name, max=None if name == "batch" else longest)
        for name in sorted(symbols)
    }
    names = tuple(dict(enumerate(wrappers.DIMS[entry])) for entry in model.inputs)
    program = torch.export.export(
        wrapper,
        inputs,
        dynamic_shapes=tuple({axis: dims[d] for axis, d in entry.items()} for entry in names),
        strict=False,
    )
    return torch.onnx.export(
        program,
        dynamo=True,
        opset_version=opset,
        input_names=list(model.inputs),
        output_names=list(model.outputs),
        # The program knows its dimensions; this brings their names back.
        dynamic_shapes=names,
        optimize=False,
        verbose=False,
    ).model


# ===----------------------------------------------------------------------===#
# Clean-up
# ===----------------------------------------------------------------------===#


def _clean_up(graph_model):
    """Takes parameters out, optimises, and gives nodes names that mean something.

    The passes are those that torch.onnx.export(optimize=True) runs, with a
    lower limit for folding.
    """
    import onnx_ir as ir
    import onnx_ir.passes.common as passes
    import torch
    from onnxscript import optimizer, rewriter

    fake = torch._subclasses.fake_tensor.FakeTensor
    initializers = graph_model.graph.initializers
    parameters = [
        value for value in initializers.values() if isinstance(value.const_value.raw, fake)
    ]
    for value in parameters:
        value.const_value = None
    passes.InlinePass()(graph_model)
    for _ in range(2):
        optimizer.fold_constants_ir(
            graph_model, input_size_limit=_FOLD_LIMIT, output_size_limit=_FOLD_LIMIT
        )
        rewriter.rewrite(graph_model)
    ir.passes.Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )(graph_model)
    for value in list(initializers.values()):
        # Setting a name keeps the graph's own table of initializers right.
        value.name = value.name.removeprefix(_HELD + ".")
    for value in parameters:
        if value.name in initializers:
            value.const_value = ir.ExternalTensor(
                "absent", 0, 0, value.dtype, shape=value.shape, name=value.name
            )
    _name_nodes(graph_model)
    _drop_annotations(graph_model)
    return ir.to_proto(graph_model)


def _name_nodes(graph_model) -> None:
    """Names each node after its module and operator, as in layer.0.attn/Softmax."""
    import ast

    taken: dict[str, int] = {}
    for node in graph_model.graph:
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        module = next((scope for scope in reversed(scopes[:-1]) if scope.startswith(_HELD)), "")
        name = module.removeprefix(_HELD).removeprefix(".") + "/" + node.op_type
        taken[name] = taken.get(name, -1) + 1
        node.name = f"{name}_{taken[name]}" if taken[name] else name


def _drop_annotations(graph_model) -> None:
    """Removes stack traces and the like: paths of the machine that exported."""
    graph = graph_model.graph
    graph.metadata_props.clear()
    graph_model.metadata_props.clear()
    graph.name = "main"
    graph.doc_string = graph_model.doc_string = None
    for node in graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in [*graph.inputs, *graph.initializers.values()]:
        value.metadata_props.clear()
        value.doc_string = None
