//===- Reduction.cpp - Reductions, softmax and norms ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Reduction.cpp.inc"

static std::string dimName(unsigned d) { return "d" + std::to_string(d); }

static int64_t inputFlops(Operation *op, int64_t perElement) {
  return cast<RankedTensorType>(op->getOperand(0).getType()).getNumElements() *
         perElement;
}

static LogicalResult verifyAxis(Operation *op, int64_t axis) {
  int64_t rank = cast<RankedTensorType>(op->getOperand(0).getType()).getRank();
  if (axis < 0 || axis >= rank)
    return op->emitOpError("has axis ") << axis << " out of range";
  return success();
}

//===----------------------------------------------------------------------===//
// Reduce
//===----------------------------------------------------------------------===//

ShardingRule ReduceOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getInput());
  RuleBuilder builder({shape.size()}, {shape.size() - getAxes().size()});
  Combiner combiner = *parseCombiner(getKind().str());
  unsigned out = 0;
  for (unsigned d = 0; d < shape.size(); ++d) {
    if (llvm::is_contained(getAxes(), int64_t(d)))
      builder.reduction(dimName(d), shape[d], combiner, {{0, d}});
    else
      builder.parallel(dimName(d), shape[d], {{0, d}}, {{0, out++}});
  }
  if (combiner == Combiner::Sum)
    builder.linear({0});
  return builder.build();
}

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  std::vector<int64_t> shape = shapeOf(adaptor.getInput()), out;
  int64_t last = -1;
  for (int64_t axis : adaptor.getAxes()) {
    if (axis <= last || axis >= int64_t(shape.size()))
      return emitOptionalError(loc, "axes must ascend and be in range");
    last = axis;
  }
  for (size_t d = 0; d < shape.size(); ++d)
    if (!llvm::is_contained(adaptor.getAxes(), int64_t(d)))
      out.push_back(shape[d]);
  types.push_back(withShape(adaptor.getInput().getType(), out));
  return success();
}

LogicalResult ReduceOp::verify() {
  static const StringRef known[] = {"sum", "max", "min", "prod"};
  if (!llvm::is_contained(known, getKind()))
    return emitOpError("has unknown kind \"") << getKind() << '"';
  return success();
}
int64_t ReduceOp::getFlops() { return inputFlops(*this, 1); }
KernelClass ReduceOp::getKernelClass() { return KernelClass::Memory; }

//===----------------------------------------------------------------------===//
// Operations along one dimension, which stays whole
//===----------------------------------------------------------------------===//

static ShardingRule alongRule(Value value, int64_t axis, bool linear) {
  std::vector<int64_t> shape = shapeOf(value);
  RuleBuilder builder({shape.size()}, {shape.size()});
  for (unsigned d = 0; d < shape.size(); ++d) {
    if (int64_t(d) == axis)
      builder.replicate(dimName(d), shape[d], {{0, d}}, {{0, d}});
    else
      builder.parallel(dimName(d), shape[d], {{0, d}}, {{0, d}});
  }
  if (linear)
    builder.linear({0});
  return builder.build();
}

ShardingRule CumSumOp::getShardingRule() {
  return alongRule(getInput(), getAxis(), true);
}
LogicalResult CumSumOp::verify() { return verifyAxis(*this, getAxis()); }
int64_t CumSumOp::getFlops() { return inputFlops(*this, 1); }
KernelClass CumSumOp::getKernelClass() { return KernelClass::Memory; }

bool CumSumOp::takesStrides() { return true; }

ShardingRule SoftmaxOp::getShardingRule() {
  return alongRule(getInput(), getAxis(), false);
}
LogicalResult SoftmaxOp::verify() { return verifyAxis(*this, getAxis()); }
int64_t SoftmaxOp::getFlops() { return inputFlops(*this, 14); }
KernelClass SoftmaxOp::getKernelClass() { return KernelClass::Memory; }

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

/// Rows are parallel; the last dimension and the vectors along it stay whole.
static ShardingRule normRule(Operation *op) {
  std::vector<int64_t> shape = shapeOf(op->getOperand(0));
  unsigned rank = shape.size(), vectors = op->getNumOperands() - 1;
  std::vector<size_t> ranks = {rank};
  ranks.insert(ranks.end(), vectors, 1);
  RuleBuilder builder(ranks, {rank});
  for (unsigned d = 0; d + 1 < rank; ++d)
    builder.parallel(dimName(d), shape[d], {{0, d}}, {{0, d}});
  RuleBuilder::Places last = {{0, rank - 1}};
  for (unsigned i = 1; i <= vectors; ++i)
    last.push_back({i, 0});
  return builder.replicate("c", shape.back(), last, {{0, rank - 1}}).build();
}

static LogicalResult verifyNorm(Operation *op) {
  std::vector<int64_t> shape = shapeOf(op->getOperand(0));
  if (shape.empty())
    return op->emitOpError("needs a last dimension");
  for (Value vector : op->getOperands().drop_front())
    if (shapeOf(vector) != std::vector<int64_t>{shape.back()})
      return op->emitOpError("needs scale and bias of size ") << shape.back();
  return success();
}

ShardingRule LayerNormOp::getShardingRule() { return normRule(*this); }
LogicalResult LayerNormOp::verify() { return verifyNorm(*this); }
int64_t LayerNormOp::getFlops() { return inputFlops(*this, 8); }
KernelClass LayerNormOp::getKernelClass() { return KernelClass::Memory; }

ShardingRule RMSNormOp::getShardingRule() { return normRule(*this); }
LogicalResult RMSNormOp::verify() { return verifyNorm(*this); }
int64_t RMSNormOp::getFlops() { return inputFlops(*this, 4); }
KernelClass RMSNormOp::getKernelClass() { return KernelClass::Memory; }
