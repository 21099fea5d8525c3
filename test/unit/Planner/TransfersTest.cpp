//===- TransfersTest.cpp --------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The problem of a model in stages against evaluate(): random plans in random
// stages, of which only the layouts of values are left to choose.
//
//===----------------------------------------------------------------------===//

#include "Chain.h"
#include "lib/Planner/Model.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>
#include <random>

using namespace partita;
using namespace partita::planner;
using namespace partita::test;

namespace {
/// How near the prices of problems are.
struct Nearness {
  int count = 0, equal = 0, near = 0;
  void report() const;
};

/// Plans of a graph in stages.
class Stages {
public:
  Stages(const Graph &graph, const std::string &mesh,
         const std::string &topology)
      : graph(graph), mesh(*Mesh::parse(mesh)),
        topology(*Topology::parse(topology)), classes(analyseDims(graph)) {}
  void check(Execution execution, uint64_t seed, Nearness &found);

private:
  const Graph &graph;
  Mesh mesh;
  Topology topology;
  DimClasses classes;
};
} // namespace

void Nearness::report() const {
  WARN("of " << count << " plans " << equal << " cost what the problem says, "
             << near << " no more than a tenth beyond that");
  CHECK(near > count / 2);
}

/// What is said of forward passes, of backward passes, ..., counts as in the
/// problem.
static int64_t countedIn(const Costing &costing,
                         const std::vector<StageTimes> &times) {
  StageTimes sum;
  for (const StageTimes &chunk : times)
    sum += chunk;
  return costing.forward(sum.forward.sum()) +
         costing.backward(sum.backward.sum()) +
         costing.weight(sum.weight.sum()) + costing.once(sum.once.sum());
}

void Stages::check(Execution execution, uint64_t seed, Nearness &found) {
  std::mt19937_64 random(seed);
  execution.stages = mesh.numStages();
  Costing costing(graph, execution);
  ModelBuilder builder(graph, classes, mesh, topology, costing);
  REQUIRE(builder.addOperations(
      std::vector<std::vector<const Pin *>>(graph.ops.size())));
  builder.price();
  for (int sample = 0; sample < 6; ++sample) {
    Problem problem = builder.model.time;
    std::vector<Strategy> strategies;
    // Mostly what is cheap to bring together: plans that are looked for.
    const unsigned split = 1 + random() % 4;
    for (size_t o = 0; o < graph.ops.size(); ++o) {
      const auto &candidates = builder.model.candidates[o]->candidates;
      size_t chosen = random() % 4 < split ? random() % candidates.size() : 0;
      strategies.push_back(candidates[chosen].strategy);
      for (size_t v = 0; v < candidates.size(); ++v)
        if (v != chosen)
          problem.unary[o][v] = forbidden;
    }
    std::vector<StageTimes> times;
    auto cost = evaluate(graph, topology, mesh, strategies, execution, &times);
    if (!cost)
      FAIL(cost.error().str());
    const int64_t most = countedIn(costing, times),
                  price = solveProblem(problem, {}).bound;
    CHECK(price <= most);
    ++found.count;
    // Prices are rounded down one by one.
    found.equal += price >= most - static_cast<int64_t>(problem.edges.size());
    found.near += static_cast<double>(price) >= 0.9 * static_cast<double>(most);
  }
}

static const std::pair<const char *, const char *> machines[] = {
    {"pp=2,x=2", "cpu:4"},
    {"pp=3,x=2", "cpu:6"},
    {"pp=2,x=4", "dgx-h100"},
    {"pp=2,x=2,y=4", "dgx-a100x2"}};

TEST_CASE("stages of transformers cost what their problem says, or more",
          "[planner]") {
  Nearness found;
  for (uint64_t seed = 0; seed < 120; ++seed) {
    std::mt19937_64 random(seed);
    Graph graph = transformer({4, 16, 96, 6, 6, 1021, 2, seed % 2 == 0});
    auto [mesh, machine] = machines[random() % std::size(machines)];
    INFO("seed " << seed << ", " << mesh << " on " << machine);
    Stages stages(graph, mesh, machine);
    const int last = static_cast<int>(Mesh::parse(mesh)->numStages()) - 1;
    Execution execution;
    execution.microBatches = int64_t(1) << (random() % 3);
    std::vector<int> madeIn(graph.values.size(), 0);
    for (const GraphOp &op : graph.ops) {
      int stage = 0;
      for (int value : op.operands)
        stage = std::max(stage, madeIn[value]);
      if (op.atLoad || op.role == OpRole::Input)
        stage = static_cast<int>(random() % (last + 1));
      else if (op.role == OpRole::Compute && random() % 12 == 0)
        stage = std::min(stage + 1, last);
      for (int value : op.results)
        madeIn[value] = op.role == OpRole::Compute && !op.atLoad ? stage : 0;
      execution.chunkOf.push_back(stage);
    }
    stages.check(execution, seed, found);
  }
  found.report();
}

TEST_CASE("stages of training steps cost what their problem says, or more",
          "[planner]") {
  Nearness found;
  for (uint64_t seed = 0; seed < 120; ++seed) {
    std::mt19937_64 random(seed);
    Chain chain(seed, 6);
    auto [mesh, machine] = machines[random() % std::size(machines)];
    INFO("seed " << seed << ", " << mesh << " on " << machine);
    Stages stages(chain.maker.graph, mesh, machine);
    const char *names[] = {"1f1b", "gpipe", "interleaved:2", "zb-h1", "zb-v"};
    Execution execution;
    execution.schedule = *ScheduleChoice::parse(names[random() % 5]);
    execution.stages = Mesh::parse(mesh)->numStages();
    execution.microBatches = execution.stages << (random() % 2);
    for (int layer : chain.layerOf)
      execution.chunkOf.push_back(
          static_cast<int>(layer * execution.chunks() / chain.layers));
    stages.check(execution, seed, found);
  }
  found.report();
}
