# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX graphs run by PyTorch in f64, for its gradients: the oracle of training.

Only what the tests need of each operator. Floats of any width are f64 here.
"""

from __future__ import annotations

import functools

import numpy
import onnx
import torch
from onnx import helper, numpy_helper

#: What the schemas say; attributes are of f32.
_EPSILON = float(numpy.float32(1e-5))


def _wide(array: numpy.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(numpy.array(array))
    return tensor.double() if tensor.is_floating_point() else tensor


def _ints(tensor) -> list[int]:
    return [int(value) for value in tensor.reshape(-1)]


def _reduce(kind):
    def run(attributes, x, axes=None):
        dims = _ints(axes) if axes is not None else attributes.get("axes", [])
        dims = list(dims) or list(range(x.dim()))
        keep = bool(attributes.get("keepdims", 1))
        if kind == "prod":
            for dim in sorted((d % x.dim() for d in dims), reverse=True):
                x = x.prod(dim, keepdim=keep)
            return x
        return getattr(torch, kind)(x, dims, keepdim=keep)

    return run


def _slice(attributes, x, starts, ends, axes=None, steps=None):
    starts, ends = _ints(starts), _ints(ends)
    axes = _ints(axes) if axes is not None else list(range(len(starts)))
    steps = _ints(steps) if steps is not None else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps):
        places = list(range(*slice(start, end, step).indices(x.shape[axis])))
        x = x.index_select(axis, torch.tensor(places, dtype=torch.int64))
    return x


def _gather(attributes, x, indices):
    axis = attributes.get("axis", 0) % x.dim()
    flat = (indices.reshape(-1) + x.shape[axis]) % x.shape[axis]
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return x.index_select(axis, flat).reshape(shape)


def _gather_elements(attributes, x, indices):
    axis = attributes.get("axis", 0) % x.dim()
    return x.gather(axis, (indices + x.shape[axis]) % x.shape[axis])


def _gather_nd(attributes, x, indices):
    assert not attributes.get("batch_dims", 0)
    return x[tuple(indices.unbind(-1))]


def _scatter_elements(attributes, x, indices, updates):
    axis = attributes.get("axis", 0) % x.dim()
    indices = (indices + x.shape[axis]) % x.shape[axis]
    if attributes.get("reduction", b"none") == b"add":
        return x.scatter_add(axis, indices, updates)
    return x.scatter(axis, indices, updates)


def _scatter_nd(attributes, x, indices, updates):
    add = attributes.get("reduction", b"none") == b"add"
    return x.index_put(tuple(indices.unbind(-1)), updates, accumulate=add)


def _split(attributes, x, sizes=None):
    axis = attributes.get("axis", 0)
    if sizes is not None:
        return x.split(_ints(sizes), axis)
    return x.chunk(attributes["num_outputs"], axis)


def _reshape(attributes, x, shape):
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(_ints(shape))])


def _expand(attributes, x, shape):
    return x.expand(torch.broadcast_shapes(x.shape, tuple(_ints(shape))))


def _squeeze(attributes, x, axes=None):
    if axes is None:
        return x.squeeze()
    for axis in sorted((a % x.dim() for a in _ints(axes)), reverse=True):
        x = x.squeeze(axis)
    return x


def _unsqueeze(attributes, x, axes):
    rank = x.dim() + axes.numel()
    for axis in sorted(a % rank for a in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _pads(attributes, spatial):
    """The argument of torch's pad, which wants the last dimension first."""
    pads = attributes.get("pads", [0] * 2 * spatial)
    return [pads[i + k * spatial] for i in reversed(range(spatial)) for k in (0, 1)]


def _windows(attributes, spatial):
    ones = [1] * spatial
    return attributes.get("strides", ones), attributes.get("dilations", ones)


def _conv(attributes, x, weight, bias=None):
    spatial = x.dim() - 2
    x = torch.nn.functional.pad(x, _pads(attributes, spatial))
    run = [torch.conv1d, torch.conv2d, torch.conv3d][spatial - 1]
    strides, dilations = _windows(attributes, spatial)
    return run(x, weight, bias, strides, 0, dilations, attributes.get("group", 1))


def _conv_transpose(attributes, x, weight, bias=None):
    spatial = x.dim() - 2
    run = [torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d][spatial - 1]
    strides, dilations = _windows(attributes, spatial)
    more = attributes.get("output_padding", [0] * spatial)
    group = attributes.get("group", 1)
    result = run(x, weight, bias, strides, 0, more, group, dilations)
    return torch.nn.functional.pad(result, [-n for n in _pads(attributes, spatial)])


def _max_pool(attributes, x):
    spatial = x.dim() - 2
    x = torch.nn.functional.pad(x, _pads(attributes, spatial), value=-torch.inf)
    run = [torch.max_pool1d, torch.max_pool2d, torch.max_pool3d][spatial - 1]
    strides, dilations = _windows(attributes, spatial)
    return run(x, attributes["kernel_shape"], strides, 0, dilations)


def _average_pool(attributes, x):
    spatial = x.dim() - 2
    x = torch.nn.functional.pad(x, _pads(attributes, spatial))
    assert attributes.get("count_include_pad", 0) or not any(attributes.get("pads", []))
    strides, _ = _windows(attributes, spatial)
    return torch.nn.functional.avg_pool2d(x, attributes["kernel_shape"], strides)


def _batch_norm(attributes, x, scale, bias, mean, variance):
    def wide(vector):
        return vector.reshape([1, -1] + [1] * (x.dim() - 2))

    normal = (x - wide(mean)) / torch.sqrt(wide(variance) + attributes.get("epsilon", _EPSILON))
    return normal * wide(scale) + wide(bias)


def _layer_norm(attributes, x, scale, bias=None):
    assert attributes.get("axis", -1) in (-1, x.dim() - 1)
    epsilon = attributes.get("epsilon", _EPSILON)
    return torch.nn.functional.layer_norm(x, x.shape[-1:], scale, bias, epsilon)


def _rms_norm(attributes, x, scale):
    epsilon = attributes.get("epsilon", _EPSILON)
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * scale


def _attention(attributes, q, k, v):
    """Of [batch, heads, sequence, width], without a mask."""
    repeat = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(repeat, 1) for x in (k, v))
    scores = attributes.get("scale", q.shape[-1] ** -0.5) * (q @ k.transpose(-1, -2))
    if cap := attributes.get("softcap", 0.0):
        scores = cap * torch.tanh(scores / cap)
    if attributes.get("is_causal", 0):
        visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~visible, -torch.inf)
    return torch.softmax(scores, -1) @ v


def _rotary(attributes, x, cos, sin):
    """Of [batch, heads, sequence, width], tables of [batch, sequence, width / 2]."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    if attributes.get("interleaved", 0):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _gemm(attributes, a, b, c=None):
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    result = attributes.get("alpha", 1.0) * (a @ b)
    return result if c is None else result + attributes.get("beta", 1.0) * c


def _cast(attributes, x):
    kind = helper.tensor_dtype_to_np_dtype(attributes["to"])
    if numpy.issubdtype(kind, numpy.floating):
        return x.double()
    return x.to(torch.from_numpy(numpy.zeros(1, kind)).dtype)


def _clip(attributes, x, low=None, high=None):
    return x.clamp(low, high)


def _gelu(attributes, x):
    approximate = attributes.get("approximate", b"none").decode()
    return torch.nn.functional.gelu(x, approximate=approximate)


def _top_k(attributes, x, k):
    found = torch.topk(
        x, _ints(k)[0], attributes.get("axis", -1), bool(attributes.get("largest", 1))
    )
    return found.values, found.indices


def _cumulative_sum(attributes, x, axis):
    dim = _ints(axis)[0]
    if attributes.get("reverse", 0):
        return _cumulative_sum({**attributes, "reverse": 0}, x.flip(dim), axis).flip(dim)
    return torch.cumsum(x, dim) - (x if attributes.get("exclusive", 0) else 0)


def _pad(attributes, x, pads, value=None):
    counts, rank = _ints(pads), x.dim()
    places = [counts[i + k * rank] for i in reversed(range(rank)) for k in (0, 1)]
    return torch.nn.functional.pad(x, places, value=0.0 if value is None else float(value))


def _divide(attributes, x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def _plain(function):
    """An operator without attributes."""
    return lambda attributes, *inputs: function(*inputs)


_FUNCTIONS = {
    **{
        name: _plain(getattr(torch, name.lower()))
        for name in (
            "Abs Neg Exp Log Sqrt Reciprocal Tanh Sin Cos Erf Sigmoid Relu Floor Ceil Round Sign Asin "
            "Acos Atan Sinh Cosh Asinh Acosh Atanh Add Sub Mul Pow Greater Less Where MatMul"
        ).split()
    },
    "Max": lambda attributes, *values: functools.reduce(torch.maximum, values),
    "Min": lambda attributes, *values: functools.reduce(torch.minimum, values),
    "Mod": lambda attributes, x, y: torch.remainder(x, y),
    "Div": _divide,
    "Equal": _plain(torch.eq),
    "LessOrEqual": _plain(torch.le),
    "And": _plain(torch.logical_and),
    "Not": _plain(torch.logical_not),
    "Identity": _plain(lambda x: x),
    "Cast": _cast,
    "Clip": _clip,
    "Gelu": _gelu,
    "Swish": lambda attributes, x: x * torch.sigmoid(attributes.get("alpha", 1.0) * x),
    "Gemm": _gemm,
    "Softmax": lambda attributes, x: torch.softmax(x, attributes.get("axis", -1)),
    "LogSoftmax": lambda attributes, x: torch.log_softmax(x, attributes.get("axis", -1)),
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "BatchNormalization": _batch_norm,
    "Attention": _attention,
    "RotaryEmbedding": _rotary,
    "ReduceSum": _reduce("sum"),
    "ReduceMean": _reduce("mean"),
    "ReduceMax": _reduce("amax"),
    "ReduceMin": _reduce("amin"),
    "ReduceProd": _reduce("prod"),
    "CumSum": _cumulative_sum,
    "Reshape": _reshape,
    "Transpose": lambda attributes, x: x.permute(
        attributes.get("perm", list(reversed(range(x.dim()))))
    ),
    "Expand": _expand,
    "Tile": lambda attributes, x, repeats: x.repeat(_ints(repeats)),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": lambda attributes, *parts: torch.cat(parts, attributes["axis"]),
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Shape": lambda attributes, x: torch.tensor(
        x.shape[attributes.get("start", 0) : attributes.get("end", x.dim())]
    ),
    "Range": lambda attributes, start, end, step: torch.arange(*map(int, (start, end, step))),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TopK": _top_k,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
}


def leaves(model: onnx.ModelProto, base: str = "") -> dict[str, torch.Tensor]:
    """The weights of floating point, as leaves of PyTorch's graph.

    Those of one element are constants, as they are to the importer.
    """
    weights = {}
    for initializer in model.graph.initializer:
        array = numpy_helper.to_array(initializer, base)
        if numpy.issubdtype(array.dtype, numpy.floating) and array.size > 1:
            weights[initializer.name] = _wide(array).requires_grad_()
    return weights


def run(model: onnx.ModelProto, feed: dict, weights: dict, base: str = "") -> dict:
    """The outputs, by name; weights as leaves() gives them."""
    values = {"": None, **weights}
    for initializer in model.graph.initializer:
        if initializer.name not in values:
            values[initializer.name] = _wide(numpy_helper.to_array(initializer, base))
    for name, value in feed.items():
        values[name] = value if torch.is_tensor(value) else _wide(value)
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [values[name] for name in node.input]
        if node.op_type == "Constant":
            results = _wide(numpy_helper.to_array(attributes["value"]))
        else:
            results = _FUNCTIONS[node.op_type](attributes, *inputs)
        results = results if isinstance(results, (tuple, list)) else [results]
        values.update(zip(node.output, results))
    return {output.name: values[output.name] for output in model.graph.output}
