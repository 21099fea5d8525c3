//===- RuleTable.h - The rules of equal operations, once -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A deep model repeats its layers: most operations have the name, the types and
// the attributes of one that was seen before, and so its sharding rule. The
// table asks the first of them and hands its rule to the others, by pointer, so
// that what follows from a rule can be remembered under it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_INTERFACES_RULETABLE_H
#define PARTITA_DIALECTS_INTERFACES_RULETABLE_H

#include "dialects/interfaces/Interfaces.h"
#include <memory>

namespace partita {

class RuleTable {
public:
  /// The rule of an operation that has one; null if it has none. Lives as long
  /// as the table. The operation must outlive the last call.
  const ShardingRule *of(mlir::Operation *op);

private:
  /// Equal where operations must have equal rules.
  struct Signature : llvm::DenseMapInfo<mlir::Operation *> {
    static unsigned getHashValue(const mlir::Operation *op);
    static bool isEqual(const mlir::Operation *a, const mlir::Operation *b);
  };
  llvm::DenseMap<mlir::Operation *, std::unique_ptr<ShardingRule>, Signature>
      rules;
};

} // namespace partita

#endif // PARTITA_DIALECTS_INTERFACES_RULETABLE_H
