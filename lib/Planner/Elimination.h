//===- Elimination.h - Exact solving, one variable at a time ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Eliminating a variable replaces the functions that mention it by one function
// of their other variables: the least sum over its values. When nothing is left
// the constant is the least price, and going back through the variables in
// reverse order gives the values. The work of a step is the number of entries
// visited, so the variable with the cheapest step goes first; long models fall
// to pieces of a few variables. Repeated layers are eliminated by equal steps:
// a step on functions that have been seen in the same places before gives the
// function that it gave then. So depth costs bookkeeping, and nothing is tied.
//
// The order and what is equal do not depend on prices. They are found first,
// and with them the work, so nothing is begun that has no room.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_ELIMINATION_H
#define PARTITA_LIB_PLANNER_ELIMINATION_H

#include "partita/Planner/Problem.h"
#include <optional>

namespace partita::planner {

/// The best assignment, unless all different steps together visit more than
/// `limit` entries or keep more than fit into memory.
std::optional<Solution> eliminated(const Problem &problem, int64_t limit);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_ELIMINATION_H
