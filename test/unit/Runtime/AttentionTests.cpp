//===- AttentionTests.cpp - Blocked attention against a loop --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CallHelper.h"
#include <cmath>

using namespace partita;
using namespace partita::test;

namespace {

enum class MaskKind { None, Additive, Boolean, Broadcast };

struct AttentionCase {
  int64_t b, h, g, s, t, d, e;
  bool causal = false;
  MaskKind mask = MaskKind::None;
  int64_t firstQuery = 0, firstKey = 0;
  std::vector<int64_t> order = {0, 2, 1, 3};
  int threads = 1;
};

/// Runs a case and returns the largest error of out and lse.
double attentionError(const AttentionCase &c, DType type,
                      std::mt19937_64 &random) {
  Arena arena;
  View q = arena.place(type, {c.b, c.h, c.s, c.d}, c.order);
  View k = arena.place(type, {c.b, c.g, c.t, c.d}, c.order);
  View v = arena.place(type, {c.b, c.g, c.t, c.e}, c.order);
  View out = arena.place(type, {c.b, c.h, c.s, c.e}, c.order);
  View lse = arena.place(type, {c.b, c.h, c.s});
  Command call{.kind = CommandKind::Call, .callee = "attention"};
  call.operands = {q, k, v};
  call.results = {out, lse};
  double scale = 1 / std::sqrt(static_cast<double>(c.d));
  call.attrs["scale"] = std::vector<double>{scale};
  call.attrs["causal"] = std::vector<int64_t>{c.causal};
  View mask;
  if (c.mask != MaskKind::None) {
    DType maskType = c.mask == MaskKind::Boolean ? DType::Bool : type;
    View memory = arena.place(maskType, {c.b, 1, c.s, c.t});
    mask = memory;
    mask.shape = {c.b, c.h, c.s, c.t};
    mask.strides[1] = 0;
    if (c.mask == MaskKind::Broadcast)
      mask.strides[2] = 0;
    arena.randomize(memory, random, c.mask == MaskKind::Boolean ? 2 : 0);
    if (c.mask == MaskKind::Additive) // One query sees nothing.
      for (int64_t key = 0; key < c.t; ++key)
        arena.access(mask).set({0, 0, c.s - 1, key}, -INFINITY);
    call.operands.push_back(mask);
    call.attrs["has_mask"] = std::vector<int64_t>{1};
  }
  Mesh mesh = *Mesh::parse("cp=2");
  int64_t queries = c.s, keys = c.t; // of all shards
  if (c.firstQuery || c.firstKey) {  // This is the second of two, or the whole.
    auto offsetOf = [](int64_t first, int64_t &size) {
      size = first ? 2 * first : size;
      return first ? ShardOffset{size, {0}} : ShardOffset{size, {}};
    };
    call.offsets = {offsetOf(c.firstQuery, queries),
                    offsetOf(c.firstKey, keys)};
  }
  for (const View &view : {q, k, v})
    arena.randomize(view, random);
  REQUIRE_OK(runCall(arena, call, c.threads, mesh, {1}));

  Accessor qs = arena.access(q), ks = arena.access(k), vs = arena.access(v);
  double worst = 0;
  auto compare = [&](double found, double expected) {
    if (std::isinf(expected) || std::isnan(found))
      worst = std::max(worst, found == expected ? 0.0 : 1e9);
    else
      worst = std::max(worst, std::abs(found - expected));
  };
  forEachElement({c.b, c.h, c.s}, [&](const std::vector<int64_t> &i) {
    int64_t group = i[1] / (c.h / c.g);
    std::vector<double> scores(c.t);
    double maximum = -INFINITY;
    for (int64_t key = 0; key < c.t; ++key) {
      double score = 0;
      for (int64_t x = 0; x < c.d; ++x)
        score += qs.get({i[0], i[1], i[2], x}) * ks.get({i[0], group, key, x});
      score *= scale;
      if (c.mask == MaskKind::Boolean) {
        if (arena.access(mask).get({i[0], i[1], i[2], key}) == 0)
          score = -INFINITY;
      } else if (c.mask != MaskKind::None) {
        score += arena.access(mask).get({i[0], i[1], i[2], key});
      }
      // The last of all queries sees the last of all keys.
      if (c.causal && key + c.firstKey > i[2] + c.firstQuery + keys - queries)
        score = -INFINITY;
      scores[key] = score;
      maximum = std::max(maximum, score);
    }
    double sum = 0;
    std::vector<double> value(c.e, 0.0);
    for (int64_t key = 0; key < c.t && !std::isinf(maximum); ++key) {
      double p = std::exp(scores[key] - maximum);
      sum += p;
      for (int64_t x = 0; x < c.e; ++x)
        value[x] += p * vs.get({i[0], group, key, x});
    }
    for (int64_t x = 0; x < c.e; ++x)
      compare(arena.access(out).get({i[0], i[1], i[2], x}),
              sum > 0 ? value[x] / sum : 0);
    compare(arena.access(lse).get({i[0], i[1], i[2]}),
            sum > 0 ? maximum + std::log(sum) : -INFINITY);
  });
  return worst;
}

} // namespace

TEST_CASE("attention equals its definition", "[attention]") {
  std::mt19937_64 random(6);
  using K = MaskKind;
  AttentionCase cases[] = {
      {2, 6, 6, 10, 10, 16, 16},
      {2, 6, 2, 10, 10, 8, 12},
      {1, 2, 1, 1, 33, 64, 64},
      {1, 2, 2, 130, 130, 16, 16, true},
      {1, 1, 1, 140, 700, 8, 8},
      {1, 1, 1, 300, 1100, 8, 8, true},
      {2, 2, 1, 7, 9, 4, 4, false, K::Additive},
      {2, 2, 1, 7, 90, 4, 4, false, K::Boolean},
      {2, 3, 3, 17, 17, 4, 4, true, K::Boolean},
      {2, 2, 2, 17, 21, 4, 4, false, K::Broadcast},
      {1, 2, 2, 10, 10, 4, 4, true, K::None, 10, 0},
      {1, 2, 2, 10, 10, 4, 4, true, K::None, 10, 15},
      {1, 2, 2, 10, 10, 4, 4, true, K::None, 3, 10},
      {2, 2, 2, 9, 11, 4, 6, false, K::None, 0, 0, {0, 1, 2, 3}},
      {2, 2, 2, 9, 11, 4, 6, true, K::Additive, 0, 0, {3, 1, 0, 2}},
      {2, 4, 2, 300, 300, 16, 16, true, K::None, 0, 0, {0, 2, 1, 3}, 2},
  };
  for (const AttentionCase &c : cases) {
    INFO(c.b << " " << c.h << " " << c.g << " " << c.s << " " << c.t << " "
             << c.causal << " mask " << static_cast<int>(c.mask));
    CHECK(attentionError(c, DType::F64, random) < 1e-12);
    CHECK(attentionError(c, DType::F32, random) < 3e-6);
  }
}

TEST_CASE("attention's workspace does not grow with the sequence",
          "[attention]") {
  Arena arena;
  Command call{.kind = CommandKind::Call, .callee = "attention"};
  int64_t previous = 0;
  for (int64_t s : {1024, 8192, 65536}) {
    View x = contiguousView(Space::Arena, 0, DType::F32, {1, 12, s, 64});
    call.operands = {x, x, x};
    call.results = {x};
    Result<int64_t> bytes = workspaceBytes(call, 1);
    REQUIRE(bytes);
    CHECK((previous == 0 || *bytes == previous));
    previous = *bytes;
  }
  CHECK(previous < (1 << 20));
}

TEST_CASE("shapes that do not fit are refused", "[attention]") {
  Command call{.kind = CommandKind::Call, .callee = "attention"};
  auto view = [](std::vector<int64_t> shape) {
    return contiguousView(Space::Arena, 0, DType::F32, std::move(shape));
  };
  call.operands = {view({1, 4, 8, 16}), view({1, 3, 8, 16}),
                   view({1, 3, 8, 16})};
  call.results = {view({1, 4, 8, 16})};
  CHECK_FALSE(workspaceBytes(call, 1));
  call.operands[1] = call.operands[2] = view({1, 2, 8, 16});
  CHECK(workspaceBytes(call, 1));
  call.attrs["has_mask"] = std::vector<int64_t>{1};
  CHECK_FALSE(workspaceBytes(call, 1));
}
