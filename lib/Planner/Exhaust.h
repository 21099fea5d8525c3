//===- Exhaust.h - All plans of a small leaf --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A leaf's plans differ in strategies alone. One problem prices them all as if
// stages took equally long, so the best of its price need not have the shortest
// step. Here that is found, by branch and bound on what evaluate() says.
//
// No step is shorter than a chain of tasks (Leaves.h), and the one that a plan
// has as its longest is as long as its step. So each plan that is looked at
// gives a chain; the sum of a chain's tasks is a problem of pairs, whose least
// bounds all plans with some strategies. What may still be better is divided in
// two by the strategy of one operation.
//
// What is looked for is the best by rank: the step and a small price of what is
// resident; and how short a step is at least.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_EXHAUST_H
#define PARTITA_LIB_PLANNER_EXHAUST_H

#include "Leaves.h"
#include "Pins.h"
#include "partita/Planner/Planner.h"

namespace partita::planner {

/// What there is to beat.
struct ToBeat {
  int64_t rank = INT64_MAX, step = INT64_MAX;
};

struct Exhausted {
  /// Whether no plan is left that may be better.
  bool isDone = false;
  /// The shortest step of the leaf's plans, or the one to beat if that is
  /// shorter. Only if that is done.
  int64_t step = INT64_MAX;
  /// The best, if its rank is below the one to beat: strategies, cost, chunks,
  /// and bytes.
  std::optional<PlanResult> best;
  int64_t rank = INT64_MAX;
};

struct ExhaustOptions {
  ToBeat toBeat;
  /// Bytes; zero: no limit.
  int64_t memoryLimit = 0;
  /// Units: about as many prices are looked at. What is left of them.
  int64_t *work = nullptr;
  /// Asked between pieces of work; there is one.
  std::function<bool()> isStopped;
};

/// Looks at all plans of a leaf that is dealt and probed, as far as the work
/// allows. `pins` by operation of the step. Errors: those of
/// ModelBuilder::addOperations().
Result<Exhausted> exhaust(const Step &step, const Topology &topology,
                          const Leaf &leaf,
                          const std::vector<std::vector<const Pin *>> &pins,
                          const ExhaustOptions &options);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_EXHAUST_H
