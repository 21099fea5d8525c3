//===- LeavesTest.cpp -----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is known of leaves before they are solved, against plans of them.
//
//===----------------------------------------------------------------------===//

#include "lib/Planner/Leaves.h"
#include "Graphs.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::planner;
using test::transformer;

static Leaf leafOf(const std::string &mesh, int64_t microBatches) {
  Leaf leaf;
  leaf.mesh = *Mesh::parse(mesh);
  int axis = leaf.mesh.axis(stageAxis);
  leaf.execution.stages = axis < 0 ? 1 : leaf.mesh.axisSizes[axis];
  leaf.execution.microBatches = microBatches;
  return leaf;
}

TEST_CASE("no plan of a leaf is below what is known of it", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  Steps steps(graph);
  CHECK(!steps.hasBackward());
  CHECK(steps.mayDivide(8));
  CHECK(!steps.mayDivide(3));
  for (const char *text : {"x=4", "pp=2,x=2", "pp=4,x=1", "pp=4,x=2"}) {
    PlanOptions options;
    options.mesh = *Mesh::parse(text);
    options.topology =
        *Topology::parse("cpu:" + std::to_string(options.mesh->numRanks()));
    Prober prober(options.topology, steps);
    Leaf first = leafOf(text, 1);
    first.step = *steps.of(1);
    REQUIRE(prober.probe(first));
    CHECK(first.probed);
    for (int64_t m : {1, 2, 4, 8}) {
      INFO(text << ", " << m << " micro-batches");
      options.microBatches = m;
      auto plan = partita::plan(graph, options);
      REQUIRE(plan);
      Leaf leaf = leafOf(text, m);
      leaf.step = *steps.of(m);
      leaf.stageOfSegment = first.stageOfSegment;
      int64_t inherited = prober.inherited(first, leaf);
      CHECK(inherited > 0);
      CHECK(inherited <= plan->cost.step());
      REQUIRE(prober.probe(leaf));
      CHECK(leaf.bound <= plan->cost.step());
      // It says something.
      CHECK(leaf.bound > plan->cost.step() / 2);
      CHECK(prober.inherited(leaf, first) == (m == 1 ? inherited : 0));
    }
  }
}

TEST_CASE("leaves hold what nothing can split further", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  Steps steps(graph);
  PlanOptions options;
  options.mesh = *Mesh::parse("pp=2,x=2");
  options.topology = *Topology::parse("cpu:4");
  options.microBatches = 2;
  options.memoryLimit = int64_t(1) << 40;
  Prober prober(options.topology, steps);
  Leaf leaf = leafOf("pp=2,x=2", 2);
  leaf.step = *steps.of(2);
  REQUIRE(prober.deal(leaf));
  auto plan = partita::plan(graph, options);
  REQUIRE(plan);
  CHECK(prober.leastBytes(leaf) > 0);
  CHECK(prober.leastBytes(leaf) <= plan->leastPeakBytes);
  options.memoryLimit = prober.leastBytes(leaf) - 1;
  auto none = partita::plan(graph, options);
  REQUIRE(!none);
  CHECK(none.error().code == "plan.memory");
}

TEST_CASE("a leaf has as many segments as stages", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 1, true});
  Steps steps(graph);
  Topology topology = *Topology::parse("cpu:64");
  Prober prober(topology, steps);
  Leaf leaf = leafOf("pp=64,x=1", 1);
  leaf.step = *steps.of(1);
  Status status = prober.deal(leaf);
  REQUIRE(!status);
  CHECK(status.takeError().code == "plan.stages");
}
