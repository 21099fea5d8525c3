//===- Rules.cpp - The rules of all families ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

#include "lib/Differentiate/Interface.cpp.inc"

void partita::registerDifferentiationRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, nn::NNDialect *) {
    attachConvolutionRules(*context);
    attachElementwiseRules(*context);
    attachLinearRules(*context);
    attachReductionRules(*context);
    attachSelectionRules(*context);
    attachShapeRules(*context);
  });
}
