//===- Expert.h - Plans as experts write them -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What people decide by hand when they train a transformer is a few numbers.
// Here these become a mesh and pins, found from what products do in the graph;
// what an expert says nothing of, the planner decides as it likes best. So an
// expert's plan is one of the plans of the search, priced by the same model.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_EXPERT_H
#define PARTITA_PLANNER_EXPERT_H

#include "partita/Planner/Planner.h"

namespace partita {

/// Megatron-LM's way (Shoeybi et al., arXiv:1909.08053; Narayanan et al.,
/// arXiv:2104.04473): stages, samples over data ranks, the first products of
/// attention and of the MLP cut by columns and the second by rows. With
/// sequence parallelism (Korthikanti et al., arXiv:2205.05198) norms are cut
/// by positions.
struct Expert {
  int64_t tensor = 1, pipeline = 1, data = 1;
  bool sequenceParallel = false;
  std::string text;

  /// Parses "megatron:tp=8,pp=8,dp=16,sp"; without dp it is what is left of
  /// `ranks`. Errors: exit code 1.
  static Result<Expert> parse(const std::string &text, int64_t ranks);

  /// Stages outermost, tensor ranks innermost. The axis of tensor ranks is
  /// `tp`, which takes no positions, unless there is sequence parallelism.
  Mesh mesh() const;

  /// One pin for operations whose names differ in numbers only. Errors:
  /// `plan.expert` (1) if no product with weights is in the graph.
  Result<std::vector<Pin>> pins(const Graph &graph) const;

private:
  const char *tensorAxis() const { return sequenceParallel ? "tensor" : "tp"; }
};

} // namespace partita

#endif // PARTITA_PLANNER_EXPERT_H
