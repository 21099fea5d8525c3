//===- NNToRT.h - From local tensor operations to commands -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The conversion nn-to-rt: the functions of rank classes become commands over
// buffers in the normal form of the rt dialect.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_CONVERSION_NNTORT_H
#define PARTITA_CONVERSION_NNTORT_H

#include "mlir/IR/BuiltinOps.h"
#include "partita/Support/Error.h"

namespace partita {

struct NNToRTOptions {
  /// Threads that run library calls: workspaces and packed weights depend on
  /// it.
  int threads = 1;
};

/// Converts every function of `module`. Afterwards the bodies hold rt.view,
/// rt.call, rt.fusion, rt.collective, rt.shard, nn.get_parameter, nn.constant
/// and func.return alone. The caller verifies the module. Errors: an operation
/// or element type that neither the library nor the code generator has (exit
/// code 3), naming operation and nodes.
Status convertNNToRT(mlir::ModuleOp module, const NNToRTOptions &options);

/// Registers nn-to-rt.
void registerNNToRTPasses();

} // namespace partita

#endif // PARTITA_CONVERSION_NNTORT_H
