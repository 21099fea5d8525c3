//===- Passes.h - The pass that makes a training step ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIFFERENTIATE_PASSES_H
#define PARTITA_DIFFERENTIATE_PASSES_H

namespace partita {

/// Registers nn-differentiate (lib/Differentiate/Passes.td).
void registerDifferentiatePasses();

} // namespace partita

#endif // PARTITA_DIFFERENTIATE_PASSES_H
