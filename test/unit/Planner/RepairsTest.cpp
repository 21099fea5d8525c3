//===- RepairsTest.cpp - What would make room -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Repairs.h"
#include "Graphs.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static PlanOptions machine(const std::string &topology) {
  PlanOptions options;
  options.topology = *Topology::parse(topology);
  return options;
}

/// The least limit, in steps of 2%, under which there is a plan.
static int64_t leastLimit(const Graph &graph, PlanOptions options) {
  options.memoryLimit = int64_t(1) << 30;
  while (true) {
    PlanOptions less = options;
    less.memoryLimit = options.memoryLimit * 49 / 50;
    if (!plan(graph, less))
      return options.memoryLimit;
    options = less;
  }
}

TEST_CASE("what is held when nothing fits is said") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 3});
  PlanOptions options = machine("cpu:2");
  options.memoryLimit = leastLimit(graph, options) / 2;
  auto none = plan(graph, options);
  REQUIRE(!none);
  CHECK(none.error().code == "plan.memory");
  const std::string &text = none.error().message;
  CHECK(text.find("\n  at '") != std::string::npos);
  CHECK(text.find("mesh x=2") != std::string::npos);
  CHECK(text.find("[0-2]") != std::string::npos);
}

TEST_CASE("repairs have plans that fit") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 3});
  PlanOptions options = machine("cpu:2");
  options.memoryLimit = leastLimit(graph, options) * 9 / 10;
  REQUIRE(!plan(graph, options));
  std::vector<Repair> repairs = findRepairs(graph, options);
  std::set<std::string> changes;
  double last = 0;
  for (const Repair &repair : repairs) {
    changes.insert(repair.change);
    CHECK(repair.plan.leastPeakBytes <= options.memoryLimit);
    CHECK(repair.plan.mesh.numRanks() == repair.ranks);
    CHECK(repair.price() >= last);
    last = repair.price();
  }
  CHECK(changes ==
        std::set<std::string>{"--topology cpu:4", "bf16 in place of f32"});

  options.mesh = *Mesh::parse("dp=2");
  changes.clear();
  for (const Repair &repair : findRepairs(graph, options))
    changes.insert(repair.change);
  CHECK(changes.count("without --mesh") == 0);
}

TEST_CASE("pins that are in the way are named, others not") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 3});
  PlanOptions options = machine("cpu:2");
  options.mesh = *Mesh::parse("tp=2");
  options.memoryLimit = leastLimit(graph, options) * 21 / 20;
  REQUIRE(plan(graph, options));
  // The table of words is most of it.
  size_t table = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    if (graph.ops[o].role == OpRole::Parameter &&
        graph.values[graph.ops[o].results[0]].shape[0] == 1021)
      table = o;
  const std::string heavy = graph.ops[table].id + ":replicated";
  options.pins = {*Pin::parse("*:replicated")};
  REQUIRE(!plan(graph, options));
  std::vector<Repair> repairs = findRepairs(graph, options);
  REQUIRE(!repairs.empty());
  bool named = false;
  for (const Repair &repair : repairs)
    named |= repair.change == "without --pin '*:replicated'";
  CHECK(named);

  // Of several only those that matter.
  options.pins = {*Pin::parse("input:*:replicated"), *Pin::parse(heavy)};
  if (plan(graph, options))
    return;
  for (const Repair &repair : findRepairs(graph, options))
    CHECK(repair.change.find("input:*") == std::string::npos);
}

TEST_CASE("contradictory pins are named alone") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 1});
  PlanOptions options = machine("cpu:4");
  options.mesh = *Mesh::parse("tp=2,x=2");
  options.pins = {*Pin::parse("*fc1:n=x"), *Pin::parse("*fc1:k=tp"),
                  *Pin::parse("*fc1:n=tp")};
  auto none = plan(graph, options);
  REQUIRE(!none);
  CHECK(none.error().code == "plan.pins-conflict");
  CHECK(none.error().message.find("'*fc1:k=tp', '*fc1:n=tp'") !=
        std::string::npos);
  CHECK(none.error().message.find("n=x") == std::string::npos);
}
