//===- Costing.cpp - What counts how much in a step -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Costing.h"
#include "partita/Planner/Problem.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

int64_t Share::operator()(int64_t price) const {
  if (price >= forbidden || number == of)
    return price;
  auto scaled = static_cast<__int128>(price) * number / of;
  return static_cast<int64_t>(
      std::min(scaled, static_cast<__int128>(forbidden)));
}

/// Equal stages take (m + p - 1) times a micro-batch's share of each; what is
/// done once is dealt to all of them.
Costing::Costing(const Graph &graph, Execution given)
    : execution(std::move(given)), phases(phasesOf(graph)) {
  const int64_t p = execution.stages, m = execution.microBatches;
  backward = {m + p - 1, p};
  forward = backward;
  if (execution.recompute)
    forward.number *= 2;
  once = {1, p};
}

Share Costing::shareOf(const Graph &graph, size_t from, size_t to,
                       size_t at) const {
  bool inLoop = isInLoop(to) && (isInLoop(from) || isResident(graph.ops[from]));
  return inLoop ? shareOf(to, at) : onceOf(at);
}
