//===- Sink.cpp - Reshapes around matrix products -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters flatten [batch, sequence, k] to [rows, k] before a linear layer and
// unflatten after it. A planner then sees rows, in which batch and sequence
// cannot be told apart, and a reshape after each layer. nn.matmul takes any
// number of leading dimensions, so the flattening sinks through it, through the
// bias and through activations, until it meets the unflattening and both go.
//
// Only reshapes to rank 2 that keep the last dimension sink: others have a
// meaning (heads), and each sinks as far as it can, so that rewriting ends.
//
//===----------------------------------------------------------------------===//

#include "Simplify.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Whether what is computed from [rows, k] gets the leading dimensions of
/// `deep` again.
bool isUnflattened(Value flat, const Shape &deep, int depth = 0) {
  return llvm::any_of(flat.getUsers(), [&](Operation *user) {
    if (user->getNumResults() == 0) // The function returns it.
      return false;
    Shape shape = shapeOf(user->getResult(0));
    if (isa<ReshapeOp>(user))
      return shape.size() == deep.size() &&
             ArrayRef(shape).drop_back() == ArrayRef(deep).drop_back();
    bool passes = (isa<MatMulOp>(user) && user->getOperand(0) == flat) ||
                  user->hasTrait<OpTrait::Elementwise>();
    return passes && depth < 16 &&
           isUnflattened(user->getResult(0), deep, depth + 1);
  });
}

/// The reshape [.., k] -> [rows, k] behind a value. One that joins nothing, but
/// only drops dimensions of size one, counts if they come back.
ReshapeOp flattening(Value value) {
  auto reshape = value.getDefiningOp<ReshapeOp>();
  if (!reshape)
    return ReshapeOp();
  Shape from = shapeOf(reshape.getInput()), to = shapeOf(value);
  if (to.size() != 2 || from.size() < 3 || from.back() != to.back())
    return ReshapeOp();
  bool joins = llvm::count_if(llvm::drop_end(from),
                              [](int64_t size) { return size != 1; }) > 1;
  return joins || isUnflattened(value, from) ? reshape : ReshapeOp();
}

/// Gives `deep`, which has all leading dimensions, the place of `root`.
void replaceFlattened(PatternRewriter &rewriter, Operation *root,
                      Operation *deep, ReshapeOp flatten) {
  copyIdentity(root, deep);
  auto flat =
      ReshapeOp::create(rewriter, root->getLoc(), root->getResult(0).getType(),
                        deep->getResult(0));
  Covered covered;
  covered.add(flatten);
  covered.identify(flat, flatten);
  flat->setAttr(idAttrName, rewriter.getStringAttr(getId(root) + ".flattened"));
  rewriter.replaceOp(root, flat);
}

struct SinkThroughMatMul : OpRewritePattern<MatMulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatMulOp op,
                                PatternRewriter &rewriter) const override {
    ReshapeOp flatten = flattening(op.getLhs());
    if (!flatten || shapeOf(op.getRhs()).size() != 2)
      return failure();
    auto deep = MatMulOp::create(rewriter, op.getLoc(), flatten.getInput(),
                                 op.getRhs());
    replaceFlattened(rewriter, op, deep, flatten);
    return success();
  }
};

/// Elementwise operations whose other operands are numbers, vectors along the
/// last dimension, or flattened from the same shape.
struct SinkThroughElementwise : RewritePattern {
  SinkThroughElementwise(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!op->hasTrait<OpTrait::Elementwise>() || op->getNumResults() != 1 ||
        shapeOf(op->getResult(0)).size() != 2)
      return failure();
    ReshapeOp flatten;
    for (Value operand : op->getOperands())
      if (ReshapeOp found = flattening(operand))
        flatten = found;
    if (!flatten)
      return failure();
    Shape shape = shapeOf(flatten.getInput());
    for (Value operand : op->getOperands())
      if (!canUnflatten(operand, shape))
        return failure();
    SmallVector<Value> operands;
    for (auto [i, operand] : llvm::enumerate(op->getOperands()))
      operands.push_back(unflatten(rewriter, op, i, shape));
    OperationState state(op->getLoc(), op->getName());
    state.addOperands(operands);
    state.addTypes(withShape(op->getResult(0).getType(), shape));
    state.addAttributes(llvm::to_vector(op->getDiscardableAttrs()));
    state.propertiesAttr = op->getPropertiesAsAttribute();
    Operation *deep = rewriter.create(state);
    replaceFlattened(rewriter, op, deep, flatten);
    return success();
  }

private:
  static bool canUnflatten(Value operand, const Shape &shape) {
    if (splatOf(operand))
      return true;
    if (ReshapeOp flatten = flattening(operand))
      return shapeOf(flatten.getInput()) == shape;
    Covered covered;
    return lastDimVector(operand, covered) != nullptr;
  }

  static Value unflatten(PatternRewriter &rewriter, Operation *op, size_t i,
                         const Shape &shape) {
    Value operand = op->getOperand(unsigned(i));
    RankedTensorType type = withShape(operand.getType(), shape);
    if (ReshapeOp flatten = flattening(operand))
      return flatten.getInput();
    Value result;
    if (std::optional<double> number = splatOf(operand)) {
      result = makeSplat(rewriter, op->getLoc(), type, *number);
    } else {
      Covered covered;
      result = BroadcastOp::create(
          rewriter, op->getLoc(), type, lastDimVector(operand, covered),
          ArrayRef<int64_t>{int64_t(shape.size()) - 1});
    }
    copyIdentity(operand.getDefiningOp(), result.getDefiningOp(), ".deep");
    return result;
  }
};

} // namespace

void raising::addSinkPatterns(RewritePatternSet &patterns) {
  patterns.add<SinkThroughMatMul, SinkThroughElementwise>(
      patterns.getContext());
}
