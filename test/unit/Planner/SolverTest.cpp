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

/// A chain of equal layers: each has a few variables with edges among them and
/// to the next one's first. Layers share tables and prices, or with `copied`
/// have their own, so that nothing looks repeated.
static Problem layered(uint64_t seed, int layers, bool copied) {
  std::mt19937_64 random(seed);
  Problem layer = randomProblem({4, 5, 6, 12}, random());
  std::shared_ptr<const PriceTable> link;
  Problem problem;
  auto table = [&](const std::shared_ptr<const PriceTable> &shared) {
    return copied ? std::make_shared<PriceTable>(*shared) : shared;
  };
  int count = static_cast<int>(layer.unary.size());
  auto made = std::make_shared<PriceTable>();
  made->rows = static_cast<int>(layer.unary.back().size());
  made->columns = static_cast<int>(layer.unary.front().size());
  for (int i = 0; i < made->rows * made->columns; ++i)
    made->prices.push_back(static_cast<int64_t>(random() % 12));
  link = made;
  // The ends are not like the layers between them.
  int64_t first = static_cast<int64_t>(random() % 12);
  for (int l = 0; l < layers; ++l) {
    int base = l * count;
    for (const std::vector<int64_t> &unary : layer.unary)
      problem.unary.push_back(unary);
    for (const PriceEdge &edge : layer.edges)
      problem.edges.push_back(
          {base + edge.first, base + edge.second, table(edge.table)});
    if (l > 0)
      problem.edges.push_back({base - 1, base, table(link)});
  }
  problem.unary.front().front() = first;
  return problem;
}

TEST_CASE("repeated layers are solved as if none were like another",
          "[solver]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    int layers = 1 + static_cast<int>(seed % 23);
    Problem folded = layered(seed, layers, false);
    Problem unfolded = layered(seed, layers, true);
    Solution a = solveProblem(folded, {}), b = solveProblem(unfolded, {});
    INFO("seed " << seed);
    REQUIRE(verify(folded, a));
    REQUIRE(verify(unfolded, b));
    CHECK(a.price == b.price);
    CHECK(a.bound == b.bound);
    if (layers <= 2)
      CHECK(a.price == bruteForce(folded));
  }
}

TEST_CASE("equal prices in other places are other steps", "[solver]") {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    // A few tables and prices, used anywhere and either way round.
    std::mt19937_64 random(seed);
    std::vector<std::shared_ptr<const PriceTable>> tables;
    std::vector<std::vector<int64_t>> unaries;
    for (int i = 0; i < 2; ++i) {
      auto table = std::make_shared<PriceTable>();
      table->rows = table->columns = 3;
      for (int entry = 0; entry < 9; ++entry)
        table->prices.push_back(static_cast<int64_t>(random() % 20));
      tables.push_back(std::move(table));
      unaries.push_back({static_cast<int64_t>(random() % 9), 4, 2});
    }
    Problem problem;
    for (int v = 0; v < 8; ++v)
      problem.unary.push_back(unaries[random() % 2]);
    for (int e = 0; e < 12; ++e) {
      int a = static_cast<int>(random() % 8);
      int b = static_cast<int>((a + 1 + random() % 7) % 8);
      problem.edges.push_back({a, b, tables[random() % 2]});
    }
    Solution solution = solveProblem(problem, {});
    INFO("seed " << seed);
    REQUIRE(verify(problem, solution));
    CHECK(solution.proved);
    CHECK(solution.price == bruteForce(problem));
  }
}
