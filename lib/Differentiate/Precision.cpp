//===- Precision.cpp - Computing in half precision ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Precision.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

namespace {

class Rounding {
public:
  Rounding(Type element, Block &block, Naming &naming)
      : element(element), builder(element.getContext(), &naming),
        naming(naming), block(block) {}

  /// `value` in the narrow type, rounded once, where it is computed.
  Value rounded(Value value) {
    Value &known = narrow[value];
    if (known)
      return known;
    Operation *op = value.getDefiningOp();
    if (op)
      builder.setInsertionPointAfter(op);
    else
      builder.setInsertionPointToStart(&block);
    known = Emit(builder, value.getLoc()).cast(value, element);
    naming.name(nameOf(value) + "/round",
                op ? op->getDiscardableAttr(nn::nodesAttrName) : Attribute());
    return known;
  }

  void visit(Operation &op) {
    auto isNarrow = [&](Value value) {
      return getElementTypeOrSelf(value) == element;
    };
    if (llvm::none_of(op.getOperands(), isNarrow))
      return;
    for (OpOperand &operand : op.getOpOperands())
      if (getElementTypeOrSelf(operand.get()).isF32() &&
          !(isa<nn::AttentionOp>(op) && operand.getOperandNumber() == 3))
        operand.set(rounded(operand.get()));
    for (Value result : op.getResults())
      if (auto type = cast<RankedTensorType>(result.getType());
          type.getElementType().isF32())
        result.setType(type.clone(element));
  }

private:
  Type element;
  OpBuilder builder;
  Naming &naming;
  Block &block;
  llvm::DenseMap<Value, Value> narrow;
};

} // namespace

void training::computeIn(Type element, ArrayRef<Value> weights, Block &block,
                         Naming &naming) {
  std::vector<Operation *> forward;
  for (Operation &op : block.without_terminator())
    forward.push_back(&op);
  Rounding rounding(element, block, naming);
  for (Value weight : weights)
    if (getElementTypeOrSelf(weight).isF32())
      weight.replaceUsesWithIf(rounding.rounded(weight), [&](OpOperand &use) {
        return !isa<nn::CastOp>(use.getOwner());
      });
  for (Operation *op : forward)
    rounding.visit(*op);
}
