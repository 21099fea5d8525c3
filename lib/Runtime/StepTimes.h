//===- StepTimes.h - Where a step's time goes ------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the plan says of a step beside what ranks have seen. Both are of the
// same series of steps: where stages begin a step before later ones are done
// with the one before, m micro-batches fill and drain the stages once in all,
// not once a step.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_STEPTIMES_H
#define PARTITA_LIB_RUNTIME_STEPTIMES_H

#include "Session.h"
#include <nlohmann/json_fwd.hpp>

namespace partita::runtime {

/// Means over steps and ranks, in seconds. Idle is the rest: waits for messages
/// of other stages, the bubble.
struct StepTimes {
  double step = 0, compute = 0, communication = 0;
  double idle() const { return step - compute - communication; }
};

/// Of the program's plan; none if that does not say.
std::optional<StepTimes> predictedTimes(const Program &program,
                                        const StepSeries &series);
StepTimes measuredTimes(const Session &session, const StepSeries &series);

/// `step_seconds`, `compute_seconds`, `communication_seconds`, `idle_seconds`
/// and `bubble`, the idle part of the step.
nlohmann::ordered_json toJson(const StepTimes &times);
/// Both for people, a line each.
std::string timesText(const Session &session, const StepSeries &series);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_STEPTIMES_H
