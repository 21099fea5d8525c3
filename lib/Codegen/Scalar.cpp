//===- Scalar.cpp - nn operations on single elements ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Types, and the dispatch over operations. Math.cpp has the functions.
//
//===----------------------------------------------------------------------===//

#include "Scalar.h"
#include "dialects/nn/Bits.h"
#include "dialects/nn/NN.h"
#include "dialects/nn/Trigonometry.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace partita;
using namespace partita::codegen;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

Type codegen::storageType(Type element) {
  if (!getDType(element))
    return {};
  MLIRContext *context = element.getContext();
  if (element.isBF16())
    return IntegerType::get(context, 16);
  if (auto integer = dyn_cast<IntegerType>(element))
    return IntegerType::get(context, std::max(8u, integer.getWidth()));
  return element;
}

Type codegen::computeType(Type element) {
  if (!getDType(element))
    return {};
  if (element.isF16() || element.isBF16())
    return Float32Type::get(element.getContext());
  if (auto integer = dyn_cast<IntegerType>(element))
    return IntegerType::get(element.getContext(), integer.getWidth());
  return element;
}

Value ScalarBuilder::fromStorage(Value value, Type element) {
  if (element.isF16())
    return arith::ExtFOp::create(b, loc, b.getF32Type(), value);
  if (element.isBF16()) {
    Type i32 = b.getI32Type();
    Value wide = arith::ExtUIOp::create(b, loc, i32, value);
    wide = arith::ShLIOp::create(b, loc, wide, integer(16, i32));
    return arith::BitcastOp::create(b, loc, b.getF32Type(), wide);
  }
  if (element.isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value,
                                 integer(0, value.getType()));
  return value;
}

Value ScalarBuilder::toStorage(Value value, Type element) {
  if (element.isF16())
    return arith::TruncFOp::create(b, loc, element, value);
  if (element.isBF16()) {
    // Round to nearest even; a NaN stays one.
    Type i32 = b.getI32Type();
    Value bits = arith::BitcastOp::create(b, loc, i32, value);
    Value sixteen = integer(16, i32);
    Value high = arith::ShRUIOp::create(b, loc, bits, sixteen);
    Value odd = arith::AndIOp::create(b, loc, high, integer(1, i32));
    Value bias = arith::AddIOp::create(b, loc, odd, integer(0x7FFF, i32));
    Value rounded = arith::AddIOp::create(b, loc, bits, bias);
    rounded = arith::ShRUIOp::create(b, loc, rounded, sixteen);
    Value isNaN =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, value, value);
    Value quiet = arith::OrIOp::create(b, loc, high, integer(0x40, i32));
    rounded = select(isNaN, quiet, rounded);
    return arith::TruncIOp::create(b, loc, b.getIntegerType(16), rounded);
  }
  if (element.isInteger(1))
    return arith::ExtUIOp::create(b, loc, b.getIntegerType(8), value);
  return value;
}

/// The element type that `op` computes in: that of its last operand.
static Type elementOf(Operation *op) {
  return getElementTypeOrSelf(op->getOperands().back().getType());
}

static Error unsupported(Operation *op) {
  std::string name = op->getName().getStringRef().str();
  std::string text;
  llvm::raw_string_ostream(text) << elementOf(op);
  return makeError(ExitCode::Unsupported, "codegen.operation", name,
                   "has no kernel for elements of type " + text);
}

int64_t codegen::elementCost(Operation *op) {
  return TypeSwitch<Operation *, int64_t>(op)
      .Case<nn::ExpOp, nn::LogOp, nn::TanhOp, nn::SinOp, nn::CosOp, nn::ErfOp,
            nn::SigmoidOp, nn::SiluOp, nn::GeluOp, nn::PowOp, nn::ModOp,
            nn::AsinOp, nn::AcosOp, nn::AtanOp, nn::SinhOp, nn::CoshOp,
            nn::AsinhOp, nn::AcoshOp, nn::AtanhOp>(
          [](Operation *) { return 20; })
      .Case<nn::DivOp, nn::SqrtOp, nn::RsqrtOp, nn::ReciprocalOp>(
          [](Operation *) { return 5; })
      .Default([](Operation *) { return 1; });
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static bool isUnsigned(Type element) {
  auto integer = dyn_cast<IntegerType>(element);
  return integer && (integer.isUnsigned() || integer.getWidth() == 1);
}

/// x^y for the exponents that models use, as products.
static std::optional<double> constantExponent(Operation *op) {
  auto constant = op->getOperand(1).getDefiningOp<nn::ConstantOp>();
  if (!constant)
    return std::nullopt;
  auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
  if (!splat || !isa<FloatType>(splat.getElementType()))
    return std::nullopt;
  return splat.getSplatValue<APFloat>().convertToDouble();
}

/// Null if it is none of these.
static Value trigonometry(OpBuilder &b, Location loc, Operation *op, Value x) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::SinOp) { return math::SinOp::create(b, loc, x); })
      .Case([&](nn::CosOp) { return math::CosOp::create(b, loc, x); })
      .Case([&](nn::AsinOp) { return math::AsinOp::create(b, loc, x); })
      .Case([&](nn::AcosOp) { return math::AcosOp::create(b, loc, x); })
      .Case([&](nn::AtanOp) { return math::AtanOp::create(b, loc, x); })
      .Case([&](nn::SinhOp) { return math::SinhOp::create(b, loc, x); })
      .Case([&](nn::CoshOp) { return math::CoshOp::create(b, loc, x); })
      .Case([&](nn::AsinhOp) { return math::AsinhOp::create(b, loc, x); })
      .Case([&](nn::AcoshOp) { return math::AcoshOp::create(b, loc, x); })
      .Case([&](nn::AtanhOp) { return math::AtanhOp::create(b, loc, x); })
      .Default([](Operation *) { return Value(); });
}

/// Null if there is no such operation on floats.
Value ScalarBuilder::applyFloat(Operation *op, ArrayRef<Value> x) {
  if (Value result = trigonometry(b, loc, op, x[0]))
    return result;
  Type type = x.back().getType();
  using arith::CmpFPredicate;
  auto one = [&] { return number(1.0, type); };
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::AbsOp) { return math::AbsFOp::create(b, loc, x[0]); })
      .Case([&](nn::NegOp) { return arith::NegFOp::create(b, loc, x[0]); })
      .Case([&](nn::ExpOp) { return exp(x[0]); })
      .Case([&](nn::LogOp) { return math::LogOp::create(b, loc, x[0]); })
      .Case([&](nn::SqrtOp) { return math::SqrtOp::create(b, loc, x[0]); })
      .Case([&](nn::RsqrtOp) {
        return div(one(), math::SqrtOp::create(b, loc, x[0]));
      })
      .Case([&](nn::ReciprocalOp) { return div(one(), x[0]); })
      .Case([&](nn::TanhOp) { return tanh(x[0]); })
      .Case([&](nn::ErfOp) { return erf(x[0]); })
      .Case([&](nn::SigmoidOp) { return sigmoid(x[0]); })
      .Case([&](nn::SiluOp) { return mul(x[0], sigmoid(x[0])); })
      .Case([&](nn::GeluOp gelu) { return this->gelu(x[0], gelu.getTanh()); })
      .Case([&](nn::ReluOp) {
        Value zero = number(0.0, type);
        return select(less(x[0], zero), zero, x[0]);
      })
      .Case([&](nn::FloorOp) { return math::FloorOp::create(b, loc, x[0]); })
      .Case([&](nn::CeilOp) { return math::CeilOp::create(b, loc, x[0]); })
      .Case(
          [&](nn::RoundOp) { return math::RoundEvenOp::create(b, loc, x[0]); })
      .Case([&](nn::SignOp) { return sign(x[0]); })
      .Case([&](nn::AddOp) { return add(x[0], x[1]); })
      .Case([&](nn::SubOp) { return sub(x[0], x[1]); })
      .Case([&](nn::MulOp) { return mul(x[0], x[1]); })
      .Case([&](nn::DivOp) { return div(x[0], x[1]); })
      .Case([&](nn::ModOp) { return floatMod(x[0], x[1]); })
      .Case([&](nn::MaxOp) {
        return arith::MaximumFOp::create(b, loc, x[0], x[1]);
      })
      .Case([&](nn::MinOp) {
        return arith::MinimumFOp::create(b, loc, x[0], x[1]);
      })
      .Case([&](nn::PowOp) -> Value {
        std::optional<double> exponent = constantExponent(op);
        if (exponent == 1.0)
          return x[0];
        if (exponent == 2.0)
          return mul(x[0], x[0]);
        if (exponent == 3.0)
          return mul(mul(x[0], x[0]), x[0]);
        return math::PowFOp::create(b, loc, x[0], x[1]);
      })
      .Default([](Operation *) { return Value(); });
}

/// Division rounding to zero, or the remainder with the sign of y; zero where y
/// is zero. The processor traps on that and on the one quotient that overflows.
Value ScalarBuilder::integerDivision(Value x, Value y, bool isUnsigned,
                                     bool remainder) {
  Type type = x.getType();
  Value zero = integer(0, type), one = integer(1, type);
  Value byZero =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, y, zero);
  if (isUnsigned) {
    Value safe = select(byZero, one, y);
    Value result = remainder ? Value(arith::RemUIOp::create(b, loc, x, safe))
                             : Value(arith::DivUIOp::create(b, loc, x, safe));
    return select(byZero, zero, result);
  }
  Value minusOne = integer(-1, type);
  Value byMinusOne =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, y, minusOne);
  Value trivial = arith::OrIOp::create(b, loc, byZero, byMinusOne);
  Value safe = select(trivial, one, y);
  if (!remainder) {
    Value quotient = arith::DivSIOp::create(b, loc, x, safe);
    Value negated = arith::SubIOp::create(b, loc, zero, x);
    return select(byZero, zero, select(byMinusOne, negated, quotient));
  }
  Value r = arith::RemSIOp::create(b, loc, x, safe);
  Value signs = arith::XOrIOp::create(b, loc, r, safe);
  Value differs =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, signs, zero);
  Value nonZero =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, r, zero);
  Value wrong = arith::AndIOp::create(b, loc, differs, nonZero);
  Value fixed = select(wrong, arith::AddIOp::create(b, loc, r, safe), r);
  return select(trivial, zero, fixed);
}

/// Shifts by an amount that need not be below the width, for which the
/// processor's shifts are undefined.
Value ScalarBuilder::shift(Value x, Value y, bool isUnsigned, bool left) {
  Type type = x.getType();
  Value limit = integer(type.getIntOrFloatBitWidth() - 1, type);
  // Unsigned, so that negative amounts are large.
  Value inside =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, y, limit);
  Value amount = select(inside, y, limit);
  if (!left && !isUnsigned)
    return arith::ShRSIOp::create(b, loc, x, amount);
  Value result = left ? Value(arith::ShLIOp::create(b, loc, x, amount))
                      : Value(arith::ShRUIOp::create(b, loc, x, amount));
  return select(inside, result, integer(0, type));
}

/// Null if it is none of these.
Value ScalarBuilder::applyBits(Operation *op, ArrayRef<Value> x,
                               bool isUnsigned) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::BitNotOp) {
        return arith::XOrIOp::create(b, loc, x[0], integer(-1, x[0].getType()));
      })
      .Case([&](nn::BitAndOp) {
        return arith::AndIOp::create(b, loc, x[0], x[1]);
      })
      .Case(
          [&](nn::BitOrOp) { return arith::OrIOp::create(b, loc, x[0], x[1]); })
      .Case([&](nn::BitXorOp) {
        return arith::XOrIOp::create(b, loc, x[0], x[1]);
      })
      .Case([&](nn::ShiftLeftOp) {
        return shift(x[0], x[1], isUnsigned, /*left=*/true);
      })
      .Case([&](nn::ShiftRightOp) {
        return shift(x[0], x[1], isUnsigned, /*left=*/false);
      })
      .Default([](Operation *) { return Value(); });
}

/// Null if there is no such operation on integers.
Value ScalarBuilder::applyInteger(Operation *op, ArrayRef<Value> x,
                                  IntegerType type) {
  bool u = type.isUnsigned();
  if (Value result = applyBits(op, x, u))
    return result;
  auto zero = [&] { return integer(0, x[0].getType()); };
  auto compareZero = [&](arith::CmpIPredicate predicate) {
    return arith::CmpIOp::create(b, loc, predicate, x[0], zero());
  };
  auto negated = [&] { return arith::SubIOp::create(b, loc, zero(), x[0]); };
  using arith::CmpIPredicate;
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::AbsOp) {
        return u ? x[0]
                 : select(compareZero(CmpIPredicate::slt), negated(), x[0]);
      })
      .Case([&](nn::NegOp) { return negated(); })
      .Case([&](nn::ReluOp) {
        return u ? x[0] : select(compareZero(CmpIPredicate::slt), zero(), x[0]);
      })
      .Case<nn::FloorOp, nn::CeilOp, nn::RoundOp>(
          [&](Operation *) { return x[0]; })
      .Case([&](nn::SignOp) -> Value {
        Type t = x[0].getType();
        Value nonZero =
            select(compareZero(CmpIPredicate::ne), integer(1, t), zero());
        return u ? nonZero
                 : select(compareZero(CmpIPredicate::slt), integer(-1, t),
                          nonZero);
      })
      .Case(
          [&](nn::AddOp) { return arith::AddIOp::create(b, loc, x[0], x[1]); })
      .Case(
          [&](nn::SubOp) { return arith::SubIOp::create(b, loc, x[0], x[1]); })
      .Case(
          [&](nn::MulOp) { return arith::MulIOp::create(b, loc, x[0], x[1]); })
      .Case([&](nn::DivOp) { return integerDivision(x[0], x[1], u, false); })
      .Case([&](nn::ModOp) { return integerDivision(x[0], x[1], u, true); })
      .Case([&](nn::MaxOp) {
        return u ? Value(arith::MaxUIOp::create(b, loc, x[0], x[1]))
                 : Value(arith::MaxSIOp::create(b, loc, x[0], x[1]));
      })
      .Case([&](nn::MinOp) {
        return u ? Value(arith::MinUIOp::create(b, loc, x[0], x[1]))
                 : Value(arith::MinSIOp::create(b, loc, x[0], x[1]));
      })
      .Case([&](nn::PowOp) -> Value {
        // Exact below 2^53, as in the formats' own definitions.
        Type f64 = b.getF64Type(), nnType = type;
        Value base = cast(x[0], nnType, f64),
              exponent = cast(x[1], nnType, f64);
        return cast(math::PowFOp::create(b, loc, base, exponent), f64, nnType);
      })
      .Default([](Operation *) { return Value(); });
}

/// Null if there is no such operation on booleans.
Value ScalarBuilder::applyBoolean(Operation *op, ArrayRef<Value> x) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](nn::NotOp) {
        return arith::XOrIOp::create(b, loc, x[0], integer(1, x[0].getType()));
      })
      .Case<nn::AndOp, nn::MulOp, nn::MinOp>([&](Operation *) {
        return arith::AndIOp::create(b, loc, x[0], x[1]);
      })
      .Case<nn::OrOp, nn::MaxOp>(
          [&](Operation *) { return arith::OrIOp::create(b, loc, x[0], x[1]); })
      .Case(
          [&](nn::XorOp) { return arith::XOrIOp::create(b, loc, x[0], x[1]); })
      .Default([](Operation *) { return Value(); });
}

Value ScalarBuilder::compare(StringRef predicate, Value x, Value y,
                             Type element) {
  if (isa<FloatType>(x.getType())) {
    using P = arith::CmpFPredicate;
    P p = llvm::StringSwitch<P>(predicate)
              .Case("eq", P::OEQ)
              .Case("ne", P::UNE)
              .Case("lt", P::OLT)
              .Case("le", P::OLE)
              .Case("gt", P::OGT)
              .Default(P::OGE);
    return arith::CmpFOp::create(b, loc, p, x, y);
  }
  using P = arith::CmpIPredicate;
  bool u = isUnsigned(element);
  P p = llvm::StringSwitch<P>(predicate)
            .Case("eq", P::eq)
            .Case("ne", P::ne)
            .Case("lt", u ? P::ult : P::slt)
            .Case("le", u ? P::ule : P::sle)
            .Case("gt", u ? P::ugt : P::sgt)
            .Default(u ? P::uge : P::sge);
  return arith::CmpIOp::create(b, loc, p, x, y);
}

/// Truncates, saturating; NaN is zero. The conversion itself sees only numbers
/// that it can convert.
Value ScalarBuilder::toInteger(Value x, IntegerType type) {
  Type from = x.getType();
  unsigned width = type.getWidth();
  bool u = type.isUnsigned();
  auto signless = b.getIntegerType(width);
  double low = u ? 0.0 : -std::ldexp(1.0, width - 1);
  double end = std::ldexp(1.0, u ? width : width - 1); // first above the range
  Value inside = arith::AndIOp::create(
      b, loc,
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, x,
                            number(low, from)),
      less(x, number(end, from)));
  Value zero = number(0.0, from);
  Value safe = select(inside, x, zero);
  Value converted = u ? Value(arith::FPToUIOp::create(b, loc, signless, safe))
                      : Value(arith::FPToSIOp::create(b, loc, signless, safe));
  APInt max = u ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width);
  APInt min = u ? APInt::getZero(width) : APInt::getSignedMinValue(width);
  auto bound = [&](APInt value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(signless, value));
  };
  Value above = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, x,
                                      number(end, from));
  Value below = less(x, number(low, from));
  return select(above, bound(max), select(below, bound(min), converted));
}

Value ScalarBuilder::cast(Value x, Type from, Type to) {
  Type target = computeType(to);
  if (to.isInteger(1)) {
    if (isa<FloatType>(x.getType()))
      return compare("ne", x, number(0.0, x.getType()), from);
    return compare("ne", x, integer(0, x.getType()), from);
  }
  if (isa<FloatType>(x.getType()) && isa<FloatType>(to)) {
    unsigned have = x.getType().getIntOrFloatBitWidth(),
             want = target.getIntOrFloatBitWidth();
    if (have < want)
      x = arith::ExtFOp::create(b, loc, target, x);
    else if (have > want)
      x = arith::TruncFOp::create(b, loc, target, x);
    // Half precision computes in f32, but a cast rounds.
    bool rounds = to != from && storageType(to) != target;
    return rounds ? fromStorage(toStorage(x, to), to) : x;
  }
  if (isa<FloatType>(x.getType()))
    return toInteger(x, llvm::cast<IntegerType>(to));
  bool u = isUnsigned(from);
  if (isa<FloatType>(to)) {
    Value result = u ? Value(arith::UIToFPOp::create(b, loc, target, x))
                     : Value(arith::SIToFPOp::create(b, loc, target, x));
    return storageType(to) != target ? fromStorage(toStorage(result, to), to)
                                     : result;
  }
  unsigned have = x.getType().getIntOrFloatBitWidth(),
           want = target.getIntOrFloatBitWidth();
  if (have == want)
    return x;
  if (have > want)
    return arith::TruncIOp::create(b, loc, target, x);
  return u ? Value(arith::ExtUIOp::create(b, loc, target, x))
           : Value(arith::ExtSIOp::create(b, loc, target, x));
}

Value ScalarBuilder::bitcast(Value x, Type from, Type to) {
  Type stored = storageType(to);
  x = toStorage(x, from);
  if (x.getType() != stored)
    x = arith::BitcastOp::create(b, loc, stored, x);
  return fromStorage(x, to);
}

Result<Value> ScalarBuilder::apply(Operation *op, ArrayRef<Value> x) {
  Type element = elementOf(op);
  if (auto compareOp = dyn_cast<nn::CompareOp>(op))
    return compare(compareOp.getPredicate(), x[0], x[1], element);
  if (isa<nn::SelectOp>(op))
    return select(x[0], x[1], x[2]);
  if (isa<nn::CastOp>(op))
    return cast(x[0], element,
                getElementTypeOrSelf(op->getResult(0).getType()));
  if (isa<nn::BitcastOp>(op))
    return bitcast(x[0], element,
                   getElementTypeOrSelf(op->getResult(0).getType()));
  Value result;
  if (isa<FloatType>(element))
    result = applyFloat(op, x);
  else if (element.isInteger(1))
    result = applyBoolean(op, x);
  else if (auto integer = dyn_cast<IntegerType>(element))
    result = applyInteger(op, x, integer);
  if (!result)
    return unsupported(op);
  return result;
}

Result<Value> ScalarBuilder::constant(Attribute value, Type element) {
  Type type = computeType(element);
  if (auto number = dyn_cast<FloatAttr>(value); number && type)
    return this->number(number.getValueAsDouble(), type);
  if (auto number = dyn_cast<IntegerAttr>(value); number && type)
    return Value(arith::ConstantOp::create(
        b, loc, b.getIntegerAttr(type, number.getValue())));
  return makeError(ExitCode::Unsupported, "codegen.constant", "nn.constant",
                   "has an element type without kernels");
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

static Error unsupportedReduction(StringRef kind, Type element) {
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return makeError(ExitCode::Unsupported, "codegen.reduction",
                   "nn.reduce " + kind.str(),
                   "has no kernel for elements of type " + text);
}

Result<Value> ScalarBuilder::reductionStart(StringRef kind, Type element) {
  Type type = computeType(element);
  double infinity = std::numeric_limits<double>::infinity();
  if (isa<FloatType>(element)) {
    double start = llvm::StringSwitch<double>(kind)
                       .Case("prod", 1.0)
                       .Case("max", -infinity)
                       .Case("min", infinity)
                       .Default(0.0);
    return number(start, type);
  }
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer || (integer.getWidth() == 1 && kind == "sum"))
    return unsupportedReduction(kind, element);
  unsigned width = integer.getWidth();
  bool u = isUnsigned(element);
  APInt start = APInt::getZero(width);
  if (kind == "prod")
    start = APInt(width, 1);
  else if (kind == "max")
    start = u ? APInt::getZero(width) : APInt::getSignedMinValue(width);
  else if (kind == "min")
    start = u ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width);
  return Value(
      arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, start)));
}

Result<Value> ScalarBuilder::reduceStep(StringRef kind, Type element,
                                        Value accumulator, Value value) {
  bool u = isUnsigned(element);
  if (isa<FloatType>(element)) {
    using Flags = arith::FastMathFlags;
    // Partial sums go in any order, so that they fill a vector; the sign of a
    // zero maximum is not kept.
    auto sum = arith::FastMathFlagsAttr::get(b.getContext(),
                                             Flags::contract | Flags::reassoc);
    auto bound = arith::FastMathFlagsAttr::get(b.getContext(), Flags::nsz);
    if (kind == "sum")
      return Value(arith::AddFOp::create(b, loc, accumulator, value, sum));
    if (kind == "prod")
      return Value(arith::MulFOp::create(b, loc, accumulator, value, sum));
    if (kind == "max")
      return Value(
          arith::MaximumFOp::create(b, loc, accumulator, value, bound));
    if (kind == "min")
      return Value(
          arith::MinimumFOp::create(b, loc, accumulator, value, bound));
    return unsupportedReduction(kind, element);
  }
  if (!isa<IntegerType>(element))
    return unsupportedReduction(kind, element);
  if (kind == "sum")
    return Value(arith::AddIOp::create(b, loc, accumulator, value));
  if (kind == "prod")
    return Value(arith::MulIOp::create(b, loc, accumulator, value));
  if (kind == "max")
    return u ? Value(arith::MaxUIOp::create(b, loc, accumulator, value))
             : Value(arith::MaxSIOp::create(b, loc, accumulator, value));
  if (kind == "min")
    return u ? Value(arith::MinUIOp::create(b, loc, accumulator, value))
             : Value(arith::MinSIOp::create(b, loc, accumulator, value));
  return unsupportedReduction(kind, element);
}
