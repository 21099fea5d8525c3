//===- Costing.cpp - What counts how much in a step -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Costing.h"
#include "partita/Planner/Problem.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::planner;

int64_t Share::operator()(int64_t price) const {
  if (price >= forbidden || number == of)
    return price;
  // Divisions of 128 bits take long, and bounds need none.
  if (int64_t product;
      of == 1 && !__builtin_mul_overflow(price, number, &product))
    return std::min(product, forbidden);
  auto scaled = static_cast<__int128>(price) * number / of;
  return static_cast<int64_t>(
      std::min(scaled, static_cast<__int128>(forbidden)));
}

/// Equal stages take a micro-batch's share of each m times, and wait as long as
/// their schedule says (Schedule.h), with p - 1 times a chunk's F, B or W more
/// or less; what is done once is dealt to all of them. With v chunks a stage a
/// chunk has one part in p v of each. A bubble that would be negative is none.
Costing::Costing(const Graph &graph, Execution given)
    : execution(std::move(given)), phases(phasesOf(graph, execution)) {
  const int64_t p = execution.stages, m = execution.microBatches,
                v = execution.schedule.chunksPerLane;
  const int64_t of = p * v, full = m * v, waits = full + p - 1;
  forward = backward = weight = {waits, of};
  switch (execution.schedule.kind) {
  case ScheduleKind::OneForwardOneBackward:
  case ScheduleKind::GPipe:
  case ScheduleKind::Interleaved:
    break;
  case ScheduleKind::ZeroBubbleH1:
    weight.number = std::max<int64_t>(full - (p - 1), 0);
    break;
  case ScheduleKind::ZeroBubbleH2:
  case ScheduleKind::ZeroBubbleV:
    backward.number = weight.number = full;
    break;
  }
  if (execution.recompute)
    forward.number += backward.number;
  once = {1, p};
}

Share Costing::shareOf(const Graph &graph, size_t from, size_t to,
                       size_t at) const {
  bool inLoop = isInLoop(to) && (isInLoop(from) || isResident(graph.ops[from]));
  return inLoop ? shareOf(to, at) : onceOf(at);
}

/// A price counts equal stages. Let the stages take S in all for a micro-batch
/// and O once a step, and A of S without gradients of weights that are split
/// off. With v chunks a stage, a price is at most (m S + O) / p + (p - 1) A /
/// (p v), as the shares above say, and unequal stages have
///
///   T >= (m S + O) / p, so that T >= c A for c = m / p, too
///   T >= A, as a micro-batch goes through all chunks and comes back, and
///   T >= c A for c = 1 / (1 - (1 - 1/m)^p) if v = 1, as a stage waits for all
///   stages before it: T >= m a_s + sum of a_j for j < s
///
/// so that the price is at most (1 + (p - 1) / (p v c)) T.
double planner::partOfPrice(const Execution &execution, bool hasBackward) {
  auto p = static_cast<double>(execution.stages),
       m = static_cast<double>(execution.microBatches),
       v = static_cast<double>(execution.schedule.chunksPerLane);
  if (execution.stages == 1 || (!hasBackward && v == 1))
    return 1;
  double c = std::max(1.0, m / p);
  if (v == 1)
    c = 1 / (1 - std::pow(1 - 1 / m, p));
  return c / (c + (p - 1) / (p * v)) * (1 - 1e-9);
}
