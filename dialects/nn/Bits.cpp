//===- Bits.cpp - Operations on the bits of integers ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Bits.h"
#include "dialects/nn/ElementwiseRules.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Bits.cpp.inc"

PARTITA_ELEMENTWISE(BitAndOp, 1)
PARTITA_ELEMENTWISE(BitOrOp, 1)
PARTITA_ELEMENTWISE(BitXorOp, 1)
PARTITA_ELEMENTWISE(BitNotOp, 1)
PARTITA_ELEMENTWISE(ShiftLeftOp, 2)
PARTITA_ELEMENTWISE(ShiftRightOp, 2)
PARTITA_ELEMENTWISE(BitcastOp, 1)

static LogicalResult verifyIntegers(Operation *op) {
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  if (!isa<IntegerType>(element) || element.isInteger(1))
    return op->emitOpError("needs integers that are not booleans");
  return success();
}

LogicalResult BitAndOp::verify() { return verifyIntegers(*this); }
LogicalResult BitOrOp::verify() { return verifyIntegers(*this); }
LogicalResult BitXorOp::verify() { return verifyIntegers(*this); }
LogicalResult BitNotOp::verify() { return verifyIntegers(*this); }
LogicalResult ShiftLeftOp::verify() { return verifyIntegers(*this); }
LogicalResult ShiftRightOp::verify() { return verifyIntegers(*this); }

LogicalResult BitcastOp::verify() {
  Type from = getElementTypeOrSelf(getInput().getType());
  Type to = getElementTypeOrSelf(getType());
  if (!from.isIntOrFloat() || !to.isIntOrFloat() || from.isInteger(1) ||
      from.getIntOrFloatBitWidth() != to.getIntOrFloatBitWidth())
    return emitOpError("needs element types of the same width, not booleans");
  return success();
}
