# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that a random model is made of, by family.

Each function adds one operator, or the few that it comes with, to a Builder, on
values that it picks; it raises Impossible where none fits. What it adds is valid
by construction.
"""

from __future__ import annotations

import math

import numpy

from .builder import EXACT_LIMIT, LIMIT, MAX_ELEMENTS, NUMPY, TYPES, Builder, Impossible, Value

FAMILIES: dict[str, list] = {}


def family(name: str):
    """Registers the function under a family."""

    def register(function):
        FAMILIES.setdefault(name, []).append(function)
        return function

    return register


def is_real(value: Value) -> bool:
    return value.real


def is_number(value: Value) -> bool:
    return value.dtype != "bool"


def is_exact_number(value: Value) -> bool:
    return value.dtype != "bool" and value.exact


def is_exact_real(value: Value) -> bool:
    return value.real and value.exact


def has_rank(low: int, high: int, accepts=is_real):
    return lambda value: low <= value.rank <= high and accepts(value)


def tame(b: Builder, value: Value) -> Value:
    """Brings a value that may have grown back into its limits."""
    if value.bound <= (EXACT_LIMIT if value.exact else LIMIT):
        return value
    if value.exact:
        if value.real:
            low, high = (b.constant(numpy.array(x, numpy_type(value))) for x in (-8, 8))
            return b.like("Clip", [value, low, high], value, bound=8.0)
        divisor = b.constant(numpy.array(7, numpy_type(value)))
        return b.like("Mod", [value, divisor], value, bound=7.0)
    return b.like("Tanh", [value], value, bound=1.0)


def numpy_type(value: Value):
    return NUMPY[value.dtype]


# Elementwise.

SMOOTH = {
    "Relu": lambda bound: bound,
    "Tanh": lambda bound: 1.0,
    "Sigmoid": lambda bound: 1.0,
    "Erf": lambda bound: 1.0,
    "Sin": lambda bound: 1.0,
    "Cos": lambda bound: 1.0,
    "Softplus": lambda bound: bound + 1,
    "Elu": lambda bound: bound,
    "LeakyRelu": lambda bound: bound,
    "Selu": lambda bound: 2 * bound,
    "HardSigmoid": lambda bound: 1.0,
    "Atan": lambda bound: 2.0,
}
#: Whole numbers stay whole.
EXACT_UNARY = ("Neg", "Abs", "Identity")
DISCONTINUOUS = ("Floor", "Ceil", "Round", "Sign")


@family("elementwise")
def smooth(b: Builder) -> None:
    value = b.pick(is_real)
    op = b.rng.choice(sorted(SMOOTH))
    if op in ("Erf", "HardSigmoid", "Selu", "Atan", "Sin", "Cos") and value.dtype == "f64":
        raise Impossible  # ONNX Runtime has some of them for f32 only.
    exact = value.exact and op == "Relu"
    tame(b, b.like(op, [value], value, exact=exact, bound=SMOOTH[op](value.bound)))


@family("elementwise")
def unary(b: Builder) -> None:
    value = b.pick(is_number)
    b.like(b.rng.choice(EXACT_UNARY), [value], value)


@family("elementwise")
def discontinuous(b: Builder) -> None:
    value = b.pick(is_exact_real)
    half = b.constant(numpy.array(b.rng.choice((0.5, 0.25, 1.0)), numpy_type(value)))
    scaled = b.like("Mul", [value, half], value)
    b.like(b.rng.choice(DISCONTINUOUS), [scaled], value)


@family("elementwise")
def roots(b: Builder) -> None:
    """Functions of positive numbers."""
    value = b.pick(is_real)
    one = b.constant(numpy.array(1, numpy_type(value)))
    positive = b.like("Abs", [value], value)
    positive = b.like("Add", [positive, one], value, bound=value.bound + 1)
    op = b.rng.choice(("Sqrt", "Log", "Reciprocal"))
    b.like(op, [positive], value, exact=False, bound=value.bound + 1)


def broadcast_partner(b: Builder, value: Value, accepts) -> Value:
    """A value that broadcasts with `value`, a new one if need be."""

    def fits(other: Value) -> bool:
        pairs = zip(reversed(other.shape), reversed(value.shape))
        return (
            other.dtype == value.dtype
            and accepts(other)
            and all(x == y or x == 1 or y == 1 for x, y in pairs)
        )

    if b.rng.random() < 0.7:
        return b.pick(fits)
    shape = [size if b.rng.random() < 0.7 else 1 for size in value.shape]
    return b.input(value.dtype, tuple(shape[b.rng.randint(0, len(shape)) :]))


def broadcast_shape(*values: Value) -> tuple[int, ...]:
    try:
        shape = numpy.broadcast_shapes(*(value.shape for value in values))
    except ValueError:
        raise Impossible from None
    if math.prod(shape) > MAX_ELEMENTS:
        raise Impossible
    return tuple(int(size) for size in shape)


BINARY = {
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x + y,
    "Mul": lambda x, y: x * y,
    "Max": max,
    "Min": max,
}


@family("elementwise")
def binary(b: Builder) -> None:
    value = b.pick(is_number)
    other = broadcast_partner(b, value, is_number)
    op = b.rng.choice(sorted(BINARY))
    pair = [value, other] if b.rng.random() < 0.5 else [other, value]
    shape, exact = broadcast_shape(value, other), value.exact and other.exact
    bound = BINARY[op](value.bound, other.bound)
    tame(b, b.add(op, pair, [(value.dtype, shape, exact, bound)])[0])


@family("elementwise")
def divide(b: Builder) -> None:
    value = b.pick(is_real)
    other = broadcast_partner(b, value, is_real)
    one = b.constant(numpy.array(1, numpy_type(value)))
    positive = b.like("Abs", [other], other)
    positive = b.like("Add", [positive, one], other, bound=other.bound + 1)
    shape = broadcast_shape(value, other)
    b.add("Div", [value, positive], [(value.dtype, shape, False, value.bound)])


@family("elementwise")
def compare(b: Builder) -> None:
    value = b.pick(is_exact_number)
    other = broadcast_partner(b, value, is_exact_number)
    op = b.rng.choice(("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"))
    b.add(op, [value, other], [("bool", broadcast_shape(value, other), True, 1.0)])


@family("elementwise")
def logic(b: Builder) -> None:
    value = b.pick(lambda value: value.dtype == "bool")
    if b.rng.random() < 0.3:
        b.like("Not", [value], value)
        return
    other = broadcast_partner(b, value, lambda value: True)
    op = b.rng.choice(("And", "Or", "Xor"))
    b.add(op, [value, other], [("bool", broadcast_shape(value, other), True, 1.0)])


@family("elementwise")
def where(b: Builder) -> None:
    condition = b.pick(lambda value: value.dtype == "bool")
    value = b.pick(lambda v: is_number(v) and fits_broadcast(v, condition))
    other = broadcast_partner(b, value, is_number)
    shape = broadcast_shape(condition, value, other)
    exact, bound = value.exact and other.exact, max(value.bound, other.bound)
    b.add("Where", [condition, value, other], [(value.dtype, shape, exact, bound)])


def fits_broadcast(value: Value, other: Value) -> bool:
    pairs = zip(reversed(other.shape), reversed(value.shape))
    return all(x == y or x == 1 or y == 1 for x, y in pairs)


@family("elementwise")
def cast(b: Builder) -> None:
    value = b.pick(lambda value: value.exact or value.real)
    choices = ["f32", "f64"] if value.real and not value.exact else ["f32", "i64", "i32", "bool"]
    dtype = b.rng.choice([d for d in choices if d != value.dtype])
    bound = 1.0 if dtype == "bool" else value.bound
    b.add("Cast", [value], [(dtype, value.shape, value.exact, bound)], to=TYPES[dtype])


@family("elementwise")
def clip(b: Builder) -> None:
    value = b.pick(is_real)
    low, high = (b.constant(numpy.array(x, numpy_type(value))) for x in (-1, 2))
    b.like("Clip", [value, low, high], value, bound=2.0)


# Reductions.

REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2")


@family("reduction")
def reduce(b: Builder) -> None:
    value = b.pick(has_rank(1, 5, is_number))
    op = b.rng.choice(REDUCTIONS if value.real else REDUCTIONS[:1] + REDUCTIONS[2:4])
    axes = sorted(b.rng.sample(range(value.rank), b.rng.randint(1, value.rank)))
    keep = b.rng.random() < 0.5
    count = math.prod(value.shape[a] for a in axes)
    bound = value.bound
    if op in ("ReduceSum", "ReduceSumSquare", "ReduceL2"):
        bound *= count * (value.bound if op == "ReduceSumSquare" else 1)
    exact = value.exact and op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare")
    shape = tuple(
        1 if d in axes else size for d, size in enumerate(value.shape) if keep or d not in axes
    )
    given = [b.maybe_negative(a, value.rank) for a in axes]
    out = [(value.dtype, shape, exact, bound)]
    tame(b, b.add(op, [value, b.ints(given)], out, keepdims=int(keep))[0])


@family("reduction")
def softmax(b: Builder) -> None:
    value = b.pick(has_rank(1, 4))
    axis = b.maybe_negative(b.axis(value), value.rank)
    log = b.rng.random() < 0.3
    bound = 2 * value.bound + 8 if log else 1.0
    op = "LogSoftmax" if log else "Softmax"
    tame(b, b.like(op, [value], value, axis=axis, exact=False, bound=bound))


@family("reduction")
def layer_norm(b: Builder) -> None:
    value = b.pick(lambda v: has_rank(2, 4)(v) and v.dtype == "f32" and v.shape[-1] > 1)
    size = value.shape[-1]
    weights = [b.weight("f32", (size,)), b.weight("f32", (size,))]
    bound = 3 * math.sqrt(size) + 3
    out = b.like(
        "LayerNormalization",
        [value, *weights],
        value,
        axis=-1,
        epsilon=0.1,
        exact=False,
        bound=bound,
    )
    tame(b, out)


@family("reduction")
def cumsum(b: Builder) -> None:
    value = b.pick(lambda v: has_rank(1, 4, is_number)(v) and v.dtype != "i32")
    axis = b.axis(value)
    where = b.constant(numpy.array(b.maybe_negative(axis, value.rank), numpy.int64))
    bound = value.bound * value.shape[axis]
    flags = {"exclusive": b.rng.randint(0, 1), "reverse": b.rng.randint(0, 1)}
    tame(b, b.like("CumSum", [value, where], value, bound=bound, **flags))


# Products.


@family("product")
def linear(b: Builder) -> None:
    value = b.pick(has_rank(2, 4))
    n, k = b.rng.choice((2, 3, 4, 6, 8, 12)), value.shape[-1]
    weight = b.weight(value.dtype, (k, n), 1 / math.sqrt(k))
    shape = (*value.shape[:-1], n)
    bound = 4 * value.bound
    out = b.add("MatMul", [value, weight], [(value.dtype, shape, False, bound)])[0]
    if b.rng.random() < 0.5:
        bias = b.weight(value.dtype, (n,))
        out = b.like("Add", [out, bias], out, bound=bound + 3)
    tame(b, out)


@family("product")
def matmul(b: Builder) -> None:
    """Of two values, the second transposed if that makes it fit."""
    lhs = b.pick(has_rank(2, 4))
    rhs = b.pick(
        lambda v: (
            v.dtype == lhs.dtype
            and v.rank >= 2
            and lhs.shape[-1] in v.shape[-2:]
            and all(x == y or 1 in (x, y) for x, y in zip(lhs.shape[-3::-1], v.shape[-3::-1]))
        )
    )
    if rhs.shape[-2] != lhs.shape[-1]:
        order = [*range(rhs.rank - 2), rhs.rank - 1, rhs.rank - 2]
        shape = [rhs.shape[d] for d in order]
        rhs = b.moved("Transpose", [rhs], rhs, shape, perm=order)
    batch = numpy.broadcast_shapes(lhs.shape[:-2], rhs.shape[:-2])
    shape = (*(int(x) for x in batch), lhs.shape[-2], rhs.shape[-1])
    bound, exact = lhs.bound * rhs.bound * lhs.shape[-1], lhs.exact and rhs.exact
    tame(b, b.add("MatMul", [lhs, rhs], [(lhs.dtype, shape, exact, bound)])[0])


@family("product")
def gemm(b: Builder) -> None:
    value = b.pick(lambda v: v.rank == 2 and v.real)
    transposed = b.rng.randint(0, 1)
    n, k = b.rng.choice((2, 3, 5, 8)), value.shape[-1]
    weight = b.weight(value.dtype, (n, k) if transposed else (k, n), 1 / math.sqrt(k))
    bias = b.weight(value.dtype, (n,))
    out = (value.dtype, (value.shape[0], n), False, 4 * value.bound + 3)
    tame(b, b.add("Gemm", [value, weight, bias], [out], transB=transposed, alpha=0.5)[0])


@family("product")
def attention(b: Builder) -> None:
    """As exporters write it: heads split off, scores, softmax, heads joined."""
    value = b.pick(lambda v: v.rank == 3 and v.real and v.shape[1] > 1)
    batch, length, width = value.shape
    heads, depth = b.rng.choice((1, 2, 3, 4, 6)), b.rng.choice((2, 4))
    parts = []
    for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)):
        weight = b.weight(value.dtype, (width, heads * depth), 1 / math.sqrt(width))
        out = (value.dtype, (batch, length, heads * depth), False, 4 * value.bound)
        flat = b.add("MatMul", [value, weight], [out])[0]
        if b.rng.random() < 0.5:
            flat = b.like("Add", [flat, b.weight(value.dtype, (heads * depth,))], flat)
        split = (batch, length, heads, depth)
        deep = b.moved("Reshape", [flat, b.ints(split)], flat, split)
        shape = tuple(split[d] for d in order)
        parts.append(b.moved("Transpose", [deep], deep, shape, perm=order))
    query, key, values = parts
    out = (value.dtype, (batch, heads, length, length), False, LIMIT)
    scores = b.add("MatMul", [query, key], [out])[0]
    scale = b.constant(numpy.array(1 / math.sqrt(depth), numpy_type(value)))
    scores = b.like("Mul", [scores, scale], scores)
    if b.rng.random() < 0.4:
        mask = numpy.triu(numpy.full((length, length), -1e4), 1).astype(numpy_type(value))
        scores = b.like("Add", [scores, b.constant(mask)], scores)
    weights = b.like("Softmax", [scores], scores, axis=-1, bound=1.0)
    out = (value.dtype, (batch, heads, length, depth), False, 4 * value.bound)
    mixed = b.add("MatMul", [weights, values], [out])[0]
    order = (0, 2, 1, 3)
    shape = (batch, length, heads, depth)
    joined = b.moved("Transpose", [mixed], mixed, shape, perm=order)
    flat_shape = (batch, length, heads * depth)
    tame(b, b.moved("Reshape", [joined, b.ints(flat_shape)], joined, flat_shape))


@family("product")
def mlp(b: Builder) -> None:
    """Linear, GELU or SiLU as a decomposition, linear, residual."""
    value = b.pick(lambda v: has_rank(2, 3)(v) and v.dtype == "f32")
    k, n = value.shape[-1], b.rng.choice((4, 6, 8, 12))
    first = b.weight("f32", (k, n), 1 / math.sqrt(k))
    wide = b.add("MatMul", [value, first], [("f32", (*value.shape[:-1], n), False, LIMIT)])[0]
    if b.rng.random() < 0.5:
        gate = b.like("Sigmoid", [wide], wide)
        active = b.like("Mul", [wide, gate], wide)
    else:
        half, one, root = (
            b.constant(numpy.array(x, numpy.float32)) for x in (0.5, 1.0, math.sqrt(2))
        )
        erf = b.like("Erf", [b.like("Div", [wide, root], wide)], wide)
        product = b.like("Mul", [wide, b.like("Add", [erf, one], wide)], wide)
        active = b.like("Mul", [product, half], wide)
    second = b.weight("f32", (n, k), 1 / math.sqrt(n))
    out = b.add("MatMul", [active, second], [("f32", value.shape, False, LIMIT)])[0]
    tame(b, b.like("Add", [out, value], value, exact=False, bound=2 * LIMIT))


# Moves.


@family("move")
def transpose(b: Builder) -> None:
    value = b.pick(lambda v: v.rank >= 2)
    order = b.rng.sample(range(value.rank), value.rank)
    b.moved("Transpose", [value], value, [value.shape[d] for d in order], perm=order)


@family("move")
def reshape(b: Builder) -> None:
    """Factors of the size in another grouping."""
    value = b.pick()
    sizes, left = [], value.size
    while left > 1 and len(sizes) < 4:
        divisors = [d for d in range(2, left + 1) if left % d == 0 and d <= 12]
        if not divisors:
            break
        sizes.append(b.rng.choice(divisors))
        left //= sizes[-1]
    sizes.insert(b.rng.randint(0, len(sizes)), left)
    b.moved("Reshape", [value, b.ints(sizes)], value, sizes)


@family("move")
def merge(b: Builder) -> None:
    """Two neighbouring dimensions become one, or one becomes two."""
    value = b.pick(has_rank(1, 4, lambda v: True))
    shape, axis = list(value.shape), b.axis(value)
    if b.rng.random() < 0.5 and axis + 1 < value.rank:
        shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
    else:
        divisors = [d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0]
        d = b.rng.choice(divisors)
        shape[axis : axis + 1] = [d, shape[axis] // d]
    b.moved("Reshape", [value, b.ints(shape)], value, shape)


@family("move")
def split(b: Builder) -> None:
    value = b.pick(lambda v: v.rank >= 1 and max(v.shape) > 1)
    axis = b.rng.choice([d for d in range(value.rank) if value.shape[d] > 1])
    first = b.rng.randint(1, value.shape[axis] - 1)
    sizes = [first, value.shape[axis] - first]
    outs = []
    for size in sizes:
        shape = (*value.shape[:axis], size, *value.shape[axis + 1 :])
        outs.append((value.dtype, shape, value.exact, value.bound))
    b.add("Split", [value, b.ints(sizes)], outs, axis=b.maybe_negative(axis, value.rank))


@family("move")
def concat(b: Builder) -> None:
    value = b.pick(has_rank(1, 5, lambda v: True))
    axis = b.axis(value)

    def fits(other: Value) -> bool:
        return other.dtype == value.dtype and (
            value.shape[:axis] + value.shape[axis + 1 :]
            == other.shape[:axis] + other.shape[axis + 1 :]
            and other.rank == value.rank
        )

    parts = [value] + [b.pick(fits) for _ in range(b.rng.randint(1, 2))]
    shape = list(value.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    out = (
        value.dtype,
        tuple(shape),
        all(part.exact for part in parts),
        max(part.bound for part in parts),
    )
    b.add("Concat", parts, [out], axis=b.maybe_negative(axis, value.rank))


@family("move")
def slices(b: Builder) -> None:
    value = b.pick(has_rank(1, 5, lambda v: True))
    axis = b.axis(value)
    size, step = value.shape[axis], b.rng.choice((1, 1, 2, 3, -1, -2))
    low = b.rng.randrange(size)
    high = b.rng.randint(low + 1, size)
    start, end = (low, high) if step > 0 else (high - 1, low - 1 if low else -size - 1)
    count = len(range(low, high, step)) if step > 0 else len(range(high - 1, low - 1, step))
    shape = list(value.shape)
    shape[axis] = count
    arguments = [b.ints([x]) for x in (start, end, axis, step)]
    b.moved("Slice", [value, *arguments], value, shape)


@family("move")
def pad(b: Builder) -> None:
    value = b.pick(has_rank(1, 4, is_real))
    before = [b.rng.choice((0, 0, 1, 2)) for _ in value.shape]
    after = [b.rng.choice((0, 0, 1, 3)) for _ in value.shape]
    mode = b.rng.choice(("constant", "constant", "edge", "reflect"))
    if mode == "reflect" and any(
        max(x, y) >= size for x, y, size in zip(before, after, value.shape)
    ):
        raise Impossible
    shape = [x + size + y for x, size, y in zip(before, value.shape, after)]
    extra = [b.constant(numpy.array(2, numpy_type(value)))] if mode == "constant" else []
    b.moved("Pad", [value, b.ints(before + after), *extra], value, shape, mode=mode)


@family("move")
def expand(b: Builder) -> None:
    value = b.pick(lambda v: v.size <= 512)
    shape = [b.rng.choice((2, 3, 4)) if size == 1 else size for size in value.shape]
    shape = [b.rng.choice((2, 3))] * b.rng.randint(0, 1) + shape
    b.moved("Expand", [value, b.ints(shape)], value, shape)


@family("move")
def tile(b: Builder) -> None:
    value = b.pick(lambda v: 1 <= v.rank and v.size <= 512)
    repeats = [b.rng.choice((1, 1, 2, 3)) for _ in value.shape]
    shape = [size * times for size, times in zip(value.shape, repeats)]
    b.moved("Tile", [value, b.ints(repeats)], value, shape)


@family("move")
def squeeze(b: Builder) -> None:
    value = b.pick(lambda v: v.rank < 5)
    ones = [d for d, size in enumerate(value.shape) if size == 1]
    if ones and b.rng.random() < 0.6:
        axis = b.rng.choice(ones)
        shape = value.shape[:axis] + value.shape[axis + 1 :]
        b.moved("Squeeze", [value, b.ints([axis])], value, shape)
    else:
        axis = b.rng.randint(0, value.rank)
        shape = (*value.shape[:axis], 1, *value.shape[axis:])
        b.moved("Unsqueeze", [value, b.ints([axis])], value, shape)


@family("move")
def gather(b: Builder) -> None:
    """Rows of a table, by indices that only run time knows."""
    index = b.pick(lambda v: v.dtype in ("i64", "i32") and v.rank <= 2 and v.bound <= EXACT_LIMIT)
    index = b.like("Abs", [index], index)
    rows = b.rng.choice((3, 5, 8))
    index = b.like(
        "Mod", [index, b.constant(numpy.array(rows, numpy_type(index)))], index, bound=rows
    )
    if b.rng.random() < 0.3:
        index = b.like("Sub", [index, b.constant(numpy.array(rows, numpy_type(index)))], index)
    columns = b.rng.choice((2, 3, 4, 6))
    table = b.weight("f32", (rows, columns))
    b.add("Gather", [table, index], [("f32", (*index.shape, columns), False, 4.0)])


@family("move")
def depth_to_space(b: Builder) -> None:
    value = b.pick(lambda v: v.rank == 4 and v.dtype == "f32")
    n, c, h, w = value.shape
    if c % 4 == 0 and b.rng.random() < 0.5:
        mode = b.rng.choice(("DCR", "CRD"))
        shape = (n, c // 4, 2 * h, 2 * w)
        b.moved("DepthToSpace", [value], value, shape, blocksize=2, mode=mode)
    elif h % 2 == 0 and w % 2 == 0:
        b.moved("SpaceToDepth", [value], value, (n, 4 * c, h // 2, w // 2), blocksize=2)
    else:
        raise Impossible
