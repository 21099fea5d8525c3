//===- Passes.h - The passes of raising -------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RAISE_PASSES_H
#define PARTITA_RAISE_PASSES_H

#include "mlir/Pass/PassManager.h"

namespace partita {

/// The passes of raise() (Raise.h), in order.
void buildRaisePipeline(mlir::OpPassManager &manager);

/// Registers each pass (lib/Raise/Passes.td), and the whole as the pipeline
/// "nn-raise".
void registerRaisePasses();

} // namespace partita

#endif // PARTITA_RAISE_PASSES_H
