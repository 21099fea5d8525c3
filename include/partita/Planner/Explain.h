//===- Explain.h - What an operation could do instead ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For an operation of a plan, each strategy that it could have, with what the
// plan would then cost. All that takes time by itself is kept as it is in the
// plan. What takes none follows the operation: parameters, what is computed at
// load, and views that it reaches through nothing else. Without that every
// alternative would bring its weights into its layout in every step.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_EXPLAIN_H
#define PARTITA_PLANNER_EXPLAIN_H

#include "partita/Planner/Planner.h"

namespace partita {

struct Alternative {
  Strategy strategy;
  /// One rank's kernel, in picoseconds.
  int64_t kernel = 0;
  /// Of the whole plan.
  PlanCost cost;
  /// What the planner minimises, less what it is for the strategy of the plan:
  /// the step, and small prices of resident bytes and of what runs at load.
  int64_t difference = 0;
};

struct Explanation {
  int op = 0;
  /// The strategy of the plan, and what the plan costs.
  Alternative chosen;
  /// The others, those with the least difference first; not more than were
  /// asked for.
  std::vector<Alternative> others;
  /// How many others there are.
  int64_t numOthers = 0;
};

/// Explains operations of a plan. Errors: those of evaluate(), and
/// `explain.strategy` (3) if the plan has a strategy that the planner does not
/// list.
Result<std::vector<Explanation>>
explain(const Graph &graph, const Topology &topology, const Mesh &mesh,
        const std::vector<Strategy> &strategies, const std::vector<int> &ops,
        size_t maxOthers);

/// The operations whose id, or one of whose ONNX nodes, matches `glob`.
std::vector<int> operationsMatching(const Graph &graph,
                                    const std::string &glob);

} // namespace partita

#endif // PARTITA_PLANNER_EXPLAIN_H
