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
#include "dialects/interfaces/RuleTable.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "partita/Reshard/Reshard.h"

namespace partita {

/// "'id' (node, node)" of an operation, for messages.
std::string placeOf(mlir::Operation *op);

/// Shardings of one module, by value. What it hands out stays where it is, and
/// equal operations of repeated layers share it: a strategy is read, checked
/// and applied to its rule once, and most comparisons are of pointers.
class ShardingReader {
public:
  /// Of the function `entry` and the mesh that it runs on.
  static Result<ShardingReader> create(mlir::ModuleOp module,
                                       llvm::StringRef entry);

  const Mesh &mesh() const { return grid; }
  mlir::FlatSymbolRefAttr meshRef() const { return ref; }
  mlir::func::FuncOp entry() const { return function; }

  struct Planned {
    const ShardingRule *rule;
    Strategy strategy;
    std::vector<Sharding> operands, results;
  };
  /// The rule and the legal strategy of an operation, and what follows.
  Result<const Planned *> planned(mlir::Operation *op);
  Result<const Sharding *> of(mlir::Value value);
  /// What `op` demands of operand `i`; function results for func.return.
  Result<const Sharding *> demanded(mlir::Operation *op, unsigned i);
  /// Whether no data needs to move from one to the other. Both from of() or
  /// demanded().
  bool sameBoxes(const Sharding *a, const Sharding *b);
  mlir::Attribute attr(const Sharding &sharding) const;

private:
  Result<const Sharding *> read(mlir::Attribute attr, mlir::Type type,
                                llvm::function_ref<std::string()> place);

  Mesh grid;
  mlir::FlatSymbolRefAttr ref;
  mlir::func::FuncOp function;
  RuleTable rules;
  llvm::DenseMap<std::pair<const ShardingRule *, mlir::Attribute>,
                 std::unique_ptr<Planned>>
      plans;
  llvm::DenseMap<std::pair<mlir::Attribute, mlir::Type>,
                 std::unique_ptr<Sharding>>
      shardings;
  llvm::DenseMap<std::pair<const Sharding *, const Sharding *>, bool> same;
};

// The steps of Partition.h.
Status insertReshards(ShardingReader &reader, ReshardPlanner &planner);
Status lowerReshards(ShardingReader &reader, ReshardPlanner &planner);
Status localize(mlir::ModuleOp module, ShardingReader &reader);

} // namespace partita

#endif // PARTITA_LIB_PARTITION_SHARDINGS_H
