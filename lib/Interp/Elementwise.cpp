//===- Elementwise.cpp - Reference kernels on single elements -------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operation is a function object that accepts the types it is defined for:
// double, int64_t, uint64_t (Numbers.h). The kernel loads, applies and stores;
// an element type that the object does not accept is reported.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "dialects/nn/Bits.h"
#include "dialects/nn/Trigonometry.h"
#include <cmath>
#include <concepts>
#include <numbers>

using namespace mlir;
using namespace partita;
using namespace partita::interp;
using namespace partita::nn;

namespace {

template <typename T>
concept Real = std::same_as<T, double>;
template <typename T>
concept Integer = std::same_as<T, int64_t> || std::same_as<T, uint64_t>;

//===----------------------------------------------------------------------===//
// Function objects
//===----------------------------------------------------------------------===//

/// Of doubles only.
#define PARTITA_REAL(Name, expression)                                         \
  struct Name {                                                                \
    template <Real T> T operator()(T x) const { return expression; }           \
  };
/// Of doubles; integers are unchanged.
#define PARTITA_ROUNDING(Name, expression)                                     \
  struct Name {                                                                \
    template <Real T> T operator()(T x) const { return expression; }           \
    template <Integer T> T operator()(T x) const { return x; }                 \
  };
/// Of everything. Unsigned arithmetic makes integers wrap without undefined
/// behaviour.
#define PARTITA_BINARY(Name, real, integer)                                    \
  struct Name {                                                                \
    template <Real T> T operator()(T x, T y) const { return real; }            \
    template <Integer T> T operator()(T x, T y) const { return T(integer); }   \
  };
/// Of integers, and of booleans, which are 0 or 1.
#define PARTITA_INTEGER(Name, expression)                                      \
  struct Name {                                                                \
    template <Integer T> T operator()(T x, T y) const { return expression; }   \
  };

PARTITA_REAL(Exp, std::exp(x))
PARTITA_REAL(Log, std::log(x))
PARTITA_REAL(Sqrt, std::sqrt(x))
PARTITA_REAL(Rsqrt, 1 / std::sqrt(x))
PARTITA_REAL(Reciprocal, 1 / x)
PARTITA_REAL(Tanh, std::tanh(x))
PARTITA_REAL(Sin, std::sin(x))
PARTITA_REAL(Cos, std::cos(x))
PARTITA_REAL(Erf, std::erf(x))
PARTITA_REAL(Sigmoid, 1 / (1 + std::exp(-x)))
PARTITA_REAL(Silu, x / (1 + std::exp(-x)))
PARTITA_REAL(GeluErf, x / 2 * (1 + std::erf(x / std::numbers::sqrt2)))
PARTITA_REAL(GeluTanh, x / 2 *
                           (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                                          (x + 0.044715 * x * x * x))))
PARTITA_REAL(Asin, std::asin(x))
PARTITA_REAL(Acos, std::acos(x))
PARTITA_REAL(Atan, std::atan(x))
PARTITA_REAL(Sinh, std::sinh(x))
PARTITA_REAL(Cosh, std::cosh(x))
PARTITA_REAL(Asinh, std::asinh(x))
PARTITA_REAL(Acosh, std::acosh(x))
PARTITA_REAL(Atanh, std::atanh(x))
PARTITA_ROUNDING(Floor, std::floor(x))
PARTITA_ROUNDING(Ceil, std::ceil(x))
PARTITA_ROUNDING(Round, std::nearbyint(x))

struct Abs {
  template <Real T> T operator()(T x) const { return std::fabs(x); }
  uint64_t operator()(uint64_t x) const { return x; }
  int64_t operator()(int64_t x) const { return x < 0 ? 0 - uint64_t(x) : x; }
};
struct Neg {
  template <Real T> T operator()(T x) const { return -x; }
  template <Integer T> T operator()(T x) const { return T(0 - uint64_t(x)); }
};
struct Relu {
  template <Real T> T operator()(T x) const { return x < 0 ? 0 : x; }
  template <Integer T> T operator()(T x) const { return x > 0 ? x : 0; }
};
struct Sign {
  template <Real T> T operator()(T x) const {
    return x > 0 ? 1 : x < 0 ? -1 : x;
  }
  template <Integer T> T operator()(T x) const {
    return x > 0 ? T(1) : x == 0 ? T(0) : T(-1);
  }
};
struct Not {
  template <Integer T> T operator()(T x) const { return x == 0; }
};
struct BitNot {
  template <Integer T> T operator()(T x) const { return ~x; }
};

PARTITA_BINARY(Add, x + y, uint64_t(x) + uint64_t(y))
PARTITA_BINARY(Sub, x - y, uint64_t(x) - uint64_t(y))
PARTITA_BINARY(Mul, x *y, uint64_t(x) * uint64_t(y))
PARTITA_BINARY(Max, x != x || x > y ? x : y, x > y ? x : y)
PARTITA_BINARY(Min, x != x || x < y ? x : y, x < y ? x : y)
PARTITA_INTEGER(And, x &y)
PARTITA_INTEGER(Or, x | y)
PARTITA_INTEGER(Xor, x ^ y)

/// Integer divisors are not zero here. -1 is apart because the least integer
/// divided by it overflows.
struct Div {
  template <Real T> T operator()(T x, T y) const { return x / y; }
  uint64_t operator()(uint64_t x, uint64_t y) const { return x / y; }
  int64_t operator()(int64_t x, int64_t y) const {
    return y == -1 ? int64_t(0 - uint64_t(x)) : x / y;
  }
};
struct Mod {
  template <Real T> T operator()(T x, T y) const {
    T rest = std::fmod(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
  uint64_t operator()(uint64_t x, uint64_t y) const { return x % y; }
  int64_t operator()(int64_t x, int64_t y) const {
    int64_t rest = y == -1 ? 0 : x % y;
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
};
struct Pow {
  template <Real T> T operator()(T x, T y) const { return std::pow(x, y); }
  /// A negative exponent gives 1 / x^-y, truncated.
  template <Integer T> T operator()(T x, T y) const {
    if constexpr (std::is_signed_v<T>)
      if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint64_t result = 1, base = uint64_t(x);
    for (uint64_t n = uint64_t(y); n; n >>= 1, base *= base)
      if (n & 1)
        result *= base;
    return T(result);
  }
};

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

template <typename F> Result<Tensors> applyUnary(Operation *op, Operands in) {
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    if constexpr (std::invocable<F, T>) {
      std::vector<T> x = load<T>(in[0]);
      F f;
      for (T &value : x)
        value = f(value);
      return single(store(in[0].dtype(), in[0].shape(), x));
    } else {
      return typeError(op, in[0].dtype());
    }
  });
}

template <typename F> Result<Tensors> applyBinary(Operation *op, Operands in) {
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    if constexpr (std::invocable<F, T, T>) {
      std::vector<T> x = load<T>(in[0]), y = load<T>(in[1]);
      if constexpr (Integer<T> &&
                    (std::same_as<F, Div> || std::same_as<F, Mod>))
        if (llvm::is_contained(y, T(0)))
          return valueError(op, "divides an integer by zero");
      F f;
      for (size_t i = 0, n = x.size(); i < n; ++i)
        x[i] = f(x[i], y[i]);
      return single(store(in[0].dtype(), in[0].shape(), x));
    } else {
      return typeError(op, in[0].dtype());
    }
  });
}

template <typename Op, typename F>
Result<Tensors> unary(Op op, Operands in, const RankPlace &) {
  return applyUnary<F>(op, in);
}
template <typename Op, typename F>
Result<Tensors> binary(Op op, Operands in, const RankPlace &) {
  return applyBinary<F>(op, in);
}

/// Booleans only: elsewhere `and` could mean bits.
template <typename Op, typename F>
Result<Tensors> logical(Op op, Operands in, const RankPlace &) {
  if (in[0].dtype() != DType::Bool)
    return typeError(op, in[0].dtype());
  if constexpr (std::invocable<F, int64_t>)
    return applyUnary<F>(op, in);
  else
    return applyBinary<F>(op, in);
}

Result<Tensors> gelu(GeluOp op, Operands in, const RankPlace &) {
  return op.getTanh() ? applyUnary<GeluTanh>(op, in)
                      : applyUnary<GeluErf>(op, in);
}

/// By amounts below the width of the stored type; numbers are wider here.
template <bool left, typename T> T shifted(T x, T y, int64_t width) {
  bool inside = y >= 0 && y < T(width);
  if (left)
    return inside ? T(uint64_t(x) << y) : T(0);
  return inside ? x >> y : x < 0 ? T(-1) : T(0);
}

template <typename Op, bool left>
Result<Tensors> shift(Op op, Operands in, const RankPlace &) {
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    if constexpr (Integer<T>) {
      std::vector<T> x = load<T>(in[0]), y = load<T>(in[1]);
      int64_t width = 8 * int64_t(dtypeSize(in[0].dtype()));
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = shifted<left>(x[i], y[i], width);
      return single(store(in[0].dtype(), in[0].shape(), x));
    } else {
      return typeError(op, in[0].dtype());
    }
  });
}

Result<Tensors> bitcast(BitcastOp op, Operands in, const RankPlace &) {
  HostTensor result(*getDType(getElementTypeOrSelf(op.getType())),
                    in[0].shape());
  std::memcpy(result.data(), in[0].data(), in[0].numBytes());
  return single(std::move(result));
}

template <typename T> bool holds(StringRef predicate, T x, T y) {
  if (predicate == "eq")
    return x == y;
  if (predicate == "ne")
    return x != y;
  if (predicate == "lt")
    return x < y;
  if (predicate == "le")
    return x <= y;
  if (predicate == "gt")
    return x > y;
  return x >= y;
}

Result<Tensors> compare(CompareOp op, Operands in, const RankPlace &) {
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    std::vector<T> x = load<T>(in[0]), y = load<T>(in[1]);
    HostTensor result(DType::Bool, in[0].shape());
    for (size_t i = 0; i < x.size(); ++i)
      result.as<uint8_t>()[i] = holds(op.getPredicate(), x[i], y[i]);
    return single(std::move(result));
  });
}

Result<Tensors> select(SelectOp, Operands in, const RankPlace &) {
  HostTensor result = in[2].clone();
  size_t size = dtypeSize(result.dtype());
  for (int64_t i = 0; i < result.numElements(); ++i)
    if (in[0].as<uint8_t>()[i])
      std::memcpy(result.data() + i * size, in[1].data() + i * size, size);
  return single(std::move(result));
}

Result<Tensors> castElements(CastOp op, Operands in, const RankPlace &) {
  Type element = getElementTypeOrSelf(op.getResult());
  std::optional<DType> to = getDType(element);
  if (!to)
    return makeError(ExitCode::Unsupported, "interp.element-type", describe(op),
                     "casts to a type that cannot be stored");
  return dispatch(in[0].dtype(), [&](auto tag) -> Result<Tensors> {
    using T = typename decltype(tag)::type;
    return single(store(*to, in[0].shape(), load<T>(in[0])));
  });
}

template <typename Op, typename F> void attachUnary(MLIRContext &context) {
  attach<Op, unary<Op, F>>(context);
}
template <typename Op, typename F> void attachBinary(MLIRContext &context) {
  attach<Op, binary<Op, F>>(context);
}
template <typename Op, typename F> void attachLogical(MLIRContext &context) {
  attach<Op, logical<Op, F>>(context);
}

} // namespace

void interp::attachElementwiseModels(MLIRContext &context) {
  attachUnary<AbsOp, Abs>(context);
  attachUnary<NegOp, Neg>(context);
  attachUnary<ExpOp, Exp>(context);
  attachUnary<LogOp, Log>(context);
  attachUnary<SqrtOp, Sqrt>(context);
  attachUnary<RsqrtOp, Rsqrt>(context);
  attachUnary<ReciprocalOp, Reciprocal>(context);
  attachUnary<TanhOp, Tanh>(context);
  attachUnary<SinOp, Sin>(context);
  attachUnary<CosOp, Cos>(context);
  attachUnary<ErfOp, Erf>(context);
  attachUnary<SigmoidOp, Sigmoid>(context);
  attachUnary<ReluOp, Relu>(context);
  attachUnary<SiluOp, Silu>(context);
  attachUnary<FloorOp, Floor>(context);
  attachUnary<CeilOp, Ceil>(context);
  attachUnary<RoundOp, Round>(context);
  attachUnary<SignOp, Sign>(context);
  attachUnary<AsinOp, Asin>(context);
  attachUnary<AcosOp, Acos>(context);
  attachUnary<AtanOp, Atan>(context);
  attachUnary<SinhOp, Sinh>(context);
  attachUnary<CoshOp, Cosh>(context);
  attachUnary<AsinhOp, Asinh>(context);
  attachUnary<AcoshOp, Acosh>(context);
  attachUnary<AtanhOp, Atanh>(context);
  attachLogical<NotOp, Not>(context);
  attach<GeluOp, gelu>(context);
  attachBinary<AddOp, Add>(context);
  attachBinary<SubOp, Sub>(context);
  attachBinary<MulOp, Mul>(context);
  attachBinary<DivOp, Div>(context);
  attachBinary<ModOp, Mod>(context);
  attachBinary<PowOp, Pow>(context);
  attachBinary<MaxOp, Max>(context);
  attachBinary<MinOp, Min>(context);
  attachLogical<AndOp, And>(context);
  attachLogical<OrOp, Or>(context);
  attachLogical<XorOp, Xor>(context);
  attachUnary<BitNotOp, BitNot>(context);
  attachBinary<BitAndOp, And>(context);
  attachBinary<BitOrOp, Or>(context);
  attachBinary<BitXorOp, Xor>(context);
  attach<ShiftLeftOp, shift<ShiftLeftOp, true>>(context);
  attach<ShiftRightOp, shift<ShiftRightOp, false>>(context);
  attach<BitcastOp, bitcast>(context);
  attach<CompareOp, compare>(context);
  attach<SelectOp, select>(context);
  attach<CastOp, castElements>(context);
}
