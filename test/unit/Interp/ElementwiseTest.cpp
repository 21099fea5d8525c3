//===- ElementwiseTest.cpp ------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"

using namespace partita;
using namespace partita::test;

static std::string tensorType(size_t n, const std::string &element) {
  return "tensor<" + std::to_string(n) + "x" + element + ">";
}

/// nn.`op` of one operand in f64.
static void checkUnary(const std::string &op, std::vector<double> x,
                       std::vector<double> expected, double tolerance = 1e-14) {
  std::string t = tensorType(x.size(), "f64");
  INFO(op);
  checkValues(run("(%a: " + t + ") -> " + t + " {\n  %r = nn." + op + " : " +
                      t + "\n  return %r : " + t + "\n}",
                  {f64({int64_t(x.size())}, x)})[0],
              expected, tolerance);
}

static std::string binaryText(const std::string &op, const std::string &t) {
  return "(%a: " + t + ", %b: " + t + ") -> " + t + " {\n  %r = nn." + op +
         " %a, %b : " + t + "\n  return %r : " + t + "\n}";
}
static void checkBinary(const std::string &op, std::vector<double> x,
                        std::vector<double> y, std::vector<double> expected) {
  INFO(op);
  int64_t n = x.size();
  checkValues(
      run(binaryText(op, tensorType(n, "f64")), {f64({n}, x), f64({n}, y)})[0],
      expected);
}
static void checkIntBinary(const std::string &op, std::vector<int64_t> x,
                           std::vector<int64_t> y,
                           std::vector<int64_t> expected) {
  INFO(op);
  int64_t n = x.size();
  checkInts(
      run(binaryText(op, tensorType(n, "i64")), {i64({n}, x), i64({n}, y)})[0],
      expected);
}

TEST_CASE("unary operations on floats") {
  checkUnary("abs %a", {-1.5, 0, 2}, {1.5, 0, 2});
  checkUnary("neg %a", {-1.5, 0, 2}, {1.5, 0, -2});
  checkUnary("exp %a", {0, 1, -inf}, {1, 2.718281828459045, 0});
  checkUnary("log %a", {1, 2.718281828459045, 0, -1}, {0, 1, -inf, NaN});
  checkUnary("sqrt %a", {0, 2.25, -1}, {0, 1.5, NaN});
  checkUnary("rsqrt %a", {4, 0.25}, {0.5, 2});
  checkUnary("reciprocal %a", {4, -0.5, 0}, {0.25, -2, inf});
  checkUnary("tanh %a", {0, 0.5, 100}, {0, 0.46211715726000975, 1});
  checkUnary("sin %a", {0, 0.5}, {0, 0.479425538604203});
  checkUnary("asin %a", {0.5, 2}, {0.5235987755982989, NaN});
  checkUnary("acos %a", {0.5, -1}, {1.0471975511965979, 3.141592653589793});
  checkUnary("atan %a", {1, -inf}, {0.7853981633974483, -1.5707963267948966});
  checkUnary("sinh %a", {1, 0}, {1.1752011936438014, 0});
  checkUnary("cosh %a", {1, 0}, {1.5430806348152437, 1});
  checkUnary("asinh %a", {1, 0}, {0.881373587019543, 0});
  checkUnary("acosh %a", {2, 0}, {1.3169578969248166, NaN});
  checkUnary("atanh %a", {0.5, 1}, {0.5493061443340548, inf});
  checkUnary("cos %a", {0, 0.5}, {1, 0.8775825618903728});
  checkUnary("erf %a", {0, 0.5, -2},
             {0, 0.5204998778130465, -0.9953222650189527});
  checkUnary("sigmoid %a", {0, 2, -1000}, {0.5, 0.8807970779778823, 0});
  checkUnary("relu %a", {-2, 0, 3, NaN}, {0, 0, 3, NaN});
  checkUnary("silu %a", {0, 2, -1},
             {0, 1.7615941559557649, -0.2689414213699951});
  checkUnary("floor %a", {-1.5, 2.7}, {-2, 2});
  checkUnary("ceil %a", {-1.5, 2.2}, {-1, 3});
  checkUnary("round %a", {0.5, 1.5, 2.5, -0.5, -1.5, 2.4}, {0, 2, 2, 0, -2, 2});
  checkUnary("sign %a", {-3, 0, 5, NaN}, {-1, 0, 1, NaN});
  checkUnary("gelu %a", {0, 1, -2},
             {0, 0.8413447460685429, -0.04550026389635842});
  checkUnary("gelu %a {tanh}", {0, 1, -2},
             {0, 0.8411919906082768, -0.04540230591222494});
}

TEST_CASE("binary operations on floats") {
  checkBinary("add", {1, 2}, {10, -2}, {11, 0});
  checkBinary("sub", {1, 2}, {10, -2}, {-9, 4});
  checkBinary("mul", {1.5, 2}, {2, -2}, {3, -4});
  checkBinary("div", {3, 1, 0}, {2, 0, 0}, {1.5, inf, NaN});
  checkBinary("mod", {7, -7, 7, -7, 6}, {3, 3, -3, -3, 3}, {1, 2, -2, -1, 0});
  checkBinary("pow", {2, 9, -8}, {10, 0.5, 3}, {1024, 3, -512});
  checkBinary("max", {1, 5, NaN, 1}, {2, 3, 1, NaN}, {2, 5, NaN, NaN});
  checkBinary("min", {1, 5, NaN, 1}, {2, 3, 1, NaN}, {1, 3, NaN, NaN});
}

TEST_CASE("binary operations on integers are exact and wrap") {
  int64_t big = (int64_t(1) << 53) + 1, least = INT64_MIN;
  checkIntBinary("add", {big, INT64_MAX}, {big, 1}, {2 * big, least});
  checkIntBinary("sub", {big, least}, {1, 1}, {big - 1, INT64_MAX});
  checkIntBinary("mul", {big, 3}, {3, -4}, {3 * big, -12});
  checkIntBinary("div", {7, -7, 7, least}, {2, 2, -2, -1}, {3, -3, -3, least});
  checkIntBinary("mod", {7, -7, 7, -7, least}, {3, 3, -3, -3, -1},
                 {1, 2, -2, -1, 0});
  checkIntBinary("pow", {3, -2, 2, -1, 5}, {5, 3, -1, -3, 0},
                 {243, -8, 0, -1, 1});
  checkIntBinary("max", {big, -1}, {big - 1, 1}, {big, 1});
  checkIntBinary("min", {big, -1}, {big - 1, 1}, {big - 1, -1});
}

TEST_CASE("narrow and unsigned integers") {
  std::string t = tensorType(2, "i8");
  checkInts(
      run(binaryText("add", t), {tensor<int64_t>(DType::I8, {2}, {127, -128}),
                                 tensor<int64_t>(DType::I8, {2}, {1, -1})})[0],
      {-128, 127});
  t = tensorType(1, "ui64");
  checkInts(
      run(binaryText("div", t), {tensor<int64_t>(DType::U64, {1}, {-2}),
                                 tensor<int64_t>(DType::U64, {1}, {2})})[0],
      {INT64_MAX});
  checkInts(
      run(binaryText("max", t), {tensor<int64_t>(DType::U64, {1}, {-2}),
                                 tensor<int64_t>(DType::U64, {1}, {2})})[0],
      {-2});
}

TEST_CASE("integers divided by zero are an error, not a crash") {
  std::string t = tensorType(2, "i64");
  for (const char *op : {"div", "mod"}) {
    auto result = tryRun("func.func @f" + binaryText(op, t),
                         {i64({2}, {1, 2}), i64({2}, {1, 0})});
    REQUIRE(!result);
    CHECK(result.error().exit == ExitCode::InvalidInput);
    CHECK(result.error().code == "interp.value");
  }
}

TEST_CASE("operations that are not defined for integers say so") {
  auto result = tryRun("func.func @f(%a: tensor<1xi32>) -> tensor<1xi32> {\n"
                       "  %r = nn.exp %a : tensor<1xi32>\n"
                       "  return %r : tensor<1xi32>\n}",
                       {tensor<int64_t>(DType::I32, {1}, {1})});
  REQUIRE(!result);
  CHECK(result.error().exit == ExitCode::Unsupported);
}

TEST_CASE("logical operations") {
  HostTensor a = tensor<int64_t>(DType::Bool, {4}, {0, 0, 1, 1});
  HostTensor b = tensor<int64_t>(DType::Bool, {4}, {0, 1, 0, 1});
  std::string t = tensorType(4, "i1");
  checkInts(run(binaryText("and", t), {a, b})[0], {0, 0, 0, 1});
  checkInts(run(binaryText("or", t), {a, b})[0], {0, 1, 1, 1});
  checkInts(run(binaryText("xor", t), {a, b})[0], {0, 1, 1, 0});
  checkInts(run("(%a: " + t + ") -> " + t + " { %r = nn.not %a : " + t +
                    " return %r : " + t + " }",
                {a})[0],
            {1, 1, 0, 0});
}

TEST_CASE("operations on bits") {
  checkIntBinary("bit_and", {12, -1}, {10, 7}, {8, 7});
  checkIntBinary("bit_or", {12, -8}, {10, 7}, {14, -1});
  checkIntBinary("bit_xor", {12, -1}, {10, 7}, {6, -8});
  checkIntBinary("shift_left", {3, -3, 1, 1, 1}, {2, 2, 63, 64, -1},
                 {12, -12, INT64_MIN, 0, 0});
  checkIntBinary("shift_right", {7, -7, -1, 5, -5}, {1, 1, 63, 64, -1},
                 {3, -4, -1, 0, -1});
  std::string u8 = tensorType(3, "ui8");
  HostTensor x = tensor<int64_t>(DType::U8, {3}, {200, 1, 255});
  HostTensor by = tensor<int64_t>(DType::U8, {3}, {1, 8, 7});
  checkInts(run(binaryText("shift_left", u8), {x, by})[0], {144, 0, 128});
  checkInts(run(binaryText("shift_right", u8), {x, by})[0], {100, 0, 1});
  checkInts(run("(%a: " + u8 + ") -> " + u8 + " {\n  %r = nn.bit_not %a : " +
                    u8 + "\n  return %r : " + u8 + "\n}",
                {x})[0],
            {55, 254, 0});
  HostTensor bits = run("(%a: tensor<2xf32>) -> tensor<2xi32> {\n  %r = "
                        "nn.bitcast %a : tensor<2xf32> to tensor<2xi32>\n  "
                        "return %r : tensor<2xi32>\n}",
                        {tensor<double>(DType::F32, {2}, {1, -0.0})})[0];
  checkInts(bits, {0x3F800000, INT32_MIN});
}

TEST_CASE("compare") {
  auto compare = [](const std::string &predicate) {
    return run("(%a: tensor<4xf64>, %b: tensor<4xf64>) -> tensor<4xi1> {\n"
               "  %r = nn.compare \"" +
                   predicate +
                   "\", %a, %b : tensor<4xf64>\n  return %r : tensor<4xi1>\n}",
               {f64({4}, {1, 2, 3, NaN}), f64({4}, {2, 2, 2, NaN})})[0];
  };
  checkInts(compare("eq"), {0, 1, 0, 0});
  checkInts(compare("ne"), {1, 0, 1, 1});
  checkInts(compare("lt"), {1, 0, 0, 0});
  checkInts(compare("le"), {1, 1, 0, 0});
  checkInts(compare("gt"), {0, 0, 1, 0});
  checkInts(compare("ge"), {0, 1, 1, 0});
}

TEST_CASE("select") {
  checkValues(run("(%c: tensor<3xi1>, %a: tensor<3xf64>, %b: tensor<3xf64>) -> "
                  "tensor<3xf64> { %r = nn.select %c, %a, %b : tensor<3xi1>, "
                  "tensor<3xf64> return %r : tensor<3xf64> }",
                  {tensor<int64_t>(DType::Bool, {3}, {1, 0, 1}),
                   f64({3}, {1, 2, 3}), f64({3}, {-1, -2, NaN})})[0],
              {1, -2, 3});
}

static HostTensor castTo(const HostTensor &input, const std::string &from,
                         const std::string &to) {
  std::string n = std::to_string(input.numElements()) + "x";
  return run("(%a: tensor<" + n + from + ">) -> tensor<" + n + to +
                 "> { %r = nn.cast %a : tensor<" + n + from + "> to tensor<" +
                 n + to + "> return %r : tensor<" + n + to + "> }",
             {input})[0];
}

TEST_CASE("cast") {
  checkInts(castTo(f64({4}, {-1.9, 1.9, 3e9, NaN}), "f64", "i64"),
            {-1, 1, 3000000000, 0});
  checkInts(castTo(f64({4}, {0, 0.25, -0.0, NaN}), "f64", "i1"), {0, 1, 0, 1});
  checkInts(castTo(i64({3}, {0, 256, -1}), "i64", "i1"), {0, 1, 1});
  checkInts(castTo(i64({2}, {300, -1}), "i64", "ui8"), {44, 255});
  checkValues(castTo(i64({1}, {16777217}), "i64", "f32"), {16777216});
}

TEST_CASE("casts to half precision round once") {
  // 1 + 2^-11 is the middle between two halves; 2^-40 above it must round up,
  // although rounding to f32 first would give the middle and then the even one.
  double above = 1 + 0x1p-11 + 0x1p-40;
  checkValues(castTo(f64({3}, {above, 1 + 0x1p-11, -above}), "f64", "f16"),
              {1 + 0x1p-10, 1, -1 - 0x1p-10});
  above = 1 + 0x1p-8 + 0x1p-40;
  checkValues(castTo(f64({3}, {above, 1 + 0x1p-8, -above}), "f64", "bf16"),
              {1 + 0x1p-7, 1, -1 - 0x1p-7});
  int64_t middle = (int64_t(1) << 40) + (int64_t(1) << 32);
  checkValues(castTo(i64({2}, {middle, middle + 1}), "i64", "bf16"),
              {0x1p40, 0x1p40 + 0x1p33});
  checkValues(castTo(f64({4}, {1e6, -inf, NaN, 0x1p-25}), "f64", "f16"),
              {inf, -inf, NaN, 0});
}
