//===- Pins.h - Manual control ----------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finds the operations that pins mean. A glob may match widely: a pin binds the
// matching operations that have its factor, and it is an error if none has.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_PINS_H
#define PARTITA_LIB_PLANNER_PINS_H

#include "partita/Planner/Planner.h"

namespace partita::planner {

/// `*` is any run of characters, `?` one.
bool globMatches(const std::string &glob, const std::string &text);

/// The pins of each operation. Errors: `plan.pin` (1) for a pin without
/// operation, without factor, or of an axis that the mesh lacks.
Result<std::vector<std::vector<const Pin *>>>
resolvePins(const Graph &graph, const Mesh &mesh, const std::vector<Pin> &pins);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_PINS_H
