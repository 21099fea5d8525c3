//===- Problem.h - Choices and prices as numbers ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The problem that solvers see: variables with finite domains, a price for each
// value, and a table of prices for some pairs of variables. No graph, no mesh,
// no names. Prices are integers, so sums do not depend on their order.
//
// The three parties are kept apart: a Problem is built by one, solved by
// another and checked by a third (verify), which shares no code with the
// solver.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_PROBLEM_H
#define PARTITA_PLANNER_PROBLEM_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace partita {

/// Prices from here on mean "not allowed". Sums stop here.
inline constexpr int64_t forbidden = 1'000'000'000'000'000'000;

/// The sum of two prices below or at `forbidden`.
inline int64_t addPrices(int64_t a, int64_t b) {
  return a + b < forbidden ? a + b : forbidden;
}

/// Row-major prices, rows of the edge's first variable.
struct PriceTable {
  int rows = 0, columns = 0;
  std::vector<int64_t> prices;
  int64_t at(int row, int column) const {
    return prices[static_cast<size_t>(row) * columns + column];
  }
};

struct PriceEdge {
  int first = 0, second = 0;
  std::shared_ptr<const PriceTable> table;
};

/// Minimise the sum of all prices. Prices are from 0 to `forbidden`.
struct Problem {
  /// By variable and value.
  std::vector<std::vector<int64_t>> unary;
  /// Between different variables; several between the same two add up.
  std::vector<PriceEdge> edges;
  /// By variable: an order in which neighbours are near. Empty: as they are
  /// numbered. It decides how soon a search ends, never what it may find.
  std::vector<int> positions;
};

/// A value for each variable, its price, and what is known of the best price.
struct Solution {
  std::vector<int> values;
  int64_t price = 0;
  /// At most the price of every assignment.
  int64_t bound = 0;
  /// The bound equals the price.
  bool proved = false;
};

struct SolverOptions {
  /// Entries visited by exact elimination: above it, the problem is searched.
  int64_t workLimit = int64_t(1) << 32;
  /// Entries up to which nothing is done before elimination.
  int64_t easyLimit = int64_t(1) << 30;
  /// Otherwise a good assignment with some bound is enough.
  bool prove = true;
  /// Passes of messages end when they raise the bound by less than this part.
  double worth = 1e-5;
  /// Of the search (partita/Solve/Solve.h).
  int64_t rounds = 32;
  uint64_t seed = 0;
  /// Asked between pieces of work. Once it says so the best so far is taken;
  /// something is looked for all the same.
  std::function<bool()> interrupted;
  bool isInterrupted() const { return interrupted && interrupted(); }
};

/// What an assignment costs; at most `forbidden`.
int64_t priceOf(const Problem &problem, const std::vector<int> &values);

/// Eliminates variables one after another, cheapest first. Exact where every
/// step fits; else the best assignment that a search finds, with a lower bound
/// that holds. Deterministic. A solution of price `forbidden` means that none
/// was found.
Solution solveProblem(const Problem &problem, const SolverOptions &options);

/// By variable, some values, at least one: what assignments have that cost up
/// to this part of a lower bound more than that, of those that are equally
/// good.
std::vector<std::vector<int>> valuesNear(const Problem &problem, double slack);

/// Checks a solution from the problem alone: values in range, the price summed
/// again, the bound no greater than it. Errors: `solve.verify` (70).
Status verify(const Problem &problem, const Solution &solution);

} // namespace partita

#endif // PARTITA_PLANNER_PROBLEM_H
