//===- Math.cpp - exp, tanh, erf and what is made of them -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// f32 functions as straight-line arithmetic, so that loops over them vectorise.
// Relative errors against correctly rounded results stay below 2e-7 (a unit
// test walks over all of the range). f64 calls libm: it is for checking.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Math/IR/Math.h"
#include "Scalar.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

/// Products and sums may fuse; nothing else may be assumed of floats.
static arith::FastMathFlagsAttr contract(OpBuilder &b) {
  return arith::FastMathFlagsAttr::get(b.getContext(),
                                       arith::FastMathFlags::contract);
}

Value ScalarBuilder::number(double value, Type type) {
  return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, value));
}
Value ScalarBuilder::integer(int64_t value, Type type) {
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value));
}
Value ScalarBuilder::add(Value x, Value y) {
  return arith::AddFOp::create(b, loc, x, y, contract(b));
}
Value ScalarBuilder::sub(Value x, Value y) {
  return arith::SubFOp::create(b, loc, x, y, contract(b));
}
Value ScalarBuilder::mul(Value x, Value y) {
  return arith::MulFOp::create(b, loc, x, y, contract(b));
}
Value ScalarBuilder::div(Value x, Value y) {
  return arith::DivFOp::create(b, loc, x, y, contract(b));
}
Value ScalarBuilder::less(Value x, Value y) {
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, y);
}
Value ScalarBuilder::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, loc, condition, x, y);
}
Value ScalarBuilder::fma(Value x, Value y, double z) {
  return add(mul(x, y), number(z, x.getType()));
}

Value ScalarBuilder::polynomial(Value x, ArrayRef<double> coefficients) {
  Value sum = number(coefficients.front(), x.getType());
  for (double coefficient : coefficients.drop_front())
    sum = fma(sum, x, coefficient);
  return sum;
}

/// 2^n * e^r with n = round(x / ln 2) and |r| <= ln 2 / 2. The scale is applied
/// in two halves, so that results near the ends of the range round once and
/// overflow to infinity.
Value ScalarBuilder::exp(Value x) {
  if (!x.getType().isF32())
    return math::ExpOp::create(b, loc, x);
  Type f32 = x.getType(), i32 = b.getI32Type();
  // Comparisons with NaN are false: it passes both.
  Value high = number(89.0, f32), low = number(-104.0, f32);
  x = select(less(high, x), high, x);
  x = select(less(x, low), low, x);
  // Adding 1.5 * 2^23 leaves the rounded number in the low bits.
  Value magic = number(12582912.0, f32);
  Value shifted = add(mul(x, number(1.44269504088896341, f32)), magic);
  Value n = sub(shifted, magic);
  Value bits = arith::SubIOp::create(
      b, loc, arith::BitcastOp::create(b, loc, i32, shifted),
      integer(0x4B400000, i32));
  // The first part of ln 2 has few bits: its product with n is exact.
  Value r = sub(x, mul(n, number(0.693359375, f32)));
  r = sub(r, mul(n, number(-2.12194440e-4, f32)));
  Value p = polynomial(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                           4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  Value y = add(add(mul(p, mul(r, r)), r), number(1.0, f32));
  auto powerOfTwo = [&](Value exponent) -> Value {
    Value biased = arith::AddIOp::create(b, loc, exponent, integer(127, i32));
    Value raised = arith::ShLIOp::create(b, loc, biased, integer(23, i32));
    return arith::BitcastOp::create(b, loc, f32, raised);
  };
  Value half = arith::ShRSIOp::create(b, loc, bits, integer(1, i32));
  Value rest = arith::SubIOp::create(b, loc, bits, half);
  y = arith::MulFOp::create(b, loc, y, powerOfTwo(half));
  return arith::MulFOp::create(b, loc, y, powerOfTwo(rest));
}

/// Near zero an odd polynomial, elsewhere 1 - 2 / (e^2|x| + 1).
Value ScalarBuilder::tanh(Value x) {
  if (!x.getType().isF32())
    return math::TanhOp::create(b, loc, x);
  Type f32 = x.getType();
  Value one = number(1.0, f32), two = number(2.0, f32);
  Value magnitude = math::AbsFOp::create(b, loc, x);
  Value e = exp(mul(two, magnitude));
  Value large = sub(one, div(two, add(e, one)));
  large = math::CopySignOp::create(b, loc, large, x);
  Value z = mul(x, x);
  Value p =
      polynomial(z, {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                     1.33314422036e-1, -3.33332819422e-1});
  Value small = add(mul(mul(p, z), x), x);
  return select(less(magnitude, number(0.625, f32)), small, large);
}

/// Near zero an odd polynomial, elsewhere 1 - e^p(|x|).
Value ScalarBuilder::erf(Value x) {
  if (!x.getType().isF32())
    return math::ErfOp::create(b, loc, x);
  Type f32 = x.getType();
  Value magnitude = math::AbsFOp::create(b, loc, x);
  // erf(4) is 1 in f32; the bound keeps the powers finite.
  Value four = number(4.0, f32);
  Value t = select(less(four, magnitude), four, magnitude);
  Value p = polynomial(t, {-1.72853470e-5, 3.83197126e-4, -3.88396438e-3,
                           2.42546219e-2, -1.06777877e-1, -6.34846687e-1,
                           -1.28717512e-1});
  Value large = sub(number(1.0, f32), exp(sub(mul(p, t), t)));
  large = math::CopySignOp::create(b, loc, large, x);
  Value q =
      polynomial(mul(x, x), {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2,
                             1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  Value small = add(mul(q, x), x);
  return select(less(magnitude, number(0.927734375, f32)), small, large);
}

Value ScalarBuilder::sigmoid(Value x) {
  Value one = number(1.0, x.getType());
  return div(one, add(one, exp(arith::NegFOp::create(b, loc, x))));
}

Value ScalarBuilder::gelu(Value x, bool tanhForm) {
  Type type = x.getType();
  if (!tanhForm) {
    Value inner = erf(mul(x, number(0.70710678118654752, type)));
    return mul(mul(x, number(0.5, type)), add(inner, number(1.0, type)));
  }
  // (1 + tanh u) / 2 is the sigmoid of 2u, which does not cancel.
  constexpr double twice = 2 * 0.79788456080286536;
  Value x2 = mul(x, x);
  Value u = mul(x, fma(x2, number(twice * 0.044715, type), twice));
  return mul(x, sigmoid(u));
}

Value ScalarBuilder::sign(Value x) {
  Value zero = number(0.0, x.getType());
  Value one = number(1.0, x.getType());
  Value positive = select(less(zero, x), one, x);
  return select(less(x, zero), number(-1.0, x.getType()), positive);
}

/// The remainder with the sign of y.
Value ScalarBuilder::floatMod(Value x, Value y) {
  Value zero = number(0.0, x.getType());
  Value r = arith::RemFOp::create(b, loc, x, y);
  Value differs = arith::XOrIOp::create(b, loc, less(r, zero), less(y, zero));
  Value nonZero =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ONE, r, zero);
  Value wrong = arith::AndIOp::create(b, loc, differs, nonZero);
  return select(wrong, add(r, y), r);
}
