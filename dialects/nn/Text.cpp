//===- Text.cpp - Sequences of tokens -------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Text.h"
#include <set>

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Text.cpp.inc"

//===----------------------------------------------------------------------===//
// N-grams
//===----------------------------------------------------------------------===//

ShardingRule NgramCountsOp::getShardingRule() {
  // ([n,l]) -> ([n,k]), l whole
  std::vector<int64_t> tokens = shapeOf(getTokens());
  return RuleBuilder({2}, {2})
      .parallel("n", tokens[0], {{0, 0}}, {{0, 0}})
      .replicate("l", tokens[1], {{0, 1}}, {})
      .parallel("k", shapeOf(getResult())[1], {}, {{0, 1}})
      .contiguous("k")
      .build();
}

LogicalResult NgramCountsOp::verify() {
  std::vector<int64_t> tokens = shapeOf(getTokens()), to = shapeOf(getResult());
  Type token = getElementTypeOrSelf(getTokens());
  if (!token.isSignlessInteger(32) && !token.isSignlessInteger(64))
    return emitOpError("needs i32 or i64 tokens");
  if (!getElementTypeOrSelf(getResult()).isSignlessInteger(64))
    return emitOpError("needs an i64 result");
  if (tokens.size() != 2 || to.size() != 2 || to[0] != tokens[0])
    return emitOpError("needs a row of counts for each sequence");
  if (getSizes().size() != getColumns().size())
    return emitOpError("needs one size and one column for each n-gram");
  if (int64_t(getMaxSkip()) < 0)
    return emitOpError("needs a max_skip that is not negative");
  ArrayRef<int64_t> rest = getGrams();
  std::set<ArrayRef<int64_t>> seen;
  for (int64_t size : getSizes()) {
    if (size < 1 || size > int64_t(rest.size()))
      return emitOpError("has sizes that do not make up its n-grams");
    if (!seen.insert(rest.take_front(size)).second)
      return emitOpError("has an n-gram twice");
    rest = rest.drop_front(size);
  }
  if (!rest.empty())
    return emitOpError("has sizes that do not make up its n-grams");
  // A rank has some of the columns only, and leaves out the others.
  for (int64_t column : getColumns())
    if (column < 0 || (!getBase() && column >= to[1]))
      return emitOpError("has a column out of range");
  return success();
}

Operation *NgramCountsOp::localize(OpBuilder &builder, ValueRange operands,
                                   TypeRange results, const LocalPlace &place) {
  return NgramCountsOp::create(builder, getLoc(), results[0], operands[0],
                               getGrams(), getSizes(), getColumns(),
                               getMaxSkip(), place.offset("k"));
}

int64_t NgramCountsOp::getFlops() { return 0; }
KernelClass NgramCountsOp::getKernelClass() { return KernelClass::Memory; }
