# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Families of image models, of operators that sort and scatter, and of rare ones."""

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
def places(b: Builder) -> None:
    """A maximum and where it is; without overlaps it goes back there."""
    value = b.pick(lambda v: is_image(v) and v.exact)
    attributes, spatial = windows(b, value)
    shape = (*value.shape[:2], *spatial)
    outs = [("f32", shape, True, value.bound), ("i64", shape, True, float(value.size))]
    b.add("MaxPool", [value], outs, storage_order=b.rng.randint(0, 1), **attributes)


@family("convolution")
def unpool(b: Builder) -> None:
    value = b.pick(lambda v: is_image(v) and v.shape[2] % 2 == v.shape[3] % 2 == 0 and v.exact)
    shape = (*value.shape[:2], value.shape[2] // 2, value.shape[3] // 2)
    outs = [("f32", shape, True, value.bound), ("i64", shape, True, float(value.size))]
    tiles = {"kernel_shape": (2, 2), "strides": (2, 2)}
    largest, at = b.add("MaxPool", [value], outs, **tiles)
    b.moved("MaxUnpool", [largest, at], value, value.shape, **tiles)


@family("convolution")
def add_up_patches(b: Builder) -> None:
    value = b.pick(is_image)
    n, c, *positions = value.shape
    kernel = [b.rng.choice((1, 2, 3)) for _ in positions]
    taps = math.prod(kernel)
    stride = [b.rng.choice((1, 1, 2)) for _ in positions]
    pads = [b.rng.choice((0, 0, 1)) for _ in range(4)]
    image = [
        (count - 1) * step + size - pads[d] - pads[d + 2]
        for d, (count, step, size) in enumerate(zip(positions, stride, kernel))
    ]
    if c % taps or min(image) < 1:
        raise Impossible
    columns = b.moved("Reshape", [value, b.ints([n, c, -1])], value, (n, c, math.prod(positions)))
    out = ("f32", (n, c // taps, *image), False, taps * value.bound)
    ins = [columns, b.ints(image), b.ints(kernel)]
    tame(b, b.add("Col2Im", ins, [out], strides=stride, pads=pads)[0])


@family("convolution")
def quantised_convolution(b: Builder) -> None:
    """On whole numbers; all scales are powers of two, so that ties are ties."""
    value = b.pick(lambda v: is_image(v) and v.exact)
    made, channels = b.rng.choice((1, 2, 4)), value.shape[1]
    attributes, spatial = windows(b, value)
    generator = numpy.random.default_rng(b.rng.getrandbits(32))
    kernel = (made, channels, *attributes["kernel_shape"])
    weight = b.constant(generator.integers(-8, 8, kernel).astype(numpy.int8))
    one, zero = b.constant(numpy.float32(1)), b.constant(numpy.uint8(b.rng.choice((0, 128, 200))))
    scales = b.constant(generator.choice([0.25, 0.5, 1.0], made).astype(numpy.float32))
    no_zero = b.constant(numpy.zeros(made, numpy.int8))
    bias = b.constant(generator.integers(-50, 50, made).astype(numpy.int32))
    out_scale = b.constant(numpy.float32(b.rng.choice((2, 8))))
    shape = (value.shape[0], made, *spatial)
    x = b.hidden("QuantizeLinear", [value, one, zero])
    ins = [x, one, zero, weight, scales, no_zero, out_scale, zero, bias]
    y = b.hidden("QLinearConv", ins, **attributes)
    tame(b, b.add("DequantizeLinear", [y, one, zero], [("f32", shape, True, 255.0)])[0])


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
    # ONNX Runtime refuses an index without dimensions.
    index = b.pick(lambda v: v.dtype == "i64" and 1 <= v.rank <= 2)
    values = b.constant(numpy.array([0, 1], numpy.float32))
    depth = b.rng.choice((3, 5, 8))
    out = ("f32", (*index.shape, depth), True, 1.0)
    b.add("OneHot", [index, b.constant(numpy.array(depth, numpy.int64)), values], [out], axis=-1)


# Rare ones.


@family("selection")
def determinant(b: Builder) -> None:
    value = b.pick(lambda v: v.dtype == "f32" and v.rank >= 2 and v.shape[-1] == v.shape[-2] <= 4)
    small = b.like("Tanh", [value], value, exact=False, bound=1.0)
    b.add("Det", [small], [("f32", value.shape[:-2], False, 24.0)])


@family("selection")
def n_grams(b: Builder) -> None:
    tokens = b.pick(lambda v: v.dtype in ("i32", "i64") and v.rank in (1, 2))
    singles = b.rng.sample(range(-3, 4), b.rng.randint(0, 3))
    pairs = b.rng.sample([(i, j) for i in range(-2, 3) for j in range(-2, 3)], 3)
    columns = list(range(len(singles) + len(pairs)))
    b.rng.shuffle(columns)
    shape = (*tokens.shape[:-1], len(columns))
    b.add(
        "TfIdfVectorizer",
        [tokens],
        [("f32", shape, True, 12.0 * tokens.shape[-1])],
        mode=b.rng.choice(("TF", "IDF", "TFIDF")),
        min_gram_length=b.rng.randint(1, 2),
        max_gram_length=2,
        max_skip_count=b.rng.randint(0, 3),
        ngram_counts=[0, len(singles)],
        ngram_indexes=columns,
        pool_int64s=[*singles, *(token for pair in pairs for token in pair)],
        weights=[float(b.rng.randint(1, 3)) for _ in columns],
    )
