//===- Small.cpp - All plans of a small step ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Small.h"
#include "Exhaust.h"
#include "Parallel.h"
#include "Pins.h"
#include "Resident.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

bool SmallSearch::isSmall(const std::vector<Leaf> &leaves) const {
  constexpr size_t opsPerEffort = 8, leavesPerEffort = 32;
  const auto effort = static_cast<size_t>(options.effort);
  // Else one problem's price is the step, and its solution the best.
  bool isPriced = true, areStagesEqual = true;
  for (const Leaf &leaf : leaves) {
    isPriced &= leaf.execution.stages == 1 && leaf.execution.microBatches == 1;
    areStagesEqual &= leaf.mesh.stageAxes.empty();
  }
  return !isPriced && areStagesEqual && !options.randomStrategies &&
         leaves.size() <= leavesPerEffort * effort &&
         steps.graph().ops.size() <= opsPerEffort * effort;
}

/// Leaves that are cut otherwise than these; nothing if there are many ways.
std::optional<std::vector<Leaf>>
SmallSearch::otherCuts(const std::vector<Leaf> &leaves) const {
  constexpr size_t mostCuts = 16;
  std::vector<Leaf> others;
  for (const Leaf &leaf : leaves) {
    const int64_t chunks = leaf.execution.chunks();
    std::vector<std::vector<int>> cuts =
        allCuts(chunks, steps.segments().count(), mostCuts);
    if (cuts.empty())
      return std::nullopt;
    for (std::vector<int> &cut : cuts) {
      if (chunks == 1 || cut == leaf.chunkOfSegment)
        continue;
      Leaf &other = others.emplace_back();
      other.mesh = leaf.mesh;
      other.execution = leaf.execution;
      other.chunkOfSegment = std::move(cut);
    }
  }
  return others;
}

/// Those that may be better.
Status SmallSearch::probe(std::vector<Leaf> &leaves) const {
  std::vector<Leaf *> fresh;
  for (Leaf &leaf : leaves)
    if (!leaf.probed && (!best || leaf.bound < rankOf(options.topology, *best)))
      fresh.push_back(&leaf);
  std::vector<Status> done(fresh.size(), ok());
  forAll(fresh.size(), [&](size_t i) { done[i] = prober.probe(*fresh[i]); });
  for (Status &status : done)
    PARTITA_CHECK(std::move(status));
  return ok();
}

/// Takes the best of a leaf, if that is better. Whether no plan is left that
/// may be.
Result<bool> SmallSearch::exhaust(Leaf &leaf) {
  ExhaustOptions limits;
  limits.memoryLimit = options.memoryLimit;
  limits.work = &work;
  limits.isStopped = isStopped;
  if (best)
    limits.toBeat = {rankOf(options.topology, *best), best->cost.step()};
  if (leaf.bound >= limits.toBeat.rank)
    return true;
  if (work <= 0 || isStopped())
    return false;
  PARTITA_TRY(std::shared_ptr<const Step> step,
              steps.of(leaf.execution.microBatches));
  PARTITA_TRY(auto pins,
              resolvePins(step->graph, step->classes, leaf.mesh, options.pins));
  PARTITA_TRY(Exhausted all,
              planner::exhaust(*step, options.topology, leaf, pins, limits));
  if (all.best)
    best = std::move(*all.best);
  if (all.isDone)
    leaf.bound = std::max(leaf.bound, all.step);
  return all.isDone;
}

/// Those of which least is known first; whether no plan is left that may be
/// better.
Result<bool> SmallSearch::exhaustAll(std::vector<Leaf> &leaves) {
  PARTITA_CHECK(probe(leaves));
  std::vector<Leaf *> order;
  for (Leaf &leaf : leaves)
    order.push_back(&leaf);
  // Those of one bound stay in their order.
  std::sort(order.begin(), order.end(), [](const Leaf *a, const Leaf *b) {
    return std::pair(a->bound, a) < std::pair(b->bound, b);
  });
  bool isDone = true;
  for (Leaf *leaf : order) {
    PARTITA_TRY(bool done, exhaust(*leaf));
    isDone &= done;
  }
  return isDone;
}

static int64_t leastBound(const std::vector<Leaf> &leaves) {
  int64_t least = INT64_MAX;
  for (const Leaf &leaf : leaves)
    least = std::min(least, leaf.bound);
  return least;
}

Status SmallSearch::run(std::vector<Leaf> leaves) {
  constexpr int64_t workPerEffort = int64_t(1) << 19;
  work = options.effort * workPerEffort;
  PARTITA_TRY(isExhausted, exhaustAll(leaves));
  bound = leastBound(leaves);
  std::optional<std::vector<Leaf>> others = otherCuts(leaves);
  if (!isExhausted || !others)
    return ok();
  PARTITA_TRY(cutAnywhere, exhaustAll(*others));
  if (cutAnywhere)
    bound = std::min(bound, leastBound(*others));
  return ok();
}
