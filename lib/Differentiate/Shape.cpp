//===- Shape.cpp - Derivatives of operations that move elements -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The gradient of a move is the way back: what was repeated is summed, what was
// left out gets zeros.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"
#include "dialects/nn/Training.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

static void reshape(ReshapeOp op, Grad &g) {
  g.give(0, [&] { return g.reshape(g.of(), shapeOf(op.getInput())); });
}

static void transpose(TransposeOp op, Grad &g) {
  ArrayRef<int64_t> permutation = op.getPermutation();
  Shape inverse(permutation.size());
  for (size_t d = 0; d < inverse.size(); ++d)
    inverse[permutation[d]] = int64_t(d);
  g.give(0, [&] { return g.transpose(g.of(), inverse); });
}

static void broadcast(BroadcastOp op, Grad &g) {
  Shape from = shapeOf(op.getInput()), to = shapeOf(op.getResult());
  Shape repeated = dimensions(to.size(), Shape(op.getDims()));
  for (auto [d, dim] : llvm::enumerate(op.getDims()))
    if (from[d] != to[dim])
      repeated.push_back(dim);
  llvm::sort(repeated);
  g.give(0, [&] { return g.reshape(g.sum(g.of(), repeated), from); });
}

/// Puts `step` - 1 zeros behind each element along a dimension.
static Value spaced(Grad &g, Value x, size_t d, int64_t step) {
  Shape shape = shapeOf(x), split = shape;
  split.insert(split.begin() + d + 1, 1);
  Shape low(split.size(), 0), high = low;
  high[d + 1] = step - 1;
  shape[d] *= step;
  return g.reshape(g.pad(g.reshape(x, split), low, high), shape);
}

/// Elements go back to their places, with zeros before, between and behind.
static void slice(SliceOp op, Grad &g) {
  if (!g.wants(0))
    return;
  Shape whole = shapeOf(op.getInput());
  Value gradient = g.of();
  for (size_t d = 0; d < whole.size(); ++d) {
    int64_t count = shapeOf(gradient)[d], start = op.getStarts()[d],
            step = op.getSteps()[d];
    if (step < 0) {
      Shape starts(whole.size(), 0), steps(whole.size(), 1);
      starts[d] = count - 1;
      steps[d] = -1;
      gradient = g.create<SliceOp>(gradient.getType(), gradient, starts, steps);
      start += (count - 1) * step;
      step = -step;
    }
    if (step > 1 && count > 1)
      gradient = g.slice(spaced(g, gradient, d, step), int64_t(d), 0,
                         (count - 1) * step + 1);
    Shape low(whole.size(), 0), high = low;
    low[d] = start;
    high[d] = whole[d] - start - shapeOf(gradient)[d];
    gradient = g.pad(gradient, low, high);
  }
  g.set(0, gradient);
}

static void pad(PadOp op, Grad &g) {
  g.give(0, [&] {
    Value gradient = g.of();
    Shape shape = shapeOf(op.getInput());
    for (size_t d = 0; d < shape.size(); ++d)
      gradient = g.slice(gradient, int64_t(d), op.getLow()[d], shape[d]);
    return gradient;
  });
}

static void concat(ConcatOp op, Grad &g) {
  int64_t axis = int64_t(op.getAxis()), start = 0;
  for (auto [i, input] : llvm::enumerate(op.getInputs())) {
    int64_t count = shapeOf(input)[axis];
    g.give(i, [&] { return g.slice(g.of(), axis, start, count); });
    start += count;
  }
}

static void split(SplitOp op, Grad &g) {
  g.give(0, [&] {
    SmallVector<Value> parts;
    for (unsigned i = 0; i < op->getNumResults(); ++i)
      parts.push_back(g.of(i));
    return g.concat(parts, int64_t(op.getAxis()));
  });
}

static void gather(GatherOp op, Grad &g) {
  g.give(0, [&] {
    return g.create<GatherGradientOp>(op.getData().getType(), op.getIndices(),
                                      g.of(), op.getAxis(), Attribute());
  });
}

void training::attachShapeRules(MLIRContext &context) {
  attach<GatherOp, gather>(context);
  attach<ReshapeOp, reshape>(context);
  attach<TransposeOp, transpose>(context);
  attach<BroadcastOp, broadcast>(context);
  attach<SliceOp, slice>(context);
  attach<PadOp, pad>(context);
  attach<ConcatOp, concat>(context);
  attach<SplitOp, split>(context);
}
