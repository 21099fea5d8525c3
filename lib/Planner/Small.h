//===- Small.h - All plans of a small step ----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where a step with stages or micro-batches is small, no leaf is left that was
// not looked at to its end (Exhaust.h), and stages are cut in all ways.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_SMALL_H
#define PARTITA_LIB_PLANNER_SMALL_H

#include "Leaves.h"
#include "partita/Planner/Planner.h"
#include <optional>

namespace partita::planner {

class SmallSearch {
public:
  SmallSearch(const PlanOptions &options, Steps &steps, const Prober &prober,
              std::function<bool()> isStopped)
      : options(options), steps(steps), prober(prober),
        isStopped(std::move(isStopped)) {}

  /// Whether there may be time for it: that grows with the effort.
  bool isSmall(const std::vector<Leaf> &leaves) const;
  /// Errors: those of Prober::probe() and ModelBuilder::addOperations().
  Status run(std::vector<Leaf> leaves);

  /// The best plan, before and after.
  std::optional<PlanResult> best;
  /// Whether it is the best of all leaves, and of what is cut otherwise.
  bool isExhausted = false, cutAnywhere = false;
  /// How short steps are at least; only if that is so.
  int64_t bound = INT64_MAX;

private:
  std::optional<std::vector<Leaf>>
  otherCuts(const std::vector<Leaf> &leaves) const;
  Status probe(std::vector<Leaf> &leaves) const;
  Result<bool> exhaust(Leaf &leaf);
  Result<bool> exhaustAll(std::vector<Leaf> &leaves);

  const PlanOptions &options;
  Steps &steps;
  const Prober &prober;
  const std::function<bool()> isStopped;
  /// That is left (ExhaustOptions).
  int64_t work = 0;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_SMALL_H
