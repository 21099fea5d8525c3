//===- Shardings.h - Strategies and shardings of IR values -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads what the plan left on a module. A value's sharding follows from the
// strategy of its operation, from the `to` of a move, or from the attribute of
// an entry's argument.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PARTITION_SHARDINGS_H
#define PARTITA_LIB_PARTITION_SHARDINGS_H

#include "dialects/dist/Dist.h"
#include "dialects/interfaces/Interfaces.h"
#include "partita/Reshard/Reshard.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace partita {

/// "'id' (node, node)" of an operation, for messages.
std::string placeOf(mlir::Operation *op);

/// Shardings of one module, by value; strategies are read and checked once.
class ShardingReader {
public:
  static Result<ShardingReader> create(mlir::ModuleOp module);

  const Mesh &mesh() const { return grid; }
  mlir::FlatSymbolRefAttr meshRef() const { return ref; }
  mlir::func::FuncOp entry() const { return function; }

  struct Planned {
    ShardingRule rule;
    Strategy strategy;
  };
  /// The rule and the legal strategy of an operation.
  Result<const Planned *> planned(mlir::Operation *op);
  Result<Sharding> of(mlir::Value value);
  /// What `op` demands of operand `i`; function results for func.return.
  Result<Sharding> demanded(mlir::Operation *op, unsigned i);
  mlir::Attribute attr(const Sharding &sharding) const;

private:
  Mesh grid;
  mlir::FlatSymbolRefAttr ref;
  mlir::func::FuncOp function;
  llvm::DenseMap<mlir::Operation *, std::unique_ptr<Planned>> cache;
};

// The steps of Partition.h.
Status insertReshards(ShardingReader &reader, ReshardPlanner &planner);
Status lowerReshards(ShardingReader &reader, ReshardPlanner &planner);
Status localize(mlir::ModuleOp module, ShardingReader &reader);

} // namespace partita

#endif // PARTITA_LIB_PARTITION_SHARDINGS_H
