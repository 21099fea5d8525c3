//===- Elementwise.cpp - Derivatives of operations on single elements -----===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where a function has a kink the derivative is the one that PyTorch takes:
// zero at zero for abs and relu, half for each side of an equal maximum or
// minimum.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"
#include "dialects/nn/Trigonometry.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::nn;
using namespace partita::training;

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

/// x is the operand, y the result: what comes back is dy/dx.
using Derivative = Value (*)(Grad &, Value x, Value y);

template <typename Op, Derivative derivative>
static void unary(Op op, Grad &g) {
  g.give(0, [&] {
    return g.mul(g.of(), derivative(g, op->getOperand(0), op->getResult(0)));
  });
}

/// Constant where it is differentiable at all.
template <typename Op> static void flat(Op, Grad &) {}

static Value dAbs(Grad &g, Value x, Value) { return g.unary<SignOp>(x); }
static Value dExp(Grad &, Value, Value y) { return y; }
static Value dLog(Grad &g, Value x, Value) { return g.unary<ReciprocalOp>(x); }
static Value dSqrt(Grad &g, Value, Value y) {
  return g.div(g.splat(y.getType(), 0.5), y);
}
static Value dRsqrt(Grad &g, Value, Value y) {
  return g.times(g.mul(y, g.square(y)), -0.5);
}
static Value dReciprocal(Grad &g, Value, Value y) { return g.neg(g.square(y)); }
static Value dTanh(Grad &g, Value, Value y) { return g.from(1, g.square(y)); }
static Value dSin(Grad &g, Value x, Value) { return g.unary<CosOp>(x); }
static Value dCos(Grad &g, Value x, Value) { return g.neg(g.unary<SinOp>(x)); }
/// c e^(-k x^2)
static Value bell(Grad &g, Value x, double c, double k) {
  return g.times(g.unary<ExpOp>(g.times(g.square(x), -k)), c);
}
static Value dErf(Grad &g, Value x, Value) {
  return bell(g, x, 2 / std::sqrt(M_PI), 1);
}
static Value dSigmoid(Grad &g, Value, Value y) {
  return g.mul(y, g.from(1, y));
}
/// s + y (1 - s) for s = sigmoid(x).
static Value dSilu(Grad &g, Value x, Value y) {
  Value s = g.unary<SigmoidOp>(x);
  return g.add(s, g.mul(y, g.from(1, s)));
}
static Value dAsin(Grad &g, Value x, Value) {
  return g.unary<RsqrtOp>(g.from(1, g.square(x)));
}
static Value dAcos(Grad &g, Value x, Value y) { return g.neg(dAsin(g, x, y)); }
static Value dAtan(Grad &g, Value x, Value) {
  return g.unary<ReciprocalOp>(g.plus(g.square(x), 1));
}
static Value dSinh(Grad &g, Value x, Value) { return g.unary<CoshOp>(x); }
static Value dCosh(Grad &g, Value x, Value) { return g.unary<SinhOp>(x); }
static Value dAsinh(Grad &g, Value x, Value) {
  return g.unary<RsqrtOp>(g.plus(g.square(x), 1));
}
static Value dAcosh(Grad &g, Value x, Value) {
  return g.unary<RsqrtOp>(g.plus(g.square(x), -1));
}
static Value dAtanh(Grad &g, Value x, Value) {
  return g.unary<ReciprocalOp>(g.from(1, g.square(x)));
}

static void negation(NegOp, Grad &g) {
  g.give(0, [&] { return g.neg(g.of()); });
}

static void relu(ReluOp op, Grad &g) {
  Value x = op.getInput();
  g.give(0, [&] {
    return g.keep(g.compare("gt", x, g.zeros(x.getType())), g.of());
  });
}

/// Of x F(x) with the normal distribution's F it is F(x) + x f(x); of the
/// approximation x/2 (1 + tanh u) it is (1 + t)/2 + x/2 (1 - t^2) du/dx.
static void gelu(GeluOp op, Grad &g) {
  Value x = op.getInput();
  g.give(0, [&] {
    Value slope;
    if (op.getTanh()) {
      double c = std::sqrt(2 / M_PI), k = 0.044715;
      Value squared = g.square(x);
      Value u = g.mul(x, g.plus(g.times(squared, c * k), c));
      Value t = g.unary<TanhOp>(u);
      Value du = g.plus(g.times(squared, 3 * c * k), c);
      Value inner = g.mul(g.mul(x, g.from(1, g.square(t))), du);
      slope = g.times(g.plus(g.add(t, inner), 1), 0.5);
    } else {
      Value erf = g.unary<ErfOp>(g.times(x, std::sqrt(0.5)));
      Value density = bell(g, x, 1 / std::sqrt(2 * M_PI), 0.5);
      slope = g.add(g.times(g.plus(erf, 1), 0.5), g.mul(x, density));
    }
    return g.mul(g.of(), slope);
  });
}

static void convert(CastOp op, Grad &g) {
  g.give(0,
         [&] { return g.cast(g.of(), getElementTypeOrSelf(op.getInput())); });
}

//===----------------------------------------------------------------------===//
// Two operands and more
//===----------------------------------------------------------------------===//

static void addition(AddOp, Grad &g) {
  g.give(0, [&] { return g.of(); });
  g.give(1, [&] { return g.of(); });
}

static void subtraction(SubOp, Grad &g) {
  g.give(0, [&] { return g.of(); });
  g.give(1, [&] { return g.neg(g.of()); });
}

static void product(MulOp op, Grad &g) {
  g.give(0, [&] { return g.mul(g.of(), op.getRhs()); });
  g.give(1, [&] { return g.mul(g.of(), op.getLhs()); });
}

static void quotient(DivOp op, Grad &g) {
  g.give(0, [&] { return g.div(g.of(), op.getRhs()); });
  g.give(1, [&] {
    return g.neg(g.mul(g.of(), g.div(op.getResult(), op.getRhs())));
  });
}

/// x - y floor(x / y).
static void modulus(ModOp op, Grad &g) {
  g.give(0, [&] { return g.of(); });
  g.give(1, [&] {
    Value floor = g.unary<FloorOp>(g.div(op.getLhs(), op.getRhs()));
    return g.neg(g.mul(g.of(), floor));
  });
}

/// To the exponent it is x^y log x, and zero where x is: x^y is constant there.
static void power(PowOp op, Grad &g) {
  Value x = op.getLhs(), y = op.getRhs(), zero;
  g.give(0, [&] {
    Value lower = g.binary<PowOp>(x, g.plus(y, -1));
    // Where the exponent is zero the power below it may be infinite.
    zero = g.zeros(x.getType());
    Value slope = g.select(g.compare("eq", y, zero), zero, g.mul(y, lower));
    return g.mul(g.of(), slope);
  });
  g.give(1, [&] {
    zero = g.zeros(x.getType());
    Value slope = g.mul(op.getResult(), g.unary<LogOp>(x));
    return g.mul(g.of(), g.select(g.compare("eq", x, zero), zero, slope));
  });
}

template <typename Op> static void extremum(Op op, Grad &g) {
  Value equal = g.compare("eq", op.getLhs(), op.getRhs());
  Value share = g.select(equal, g.times(g.of(), 0.5), g.of());
  bool isMax = std::is_same_v<Op, MaxOp>;
  const char *wins[] = {isMax ? "ge" : "le", isMax ? "le" : "ge"};
  for (unsigned i : {0u, 1u})
    g.give(i, [&] {
      return g.keep(g.compare(wins[i], op.getLhs(), op.getRhs()), share);
    });
}

static void selection(SelectOp op, Grad &g) {
  Value zero = g.zeros(op.getType());
  g.give(1, [&] { return g.select(op.getCondition(), g.of(), zero); });
  g.give(2, [&] { return g.select(op.getCondition(), zero, g.of()); });
}

template <typename Op, Derivative derivative>
static void attachUnary(MLIRContext &context) {
  attach<Op, unary<Op, derivative>>(context);
}

void training::attachElementwiseRules(MLIRContext &context) {
  attachUnary<AbsOp, dAbs>(context);
  attachUnary<ExpOp, dExp>(context);
  attachUnary<LogOp, dLog>(context);
  attachUnary<SqrtOp, dSqrt>(context);
  attachUnary<RsqrtOp, dRsqrt>(context);
  attachUnary<ReciprocalOp, dReciprocal>(context);
  attachUnary<TanhOp, dTanh>(context);
  attachUnary<SinOp, dSin>(context);
  attachUnary<CosOp, dCos>(context);
  attachUnary<ErfOp, dErf>(context);
  attachUnary<SigmoidOp, dSigmoid>(context);
  attachUnary<SiluOp, dSilu>(context);
  attachUnary<AsinOp, dAsin>(context);
  attachUnary<AcosOp, dAcos>(context);
  attachUnary<AtanOp, dAtan>(context);
  attachUnary<SinhOp, dSinh>(context);
  attachUnary<CoshOp, dCosh>(context);
  attachUnary<AsinhOp, dAsinh>(context);
  attachUnary<AcoshOp, dAcosh>(context);
  attachUnary<AtanhOp, dAtanh>(context);
  attach<FloorOp, flat<FloorOp>>(context);
  attach<CeilOp, flat<CeilOp>>(context);
  attach<RoundOp, flat<RoundOp>>(context);
  attach<SignOp, flat<SignOp>>(context);
  attach<NegOp, negation>(context);
  attach<ReluOp, relu>(context);
  attach<GeluOp, gelu>(context);
  attach<CastOp, convert>(context);
  attach<AddOp, addition>(context);
  attach<SubOp, subtraction>(context);
  attach<MulOp, product>(context);
  attach<DivOp, quotient>(context);
  attach<ModOp, modulus>(context);
  attach<PowOp, power>(context);
  attach<MaxOp, extremum<MaxOp>>(context);
  attach<MinOp, extremum<MinOp>>(context);
  attach<SelectOp, selection>(context);
}
