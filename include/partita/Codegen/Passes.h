//===- Passes.h - Passes of code generation --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_CODEGEN_PASSES_H
#define PARTITA_CODEGEN_PASSES_H

namespace partita {

/// Registers nn-to-rt, fusion-to-kernel, kernel-to-llvm and kernel-assembly.
void registerCodegenPasses();

} // namespace partita

#endif // PARTITA_CODEGEN_PASSES_H
