//===- Pins.h - Manual control ----------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finds the operations that pins mean. A glob may match widely: a pin binds the
// matching operations that have its factor, and it is an error if none has.
// Factors of the backward pass are other factors by the same names, so a pin is
// about them only if its glob says so ("*/grad*"); what is a batch is one in
// both.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_PINS_H
#define PARTITA_LIB_PLANNER_PINS_H

#include "DimClasses.h"
#include "partita/Planner/Planner.h"

namespace partita::planner {

/// `*` is any run of characters, `?` one.
bool globMatches(const std::string &glob, const std::string &text);

/// Does the pin mean these pieces of an operation's factor?
bool pinMeans(const Pin &pin, const Factor &factor,
              const std::vector<Piece> &pieces, size_t begin, size_t end);

/// The pins of each operation. Errors: `plan.pin` (1) for a pin without
/// operation, without factor, or of an axis that the mesh lacks.
Result<std::vector<std::vector<const Pin *>>>
resolvePins(const Graph &graph, const DimClasses &classes, const Mesh &mesh,
            const std::vector<Pin> &pins);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_PINS_H
