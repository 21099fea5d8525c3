//===- Linear.cpp - Matrix products and attention -------------------------===//
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
#include "dialects/nn/Linear.cpp.inc"

//===----------------------------------------------------------------------===//
// Matrix product
//===----------------------------------------------------------------------===//

ShardingRule MatMulOp::getShardingRule() {
  std::vector<int64_t> lhs = shapeOf(getLhs()), rhs = shapeOf(getRhs());
  unsigned rank = lhs.size(), rhsRank = rhs.size();
  RuleBuilder builder({rank, rhsRank}, {rank});
  for (unsigned d = 0; d + 2 < rank; ++d) {
    RuleBuilder::Places operands = {{0, d}};
    if (rhsRank == rank)
      operands.push_back({1, d});
    builder.parallel("b" + std::to_string(d), lhs[d], operands, {{0, d}});
  }
  return builder.parallel("m", lhs[rank - 2], {{0, rank - 2}}, {{0, rank - 2}})
      .parallel("n", rhs[rhsRank - 1], {{1, rhsRank - 1}}, {{0, rank - 1}})
      .reduction("k", lhs[rank - 1], Combiner::Sum,
                 {{0, rank - 1}, {1, rhsRank - 2}})
      .linear({0})
      .linear({1})
      .build();
}

LogicalResult MatMulOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  std::vector<int64_t> lhs = shapeOf(adaptor.getLhs()),
                       rhs = shapeOf(adaptor.getRhs());
  if (lhs.size() < 2 || rhs.size() < 2 ||
      (rhs.size() != 2 && rhs.size() != lhs.size()))
    return emitOptionalError(loc, "rhs needs rank 2 or the rank of lhs");
  if (lhs.back() != rhs[rhs.size() - 2])
    return emitOptionalError(loc, "lhs has ", lhs.back(), " columns, rhs ",
                             rhs[rhs.size() - 2], " rows");
  for (size_t d = 0; rhs.size() == lhs.size() && d + 2 < lhs.size(); ++d)
    if (lhs[d] != rhs[d])
      return emitOptionalError(loc, "batch dimension ", d, " differs: ", lhs[d],
                               " and ", rhs[d]);
  if (getElementTypeOrSelf(adaptor.getLhs()) !=
      getElementTypeOrSelf(adaptor.getRhs()))
    return emitOptionalError(loc, "element types differ");
  lhs.back() = rhs.back();
  types.push_back(withShape(adaptor.getLhs().getType(), lhs));
  return success();
}

int64_t MatMulOp::getFlops() {
  return 2 * cast<RankedTensorType>(getType()).getNumElements() *
         shapeOf(getLhs()).back();
}
KernelClass MatMulOp::getKernelClass() { return KernelClass::Gemm; }

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// ([b,(g r),s,d], [b,g,t,d], [b,g,t,e], mask) -> ([b,(g r),s,e], [b,(g r),s])
/// with t reduced by softmax_merge and d whole.
ShardingRule AttentionOp::getShardingRule() {
  std::vector<int64_t> q = shapeOf(getQuery()), v = shapeOf(getValue());
  int64_t groups = v[1];
  std::vector<size_t> ranks = {4, 4, 4};
  std::vector<int64_t> mask;
  if (getMask()) {
    ranks.push_back(4);
    mask = shapeOf(getMask());
  }
  auto withMask = [&](RuleBuilder::Places places, unsigned d, int64_t size) {
    if (!mask.empty() && mask[d] == size && size != 1)
      places.push_back({3, d});
    return places;
  };
  bool headMask = !mask.empty() && mask[1] == q[1];
  RuleBuilder::Places group = {{0, 1}, {1, 1}, {2, 1}}, repeat = {{0, 1}};
  if (headMask && q[1] != 1) {
    group.push_back({3, 1});
    repeat.push_back({3, 1});
  }
  RuleBuilder::Places outs = {{0, 1}, {1, 1}};
  return RuleBuilder(ranks, {4, 3})
      .parallel("b", q[0], withMask({{0, 0}, {1, 0}, {2, 0}}, 0, q[0]),
                {{0, 0}, {1, 0}})
      .parallel("g", groups, group, outs)
      .parallel("r", q[1] / groups, repeat, outs)
      .parallel("s", q[2], withMask({{0, 2}}, 2, q[2]), {{0, 2}, {1, 2}})
      .reduction("t", v[2], Combiner::SoftmaxMerge,
                 withMask({{1, 2}, {2, 2}}, 3, v[2]))
      .replicate("d", q[3], {{0, 3}, {1, 3}}, {})
      .parallel("e", v[3], {{2, 3}}, {{0, 3}})
      .contiguous(getCausal() ? "s" : "")
      .contiguous(getCausal() ? "t" : "")
      .build();
}

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  std::vector<int64_t> q = shapeOf(adaptor.getQuery()),
                       k = shapeOf(adaptor.getKey()),
                       v = shapeOf(adaptor.getValue());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4)
    return emitOptionalError(loc, "query, key and value need rank 4");
  if (q[0] != k[0] || q[0] != v[0] || k[1] != v[1] || k[2] != v[2] ||
      q[3] != k[3] || k[1] == 0 || q[1] % k[1] != 0)
    return emitOptionalError(loc, "query, key and value do not fit together");
  if (Value mask = adaptor.getMask()) {
    std::vector<int64_t> m = shapeOf(mask);
    if (m.size() != 4 || (m[0] != 1 && m[0] != q[0]) ||
        (m[1] != 1 && m[1] != q[1]) || (m[2] != 1 && m[2] != q[2]) ||
        m[3] != k[2])
      return emitOptionalError(loc, "the mask does not fit the scores");
  }
  Type query = adaptor.getQuery().getType();
  types.push_back(withShape(query, {q[0], q[1], q[2], v[3]}));
  types.push_back(withShape(query, {q[0], q[1], q[2]}));
  return success();
}

int64_t AttentionOp::getFlops() {
  std::vector<int64_t> q = shapeOf(getQuery()), v = shapeOf(getValue());
  return 2 * q[0] * q[1] * q[2] * v[2] * (q[3] + v[3]);
}
KernelClass AttentionOp::getKernelClass() { return KernelClass::Attention; }

Operation *AttentionOp::localize(OpBuilder &builder, ValueRange operands,
                                 TypeRange results,
                                 const LocalPlace &place) {
  Value mask = operands.size() > 3 ? operands[3] : Value();
  Attribute query, key;
  if (getCausal()) {
    query = place.offset("s");
    key = place.offset("t");
  }
  return AttentionOp::create(builder, getLoc(), results, operands[0],
                             operands[1], operands[2], mask, getScaleAttr(),
                             getCausalAttr(), query, key, getSoftcapAttr());
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

ShardingRule RopeOp::getShardingRule() {
  std::vector<int64_t> x = shapeOf(getInput()), cos = shapeOf(getCos());
  RuleBuilder builder({4, 3, 3}, {4});
  RuleBuilder::Places batch = {{0, 0}};
  if (cos[0] == x[0] && x[0] != 1) {
    batch.push_back({1, 0});
    batch.push_back({2, 0});
  }
  return builder.parallel("b", x[0], batch, {{0, 0}})
      .parallel("h", x[1], {{0, 1}}, {{0, 1}})
      .parallel("s", x[2], {{0, 2}, {1, 1}, {2, 1}}, {{0, 2}})
      .replicate("d", x[3], {{0, 3}}, {{0, 3}})
      .replicate("half", cos[2], {{1, 2}, {2, 2}}, {})
      .linear({0})
      .build();
}

LogicalResult RopeOp::inferReturnTypes(MLIRContext *,
                                       std::optional<Location> loc,
                                       Adaptor adaptor,
                                       SmallVectorImpl<Type> &types) {
  std::vector<int64_t> x = shapeOf(adaptor.getInput()),
                       cos = shapeOf(adaptor.getCos());
  if (x.size() != 4 || cos.size() != 3 || cos != shapeOf(adaptor.getSin()))
    return emitOptionalError(loc, "needs x of rank 4, cos and sin of rank 3");
  if ((cos[0] != 1 && cos[0] != x[0]) || cos[1] != x[2] || 2 * cos[2] != x[3])
    return emitOptionalError(loc, "cos and sin do not fit x");
  types.push_back(adaptor.getInput().getType());
  return success();
}

int64_t RopeOp::getFlops() {
  return 3 * cast<RankedTensorType>(getType()).getNumElements();
}
KernelClass RopeOp::getKernelClass() { return KernelClass::Memory; }
