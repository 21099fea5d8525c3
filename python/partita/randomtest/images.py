# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Families of image models and of operators that sort and scatter."""

from __future__ import annotations

import math

import numpy

from .builder import Builder, Impossible, Value
from .families import family, has_rank, is_exact_real, tame


def is_image(value: Value) -> bool:
    return value.rank == 4 and value.dtype == "f32" and min(value.shape[2:]) > 1


def window(b: Builder, size: int) -> tuple[int, int, int, int, int, int]:
    """kernel, stride, dilation, begin, end, result of one spatial dimension."""
    kernel = b.rng.randint(1, min(3, size))
    stride, dilation = b.rng.choice((1, 1, 2)), b.rng.choice((1, 1, 2))
    begin, end = b.rng.randint(0, kernel - 1), b.rng.randint(0, kernel - 1)
    room = size + begin + end - dilation * (kernel - 1) - 1
    if room < 0:
        raise Impossible
    return kernel, stride, dilation, begin, end, room // stride + 1


def windows(b: Builder, value: Value) -> tuple[dict, tuple[int, ...]]:
    """Attributes of convolutions and pools, and the spatial sizes of the result."""
    parts = [window(b, size) for size in value.shape[2:]]
    kernel, stride, dilation, begin, end, result = zip(*parts)
    attributes = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "pads": begin + end,
    }
    return attributes, result


@family("convolution")
def convolution(b: Builder) -> None:
    value = b.pick(is_image)
    channels = value.shape[1]
    groups = b.rng.choice([g for g in (1, 1, 2, 3, channels) if channels % g == 0])
    made = groups * b.rng.choice((1, 2, 3))
    attributes, spatial = windows(b, value)
    shape = (made, channels // groups, *attributes["kernel_shape"])
    weight = b.weight("f32", shape, 1 / math.sqrt(math.prod(shape[1:])))
    bias = [b.weight("f32", (made,))] if b.rng.random() < 0.5 else []
    out = ("f32", (value.shape[0], made, *spatial), False, 4 * value.bound + 3)
    out = b.add("Conv", [value, weight, *bias], [out], group=groups, **attributes)[0]
    tame(b, out)


@family("convolution")
def pool(b: Builder) -> None:
    value = b.pick(is_image)
    attributes, spatial = windows(b, value)
    op = b.rng.choice(("MaxPool", "AveragePool"))
    if op == "AveragePool":
        # Dilations of averages came with opset 19.
        if max(attributes.pop("dilations")) > 1:
            raise Impossible
        attributes["count_include_pad"] = b.rng.randint(0, 1)
    exact = value.exact and op == "MaxPool"
    shape = (*value.shape[:2], *spatial)
    b.add(op, [value], [("f32", shape, exact, value.bound)], **attributes)


@family("convolution")
def global_pool(b: Builder) -> None:
    value = b.pick(is_image)
    op = b.rng.choice(("GlobalAveragePool", "GlobalMaxPool"))
    b.add(op, [value], [("f32", (*value.shape[:2], 1, 1), False, value.bound)])


@family("convolution")
def batch_norm(b: Builder) -> None:
    value = b.pick(is_image)
    channels = value.shape[1]
    parts = [b.weight("f32", (channels,)) for _ in range(3)]
    variance = b.constant(numpy.linspace(0.5, 2, channels).astype(numpy.float32))
    bound = 4 * value.bound + 8
    out = b.like("BatchNormalization", [value, *parts, variance], value, exact=False, bound=bound)
    tame(b, out)


@family("convolution")
def resize(b: Builder) -> None:
    """To twice the size: no sample lies where rounding decides."""
    value = b.pick(is_image)
    scales = b.constant(numpy.array([1, 1, 2, 2], numpy.float32))
    shape = (*value.shape[:2], 2 * value.shape[2], 2 * value.shape[3])
    mode = b.rng.choice(("nearest", "linear"))
    out = ("f32", shape, value.exact and mode == "nearest", value.bound)
    attributes = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor"
    b.add("Resize", [value, "", scales], [out], **attributes)


# Sorting and scattering.


@family("selection")
def top_k(b: Builder) -> None:
    value = b.pick(has_rank(1, 3, is_exact_real))
    axis = b.axis(value)
    count = b.rng.randint(1, value.shape[axis])
    shape = list(value.shape)
    shape[axis] = count
    outs = [
        (value.dtype, tuple(shape), True, value.bound),
        ("i64", tuple(shape), True, float(value.shape[axis])),
    ]
    largest = b.rng.randint(0, 1)
    b.add("TopK", [value, b.ints([count])], outs, axis=axis, largest=largest)


@family("selection")
def arg_max(b: Builder) -> None:
    value = b.pick(has_rank(1, 4, is_exact_real))
    axis, keep = b.axis(value), b.rng.randint(0, 1)
    shape = tuple(
        1 if d == axis else size for d, size in enumerate(value.shape) if keep or d != axis
    )
    op = b.rng.choice(("ArgMax", "ArgMin"))
    out = ("i64", shape, True, float(value.shape[axis]))
    b.add(op, [value], [out], axis=axis, keepdims=keep)


@family("selection")
def gather_elements(b: Builder) -> None:
    value = b.pick(has_rank(1, 3))
    axis = b.axis(value)
    shape = list(value.shape)
    shape[axis] = b.rng.randint(1, 6)
    generator = numpy.random.default_rng(b.rng.getrandbits(32))
    size = value.shape[axis]
    index = b.constant(generator.integers(-size, size, shape))
    b.moved("GatherElements", [value, index], value, shape, axis=axis)


@family("selection")
def scatter_elements(b: Builder) -> None:
    value = b.pick(has_rank(1, 3))
    axis = b.axis(value)
    shape = list(value.shape)
    shape[axis] = b.rng.randint(1, value.shape[axis])
    generator = numpy.random.default_rng(b.rng.getrandbits(32))
    # Distinct along the axis: which of two updates comes last is not defined.
    order = numpy.argsort(generator.random(value.shape), axis=axis)
    index = b.constant(numpy.take(order, range(shape[axis]), axis=axis).astype(numpy.int64))
    updates = b.weight(value.dtype, tuple(shape))
    kind = b.rng.choice(("none", "add"))
    out = b.like(
        "ScatterElements",
        [value, index, updates],
        value,
        axis=axis,
        reduction=kind,
        exact=False,
        bound=value.bound + 4,
    )
    tame(b, out)


@family("selection")
def trilu(b: Builder) -> None:
    value = b.pick(has_rank(2, 4))
    k = b.constant(numpy.array(b.rng.randint(-2, 2), numpy.int64))
    b.moved("Trilu", [value, k], value, value.shape, upper=b.rng.randint(0, 1))


@family("selection")
def one_hot(b: Builder) -> None:
    index = b.pick(lambda v: v.dtype == "i64" and v.rank <= 2)
    values = b.constant(numpy.array([0, 1], numpy.float32))
    depth = b.rng.choice((3, 5, 8))
    out = ("f32", (*index.shape, depth), True, 1.0)
    b.add("OneHot", [index, b.constant(numpy.array(depth, numpy.int64)), values], [out], axis=-1)
