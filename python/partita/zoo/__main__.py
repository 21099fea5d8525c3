# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""python3 -m partita.zoo list | export NAME [--size S] [--no-weights] -o F.onnx | retrace"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from .. import metadata, minilm
from ..errors import USAGE, UserError, run_command
from . import shipped, weights
from .table import MODELS, Model, Size


def list_models() -> None:
    """Prints one line a model: its name, its sizes, what it is."""
    names = max(map(len, MODELS))
    width = max(len(", ".join(model.sizes)) for model in MODELS.values())
    for name, model in MODELS.items():
        print(f"{name:{names + 2}}{', '.join(model.sizes):{width + 2}}{model.summary}")


def export(options: argparse.Namespace) -> None:
    """Writes one model as the options say."""
    name, model = options.name, MODELS[options.name]
    if options.size not in model.sizes:
        raise UserError(
            f"model '{name}' has no size '{options.size}'",
            hint=f"its sizes are: {', '.join(model.sizes)}",
            code=USAGE,
        )
    size = model.sizes[options.size]
    if size.dtype != "float32" and not options.no_weights:
        raise UserError(
            f"weights of {size.dtype}, which '{name}' has, are not drawn",
            hint="add --no-weights: the model can be planned without them",
            code=USAGE,
        )
    proto, kinds = _graph(name, model, options)
    _annotate(proto, model, size)
    if options.no_weights:
        source = None
    elif name == "minilm":
        source = weights.safetensors_source(minilm.model_file("model.safetensors"))
    else:
        source = weights.random_source(kinds, size.gain, options.seed)
    weights.save(proto, options.output, source, options.external)
    print(f"{options.output}: {name} {options.size}, {_describe(proto)}", file=sys.stderr)


def _graph(name: str, model: Model, options: argparse.Namespace):
    """The graph, as graph.build_graph returns it, from torch or from the package."""
    plain = options.layers is None and options.opset == shipped.OPSET
    if plain and not options.retrace:
        return shipped.load(name, options.size)
    from .graph import build_graph

    size = model.sizes[options.size]
    if options.layers is not None and not model.layers_key:
        raise UserError(f"the layers of '{name}' are not one number", code=USAGE)
    if options.layers is not None:
        size = replace(size, config=size.config | {model.layers_key: options.layers})
    return build_graph(model, size, options.opset)


def retrace() -> None:
    """Makes the graphs that ship with the package anew."""
    from .graph import build_graph

    for name, size in shipped.sizes():
        proto, kinds = build_graph(MODELS[name], MODELS[name].sizes[size], shipped.OPSET)
        shipped.save(name, size, proto, kinds)
        print(f"{shipped.path(name, size)}: {_describe(proto)}", file=sys.stderr)


def _annotate(proto, model: Model, size: Size) -> None:
    """Sets the default dimensions and the ranges of random inputs."""
    ranges = {}
    for name in model.inputs:
        if name in ("input_ids", "decoder_input_ids"):
            ranges[name] = f"0:{size.config['vocab_size']}"
        elif name == "attention_mask":
            ranges[name] = metadata.MASK
        elif name == "token_type_ids":
            ranges[name] = "0:2"
    del proto.metadata_props[:]
    metadata.set_property(proto, metadata.DIMS, metadata.format_dims(size.dims))
    if ranges:
        text = ",".join(f"{name}={value}" for name, value in ranges.items())
        metadata.set_property(proto, metadata.INPUT_RANGES, text)


def _describe(proto) -> str:
    import onnx

    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16)
    parameters = [t for t in proto.graph.initializer if t.data_type in floats]
    count = sum(map(weights.element_count, parameters))
    absent = metadata.properties(proto).get(metadata.WEIGHTS) == metadata.WEIGHTS_ABSENT
    return f"{len(proto.graph.node)} nodes, {count:,} weights" + (" (absent)" if absent else "")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="partita.zoo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the models")
    commands.add_parser("retrace", help="make the graphs of the package anew (needs torch)")
    one = commands.add_parser("export", help="write a model as ONNX")
    one.add_argument("name", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    one.add_argument("--size", default="tiny", help="tiny (default), full, or another of the list")
    one.add_argument("--no-weights", action="store_true", help="name the weights, store none")
    one.add_argument(
        "--layers", type=_positive, metavar="N", help="another number of them (needs torch)"
    )
    one.add_argument("--external", action="store_true", help="keep the weights in F.onnx.data")
    one.add_argument("--seed", type=int, default=0, help="of the random weights (default 0)")
    one.add_argument(
        "--opset",
        type=int,
        default=shipped.OPSET,
        choices=range(18, 24),
        metavar="N",
        help="default 18; another needs torch",
    )
    one.add_argument(
        "--retrace", action="store_true", help="make the graph with torch, not from the package"
    )
    one.add_argument("-o", dest="output", required=True, metavar="F.onnx")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return USAGE if stop.code else 0
    bodies = {"list": list_models, "retrace": retrace, "export": lambda: export(options)}
    return run_command("partita.zoo", bodies[options.command])


if __name__ == "__main__":
    sys.exit(main())
