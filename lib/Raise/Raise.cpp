//===- Raise.cpp - Composites from their decompositions -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Raise/Raise.h"
#include "Passes.h"
#include "Simplify.h"
#include "partita/Raise/Passes.h"

namespace partita::raising {
#define GEN_PASS_DEF_SIMPLIFY
#include "lib/Raise/Passes.h.inc"

namespace generated {
#define GEN_PASS_REGISTRATION
#include "lib/Raise/Passes.h.inc"
} // namespace generated
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::raising;

namespace {
struct Simplify : raising::impl::SimplifyBase<Simplify> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    addMovePatterns(patterns);
    addArithmeticPatterns(patterns);
    addScalePatterns(patterns);
    addSinkPatterns(patterns);
    addAttentionPatterns(patterns);
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

void partita::buildRaisePipeline(OpPassManager &manager) {
  manager.addPass(createSimplify());
  manager.addPass(createDeduplicate());
  manager.addPass(createRaiseNorms());
  manager.addPass(createRaiseActivations());
  manager.addPass(createRaiseRope());
  manager.addPass(createRaiseAttention());
  manager.addPass(createHoistSlices());
  manager.addPass(createSimplify());
  manager.addPass(createDeduplicate());
  manager.addPass(createReportRaised());
}

Status partita::raise(ModuleOp module) {
  std::string message;
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &d) {
    message += (message.empty() ? "" : "; ") + d.str();
  });
  PassManager manager(module.getContext());
  // Verified once, at the end, by whoever runs this as a phase: nine times the
  // whole program would take longer than the passes. partita-opt verifies after
  // each of them.
  manager.enableVerifier(false);
  buildRaisePipeline(manager);
  if (succeeded(manager.run(module)))
    return ok();
  return makeError(ExitCode::Internal, "raise.verify", "raising",
                   "gave an invalid program: " + message,
                   "this is a bug in Partita; please report it with the model");
}

void partita::registerRaisePasses() {
  generated::registerRaisePasses();
  PassPipelineRegistration<>(
      "nn-raise", "Raises decompositions to composites and simplifies",
      [](OpPassManager &manager) { buildRaisePipeline(manager); });
}
