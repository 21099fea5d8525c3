//===- KeyBias.cpp - Biases that a softmax cancels ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A bias of the key projection adds the same vector to all keys, so the same
// number q . bias to all scores of a query, and a softmax does not change when
// the same number is added to all of its elements:
//
//   softmax(q (k + 1 b^T)^T + mask) = softmax(q k^T + (q . b) 1^T + mask)
//                                   = softmax(q k^T + mask)
//
// The addition goes, and with it a parameter that no output depends on. The
// logarithm of the sums (lse) does change: where something reads it, it stays.
//
//===----------------------------------------------------------------------===//

#include "Simplify.h"
#include <numeric>

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// Reshapes and transposes between an addition and the keys that it makes.
struct BiasedKeys {
  AddOp add;
  Value unbiased;
  SmallVector<Operation *> moves; ///< the last first
};

/// The input's dimension that is dimension `dim` of the result, if one is.
std::optional<int64_t> sourceDim(ReshapeOp op, int64_t dim) {
  Shape from = shapeOf(op.getInput()), to = shapeOf(op.getResult());
  auto product = std::multiplies<int64_t>();
  int64_t outside =
      std::accumulate(to.begin(), to.begin() + dim, int64_t(1), product);
  int64_t before = 1;
  for (auto [d, size] : llvm::enumerate(from)) {
    if (before == outside && size == to[dim])
      return d;
    before *= size;
  }
  return std::nullopt;
}

/// Whether all of `value` along `dim` is equal because it is repeated there.
bool isRepeatedAlong(Value value, int64_t dim) {
  auto broadcast = value.getDefiningOp<BroadcastOp>();
  if (!broadcast)
    return false;
  Shape from = shapeOf(broadcast.getInput());
  for (auto [i, to] : llvm::enumerate(broadcast.getDims()))
    if (to == dim)
      return from[i] == 1;
  return true;
}

/// Finds an addition behind the keys that is the same along their dimension
/// `dim`.
std::optional<BiasedKeys> findBias(Value keys, int64_t dim) {
  BiasedKeys found;
  while (Operation *op = keys.getDefiningOp()) {
    if (auto add = dyn_cast<AddOp>(op)) {
      found.add = add;
      for (unsigned bias : {1, 0})
        if (isRepeatedAlong(add->getOperand(bias), dim)) {
          found.unbiased = add->getOperand(1 - bias);
          return found;
        }
      return std::nullopt;
    }
    std::optional<int64_t> source;
    if (auto transpose = dyn_cast<TransposeOp>(op))
      source = transpose.getPermutation()[dim];
    else if (auto reshape = dyn_cast<ReshapeOp>(op))
      source = sourceDim(reshape, dim);
    if (!source)
      return std::nullopt;
    dim = *source;
    found.moves.push_back(op);
    keys = op->getOperand(0);
  }
  return std::nullopt;
}

struct DropKeyBias : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    constexpr int64_t sequence = 2; // of keys [b, g, t, d]
    if (!op.getLse().use_empty() || shapeOf(op.getKey())[sequence] < 2)
      return failure();
    std::optional<BiasedKeys> biased = findBias(op.getKey(), sequence);
    if (!biased)
      return failure();
    Value keys = biased->unbiased;
    for (Operation *move : llvm::reverse(biased->moves)) {
      IRMapping mapping;
      mapping.map(move->getOperand(0), keys);
      Operation *copy = rewriter.clone(*move, mapping);
      if (!move->hasOneUse()) // Otherwise it goes, and this is it.
        identifyHelper(copy, move, ".unbiased");
      keys = copy->getResult(0);
    }
    rewriter.modifyOpInPlace(op, [&] { op.getKeyMutable().assign(keys); });
    for (Operation *move : biased->moves)
      if (move->use_empty())
        rewriter.eraseOp(move);
    Covered covered;
    covered.add(biased->add);
    covered.identify(op, op);
    return success();
  }
};

} // namespace

void raising::addAttentionPatterns(RewritePatternSet &patterns) {
  patterns.add<DropKeyBias>(patterns.getContext());
}
