//===- MemoryProof.cpp - Why no plan fits
//-----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MemoryProof.h"
#include "partita/Support/Names.h"
#include "partita/Topology/Units.h"
#include <algorithm>
#include <map>

using namespace partita;
using namespace partita::planner;

std::string planner::bytesText(int64_t bytes) {
  return formatQuantity(static_cast<double>(bytes), Dimension::Bytes);
}

std::string planner::proofText(const Graph &graph, const Topology &topology,
                               const Mesh &mesh, const MemoryRows &rows) {
  constexpr size_t maxLines = 6;
  struct Group {
    std::vector<std::string> ids;
    int64_t bytes = 0;
  };
  MemoryRows::Held held = rows.leastHeld();
  std::map<std::string, Group> byName;
  for (auto [op, bytes] : held.byOp) {
    Group &group = byName[namePattern(graph.ops[op].id)];
    group.ids.push_back(graph.ops[op].id);
    group.bytes += bytes;
  }
  std::vector<Group> groups;
  for (auto &[name, group] : byName)
    groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(), [](const Group &a, const Group &b) {
    return std::tuple(-a.bytes, a.ids) < std::tuple(-b.bytes, b.ids);
  });
  std::string text = "\n  at '" + graph.ops[held.op].id + "' a rank (" +
                     topology.commonDevice().name + ", mesh " + mesh.str() +
                     ") holds at least " + bytesText(held.bytes) + ":";
  int64_t rest = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const Group &group = groups[i];
    if (i >= maxLines) {
      rest += group.bytes;
      continue;
    }
    text += "\n    " + bytesText(group.bytes) + "  " + commonName(group.ids);
    if (group.ids.size() > 1)
      text += " (" + std::to_string(group.ids.size()) + ")";
  }
  if (rest > 0)
    text += "\n    " + bytesText(rest) + "  others";
  return text;
}
