//===- MemoryTest.cpp - Arena layouts -------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Memory/Memory.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace partita;

/// Buffers alive at the same time must not share a byte; all lie in the arena.
static void checkLayout(const std::vector<BufferLife> &buffers,
                        const ArenaLayout &layout) {
  REQUIRE(layout.offsets.size() == buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    CHECK(layout.offsets[i] % 64 == 0);
    CHECK(layout.offsets[i] + buffers[i].bytes <= layout.bytes);
    for (size_t j = 0; j < i; ++j) {
      bool together = buffers[i].first <= buffers[j].last &&
                      buffers[j].first <= buffers[i].last;
      if (!together || !buffers[i].bytes || !buffers[j].bytes)
        continue;
      CHECK((layout.offsets[i] + buffers[i].bytes <= layout.offsets[j] ||
             layout.offsets[j] + buffers[j].bytes <= layout.offsets[i]));
    }
  }
  CHECK(layout.bytes >= layout.liveBytes);
}

TEST_CASE("buffers that follow each other share their place") {
  std::vector<BufferLife> chain;
  for (int64_t i = 0; i < 100; ++i)
    chain.push_back({1000, i, i + 1});
  ArenaLayout layout = layoutArena(chain);
  checkLayout(chain, layout);
  CHECK(layout.bytes == 2 * 1024);
  CHECK(layout.liveBytes == 2 * 1024);
}

TEST_CASE("no buffers, empty buffers") {
  CHECK(layoutArena({}).bytes == 0);
  ArenaLayout layout = layoutArena({{0, 0, 5}, {64, 0, 5}});
  CHECK(layout.bytes == 64);
}

TEST_CASE("random lifetimes never collide and stay near the lower bound") {
  unsigned seed = 20261121;
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferLife> buffers;
    for (int i = 0; i < 80; ++i) {
      int64_t first = random() % 60;
      buffers.push_back(
          {int64_t(random() % 5000), first, first + int64_t(random() % 10)});
    }
    ArenaLayout layout = layoutArena(buffers);
    checkLayout(buffers, layout);
    CHECK(layout.bytes <= 2 * layout.liveBytes);
  }
}

TEST_CASE(
    "a place is the lowest that is free, however many buffers there are") {
  std::mt19937 random(5);
  for (int64_t count : {3, 40, 600}) {
    std::vector<BufferLife> buffers;
    for (int64_t i = 0; i < count; ++i) {
      int64_t first = int64_t(random() % 3000);
      // Most are short-lived; all sizes differ, so that the order is known.
      int64_t length = int64_t(random() % (i % 7 ? 10 : 2000));
      buffers.push_back({64 * (count - i), first, first + length});
    }
    ArenaLayout layout = layoutArena(buffers);
    checkLayout(buffers, layout);
    for (size_t i = 0; i < buffers.size(); ++i) {
      // The end of one of those before it that it overlaps, or the beginning.
      std::vector<int64_t> starts{0};
      auto collides = [&](int64_t offset) {
        for (size_t j = 0; j < i; ++j)
          if (buffers[i].first <= buffers[j].last &&
              buffers[j].first <= buffers[i].last &&
              offset < layout.offsets[j] + buffers[j].bytes &&
              layout.offsets[j] < offset + buffers[i].bytes)
            return true;
        return false;
      };
      for (size_t j = 0; j < i; ++j)
        if (buffers[i].first <= buffers[j].last &&
            buffers[j].first <= buffers[i].last)
          starts.push_back(layout.offsets[j] + buffers[j].bytes);
      std::sort(starts.begin(), starts.end());
      auto lowest = std::find_if_not(starts.begin(), starts.end(), collides);
      REQUIRE(lowest != starts.end());
      CHECK(layout.offsets[i] == *lowest);
    }
  }
}
