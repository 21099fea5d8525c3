//===- Passes.cpp - The pass that makes a training step -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Differentiate/Passes.h"
#include "dialects/nn/NN.h"
#include "mlir/Pass/Pass.h"
#include "partita/Differentiate/Differentiate.h"

using namespace mlir;
using namespace partita;

namespace partita {
#define GEN_PASS_DECL
#define GEN_PASS_DEF_DIFFERENTIATE
#include "lib/Differentiate/Passes.h.inc"
} // namespace partita

namespace {

struct Differentiate : partita::impl::DifferentiateBase<Differentiate> {
  using DifferentiateBase::DifferentiateBase;

  void runOnOperation() override {
    TrainingOptions given;
    given.output = output;
    given.inputGradients = inputGradients;
    given.bf16 = bf16;
    std::optional<Loss> chosenLoss = parseLoss(loss);
    std::optional<Optimizer> chosenOptimizer = parseOptimizer(optimizer);
    if (!chosenLoss || !chosenOptimizer) {
      getOperation().emitError()
          << "there is no " << (chosenLoss ? "optimizer " : "loss ")
          << (chosenLoss ? optimizer : loss);
      return signalPassFailure();
    }
    given.loss = *chosenLoss;
    given.optimizer = *chosenOptimizer;
    if (Status status = makeTrainingStep(getOperation(), given); !status) {
      getOperation().emitError() << status.error().str();
      signalPassFailure();
    }
  }
};

} // namespace

namespace generated {
#define GEN_PASS_REGISTRATION
#include "lib/Differentiate/Passes.h.inc"
} // namespace generated

void partita::registerDifferentiatePasses() {
  generated::registerDifferentiatePasses();
}
