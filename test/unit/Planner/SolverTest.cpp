//===- SolverTest.cpp -----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Random problems against all of their assignments.
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/Dominance.h"
#include "partita/Planner/Problem.h"
#include <catch2/catch.hpp>
#include <random>

using namespace partita;

namespace {
struct Shape {
  int variables, values, edges;
  int64_t largest;
};
} // namespace

/// Prices from a small range, so that ties are frequent, some of them forbidden
/// and some tables with the structure of reshards: C(i, i) = 0.
static Problem randomProblem(const Shape &shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  auto price = [&]() -> int64_t {
    if (random() % 40 == 0)
      return forbidden;
    return static_cast<int64_t>(random() % shape.largest);
  };
  Problem problem;
  for (int v = 0; v < shape.variables; ++v) {
    problem.unary.emplace_back(1 + random() % shape.values);
    for (int64_t &entry : problem.unary.back())
      entry = price();
  }
  for (int e = 0; e < shape.edges && shape.variables > 1; ++e) {
    int a = random() % shape.variables, b = random() % shape.variables;
    if (a == b)
      b = (a + 1) % shape.variables;
    auto table = std::make_shared<PriceTable>();
    table->rows = problem.unary[a].size();
    table->columns = problem.unary[b].size();
    bool zeroDiagonal = random() % 2;
    for (int i = 0; i < table->rows; ++i)
      for (int j = 0; j < table->columns; ++j)
        table->prices.push_back(zeroDiagonal && i == j ? 0 : price());
    problem.edges.push_back({a, b, table});
  }
  return problem;
}

static int64_t bruteForce(const Problem &problem) {
  std::vector<size_t> digits(problem.unary.size(), 0);
  int64_t best = forbidden;
  while (true) {
    int64_t price = 0;
    for (size_t v = 0; v < digits.size(); ++v)
      price = addPrices(price, problem.unary[v][digits[v]]);
    for (const PriceEdge &edge : problem.edges)
      price = addPrices(
          price, edge.table->at(digits[edge.first], digits[edge.second]));
    best = std::min(best, price);
    size_t v = 0;
    for (; v < digits.size(); ++v) {
      if (++digits[v] < problem.unary[v].size())
        break;
      digits[v] = 0;
    }
    if (v == digits.size())
      return best;
  }
}

TEST_CASE("exact elimination finds the least price") {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Problem problem =
        randomProblem({1 + static_cast<int>(seed % 8), 4,
                       static_cast<int>(seed % 14), seed % 3 ? 1000 : 5},
                      seed);
    Solution solution = solveProblem(problem, {});
    REQUIRE(verify(problem, solution));
    REQUIRE(solution.price == bruteForce(problem));
    REQUIRE(solution.proved);
  }
}

TEST_CASE("where elimination does not fit, the search proves the least price") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Problem problem = randomProblem({8, 4, 20, 1000}, seed);
    SolverOptions options;
    options.bucketLimit = 20;
    Solution solution = solveProblem(problem, options);
    REQUIRE(verify(problem, solution));
    REQUIRE(solution.proved);
    REQUIRE(solution.price == bruteForce(problem));
  }
}

TEST_CASE("large prices do not overflow") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Problem problem = randomProblem({6, 3, 9, forbidden}, seed);
    Solution solution = solveProblem(problem, {});
    REQUIRE(verify(problem, solution));
    REQUIRE(solution.price == bruteForce(problem));
  }
}

TEST_CASE("removing dominated values keeps the least price") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Problem problem = randomProblem({6, 4, 8, seed % 2 ? 6 : 1000}, seed);
    planner::Reduction reduction = planner::removeDominated(problem);
    REQUIRE(bruteForce(reduction.problem) == bruteForce(problem));
  }
}

TEST_CASE("an empty problem and an empty domain") {
  Solution solution = solveProblem({}, {});
  CHECK(solution.price == 0);
  CHECK(solution.proved);
  Problem problem;
  problem.unary = {{1, 2}, {}};
  CHECK(solveProblem(problem, {}).price == forbidden);
}

TEST_CASE("equal seeds give equal solutions") {
  Problem problem = randomProblem({30, 6, 120, 1000}, 3);
  SolverOptions options;
  options.bucketLimit = 500;
  Solution first = solveProblem(problem, options),
           second = solveProblem(problem, options);
  CHECK(first.values == second.values);
  CHECK(first.bound == second.bound);
}

TEST_CASE("verify refuses what is wrong") {
  Problem problem = randomProblem({5, 3, 6, 100}, 1);
  Solution solution = solveProblem(problem, {});
  REQUIRE(verify(problem, solution));
  Solution other = solution;
  other.price += 1;
  CHECK(!verify(problem, other));
  other = solution;
  other.bound += 1;
  CHECK(!verify(problem, other));
  other = solution;
  other.values[0] = 17;
  CHECK(!verify(problem, other));
  other = solution;
  other.values.pop_back();
  CHECK(!verify(problem, other));
}
