//===- Passes.h - The passes of raising -------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RAISE_PASSES_H
#define PARTITA_LIB_RAISE_PASSES_H

#include "dialects/nn/NN.h"
#include "mlir/Pass/Pass.h"
#include <memory>

namespace partita::raising {

#define GEN_PASS_DECL
#include "lib/Raise/Passes.h.inc"

} // namespace partita::raising

#endif // PARTITA_LIB_RAISE_PASSES_H
