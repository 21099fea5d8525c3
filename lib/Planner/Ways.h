//===- Ways.h - Numbers of stages and micro-batches -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_WAYS_H
#define PARTITA_LIB_PLANNER_WAYS_H

#include "Leaves.h"
#include "partita/Planner/Planner.h"

namespace partita::planner {

/// Those that are tried where they are searched for, ascending: powers of two,
/// and where the machine falls into other numbers of parts, the largest few of
/// those that deal the segments nearly evenly.
std::vector<int64_t> stagesTried(const Steps &steps,
                                 const PlanOptions &options);

/// Those that are tried with so many stages, ascending: from what fills the
/// pipeline to where it is full most of the time, powers of two and thrice
/// these, or the next number into which the batch falls.
std::vector<int64_t> microBatchesTried(const Steps &steps,
                                       const PlanOptions &options,
                                       int64_t stages);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_WAYS_H
