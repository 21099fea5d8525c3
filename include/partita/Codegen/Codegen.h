//===- Codegen.h - Kernels from fusions ------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every distinct fusion of a module becomes one kernel of an object file; equal
// ones (same body, same operand addressing) share it, whatever the depth of the
// model. In three steps:
//
//   outlineKernels    rt.fusion -> rt.kernel, and a module of functions over
//                     memrefs: a loop over rows with linalg.generic inside
//   lowerKernels      that module to the LLVM dialect, each kernel with the
//                     runtime's signature
//   emitObject        LLVM's optimiser and its vectoriser for the machine, then
//                     an object file in memory
//
// A kernel is `void name(void *const *buffers, const int64_t *offsets)`:
// addresses of the first elements of operands, then of results. Results must
// not overlap operands or each other. Kernels call nothing but libm.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_CODEGEN_CODEGEN_H
#define PARTITA_CODEGEN_CODEGEN_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "partita/Support/Error.h"
#include <string>
#include <vector>

namespace partita {

struct CodegenOptions {
  /// LLVM's name of the processor; "host" is the one that runs the compiler.
  std::string cpu = "host";
};

/// Kernels of a module, compiled.
struct CompiledKernels {
  /// An ELF object, position independent. Empty if there are no kernels.
  std::vector<char> object;
  /// Symbols, in the order in which rt.kernel first names them.
  std::vector<std::string> names;
};

/// Replaces each rt.fusion of `module` by rt.kernel. Returns a module with one
/// func.func for each distinct kernel, in order of first use. Errors: an
/// operation or element type that has no kernel (exit code 3).
Result<mlir::OwningOpRef<mlir::ModuleOp>> outlineKernels(mlir::ModuleOp module);

/// Lowers what outlineKernels returned to the LLVM dialect.
Status lowerKernels(mlir::ModuleOp kernels);

/// Compiles what lowerKernels left to an object file. With `assembly`, that is
/// set to the object's assembly text. Errors: an unknown processor (exit code
/// 1).
Result<std::vector<char>> emitObject(mlir::ModuleOp kernels,
                                     const CodegenOptions &options,
                                     std::string *assembly = nullptr);

/// All of it. `module` is left without fusions.
Result<CompiledKernels> compileKernels(mlir::ModuleOp module,
                                       const CodegenOptions &options);

} // namespace partita

#endif // PARTITA_CODEGEN_CODEGEN_H
