//===- Resume.h - The plan that a search begins with ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_RESUME_H
#define PARTITA_LIB_PLANNER_RESUME_H

#include "Leaves.h"
#include "partita/Planner/Planner.h"

namespace partita::planner {

/// PlanOptions::resumed, evaluated anew; nothing if there is none, or it does
/// not fit into the memory. Errors: `plan.resume` (1) if it is not what the
/// other options ask for, naming what is not; those of evaluate() and
/// Steps::of().
Result<std::optional<PlanResult>> resumedPlan(Steps &steps,
                                              const PlanOptions &options);

/// The leaf that a plan is of, if that is one of these; else null.
Leaf *leafOf(const PlanResult &plan, std::vector<Leaf> &leaves);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_RESUME_H
