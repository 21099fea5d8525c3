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
#include "Chain.h"
#include "lib/Planner/Ways.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::planner;
using test::Chain;
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
    ReshardPool reshards(options.topology);
    Prober prober(options.topology, steps, reshards);
    Leaf first = leafOf(text, 1);
    REQUIRE(prober.probe(first));
    CHECK(first.probed);
    for (int64_t m : {1, 2, 4, 8}) {
      INFO(text << ", " << m << " micro-batches");
      options.microBatches = m;
      auto plan = partita::plan(graph, options);
      REQUIRE(plan);
      Leaf leaf = leafOf(text, m);
      leaf.chunkOfSegment = first.chunkOfSegment;
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

TEST_CASE("no plan of a schedule is below what is known of it", "[planner]") {
  int stronger = 0, count = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Chain chain(seed, 12);
    const Graph &graph = chain.maker.graph;
    Steps steps(graph);
    REQUIRE(steps.hasBackward());
    PlanOptions options;
    options.mesh = *Mesh::parse("pp=2,x=2");
    options.topology = *Topology::parse("cpu:4");
    ReshardPool reshards(options.topology);
    Prober prober(options.topology, steps, reshards);
    std::vector<Leaf> leaves;
    for (int64_t m : {2, 4, 8})
      for (bool recompute : {false, true})
        for (const char *name : {"1f1b", "gpipe", "interleaved:2",
                                 "interleaved:3", "zb-h1", "zb-h2", "zb-v"}) {
          Leaf leaf = leafOf("pp=2,x=2", m);
          leaf.execution.recompute = recompute;
          leaf.execution.schedule = *ScheduleChoice::parse(name);
          leaves.push_back(std::move(leaf));
        }
    LeafQueue queue(leaves);
    REQUIRE(prober.probe(leaves[0]));
    queue.tell(leaves[0], prober);
    for (Leaf &leaf : leaves) {
      options.microBatches = leaf.execution.microBatches;
      options.recompute = leaf.execution.recompute;
      options.schedule = leaf.execution.schedule;
      INFO("seed " << seed << ", " << options.schedule->str() << ", "
                   << options.microBatches << " micro-batches");
      auto plan = partita::plan(graph, options);
      REQUIRE(plan);
      CHECK(plan->bound <= plan->cost.step());
      CHECK(leaf.bound <= plan->cost.step());
      int64_t told = leaf.bound;
      CHECK(told > 0);
      REQUIRE(prober.probe(leaf));
      CHECK(leaf.bound <= plan->cost.step());
      stronger += told > leaf.bound / 2;
      ++count;
      options.randomStrategies = true;
      for (options.seed = 0; options.seed < 3; ++options.seed) {
        auto random = partita::plan(graph, options);
        REQUIRE(random);
        CHECK(random->cost.step() >= leaf.bound);
        CHECK(random->cost.step() >= plan->bound);
      }
      options.randomStrategies = false;
    }
  }
  // What one says of others is worth something.
  CHECK(stronger > count / 3);
}

TEST_CASE("leaves hold what nothing can split further", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  Steps steps(graph);
  PlanOptions options;
  options.mesh = *Mesh::parse("pp=2,x=2");
  options.topology = *Topology::parse("cpu:4");
  options.microBatches = 2;
  options.memoryLimit = int64_t(1) << 40;
  ReshardPool reshards(options.topology);
  Prober prober(options.topology, steps, reshards);
  Leaf leaf = leafOf("pp=2,x=2", 2);
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
  ReshardPool reshards(topology);
  Prober prober(topology, steps, reshards);
  Leaf leaf = leafOf("pp=64,x=1", 1);
  Status status = prober.deal(leaf);
  REQUIRE(!status);
  CHECK(status.takeError().code == "plan.stages");
}

TEST_CASE("a mesh says nothing of one whose stages have its first axis's size",
          "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  Steps steps(graph);
  const Topology topology = *Topology::parse("cpu:8");
  ReshardPool reshards(topology);
  Prober prober(topology, steps, reshards);
  std::vector<Leaf> leaves{leafOf("x=2,y=4", 1), leafOf("pp=2,x=4", 2)};
  LeafQueue queue(leaves);
  CHECK(queue.firstOfMeshes().size() == 2);
  REQUIRE(prober.probe(leaves[0]));
  queue.tell(leaves[0], prober);
  CHECK(leaves[1].bound == 0);
  CHECK(leaves[1].chunkOfSegment.empty());
}

TEST_CASE("stages and micro-batches of machines and batches of any size",
          "[planner]") {
  using Counts = std::vector<int64_t>;
  PlanOptions options;
  options.topology = *Topology::parse("cpu:60");
  options.maxStages = 12;
  options.microBatches = 0;
  Chain chain(0, 12, 64, 90);
  Steps steps(chain.maker.graph);
  REQUIRE(steps.segments().count() == 12);
  // 5 and 10 leave some stages with twice the work of others.
  CHECK(stagesTried(steps, options) == Counts{1, 2, 3, 4, 6, 12});
  // 90 falls into neither 4, 8 nor 12.
  CHECK(microBatchesTried(steps, options, 3) ==
        Counts{3, 5, 6, 9, 15, 18, 30, 45});
  options.topology = *Topology::parse("cpu:8");
  CHECK(stagesTried(steps, options) == Counts{1, 2, 4, 8});
  Chain even(0, 12, 64, 96);
  Steps evenSteps(even.maker.graph);
  CHECK(microBatchesTried(evenSteps, options, 4) ==
        Counts{4, 6, 8, 12, 16, 24, 32, 48});
  options.microBatches = 7;
  CHECK(microBatchesTried(evenSteps, options, 4) == Counts{7});
}
