//===- ExplainTest.cpp - What an operation could do instead ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Explain.h"
#include "Graphs.h"
#include <catch2/catch.hpp>
#include <numeric>

using namespace partita;
using namespace partita::test;

static PlanOptions machine(const std::string &topology,
                           const std::string &mesh) {
  PlanOptions options;
  options.topology = *Topology::parse(topology);
  options.mesh = *Mesh::parse(mesh);
  return options;
}

static std::vector<int> allOps(const Graph &graph) {
  std::vector<int> ops(graph.ops.size());
  std::iota(ops.begin(), ops.end(), 0);
  return ops;
}

TEST_CASE("no alternative is better than a plan that is proved the best") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 2});
  for (std::string mesh : {"tp=4", "x=2,y=2"}) {
    PlanOptions options = machine("cpu:4", mesh);
    PlanResult result = *plan(graph, options);
    REQUIRE(result.proved);
    auto all = explain(graph, options.topology, result.mesh, result.strategies,
                       allOps(graph), 1000);
    if (!all)
      FAIL(all.error().str());
    int64_t others = 0;
    for (const Explanation &explanation : *all) {
      CHECK(explanation.chosen.cost == result.cost);
      CHECK(explanation.numOthers ==
            static_cast<int64_t>(explanation.others.size()));
      int64_t last = 0;
      for (const Alternative &other : explanation.others) {
        CHECK(other.strategy != result.strategies[explanation.op]);
        CHECK(other.difference >= last);
        last = other.difference;
        ++others;
      }
    }
    CHECK(others > static_cast<int64_t>(graph.ops.size()));
  }
}

TEST_CASE("what is kept back by a pin is better without") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 2});
  PlanOptions options = machine("cpu:2", "tp=2");
  PlanResult best = *plan(graph, options);
  // A product that is split, whole.
  size_t op = 0;
  while (graph.ops[op].kind != "nn.matmul" ||
         best.strategies[op] == Strategy::replicated(graph.ops[op].rule))
    ++op;
  options.pins = {*Pin::parse(graph.ops[op].id + ":replicated")};
  PlanResult pinned = *plan(graph, options);
  REQUIRE(pinned.cost.step() > best.cost.step());
  auto explained = explain(graph, options.topology, pinned.mesh,
                           pinned.strategies, {static_cast<int>(op)}, 1);
  REQUIRE(explained);
  const Explanation &it = explained->front();
  REQUIRE(it.others.size() == 1);
  CHECK(it.numOthers > 1);
  CHECK(it.others[0].difference < 0);
  CHECK(it.others[0].cost.step() < it.chosen.cost.step());
  CHECK(it.others[0].kernel < it.chosen.kernel);
}

TEST_CASE("operations are found by id and by node") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 1});
  graph.ops[0].nodes = {"/a/b"};
  CHECK(operationsMatching(graph, "/a/*") == std::vector{0});
  CHECK(operationsMatching(graph, graph.ops[1].id) == std::vector{1});
  CHECK(operationsMatching(graph, "*").size() == graph.ops.size());
  CHECK(operationsMatching(graph, "none").empty());
}
