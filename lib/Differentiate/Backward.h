//===- Backward.h - The backward pass of a program -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reverse mode: the operations of a block are visited in reverse order, when
// the gradients of all their results are complete, and each adds to those of
// its operands. Only what depends on a leaf has a gradient.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_DIFFERENTIATE_BACKWARD_H
#define PARTITA_LIB_DIFFERENTIATE_BACKWARD_H

#include "Emit.h"
#include "partita/Support/Error.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

namespace partita::training {

/// Gives operations their ids: unique in a block.
class Naming : public mlir::OpBuilder::Listener {
public:
  explicit Naming(mlir::Block &block);
  void notifyOperationInserted(mlir::Operation *op,
                               mlir::OpBuilder::InsertPoint) override {
    created.push_back(op);
  }
  /// Names what was created since the last call `id`, `id`.1, ..; `nodes` may
  /// be null.
  void name(llvm::StringRef id, mlir::Attribute nodes);

private:
  std::vector<mlir::Operation *> created;
  llvm::StringSet<> taken;
  llvm::StringMap<int> next;
};

/// The id of what computes a value, or the name of an argument.
std::string nameOf(Value value);

class Backward {
public:
  using Finished = llvm::function_ref<void(Value leaf, Value gradient)>;

  /// The block's operations at this time are what is differentiated, with
  /// respect to `leaves`.
  Backward(mlir::Block &block, llvm::ArrayRef<Value> leaves);

  /// Whether a gradient reaches a leaf from here.
  bool isActive(Value value) const { return active.contains(value); }
  /// Builds the backward pass from `value`, whose gradient is given. Calls
  /// `finished` for each leaf as soon as its gradient is complete; it is null
  /// where `value` does not depend on the leaf. Errors: exit 3, naming every
  /// operation without a rule.
  Status run(Value value, Value gradient, mlir::OpBuilder &builder,
             Naming &naming, Finished finished);

private:
  struct Gap {
    int count = 0;
    std::string firstNode;
  };

  void add(Value value, Value gradient, mlir::OpBuilder &builder,
           Naming &naming);
  void visit(mlir::Operation *op, mlir::OpBuilder &builder, Naming &naming);
  void reportGap(mlir::Operation *op, const std::string &reason);
  Status failOnGaps() const;

  std::vector<mlir::Operation *> forward;
  llvm::SmallVector<Value> leaves;
  llvm::DenseSet<Value> active;
  /// The leaves whose first use is an operation.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<Value, 1>> firstUses;
  llvm::DenseMap<Value, Value> gradients;
  llvm::MapVector<mlir::StringAttr, Gap> gaps;
};

} // namespace partita::training

#endif // PARTITA_LIB_DIFFERENTIATE_BACKWARD_H
