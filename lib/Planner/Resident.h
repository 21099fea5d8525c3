//===- Resident.h - What a rank holds all the time --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_RESIDENT_H
#define PARTITA_LIB_PLANNER_RESIDENT_H

#include "partita/Planner/Planner.h"

namespace partita::planner {

/// Parameters, states, and what is computed from them at load, as far as the
/// step reads it.
class Resident {
public:
  Resident(const Graph &graph, const Mesh &mesh);
  /// What an operation makes of that, on rank 0.
  int64_t bytes(size_t op, const Strategy &strategy) const;
  /// Of the stage that has most.
  int64_t most(const std::vector<Strategy> &strategies,
               const Execution &execution) const;

private:
  const Graph &graph;
  const Mesh &mesh;
  std::vector<char> usedInStep; // by value
};

/// By which the best plan is chosen: its step, and a small price of what is
/// resident.
int64_t rankOf(const Topology &topology, const PlanResult &plan);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_RESIDENT_H
