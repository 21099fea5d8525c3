//===- Training.cpp - Backward passes and updates -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Training.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Training.cpp.inc"

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// ([b,(g r),s,d], [b,g,t,d], [b,g,t,e], [b,(g r),s], [b,(g r),s],
/// [b,(g r),s,e], mask) -> ([b,(g r),s,d], [b,g,t,d], [b,g,t,e], mask), where
/// what a result does not walk is summed in it.
ShardingRule AttentionGradientOp::getShardingRule() {
  std::vector<int64_t> q = shapeOf(getQuery()), v = shapeOf(getValue());
  std::vector<size_t> operandRanks = {4, 4, 4, 3, 3, 4},
                      resultRanks = {4, 4, 4};
  std::vector<int64_t> mask(4, 0);
  if (getMask()) {
    operandRanks.push_back(4);
    mask = shapeOf(getMask());
  }
  if (getMaskGradient())
    resultRanks.push_back(4);
  RuleBuilder builder(operandRanks, resultRanks);
  // The mask has a dimension of its own, or repeats along it.
  auto sum = [&](const char *name, int64_t size, RuleBuilder::Places operands,
                 RuleBuilder::Places results, unsigned maskDim, bool masked) {
    if (masked && getMask())
      operands.push_back({6, maskDim});
    if (masked && getMaskGradient())
      results.push_back({3, maskDim});
    builder.reduction(name, size, Combiner::Sum, operands, results);
  };
  bool heads = mask[1] == q[1] && q[1] != 1;
  sum("b", q[0], {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}},
      {{0, 0}, {1, 0}, {2, 0}}, 0, mask[0] == q[0] && q[0] != 1);
  sum("g", v[1], {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}},
      {{0, 1}, {1, 1}, {2, 1}}, 1, heads);
  sum("r", q[1] / v[1], {{0, 1}, {3, 1}, {4, 1}, {5, 1}}, {{0, 1}}, 1, heads);
  sum("s", q[2], {{0, 2}, {3, 2}, {4, 2}, {5, 2}}, {{0, 2}}, 2,
      mask[2] == q[2] && q[2] != 1);
  sum("t", v[2], {{1, 2}, {2, 2}}, {{1, 2}, {2, 2}}, 3, true);
  return builder.replicate("d", q[3], {{0, 3}, {1, 3}}, {{0, 3}, {1, 3}})
      .replicate("e", v[3], {{2, 3}, {5, 3}}, {{2, 3}})
      .linear({4, 5})
      .contiguous(getCausal() ? "s" : "")
      .contiguous(getCausal() ? "t" : "")
      .build();
}

LogicalResult AttentionGradientOp::verify() {
  std::vector<int64_t> q = shapeOf(getQuery()), k = shapeOf(getKey()),
                       v = shapeOf(getValue());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4 || q[0] != k[0] ||
      q[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] ||
      k[1] == 0 || q[1] % k[1] != 0)
    return emitOpError("has query, key and value that do not fit together");
  std::vector<int64_t> rows = {q[0], q[1], q[2]};
  if (shapeOf(getLse()) != rows || shapeOf(getDelta()) != rows ||
      shapeOf(getGradient()) != std::vector<int64_t>{q[0], q[1], q[2], v[3]})
    return emitOpError("has lse, delta or gradient that do not fit the query");
  Type element = getElementTypeOrSelf(getQuery());
  for (Value operand :
       {getKey(), getValue(), getLse(), getDelta(), getGradient()})
    if (getElementTypeOrSelf(operand) != element || !isa<FloatType>(element))
      return emitOpError("needs one element type of floating point");
  if (getQueryGradient().getType() != getQuery().getType() ||
      getKeyGradient().getType() != getKey().getType() ||
      getValueGradient().getType() != getValue().getType())
    return emitOpError("has results of other types than its operands");
  if (!getMask())
    return getMaskGradient() ? emitOpError("has no mask") : success();
  std::vector<int64_t> m = shapeOf(getMask());
  if (m.size() != 4 || (m[0] != 1 && m[0] != q[0]) ||
      (m[1] != 1 && m[1] != q[1]) || (m[2] != 1 && m[2] != q[2]) ||
      m[3] != k[2])
    return emitOpError("has a mask that does not fit the scores");
  if (getMaskGradient() &&
      (getMaskGradient().getType() != getMask().getType() ||
       !isa<FloatType>(getElementTypeOrSelf(getMask()))))
    return emitOpError("has a gradient that does not fit the mask");
  return success();
}

/// Five products, where attention has two.
int64_t AttentionGradientOp::getFlops() {
  std::vector<int64_t> q = shapeOf(getQuery()), v = shapeOf(getValue());
  return 2 * q[0] * q[1] * q[2] * v[2] * (3 * q[3] + 2 * v[3]);
}
KernelClass AttentionGradientOp::getKernelClass() {
  return KernelClass::Attention;
}

Operation *AttentionGradientOp::localize(OpBuilder &builder,
                                         ValueRange operands, TypeRange results,
                                         const LocalPlace &place) {
  Attribute query, key;
  if (getCausal()) {
    query = place.offset("s");
    key = place.offset("t");
  }
  return AttentionGradientOp::create(
      builder, getLoc(), results, operands[0], operands[1], operands[2],
      operands[3], operands[4], operands[5],
      operands.size() > 6 ? operands[6] : Value(), getScaleAttr(),
      getCausalAttr(), query, key, getSoftcapAttr());
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

ShardingRule GatherGradientOp::getShardingRule() {
  // ([i..], [o..,i..,p..]) -> ([o..,v,p..]), i summed
  std::vector<int64_t> indices = shapeOf(getIndices()),
                       result = shapeOf(getResult());
  unsigned axis = getAxis(), rank = indices.size();
  RuleBuilder builder({rank, result.size() + rank - 1}, {result.size()});
  for (unsigned d = 0; d < axis; ++d)
    builder.parallel("o" + std::to_string(d), result[d], {{1, d}}, {{0, d}});
  for (unsigned d = 0; d < rank; ++d)
    builder.reduction("i" + std::to_string(d), indices[d], Combiner::Sum,
                      {{0, d}, {1, axis + d}});
  for (unsigned d = axis + 1; d < result.size(); ++d)
    builder.parallel("p" + std::to_string(d), result[d], {{1, d + rank - 1}},
                     {{0, d}});
  builder.parallel("v", result[axis], {}, {{0, axis}});
  return builder.contiguous("v").linear({1}).build();
}

LogicalResult GatherGradientOp::verify() {
  std::vector<int64_t> result = shapeOf(getResult()),
                       indices = shapeOf(getIndices());
  Type index = getElementTypeOrSelf(getIndices());
  if (!index.isSignlessInteger(32) && !index.isSignlessInteger(64))
    return emitOpError("needs i32 or i64 indices");
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(result.size()))
    return emitOpError("has axis ") << axis << " out of range";
  std::vector<int64_t> expected(result.begin(), result.begin() + axis);
  expected.insert(expected.end(), indices.begin(), indices.end());
  expected.insert(expected.end(), result.begin() + axis + 1, result.end());
  if (withShape(getResult().getType(), expected) != getGradient().getType())
    return emitOpError("has a gradient that does not fit indices and result");
  return success();
}

Operation *GatherGradientOp::localize(OpBuilder &builder, ValueRange operands,
                                      TypeRange results,
                                      const LocalPlace &place) {
  return GatherGradientOp::create(builder, getLoc(), results[0], operands[0],
                                  operands[1], getAxis(), place.offset("v"));
}

int64_t GatherGradientOp::getFlops() {
  return cast<RankedTensorType>(getGradient().getType()).getNumElements();
}
KernelClass GatherGradientOp::getKernelClass() { return KernelClass::Memory; }
bool GatherGradientOp::takesStrides() { return true; }

//===----------------------------------------------------------------------===//
// AdamW
//===----------------------------------------------------------------------===//

ShardingRule AdamWOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getValue());
  size_t rank = shape.size();
  RuleBuilder builder({rank, rank, rank, rank, 0, 0, 0}, {rank, rank, rank});
  for (unsigned d = 0; d < rank; ++d)
    builder.parallel("d" + std::to_string(d), shape[d],
                     {{0, d}, {1, d}, {2, d}, {3, d}},
                     {{0, d}, {1, d}, {2, d}});
  return builder.build();
}

LogicalResult AdamWOp::verify() {
  Type type = getValue().getType(), element = getElementTypeOrSelf(type);
  if (!isa<FloatType>(element))
    return emitOpError("needs floating point numbers");
  for (unsigned i = 0; i < getNumOperands(); ++i)
    if (getOperand(i).getType() != (i < 4 ? type : withShape(type, {})))
      return emitOpError("has an operand ") << i << " of another type";
  for (Type result : getResultTypes())
    if (result != type)
      return emitOpError("has a result of another type");
  return success();
}

int64_t AdamWOp::getFlops() {
  return 15 * cast<RankedTensorType>(getValue().getType()).getNumElements();
}
KernelClass AdamWOp::getKernelClass() { return KernelClass::Memory; }
