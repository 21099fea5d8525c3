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

/// What makes two operations equal, in one string of pointers.
std::vector<const void *> keyOf(Operation *op) {
  std::vector<const void *> key = {op->getName().getAsOpaquePointer()};
  for (Value operand : op->getOperands())
    key.push_back(operand.getAsOpaquePointer());
  for (Type type : op->getResultTypes())
    key.push_back(type.getAsOpaquePointer());
  NamedAttrList attributes(op->getAttrs());
  attributes.erase(idAttrName);
  attributes.erase(nodesAttrName);
  key.push_back(
      attributes.getDictionary(op->getContext()).getAsOpaquePointer());
  return key;
}

void addNodes(Operation *to, Operation *from) {
  llvm::SetVector<Attribute> nodes;
  for (Operation *op : {to, from})
    if (auto list = op->getAttrOfType<ArrayAttr>(nodesAttrName))
      nodes.insert_range(list);
  to->setAttr(nodesAttrName,
              ArrayAttr::get(to->getContext(), nodes.getArrayRef()));
}

struct Deduplicate : raising::impl::DeduplicateBase<Deduplicate> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      removeUnused(function);
      std::map<std::vector<const void *>, Operation *> known;
      for (Operation &op :
           llvm::make_early_inc_range(function.getBody().front())) {
        if (!isPure(&op) || op.getNumResults() == 0)
          continue;
        auto [it, isNew] = known.try_emplace(keyOf(&op), &op);
        if (isNew)
          continue;
        addNodes(it->second, &op);
        op.replaceAllUsesWith(it->second);
        op.erase();
      }
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
