//===- MathTest.cpp - Accuracy of elementwise kernels ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include <catch2/catch.hpp>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>

using namespace partita;
using namespace partita::test;

static std::string unary(const std::string &op, int64_t n,
                         const std::string &type = "f32") {
  std::string t = "tensor<" + std::to_string(n) + "x" + type + ">";
  return "module { func.func @f(%x: " + t + ") -> " + t + " { %y = nn." + op +
         " : " + t + " return %y : " + t + " } }";
}

/// Every float whose bits are a multiple of an odd step, infinities and NaN.
static HostTensor manyFloats() {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < (uint64_t(1) << 32); bits += 4099) {
    uint32_t word = uint32_t(bits);
    float value;
    std::memcpy(&value, &word, 4);
    values.push_back(value);
  }
  for (float x = -110; x < 110; x += 0.0003f)
    values.push_back(x);
  for (float x : {0.f, -0.f, INFINITY, -INFINITY, NAN, 1.f, -1.f})
    values.push_back(x);
  int64_t n = values.size();
  return tensor({n}, values);
}

/// Largest relative error against `exact`; where the result is below the normal
/// numbers, the absolute error relative to the least of these.
static double worstError(const std::string &op,
                         const std::function<double(double)> &exact) {
  HostTensor x = manyFloats();
  int64_t n = x.numElements();
  HostTensor y = LocalProgram(unary(op, n)).run({x})[0];
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    double want = exact(x.as<float>()[i]), have = y.as<float>()[i];
    double scale = std::max(std::abs(want), double(FLT_MIN));
    double error = std::isnan(want)          ? !std::isnan(have)
                   : std::isinf(float(want)) ? have != float(want)
                                             : std::abs(have - want) / scale;
    // A NaN that should not be is an error too.
    if (!(error < 0.3))
      FAIL(op << " of " << x.as<float>()[i] << " is " << have << ", not "
              << want);
    if (std::abs(want) >= FLT_MIN)
      worst = std::max(worst, error);
  }
  return worst;
}

TEST_CASE("functions are accurate over all of f32", "[codegen]") {
  auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  CHECK(worstError("exp %x", [](double x) { return std::exp(x); }) < 2e-7);
  CHECK(worstError("tanh %x", [](double x) { return std::tanh(x); }) < 2e-7);
  CHECK(worstError("erf %x", [](double x) { return std::erf(x); }) < 2e-7);
  CHECK(worstError("sigmoid %x", sigmoid) < 3e-7);
}

TEST_CASE("elementwise functions follow their definitions", "[codegen]") {
  struct Case {
    const char *op;
    std::function<double(double)> exact;
    double low, high;
  };
  const double root2 = std::sqrt(2.0);
  const Case cases[] = {
      {"abs %x", [](double x) { return std::abs(x); }, -5, 5},
      {"neg %x", [](double x) { return -x; }, -5, 5},
      {"log %x", [](double x) { return std::log(x); }, 0, 50},
      {"sqrt %x", [](double x) { return std::sqrt(x); }, 0, 50},
      {"rsqrt %x", [](double x) { return 1 / std::sqrt(x); }, 0.01, 50},
      {"reciprocal %x", [](double x) { return 1 / x; }, 0.1, 50},
      {"sin %x", [](double x) { return std::sin(x); }, -100, 100},
      {"cos %x", [](double x) { return std::cos(x); }, -100, 100},
      {"asin %x", [](double x) { return std::asin(x); }, -1, 1},
      {"acos %x", [](double x) { return std::acos(x); }, -1, 1},
      {"atan %x", [](double x) { return std::atan(x); }, -50, 50},
      {"sinh %x", [](double x) { return std::sinh(x); }, -9, 9},
      {"cosh %x", [](double x) { return std::cosh(x); }, -9, 9},
      {"asinh %x", [](double x) { return std::asinh(x); }, -50, 50},
      {"acosh %x", [](double x) { return std::acosh(x); }, 1, 50},
      {"atanh %x", [](double x) { return std::atanh(x); }, -0.9, 0.9},
      {"relu %x", [](double x) { return x < 0 ? 0 : x; }, -5, 5},
      {"silu %x", [](double x) { return x / (1 + std::exp(-x)); }, -20, 20},
      {"floor %x", [](double x) { return std::floor(x); }, -9, 9},
      {"ceil %x", [](double x) { return std::ceil(x); }, -9, 9},
      {"round %x", [](double x) { return std::nearbyint(x); }, -9, 9},
      {"sign %x", [](double x) { return double((x > 0) - (x < 0)); }, -9, 9},
      {"gelu %x", [=](double x) { return x / 2 * (1 + std::erf(x / root2)); },
       -6, 6},
      {"gelu %x {tanh}",
       [](double x) {
         double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
         return x / 2 * (1 + std::tanh(u));
       },
       -6, 6},
  };
  for (const Case &c : cases)
    for (DType dtype : {DType::F32, DType::F64, DType::F16, DType::BF16}) {
      HostTensor x = randomTensor({1013}, 7, c.low, c.high, dtype);
      HostTensor y =
          LocalProgram(unary(c.op, 1013, std::string(dtypeName(dtype))))
              .run({x})[0];
      double unit = dtype == DType::F64   ? 1e-13
                    : dtype == DType::F32 ? 6e-7
                    : dtype == DType::F16 ? 6e-4
                                          : 4.5e-3;
      for (int64_t i = 0; i < 1013; ++i) {
        double want = c.exact(x.getDouble(i)), have = y.getDouble(i);
        INFO(c.op << " of " << x.getDouble(i) << " in " << dtypeName(dtype));
        // gelu's left tail is a difference of nearly equal numbers.
        REQUIRE(std::abs(have - want) <= unit * std::max(std::abs(want), 0.5));
      }
    }
}

static std::string binary(const std::string &op, const std::string &type,
                          const std::string &result) {
  std::string t = "tensor<8x" + type + ">", r = "tensor<8x" + result + ">";
  return "module { func.func @f(%x: " + t + ", %y: " + t + ") -> " + r +
         " { %z = nn." + op + " %x, %y : " + t + " return %z : " + r + " } }";
}

static HostTensor integers(DType dtype, const std::vector<int64_t> &values) {
  HostTensor result(dtype, {int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i)
    result.setInt(i, values[i]);
  return result;
}

TEST_CASE("integer kernels are defined for every input", "[codegen]") {
  const int64_t low = INT64_MIN;
  HostTensor x = integers(DType::I64, {7, -7, 7, -7, 5, low, low, 0});
  HostTensor y = integers(DType::I64, {2, 2, -2, -2, 0, -1, 1, 3});
  auto check = [&](const char *op, std::vector<int64_t> want) {
    HostTensor z = LocalProgram(binary(op, "i64", "i64")).run({x, y})[0];
    for (int i = 0; i < 8; ++i) {
      INFO(op << " at " << i);
      CHECK(z.getInt(i) == want[i]);
    }
  };
  check("div", {3, -3, -3, 3, 0, low, low, 0});
  check("mod", {1, 1, -1, -1, 0, 0, 0, 0});
  check("max", {7, 2, 7, -2, 5, -1, 1, 3});
  check("sub", {5, -9, 9, -5, 5, low + 1, INT64_MAX, -3});
}

TEST_CASE("shifts are defined for every amount", "[codegen]") {
  HostTensor x = integers(DType::I8, {3, -3, 1, 1, -5, 7, -7, -128});
  HostTensor y = integers(DType::I8, {2, 2, 7, 8, -1, 1, 1, 7});
  auto check = [&](const char *op, std::vector<int64_t> want) {
    HostTensor z = LocalProgram(binary(op, "i8", "i8")).run({x, y})[0];
    for (int i = 0; i < 8; ++i) {
      INFO(op << " at " << i);
      CHECK(z.getInt(i) == want[i]);
    }
  };
  check("shift_left", {12, -12, -128, 0, 0, 14, -14, 0});
  check("shift_right", {0, -1, 0, 0, -1, 3, -4, -1});
  check("bit_and", {2, 0, 1, 0, -5, 1, 1, 0});
  check("bit_or", {3, -1, 7, 9, -1, 7, -7, -121});
  check("bit_xor", {1, -1, 6, 9, 4, 6, -8, -121});
}

TEST_CASE("bits of one type are those of another", "[codegen]") {
  HostTensor x = integers(DType::I16, {0, 1, -1, 0x3C00, 0x3F80, -2, 5, 77});
  for (const char *to : {"f16", "bf16", "ui16"}) {
    std::string r = "tensor<8x" + std::string(to) + ">";
    HostTensor y =
        LocalProgram("module { func.func @f(%x: tensor<8xi16>) -> " + r +
                     " { %y = nn.bitcast %x : tensor<8xi16> to " + r +
                     " return %y : " + r + " } }")
            .run({x})[0];
    for (int i : {0, 1, 3, 4, 6, 7}) // The others are NaN.
      CHECK(y.as<uint16_t>()[i] == x.as<uint16_t>()[i]);
  }
}

TEST_CASE("unsigned and small integers compare and wrap as such", "[codegen]") {
  HostTensor x = integers(DType::U8, {0, 1, 127, 128, 200, 255, 255, 3});
  HostTensor y = integers(DType::U8, {255, 1, 128, 127, 100, 1, 255, 4});
  HostTensor sum = LocalProgram(binary("add", "ui8", "ui8")).run({x, y})[0];
  HostTensor less =
      LocalProgram(binary("compare \"lt\",", "ui8", "i1")).run({x, y})[0];
  for (int i = 0; i < 8; ++i) {
    CHECK(sum.getInt(i) == ((x.getInt(i) + y.getInt(i)) & 255));
    CHECK(less.getInt(i) == (x.getInt(i) < y.getInt(i)));
  }
}

TEST_CASE("casts saturate, truncate and round", "[codegen]") {
  auto castText = [](const char *from, const char *to) {
    std::string a = "tensor<8x" + std::string(from) + ">",
                r = "tensor<8x" + std::string(to) + ">";
    return "module { func.func @f(%x: " + a + ") -> " + r +
           " { %y = nn.cast %x : " + a + " to " + r + " return %y : " + r +
           " } }";
  };
  HostTensor x =
      tensor({8}, {1.9f, -1.9f, 3e9f, -3e9f, NAN, INFINITY, -INFINITY, 0.f});
  HostTensor y = LocalProgram(castText("f32", "i32")).run({x})[0];
  const int64_t wantInt[] = {1, -1,        INT32_MAX, INT32_MIN,
                             0, INT32_MAX, INT32_MIN, 0};
  for (int i = 0; i < 8; ++i)
    CHECK(y.getInt(i) == wantInt[i]);
  HostTensor u = LocalProgram(castText("f32", "ui8")).run({x})[0];
  const int64_t wantU8[] = {1, 0, 255, 0, 0, 255, 0, 0};
  for (int i = 0; i < 8; ++i)
    CHECK(u.getInt(i) == wantU8[i]);
  HostTensor truth = LocalProgram(castText("f32", "i1")).run({x})[0];
  for (int i = 0; i < 8; ++i)
    CHECK(truth.getInt(i) == (i != 7));
  HostTensor r = randomTensor({8}, 3, -70000, 70000);
  for (const char *to : {"f16", "bf16"}) {
    DType dtype = *parseDType(to);
    HostTensor half = LocalProgram(castText("f32", to)).run({r})[0];
    HostTensor want = r.cast(dtype);
    for (int i = 0; i < 8; ++i)
      CHECK(half.as<uint16_t>()[i] == want.as<uint16_t>()[i]);
  }
}

TEST_CASE("what has no kernel is an error that names the operation",
          "[codegen]") {
  Error error = compileError(unary("exp %x", 4, "i64"));
  CHECK(error.exit == ExitCode::Unsupported);
  CHECK(error.code == "codegen.operation");
  CHECK(error.place.find("nn.exp") != std::string::npos);
}
