//===- Partition.h - From strategies to local programs ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Steps, each a pass, with a verifier after each. A plan with stages is split
// first:
//
//   splitStages      each stage becomes a function on a mesh of its own, and
//                    @step says what goes from one to another
//
// A Partitioner then reads rules and strategies once for all others, of each
// stage or of @step itself:
//
//   insertReshards   where a use demands another sharding than its producer
//                    gives, a dist.reshard stands between them
//   lowerReshards    each dist.reshard becomes its cheapest path of collectives
//                    and free moves, still on global types
//   localize         @step becomes one function @step_class<i> for each class
//   of
//                    ranks with equal local shapes, on local types
//
// Before: a module with one dist.mesh; each operation of @step that implements
// ShardingRuleOpInterface carries `dist.strategy`; arguments and results carry
// `dist.sharding`.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PARTITION_PARTITION_H
#define PARTITA_PARTITION_PARTITION_H

#include "mlir/IR/BuiltinOps.h"
#include "partita/Reshard/Reshard.h"

namespace partita {

/// Makes @step the program of one micro-batch. Before: a plan on a mesh of one
/// axis, along which micro-batches are counted. After: the shapes of one of
/// them, no plan; `dist.micro_batches` on the module, and `dist.batch_dim` on
/// arguments and results that are cut. Errors: `partition.micro-batches` (3,
/// naming the operation) where something wants more of the batch than there is.
Status cutMicroBatches(mlir::ModuleOp module);

/// Before: `dist.in_stage` on operations and results of @step, and the axis
/// `pp` of the module's mesh numbers the stages. After: functions
/// @step_stage<i> on meshes @stage<i>, in whose place @step has a dist.stage;
/// what one makes and others use goes through a dist.transfer from the layout
/// in which it is made (pending values are combined before) to the largest that
/// its uses in the other stage want. Arguments are read by each stage that uses
/// them, and what depends on parameters alone is computed by each. Errors:
/// `partition.stage` (2) for an operation without a stage or one that reads
/// what a later stage makes.
Status splitStages(mlir::ModuleOp module);

/// The steps on one module, each called at most once and in this order.
class Partitioner {
public:
  /// The topology's prices decide between ways to reshard. Errors: no mesh or
  /// no entry (exit code 2).
  static Result<Partitioner> create(mlir::ModuleOp module,
                                    const Topology &topology);
  Partitioner(Partitioner &&) noexcept;
  ~Partitioner();

  /// Errors: an operation without a legal strategy, an argument or result
  /// without a legal sharding (exit code 2, named); combiners that cannot be
  /// moved (3).
  Status insertReshards();
  Status lowerReshards();
  Status localize();

private:
  struct Impl;
  explicit Partitioner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

/// All three, with verification after each.
Status partition(mlir::ModuleOp module, const Topology &topology);

} // namespace partita

#endif // PARTITA_PARTITION_PARTITION_H
