# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gives the external initializers of a graph their bytes and writes the model.

A source maps a parameter's name and shape to an array. Tensors are made and
written one by one, so that a model larger than memory can be written. Random
values depend on the seed and the parameter's name alone: more layers, another
opset or another order change no weight.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy

from .. import metadata
from ..errors import UserError
from ..files import written_whole

#: (name, shape) -> the values, as float32 in C order.
Source = Callable[[str, tuple[int, ...]], numpy.ndarray]

#: Protobuf ends at 2 GiB; past this, weights go to a file of their own.
INLINE_LIMIT = 1 << 30
_ALIGNMENT = 64


@dataclass(frozen=True)
class Kind:
    """How a parameter is used: linear (with its fan-in), embedding, bias, scale, variance."""

    name: str
    fan_in: int = 1


def random_source(kinds: dict[str, Kind], gain: float, seed: int) -> Source:
    """Normal values: linear weights keep the scale of activations, times gain."""

    def draw(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
        kind = kinds[name]
        generator = numpy.random.default_rng([seed, zlib.crc32(name.encode())])
        values = generator.standard_normal(shape, dtype=numpy.float32)
        if kind.name == "scale":
            return 1 + numpy.float32(0.2) * values
        if kind.name == "variance":
            return numpy.exp(numpy.float32(0.2) * values)
        deviation = {"embedding": 0.5, "bias": 0.1, "linear": gain / kind.fan_in**0.5}[kind.name]
        return numpy.float32(deviation) * values

    return draw


def safetensors_source(path: str) -> Source:
    """The tensors of a safetensors file, by the same names."""
    try:
        from safetensors import safe_open
    except ImportError:
        from ..errors import missing_package

        raise missing_package("safetensors", "reading real weights", "safetensors") from None
    tensors = safe_open(path, framework="numpy")
    names = set(tensors.keys())

    def read(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
        if name not in names:
            raise UserError(f"{path} has no tensor '{name}'")
        values = tensors.get_tensor(name)
        if values.shape != shape or values.dtype != numpy.float32:
            raise UserError(
                f"tensor '{name}' of {path} is {values.dtype}{list(values.shape)},"
                f" and the graph wants float32{list(shape)}"
            )
        return values

    return read


def save(model, path: str, source: Source | None, external: bool = False) -> None:
    """Writes an onnx.ModelProto; its external initializers get bytes from source.

    Without a source they stay external, at the offsets that a file of weights
    would have, and the model is marked as having none. Nothing of the model is
    left behind if writing fails.
    """
    import onnx

    parameters = [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    location = os.path.basename(path) + ".data"
    if source is None:
        metadata.set_property(model, metadata.WEIGHTS, metadata.WEIGHTS_ABSENT)
    elif not external and sum(map(_byte_size, parameters)) <= INLINE_LIMIT:
        for tensor in parameters:
            _make_inline(tensor, source)
        parameters = []
    _place(parameters, location)
    if source is not None and parameters:
        # If the model cannot be written, its weights get no name either.
        with written_whole(os.path.join(os.path.dirname(path), location)) as data:
            _write_data(parameters, data, source)
            _write_model(model, path)
    else:
        _write_model(model, path)


def _write_data(parameters, data: BinaryIO, source: Source) -> None:
    for tensor in parameters:
        data.seek(_entry(tensor, "offset"))
        data.write(_bytes_of(tensor, source))
    # A full disk shows here, and not after the model has got its name.
    data.flush()


def _write_model(model, path: str) -> None:
    with written_whole(path) as file:
        # Protobuf promises no order of maps, and so no equal bytes, without asking.
        file.write(model.SerializeToString(deterministic=True))


def element_count(tensor) -> int:
    """The product of the dimensions of a TensorProto."""
    return int(numpy.prod(tensor.dims, dtype=numpy.int64))


def _byte_size(tensor) -> int:
    import onnx

    item = numpy.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    return item * element_count(tensor)


def _bytes_of(tensor, source: Source) -> bytes:
    values = source(tensor.name, tuple(tensor.dims))
    return numpy.ascontiguousarray(values).astype("<f4", copy=False).tobytes()


def _make_inline(tensor, source: Source) -> None:
    tensor.raw_data = _bytes_of(tensor, source)
    tensor.ClearField("data_location")
    del tensor.external_data[:]


def _place(parameters, location: str) -> None:
    """Gives external tensors their places in one file."""
    offset = 0
    for tensor in parameters:
        offset = -(-offset // _ALIGNMENT) * _ALIGNMENT
        length = _byte_size(tensor)
        del tensor.external_data[:]
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        offset += length


def _entry(tensor, key: str) -> int:
    return next(int(entry.value) for entry in tensor.external_data if entry.key == key)
