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
#include "Graphs.h"
#include "Problems.h"
#include "lib/Planner/Dominance.h"
#include "lib/Planner/Model.h"
#include "lib/Planner/Reduction.h"
#include <catch2/catch.hpp>
#include <fstream>

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
  const int64_t least = bruteForce(problem);
  CHECK(dual.bound <= least);
  for (int64_t enough : {0, 1000000})
    CHECK(leastByMessages(problem, enough) <= least);
  CHECK(bruteForce(withoutEnds(problem)) == least);
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

//===----------------------------------------------------------------------===//
// Another relaxation
//===----------------------------------------------------------------------===//

template <typename T, typename Text>
static std::string list(const std::vector<T> &items, const Text &text) {
  std::string joined;
  for (const T &item : items)
    joined += (joined.empty() ? "" : ",") + text(item);
  return "[" + joined + "]";
}

/// A line of JSON, with what messages and the solver say of it. Forbidden
/// prices are null.
static std::string written(const Problem &problem) {
  auto number = [](int64_t price) {
    return price < forbidden ? std::to_string(price) : std::string("null");
  };
  auto numbers = [&](const std::vector<int64_t> &prices) {
    return list(prices, number);
  };
  auto edge = [&](const PriceEdge &edge) {
    return "[" + std::to_string(edge.first) + "," +
           std::to_string(edge.second) + "," + numbers(edge.table->prices) +
           "]";
  };
  return "{\"unary\":" + list(problem.unary, numbers) +
         ",\"edges\":" + list(problem.edges, edge) +
         ",\"bound\":" + std::to_string(boundByMessages(problem).bound) +
         ",\"price\":" + std::to_string(solveProblem(problem, {}).price) +
         "}\n";
}

/// Prices in thousandths: messages are whole numbers.
static Problem inThousandths(Problem problem) {
  std::map<const PriceTable *, std::shared_ptr<const PriceTable>> tables;
  for (std::vector<int64_t> &prices : problem.unary)
    for (int64_t &price : prices)
      price *= 1000;
  for (PriceEdge &edge : problem.edges) {
    auto &table = tables[edge.table.get()];
    if (!table) {
      auto made = std::make_shared<PriceTable>(*edge.table);
      for (int64_t &price : made->prices)
        price *= 1000;
      table = std::move(made);
    }
    edge.table = table;
  }
  return problem;
}

static Problem ofGraph(const Graph &graph, const char *mesh) {
  Mesh parsed = *Mesh::parse(mesh);
  DimClasses classes = analyseDims(graph);
  Costing costing(graph);
  ModelBuilder builder(
      graph, classes, parsed,
      *Topology::parse("cpu:" + std::to_string(parsed.numRanks())), costing);
  REQUIRE(builder.addOperations(
      std::vector<std::vector<const Pin *>>(graph.ops.size())));
  builder.price();
  return removeDominated(builder.model.time).problem;
}

/// For test_relaxation.py, which has a library for linear programs.
TEST_CASE("problems for another relaxation", "[.relaxation]") {
  const char *path = std::getenv("PARTITA_PROBLEMS");
  REQUIRE(path);
  std::ofstream file(path);
  for (uint64_t seed = 0; seed < 40; ++seed)
    file << written(seed % 2 ? randomProblem({10, 5, 14, 1000}, seed)
                             : inThousandths(fromFewTables(seed, 10, 14)));
  for (int64_t batch : {1, 4, 6})
    for (const char *mesh : {"x=2", "tp=3", "x=2,y=2", "dp=2,tp=2"})
      file << written(
          ofGraph(test::transformer({batch, 16, 96, 6, 2, 1021, 1}), mesh));
  REQUIRE(file.flush());
}
