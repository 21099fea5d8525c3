//===- Interpreter.h - Runs nn, dist and local programs --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle of everything that follows import. One program runs in two ways:
//
//   run       a function on global types. Moves of the dist dialect are the
//             identity there, because a value stands for the whole tensor.
//   runRanks  a localised module: N ranks, simulated in lockstep. Inputs and
//             outputs are global; each rank gets the boxes that the shardings
//             of arguments say, and what leaves is put together from boxes.
//
// A partition is right if both give the same. Collectives are not interpreted
// by their kind but by what their shardings say: pending values are combined
// over the group in ascending rank order, and the target's box is assembled
// from the boxes of the group. So a wrong kind, group or sharding shows.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_INTERP_INTERPRETER_H
#define PARTITA_INTERP_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "partita/Interp/Parameters.h"
#include "partita/Interp/ReferenceModels.h"

namespace partita {

struct RankOptions {
  /// How far ranks that hold the same element of an output may differ,
  /// relative to the output's largest magnitude. Zero: not at all.
  double replicaTolerance = 0;
};

/// Runs programs. The context must have been made from a registry with
/// `registerReferenceModels`.
class Interpreter {
public:
  /// Runs a function on global types. Fails (exit code 2) if the inputs do not
  /// have the types of the arguments.
  Result<std::vector<HostTensor>> run(mlir::func::FuncOp function,
                                      llvm::ArrayRef<HostTensor> inputs,
                                      ParameterSource &parameters);

  /// Runs all ranks of the entry point `entry` of a localised module: its
  /// functions `<entry>_class<i>` with the attribute `rt.ranks`, or, if `entry`
  /// is made of dist.stage and dist.transfer, those of its stages. Inputs and
  /// outputs are global tensors in the order of arguments and results. Fails
  /// (exit code 5) if ranks disagree on an output, and (exit code 70) if the
  /// module is inconsistent: functions out of step, a shard that nobody holds.
  Result<std::vector<HostTensor>> runRanks(mlir::ModuleOp module,
                                           llvm::StringRef entry,
                                           llvm::ArrayRef<HostTensor> inputs,
                                           ParameterSource &parameters,
                                           const RankOptions &options = {});
};

/// A copy of the module in which f32, f16 and bf16 are f64, constants included:
/// in it a wrong shard cannot hide behind a tolerance. Its parameters have no
/// file: read them by PromotedParameters.
mlir::OwningOpRef<mlir::ModuleOp> promoteFloats(mlir::ModuleOp module);

} // namespace partita

#endif // PARTITA_INTERP_INTERPRETER_H
