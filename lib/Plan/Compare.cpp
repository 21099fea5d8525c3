//===- Compare.cpp - What two plans decide differently --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Compare.h"
#include "partita/Support/Names.h"
#include <map>
#include <unordered_map>

using namespace partita;

std::string partita::splitText(const PlannedOp &op, const Mesh &mesh) {
  std::string text;
  for (const PlannedFactor &factor : op.factors) {
    text += (text.empty() ? "" : ", ") + factor.name + " = ";
    bool first = true;
    for (const FactorSharding &part : factor.parts.factors) {
      std::string piece;
      for (int axis : part.axes)
        piece += (piece.empty() ? "" : ",") + mesh.axisNames[axis];
      if (factor.parts.factors.size() > 1)
        piece = std::to_string(part.size) + (piece.empty() ? "" : ":") + piece;
      text += (first ? "" : " x ") + piece;
      first = false;
    }
  }
  return text.empty() ? "whole" : text;
}

std::vector<Change> partita::changesBetween(const Plan &first,
                                            const Plan &second) {
  std::unordered_map<std::string, const PlannedOp *> other;
  for (const PlannedOp &op : second.ops)
    other[op.id] = &op;
  std::vector<Change> changes;
  std::map<std::vector<std::string>, size_t> known;
  auto add = [&](const PlannedOp &op, const std::string &before,
                 const std::string &after) {
    auto [it, isNew] = known.try_emplace(
        {namePattern(op.id), op.kind, before, after}, changes.size());
    if (isNew)
      changes.push_back({op.kind, before, after, {}});
    changes[it->second].ids.push_back(op.id);
  };
  for (const PlannedOp &op : first.ops) {
    std::string before = splitText(op, first.mesh), after;
    if (auto it = other.find(op.id); it != other.end()) {
      after = splitText(*it->second, second.mesh);
      other.erase(it);
    }
    if (before != after)
      add(op, before, after);
  }
  for (const PlannedOp &op : second.ops)
    if (other.count(op.id))
      add(op, "", splitText(op, second.mesh));
  return changes;
}
