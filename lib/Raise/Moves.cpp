//===- Moves.cpp - Simplification of moves --------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reshapes, transposes, broadcasts, slices and concatenations that do nothing
// go; two in a row become one. Whatever moves a constant of one number is a
// constant of that number.
//
//===----------------------------------------------------------------------===//

#include "Simplify.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Moves of constants of one number, and moves that change nothing.
struct Trivial : RewritePattern {
  Trivial(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 2, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isa<ReshapeOp, TransposeOp, BroadcastOp, SliceOp, CastOp>(op))
      return failure();
    Value input = op->getOperand(0), result = op->getResult(0);
    std::optional<double> number = splatOf(input);
    bool exact = number && !(isa<CastOp>(op) &&
                             !(isFloatTensor(input) && isFloatTensor(result)));
    if (exact) {
      Value splat =
          makeSplat(rewriter, op->getLoc(), result.getType(), *number);
      copyIdentity(op, splat.getDefiningOp());
      rewriter.replaceOp(op, splat);
      return success();
    }
    bool same = input.getType() == result.getType();
    if (auto transpose = dyn_cast<TransposeOp>(op))
      same = llvm::is_sorted(transpose.getPermutation());
    if (auto slice = dyn_cast<SliceOp>(op))
      same &= llvm::all_of(slice.getSteps(), [](int64_t s) { return s == 1; });
    if (!same)
      return failure();
    rewriter.replaceOp(op, input);
    return success();
  }
};

struct ReshapeOfReshape : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<ReshapeOp>();
    if (!inner)
      return failure();
    replaceWith<ReshapeOp>(rewriter, op, {inner}, op.getType(),
                           inner.getInput());
    return success();
  }
};

/// A transpose that only moves dimensions of size one.
struct TransposeOfOnes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    Shape shape = shapeOf(op.getInput());
    int64_t last = -1;
    for (int64_t dim : op.getPermutation())
      if (shape[dim] != 1) {
        if (dim < last)
          return failure();
        last = dim;
      }
    replaceWith<ReshapeOp>(rewriter, op, {}, op.getType(), op.getInput());
    return success();
  }
};

struct TransposeOfTranspose : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<TransposeOp>();
    if (!inner)
      return failure();
    std::vector<int64_t> permutation;
    for (int64_t dim : op.getPermutation())
      permutation.push_back(inner.getPermutation()[dim]);
    replaceWith<TransposeOp>(rewriter, op, {inner}, inner.getInput(),
                             permutation);
    return success();
  }
};

struct BroadcastOfBroadcast : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BroadcastOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<BroadcastOp>();
    if (!inner)
      return failure();
    std::vector<int64_t> dims;
    for (int64_t dim : inner.getDims())
      dims.push_back(op.getDims()[dim]);
    replaceWith<BroadcastOp>(rewriter, op, {inner}, op.getType(),
                             inner.getInput(), dims);
    return success();
  }
};

/// Which dimension of `from` each dimension of `to` is, when they differ by
/// dimensions of size one alone: -1 for a new one.
std::optional<std::vector<int64_t>> matchUnitDims(const Shape &from,
                                                  const Shape &to) {
  std::vector<int64_t> source(to.size(), -1);
  size_t i = 0;
  for (size_t d = 0; d < to.size(); ++d) {
    if (to[d] == 1)
      continue;
    while (i < from.size() && from[i] == 1)
      ++i;
    if (i == from.size() || from[i] != to[d])
      return std::nullopt;
    source[d] = int64_t(i++);
  }
  for (; i < from.size(); ++i)
    if (from[i] != 1)
      return std::nullopt;
  return source;
}

/// A broadcast may name its dimensions itself: a reshape before it that adds
/// dimensions of size one is not needed. One that drops some stays, unless what
/// remains has none that could be dropped too.
struct BroadcastOfReshape : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BroadcastOp op,
                                PatternRewriter &rewriter) const override {
    auto reshape = op.getInput().getDefiningOp<ReshapeOp>();
    if (!reshape)
      return failure();
    Shape from = shapeOf(reshape.getInput()), middle = shapeOf(op.getInput());
    auto source = matchUnitDims(from, middle);
    if (!source || llvm::is_contained(from, 1))
      return failure();
    std::vector<int64_t> dims(from.size(), -1);
    for (size_t d = 0; d < middle.size(); ++d)
      if ((*source)[d] >= 0)
        dims[(*source)[d]] = op.getDims()[d];
    replaceWith<BroadcastOp>(rewriter, op, {reshape}, op.getType(),
                             reshape.getInput(), dims);
    return success();
  }
};

/// Dimensions of size one that a broadcast repeats or keeps carry nothing.
struct BroadcastOfOnes : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BroadcastOp op,
                                PatternRewriter &rewriter) const override {
    auto reshape = op.getInput().getDefiningOp<ReshapeOp>();
    Shape shape = shapeOf(op.getInput());
    if (!reshape || !llvm::is_contained(shape, 1))
      return failure();
    Shape squeezed;
    std::vector<int64_t> dims;
    for (size_t d = 0; d < shape.size(); ++d)
      if (shape[d] != 1) {
        squeezed.push_back(shape[d]);
        dims.push_back(op.getDims()[d]);
      }
    Value narrow = ReshapeOp::create(rewriter, op.getLoc(),
                                     withShape(reshape.getType(), squeezed),
                                     reshape.getInput());
    copyIdentity(reshape, narrow.getDefiningOp(), ".squeezed");
    replaceWith<BroadcastOp>(rewriter, op, {}, op.getType(), narrow, dims);
    return success();
  }
};

/// A broadcast that repeats nothing is a reshape.
struct BroadcastAsReshape : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BroadcastOp op,
                                PatternRewriter &rewriter) const override {
    if (cast<RankedTensorType>(op.getInput().getType()).getNumElements() !=
        cast<RankedTensorType>(op.getType()).getNumElements())
      return failure();
    replaceWith<ReshapeOp>(rewriter, op, {}, op.getType(), op.getInput());
    return success();
  }
};

struct SliceOfSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SliceOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<SliceOp>();
    if (!inner)
      return failure();
    std::vector<int64_t> starts, steps;
    for (size_t d = 0; d < op.getStarts().size(); ++d) {
      starts.push_back(inner.getStarts()[d] +
                       op.getStarts()[d] * inner.getSteps()[d]);
      steps.push_back(op.getSteps()[d] * inner.getSteps()[d]);
    }
    replaceWith<SliceOp>(rewriter, op, {inner}, op.getType(), inner.getInput(),
                         starts, steps);
    return success();
  }
};

struct ConcatOfOne : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ConcatOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getInputs().size() != 1)
      return failure();
    rewriter.replaceOp(op, op.getInputs()[0]);
    return success();
  }
};

} // namespace

void raising::addMovePatterns(RewritePatternSet &patterns) {
  patterns.add<Trivial, ReshapeOfReshape, TransposeOfOnes, TransposeOfTranspose,
               BroadcastOfBroadcast, BroadcastOfReshape, BroadcastOfOnes,
               BroadcastAsReshape, SliceOfSlice, ConcatOfOne>(
      patterns.getContext());
}
