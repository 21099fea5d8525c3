//===- ExecutionTest.cpp --------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Schedules against what is known of them, micro-batches against the graph of a
// smaller batch, and plans with stages against each other.
//
//===----------------------------------------------------------------------===//

#include "Graphs.h"
#include "lib/Planner/Costing.h"
#include "lib/Planner/Model.h"
#include "lib/Planner/Segments.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>

using namespace partita;
using namespace partita::planner;
using test::transformer;

static StageTimes stage(int64_t forward, int64_t backward, int64_t once) {
  StageTimes times;
  times.forward.compute = forward;
  times.backward.communication = backward;
  times.once.compute = once;
  return times;
}

/// Of a step by 1F1B.
static int64_t stepTime(const std::vector<StageTimes> &stages, int64_t m) {
  Execution execution;
  execution.stages = static_cast<int64_t>(stages.size());
  execution.microBatches = m;
  return stepTime(execution, stages);
}

TEST_CASE("equal stages wait as long as the formula says", "[planner]") {
  for (int64_t p : {1, 2, 3, 4, 8})
    for (int64_t m : {1, 2, 3, 8, 40}) {
      INFO(p << " stages, " << m << " micro-batches");
      // 1F1B with fewer micro-batches than stages is fill and drain too.
      CHECK(stepTime(std::vector<StageTimes>(p, stage(10, 20, 7)), m) ==
            (m + p - 1) * 30 + 7);
      CHECK(stepTime(std::vector<StageTimes>(p, stage(10, 0, 0)), m) ==
            (m + p - 1) * 10);
    }
}

TEST_CASE("no step is shorter than its bounds", "[planner]") {
  std::mt19937_64 random(5);
  for (int round = 0; round < 3000; ++round) {
    size_t p = 1 + random() % 7;
    auto m = static_cast<int64_t>(1 + random() % 20);
    bool backward = random() % 4 != 0;
    std::vector<StageTimes> stages;
    for (size_t s = 0; s < p; ++s)
      stages.push_back(stage(1 + random() % 50,
                             backward ? random() % 90 + 1 : 0, random() % 40));
    int64_t time = stepTime(stages, m);
    int64_t before = 0, sum = 0, most = 0, work = 0;
    for (const StageTimes &s : stages)
      sum += s.microBatch();
    for (const StageTimes &s : stages) {
      CHECK(time >= m * s.microBatch() + s.once.sum());
      CHECK(time >= before + m * s.microBatch() +
                        (backward ? stages[0].once.sum() : 0));
      if (!backward)
        CHECK(time >=
              sum + (m - 1) * s.microBatch() + stages.back().once.sum());
      before += s.microBatch();
      work += m * s.microBatch() + s.once.sum();
      most = std::max(most, s.microBatch());
    }
    auto count = static_cast<double>(p), batches = static_cast<double>(m);
    double c = 1 / (1 - std::pow(1 - 1 / batches, count));
    CHECK(static_cast<double>(time) >=
          c * static_cast<double>(sum) * (1 - 1e-9));
    CHECK(time * static_cast<int64_t>(p) >= work);
    if (!backward)
      CHECK(time >= sum + (m - 1) * most);
  }
}

TEST_CASE("a micro-batch is the graph of a smaller batch", "[planner]") {
  Graph whole = transformer({8, 16, 96, 6, 6, 1021, 2, true});
  Graph small = transformer({2, 16, 96, 6, 6, 1021, 2, true});
  auto part = microBatched(whole, 4);
  REQUIRE(part);
  REQUIRE(part->ops.size() == small.ops.size());
  for (size_t o = 0; o < small.ops.size(); ++o) {
    INFO(small.ops[o].id);
    CHECK(part->ops[o].rule.str() == small.ops[o].rule.str());
    for (size_t f = 0; f < small.ops[o].rule.factors.size(); ++f)
      CHECK(part->ops[o].rule.factors[f].size ==
            small.ops[o].rule.factors[f].size);
    CHECK(part->ops[o].flops == small.ops[o].flops);
  }
  for (size_t v = 0; v < small.values.size(); ++v)
    CHECK(part->values[v].shape == small.values[v].shape);
  auto uneven = microBatched(whole, 3);
  REQUIRE(!uneven);
  CHECK(uneven.error().exit == ExitCode::Usage);
  CHECK(uneven.error().code == "plan.micro-batches");
}

TEST_CASE("layers are what stages are made of", "[planner]") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 12, true});
  Segments segments(graph, phasesOf(graph));
  CHECK(segments.count() >= 12);
  std::vector<int64_t> work(segments.count(), 0);
  for (size_t o = 0; o < graph.ops.size(); ++o)
    work[segments.segmentOf()[o]] += graph.ops[o].flops;
  int64_t all = std::accumulate(work.begin(), work.end(), int64_t(0));
  for (int64_t stages : {1, 2, 3, 4, 6}) {
    std::vector<int> stageOfSegment = dealt(stages, work);
    REQUIRE(stageOfSegment.size() == work.size());
    std::vector<int64_t> sums(stages, 0);
    for (size_t s = 0; s < work.size(); ++s)
      sums[stageOfSegment[s]] += work[s];
    std::vector<int> stageOf = segments.byOp(stageOfSegment);
    for (int64_t sum : sums) {
      CHECK(sum > 0);
      CHECK(sum < all / stages + all / 6);
    }
    // Data go forward.
    std::vector<int> from(graph.values.size(), 0);
    for (size_t o = 0; o < graph.ops.size(); ++o) {
      for (int value : graph.ops[o].operands)
        CHECK(from[value] <= stageOf[o]);
      for (int value : graph.ops[o].results)
        from[value] = stageOf[o];
    }
  }
  CHECK(dealt(1000, work).empty());
}

TEST_CASE("plans with stages keep what they promise", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  for (const char *text : {"pp=2,x=2", "pp=3,x=2", "pp=2", "x=4"})
    for (int64_t m : {1, 2, 4}) {
      INFO(text << ", " << m << " micro-batches");
      PlanOptions options;
      options.mesh = *Mesh::parse(text);
      options.topology =
          *Topology::parse("cpu:" + std::to_string(options.mesh->numRanks()));
      options.microBatches = m;
      auto plan = partita::plan(graph, options);
      REQUIRE(plan);
      const Execution &execution = plan->execution;
      CHECK(execution.microBatches == m);
      CHECK(plan->bound <= plan->cost.step());
      CHECK(static_cast<int64_t>(plan->chunks.size()) == execution.stages);
      CHECK(plan->cost.step() == stepTime(execution, plan->chunks));
      Graph step = *microBatched(graph, m);
      auto again = evaluate(step, options.topology, plan->mesh,
                            plan->strategies, execution);
      REQUIRE(again);
      CHECK(*again == plan->cost);
      // No random plan of the same stages is below the bound.
      options.randomStrategies = true;
      for (options.seed = 0; options.seed < 5; ++options.seed) {
        auto random = partita::plan(graph, options);
        REQUIRE(random);
        CHECK(random->cost.step() >= plan->bound);
      }
    }
}

TEST_CASE("a search over stages is as good as each of its plans", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 6, true});
  PlanOptions options;
  options.topology = *Topology::parse("cpu:4");
  options.maxStages = 4;
  options.microBatches = 0;
  auto best = partita::plan(graph, options);
  REQUIRE(best);
  CHECK(best->bound <= best->cost.step());
  std::pair<const char *, int64_t> all[] = {
      {"x=4", 1},      {"x=2,y=2", 1},  {"pp=2,x=2", 2},
      {"pp=2,x=2", 8}, {"pp=4,x=1", 4},
  };
  for (auto [text, m] : all) {
    PlanOptions one = options;
    one.mesh = *Mesh::parse(text);
    one.microBatches = m;
    auto plan = partita::plan(graph, one);
    INFO(text << ", " << m << " micro-batches");
    REQUIRE(plan);
    // Small prices of bytes decide between steps that are nearly as long.
    CHECK(static_cast<double>(best->cost.step()) <=
          1.02 * static_cast<double>(plan->cost.step()));
    CHECK(best->bound <= plan->cost.step());
  }
}

TEST_CASE("stages that are all too full find room together", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 8, true});
  PlanOptions options;
  options.mesh = *Mesh::parse("pp=8,x=4");
  options.topology = *Topology::parse("cpu:32");
  options.microBatches = 4;
  options.memoryLimit = int64_t(1) << 40;
  auto roomy = partita::plan(graph, options);
  REQUIRE(roomy);
  options.memoryLimit = roomy->leastPeakBytes * 8 / 10;
  auto tight = partita::plan(graph, options);
  REQUIRE(tight);
  CHECK(tight->leastPeakBytes <= options.memoryLimit);
  CHECK(tight->cost.step() < roomy->cost.step() * 11 / 10);
  CHECK(tight->cost.step() >= roomy->bound);
}

TEST_CASE("every stage has a fullest time", "[planner]") {
  Graph graph = transformer({8, 16, 96, 6, 6, 1021, 8, true});
  DimClasses classes = analyseDims(graph);
  Execution execution{4, 1, false, {}};
  ModelBuilder builder(graph, classes, *Mesh::parse("pp=4,x=2"),
                       *Topology::parse("cpu:8"), Costing(graph, execution));
  REQUIRE(builder.addOperations(
      std::vector<std::vector<const Pin *>>(graph.ops.size())));
  Segments segments(graph, phasesOf(graph));
  builder.setChunks(
      segments.byOp(dealt(4, std::vector<int64_t>(segments.count(), 1))));
  builder.price();
  MemoryRows rows = builder.memory();
  std::vector<int64_t> usage =
      rows.usage(std::vector<int>(graph.ops.size(), 0));
  std::vector<int> peaks = rows.peaks(usage);
  REQUIRE(peaks.size() == 4);
  std::vector<size_t> count(4, 0);
  for (int stage : builder.execution().chunkOf)
    ++count[stage];
  size_t row = 0;
  for (int stage = 0; stage < 4; ++stage) {
    CHECK(peaks[stage] >= static_cast<int>(row));
    for (size_t i = 0; i < count[stage]; ++i, ++row)
      CHECK(usage[row] <= usage[peaks[stage]]);
    CHECK(peaks[stage] < static_cast<int>(row));
  }
}
