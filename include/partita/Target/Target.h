//===- Target.h - From an rt module to an executable -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TARGET_TARGET_H
#define PARTITA_TARGET_TARGET_H

#include "partita/Runtime/Program.h"
#include "mlir/IR/BuiltinOps.h"

namespace partita {

/// Builds the command table of an rt module (see RT.td): what depends on
/// parameters and constants alone goes to `init`, the rest to `step`; lifetimes
/// and arena offsets are fixed here. Kernels are numbered by `kernelNames`.
/// The caller fills modelName, planJson and threadsPerRank.
/// Errors: an operation that is no command (70, named).
Result<runtime::Program>
buildProgram(mlir::ModuleOp module, const std::vector<std::string> &kernelNames);

/// An argument or result of an entry point, given its attributes, as those who
/// run it see it: whole, under the model's name.
runtime::PortInfo portInfo(mlir::Type type, mlir::DictionaryAttr attributes,
                           const Mesh &mesh);

/// Writes the executable `out` and its folder `out`.d with the shared libraries
/// that it needs: kernels from the object file `kernelObject` (may be empty if
/// there are none), the program as constant data, and a main that calls the
/// runtime. Both are written under temporary names and renamed; nothing is left
/// behind on failure. Errors: a missing linker or runtime library (3), an
/// unwritable path or a full disk (2).
Status writeExecutable(const runtime::Program &program,
                       const std::vector<char> &kernelObject,
                       const std::string &out);

} // namespace partita

#endif // PARTITA_TARGET_TARGET_H
