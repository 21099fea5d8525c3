//===- Deduplicate.cpp - Equal things once, unused things never -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// MLIR's own pass compares all attributes, and no two operations have the same
// nn.id.
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace partita::raising {
#define GEN_PASS_DEF_DEDUPLICATE
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Operations without their identity.
struct Equal : llvm::DenseMapInfo<Operation *> {
  static unsigned getHashValue(const Operation *constOp) {
    auto *op = const_cast<Operation *>(constOp);
    return static_cast<unsigned>(static_cast<size_t>(llvm::hash_combine(
        op->getName(), op->hashProperties(),
        llvm::hash_combine_range(op->operand_begin(), op->operand_end()))));
  }
  static bool isEqual(const Operation *constA, const Operation *constB) {
    if (constA == constB)
      return true;
    for (const Operation *key : {constA, constB})
      if (key == getEmptyKey() || key == getTombstoneKey())
        return false;
    auto *a = const_cast<Operation *>(constA);
    auto *b = const_cast<Operation *>(constB);
    return a->getName() == b->getName() &&
           llvm::equal(a->getOperands(), b->getOperands()) &&
           llvm::equal(a->getResultTypes(), b->getResultTypes()) &&
           a->getName().compareOpProperties(a->getPropertiesStorage(),
                                            b->getPropertiesStorage()) &&
           hasOnlyIdentity(a) && hasOnlyIdentity(b);
  }

private:
  static bool hasOnlyIdentity(Operation *op) {
    return llvm::all_of(op->getDiscardableAttrs(), [](NamedAttribute attr) {
      return attr.getName() == idAttrName || attr.getName() == nodesAttrName;
    });
  }
};

/// The nodes that operations stand for which others were merged into.
class MergedNodes {
public:
  void add(Operation *to, Operation *from) {
    auto [it, isNew] = nodes.try_emplace(to);
    for (Operation *op : {to, from})
      if (auto list = op->getAttrOfType<ArrayAttr>(nodesAttrName);
          list && (isNew || op == from))
        it->second.insert_range(list);
  }
  /// Writes them down, once: each list is kept for as long as the context.
  void finish() {
    for (auto &[op, list] : nodes)
      op->setAttr(nodesAttrName,
                  ArrayAttr::get(op->getContext(), list.getArrayRef()));
  }

private:
  llvm::DenseMap<Operation *, llvm::SetVector<Attribute>> nodes;
};

struct Deduplicate : raising::impl::DeduplicateBase<Deduplicate> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      removeUnused(function);
      llvm::DenseSet<Operation *, Equal> known;
      MergedNodes merged;
      for (Operation &op :
           llvm::make_early_inc_range(function.getBody().front())) {
        if (!isPure(&op) || op.getNumResults() == 0)
          continue;
        auto [it, isNew] = known.insert(&op);
        if (isNew)
          continue;
        merged.add(*it, &op);
        op.replaceAllUsesWith(*it);
        op.erase();
      }
      merged.finish();
      removeUnused(function);
    }
    removeUnusedParameters();
  }

private:
  static void removeUnused(func::FuncOp function) {
    for (Operation &op :
         llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }

  void removeUnusedParameters() {
    llvm::StringSet<> used;
    getOperation().walk(
        [&](GetParameterOp op) { used.insert(op.getParameter()); });
    for (auto parameter :
         llvm::make_early_inc_range(getOperation().getOps<ParameterOp>()))
      if (!used.contains(parameter.getSymName()))
        parameter.erase();
  }
};

} // namespace
