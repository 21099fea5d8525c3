//===- Linear.cpp - Derivatives of products -------------------------------===//
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

void training::attachLinearRules(MLIRContext &context) {
  attach<MatMulOp, matmul>(context);
}
