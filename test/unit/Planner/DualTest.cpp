//===- DualTest.cpp -------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What messages say of a problem, against all of its assignments.
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/Dual.h"
#include "Problems.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::planner;

/// The least price with one value fixed.
static int64_t leastWith(const Problem &problem, int variable, int value) {
  Problem fixed = problem;
  for (size_t other = 0; other < fixed.unary[variable].size(); ++other)
    if (static_cast<int>(other) != value)
      fixed.unary[variable][other] = forbidden;
  return bruteForce(fixed);
}

static void check(const Problem &problem) {
  DualBound dual = boundByMessages(problem);
  CHECK(dual.bound <= bruteForce(problem));
  for (size_t v = 0; v < problem.unary.size(); ++v) {
    const std::vector<int64_t> &excess = dual.excess[dual.classOf[v]];
    REQUIRE(excess.size() == problem.unary[v].size());
    for (size_t value = 0; value < excess.size(); ++value)
      CHECK(addPrices(dual.bound, excess[value]) <=
            leastWith(problem, static_cast<int>(v), static_cast<int>(value)));
  }
}

TEST_CASE("no assignment is below what messages say of its values",
          "[solver]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    check(randomProblem({1 + static_cast<int>(seed % 6), 4,
                         static_cast<int>(seed % 11),
                         seed % 3   ? 1000
                         : seed % 2 ? 5
                                    : forbidden},
                        seed));
  }
}

TEST_CASE("nor where variables share messages", "[solver]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    check(fromFewTables(seed, 6, 8));
  }
}

TEST_CASE("without cycles the bound is the least price", "[solver]") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    Problem problem = randomProblem({7, 4, 0, 1000}, seed);
    std::mt19937_64 random(seed);
    for (int v = 1; v < 7; ++v) {
      int to = static_cast<int>(random() % v);
      auto table = std::make_shared<PriceTable>();
      table->rows = static_cast<int>(problem.unary[to].size());
      table->columns = static_cast<int>(problem.unary[v].size());
      for (int i = 0; i < table->rows * table->columns; ++i)
        table->prices.push_back(static_cast<int64_t>(random() % 1000000));
      problem.edges.push_back({to, v, table});
    }
    int64_t least = bruteForce(problem);
    if (least >= forbidden)
      continue;
    // Shares of prices are rounded down.
    CHECK(boundByMessages(problem).bound >= least - 100);
  }
}

TEST_CASE("a chain of many layers has the work of a few", "[solver]") {
  Problem small = layered(3, 40, false), large = layered(3, 4000, false);
  DualBound a = boundByMessages(small), b = boundByMessages(large);
  CHECK(a.excess.size() < 160);
  CHECK(b.excess.size() == a.excess.size());
  Solution solution = solveProblem(large, {});
  CHECK(b.bound <= solution.price);
  CHECK(b.bound >= solution.price / 100 * 98);
}
