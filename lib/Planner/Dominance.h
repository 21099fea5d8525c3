//===- Dominance.h - Values that no solution needs --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Value q of a variable can go if some value p of it is never dearer, whatever
// the neighbours take:
//
//   c(p) - c(q) + sum over edges of max_j [C(p,j) - C(q,j)] <= 0
//
// Typically p followed by a reshard beats q. Values are removed one after
// another, so the least price stays what it was. Variables that are left with
// one value have no edges any more: these are prices of their neighbours.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_DOMINANCE_H
#define PARTITA_LIB_PLANNER_DOMINANCE_H

#include "Reduction.h"

namespace partita::planner {

/// The problem without dominated values. Every domain of `problem` has a value;
/// at least one is left.
Reduction removeDominated(const Problem &problem);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_DOMINANCE_H
