//===- Convolution.cpp - Derivatives of convolutions and pools ------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A convolution's gradient to its input is a transposed convolution of the
// gradient with the same weight, and the other way round. That to the weight,
//
//   dw[co, ci, tap] = sum over n, o of dy[n, co, o] x[n, ci, o stride + tap
//                                                           dilation - pad],
//
// is a convolution whose channels are the batch, whose weight is dy, and where
// strides and dilations have changed places: its reduced factor is the batch,
// so that it is a partial sum where the batch is split.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Convolution.h"
#include "Rules.h"
#include "dialects/nn/Selection.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

static Shape spatial(Value value) {
  Shape shape = shapeOf(value);
  return Shape(shape.begin() + 2, shape.end());
}

/// [n, c, s..] as [n, c, (s..)].
static Shape plane(Value value) {
  Shape shape = shapeOf(value), result = {shape[0], shape[1], 1};
  for (int64_t size : spatial(value))
    result[2] *= size;
  return result;
}

/// x [n, c, ..] cut down to the spatial sizes.
static Value cut(Grad &g, Value x, const Shape &sizes) {
  for (size_t d = 0; d < sizes.size(); ++d)
    x = g.slice(x, int64_t(d) + 2, 0, sizes[d]);
  return x;
}

/// The transposed convolution of `x` whose result has the spatial sizes.
template <typename Op>
static Value spreadOver(Grad &g, Op window, Value x, Value weight,
                        int64_t groups, const Shape &sizes) {
  Shape more, from = spatial(x), kernel = spatial(weight);
  for (size_t d = 0; d < sizes.size(); ++d)
    more.push_back(sizes[d] + window.getPadsBegin()[d] +
                   window.getPadsEnd()[d] -
                   (from[d] - 1) * window.getStrides()[d] -
                   (kernel[d] - 1) * window.getDilations()[d] - 1);
  return g.create<ConvTransposeOp>(x, weight, groups, window.getStrides(),
                                   window.getDilations(), window.getPadsBegin(),
                                   window.getPadsEnd(), more);
}

/// The formula above for x [n, (g ci), s..] and dy [n, (g co), o..]: the
/// weight's gradient, [(g co), ci, taps..].
template <typename Op>
static Value weightGradient(Grad &g, Op window, Value x, Value dy,
                            int64_t groups, const Shape &taps) {
  Shape shape = shapeOf(x), split = shape, order,
        swap = dimensions(shape.size());
  int64_t channels = shape[1] / groups;
  split[1] = groups;
  split.insert(split.begin() + 2, channels);
  order = dimensions(split.size());
  std::swap(order[0], order[2]);
  Value input = g.transpose(g.reshape(x, split), order);
  shape[1] = groups * shape[0];
  shape[0] = channels;
  std::swap(swap[0], swap[1]);
  Value product = g.create<ConvOp>(
      g.reshape(input, shape), g.transpose(dy, swap), window.getDilations(),
      window.getStrides(), window.getPadsBegin(), window.getPadsEnd());
  return g.transpose(cut(g, product, taps), swap);
}

static void convolution(ConvOp op, Grad &g) {
  Value x = op.getInput(), weight = op.getWeight();
  int64_t groups = shapeOf(x)[1] / shapeOf(weight)[1];
  g.give(0,
         [&] { return spreadOver(g, op, g.of(), weight, groups, spatial(x)); });
  g.give(1, [&] {
    return weightGradient(g, op, x, g.of(), groups, spatial(weight));
  });
}

static void transposedConvolution(ConvTransposeOp op, Grad &g) {
  Value x = op.getInput(), weight = op.getWeight();
  g.give(0, [&] {
    Value wide =
        g.create<ConvOp>(g.of(), weight, op.getStrides(), op.getDilations(),
                         op.getPadsBegin(), op.getPadsEnd());
    return cut(g, wide, spatial(x));
  });
  g.give(1, [&] {
    return weightGradient(g, op, g.of(), x, int64_t(op.getGroups()),
                          spatial(weight));
  });
}

/// A sum gives each element the gradients of all windows over it; a maximum the
/// gradient to the first element that has it.
static void pool(PoolOp op, Grad &g) {
  Value x = op.getInput();
  Shape shape = shapeOf(x);
  if (!g.wants(0))
    return;
  if (op.getKind() == "sum") {
    Shape kernel = {shape[1], 1};
    kernel.insert(kernel.end(), op.getKernel().begin(), op.getKernel().end());
    Value ones = g.splat(withShape(x.getType(), kernel), 1);
    g.set(0, spreadOver(g, op, g.of(), ones, shape[1], spatial(x)));
    return;
  }
  Value places = g.create<PoolArgMaxOp>(
      x, op.getKernel(), op.getStrides(), op.getDilations(), op.getPadsBegin(),
      op.getPadsEnd(), /*column_major=*/false);
  Type type = withShape(x.getType(), plane(x));
  Value gradient = g.create<ScatterElementsOp>(
      type, "add", g.zeros(type), g.reshape(places, plane(places)),
      g.reshape(g.of(), plane(g.of())), uint64_t(2), Attribute());
  g.set(0, g.reshape(gradient, shape));
}

void training::attachConvolutionRules(MLIRContext &context) {
  attach<ConvOp, convolution>(context);
  attach<ConvTransposeOp, transposedConvolution>(context);
  attach<PoolOp, pool>(context);
}
