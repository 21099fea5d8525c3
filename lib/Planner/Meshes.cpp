//===- Meshes.cpp - The meshes of a machine -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Meshes.h"
#include "partita/Planner/Execution.h"
#include <algorithm>
#include <set>

using namespace partita;
using namespace partita::planner;

/// Appends to `all` every way to write `ranks` as an ordered product of `count`
/// numbers above one, after what is in `sizes`.
static void factorise(int64_t ranks, int count, std::vector<int64_t> &sizes,
                      std::vector<std::vector<int64_t>> &all) {
  if (count == 1) {
    sizes.push_back(ranks);
    all.push_back(sizes);
    sizes.pop_back();
    return;
  }
  for (int64_t size = 2; size <= ranks / 2; ++size) {
    if (ranks % size != 0)
      continue;
    sizes.push_back(size);
    factorise(ranks / size, count - 1, sizes, all);
    sizes.pop_back();
  }
}

/// How the axes of a mesh lie on the levels, in no order; empty if the levels
/// cut through an axis, which makes a mesh like no other.
static std::vector<std::vector<int64_t>> spansOf(const Topology &topology,
                                                 const Mesh &mesh) {
  std::vector<std::vector<int64_t>> spans;
  for (int axis = 0; axis < mesh.numAxes(); ++axis) {
    AxisSpan span = topology.spanOf(mesh, {axis});
    if (!span.regular)
      return {};
    spans.push_back(std::move(span.ranks));
  }
  std::sort(spans.begin(), spans.end());
  return spans;
}

std::vector<Mesh> planner::meshesOf(const Topology &topology, int maxAxes,
                                    int64_t stages) {
  static const std::vector<std::string> names{"x", "y", "z", "w"};
  std::vector<Mesh> meshes;
  std::set<std::vector<std::vector<int64_t>>> seen;
  for (int axes = 1; axes <= maxAxes; ++axes) {
    std::vector<int64_t> sizes;
    std::vector<std::vector<int64_t>> all;
    factorise(topology.numRanks() / stages, axes, sizes, all);
    for (std::vector<int64_t> &list : all) {
      Mesh mesh{"mesh", {names.begin(), names.begin() + axes}, std::move(list)};
      if (stages > 1) {
        mesh.axisNames.insert(mesh.axisNames.begin(), stageAxis);
        mesh.axisSizes.insert(mesh.axisSizes.begin(), stages);
      }
      auto spans = spansOf(topology, mesh);
      if (spans.empty() || seen.insert(std::move(spans)).second)
        meshes.push_back(std::move(mesh));
    }
  }
  return meshes;
}
