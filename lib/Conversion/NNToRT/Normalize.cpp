//===- Normalize.cpp - What the plan takes as it is -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels reduce trailing dimensions only. A reduction over others reads its
// operand transposed, which is a view and costs nothing by itself.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace partita;
using namespace partita::rt;

/// Whether `op` gives its only operand back.
static bool isIdentity(Operation *op) {
  if (!isa<nn::ReshapeOp, nn::TransposeOp, nn::BroadcastOp, nn::SliceOp,
           nn::CastOp, nn::ReduceOp, nn::SplitOp>(op) ||
      op->getNumResults() != 1 ||
      op->getOperand(0).getType() != op->getResult(0).getType())
    return false;
  if (auto transpose = dyn_cast<nn::TransposeOp>(op))
    return llvm::is_sorted(transpose.getPermutation());
  if (auto slice = dyn_cast<nn::SliceOp>(op))
    return llvm::all_of(slice.getSteps(), [](int64_t s) { return s == 1; });
  return true;
}

/// `value` with dimensions in the order `order`.
static Value transposed(OpBuilder &builder, Operation *from, Value value,
                        ArrayRef<int64_t> order) {
  SmallVector<int64_t> shape;
  for (int64_t dim : order)
    shape.push_back(nn::shapeOf(value)[dim]);
  auto op = nn::TransposeOp::create(builder, from->getLoc(),
                                    nn::withShape(value.getType(), shape),
                                    value, order);
  nn::copyIdentity(from, op, "/transpose");
  return op;
}

static void normalizeReduce(OpBuilder &builder, nn::ReduceOp op) {
  int64_t rank = nn::shapeOf(op.getInput()).size(), n = op.getAxes().size();
  SmallVector<int64_t> order, axes;
  for (int64_t d = 0; d < rank; ++d)
    if (!llvm::is_contained(op.getAxes(), d))
      order.push_back(d);
  llvm::append_range(order, op.getAxes());
  if (llvm::is_sorted(order))
    return;
  for (int64_t d = rank - n; d < rank; ++d)
    axes.push_back(d);
  Value input = transposed(builder, op, op.getInput(), order);
  auto trailing = nn::ReduceOp::create(builder, op.getLoc(), op.getType(),
                                       op.getKind(), input, axes);
  nn::copyIdentity(op, trailing);
  op.getResult().replaceAllUsesWith(trailing);
  op.erase();
}

static void normalizeSoftmax(OpBuilder &builder, nn::SoftmaxOp op) {
  int64_t rank = nn::shapeOf(op.getInput()).size(), axis = op.getAxis();
  if (axis == rank - 1)
    return;
  SmallVector<int64_t> order, back(rank);
  for (int64_t d = 0; d < rank; ++d)
    if (d != axis)
      order.push_back(d);
  order.push_back(axis);
  for (auto [to, from] : llvm::enumerate(order))
    back[from] = to;
  Value input = transposed(builder, op, op.getInput(), order);
  auto last = nn::SoftmaxOp::create(builder, op.getLoc(), input.getType(),
                                    input, rank - 1);
  nn::copyIdentity(op, last);
  op.getResult().replaceAllUsesWith(transposed(builder, op, last, back));
  op.erase();
}

void rt::normalize(func::FuncOp func) {
  Block &body = func.getBody().front();
  OpBuilder builder(func.getContext());
  for (Operation &op : llvm::make_early_inc_range(body)) {
    builder.setInsertionPoint(&op);
    if (isIdentity(&op)) {
      op.getResult(0).replaceAllUsesWith(op.getOperand(0));
      op.erase();
    } else if (auto reduce = dyn_cast<nn::ReduceOp>(op)) {
      normalizeReduce(builder, reduce);
    } else if (auto softmax = dyn_cast<nn::SoftmaxOp>(op)) {
      normalizeSoftmax(builder, softmax);
    }
  }
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&op))
      op.erase();
}
