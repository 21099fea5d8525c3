//===- Trigonometry.cpp - Circular and hyperbolic functions ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Trigonometry.h"
#include "dialects/nn/ElementwiseRules.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;

#define GET_OP_CLASSES
#include "dialects/nn/Trigonometry.cpp.inc"

PARTITA_ELEMENTWISE(AsinOp, 20)
PARTITA_ELEMENTWISE(AcosOp, 20)
PARTITA_ELEMENTWISE(AtanOp, 20)
PARTITA_ELEMENTWISE(SinhOp, 20)
PARTITA_ELEMENTWISE(CoshOp, 20)
PARTITA_ELEMENTWISE(AsinhOp, 20)
PARTITA_ELEMENTWISE(AcoshOp, 20)
PARTITA_ELEMENTWISE(AtanhOp, 20)
