//===- SharingTest.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What readers of one tensor pay together, against paying for each layout once.
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/Sharing.h"
#include "Graphs.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>
#include <random>

using namespace partita;
using namespace partita::planner;
using namespace partita::test;

/// Products of one tensor, of different widths.
static Graph readers(int count) {
  GraphMaker g;
  int x = g.input("x", {8, 16, 64}, {"batch", "sequence", ""});
  x = g.unary("made", x);
  for (int i = 0; i < count; ++i) {
    std::string n = std::to_string(i);
    g.output(
        g.matmul("read" + n, x, g.parameter("w" + n, {64, 32 << (i % 2)})));
  }
  return g.graph;
}

/// The problem with these values of the first variables only.
static Problem with(Problem problem, const std::vector<int> &values) {
  for (size_t v = 0; v < values.size(); ++v)
    for (size_t value = 0; value < problem.unary[v].size(); ++value)
      if (static_cast<int>(value) != values[v])
        problem.unary[v][value] = forbidden;
  return problem;
}

TEST_CASE("what readers of one tensor share is paid once", "[planner]") {
  std::mt19937_64 random(3);
  for (auto [count, extra] :
       {std::pair(2, 1), {3, 1}, {4, 1}, {5, 2}, {6, 2}}) {
    INFO(count << " readers, " << extra << " layouts");
    const char *mesh = extra > 1 ? "x=8" : "x=2,y=4";
    Graph graph = readers(count);
    DimClasses classes = analyseDims(graph);
    ModelBuilder builder(graph, classes, *Mesh::parse(mesh),
                         *Topology::parse("cpu:8"), Costing(graph));
    REQUIRE(builder.addOperations(
        std::vector<std::vector<const Pin *>>(graph.ops.size())));
    builder.price();
    const Model &model = builder.model;
    REQUIRE(model.shared.size() == 1);
    Sharing sharing(model, leftWithin(boundByMessages(model.time), forbidden),
                    extra);
    int together = 0;
    for (int round = 0; round < 40; ++round) {
      // Readers that are alike do alike half of the time.
      std::vector<int> values;
      for (size_t o = 0; o < graph.ops.size(); ++o) {
        size_t size = model.candidates[o]->candidates.size();
        bool repeat = o >= 4 && random() % 2 &&
                      model.candidates[o] == model.candidates[o - 3];
        values.push_back(repeat ? values[o - 3]
                                : static_cast<int>(random() % size));
      }
      // All shared layouts.
      int64_t best = forbidden;
      std::vector<int> whole = values;
      whole.push_back(0);
      for (size_t s = 0; s < model.shared[0].layouts->size(); ++s) {
        whole.back() = static_cast<int>(s);
        best = std::min(best, priceShared(model, model.time, whole));
      }
      Solution before = solveProblem(with(model.time, values), {});
      Solution time = solveProblem(with(sharing.model.time, values), {});
      Solution objective =
          solveProblem(with(sharing.model.objective, values), {});
      REQUIRE(time.proved);
      CHECK(time.price <= best);
      if (count <= 2 * extra + 1)
        CHECK(time.price == best);
      CHECK(time.price >= before.price);
      together += time.price > before.price;
      // Shares as well, and keeping what is read has its price.
      CHECK(objective.price >= time.price);
      CHECK(objective.price <=
            solveProblem(with(model.objective, values), {}).price);
      sharing.toOriginal(time.values);
      CHECK(std::equal(values.begin(), values.end(), time.values.begin()));
      CHECK(time.values.back() <
            static_cast<int>(model.shared[0].layouts->size()));
    }
    if (count > 2)
      CHECK(together > 0);
  }
}

TEST_CASE("what a bound rules out is forbidden", "[planner]") {
  Graph graph = readers(3);
  DimClasses classes = analyseDims(graph);
  ModelBuilder builder(graph, classes, *Mesh::parse("x=2,y=4"),
                       *Topology::parse("cpu:8"), Costing(graph));
  REQUIRE(builder.addOperations(
      std::vector<std::vector<const Pin *>>(graph.ops.size())));
  builder.price();
  const Model &model = builder.model;
  DualBound dual = boundByMessages(model.time);
  Solution best = solveProblem(model.time, {});
  for (int64_t slack : {best.price - dual.bound, best.price / 4}) {
    Sharing sharing(model, leftWithin(dual, slack), 1);
    size_t gone = 0, all = 0;
    for (const std::vector<int64_t> &unary : sharing.model.time.unary) {
      gone += std::count(unary.begin(), unary.end(), forbidden);
      all += unary.size();
    }
    CHECK(gone > 0);
    CHECK(gone < all);
    Solution left = solveProblem(sharing.model.time, {});
    CHECK(left.price >= best.price);
    sharing.toOriginal(left.values);
    CHECK(priceShared(model, model.time, left.values) == left.price);
  }
}
