//===- AxisNames.h - What the axes of a plan are called ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Axes have no roles while strategies are chosen. What an axis turns out to
// split names it afterwards.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_AXISNAMES_H
#define PARTITA_LIB_PLANNER_AXISNAMES_H

#include "Leaves.h"
#include "partita/Planner/Planner.h"

namespace partita::planner {

/// Which of dp, sp and tp (bits 1, 2 and 4) may be the name of an axis of a
/// plan; `used` says whether it splits anything.
uint8_t kindsSplitBy(const Step &step, const PlanResult &result, int axis,
                     bool &used);

/// Names the axes of a searched mesh by what they split, where that is one
/// kind; the plan then stays legal when it is asked for by those names.
void nameAxes(const Step &step, PlanResult &result);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_AXISNAMES_H
