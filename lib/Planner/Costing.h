//===- Costing.h - What counts how much in a step ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step of m equal micro-batches through p stages takes, if the stages take
// equally long, (m + p - 1) / p times what all of them take for one
// micro-batch, and a p-th of what is done once; with schedules other than 1F1B,
// other parts, by phase. So the price of a step is a sum over operations and
// edges as without stages, with other weights, and one problem has all stages
// in it.
//
// To bound steps from below, operations may count by other numbers instead, as
// those of one stage for each micro-batch and those of others once.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_COSTING_H
#define PARTITA_LIB_PLANNER_COSTING_H

#include "partita/Planner/Execution.h"

namespace partita::planner {

/// Makes what is there all the time: parameters, what is made of them before
/// the first step, and states.
inline bool isResident(const GraphOp &op) {
  return op.atLoad || op.role == OpRole::Parameter || op.nextState >= 0;
}

/// Every stage that uses what such an operation makes has it by itself: it
/// reads the input, or computes at load what depends on weights alone.
inline bool isEverywhere(const GraphOp &op) {
  return op.atLoad || op.role != OpRole::Compute;
}

/// What a time counts in the price of a step.
struct Share {
  int64_t number = 1, of = 1;
  int64_t operator()(int64_t price) const;
  auto operator<=>(const Share &) const = default;
};

/// How the times of operations make the price of a step that runs in
/// micro-batches and stages: the price of an operation counts by the shares of
/// its phase, whatever its stage, so that a plan's price is the step's time if
/// its stages take equally long.
struct Costing {
  Execution execution;
  std::vector<OpPhase> phases;
  Share forward, backward, weight, once;
  /// By operation: how often what is done at its place counts, in the forward
  /// pass, in the backward pass with all gradients, and once a step; empty:
  /// once.
  std::vector<int64_t> timesForward, timesBackward, timesOnce;
  /// Of operations whose stages are not known: those of a place are in one
  /// stage, of others they may be in others; negative: somewhere else. Empty:
  /// their stages are known.
  std::vector<int> placeOf;

  /// Everything runs once.
  explicit Costing(const Graph &graph)
      : phases(graph.ops.size(), OpPhase::Forward) {}
  Costing(const Graph &graph, Execution execution);

  bool isInLoop(size_t op) const { return partita::isInLoop(phases[op]); }
  bool isNever(size_t op) const {
    return !timesForward.empty() && timesForward[op] == 0 &&
           timesBackward[op] == 0 && timesOnce[op] == 0;
  }
  Share shareOf(size_t op) const { return shareOf(op, op); }
  Share onceOf(size_t op) const { return times(once, timesOnce, op); }
  /// Of bringing a result of `from` to where `to` reads it, done at the place
  /// of the operation `at`. What is computed once a step is brought once; what
  /// is resident, whenever it is read.
  Share shareOf(const Graph &graph, size_t from, size_t to, size_t at) const;
  Share shareOf(const Graph &graph, size_t from, size_t to) const {
    return shareOf(graph, from, to, to);
  }

private:
  /// Of what is done as often as `op`, at the place of `at`.
  Share shareOf(size_t op, size_t at) const {
    if (!isInLoop(op))
      return onceOf(at);
    if (phases[op] == OpPhase::Forward)
      return times(forward, timesForward, at);
    return times(phases[op] == OpPhase::Weight ? weight : backward,
                 timesBackward, at);
  }
  static Share times(Share share, const std::vector<int64_t> &often,
                     size_t op) {
    if (!often.empty())
      share.number *= often[op];
    return share;
  }
};

/// No step is shorter than this part of its price.
double partOfPrice(const Execution &execution, bool hasBackward);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_COSTING_H
