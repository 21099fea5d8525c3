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

#include "Problems.h"
#include "lib/Planner/Dominance.h"
#include "partita/Planner/Problem.h"
#include <catch2/catch.hpp>

using namespace partita;

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
    options.workLimit = 20;
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
  options.workLimit = 500;
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
    Problem problem = fromFewTables(seed, 8, 12);
    Solution solution = solveProblem(problem, {});
    INFO("seed " << seed);
    REQUIRE(verify(problem, solution));
    CHECK(solution.proved);
    CHECK(solution.price == bruteForce(problem));
  }
}

TEST_CASE("what slack proves holds, whatever has room", "[solver]") {
  int proved = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Problem problem = seed % 2 ? randomProblem({8, 4, 16, 1000}, seed)
                               : fromFewTables(seed, 8, 14);
    SolverOptions options;
    options.easyLimit = 0;
    options.workLimit = int64_t(1) << (seed % 12);
    Solution solution = solveProblem(problem, options);
    INFO("seed " << seed);
    REQUIRE(verify(problem, solution));
    int64_t least = bruteForce(problem);
    CHECK(solution.price >= least);
    CHECK(solution.bound <= least);
    proved += solution.proved;
  }
  CHECK(proved > 250);
}
