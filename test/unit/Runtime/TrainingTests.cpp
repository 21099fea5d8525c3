//===- TrainingTests.cpp - Gradient of attention, steps of AdamW ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What gradients are is compared with PyTorch in test/python/test_training.py;
// here are the cases that its graphs do not reach.
//
//===----------------------------------------------------------------------===//

#include "CallHelper.h"
#include <catch2/catch.hpp>
#include <cmath>

using namespace partita;
using namespace partita::test;

/// One head of two queries and three keys of width one; all elements are one.
static Command gradientCall(Arena &arena) {
  Command call = makeCall("attention_gradient");
  call.attrs["scale"] = std::vector<double>{1};
  const std::vector<int64_t> query = {1, 1, 2, 1}, key = {1, 1, 3, 1};
  for (const std::vector<int64_t> &shape :
       {query, key, key, std::vector<int64_t>{1, 1, 2},
        std::vector<int64_t>{1, 1, 2}, query})
    call.operands.push_back(arena.place(DType::F64, shape));
  for (const std::vector<int64_t> &shape : {query, key, key})
    call.results.push_back(arena.place(DType::F64, shape));
  for (const View &view : call.operands)
    forEachElement(view.shape, [&](const std::vector<int64_t> &index) {
      arena.access(view).set(index, 1);
    });
  return call;
}

TEST_CASE("a query that sees no key has no gradient and gives none",
          "[library]") {
  Arena arena;
  Command call = gradientCall(arena);
  arena.access(call.operands[3]).set({0, 0, 0}, -INFINITY);
  arena.access(call.operands[3]).set({0, 0, 1}, std::log(3) + 1);
  arena.access(call.operands[4]).set({0, 0, 1}, 0.25);
  REQUIRE_OK(runCall(arena, call));
  // p = 1/3 for each key of the second query, ds = p (1 - 1/4).
  CHECK(arena.access(call.results[0]).get({0, 0, 0, 0}) == 0);
  CHECK(std::fabs(arena.access(call.results[0]).get({0, 0, 1, 0}) - 0.75) <
        1e-12);
  for (int64_t j = 0; j < 3; ++j) {
    CHECK(std::fabs(arena.access(call.results[1]).get({0, 0, j, 0}) - 0.25) <
          1e-12);
    CHECK(std::fabs(arena.access(call.results[2]).get({0, 0, j, 0}) - 1. / 3) <
          1e-12);
  }
}

TEST_CASE("a step of AdamW", "[library]") {
  Arena arena;
  Command call = makeCall("adamw");
  call.attrs["beta1"] = std::vector<double>{0.5};
  call.attrs["beta2"] = std::vector<double>{0.75};
  call.attrs["epsilon"] = std::vector<double>{1};
  const double in[] = {2, 0.5, 3, 1, 0.25, 2, 0.5};
  for (int i = 0; i < 7; ++i) {
    std::vector<int64_t> shape =
        i < 4 ? std::vector<int64_t>{3} : std::vector<int64_t>{};
    call.operands.push_back(arena.place(DType::F64, shape));
    forEachElement(shape, [&](const std::vector<int64_t> &index) {
      arena.access(call.operands.back()).set(index, in[i]);
    });
  }
  for (int i = 0; i < 3; ++i)
    call.results.push_back(arena.place(DType::F64, {3}));
  REQUIRE_OK(runCall(arena, call));
  double mean = 0.75, square = 2.5;
  double value = 0.5 * 2 - 0.25 * mean / (2 * std::sqrt(square) + 1);
  for (int64_t i = 0; i < 3; ++i) {
    CHECK(std::fabs(arena.access(call.results[0]).get({i}) - value) < 1e-12);
    CHECK(arena.access(call.results[1]).get({i}) == mean);
    CHECK(arena.access(call.results[2]).get({i}) == square);
  }
}

TEST_CASE("operands of training steps that do not fit are refused",
          "[library]") {
  Arena arena;
  Command call = gradientCall(arena);
  call.operands[4] = arena.place(DType::F64, {1, 1, 3});
  CHECK(!runCall(arena, call));
  call = gradientCall(arena);
  call.operands.push_back(arena.place(DType::F64, {1, 1, 2, 4}));
  CHECK(!runCall(arena, call));
  call = gradientCall(arena);
  call.results.push_back(arena.place(DType::F64, {1, 1, 2, 3}));
  CHECK(!runCall(arena, call));
  Command step = makeCall("adamw");
  for (int i = 0; i < 7; ++i)
    step.operands.push_back(arena.place(DType::F64, {3}));
  for (int i = 0; i < 3; ++i)
    step.results.push_back(arena.place(DType::F64, {3}));
  CHECK(!runCall(arena, step));
}
