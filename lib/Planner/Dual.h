//===- Dual.h - A lower bound, and what each value costs more ---*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Prices may be moved between a table and the variables at its ends without
// changing what any assignment costs:
//
//   table'(x, y) = table(x, y) - a(x) - b(y)    unary'(x) = unary(x) + a(x)
//
// However they are moved, the least of each table and of each unary function
// add up to a bound. Sequential passes (Kolmogorov, "Convergent tree-reweighted
// message passing", 2006, in the form of SRMP, 2015) move them so that the
// bound never falls: a variable takes all that its tables towards the last one
// hold, and gives equal parts to those towards the next. At that moment the
// bound plus what a value has above the least of its variable is a bound for
// all assignments with that value, so values that are too dear can go.
//
// Layers repeat, and so do their messages. Tables that look alike within a
// radius of a few layers share them, which any messages allow; the work is that
// of the different layers. All is in integers: the bound is exact.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_DUAL_H
#define PARTITA_LIB_PLANNER_DUAL_H

#include "partita/Planner/Problem.h"

namespace partita::planner {

struct DualBound {
  /// At most the price of every assignment.
  int64_t bound = 0;
  /// By variable: what it has in common with others.
  std::vector<int> classOf;
  /// By class and value: assignments in which a variable has this value cost
  /// at least so much more than `bound`.
  std::vector<std::vector<int64_t>> excess;
};

/// Every domain of `problem` has a value. Ends when ten passes raise the bound
/// by no more than this part of it.
DualBound boundByMessages(const Problem &problem, double worth = 1e-5);
/// The bound alone; ends when four passes raise it by no more than `enough`.
int64_t leastByMessages(const Problem &problem, int64_t enough);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_DUAL_H
