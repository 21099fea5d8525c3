//===- Reduction.cpp - Derivatives of reductions, softmax and norms -------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

/// Of a maximum or minimum the elements that are equal to it share the gradient
/// evenly, as in PyTorch's amax.
static Status reduction(ReduceOp op, Grad &g) {
  Value x = op.getInput();
  Shape shape = shapeOf(x), axes(op.getAxes());
  if (!g.wants(0))
    return ok();
  if (op.getKind() == "sum") {
    g.set(0, g.spread(g.of(), shape, axes));
    return ok();
  }
  if (op.getKind() == "prod")
    return g.refuse("of kind \"prod\" has no rule");
  Value isExtreme = g.compare("eq", x, g.spread(op.getResult(), shape, axes));
  Value count = g.sum(g.cast(isExtreme, getElementTypeOrSelf(x)), axes);
  g.set(0, g.keep(isExtreme, g.spread(g.div(g.of(), count), shape, axes)));
  return ok();
}

/// Running sums of the gradient from the other end.
static void cumulativeSum(CumSumOp op, Grad &g) {
  g.give(0, [&] {
    return g.create<CumSumOp>(op.getType(), g.of(), op.getAxis(),
                              op.getExclusive(), !op.getReverse());
  });
}

/// y (g - sum(g y)).
static void softmax(SoftmaxOp op, Grad &g) {
  Shape axes = {int64_t(op.getAxis())};
  g.give(0, [&] {
    Value y = g.wide(op.getResult());
    Value scaled = g.mul(g.wide(g.of()), y);
    Value sum = g.spread(g.sum(scaled, axes), shapeOf(y), axes);
    return g.as(op.getInput(), g.sub(scaled, g.mul(y, sum)));
  });
}

namespace {

/// What both norms share: the last dimension of size n is normalised to
/// x' = (x - mean) r, and scaled. Computed in f32 at least.
struct Norm {
  Norm(Grad &g, Value input, Value scale)
      : g(g), shape(shapeOf(input)), last{int64_t(shape.size()) - 1},
        input(input), scale(scale), x(g.wide(input)), dy(g.wide(g.of())) {}

  Value mean(Value x) { return g.times(g.sum(x, last), 1.0 / shape.back()); }
  Value spread(Value x) { return g.spread(x, shape, last); }
  /// 1 / sqrt(mean(x^2) + epsilon), one for each row.
  Value inverseDeviation(Value x, double epsilon) {
    return g.unary<RsqrtOp>(g.plus(mean(g.square(x)), epsilon));
  }
  /// Sets the gradients of x, which is r (h - [mean(h)] - x' mean(h x')) for
  /// h = dy scale, and of the scale, sum(dy x').
  void finish(Value normal, Value r, bool centred) {
    Shape rows = dimensions(shape.size(), last);
    g.give(0, [&] {
      Value h = g.mul(dy, g.broadcast(g.wide(scale), shape, last));
      Value inner = g.mul(normal, spread(mean(g.mul(h, normal))));
      Value rest = g.sub(h, inner);
      if (centred)
        rest = g.sub(rest, spread(mean(h)));
      return g.as(input, g.mul(rest, spread(r)));
    });
    g.give(1, [&] { return g.as(scale, g.sum(g.mul(dy, normal), rows)); });
  }

  Grad &g;
  Shape shape, last;
  Value input, scale;
  /// The operand and the gradient to compute with.
  Value x, dy;
};

} // namespace

static void layerNorm(LayerNormOp op, Grad &g) {
  if (op.getBias() && g.wants(2))
    g.set(2, g.sum(g.of(), dimensions(shapeOf(op.getInput()).size() - 1)));
  if (!g.wants(0) && !g.wants(1))
    return;
  Norm norm(g, op.getInput(), op.getScale());
  Value centred = g.sub(norm.x, norm.spread(norm.mean(norm.x)));
  Value r = norm.inverseDeviation(centred, op.getEpsilon().convertToDouble());
  norm.finish(g.mul(centred, norm.spread(r)), r, true);
}

static void rmsNorm(RMSNormOp op, Grad &g) {
  Norm norm(g, op.getInput(), op.getScale());
  Value r = norm.inverseDeviation(norm.x, op.getEpsilon().convertToDouble());
  norm.finish(g.mul(norm.x, norm.spread(r)), r, false);
}

void training::attachReductionRules(MLIRContext &context) {
  attach<ReduceOp, reduction>(context);
  attach<CumSumOp, cumulativeSum>(context);
  attach<SoftmaxOp, softmax>(context);
  attach<LayerNormOp, layerNorm>(context);
  attach<RMSNormOp, rmsNorm>(context);
}
