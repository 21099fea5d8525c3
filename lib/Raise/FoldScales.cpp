//===- FoldScales.cpp - Scales and shifts that weights take ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A batch norm after a convolution scales and shifts each channel. Where weight
// and scale are known before a step begins, the weight can be scaled instead:
//
//   op(x, w) * s            = op(x, w * s)
//   (op(x, w) + b) * s      = op(x, w * s) + b * s
//   (op(x, w) + b) + c      = op(x, w) + (b + c)
//
// and one product with one bias is left. The first holds for every operation
// that is linear in w and whose result walks, along the dimension that s is
// repeated from, the same loops as a dimension of w: its sharding rule says so.
//
//===----------------------------------------------------------------------===//

#include "Simplify.h"

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Whether `value` depends on parameters and constants alone, as far as a short
/// look tells.
bool isKnownBefore(Value value, int depth = 0) {
  Operation *op = value.getDefiningOp();
  return op && depth < 16 &&
         llvm::all_of(
             op->getOperands(),
             [&](Value operand) { return isKnownBefore(operand, depth + 1); });
}

/// A vector that is repeated along all dimensions but `dim`.
struct Repeated {
  Value vector; ///< of one element or more, in any number of dimensions
  int64_t dim;
};

std::optional<Repeated> repeatedVector(Value value) {
  auto broadcast = value.getDefiningOp<BroadcastOp>();
  if (!broadcast || !isKnownBefore(value))
    return std::nullopt;
  std::optional<int64_t> along;
  Shape from = shapeOf(broadcast.getInput());
  for (auto [size, to] : llvm::zip_equal(from, broadcast.getDims())) {
    if (size == 1)
      continue;
    if (along)
      return std::nullopt;
    along = to;
  }
  if (!along)
    return std::nullopt;
  return Repeated{broadcast.getInput(), *along};
}

/// Makes operations that a root operation is replaced by.
class Maker {
public:
  Maker(PatternRewriter &rewriter, Operation *root)
      : rewriter(rewriter), root(root) {}

  template <typename Op, typename... Args>
  Value make(StringRef suffix, Args &&...args) {
    Op op = Op::create(rewriter, root->getLoc(), std::forward<Args>(args)...);
    identifyHelper(op, root, suffix);
    return op->getResult(0);
  }
  /// The vector as one dimension.
  Value flat(const Repeated &repeated, StringRef suffix) {
    auto type = cast<RankedTensorType>(repeated.vector.getType());
    if (type.getRank() == 1)
      return repeated.vector;
    return make<ReshapeOp>(suffix, withShape(type, {type.getNumElements()}),
                           repeated.vector);
  }
  Value repeat(Value vector, Type type, int64_t dim, StringRef suffix) {
    return make<BroadcastOp>(suffix, type, vector, ArrayRef<int64_t>{dim});
  }

private:
  PatternRewriter &rewriter;
  Operation *root;
};

/// The operand that is a repeated vector, and the other one.
struct Split {
  Value other;
  Repeated repeated;
};

std::optional<Split> splitRepeated(Operation *op) {
  for (unsigned i : {1, 0})
    if (auto repeated = repeatedVector(op->getOperand(i)))
      return Split{op->getOperand(1 - i), *repeated};
  return std::nullopt;
}

/// A product whose weight can take scales along a dimension of the result.
struct Scalable {
  Operation *product;
  int64_t weightDim;
};

/// The product behind `value`, if it is linear in a weight that is known before
/// and that walks the loops of dimension `dim` of the result.
std::optional<Scalable> scalable(Value value, int64_t dim) {
  Operation *op = value.getDefiningOp();
  auto publishes = dyn_cast_if_present<ShardingRuleOpInterface>(op);
  if (!publishes || op->hasTrait<OpTrait::Elementwise>() ||
      op->getNumOperands() != 2 || op->getNumResults() != 1 ||
      !value.hasOneUse() || !isKnownBefore(op->getOperand(1)) ||
      isKnownBefore(op->getOperand(0)))
    return std::nullopt;
  ShardingRule rule = publishes.getShardingRule();
  bool linear = llvm::any_of(rule.factors, [](const Factor &factor) {
    return factor.linearOperands == std::vector<unsigned>{1};
  });
  auto found = llvm::find(rule.operands[1], rule.results[0][dim]);
  if (!linear || found == rule.operands[1].end())
    return std::nullopt;
  return Scalable{op, found - rule.operands[1].begin()};
}

struct ScaleIntoWeight : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Split> split = splitRepeated(op);
    if (!split || !isFloatTensor(op))
      return failure();
    std::optional<Scalable> found = scalable(split->other, split->repeated.dim);
    if (!found)
      return failure();
    Operation *product = found->product;
    Maker maker(rewriter, product);
    Value weight = product->getOperand(1);
    Value scale = maker.repeat(maker.flat(split->repeated, ".scale"),
                               weight.getType(), found->weightDim, ".scales");
    weight = maker.make<MulOp>(".weight", weight.getType(), weight, scale);
    IRMapping mapping;
    mapping.map(product->getOperand(1), weight);
    Operation *scaled = rewriter.clone(*product, mapping);
    Covered covered;
    covered.add(product);
    covered.add(op);
    covered.identify(scaled, product);
    rewriter.replaceOp(op, scaled);
    rewriter.eraseOp(product);
    return success();
  }
};

/// (x + b) * s: the scale goes before the shift, where a product may take it.
struct ScaleBeforeShift : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Split> scaled = splitRepeated(op);
    auto add = scaled ? scaled->other.getDefiningOp<AddOp>() : AddOp();
    if (!add || !isFloatTensor(op) || !add->hasOneUse())
      return failure();
    std::optional<Split> shifted = splitRepeated(add);
    if (!shifted || shifted->repeated.dim != scaled->repeated.dim ||
        !scalable(shifted->other, scaled->repeated.dim))
      return failure();
    Maker maker(rewriter, add);
    Value s = maker.flat(scaled->repeated, ".scale"),
          b = maker.flat(shifted->repeated, ".shift");
    Type type = op.getType();
    Value x = maker.make<MulOp>(
        ".scaled", type, shifted->other,
        maker.repeat(s, type, scaled->repeated.dim, ".scales"));
    Value shift = maker.make<MulOp>(".bias", b.getType(), b, s);
    replaceWith<AddOp>(
        rewriter, op, {add}, type, x,
        maker.repeat(shift, type, scaled->repeated.dim, ".shifts"));
    return success();
  }
};

/// (x + b) + c: one vector is enough.
struct JoinShifts : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Split> second = splitRepeated(op);
    auto add = second ? second->other.getDefiningOp<AddOp>() : AddOp();
    if (!add || !isFloatTensor(op) || !add->hasOneUse())
      return failure();
    std::optional<Split> first = splitRepeated(add);
    if (!first || first->repeated.dim != second->repeated.dim ||
        isKnownBefore(first->other))
      return failure();
    Maker maker(rewriter, add);
    Value b = maker.flat(first->repeated, ".first"),
          c = maker.flat(second->repeated, ".second");
    Value sum = maker.make<AddOp>(".bias", b.getType(), b, c);
    replaceWith<AddOp>(
        rewriter, op, {add}, op.getType(), first->other,
        maker.repeat(sum, op.getType(), first->repeated.dim, ".shifts"));
    return success();
  }
};

} // namespace

void raising::addScalePatterns(RewritePatternSet &patterns) {
  patterns.add<ScaleIntoWeight, ScaleBeforeShift, JoinShifts>(
      patterns.getContext());
}
