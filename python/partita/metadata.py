# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What Partita keeps in an ONNX model's metadata_props.

partita.dims          default sizes of symbolic dimensions: "batch=6,sequence=10"
partita.input_ranges  valid values of inputs, for random ones:
                      "input_ids=0:1021,attention_mask=mask"; LOW:HIGH excludes
                      HIGH, "mask" is a row of ones and then zeros, at least a one
partita.weights       "absent" where the model names weights that no file holds

The compiler reads the same keys, so that both sides bind the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import UNSUPPORTED, UserError, missing_package

DIMS = "partita.dims"
INPUT_RANGES = "partita.input_ranges"
WEIGHTS = "partita.weights"
WEIGHTS_ABSENT = "absent"

#: Integers without a hint are drawn from here: valid for most index inputs.
DEFAULT_RANGE = (0, 2)
MASK = "mask"
Range = str | tuple[int, int]


@dataclass(frozen=True)
class Input:
    """One graph input: its name, its ONNX element type, its dimensions.

    A dimension is a size, a symbol's name, or None where it is unknown.
    """

    name: str
    element_type: int
    dims: tuple[int | str | None, ...]

    def shape(self, bindings: dict[str, int]) -> tuple[int, ...]:
        """The sizes with symbols replaced; UserError names an unbound one."""
        sizes = []
        for axis, dim in enumerate(self.dims):
            if isinstance(dim, str):
                if dim not in bindings:
                    raise UserError(
                        f"dimension '{dim}' of input '{self.name}' has no size",
                        hint=f"give one with --dim {dim}=SIZE",
                    )
                dim = bindings[dim]
            if dim is None:
                raise UserError(
                    f"dimension {axis} of input '{self.name}' is unknown and has no name"
                )
            sizes.append(dim)
        return tuple(sizes)


def parse_dims(items: Iterable[str]) -> dict[str, int]:
    """Sizes from "name=value" items, each of which may hold several by commas."""
    sizes: dict[str, int] = {}
    for item in (part for text in items for part in text.split(",") if part):
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip().isdecimal():
            raise UserError(f"'{item}' is not a dimension", hint="write NAME=SIZE, as in batch=4")
        if int(value) < 1:
            raise UserError(f"dimension '{name.strip()}' must be at least 1")
        sizes[name.strip()] = int(value)
    return sizes


def format_dims(sizes: dict[str, int]) -> str:
    """The inverse of parse_dims, in the dictionary's order."""
    return ",".join(f"{name}={size}" for name, size in sizes.items())


def parse_ranges(text: str) -> dict[str, Range]:
    """Hints by input name from the value of partita.input_ranges."""
    ranges: dict[str, Range] = {}
    for item in (part for part in text.split(",") if part):
        name, equals, value = item.partition("=")
        low, _, high = value.partition(":")
        try:
            parsed = MASK if value == MASK else (int(low), int(high))
        except ValueError:
            parsed = None
        if not equals or parsed is None or (parsed != MASK and parsed[0] >= parsed[1]):
            raise UserError(f"'{item}' in the model's {INPUT_RANGES} is neither LOW:HIGH nor mask")
        ranges[name] = parsed
    return ranges


def properties(model) -> dict[str, str]:
    """The metadata_props of an onnx.ModelProto."""
    return {entry.key: entry.value for entry in model.metadata_props}


def bindings(model, overrides: Iterable[str]) -> dict[str, int]:
    """The model's default sizes, overridden by --dim items.

    A --dim that names no symbol of any input is an error: it is a typing
    mistake, and running with the default instead would hide it.
    """
    symbols = {dim for entry in graph_inputs(model) for dim in entry.dims if isinstance(dim, str)}
    given = parse_dims(overrides)
    for name in given:
        if name not in symbols:
            known = ", ".join(sorted(symbols)) or "none"
            raise UserError(
                f"no input has a dimension named '{name}'", hint=f"the model's are: {known}"
            )
    return {**parse_dims([properties(model).get(DIMS, "")]), **given}


def graph_inputs(model) -> list[Input]:
    """The inputs that a caller must give: those that are no initializers."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = []
    for value in model.graph.input:
        if value.name in initializers:
            continue
        if not value.type.HasField("tensor_type"):
            raise UserError(f"input '{value.name}' is not a tensor")
        tensor = value.type.tensor_type
        dims = tuple(
            dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
            for dim in tensor.shape.dim
        )
        inputs.append(Input(value.name, tensor.elem_type, dims))
    return inputs


def load_model(path: str):
    """The onnx.ModelProto in a file, without its external data."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise missing_package("onnx", "reading a model", "onnx") from None
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise UserError(f"{path} is not an ONNX model: {error}") from None
    if not model.HasField("graph") or not model.graph.node:
        raise UserError(f"{path} is not an ONNX model: it has no graph")
    return model


def set_property(model, key: str, value: str) -> None:
    """Sets one entry of the metadata_props of an onnx.ModelProto."""
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    model.metadata_props.add(key=key, value=value)


def numpy_type(entry: Input):
    """The numpy dtype of an input; UserError where numpy has none."""
    import numpy
    import onnx

    try:
        dtype = numpy.dtype(onnx.helper.tensor_dtype_to_np_dtype(entry.element_type))
    except KeyError:
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise UserError(
            f"input '{entry.name}' has element type {entry.element_type}, which numpy lacks",
            code=UNSUPPORTED,
        )
    return dtype
