//===- Partition.h - From strategies to local programs ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Three steps, each a pass, with a verifier after each. A Partitioner reads rules
// and strategies once for all of them:
//
//   insertReshards   where a use demands another sharding than its producer
//                    gives, a dist.reshard stands between them
//   lowerReshards    each dist.reshard becomes its cheapest path of collectives
//                    and free moves, still on global types
//   localize         @step becomes one function @step_class<i> for each class of
//                    ranks with equal local shapes, on local types
//
// Before: a module with one dist.mesh; each operation of @step that implements
// ShardingRuleOpInterface carries `dist.strategy`; arguments and results carry
// `dist.sharding`.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PARTITION_PARTITION_H
#define PARTITA_PARTITION_PARTITION_H

#include "partita/Reshard/Reshard.h"
#include "mlir/IR/BuiltinOps.h"

namespace partita {

/// The steps on one module, each called at most once and in this order.
class Partitioner {
public:
  /// The topology's prices decide between ways to reshard. Errors: no mesh or no
  /// entry (exit code 2).
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
