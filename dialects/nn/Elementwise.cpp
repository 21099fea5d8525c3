//===- Elementwise.cpp - Operations on single elements --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/ElementwiseRules.h"
#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Elementwise.cpp.inc"

using Set = std::vector<unsigned>;
PARTITA_ELEMENTWISE(AbsOp, 1)
PARTITA_ELEMENTWISE(NegOp, 1, Set{0})
PARTITA_ELEMENTWISE(ExpOp, 10)
PARTITA_ELEMENTWISE(LogOp, 10)
PARTITA_ELEMENTWISE(SqrtOp, 4)
PARTITA_ELEMENTWISE(RsqrtOp, 4)
PARTITA_ELEMENTWISE(ReciprocalOp, 4)
PARTITA_ELEMENTWISE(TanhOp, 10)
PARTITA_ELEMENTWISE(SinOp, 10)
PARTITA_ELEMENTWISE(CosOp, 10)
PARTITA_ELEMENTWISE(ErfOp, 10)
PARTITA_ELEMENTWISE(SigmoidOp, 10)
PARTITA_ELEMENTWISE(ReluOp, 1)
PARTITA_ELEMENTWISE(SiluOp, 10)
PARTITA_ELEMENTWISE(GeluOp, 14)
PARTITA_ELEMENTWISE(FloorOp, 1)
PARTITA_ELEMENTWISE(CeilOp, 1)
PARTITA_ELEMENTWISE(RoundOp, 1)
PARTITA_ELEMENTWISE(SignOp, 1)
PARTITA_ELEMENTWISE(NotOp, 1)
PARTITA_ELEMENTWISE(AddOp, 1, Set{0, 1})
PARTITA_ELEMENTWISE(SubOp, 1, Set{0, 1})
PARTITA_ELEMENTWISE(ModOp, 4)
PARTITA_ELEMENTWISE(PowOp, 20)
PARTITA_ELEMENTWISE(MaxOp, 1)
PARTITA_ELEMENTWISE(MinOp, 1)
PARTITA_ELEMENTWISE(AndOp, 1)
PARTITA_ELEMENTWISE(OrOp, 1)
PARTITA_ELEMENTWISE(XorOp, 1)
PARTITA_ELEMENTWISE(CompareOp, 1)
PARTITA_ELEMENTWISE(SelectOp, 1, Set{1, 2})
PARTITA_ELEMENTWISE(MulOp, 1, Set{0}, Set{1})

static bool isFloatTensor(Type type) {
  return isa<FloatType>(cast<RankedTensorType>(type).getElementType());
}

/// Integer division rounds, so only the float quotient is linear.
ShardingRule DivOp::getShardingRule() {
  if (isFloatTensor(getType()))
    return elementwiseRule(*this, {{0}});
  return elementwiseRule(*this, {});
}
int64_t DivOp::getFlops() { return elementFlops(*this, 4); }
KernelClass DivOp::getKernelClass() { return KernelClass::Memory; }

/// Widening between floats keeps sums; all other conversions round or truncate
/// the parts differently from their sum.
ShardingRule CastOp::getShardingRule() {
  auto from = cast<RankedTensorType>(getInput().getType()).getElementType();
  auto to = cast<RankedTensorType>(getType()).getElementType();
  if (isa<FloatType>(from) && isa<FloatType>(to) &&
      from.getIntOrFloatBitWidth() <= to.getIntOrFloatBitWidth())
    return elementwiseRule(*this, {{0}});
  return elementwiseRule(*this, {});
}
int64_t CastOp::getFlops() { return elementFlops(*this, 1); }
KernelClass CastOp::getKernelClass() { return KernelClass::Memory; }

//===----------------------------------------------------------------------===//
// Inference and verification
//===----------------------------------------------------------------------===//

LogicalResult CompareOp::inferReturnTypes(MLIRContext *context,
                                          std::optional<Location>,
                                          Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  auto type = cast<RankedTensorType>(adaptor.getLhs().getType());
  types.push_back(type.clone(IntegerType::get(context, 1)));
  return success();
}

LogicalResult CompareOp::verify() {
  static const StringRef known[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  if (!llvm::is_contained(known, getPredicate()))
    return emitOpError("has unknown predicate \"") << getPredicate() << '"';
  return success();
}

LogicalResult SelectOp::verify() {
  auto condition = cast<RankedTensorType>(getCondition().getType());
  if (!condition.getElementType().isInteger(1))
    return emitOpError("needs a boolean condition");
  if (condition.getShape() != cast<RankedTensorType>(getType()).getShape())
    return emitOpError("needs a condition of the result's shape");
  return success();
}

LogicalResult CastOp::verify() {
  if (shapeOf(getInput()) != shapeOf(getResult()))
    return emitOpError("must keep the shape");
  return success();
}
