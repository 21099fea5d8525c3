//===- RaiseAttention.cpp - Finds scaled dot-product attention ------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From the last product back:
//
//   matmul(P, V)            P = softmax over keys, maybe behind casts
//   softmax(S)              S = a sum of scores and masks
//   S = T + mask            any number of masks, and select(c, T, low)
//   T = matmul(Q, K') * c   c a product of constants, also on Q and K'
//
// K' is [b, h, d, t]; nn.attention takes keys [b, g, t, d], so K' is transposed
// once more, which meets the transpose that made it.
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"

namespace partita::raising {
#define GEN_PASS_DEF_RAISEATTENTION
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// The parts of an attention as they were found.
struct Parts {
  Value query, keyTransposed, value;
  SmallVector<Value> masks;
  /// select(condition, scores, low), or with `inverted` the other way round.
  struct Guard {
    Value condition;
    double low;
    bool inverted;
  };
  SmallVector<Guard> guards;
  double scale = 1;
  Covered covered;
};

Value stripFloatCasts(Value value, Covered &covered) {
  while (auto cast = value.getDefiningOp<CastOp>()) {
    if (!isFloatTensor(cast.getInput()) || !isFloatTensor(value) ||
        !value.hasOneUse())
      break;
    covered.add(cast);
    value = cast.getInput();
  }
  return value;
}

/// The value without factors that are numbers, which go to `scale`.
Value stripScale(Value value, double &scale, Covered &covered,
                 bool mayHaveUses) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<MulOp, DivOp>(op) || !isFloatTensor(value) ||
        !(mayHaveUses || value.hasOneUse()))
      break;
    std::optional<double> right = splatOf(op->getOperand(1));
    std::optional<double> left =
        isa<MulOp>(op) ? splatOf(op->getOperand(0)) : std::nullopt;
    if (!right && !left)
      break;
    covered.add(op);
    scale *= isa<DivOp>(op) ? 1 / *right : right ? *right : *left;
    value = op->getOperand(right ? 0 : 1);
  }
  return value;
}

/// Whether a product of queries and keys is behind scales and casts.
bool leadsToScores(Value value) {
  Covered covered;
  double scale = 1;
  value = stripScale(stripFloatCasts(value, covered), scale, covered, false);
  Operation *op = stripFloatCasts(value, covered).getDefiningOp();
  if (isa_and_nonnull<MatMulOp>(op))
    return true;
  if (isa_and_nonnull<AddOp>(op))
    return leadsToScores(op->getOperand(0)) || leadsToScores(op->getOperand(1));
  if (auto select = dyn_cast_or_null<SelectOp>(op))
    return leadsToScores(select.getOnTrue()) ||
           leadsToScores(select.getOnFalse());
  return false;
}

/// Takes one mask off the scores; the remaining scores, or null if there is no
/// mask.
Value takeMask(Value scores, Parts &parts) {
  Operation *op = scores.getDefiningOp();
  if (!op || !scores.hasOneUse())
    return Value();
  if (auto add = dyn_cast<AddOp>(op)) {
    bool left = leadsToScores(add.getLhs());
    if (!left && !leadsToScores(add.getRhs()))
      return Value();
    parts.covered.add(op);
    parts.masks.push_back(left ? add.getRhs() : add.getLhs());
    return left ? add.getLhs() : add.getRhs();
  }
  auto select = dyn_cast<SelectOp>(op);
  if (!select)
    return Value();
  for (bool inverted : {false, true}) {
    Value rest = inverted ? select.getOnFalse() : select.getOnTrue();
    std::optional<double> low =
        splatOf(inverted ? select.getOnTrue() : select.getOnFalse());
    if (!low || *low > -1e4 || !leadsToScores(rest))
      continue;
    parts.covered.add(op);
    parts.guards.push_back({select.getCondition(), *low, inverted});
    return rest;
  }
  return Value();
}

/// p, if the value is p with zeros for NaN: exporters guard rows that are
/// masked as a whole, for which nn.attention gives zeros by itself.
Value stripNaNGuard(Value value, Covered &covered) {
  auto select = value.getDefiningOp<SelectOp>();
  auto compare =
      select ? select.getCondition().getDefiningOp<CompareOp>() : CompareOp();
  if (!compare || !value.hasOneUse() || compare.getPredicate() != "ne" ||
      compare.getLhs() != compare.getRhs() ||
      compare.getLhs() != select.getOnFalse() ||
      splatOf(select.getOnTrue()) != 0.0)
    return value;
  covered.add(select);
  covered.add(compare);
  return select.getOnFalse();
}

/// Whether nothing reads a softmax but the product and its guard.
bool isReadOnlyHere(Value softmax, const Value &probabilities) {
  for (Operation *user : softmax.getUsers())
    if (!isa<CompareOp, SelectOp, MatMulOp, CastOp>(user))
      return false;
  return softmax == probabilities ? softmax.hasOneUse() : true;
}

std::optional<Parts> matchAttention(MatMulOp root) {
  Parts parts;
  parts.value = root.getRhs();
  if (shapeOf(root.getLhs()).size() != shapeOf(parts.value).size())
    return std::nullopt;
  Value p = stripFloatCasts(root.getLhs(), parts.covered);
  p = stripNaNGuard(p, parts.covered);
  auto softmax = p.getDefiningOp<SoftmaxOp>();
  if (!softmax || !root.getLhs().hasOneUse() ||
      !isReadOnlyHere(softmax, root.getLhs()) ||
      softmax.getAxis() + 1 != shapeOf(p).size())
    return std::nullopt;
  parts.covered.add(softmax);
  Value scores = stripFloatCasts(softmax.getInput(), parts.covered);
  while (Value rest = takeMask(scores, parts))
    scores = stripFloatCasts(rest, parts.covered);
  scores = stripScale(scores, parts.scale, parts.covered, false);
  scores = stripFloatCasts(scores, parts.covered);
  auto product = scores.getDefiningOp<MatMulOp>();
  if (!product || !scores.hasOneUse() ||
      shapeOf(product.getRhs()).size() != shapeOf(parts.value).size())
    return std::nullopt;
  parts.covered.add(product);
  parts.covered.add(root);
  parts.query = stripScale(product.getLhs(), parts.scale, parts.covered, true);
  parts.keyTransposed =
      stripScale(product.getRhs(), parts.scale, parts.covered, true);
  return parts;
}

/// Makes the operands of nn.attention from the parts.
class Builder {
public:
  Builder(MatMulOp root, Parts &parts, PatternRewriter &rewriter)
      : root(root), parts(parts), rewriter(rewriter),
        rank(shapeOf(parts.value).size()) {}

  void build() {
    Value query = asRank4(parts.query, ".query");
    Value key = transposeKeys();
    Value value = asRank4(parts.value, ".value");
    // What repeats groups for all heads goes if it does so for both.
    Value groupedKey = ungroup(key), groupedValue = ungroup(value);
    if (groupedKey && groupedValue &&
        shapeOf(groupedKey)[1] == shapeOf(groupedValue)[1]) {
      key = groupedKey;
      value = groupedValue;
    }
    auto attention = AttentionOp::create(
        rewriter, root.getLoc(), query, key, value, mask(),
        APFloat(parts.scale), false, Attribute(), Attribute(), FloatAttr());
    parts.covered.identify(attention, root);
    Value out = attention.getOut();
    if (out.getType() != root.getType())
      out = helper<ReshapeOp>(".out", root.getType(), out);
    rewriter.replaceOp(root, out);
  }

private:
  template <typename Op, typename... Args>
  Value helper(StringRef suffix, Args &&...args) {
    Op op = Op::create(rewriter, root.getLoc(), std::forward<Args>(args)...);
    identifyHelper(op, root, suffix);
    return op->getResult(0);
  }

  /// Rank 3 is one batch of so many heads.
  Value asRank4(Value value, StringRef suffix) {
    Shape shape = shapeOf(value);
    if (shape.size() == 4)
      return value;
    shape.insert(shape.begin(), 1);
    return helper<ReshapeOp>(suffix, withShape(value.getType(), shape), value);
  }

  Value transposeKeys() {
    std::vector<int64_t> permutation;
    for (size_t d = 0; d < rank; ++d)
      permutation.push_back(int64_t(d));
    std::swap(permutation[rank - 1], permutation[rank - 2]);
    Value source = parts.keyTransposed;
    if (auto transpose = source.getDefiningOp<TransposeOp>()) {
      for (int64_t &dim : permutation)
        dim = transpose.getPermutation()[dim];
      source = transpose.getInput();
      parts.covered.add(transpose);
    }
    Value key = llvm::is_sorted(permutation)
                    ? source
                    : helper<TransposeOp>(".key", source, permutation);
    return asRank4(key, ".key4");
  }

  /// [b, g, t, d], if the value is that repeated to [b, g, r, t, d] and joined
  /// to [b, g * r, t, d], or the same before a transpose of heads and rows.
  Value ungroup(Value value) {
    auto transpose = value.getDefiningOp<TransposeOp>();
    bool swapped = transpose &&
                   transpose.getPermutation() == ArrayRef<int64_t>{0, 2, 1, 3};
    unsigned heads = swapped ? 2 : 1;
    auto join =
        (swapped ? transpose.getInput() : value).getDefiningOp<ReshapeOp>();
    auto repeat =
        join ? join.getInput().getDefiningOp<BroadcastOp>() : BroadcastOp();
    if (!repeat)
      return Value();
    Shape joined = shapeOf(join.getResult()), wide = shapeOf(repeat);
    Shape expected = wide;
    if (wide.size() != 5)
      return Value();
    expected[heads] *= expected[heads + 1];
    expected.erase(expected.begin() + heads + 1);
    if (expected != joined)
      return Value();
    // Nothing but the new dimension may be repeated.
    Shape narrow = wide;
    narrow[heads + 1] = 1;
    Shape kept(5, 1);
    for (auto [size, dim] :
         llvm::zip(shapeOf(repeat.getInput()), repeat.getDims()))
      kept[dim] = size;
    if (kept != narrow)
      return Value();
    narrow.erase(narrow.begin() + heads + 1);
    parts.covered.add(join);
    parts.covered.add(repeat);
    Value result = repeat.getInput();
    if (shapeOf(result) != narrow)
      result = helper<ReshapeOp>(".groups", withShape(value.getType(), narrow),
                                 result);
    if (swapped)
      result = helper<TransposeOp>(".grouped", result,
                                   ArrayRef<int64_t>{0, 2, 1, 3});
    return result;
  }

  /// All masks added, each as narrow as it was before it was repeated.
  Value mask() {
    Value sum;
    auto add = [&](Value mask) {
      if (splatOf(mask) == 0.0)
        return;
      if (!sum) {
        sum = mask;
        return;
      }
      Shape a = shapeOf(sum), b = shapeOf(mask);
      for (size_t d = 0; d < a.size(); ++d)
        a[d] = std::max(a[d], b[d]);
      RankedTensorType type = withShape(sum.getType(), a);
      sum = helper<AddOp>(".mask", type, repeated(sum, a), repeated(mask, a));
    };
    for (Value mask : parts.masks)
      add(narrowed(mask));
    for (auto [condition, low, inverted] : parts.guards) {
      Value keep = narrowed(condition);
      Type element = getElementTypeOrSelf(root.getType());
      auto type = RankedTensorType::get(shapeOf(keep), element);
      Value zeros = makeSplat(rewriter, root.getLoc(), type, 0);
      Value lows = makeSplat(rewriter, root.getLoc(), type, low);
      identifyHelper(zeros.getDefiningOp(), root, ".zero");
      identifyHelper(lows.getDefiningOp(), root, ".low");
      if (inverted)
        std::swap(zeros, lows);
      add(helper<SelectOp>(".guard", type, keep, zeros, lows));
    }
    return sum;
  }

  Value repeated(Value value, const Shape &shape) {
    if (shapeOf(value) == shape)
      return value;
    return helper<BroadcastOp>(".repeated", withShape(value.getType(), shape),
                               value, ArrayRef<int64_t>{0, 1, 2, 3});
  }

  /// A mask of the scores' shape as [b|1, h|1, s|1, t].
  Value narrowed(Value mask) {
    Shape shape(rank, 1);
    Value source = mask;
    if (std::optional<double> number = splatOf(mask)) {
      shape.back() = shapeOf(mask).back();
      Value splat = makeSplat(rewriter, root.getLoc(),
                              withShape(mask.getType(), shape), *number);
      identifyHelper(splat.getDefiningOp(), root, ".splat");
      return asRank4(splat, ".mask4");
    }
    auto broadcast = mask.getDefiningOp<BroadcastOp>();
    if (!broadcast)
      return asRank4(mask, ".mask4");
    source = broadcast.getInput();
    for (auto [size, dim] : llvm::zip(shapeOf(source), broadcast.getDims()))
      shape[dim] = size;
    RankedTensorType type = withShape(mask.getType(), shape);
    if (source.getType() != type)
      source = helper<ReshapeOp>(".mask4", type, source);
    int64_t keys = shapeOf(mask).back();
    if (shape.back() != keys) {
      shape.back() = keys;
      std::vector<int64_t> dims;
      for (size_t d = 0; d < rank; ++d)
        dims.push_back(int64_t(d));
      source = helper<BroadcastOp>(".keys", withShape(mask.getType(), shape),
                                   source, dims);
    }
    return asRank4(source, ".mask4");
  }

  MatMulOp root;
  Parts &parts;
  PatternRewriter &rewriter;
  size_t rank;
};

struct Raise : OpRewritePattern<MatMulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatMulOp op,
                                PatternRewriter &rewriter) const override {
    size_t rank = shapeOf(op.getType()).size();
    if (rank != 3 && rank != 4)
      return failure();
    std::optional<Parts> parts = matchAttention(op);
    Type element = getElementTypeOrSelf(op.getType());
    if (!parts || getElementTypeOrSelf(parts->query) != element ||
        getElementTypeOrSelf(parts->keyTransposed) != element)
      return failure();
    for (Value mask : parts->masks)
      if (getElementTypeOrSelf(mask) != element)
        return failure();
    Builder(op, *parts, rewriter).build();
    return success();
  }
};

struct RaiseAttention : raising::impl::RaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<::Raise>(&getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
