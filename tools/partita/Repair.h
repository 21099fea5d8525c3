//===- Repair.h - What to ask for instead ----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_REPAIR_H
#define PARTITA_TOOLS_PARTITA_REPAIR_H

#include "Pipeline.h"

namespace partita::tool {

/// The error of a request for the plan of `graph`, which has none, with what
/// near to it has one: the repairs of partita/Planner/Repairs.h, and smaller
/// batches. Errors that are not about memory stay as they are.
Error withRepairs(const Request &request, const Graph &graph,
                  Progress &progress, Error error);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_REPAIR_H
