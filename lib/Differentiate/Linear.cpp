//===- Linear.cpp - Derivatives of products and attention -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rules.h"
#include "dialects/nn/Training.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

/// [B.., m, k] as [(B.. m), k].
static Value flattened(Grad &g, Value x) {
  Shape shape = shapeOf(x);
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < shape.size(); ++d)
    rows *= shape[d];
  return g.reshape(x, {rows, shape.back()});
}

/// To lhs it is g rhs^T, to rhs lhs^T g. One matrix for a whole batch gets the
/// sum over it, which is a product with longer columns.
static void matmul(MatMulOp op, Grad &g) {
  Value lhs = op.getLhs(), rhs = op.getRhs();
  g.give(0, [&] { return g.matmul(g.of(), g.transposed(rhs)); });
  g.give(1, [&] {
    Value gradient = g.of();
    if (shapeOf(rhs).size() == 2) {
      lhs = flattened(g, lhs);
      gradient = flattened(g, gradient);
    }
    return g.matmul(g.transposed(lhs), gradient);
  });
}

/// One operation for all gradients, since it computes the scores again; what is
/// subtracted from each row of their gradient is computed before it.
static void attention(AttentionOp op, Grad &g) {
  Value gradient = g.of(0);
  Value delta = g.sum(g.mul(gradient, op.getOut()), {3});
  if (g.has(1))
    delta = g.sub(delta, g.of(1));
  Value mask = op.getMask();
  bool wantsMask = mask && g.wants(3);
  auto backward = g.create<AttentionGradientOp>(
      op.getQuery().getType(), op.getKey().getType(), op.getValue().getType(),
      wantsMask ? mask.getType() : Type(), op.getQuery(), op.getKey(),
      op.getValue(), op.getLse(), delta, gradient, mask, op.getScaleAttr(),
      op.getCausalAttr(), Attribute(), Attribute(), op.getSoftcapAttr());
  for (unsigned i = 0; i < op->getNumOperands(); ++i)
    g.give(i, [&] { return backward->getResult(i); });
}

/// One half of the last dimension of x [b, h, s, d].
static Value half(RopeOp op, Grad &g, Value x, int64_t which) {
  Shape shape = shapeOf(x), starts(4, 0), steps(4, 1);
  shape[3] /= 2;
  starts[3] = op.getInterleaved() ? which : which * shape[3];
  steps[3] = op.getInterleaved() ? 2 : 1;
  return g.create<SliceOp>(withShape(x.getType(), shape), x, starts, steps);
}

/// To x it is the rotation back. Tables get g1 x1 + g2 x2 and g2 x1 - g1 x2
/// from the halves, summed over what they are repeated along.
static void rope(RopeOp op, Grad &g) {
  g.give(0, [&] {
    return g.create<RopeOp>(g.of(), op.getCos(), g.neg(op.getSin()),
                            op.getInterleaved());
  });
  if (!g.wants(1) && !g.wants(2))
    return;
  Value x1 = half(op, g, op.getInput(), 0), x2 = half(op, g, op.getInput(), 1),
        g1 = half(op, g, g.of(), 0), g2 = half(op, g, g.of(), 1);
  Shape table = shapeOf(op.getCos());
  bool repeated = table[0] != shapeOf(op.getInput())[0];
  auto summed = [&](Value value) {
    return g.reshape(g.sum(value, repeated ? Shape{0, 1} : Shape{1}), table);
  };
  g.give(1, [&] { return summed(g.add(g.mul(g1, x1), g.mul(g2, x2))); });
  g.give(2, [&] { return summed(g.sub(g.mul(g2, x1), g.mul(g1, x2))); });
}

void training::attachLinearRules(MLIRContext &context) {
  attach<MatMulOp, matmul>(context);
  attach<AttentionOp, attention>(context);
  attach<RopeOp, rope>(context);
}
