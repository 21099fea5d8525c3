//===- LinearTest.cpp -----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include "lib/Interp/Gemm.h"
#include <cmath>
#include <random>

using namespace partita;
using namespace partita::test;

TEST_CASE("gemm equals the naive product at every block edge") {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> value(-1, 1);
  struct Size {
    int64_t m, n, k;
  };
  for (Size s : {Size{1, 1, 1},
                 {6, 8, 256},
                 {7, 9, 257},
                 {97, 513, 3},
                 {100, 20, 300},
                 {0, 4, 4},
                 {4, 4, 0}}) {
    INFO(s.m << "x" << s.n << "x" << s.k);
    std::vector<double> a(s.m * s.k), b(s.k * s.n), c(s.m * s.n, 0.5);
    for (double &x : a)
      x = value(random);
    for (double &x : b)
      x = value(random);
    // The rhs is stored transposed.
    interp::gemm(s.m, s.n, s.k,
                 {reinterpret_cast<std::byte *>(a.data()), DType::F64, s.k, 1},
                 {reinterpret_cast<std::byte *>(b.data()), DType::F64, 1, s.k},
                 c.data());
    double worst = 0;
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = 0.5;
        for (int64_t d = 0; d < s.k; ++d)
          sum += a[i * s.k + d] * b[j * s.k + d];
        worst = std::max(worst, std::abs(sum - c[i * s.n + j]));
      }
    CHECK(worst < 1e-12);
  }
}

TEST_CASE("matmul with one matrix and with batches") {
  checkValues(
      run("(%a: tensor<2x1x2xf64>, %b: tensor<2x2xf64>) -> tensor<2x1x2xf64> { "
          "%r = nn.matmul %a, %b : tensor<2x1x2xf64>, tensor<2x2xf64> return "
          "%r : tensor<2x1x2xf64> }",
          {f64({2, 1, 2}, {1, 2, 3, 4}), f64({2, 2}, {1, 10, 100, 1000})})[0],
      {201, 2010, 403, 4030});
  checkValues(
      run("(%a: tensor<2x1x2xf64>, %b: tensor<2x2x1xf64>) -> tensor<2x1x1xf64> "
          "{ %r = nn.matmul %a, %b : tensor<2x1x2xf64>, tensor<2x2x1xf64> "
          "return %r : tensor<2x1x1xf64> }",
          {f64({2, 1, 2}, {1, 2, 3, 4}),
           f64({2, 2, 1}, {1, 10, 100, 1000})})[0],
      {21, 4300});
}

TEST_CASE("matmul of integers is exact, of f32 accumulated in double") {
  int64_t big = (int64_t(1) << 60) + 1;
  checkInts(run("(%a: tensor<1x2xi64>, %b: tensor<2x1xi64>) -> tensor<1x1xi64> "
                "{ %r = nn.matmul %a, %b : tensor<1x2xi64>, tensor<2x1xi64> "
                "return %r : tensor<1x1xi64> }",
                {i64({1, 2}, {big, -big}), i64({2, 1}, {3, 2})})[0],
            {big});
  HostTensor row =
      tensor(DType::F32, {1, 3}, std::vector<double>{1e8, 1, -1e8});
  HostTensor ones = tensor(DType::F32, {3, 1}, std::vector<double>{1, 1, 1});
  checkValues(run("(%a: tensor<1x3xf32>, %b: tensor<3x1xf32>) -> "
                  "tensor<1x1xf32> { %r = nn.matmul %a, %b : tensor<1x3xf32>, "
                  "tensor<3x1xf32> return %r : tensor<1x1xf32> }",
                  {row, ones})[0],
              {1});
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// q = 0, so that all visible keys weigh the same.
static std::vector<HostTensor> uniformAttention(const std::string &extra,
                                                const std::string &maskType,
                                                HostTensor mask) {
  std::string q = "tensor<1x1x2x1xf64>", v = "tensor<1x1x3x1xf64>";
  std::vector<HostTensor> inputs = {f64({1, 1, 2, 1}, {0, 0}),
                                    f64({1, 1, 3, 1}, {1, 2, 3}),
                                    f64({1, 1, 3, 1}, {1, 10, 100})};
  std::string parameter, operand, type;
  if (!maskType.empty()) {
    parameter = ", %m: " + maskType;
    operand = " mask %m";
    type = ", " + maskType;
    inputs.push_back(std::move(mask));
  }
  return run("(%q: " + q + ", %k: " + v + ", %v: " + v + parameter + ") -> (" +
                 q + ", tensor<1x1x2xf64>) { %o, %l = nn.attention %q, %k, %v" +
                 operand + " scale 1.0" + extra + " : " + q + ", " + v + ", " +
                 v + type + " return %o, %l : " + q + ", tensor<1x1x2xf64> }",
             inputs);
}

TEST_CASE("attention weighs values") {
  auto plain = uniformAttention("", "", {});
  checkValues(plain[0], {37, 37});
  checkValues(plain[1], {std::log(3.0), std::log(3.0)});
}

TEST_CASE("causal attention aligns the last query with the last key") {
  auto causal = uniformAttention(" causal", "", {});
  checkValues(causal[0], {5.5, 37});
  checkValues(causal[1], {std::log(2.0), std::log(3.0)});
}

TEST_CASE("attention masks") {
  auto boolean = uniformAttention(
      "", "tensor<1x1x2x3xi1>",
      tensor<int64_t>(DType::Bool, {1, 1, 2, 3}, {1, 0, 1, 0, 0, 0}));
  checkValues(boolean[0], {50.5, 0});
  checkValues(boolean[1], {std::log(2.0), -inf});
  auto additive =
      uniformAttention("", "tensor<1x1x1x3xf64>",
                       f64({1, 1, 1, 3}, {std::log(1.0), std::log(3.0), -inf}));
  checkValues(additive[0], {7.75, 7.75});
  checkValues(additive[1], {std::log(4.0), std::log(4.0)});
}

TEST_CASE("grouped queries use the key head of their group") {
  // Four query heads on two key heads; one key each, so out is its value.
  auto out = run(
      "(%q: tensor<1x4x1x1xf64>, %k: tensor<1x2x1x1xf64>) -> "
      "tensor<1x4x1x1xf64> { %o, %l = nn.attention %q, %k, %k scale 0.5 : "
      "tensor<1x4x1x1xf64>, tensor<1x2x1x1xf64>, tensor<1x2x1x1xf64> return %o "
      ": tensor<1x4x1x1xf64> }",
      {f64({1, 4, 1, 1}, {1, 2, 3, 4}), f64({1, 2, 1, 1}, {7, 8})});
  checkValues(out[0], {7, 7, 8, 8});
}

TEST_CASE("attention scores are scaled dot products") {
  auto out = run(
      "(%q: tensor<1x1x1x2xf64>, %k: tensor<1x1x2x2xf64>, %v: "
      "tensor<1x1x2x1xf64>) -> (tensor<1x1x1x1xf64>, tensor<1x1x1xf64>) { %o, "
      "%l = nn.attention %q, %k, %v scale 0.5 : tensor<1x1x1x2xf64>, "
      "tensor<1x1x2x2xf64>, tensor<1x1x2x1xf64> return %o, %l : "
      "tensor<1x1x1x1xf64>, tensor<1x1x1xf64> }",
      {f64({1, 1, 1, 2}, {1, 2}), f64({1, 1, 2, 2}, {1, 1, 2, -1}),
       f64({1, 1, 2, 1}, {10, 20})});
  double a = std::exp(1.5), b = std::exp(0.0);
  checkValues(out[0], {(10 * a + 20 * b) / (a + b)}, 1e-13);
  checkValues(out[1], {std::log(a + b)});
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

static HostTensor rope(const std::string &flag) {
  std::string x = "tensor<1x1x2x4xf64>", c = "tensor<1x2x2xf64>";
  return run("(%x: " + x + ", %c: " + c + ", %s: " + c + ") -> " + x +
                 " { %r = nn.rope %x, %c, %s" + flag + " : " + x + ", " + c +
                 ", " + c + " return %r : " + x + " }",
             {f64({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}),
              f64({1, 2, 2}, {1, 0, 0.5, 1}), f64({1, 2, 2}, {0, 1, 2, 0})})[0];
}

TEST_CASE("rope rotates halves or pairs") {
  checkValues(rope(""), {1, -4, 3, 2, 2.5 - 14, 6, 3.5 + 10, 8});
  checkValues(rope(" interleaved"), {1, 2, -4, 3, 2.5 - 12, 3 + 10, 7, 8});
}
