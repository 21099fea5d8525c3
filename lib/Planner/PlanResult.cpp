//===- PlanResult.cpp - What a search says of its plan --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Planner.h"
#include <algorithm>

using namespace partita;

static constexpr std::pair<StoppedBy, const char *> stopNames[] = {
    {StoppedBy::Exhausted, "exhausted"},
    {StoppedBy::Gap, "gap"},
    {StoppedBy::Work, "work"},
    {StoppedBy::Time, "time"},
    {StoppedBy::User, "user"}};

const char *partita::stoppedByName(StoppedBy reason) {
  for (auto [known, name] : stopNames)
    if (known == reason)
      return name;
  return "";
}

std::optional<StoppedBy> partita::parseStoppedBy(const std::string &text) {
  for (auto [known, name] : stopNames)
    if (text == name)
      return known;
  return std::nullopt;
}

void PlanResult::setBound(int64_t picoseconds) {
  bound = std::min(picoseconds, cost.step());
  gap = cost.step() > 0 ? static_cast<double>(cost.step() - bound) /
                              static_cast<double>(cost.step())
                        : 0;
}
