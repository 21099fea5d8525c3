//===- LeastSumsTest.cpp --------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/LeastSums.h"
#include "partita/Planner/Problem.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace partita;
using namespace partita::planner;

/// By looking at every sum.
static std::vector<int64_t> slowly(const std::vector<int64_t> &unary,
                                   const std::vector<int64_t> &sizes,
                                   const std::vector<SumTerm> &terms) {
  int64_t entries = 1;
  for (int64_t size : sizes)
    entries *= size;
  std::vector<int64_t> result;
  for (int64_t entry = 0; entry < entries; ++entry) {
    std::vector<int64_t> index(sizes.size());
    int64_t digits = entry;
    for (size_t i = sizes.size(); i-- > 0;) {
      index[i] = digits % sizes[i];
      digits /= sizes[i];
    }
    int64_t least = forbidden;
    for (size_t x = 0; x < unary.size(); ++x) {
      int64_t sum = unary[x];
      for (const SumTerm &term : terms) {
        int64_t place = static_cast<int64_t>(x) * term.inner;
        for (size_t i = 0; i < sizes.size(); ++i)
          place += index[i] * term.outer[i];
        sum = addPrices(sum, term.data[place]);
      }
      least = std::min(least, sum);
    }
    result.push_back(least);
  }
  return result;
}

TEST_CASE("least sums are those of every sum") {
  std::mt19937_64 random(7);
  auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> unary, sizes;
    for (int64_t x = below(6); x >= 0; --x)
      unary.push_back(below(8) ? below(100) : forbidden);
    for (int64_t i = below(3); i >= 0; --i)
      sizes.push_back(1 + below(round % 10 ? 5 : 19));
    std::vector<std::vector<int64_t>> data(1 + below(12));
    std::vector<SumTerm> terms;
    for (std::vector<int64_t> &prices : data) {
      // Some of the variables, in some order. The first has all.
      std::vector<size_t> own{sizes.size()};
      for (size_t i = 0; i < sizes.size(); ++i)
        if (terms.empty() || below(2))
          own.push_back(i);
      std::shuffle(own.begin(), own.end(), random);
      SumTerm term{nullptr, 0, std::vector<int64_t>(sizes.size(), 0)};
      int64_t stride = 1;
      for (size_t i : own) {
        bool isInner = i == sizes.size();
        (isInner ? term.inner : term.outer[i]) = stride;
        stride *= isInner ? static_cast<int64_t>(unary.size()) : sizes[i];
      }
      for (int64_t entry = 0; entry < stride; ++entry)
        prices.push_back(below(4) ? below(1000) : forbidden);
      term.data = prices.data();
      terms.push_back(std::move(term));
    }
    CHECK(leastSums(unary, sizes, terms) == slowly(unary, sizes, terms));
  }
}
