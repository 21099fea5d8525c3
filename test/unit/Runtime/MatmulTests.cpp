//===- MatmulTests.cpp - Products, epilogues, packed weights --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CallHelper.h"
#include "lib/Runtime/Core/Levels.h"
#include <cmath>
#include <limits>
#include <sstream>

using namespace partita;
using namespace partita::test;

static double applyNamed(const std::string &name, double x, double operand) {
  if (name == "bias" || name == "add")
    return x + operand;
  if (name == "mul")
    return x * operand;
  if (name == "gelu_erf")
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (name == "gelu_tanh")
    return 0.5 * x *
           (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  if (name == "relu")
    return std::max(x, 0.0);
  if (name == "silu")
    return x / (1 + std::exp(-x));
  if (name == "tanh")
    return std::tanh(x);
  return 1 / (1 + std::exp(-x));
}

/// Compares the result view with a product computed in double.
static void checkProduct(Arena &arena, const Command &call, const View &b,
                         const std::vector<View> &extra, double tolerance) {
  const View &a = call.operands[0], &c = call.results[0];
  Accessor av = arena.access(a), bv = arena.access(b), cv = arena.access(c);
  size_t rank = c.shape.size();
  std::string epilogue;
  if (auto found = call.attrs.find("epilogue"); found != call.attrs.end())
    epilogue = std::get<std::string>(found->second);
  double worst = 0;
  forEachElement(c.shape, [&](const std::vector<int64_t> &index) {
    double sum = 0;
    std::vector<int64_t> ai = index, bi = index;
    if (b.shape.size() == 2)
      bi = {0, index.back()};
    for (int64_t p = 0; p < a.shape.back(); ++p) {
      ai[rank - 1] = p;
      bi[bi.size() - 2] = p;
      sum += av.get(ai) * bv.get(bi);
    }
    std::istringstream names(epilogue);
    std::string name;
    size_t next = 0;
    while (std::getline(names, name, ',')) {
      double operand = 0;
      if (name == "bias" || name == "add" || name == "mul") {
        const View &view = extra[next++];
        std::vector<int64_t> at(index.end() - view.shape.size(), index.end());
        for (size_t d = 0; d < at.size(); ++d)
          at[d] = view.shape[d] == 1 ? 0 : at[d];
        operand = arena.access(view).get(at);
      }
      sum = applyNamed(name, sum, operand);
    }
    worst = std::max(worst, std::abs(cv.get(index) - sum));
  });
  CHECK(worst <= tolerance);
}

TEST_CASE("products of every layout", "[matmul]") {
  std::mt19937_64 random(1);
  using Shape = std::vector<int64_t>;
  struct Case {
    Shape a, b, c;
    Shape aOrder, bOrder, cOrder;
    int64_t pad;
  } cases[] = {
      {{5, 7}, {7, 9}, {5, 9}, {}, {}, {}, 0},
      {{5, 7}, {7, 9}, {5, 9}, {1, 0}, {1, 0}, {1, 0}, 0},
      {{64, 48}, {48, 80}, {64, 80}, {}, {}, {}, 5},
      {{1, 16}, {16, 33}, {1, 33}, {}, {1, 0}, {}, 0},
      {{16, 1}, {1, 8}, {16, 8}, {}, {}, {}, 3},
      {{16, 8}, {8, 1}, {16, 1}, {1, 0}, {}, {}, 0},
      {{2, 3, 16}, {16, 8}, {2, 3, 8}, {}, {}, {}, 0},
      {{2, 3, 16}, {16, 8}, {2, 3, 8}, {1, 0, 2}, {}, {}, 0},
      {{2, 3, 16}, {16, 8}, {2, 3, 8}, {}, {}, {1, 0, 2}, 2},
      {{2, 3, 16}, {16, 8}, {2, 3, 8}, {2, 1, 0}, {1, 0}, {2, 1, 0}, 0},
      {{2, 3, 5, 4}, {2, 3, 4, 6}, {2, 3, 5, 6}, {}, {}, {}, 0},
      {{2, 3, 5, 4},
       {2, 3, 4, 6},
       {2, 3, 5, 6},
       {0, 2, 1, 3},
       {0, 3, 1, 2},
       {0, 2, 1, 3},
       0},
      {{2, 3, 5, 4},
       {2, 3, 4, 6},
       {2, 3, 5, 6},
       {3, 2, 1, 0},
       {3, 1, 2, 0},
       {2, 3, 0, 1},
       1},
  };
  for (DType type : {DType::F32, DType::F64})
    for (const Case &c : cases)
      for (int threads : {1, 2}) {
        Arena arena;
        Command call{.kind = CommandKind::Call, .callee = "matmul"};
        call.operands = {arena.place(type, c.a, c.aOrder, c.pad),
                         arena.place(type, c.b, c.bOrder, c.pad)};
        call.results = {arena.place(type, c.c, c.cOrder, c.pad)};
        for (const View &view : call.operands)
          arena.randomize(view, random);
        INFO("rank " << c.a.size() << " k " << c.a.back());
        REQUIRE_OK(runCall(arena, call, threads));
        checkProduct(arena, call, call.operands[1], {},
                     type == DType::F64 ? 1e-12 : 2e-5);
      }
}

TEST_CASE("epilogues, fused and not", "[matmul]") {
  std::mt19937_64 random(2);
  const char *lists[] = {"bias",           "bias,gelu_erf",
                         "bias,gelu_tanh", "relu",
                         "silu",           "tanh",
                         "sigmoid",        "add",
                         "bias,add",       "bias,relu,add",
                         "silu,mul",       "mul,bias",
                         "add,add",        "bias,gelu_erf,add,mul"};
  for (DType type : {DType::F32, DType::F64})
    for (const char *list : lists)
      for (int layout = 0; layout < 4; ++layout) {
        Arena arena;
        int64_t m = layout == 3 ? 1 : 6, k = 32, n = 40;
        Command call{.kind = CommandKind::Call, .callee = "matmul"};
        call.attrs["epilogue"] = std::string(list);
        call.operands = {arena.place(type, {2, m, k}),
                         arena.place(type, {k, n})};
        call.results = {arena.place(type, {2, m, n},
                                    layout == 1 ? std::vector<int64_t>{1, 0, 2}
                                                : std::vector<int64_t>{},
                                    layout == 2 ? 4 : 0)};
        std::vector<View> extra;
        std::istringstream names(list);
        std::string name;
        while (std::getline(names, name, ',')) {
          if (name == "bias")
            extra.push_back(arena.place(type, {n}));
          if (name == "add" || name == "mul")
            extra.push_back(arena.place(type, {2, m, n},
                                        layout == 2
                                            ? std::vector<int64_t>{1, 0, 2}
                                            : std::vector<int64_t>{}));
        }
        call.operands.insert(call.operands.end(), extra.begin(), extra.end());
        for (const View &view : call.operands)
          arena.randomize(view, random);
        INFO(list << " layout " << layout);
        REQUIRE_OK(runCall(arena, call));
        checkProduct(arena, call, call.operands[1], extra,
                     type == DType::F64 ? 1e-12 : 3e-5);
      }
}

TEST_CASE("an epilogue may read the memory of the result", "[matmul]") {
  std::mt19937_64 random(3);
  Arena arena;
  Command call{.kind = CommandKind::Call, .callee = "matmul"};
  call.attrs["epilogue"] = std::string("bias,mul");
  View c = arena.place(DType::F32, {8, 16});
  // The same memory, shifted by a row: never fused.
  View bias = arena.place(DType::F32, {16});
  View ones = arena.place(DType::F32, {8, 16});
  call.operands = {arena.place(DType::F32, {8, 64}),
                   arena.place(DType::F32, {64, 16}), bias, ones};
  call.results = {c};
  for (const View &view : call.operands)
    arena.randomize(view, random);
  REQUIRE_OK(runCall(arena, call));
  checkProduct(arena, call, call.operands[1], {bias, ones}, 2e-5);
}

/// A packed product on what `arena` holds.
static void checkPacked(Arena &arena, const View &weight, const View &a,
                        const View &c, const std::vector<View> &extra,
                        const std::string &epilogue, int threads = 1) {
  Command pack{.kind = CommandKind::Call, .callee = "pack_weight"};
  pack.operands = {weight};
  pack.attrs["packed"] = weight.shape;
  Result<int64_t> bytes = packedBytes(pack, threads);
  REQUIRE(bytes);
  pack.results = {arena.blob(*bytes)};
  Command call{.kind = CommandKind::Call, .callee = "matmul"};
  call.operands = {a, pack.results[0]};
  call.operands.insert(call.operands.end(), extra.begin(), extra.end());
  call.results = {c};
  call.attrs["packed"] = weight.shape;
  call.attrs["epilogue"] = epilogue;
  REQUIRE_OK(runCall(arena, pack, threads));
  REQUIRE_OK(runCall(arena, call, threads));
  checkProduct(arena, call, weight, extra, 1e-4);
}

TEST_CASE("packed weights", "[matmul]") {
  std::mt19937_64 random(4);
  struct Case {
    int64_t m, k, n;
  } cases[] = {{1, 64, 64},    {6, 64, 100},  {128, 768, 384}, {3, 17, 5},
               {60, 48, 1021}, {256, 33, 31}, {10, 1, 7},      {5, 7, 1},
               {7, 1550, 72},  {523, 5, 16}};
  for (const Case &c : cases)
    for (bool transposed : {false, true})
      for (int layout = 0; layout < 5; ++layout) {
        Arena arena;
        using Order = std::vector<int64_t>;
        View weight = arena.place(DType::F32, {c.k, c.n},
                                  transposed ? Order{1, 0} : Order{});
        View bias = arena.place(DType::F32, {c.n});
        View a = arena.place(DType::F32, {c.m, c.k},
                             layout == 3 ? Order{1, 0} : Order{},
                             layout == 1 ? 7 : 0);
        View result = arena.place(DType::F32, {c.m, c.n},
                                  layout == 4 ? Order{1, 0} : Order{},
                                  layout == 2 ? 3 : 0);
        for (const View &view : {weight, bias, a})
          arena.randomize(view, random);
        INFO(c.m << "x" << c.k << "x" << c.n << " layout " << layout);
        checkPacked(arena, weight, a, result, {bias}, "bias,gelu_tanh",
                    layout == 2 ? 3 : 1);
      }
}

TEST_CASE("kernels of every processor, with every epilogue", "[matmul]") {
  std::mt19937_64 random(5);
  for (int level : {1, 3, 4}) {
    limitProcessorLevel(level);
    for (const char *list :
         {"bias,relu", "gelu_erf,add", "mul,silu", "tanh", "sigmoid,mul,add"})
      for (int64_t n : {7, 16, 40, 130}) {
        Arena arena;
        View weight = arena.place(DType::F32, {33, n});
        View a = arena.place(DType::F32, {2, 10, 33});
        View c = arena.place(DType::F32, {2, 10, n});
        std::vector<View> extra;
        std::istringstream names(list);
        std::string name;
        while (std::getline(names, name, ','))
          if (name == "bias")
            extra.push_back(arena.place(DType::F32, {n}));
          else if (name == "add" || name == "mul")
            extra.push_back(arena.place(DType::F32, {2, 10, n}, {}, 5));
        for (const View &view : {weight, a})
          arena.randomize(view, random);
        for (const View &view : extra)
          arena.randomize(view, random);
        INFO("level " << level << ", n " << n << ", " << list);
        checkPacked(arena, weight, a, c, extra, list, level == 3 ? 2 : 1);
      }
  }
  limitProcessorLevel(4);
}

TEST_CASE("epilogues at the ends of the line", "[matmul]") {
  // What a product cannot overflow to: f(x) for x of any size, and NaN.
  constexpr float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> xs = {-inf,  -1e30f, -100.f, -20.f,        -6.f,
                                 -1.f,  -0.3f,  -1e-6f, 0.f,          1e-20f,
                                 1e-6f, 0.5f,   0.625f, 3.f,          9.f,
                                 100.f, 1e30f,  inf,    std::nanf("")};
  for (int level : {1, 3, 4}) {
    limitProcessorLevel(level);
    for (const char *name :
         {"gelu_erf", "gelu_tanh", "relu", "silu", "tanh", "sigmoid"}) {
      Arena arena;
      auto n = static_cast<int64_t>(xs.size());
      View weight = arena.place(DType::F32, {1, n});
      View a = arena.place(DType::F32, {1, 1});
      View c = arena.place(DType::F32, {1, n});
      arena.access(a).set({0, 0}, 1);
      for (int64_t i = 0; i < n; ++i)
        arena.access(weight).set({0, i}, xs[i]);
      Command pack{.kind = CommandKind::Call, .callee = "pack_weight"};
      pack.operands = {weight};
      pack.attrs["packed"] = weight.shape;
      pack.results = {arena.blob(*packedBytes(pack, 1))};
      Command call{.kind = CommandKind::Call, .callee = "matmul"};
      call.operands = {a, pack.results[0]};
      call.results = {c};
      call.attrs["packed"] = weight.shape;
      call.attrs["epilogue"] = std::string(name);
      REQUIRE_OK(runCall(arena, pack));
      REQUIRE_OK(runCall(arena, call));
      for (int64_t i = 0; i < n; ++i) {
        double y = arena.access(c).get({0, i});
        double expected = applyNamed(name, xs[i], 0);
        INFO("level " << level << ", " << name << " of " << xs[i] << ": " << y
                      << ", not " << expected);
        bool bothNaN = std::isnan(y) && std::isnan(expected);
        CHECK((bothNaN || y == expected ||
               std::abs(y - expected) <=
                   4e-7 * std::max(1.0, std::abs(double(xs[i])))));
      }
    }
  }
  limitProcessorLevel(4);
}

TEST_CASE("impossible products are refused", "[matmul]") {
  Arena arena;
  Command call{.kind = CommandKind::Call, .callee = "matmul"};
  call.operands = {arena.place(DType::F32, {2, 3}),
                   arena.place(DType::F32, {4, 5})};
  call.results = {arena.place(DType::F32, {2, 5})};
  CHECK_FALSE(workspaceBytes(call, 1));
  call.operands[1] = arena.place(DType::F32, {3, 5});
  CHECK(workspaceBytes(call, 1));
  call.attrs["epilogue"] = std::string("bias");
  CHECK_FALSE(workspaceBytes(call, 1));
  call.attrs["epilogue"] = std::string("cosine");
  CHECK_FALSE(workspaceBytes(call, 1));
  call.attrs.clear();
  call.attrs["packed"] = std::vector<int64_t>{1, 2, 3};
  CHECK_FALSE(workspaceBytes(call, 1));
  call.callee = "convolve";
  Result<int64_t> unknown = workspaceBytes(call, 1);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().exit == ExitCode::Unsupported);
}
