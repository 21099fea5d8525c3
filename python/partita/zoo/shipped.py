# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Graphs without weights that ship with the package, so that exporting needs no torch.

graphs/NAME-SIZE.onnx.gz is what graph.build_graph makes of that size, with the
kind of each parameter beside it; `python3 -m partita.zoo retrace` writes them
anew. Sizes of the same configuration share the graph of the first.
"""

from __future__ import annotations

import gzip
import os

from ..errors import UserError
from ..files import written_whole
from .table import MODELS
from .weights import Kind

FOLDER = os.path.join(os.path.dirname(__file__), "graphs")
#: The opset of the graphs that ship.
OPSET = 18
_KIND = "partita.kind"


def sizes() -> list[tuple[str, str]]:
    """(model, size) of every graph that ships."""
    return sorted({(name, _owner(name, size)) for name in MODELS for size in MODELS[name].sizes})


def path(name: str, size: str) -> str:
    """The file with the graph of a size."""
    return os.path.join(FOLDER, f"{name}-{_owner(name, size)}.onnx.gz")


def load(name: str, size: str):
    """What build_graph returns for this size: (onnx.ModelProto, kinds)."""
    import onnx

    try:
        with gzip.open(path(name, size), "rb") as file:
            proto = onnx.load_from_string(file.read())
    except OSError as error:
        raise UserError(
            f"the graph of '{name}' that ships with the package cannot be read: {error}",
            hint="add --retrace to make it anew, which needs torch",
        ) from None
    kinds = {}
    for tensor in proto.graph.initializer:
        for entry in tensor.metadata_props:
            kind, _, fan_in = entry.value.partition(":")
            kinds[tensor.name] = Kind(kind, int(fan_in))
        tensor.ClearField("metadata_props")
    return proto, kinds


def save(name: str, size: str, proto, kinds: dict[str, Kind]) -> None:
    """The inverse of load; proto is changed."""
    for tensor in proto.graph.initializer:
        if tensor.name in kinds:
            kind = kinds[tensor.name]
            tensor.metadata_props.add(key=_KIND, value=f"{kind.name}:{kind.fan_in}")
    # No name and no time in the header: equal graphs are equal files.
    with (
        written_whole(path(name, size)) as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
    ):
        packed.write(proto.SerializeToString(deterministic=True))


def _owner(name: str, size: str) -> str:
    """The first size whose configuration is the same."""
    entries = MODELS[name].sizes
    return next(other for other in entries if entries[other].config == entries[size].config)
