//===- RaiseActivations.cpp - Finds gelu and silu -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Match.h"
#include "Passes.h"
#include <cmath>

namespace partita::raising {
#define GEN_PASS_DEF_RAISEACTIVATIONS
#include "lib/Raise/Passes.h.inc"
} // namespace partita::raising

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::raising;

namespace {

/// The other operand of an addition of one.
Value matchOnePlus(Value value, Covered &covered) {
  auto add = value.getDefiningOp<AddOp>();
  if (!add)
    return Value();
  for (auto [one, other] : {std::pair(add.getLhs(), add.getRhs()),
                            std::pair(add.getRhs(), add.getLhs())})
    if (splatOf(one) == 1.0) {
      covered.add(add);
      covered.add(one);
      return other;
    }
  return Value();
}

/// Whether a product is `constant` times x to the power `exponent`.
bool isMonomial(const Product &product, Value x, size_t exponent,
                double constant) {
  return product.factors.size() == exponent &&
         isNear(product.constant, constant, x) &&
         llvm::all_of(product.factors, [&](Value f) { return f == x; });
}

/// Whether `value` is x / sqrt(2), the argument of the error function.
bool matchErfArgument(Value value, Value x, Covered &covered) {
  Product product = flattenProduct(value);
  if (!isMonomial(product, x, 1, std::sqrt(0.5)))
    return false;
  covered.add(product.covered);
  return true;
}

/// Whether `value` is sqrt(2/pi) (x + 0.044715 x^3), or the same with x taken
/// out.
bool matchTanhArgument(Value value, Value x, Covered &covered) {
  const double outer = std::sqrt(2 / M_PI), inner = 0.044715;
  Product product = flattenProduct(value);
  if (!isNear(product.constant, outer, x))
    return false;
  covered.add(product.covered);
  if (product.factors.size() == 1) {
    auto add = product.factors[0].getDefiningOp<AddOp>();
    if (!add)
      return false;
    Value cube = add.getLhs() == x ? add.getRhs() : add.getLhs();
    Product power = flattenProduct(cube);
    covered.add(add);
    covered.add(power.covered);
    return (add.getLhs() == x || add.getRhs() == x) &&
           isMonomial(power, x, 3, inner);
  }
  if (product.factors.size() != 2)
    return false;
  for (int i : {0, 1}) {
    Covered sum;
    Value square = product.factors[i] == x
                       ? matchOnePlus(product.factors[1 - i], sum)
                       : Value();
    Product power = square ? flattenProduct(square) : Product();
    if (square && isMonomial(power, x, 2, inner)) {
      covered.add(sum);
      covered.add(power.covered);
      return true;
    }
  }
  return false;
}

/// 0.5 x (1 + erf(..)) or 0.5 x (1 + tanh(..)).
struct RaiseGelu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    Product product = flattenProduct(op);
    if (product.factors.size() != 2 || !isNear(product.constant, 0.5, op))
      return failure();
    for (int i : {0, 1}) {
      Value x = product.factors[i];
      Covered covered = product.covered;
      Value bell = matchOnePlus(product.factors[1 - i], covered);
      Operation *inner = bell ? bell.getDefiningOp() : nullptr;
      bool erf = isa_and_nonnull<ErfOp>(inner) &&
                 matchErfArgument(inner->getOperand(0), x, covered);
      bool tanh = isa_and_nonnull<TanhOp>(inner) &&
                  matchTanhArgument(inner->getOperand(0), x, covered);
      if (!erf && !tanh)
        continue;
      covered.add(inner);
      auto gelu = GeluOp::create(rewriter, op.getLoc(), op.getType(), x, tanh);
      covered.identify(gelu, op);
      rewriter.replaceOp(op, gelu);
      return success();
    }
    return failure();
  }
};

struct RaiseSilu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op,
                                PatternRewriter &rewriter) const override {
    for (auto [x, gate] : {std::pair(op.getLhs(), op.getRhs()),
                           std::pair(op.getRhs(), op.getLhs())}) {
      auto sigmoid = gate.getDefiningOp<SigmoidOp>();
      if (!sigmoid || sigmoid.getInput() != x)
        continue;
      Covered covered;
      covered.add(op);
      covered.add(sigmoid);
      auto silu = SiluOp::create(rewriter, op.getLoc(), op.getType(), x);
      covered.identify(silu, op);
      rewriter.replaceOp(op, silu);
      return success();
    }
    return failure();
  }
};

struct RaiseActivations
    : raising::impl::RaiseActivationsBase<RaiseActivations> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseGelu, RaiseSilu>(&getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
