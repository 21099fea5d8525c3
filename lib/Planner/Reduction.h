//===- Reduction.h - Problems of fewer values -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_REDUCTION_H
#define PARTITA_LIB_PLANNER_REDUCTION_H

#include "partita/Planner/Problem.h"

namespace partita::planner {

struct Reduction {
  Problem problem;
  /// By variable: the original value of each value that is left, ascending.
  std::vector<std::vector<int>> values;

  /// Turns values of `problem` into original ones.
  void toOriginal(std::vector<int> &assignment) const {
    for (size_t v = 0; v < assignment.size(); ++v)
      assignment[v] = values[v][assignment[v]];
  }
  /// Makes `next`, a reduction of `problem`, one of the original.
  void toOriginal(Reduction &next) const {
    for (size_t v = 0; v < next.values.size(); ++v)
      for (int &value : next.values[v])
        value = values[v][value];
  }
};

/// `problem` with these values only, at least one of each variable. What was
/// one table and lost the same values is one table again.
Reduction restrictTo(const Problem &problem,
                     std::vector<std::vector<int>> values);

/// What is left of `problem` if variables with one edge are the best that they
/// can be for their neighbours, until there are none. The least price is the
/// same.
Problem withoutEnds(const Problem &problem);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_REDUCTION_H
