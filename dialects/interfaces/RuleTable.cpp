//===- RuleTable.cpp - The rules of equal operations, once ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/interfaces/RuleTable.h"
#include "mlir/IR/SymbolTable.h"

using namespace mlir;
using namespace partita;

/// Whether rules depend on the operation's own attributes. Those of a symbol's
/// user say which one it uses, and all of one type are split alike.
static bool attributesCount(Operation *op) {
  return !isa<SymbolUserOpInterface>(op);
}

unsigned RuleTable::Signature::getHashValue(const Operation *constOp) {
  auto *op = const_cast<Operation *>(constOp);
  llvm::hash_code hash = llvm::hash_combine(
      op->getName(),
      llvm::hash_combine_range(op->operand_type_begin(),
                               op->operand_type_end()),
      llvm::hash_combine_range(op->result_type_begin(), op->result_type_end()));
  if (attributesCount(op))
    hash = llvm::hash_combine(hash, op->hashProperties());
  return static_cast<unsigned>(static_cast<size_t>(hash));
}

bool RuleTable::Signature::isEqual(const Operation *constA,
                                   const Operation *constB) {
  if (constA == constB)
    return true;
  for (const Operation *key : {constA, constB})
    if (key == getEmptyKey() || key == getTombstoneKey())
      return false;
  auto *a = const_cast<Operation *>(constA),
       *b = const_cast<Operation *>(constB);
  return a->getName() == b->getName() &&
         llvm::equal(a->getOperandTypes(), b->getOperandTypes()) &&
         llvm::equal(a->getResultTypes(), b->getResultTypes()) &&
         (!attributesCount(a) ||
          a->getName().compareOpProperties(a->getPropertiesStorage(),
                                           b->getPropertiesStorage()));
}

const ShardingRule *RuleTable::of(Operation *op) {
  auto ruleOp = dyn_cast<ShardingRuleOpInterface>(op);
  if (!ruleOp)
    return nullptr;
  std::unique_ptr<ShardingRule> &rule = rules[op];
  if (!rule)
    rule = std::make_unique<ShardingRule>(ruleOp.getShardingRule());
  return rule.get();
}
