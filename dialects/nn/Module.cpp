//===- Module.cpp - Parameters and unknown operations ---------------------===//
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
#include "dialects/nn/Module.cpp.inc"

LogicalResult ParameterOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape())
    return emitOpError("needs a tensor type of static shape");
  std::optional<DType> dtype = getDType(type.getElementType());
  if (!dtype)
    return emitOpError("has an element type that cannot be stored");
  if (int64_t(getOffset()) < 0 || int64_t(getLength()) < 0)
    return emitOpError("has a negative offset or length");
  if (int64_t(getFile()) >= 0 &&
      int64_t(getLength()) != type.getNumElements() * int64_t(dtypeSize(*dtype)))
    return emitOpError("has length ") << getLength() << ", its type needs "
                                      << type.getNumElements() *
                                             int64_t(dtypeSize(*dtype));
  return success();
}

ShardingRule GetParameterOp::getShardingRule() {
  std::vector<int64_t> shape = shapeOf(getResult());
  RuleBuilder builder({}, {shape.size()});
  for (unsigned d = 0; d < shape.size(); ++d)
    builder.parallel("d" + std::to_string(d), shape[d], {}, {{0, d}});
  return builder.build();
}
int64_t GetParameterOp::getFlops() { return 0; }
KernelClass GetParameterOp::getKernelClass() { return KernelClass::Free; }

LogicalResult
GetParameterOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto parameter = symbolTable.lookupNearestSymbolFrom<ParameterOp>(
      *this, getParameterAttr());
  if (!parameter)
    return emitOpError("names no parameter: ") << getParameterAttr();
  if (!getSharding() && parameter.getType() != getType())
    return emitOpError("has type ")
           << getType() << ", the parameter " << parameter.getType();
  return success();
}
