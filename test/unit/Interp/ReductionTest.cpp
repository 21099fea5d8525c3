//===- ReductionTest.cpp --------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Harness.h"
#include <cmath>

using namespace partita;
using namespace partita::test;

static HostTensor reduce(const std::string &kind, const std::string &axes,
                         const std::string &result, const HostTensor &input,
                         const std::string &type) {
  return run("(%a: " + type + ") -> " + result + " { %r = nn.reduce \"" + kind +
                 "\", %a " + axes + " : " + type + " return %r : " + result +
                 " }",
             {input})[0];
}

TEST_CASE("reduce") {
  HostTensor x = f64({2, 3}, {1, 2, 3, -4, 5, 6});
  std::string t = "tensor<2x3xf64>";
  checkValues(reduce("sum", "[1]", "tensor<2xf64>", x, t), {6, 7});
  checkValues(reduce("sum", "[0]", "tensor<3xf64>", x, t), {-3, 7, 9});
  checkValues(reduce("prod", "[0, 1]", "tensor<f64>", x, t), {-720});
  checkValues(reduce("max", "[1]", "tensor<2xf64>", x, t), {3, 6});
  checkValues(reduce("min", "[1]", "tensor<2xf64>", x, t), {1, -4});
  checkValues(reduce("max", "[0]", "tensor<2xf64>", f64({2, 2}, {NaN, 1, 2, 3}),
                     "tensor<2x2xf64>"),
              {NaN, 3});
}

TEST_CASE("reduce integers, and nothing at all") {
  int64_t big = (int64_t(1) << 60) + 1;
  checkInts(reduce("sum", "[0]", "tensor<i64>", i64({3}, {big, 1, -big}),
                   "tensor<3xi64>"),
            {1});
  checkInts(
      reduce("max", "[0]", "tensor<i64>", i64({2}, {-5, -7}), "tensor<2xi64>"),
      {-5});
  checkInts(reduce("max", "[0]", "tensor<i8>",
                   tensor<int64_t>(DType::I8, {0}, {}), "tensor<0xi8>"),
            {-128});
  checkInts(reduce("min", "[0]", "tensor<ui16>",
                   tensor<int64_t>(DType::U16, {0}, {}), "tensor<0xui16>"),
            {65535});
  checkValues(
      reduce("max", "[0]", "tensor<f64>", f64({0}, {}), "tensor<0xf64>"),
      {-inf});
}

static HostTensor alike(const std::string &op, const HostTensor &input,
                        const std::string &type) {
  return run("(%a: " + type + ") -> " + type + " { %r = nn." + op + " : " +
                 type + " return %r : " + type + " }",
             {input})[0];
}

TEST_CASE("cumsum") {
  HostTensor x = f64({2, 3}, {1, 2, 3, 4, 5, 6});
  std::string t = "tensor<2x3xf64>";
  checkValues(alike("cumsum %a axis 1", x, t), {1, 3, 6, 4, 9, 15});
  checkValues(alike("cumsum %a axis 0", x, t), {1, 2, 3, 5, 7, 9});
  checkValues(alike("cumsum %a axis 1 exclusive", x, t), {0, 1, 3, 0, 4, 9});
  checkValues(alike("cumsum %a axis 1 reverse", x, t), {6, 5, 3, 15, 11, 6});
  checkValues(alike("cumsum %a axis 1 exclusive reverse", x, t),
              {5, 3, 0, 11, 6, 0});
}

TEST_CASE("softmax") {
  HostTensor x = f64({2, 2}, {std::log(1.0), std::log(3.0), 1000, -inf});
  checkValues(alike("softmax %a axis 1", x, "tensor<2x2xf64>"),
              {0.25, 0.75, 1, 0});
  checkValues(alike("softmax %a axis 0",
                    f64({2, 1}, {std::log(1.0), std::log(3.0)}),
                    "tensor<2x1xf64>"),
              {0.25, 0.75});
}

TEST_CASE("norms") {
  HostTensor x = f64({2, 2}, {1, 3, -2, 2}), scale = f64({2}, {10, 20}),
             bias = f64({2}, {1, 2});
  std::string t = "tensor<2x2xf64>", v = "tensor<2xf64>";
  std::string tail = " return %r : " + t + " }";
  checkValues(
      run("(%x: " + t + ", %s: " + v + ", %b: " + v + ") -> " + t +
              " { %r = nn.layer_norm %x, %s, %b epsilon 3.0 : " + t + ", " + v +
              ", " + v + tail,
          {x, scale, bias})[0],
      {1 - 5.0, 2 + 10.0, 1 - 20 / std::sqrt(7), 2 + 40 / std::sqrt(7)});
  checkValues(run("(%x: " + t + ", %s: " + v + ") -> " + t +
                      " { %r = nn.layer_norm %x, %s epsilon 0.0 : " + t + ", " +
                      v + tail,
                  {x, scale})[0],
              {-10, 20, -10, 20});
  checkValues(run("(%x: " + t + ", %s: " + v + ") -> " + t +
                      " { %r = nn.rms_norm %x, %s epsilon 4.0 : " + t + ", " +
                      v + tail,
                  {x, scale})[0],
              {10.0 / 3, 20, -20 / std::sqrt(8), 40 / std::sqrt(8)});
}
