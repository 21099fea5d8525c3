//===- AxisNames.cpp - What the axes of a plan are called -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AxisNames.h"
#include "Strategies.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

/// The kinds of all that `axis` splits; `used` tells whether there is anything.
uint8_t planner::kindsSplitBy(const Step &step, const PlanResult &result,
                              int axis, bool &used) {
  const Graph &graph = step.graph;
  uint8_t allowed = 7; // bits: may be dp, sp, tp
  used = false;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t f = 0; f < result.strategies[o].factors.size(); ++f) {
      if (graph.ops[o].rule.factors[f].kind == FactorKind::Linear)
        continue;
      const std::vector<Piece> &pieces = step.classes.factors[o][f];
      size_t next = 0;
      for (const FactorSharding &part :
           result.strategies[o].factors[f].factors) {
        std::vector<Piece> run;
        for (int64_t size = 1; next < pieces.size() && size < part.size;)
          size *= pieces[next].size, run.push_back(pieces[next++]);
        if (std::find(part.axes.begin(), part.axes.end(), axis) ==
            part.axes.end())
          continue;
        used = true;
        allowed &= static_cast<uint8_t>((axisAllows("dp", run) ? 1 : 0) |
                                        (axisAllows("sp", run) ? 2 : 0) |
                                        (axisAllows("tp", run) ? 4 : 0));
      }
    }
  return allowed;
}

/// Names the axes of a searched mesh by what they split, where that is one
/// kind; the plan then stays legal when it is asked for by those names.
void planner::nameAxes(const Step &step, PlanResult &result) {
  for (int axis = 0; axis < result.mesh.numAxes(); ++axis) {
    bool used = false;
    if (result.mesh.axisNames[axis] == stageAxis)
      continue;
    uint8_t allowed = kindsSplitBy(step, result, axis, used);
    std::string name = !used         ? ""
                       : allowed & 1 ? "dp"
                       : allowed & 2 ? "sp"
                       : allowed & 4 ? "tp"
                                     : "";
    if (!name.empty() && result.mesh.axis(name) < 0)
      result.mesh.axisNames[axis] = name;
  }
}
