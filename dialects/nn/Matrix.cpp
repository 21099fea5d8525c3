//===- Matrix.cpp - Whole matrices ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Matrix.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Matrix.cpp.inc"

//===----------------------------------------------------------------------===//
// Determinant
//===----------------------------------------------------------------------===//

ShardingRule DetOp::getShardingRule() {
  // ([b..,row,column]) -> ([b..]), row and column whole
  std::vector<int64_t> input = shapeOf(getInput());
  unsigned batch = input.size() - 2;
  RuleBuilder builder({input.size()}, {batch});
  for (unsigned d = 0; d < batch; ++d)
    builder.parallel("b" + std::to_string(d), input[d], {{0, d}}, {{0, d}});
  return builder.replicate("row", input.back(), {{0, batch}}, {})
      .replicate("column", input.back(), {{0, batch + 1}}, {})
      .build();
}

LogicalResult DetOp::inferReturnTypes(MLIRContext *,
                                      std::optional<Location> loc,
                                      Adaptor adaptor,
                                      SmallVectorImpl<Type> &types) {
  std::vector<int64_t> input = shapeOf(adaptor.getInput());
  if (input.size() < 2 || input.back() != input[input.size() - 2])
    return emitOptionalError(loc, "needs square matrices");
  if (!isa<FloatType>(getElementTypeOrSelf(adaptor.getInput())))
    return emitOptionalError(loc, "needs floating point numbers");
  types.push_back(
      withShape(adaptor.getInput().getType(), ArrayRef(input).drop_back(2)));
  return success();
}

int64_t DetOp::getFlops() {
  // Each row takes away from those below it.
  std::vector<int64_t> input = shapeOf(getInput());
  int64_t flops = 2 * input.back();
  for (int64_t size : input)
    flops *= size;
  return flops / 3;
}
KernelClass DetOp::getKernelClass() { return KernelClass::Memory; }
