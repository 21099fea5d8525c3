//===- Exhaust.cpp - All plans of a small leaf ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Exhaust.h"
#include "Model.h"
#include "Reduction.h"
#include "Resident.h"
#include <algorithm>
#include <numeric>
#include <set>

using namespace partita;
using namespace partita::planner;

namespace {
class Search {
public:
  Search(const Step &step, const Topology &topology, const Leaf &leaf,
         const ExhaustOptions &options)
      : step(step), topology(topology), leaf(leaf), options(options),
        resident(step.graph, leaf.mesh),
        phases(phasesOf(step.graph, leaf.execution)),
        builder(step.graph, step.classes, leaf.mesh, topology, chainCosting()) {
  }
  Status open(const std::vector<std::vector<const Pin *>> &pins);
  Status run();
  Exhausted found;

private:
  using Values = std::vector<int>;
  /// Values that are left of each operation.
  using Node = std::vector<Values>;
  /// What a chain's tasks take; with a price of what a stage keeps.
  struct Chain {
    Counts counts;
    int stage;
    Problem time, rank;
  };
  Costing chainCosting() const;
  void addChain(const Counts &counts, int stage);
  Solution solve(const Problem &problem, const Node &node);
  Status look(const Values &values);
  Status lookAtAll(const Node &node);
  Status examine(const Node &node);
  void divide(const Node &node, const std::vector<Values> &least);
  bool fits(const Values &values, int64_t &bytes) const;
  int fullestStage(const std::vector<Strategy> &strategies) const;

  const Step &step;
  const Topology &topology;
  const Leaf &leaf;
  const ExhaustOptions &options;
  const Resident resident;
  const std::vector<OpPhase> phases;
  ModelBuilder builder;
  std::optional<MemoryRows> rows;
  std::vector<Chain> chains;
  std::vector<Node> nodes;
  std::set<Values> seen;
};
} // namespace

/// Each operation counts by its number. Where stages have several chunks, these
/// count by different numbers, and a reshard that two of them share is one of
/// the first: they are priced as places that may be in different stages.
Costing Search::chainCosting() const {
  Costing costing(step.graph);
  costing.phases = phases;
  costing.execution = leaf.execution;
  if (leaf.execution.chunks() > leaf.execution.stages) {
    costing.placeOf = leaf.execution.chunkOf;
    costing.execution.chunkOf.clear();
  }
  return costing;
}

Status Search::open(const std::vector<std::vector<const Pin *>> &pins) {
  PARTITA_CHECK(builder.addOperations(pins));
  if (options.memoryLimit > 0) {
    ModelBuilder whole(step.graph, step.classes, leaf.mesh, topology,
                       Costing(step.graph, leaf.execution));
    PARTITA_CHECK(whole.addOperations(pins));
    rows = whole.memory();
  }
  Node &root = nodes.emplace_back();
  for (const CandidateSet *set : builder.model.candidates) {
    root.emplace_back(set->candidates.size());
    std::iota(root.back().begin(), root.back().end(), 0);
  }
  found.step = options.toBeat.step;
  found.rank = options.toBeat.rank;
  addChain(leaf.counts, 0);
  return ok();
}

/// The price of what a stage keeps is no more than that of the fullest.
void Search::addChain(const Counts &counts, int stage) {
  for (const Chain &chain : chains)
    if (chain.counts == counts && chain.stage == stage)
      return;
  const Execution &execution = leaf.execution;
  std::vector<int64_t> forward, backward, once;
  for (size_t o = 0; o < phases.size(); ++o) {
    const ByPhase &own = counts[execution.chunk(o)];
    forward.push_back(own.forward + (execution.recompute ? own.backward : 0));
    backward.push_back(phases[o] == OpPhase::Weight ? own.weight
                                                    : own.backward);
    once.push_back(own.once);
  }
  builder.setTimes(std::move(forward), std::move(backward), std::move(once));
  builder.price(/*onlyTime=*/true);
  Chain chain{counts, stage, builder.model.time, builder.model.time};
  for (size_t o = 0; o < phases.size(); ++o) {
    const auto &candidates = builder.model.candidates[o]->candidates;
    for (size_t k = 0; k < candidates.size(); ++k)
      if (execution.stage(o) == stage) {
        int64_t &price = chain.rank.unary[o][k];
        price = addPrices(
            price, residentPrice(topology.commonDevice(),
                                 resident.bytes(o, candidates[k].strategy)));
      }
  }
  chains.push_back(std::move(chain));
}

/// The least of what is left, or a bound of it.
Solution Search::solve(const Problem &problem, const Node &node) {
  std::vector<Values> values = node;
  for (size_t v = node.size(); v < problem.unary.size(); ++v) {
    values.emplace_back(problem.unary[v].size());
    std::iota(values.back().begin(), values.back().end(), 0);
  }
  Reduction reduction = restrictTo(problem, std::move(values));
  SolverOptions solver;
  solver.workLimit = solver.easyLimit = int64_t(1) << 22;
  solver.rounds = 1;
  for (const PriceEdge &edge : reduction.problem.edges)
    *options.work -= static_cast<int64_t>(edge.table->prices.size());
  Solution solution = solveProblem(reduction.problem, solver);
  reduction.toOriginal(solution.values);
  solution.values.resize(node.size());
  return solution;
}

bool Search::fits(const Values &values, int64_t &bytes) const {
  if (!rows)
    return true;
  std::vector<int64_t> usage = rows->usage(values);
  bytes = *std::max_element(usage.begin(), usage.end());
  return bytes <= options.memoryLimit;
}

int Search::fullestStage(const std::vector<Strategy> &strategies) const {
  std::vector<int64_t> bytes(leaf.execution.stages, 0);
  for (size_t o = 0; o < strategies.size(); ++o)
    bytes[leaf.execution.stage(o)] += resident.bytes(o, strategies[o]);
  return static_cast<int>(std::max_element(bytes.begin(), bytes.end()) -
                          bytes.begin());
}

/// Evaluates a plan. What it does longest is a chain for others.
Status Search::look(const Values &values) {
  constexpr int64_t workOfOp = 32;
  constexpr size_t mostChains = 8;
  if (!seen.insert(values).second)
    return ok();
  *options.work -= workOfOp * static_cast<int64_t>(values.size());
  PlanResult plan;
  plan.mesh = leaf.mesh;
  plan.execution = leaf.execution;
  for (size_t o = 0; o < values.size(); ++o)
    plan.strategies.push_back(
        builder.model.candidates[o]->candidates[values[o]].strategy);
  PARTITA_TRY(plan.cost,
              evaluate(step.graph, topology, plan.mesh, plan.strategies,
                       plan.execution, &plan.chunks));
  if (chains.size() < mostChains) {
    std::vector<ByPhase> times;
    for (const StageTimes &chunk : plan.chunks)
      times.push_back({chunk.forward.sum(), chunk.backward.sum(),
                       chunk.weight.sum(), chunk.once.sum()});
    const bool backward =
        std::any_of(phases.begin(), phases.end(),
                    [](OpPhase phase) { return isBackward(phase); });
    addChain(longestChain(plan.execution, backward, times),
             fullestStage(plan.strategies));
  }
  if (!fits(values, plan.leastPeakBytes))
    return ok();
  found.step = std::min(found.step, plan.cost.step());
  plan.residentBytes = resident.most(plan.strategies, plan.execution);
  const int64_t rank = rankOf(topology, plan);
  if (rank < found.rank) {
    found.rank = rank;
    found.best = std::move(plan);
  }
  return ok();
}

Status Search::lookAtAll(const Node &node) {
  std::vector<size_t> digits(node.size(), 0);
  for (size_t o = 0; o < node.size();) {
    Values values;
    for (size_t i = 0; i < node.size(); ++i)
      values.push_back(node[i][digits[i]]);
    PARTITA_CHECK(look(values));
    for (o = 0; o < node.size() && ++digits[o] == node[o].size(); ++o)
      digits[o] = 0;
  }
  return ok();
}

/// Whether all plans of a node are no better by any chain; else it is divided.
Status Search::examine(const Node &node) {
  constexpr size_t few = 8;
  size_t plans = 1;
  for (const Values &values : node)
    plans = std::min(plans * values.size(), few + 1);
  if (plans <= few)
    return lookAtAll(node);
  std::vector<Values> least;
  // Looking at plans adds chains.
  for (size_t i = 0; i < chains.size(); ++i) {
    Solution fastest = solve(chains[i].time, node);
    if (fastest.bound >= found.rank)
      return ok();
    if (fastest.price < forbidden) {
      PARTITA_CHECK(look(fastest.values));
      least.push_back(std::move(fastest.values));
    }
    if (fastest.bound < found.step)
      continue;
    Solution best = solve(chains[i].rank, node);
    if (best.bound >= found.rank)
      return ok();
    if (best.price < forbidden)
      PARTITA_CHECK(look(best.values));
  }
  divide(node, least);
  return ok();
}

/// By an operation about which chains disagree, else by one with most values.
void Search::divide(const Node &node, const std::vector<Values> &least) {
  size_t chosen = node.size();
  for (size_t o = 0; o < node.size(); ++o) {
    bool disagree = false;
    for (const Values &values : least)
      disagree |= values[o] != least[0][o];
    if (disagree &&
        (chosen == node.size() || node[o].size() > node[chosen].size()))
      chosen = o;
  }
  if (chosen == node.size())
    chosen = static_cast<size_t>(
        std::max_element(node.begin(), node.end(),
                         [](const Values &a, const Values &b) {
                           return a.size() < b.size();
                         }) -
        node.begin());
  const int value = least.empty() ? node[chosen][0] : least.back()[chosen];
  Node with = node, without = node;
  with[chosen] = {value};
  std::erase(without[chosen], value);
  nodes.push_back(std::move(without));
  nodes.push_back(std::move(with));
}

Status Search::run() {
  while (!nodes.empty() && *options.work > 0 && !options.isStopped()) {
    Node node = std::move(nodes.back());
    nodes.pop_back();
    PARTITA_CHECK(examine(node));
  }
  found.isDone = nodes.empty();
  return ok();
}

Result<Exhausted>
planner::exhaust(const Step &step, const Topology &topology, const Leaf &leaf,
                 const std::vector<std::vector<const Pin *>> &pins,
                 const ExhaustOptions &options) {
  Search search(step, topology, leaf, options);
  PARTITA_CHECK(search.open(pins));
  PARTITA_CHECK(search.run());
  return std::move(search.found);
}
