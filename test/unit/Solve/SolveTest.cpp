//===- SolveTest.cpp - The solver against trying everything ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Solve.h"
#include "Random.h"
#include "lib/Solve/Branch.h"
#include "lib/Solve/Elimination.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::solve;

static Instance randomInstance(uint64_t seed) {
  return RandomInstance(seed).make();
}

TEST_CASE("presolve keeps the best", "[solve]") {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    Instance instance = randomInstance(seed);
    std::optional<__int128> best = bruteForce(instance);
    if (!best || *best >= infinity)
      continue;
    Presolved presolved = presolve(instance);
    State state(presolved.model);
    std::vector<int> values(presolved.model.numVariables(), 0);
    std::optional<__int128> found;
    for (bool more = true; more;) {
      state.set(values);
      Verdict verdict = evaluate(instance, presolved.assignment(values));
      REQUIRE(verdict.valid == state.fits());
      if (verdict.cost < infinity)
        REQUIRE(verdict.cost == presolved.constant + state.price());
      if (verdict.valid && (!found || verdict.cost < *found))
        found = verdict.cost;
      more = false;
      for (size_t v = 0; v < values.size() && !more; ++v)
        if (++values[v] == presolved.model.size(static_cast<int>(v)))
          values[v] = 0;
        else
          more = true;
    }
    REQUIRE(found);
    REQUIRE(*found == *best);
  }
}

TEST_CASE("the solver finds the best and proves it", "[solve]") {
  int solved = 0, infeasible = 0;
  for (uint64_t seed = 10000; seed < 12000; ++seed) {
    INFO("seed " << seed);
    Instance instance = randomInstance(seed);
    std::optional<__int128> best = bruteForce(instance);
    if (best && *best >= infinity)
      continue;
    Options options;
    options.rounds = 30;
    options.seed = seed;
    options.threads = 1;
    Result<Answer> answer = solve::solve(instance, options);
    if (!best) {
      ++infeasible;
      if (answer)
        REQUIRE(answer->assignment.empty());
      else
        REQUIRE(answer.error().code == "solve.infeasible");
      continue;
    }
    REQUIRE(answer);
    Verdict verdict = evaluate(instance, answer->assignment);
    REQUIRE(verdict.valid);
    REQUIRE(verdict.cost == answer->cost);
    REQUIRE(answer->cost == *best);
    REQUIRE(answer->isOptimal());
    ++solved;
  }
  CHECK(solved > 1000);
  CHECK(infeasible > 100);
}

TEST_CASE("a bound is below the best after every round", "[solve]") {
  for (uint64_t seed = 20000; seed < 20400; ++seed) {
    INFO("seed " << seed);
    Instance instance = randomInstance(seed);
    std::optional<__int128> best = bruteForce(instance);
    if (!best || *best >= infinity)
      continue;
    Options options;
    options.threads = 1;
    options.rounds = 3;
    options.progress = [&](const Progress &progress) {
      REQUIRE(progress.bound <= *best);
      if (progress.cost)
        REQUIRE(*progress.cost >= *best);
    };
    REQUIRE(solve::solve(instance, options));
  }
}

TEST_CASE("bounds of prices near infinity hold", "[solve]") {
  for (int64_t most : {int64_t(1) << 58, infinity / 2, infinity})
    for (uint64_t seed = 50000; seed < 52000; ++seed) {
      INFO("seed " << seed << " most " << most);
      Instance instance = RandomInstance(seed, most).make();
      std::optional<__int128> best = bruteForce(instance);
      Options options;
      options.threads = 1;
      options.rounds = 6;
      Result<Answer> answer = solve::solve(instance, options);
      if (!answer && best)
        REQUIRE(*best > infinity / 5);
      if (!answer || answer->assignment.empty())
        continue;
      REQUIRE(evaluate(instance, answer->assignment).valid);
      REQUIRE(answer->bound <= *best);
    }
}

TEST_CASE("threads do not change the answer", "[solve]") {
  for (uint64_t seed = 30000; seed < 30100; ++seed) {
    INFO("seed " << seed);
    Instance instance = randomInstance(seed);
    Options options;
    options.rounds = 4;
    options.seed = seed;
    options.threads = 1;
    Result<Answer> one = solve::solve(instance, options);
    options.threads = 2;
    Result<Answer> two = solve::solve(instance, options);
    REQUIRE(bool(one) == bool(two));
    if (!one)
      continue;
    CHECK(one->assignment == two->assignment);
    CHECK(one->bound == two->bound);
    CHECK(one->rounds == two->rounds);
  }
}

TEST_CASE("a plan comes in no time", "[solve]") {
  uint64_t seed = 40000;
  while (!bruteForce(randomInstance(seed)))
    ++seed;
  Instance instance = randomInstance(seed);
  Options options;
  options.seconds = 0;
  Result<Answer> answer = solve::solve(instance, options);
  REQUIRE(answer);
  CHECK(evaluate(instance, answer->assignment).valid);
}

TEST_CASE("ranges of rows", "[solve]") {
  std::mt19937_64 random(5);
  for (int size : {1, 2, 3, 7, 8, 33}) {
    std::vector<int64_t> values(size);
    for (int64_t &value : values)
      value = static_cast<int64_t>(random() % 100) - 50;
    RangeTree tree;
    tree.reset(values);
    for (int round = 0; round < 300; ++round) {
      int begin = static_cast<int>(random() % (size + 1));
      int end = begin + static_cast<int>(random() % (size - begin + 1));
      int64_t amount = static_cast<int64_t>(random() % 41) - 20;
      tree.add(begin, end, amount);
      for (int row = begin; row < end; ++row)
        values[row] += amount;
      auto greatest = std::max_element(values.begin(), values.end());
      REQUIRE(tree.greatest() == *greatest);
      REQUIRE(tree.whereGreatest() == greatest - values.begin());
      int row = static_cast<int>(random() % size);
      REQUIRE(tree.at(row) == values[row]);
    }
  }
}

TEST_CASE("elimination is exact, but for what is kept", "[solve]") {
  std::mt19937_64 random(6);
  for (int round = 0; round < 300; ++round) {
    int n = 2 + static_cast<int>(random() % 5);
    std::vector<std::vector<double>> unary(n);
    for (auto &prices : unary) {
      prices.resize(1 + random() % 4);
      for (double &price : prices)
        price = double(random() % 20);
    }
    std::vector<Elimination::Function> functions;
    for (int e = 0; e < 2 * n; ++e) {
      int a = static_cast<int>(random() % n),
          b = static_cast<int>(random() % n);
      if (a == b)
        continue;
      functions.push_back({{a, b}, {}});
      for (size_t i = 0; i < unary[a].size() * unary[b].size(); ++i)
        functions.back().data.push_back(double(random() % 20));
    }
    auto price = [&](const std::vector<int> &values) {
      double sum = 0;
      for (int v = 0; v < n; ++v)
        sum += unary[v][values[v]];
      for (const auto &f : functions)
        sum += f.data[values[f.scope[0]] * unary[f.scope[1]].size() +
                      values[f.scope[1]]];
      return sum;
    };
    double best = 1e300;
    std::vector<int> values(n, 0), current(n, 0);
    for (bool more = true; more;) {
      best = std::min(best, price(values));
      more = false;
      for (int v = 0; v < n && !more; ++v)
        if (++values[v] == static_cast<int>(unary[v].size()))
          values[v] = 0;
        else
          more = true;
    }
    for (int64_t limit : {1 << 20, 4}) {
      Elimination elimination(unary, functions);
      double least = elimination.run(current, limit, 1 << 30, random);
      REQUIRE(price(elimination.values()) == least);
      REQUIRE(least >= best);
      REQUIRE(least <= price(current));
      if (limit > 4)
        REQUIRE(least == best);
    }
  }
}
