//===- Meshes.h - The meshes of a machine -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The meshes that are worth a look where the user names none. An axis is a
// digit of the rank number, outermost first, so the order of the sizes says
// which links an axis uses: on 16 machines of 8 GPUs {16, 8} puts the second
// axis inside the machines, {8, 16} puts half of the second across pairs of
// machines. Axes have no roles: what they split is the planner's choice. Two
// meshes whose axes lie alike on the levels, in whatever order, have the same
// plans.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_MESHES_H
#define PARTITA_LIB_PLANNER_MESHES_H

#include "partita/Topology/Topology.h"

namespace partita::planner {

/// The meshes over all ranks of `topology` with one to `maxAxes` axes of more
/// than one rank, fewest axes first, one of those that are alike. For one rank,
/// one axis of it.
/// With several `stages`, which divide the ranks, after an axis of them, the
/// outermost, that does not count.
std::vector<Mesh> meshesOf(const Topology &topology, int maxAxes,
                           int64_t stages = 1);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_MESHES_H
