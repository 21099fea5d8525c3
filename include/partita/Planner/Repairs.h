//===- Repairs.h - What would make room ------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where no plan fits, one wants to know what the least is that must change.
// Each repair here has been planned: what it says is the step of a plan that
// fits.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_REPAIRS_H
#define PARTITA_PLANNER_REPAIRS_H

#include "partita/Planner/Planner.h"

namespace partita {

/// A change of the request with which there is a plan.
struct Repair {
  /// "--topology cpu:4", "without --pin '*:replicated'".
  std::string change;
  PlanResult plan;
  int64_t ranks = 1;
  /// Of the samples of a step: a smaller batch is less work.
  double work = 1;
  /// Device-picoseconds for the work of the step that was asked for.
  double price() const {
    return static_cast<double>(plan.cost.step()) * static_cast<double>(ranks) /
           work;
  }
};

/// Plans what is near to a request of `graph` that has no plan: without its
/// mesh, without the pins that are in the way (a set of which none can stay),
/// with values of 16 bits for those of 32, with two to sixteen times the ranks
/// of the same machine. The cheapest first.
std::vector<Repair> findRepairs(const Graph &graph, const PlanOptions &options);

} // namespace partita

#endif // PARTITA_PLANNER_REPAIRS_H
