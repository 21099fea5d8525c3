//===- Strategies.h - The legal strategies of an operation ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every mesh axis goes to one run of neighbouring pieces of one factor, to a
// linear factor, or to none. Several axes on one factor take the same run,
// where they nest in mesh order, or runs that do not overlap. Of strategies
// with equal layouts of all operands and results, the fastest stays.
//
// Axes with reserved names are restricted by the kind of what they split: dp to
// batch, sp and cp to sequence, tp to what is neither. Other names are free.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_STRATEGIES_H
#define PARTITA_LIB_PLANNER_STRATEGIES_H

#include "DimClasses.h"
#include "partita/Cost/Cost.h"
#include "partita/Planner/Planner.h"
#include "partita/Reshard/Reshard.h"
#include <map>
#include <unordered_map>

namespace partita::planner {

/// One strategy of an operation with what it costs and demands.
struct Candidate {
  Strategy strategy;
  /// One rank's kernel, in picoseconds.
  int64_t time = 0;
  /// Numbers of canonical layouts, by operand and by result.
  std::vector<int> operands, results;
};

/// The strategies of operations that are alike: equal rules, pieces, types,
/// costs and pins.
struct CandidateSet {
  std::vector<Candidate> candidates;
};

/// May an axis of this name split pieces of these kinds?
bool axisAllows(const std::string &axis, const std::vector<Piece> &run);

/// The time of one rank's kernel of `op` under `strategy`.
int64_t kernelTime(const Graph &graph, const GraphOp &op,
                   const Strategy &strategy, const Mesh &mesh,
                   const KernelCost &cost);

class StrategyEnumerator {
public:
  StrategyEnumerator(const Graph &graph, const DimClasses &classes,
                     const Mesh &mesh, const KernelCost &cost,
                     ReshardPlanner &reshard)
      : graph(graph), classes(classes), mesh(mesh), cost(cost),
        reshard(reshard) {}

  /// The candidates of operation `op` that satisfy its pins and split over
  /// nothing but `axes`, in a fixed order
  /// that begins with the replicated one if it is there. May be empty.
  Result<const CandidateSet *> enumerate(int op,
                                         const std::vector<const Pin *> &pins,
                                         uint32_t axes = ~uint32_t(0));

private:
  /// A run of pieces that an axis may take, or none (factor -1).
  struct Choice {
    int factor = -1;
    size_t begin = 0, end = 0;
  };
  std::vector<Choice> choicesOf(int op, int axis,
                                const std::vector<const Pin *> &pins) const;
  bool satisfies(int op, int axis, const Choice &choice,
                 const std::vector<const Pin *> &pins) const;
  bool build(int op, const std::vector<Choice> &byAxis,
             Strategy &strategy) const;
  Status add(int op, Strategy strategy, CandidateSet &set);
  std::string keyOf(int op, const std::vector<const Pin *> &pins) const;

  const Graph &graph;
  const DimClasses &classes;
  const Mesh &mesh;
  const KernelCost &cost;
  ReshardPlanner &reshard;
  std::unordered_map<std::string, std::unique_ptr<CandidateSet>> known;
  std::map<std::vector<int>, size_t> seen; // of the set under construction
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_STRATEGIES_H
