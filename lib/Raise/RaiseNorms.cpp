//===- RaiseNorms.cpp - Finds layer_norm and rms_norm ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Both end in a product of something centred (or not), one over a root of a
// mean square, and a vector of scales:
//
//   x  * rsqrt(mean(x * x) + e) * w        rms_norm
//   x' * rsqrt(mean(x' * x') + e) * w      layer_norm, x' = x - mean(x)
//
// The product is flattened, so that its association does not matter; a division
// by the root counts as a product with its reciprocal.
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"

namespace partita::raising {
#define GEN_PASS_DEF_RAISENORMS
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Whether a broadcast gives each row, along the last dimension, one element,
/// in the order of the rows.
bool spreadsOverRows(BroadcastOp op) {
  auto from = cast<RankedTensorType>(op.getInput().getType());
  auto to = cast<RankedTensorType>(op.getType());
  int64_t last = to.getRank() - 1;
  for (auto [size, dim] : llvm::zip(from.getShape(), op.getDims()))
    if (dim == last && size != 1)
      return false;
  return to.getRank() > 0 &&
         from.getNumElements() * to.getShape().back() == to.getNumElements();
}

/// Skips what lies between a statistic of rows and its use: reshapes, which
/// keep the order of the rows, and broadcasts over them.
Value stripKeepDims(Value value, Covered &covered) {
  while (Operation *op = value.getDefiningOp()) {
    auto broadcast = dyn_cast<BroadcastOp>(op);
    if (!isa<ReshapeOp>(op) && !(broadcast && spreadsOverRows(broadcast)))
      break;
    covered.add(op);
    value = op->getOperand(0);
  }
  return value;
}

/// x, if the value is the mean of x over its last dimension.
Value matchMean(Value value, Covered &covered) {
  value = stripKeepDims(value, covered);
  Operation *scale = value.getDefiningOp();
  if (!isa_and_nonnull<MulOp, DivOp>(scale))
    return Value();
  Value sum = scale->getOperand(0);
  std::optional<double> factor = splatOf(scale->getOperand(1));
  if (!factor && isa<MulOp>(scale)) {
    factor = splatOf(sum);
    sum = scale->getOperand(1);
  }
  Covered inner;
  auto reduce = stripKeepDims(sum, inner).getDefiningOp<ReduceOp>();
  if (!factor || !reduce || reduce.getKind() != "sum")
    return Value();
  Shape shape = shapeOf(reduce.getInput());
  double mean = isa<DivOp>(scale) ? 1 / *factor : *factor;
  if (reduce.getAxes() != ArrayRef<int64_t>{int64_t(shape.size()) - 1} ||
      !isNear(mean, 1.0 / double(shape.back()), scale->getResult(0)))
    return Value();
  covered.add(scale);
  covered.add(inner);
  covered.add(reduce);
  return reduce.getInput();
}

struct MeanSquare {
  Value input;
  double epsilon;
};

/// mean(x * x) + epsilon.
std::optional<MeanSquare> matchMeanSquare(Value value, Covered &covered) {
  value = stripKeepDims(value, covered);
  auto add = value.getDefiningOp<AddOp>();
  if (!add)
    return std::nullopt;
  Value mean = add.getLhs();
  std::optional<double> epsilon = splatOf(add.getRhs());
  if (!epsilon) {
    epsilon = splatOf(add.getLhs());
    mean = add.getRhs();
  }
  Value square = epsilon ? matchMean(mean, covered) : Value();
  auto product = square ? square.getDefiningOp<MulOp>() : MulOp();
  if (!product || product.getLhs() != product.getRhs() || *epsilon < 0)
    return std::nullopt;
  covered.add(add);
  covered.add(product);
  return MeanSquare{product.getLhs(), *epsilon};
}

/// 1 / sqrt(mean(x * x) + epsilon), spread over the rows.
std::optional<MeanSquare> matchInverseRoot(Value value, Covered &covered) {
  value = stripKeepDims(value, covered);
  auto root = value.getDefiningOp<RsqrtOp>();
  if (!root)
    return std::nullopt;
  covered.add(root);
  return matchMeanSquare(root.getInput(), covered);
}

/// sqrt(mean(x * x) + epsilon), spread over the rows.
std::optional<MeanSquare> matchRoot(Value value, Covered &covered) {
  value = stripKeepDims(value, covered);
  auto root = value.getDefiningOp<SqrtOp>();
  if (!root)
    return std::nullopt;
  covered.add(root);
  return matchMeanSquare(root.getInput(), covered);
}

/// x, if the value is x - mean(x).
Value matchCentred(Value value, Covered &covered) {
  auto sub = value.getDefiningOp<SubOp>();
  if (!sub || matchMean(sub.getRhs(), covered) != sub.getLhs())
    return Value();
  covered.add(sub);
  return sub.getLhs();
}

struct Normalised {
  MeanSquare statistic;
  Covered covered;
};

/// x / sqrt(mean(x * x) + epsilon), as a quotient or a product of two.
std::optional<Normalised> matchNormalised(Value value) {
  Normalised result;
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<MulOp, DivOp>(op))
    return std::nullopt;
  result.covered.add(op);
  for (int swap = 0; swap < (isa<MulOp>(op) ? 2 : 1); ++swap) {
    Covered covered = result.covered;
    auto statistic = isa<MulOp>(op)
                         ? matchInverseRoot(op->getOperand(1 - swap), covered)
                         : matchRoot(op->getOperand(1), covered);
    if (statistic && statistic->input == op->getOperand(swap)) {
      result.statistic = *statistic;
      result.covered = covered;
      return result;
    }
  }
  return std::nullopt;
}

/// Casts between floats keep the pattern: norms are often computed in f32.
Value stripFloatCast(Value value, Covered &covered) {
  auto cast = value.getDefiningOp<CastOp>();
  if (!cast || !isFloatTensor(cast.getInput()) || !isFloatTensor(value))
    return value;
  covered.add(cast);
  return cast.getInput();
}

/// normalised * w, in either order.
struct RaiseScaled : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    for (auto [x, w] : {std::pair(op.getLhs(), op.getRhs()),
                        std::pair(op.getRhs(), op.getLhs())}) {
      Covered covered;
      covered.add(op);
      Value scale = lastDimVector(w, covered);
      auto normalised =
          scale ? matchNormalised(stripFloatCast(x, covered)) : std::nullopt;
      if (normalised && rewrite(op, *normalised, scale, covered, rewriter))
        return success();
    }
    return failure();
  }

private:
  static bool rewrite(MulOp op, Normalised &normalised, Value scale,
                      Covered &covered, PatternRewriter &rewriter) {
    Value input = normalised.statistic.input;
    covered.add(normalised.covered);
    Value centred = matchCentred(input, covered);
    Value x = stripFloatCast(centred ? centred : input, covered);
    // The input may have been widened for the statistics only.
    if (x.getType() != op.getType())
      return false;
    APFloat epsilon(normalised.statistic.epsilon);
    Operation *raised;
    if (centred)
      raised = LayerNormOp::create(rewriter, op.getLoc(), op.getType(), x,
                                   scale, Value(), epsilon);
    else
      raised = RMSNormOp::create(rewriter, op.getLoc(), op.getType(), x, scale,
                                 epsilon);
    covered.identify(raised, op);
    rewriter.replaceOp(op, raised);
    return true;
  }
};

/// layer_norm without bias, plus a vector.
struct RaiseBias : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op,
                                PatternRewriter &rewriter) const override {
    for (auto [x, b] : {std::pair(op.getLhs(), op.getRhs()),
                        std::pair(op.getRhs(), op.getLhs())}) {
      Covered covered;
      covered.add(op);
      auto norm = x.getDefiningOp<LayerNormOp>();
      if (!norm || norm.getBias() || !x.hasOneUse())
        continue;
      Value bias = lastDimVector(b, covered);
      if (!bias)
        continue;
      covered.add(norm);
      auto raised = LayerNormOp::create(rewriter, op.getLoc(), op.getType(),
                                        norm.getInput(), norm.getScale(), bias,
                                        norm.getEpsilon());
      covered.identify(raised, op);
      rewriter.replaceOp(op, raised);
      return success();
    }
    return failure();
  }
};

struct RaiseNorms : raising::impl::RaiseNormsBase<RaiseNorms> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseScaled, RaiseBias>(&getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
