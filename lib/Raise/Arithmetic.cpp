//===- Arithmetic.cpp - Simplification of elementwise operations ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Only what is exact: no reassociation, no x * 0.
//
//===----------------------------------------------------------------------===//

#include "Simplify.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// x + 0, x - 0, x * 1, x / 1, and their mirror images where there is one. A
/// sum with +0 changes -0 to +0, which compares equal.
struct Neutral : RewritePattern {
  Neutral(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isa<AddOp, SubOp, MulOp, DivOp, AndOp, OrOp>(op))
      return failure();
    double neutral = isa<MulOp, DivOp, AndOp>(op) ? 1 : 0;
    Value lhs = op->getOperand(0), rhs = op->getOperand(1);
    if (splatOf(rhs) == neutral) {
      rewriter.replaceOp(op, lhs);
      return success();
    }
    if (!isa<SubOp, DivOp>(op) && splatOf(lhs) == neutral) {
      rewriter.replaceOp(op, rhs);
      return success();
    }
    return failure();
  }
};

struct SelectOfSame : OpRewritePattern<SelectOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<double> condition = splatOf(op.getCondition());
    if (condition)
      rewriter.replaceOp(op, *condition ? op.getOnTrue() : op.getOnFalse());
    else if (op.getOnTrue() == op.getOnFalse())
      rewriter.replaceOp(op, op.getOnTrue());
    else
      return failure();
    return success();
  }
};

template <typename Op> struct Involution : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().template getDefiningOp<Op>();
    if (!inner)
      return failure();
    rewriter.replaceOp(op, inner.getInput());
    return success();
  }
};

/// 1 / sqrt(x), however it is written.
struct ReciprocalOfSqrt : OpRewritePattern<ReciprocalOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReciprocalOp op,
                                PatternRewriter &rewriter) const override {
    auto root = op.getInput().getDefiningOp<SqrtOp>();
    if (!root)
      return failure();
    replaceWith<RsqrtOp>(rewriter, op, {root}, op.getType(), root.getInput());
    return success();
  }
};

struct OneOver : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DivOp op,
                                PatternRewriter &rewriter) const override {
    if (splatOf(op.getLhs()) != 1.0 || !isFloatTensor(op))
      return failure();
    replaceWith<ReciprocalOp>(rewriter, op, {}, op.getType(), op.getRhs());
    return success();
  }
};

} // namespace

void raising::addArithmeticPatterns(RewritePatternSet &patterns) {
  patterns.add<Neutral, SelectOfSame, Involution<NegOp>, Involution<NotOp>,
               ReciprocalOfSqrt, OneOver>(patterns.getContext());
}
