//===- Compare.cpp - What two plans decide differently --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Compare.h"
#include <algorithm>
#include <map>
#include <set>
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

/// The parts of an id: text and numbers in turns, text first.
static std::vector<std::string> partsOf(const std::string &id) {
  std::vector<std::string> parts = {""};
  for (char c : id) {
    bool isDigit = c >= '0' && c <= '9';
    if (isDigit != (parts.size() % 2 == 0))
      parts.emplace_back();
    parts.back() += c;
  }
  return parts;
}

/// Equal for ids that differ in numbers only.
static std::string patternOf(const std::string &id) {
  std::string pattern;
  std::vector<std::string> parts = partsOf(id);
  for (size_t i = 0; i < parts.size(); ++i)
    pattern += i % 2 ? std::string(1, '\0') : parts[i];
  return pattern;
}

/// Numbers as text, shorter ones first: in their order, whatever their size.
static std::string rangeText(const std::vector<std::string> &numbers) {
  constexpr size_t maxListed = 4, maxDigits = 9;
  auto less = [](const std::string &a, const std::string &b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  };
  std::set<std::string, decltype(less)> sorted(numbers.begin(), numbers.end(),
                                               less);
  const std::string &least = *sorted.begin(), &most = *sorted.rbegin();
  if (sorted.size() == 1)
    return least;
  bool isRun = most.size() <= maxDigits && (least == "0" || least[0] != '0') &&
               std::stoul(most) - std::stoul(least) + 1 == sorted.size();
  if (isRun)
    return "[" + least + "-" + most + "]";
  if (sorted.size() > maxListed)
    return "[" + least + ".." + most + "]";
  std::string text;
  for (const std::string &number : sorted)
    text += (text.empty() ? "[" : ",") + number;
  return text + "]";
}

std::string partita::commonName(const std::vector<std::string> &ids) {
  std::vector<std::vector<std::string>> all;
  for (const std::string &id : ids)
    all.push_back(partsOf(id));
  std::string name;
  for (size_t i = 0; !all.empty() && i < all[0].size(); ++i) {
    std::vector<std::string> numbers;
    for (const std::vector<std::string> &parts : all)
      numbers.push_back(parts[i]);
    name += i % 2 ? rangeText(numbers) : all[0][i];
  }
  return name;
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
        {patternOf(op.id), op.kind, before, after}, changes.size());
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
