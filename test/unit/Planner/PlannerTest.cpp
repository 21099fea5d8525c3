//===- PlannerTest.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plans of models whose good plans are known, and promises about every plan.
//
//===----------------------------------------------------------------------===//

#include "Graphs.h"
#include "partita/Planner/Planner.h"
#include "partita/Reshard/Reshard.h"
#include <catch2/catch.hpp>
#include <chrono>
#include <map>

using namespace partita;
using namespace partita::test;

static PlanOptions onRanks(const std::string &topology,
                           const std::string &mesh = "") {
  PlanOptions options;
  options.topology = *Topology::parse(topology);
  if (!mesh.empty())
    options.mesh = *Mesh::parse(mesh);
  return options;
}

static PlanResult planned(const Graph &graph, const PlanOptions &options) {
  auto result = plan(graph, options);
  if (!result)
    FAIL(result.error().str());
  return *result;
}

/// Share of the products' flops that rank 0 computes.
static double matmulShare(const Graph &graph, const PlanResult &plan) {
  double all = 0, mine = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (op.kernelClass != KernelClass::Gemm)
      continue;
    double share = 1;
    for (size_t f = 0; f < op.rule.factors.size(); ++f)
      for (const FactorSharding &part : plan.strategies[o].factors[f].factors)
        if (op.rule.factors[f].kind != FactorKind::Linear)
          share *= static_cast<double>(
                       shardInterval(part.size, part.axes, plan.mesh,
                                     std::vector<int64_t>(
                                         plan.mesh.axisSizes.size(), 0))
                           .size()) /
                   static_cast<double>(part.size);
    all += static_cast<double>(op.flops);
    mine += static_cast<double>(op.flops) * share;
  }
  return mine / all;
}

static double weightShare(const Graph &graph, const PlanResult &plan) {
  double all = 0, mine = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    if (graph.ops[o].role == OpRole::Parameter) {
      Sharding sharding =
          resultSharding(graph.ops[o].rule, plan.strategies[o], 0);
      all += static_cast<double>(GraphMaker::count(sharding.globalShape()));
      mine += static_cast<double>(
          maxLocalBytes(sharding, plan.mesh, DType::U8));
    }
  return mine / all;
}

/// How often each kind of collective occurs in the plan.
static std::map<std::string, int> moves(const Graph &graph,
                                        const PlanResult &plan) {
  std::map<std::string, int> counts;
  Topology topology = *Topology::parse("cpu:" + std::to_string(
                                                    plan.mesh.numRanks()));
  ReshardPlanner reshard(plan.mesh, CollectiveCost(topology, plan.mesh));
  auto go = [&](DType dtype, const Sharding &from, const Sharding &to) {
    auto path = reshard.path(dtype, from, to);
    REQUIRE(path);
    for (const Move &move : path->moves)
      ++counts[moveKindName(move.kind)];
  };
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t r = 0; r < graph.ops[o].results.size(); ++r) {
      int value = graph.ops[o].results[r];
      DType dtype = graph.values[value].dtype;
      Sharding have = resultSharding(graph.ops[o].rule, plan.strategies[o], r);
      std::vector<Sharding> demands;
      for (size_t u = 0; u < graph.ops.size(); ++u)
        for (size_t i = 0; i < graph.ops[u].operands.size(); ++i)
          if (graph.ops[u].operands[i] == value) {
            Sharding wanted = canonical(
                operandSharding(graph.ops[u].rule, plan.strategies[u], i),
                plan.mesh);
            if (std::find(demands.begin(), demands.end(), wanted) ==
                demands.end())
              demands.push_back(wanted);
          }
      Sharding shared = *reshard.sharedLayout(dtype, have, demands);
      if (demands.size() == 1)
        shared = have;
      go(dtype, have, shared);
      for (const Sharding &demand : demands)
        go(dtype, shared, demand);
    }
  return counts;
}

static int count(const std::map<std::string, int> &counts,
                 const std::string &kind) {
  auto it = counts.find(kind);
  return it == counts.end() ? 0 : it->second;
}

static std::string describe(const Graph &graph, const PlanResult &plan) {
  std::string text;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    text += graph.ops[o].id + ": " +
            plan.strategies[o].str(graph.ops[o].rule, plan.mesh) + "\n";
  return text;
}

TEST_CASE("bert over tensor parallel ranks") {
  Graph graph = transformer({1, 128, 768, 12, 12, 30522, 2});
  for (int ranks : {2, 3, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(plan.proved);
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
    CHECK(weightShare(graph, plan) <= 1.1 / ranks);
    auto counts = moves(graph, plan);
    CHECK(count(counts, "all_to_all") == 0);
    CHECK(count(counts, "permute") == 0);
    // Two a layer and one of the embedding, as such or in halves.
    CHECK(count(counts, "all_reduce") + count(counts, "reduce_scatter") == 5);
    CHECK(count(counts, "all_gather") <= count(counts, "reduce_scatter") + 1);
    CHECK(plan.bound <= plan.cost.step());
    CHECK(plan.gap < 0.02);
  }
}

TEST_CASE("a fused projection is split by heads") {
  Graph graph = transformer({1, 128, 768, 12, 12, 50257, 2, true});
  for (int ranks : {2, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(count(moves(graph, plan), "all_to_all") == 0);
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
    CHECK(weightShare(graph, plan) <= 1.1 / ranks);
  }
}

TEST_CASE("grouped queries") {
  Graph graph = transformer({1, 128, 768, 12, 4, 32000, 2});
  for (int ranks : {2, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
  }
}

TEST_CASE("a batch is split without a collective") {
  Graph graph = transformer({8, 64, 256, 4, 4, 1021, 1});
  PlanResult plan = planned(graph, onRanks("cpu:2", "dp=2"));
  INFO(describe(graph, plan));
  auto counts = moves(graph, plan);
  CHECK(counts.empty());
  CHECK(matmulShare(graph, plan) == 0.5);
  CHECK(weightShare(graph, plan) == 1);
}

TEST_CASE("two axes") {
  Graph graph = transformer({4, 64, 384, 6, 6, 1021, 2});
  PlanResult plan = planned(graph, onRanks("cpu:4", "dp=2,tp=2"));
  INFO(describe(graph, plan));
  CHECK(plan.proved);
  CHECK(matmulShare(graph, plan) == Approx(0.25));
  CHECK(count(moves(graph, plan), "all_to_all") == 0);
}

TEST_CASE("without a mesh one is found and named") {
  Graph graph = transformer({8, 64, 256, 4, 4, 1021, 2});
  for (std::string topology : {"cpu:1", "cpu:2", "cpu:3", "cpu:4"}) {
    auto start = std::chrono::steady_clock::now();
    PlanResult plan = planned(graph, onRanks(topology));
    double seconds = std::chrono::duration<double>(
                         std::chrono::steady_clock::now() - start)
                         .count();
    WARN(topology << " " << plan.mesh.str() << " step "
                  << plan.cost.step() / 1e6 << " us, gap " << plan.gap
                  << ", proved " << plan.proved << ", " << seconds << " s");
    CHECK(plan.mesh.numRanks() == onRanks(topology).topology.numRanks());
    CHECK(plan.bound <= plan.cost.step());
    // The same by name.
    PlanResult again = planned(graph, onRanks(topology, plan.mesh.str()));
    CHECK(again.cost.step() <= plan.cost.step() * 1.001);
  }
}

TEST_CASE("depth is cheap") {
  Graph graph = transformer({1, 128, 768, 12, 12, 30522, 96});
  auto start = std::chrono::steady_clock::now();
  PlanResult plan = planned(graph, onRanks("cpu:2", "tp=2"));
  double seconds = std::chrono::duration<double>(
                       std::chrono::steady_clock::now() - start)
                       .count();
  WARN(graph.ops.size() << " operations, " << seconds << " s, gap "
                        << plan.gap);
  CHECK(plan.proved);
}
