//===- Problems.h - Random problems, and all of their assignments -*- C++ -*-=//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PLANNER_PROBLEMS_H
#define PARTITA_TEST_UNIT_PLANNER_PROBLEMS_H

#include "partita/Planner/Problem.h"
#include <random>

namespace partita {

struct Shape {
  int variables, values, edges;
  int64_t largest;
};

/// Prices from a small range, so that ties are frequent, some of them forbidden
/// and some tables with the structure of reshards: C(i, i) = 0.
inline Problem randomProblem(const Shape &shape, uint64_t seed) {
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

inline int64_t bruteForce(const Problem &problem) {
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

/// A chain of equal layers: each has a few variables with edges among them and
/// to the next one's first. Layers share tables and prices, or with `copied`
/// have their own, so that nothing looks repeated.
inline Problem layered(uint64_t seed, int layers, bool copied) {
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

/// A few tables and prices, used anywhere and either way round.
inline Problem fromFewTables(uint64_t seed, int variables, int edges) {
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
  for (int v = 0; v < variables; ++v)
    problem.unary.push_back(unaries[random() % 2]);
  for (int e = 0; e < edges; ++e) {
    int a = static_cast<int>(random() % variables);
    int b = static_cast<int>((a + 1 + random() % (variables - 1)) % variables);
    problem.edges.push_back({a, b, tables[random() % 2]});
  }
  return problem;
}

} // namespace partita

#endif // PARTITA_TEST_UNIT_PLANNER_PROBLEMS_H
