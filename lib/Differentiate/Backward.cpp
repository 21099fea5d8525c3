//===- Backward.cpp - The backward pass of a program ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Backward.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "partita/Differentiate/Interface.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

Naming::Naming(Block &block) {
  for (Operation &op : block)
    taken.insert(nn::getId(&op));
}

void Naming::name(StringRef id, Attribute nodes) {
  for (Operation *op : created) {
    std::string unique = id.str();
    while (!taken.insert(unique).second)
      unique = (id + "." + Twine(++next[id])).str();
    auto *context = op->getContext();
    SmallVector<NamedAttribute> attributes = {
        {StringAttr::get(context, nn::idAttrName),
         StringAttr::get(context, unique)}};
    if (nodes)
      attributes.push_back(
          {StringAttr::get(context, nn::nodesAttrName), nodes});
    op->setDiscardableAttrs(attributes);
  }
  created.clear();
}

std::string training::nameOf(Value value) {
  if (Operation *op = value.getDefiningOp())
    return nn::getId(op).str();
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto name = function ? function.getArgAttrOfType<StringAttr>(
                             argument.getArgNumber(), nn::nameAttrName)
                       : StringAttr();
  return name ? name.str() : std::to_string(argument.getArgNumber());
}

//===----------------------------------------------------------------------===//
// Activity
//===----------------------------------------------------------------------===//

static bool isFloating(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value));
}

Backward::Backward(Block &block, ArrayRef<Value> leaves)
    : leaves(leaves.begin(), leaves.end()) {
  active.insert(leaves.begin(), leaves.end());
  llvm::DenseSet<Value> unused = active;
  for (Operation &op : block.without_terminator()) {
    forward.push_back(&op);
    bool reached = false;
    for (Value operand : op.getOperands()) {
      reached |= active.contains(operand);
      if (unused.erase(operand))
        firstUses[&op].push_back(operand);
    }
    for (Value result : op.getResults())
      if (reached && isFloating(result))
        active.insert(result);
  }
}

//===----------------------------------------------------------------------===//
// Gaps
//===----------------------------------------------------------------------===//

void Backward::reportGap(Operation *op, const std::string &reason) {
  std::string text = op->getName().getStringRef().str() + ": " + reason;
  Gap &gap = gaps[StringAttr::get(op->getContext(), text)];
  std::vector<std::string> nodes = nn::getNodes(op);
  ++gap.count;
  // The last one that is met is the first of the program.
  gap.firstNode = nodes.empty() ? nn::getId(op).str() : nodes.front();
}

Status Backward::failOnGaps() const {
  if (gaps.empty())
    return ok();
  std::string message = "uses operations that are not differentiable:";
  for (const auto &[text, gap] : gaps)
    message += "\n  " + text.str() + " (" + std::to_string(gap.count) +
               (gap.count == 1 ? " time" : " times") + ", first at node \"" +
               gap.firstNode + "\")";
  return makeError(ExitCode::Unsupported, "differentiate.unsupported",
                   "the path from the weights to the loss", message,
                   "train a model without them, or take the loss of an output "
                   "that does not depend on them");
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// A sum is named after the value whose gradient it is.
void Backward::add(Value value, Value gradient, OpBuilder &builder,
                   Naming &naming) {
  Value &known = gradients[value];
  if (!known) {
    known = gradient;
    return;
  }
  known = Emit(builder, value.getLoc()).add(known, gradient);
  Operation *op = value.getDefiningOp();
  naming.name(nameOf(value) + "/grad.sum",
              op ? op->getDiscardableAttr(nn::nodesAttrName) : Attribute());
}

void Backward::visit(Operation *op, OpBuilder &builder, Naming &naming) {
  Adjoint adjoint{builder, {}, {}, std::vector<Value>(op->getNumOperands())};
  bool reached = false, wanted = false;
  for (Value result : op->getResults()) {
    adjoint.results.push_back(gradients.lookup(result));
    reached |= bool(adjoint.results.back());
  }
  for (Value operand : op->getOperands()) {
    adjoint.wanted.push_back(active.contains(operand));
    wanted |= adjoint.wanted.back();
  }
  if (!reached || !wanted)
    return;
  std::string reason = "has no rule";
  auto rule = dyn_cast<DifferentiableOpInterface>(op);
  bool built = false;
  if (rule) {
    Status status = rule.differentiate(adjoint);
    built = bool(status);
    if (!built)
      reason = status.error().message;
  }
  if (!built) {
    // What comes before is looked at too, so that one run names every gap.
    reportGap(op, reason);
    Emit emit(builder, op->getLoc());
    for (auto [i, operand] : llvm::enumerate(op->getOperands()))
      if (adjoint.wanted[i])
        adjoint.operands[i] = emit.zeros(operand.getType());
  }
  naming.name(nn::getId(op).str() + "/grad",
              op->getDiscardableAttr(nn::nodesAttrName));
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    if (adjoint.wanted[i] && adjoint.operands[i])
      add(operand, adjoint.operands[i], builder, naming);
}

Status Backward::run(Value value, Value gradient, OpBuilder &builder,
                     Naming &naming, Finished finished) {
  gradients[value] = gradient;
  llvm::DenseSet<Value> left(leaves.begin(), leaves.end());
  auto finish = [&](Value leaf) {
    left.erase(leaf);
    finished(leaf, gradients.lookup(leaf));
  };
  for (Operation *op : llvm::reverse(forward)) {
    visit(op, builder, naming);
    if (auto it = firstUses.find(op); it != firstUses.end() && gaps.empty())
      for (Value leaf : it->second)
        finish(leaf);
  }
  PARTITA_CHECK(failOnGaps());
  for (Value leaf : leaves)
    if (left.contains(leaf))
      finish(leaf);
  return ok();
}
