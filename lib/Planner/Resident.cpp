//===- Resident.cpp - What a rank holds all the time ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Resident.h"
#include "Memory.h"
#include "Model.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

Resident::Resident(const Graph &graph, const Mesh &mesh)
    : graph(graph), mesh(mesh), usedInStep(graph.values.size(), 0) {
  for (const GraphOp &op : graph.ops)
    if (!op.atLoad)
      for (int value : op.operands)
        usedInStep[value] = 1;
}

int64_t Resident::bytes(size_t number, const Strategy &strategy) const {
  const GraphOp &op = graph.ops[number];
  if (!isResident(op))
    return 0;
  auto operandBytes = [&](size_t i) {
    return maxLocalBytes(operandSharding(op.rule, strategy, i), mesh,
                         graph.values[op.operands[i]].dtype);
  };
  auto resultBytes = [&](size_t i) {
    return maxLocalBytes(resultSharding(op.rule, strategy, i), mesh,
                         graph.values[op.results[i]].dtype);
  };
  int64_t sum = 0;
  for (size_t i = 0; i < op.results.size(); ++i)
    if (usedInStep[op.results[i]])
      sum += keptBytes(op, i, operandBytes, resultBytes);
  return sum;
}

int64_t Resident::most(const std::vector<Strategy> &strategies,
                       const Execution &execution) const {
  std::vector<int64_t> ofStage(execution.stages, 0);
  for (size_t o = 0; o < graph.ops.size(); ++o)
    ofStage[execution.stage(o)] += bytes(o, strategies[o]);
  return *std::max_element(ofStage.begin(), ofStage.end());
}

int64_t planner::rankOf(const Topology &topology, const PlanResult &plan) {
  return plan.cost.step() +
         residentPrice(topology.commonDevice(), plan.residentBytes);
}
