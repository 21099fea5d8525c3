//===- MemoryProof.h - Why no plan fits -------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_MEMORYPROOF_H
#define PARTITA_LIB_PLANNER_MEMORYPROOF_H

#include "Memory.h"
#include "partita/Topology/Topology.h"

namespace partita::planner {

std::string bytesText(int64_t bytes);

/// What every plan on a mesh holds when it holds most: where, and what.
std::string proofText(const Graph &graph, const Topology &topology,
                      const Mesh &mesh, const MemoryRows &rows);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_MEMORYPROOF_H
