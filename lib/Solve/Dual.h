//===- Dual.h - Lower bounds by messages and memory prices -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For any prices l >= 0 of the rows' memory
//
//   min over x of  cost(x) + sum_t l_t (use_t(x) - capacity_t)
//
// is at most the least cost of what fits. The prices make a problem without
// memory, of variables and tables, and that is bounded by sequential
// tree-reweighted message passing (Kolmogorov, Convergent Tree-reweighted
// Message Passing for Energy Minimization, PAMI 2006): a pass visits the
// variables in order and back, and the sum of what it normalises away is the
// bound. For given prices it never falls; prices are moved along the excess of
// memory of the values that a pass would choose.
//
// Few rows ever matter: one gets a price when it is the peak of an overflow.
//
// In double precision, on prices less what no choice avoids (Presolve.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_DUAL_H
#define PARTITA_LIB_SOLVE_DUAL_H

#include "Model.h"

namespace partita::solve {

/// Tables in the form that passes read, shared by all duals of a model.
struct DualTables {
  explicit DualTables(const Model &model);
  const Model &model;
  /// By table: row-major, and its transpose.
  std::vector<std::vector<double>> prices, transposed;
  /// By variable: one over the greater number of tables to either side.
  std::vector<double> share;
};

class Dual {
public:
  explicit Dual(std::shared_ptr<const DualTables> tables);

  /// A pass there and back under the present prices. Sets bound() and values().
  void pass();
  /// After a pass: moves the prices towards a bound of `target`.
  void movePrices(double target);
  /// As they were when bound() was greatest.
  void restoreBest();
  /// What each table's ends are given of it by a pass there under the present
  /// prices, for a proof that is the sum of least prices: what the messages
  /// say, less what variables hand on to later ones. After that, the least
  /// price of each variable and of each table sum to the bound of the pass.
  /// Numbers are at most three times what setMost() said. Changes nothing else.
  /// After a pass.
  void spread(std::vector<std::vector<double>> &first,
              std::vector<std::vector<double>> &second);

  double bound() const { return lastBound; }
  double best() const { return bestBound; }
  /// What the pass back chose, each given those before it.
  const std::vector<int> &values() const { return chosen; }
  /// They overflow no row.
  bool fits() const { return worst <= 0; }

  /// From now on passes forbid values whose use lifts the bound above it.
  void setLimit(double value) { limit = value; }
  /// From now on no message says more: bounds above it are not looked for.
  void setMost(double value) { most = value; }
  /// Sets the prices of memory.
  void setRowPrices(RowPrices values);
  /// Forbids a value.
  void forbid(int variable, int value);
  bool allowed(int variable, int value) const { return alive[variable][value]; }
  int numAllowed(int variable) const { return aliveCount[variable]; }
  /// No value is left somewhere: nothing is below the limit.
  bool empty() const { return isEmpty; }

  /// The prices of memory at the best bound.
  const RowPrices &bestRowPrices() const { return bestPrices; }
  /// The unary prices with those of memory.
  const std::vector<double> &priced(int variable) const {
    return unary[variable];
  }
  const Model &model() const { return shared->model; }
  /// Entries that a pass visits.
  int64_t passWork() const;

private:
  /// What a sweep gives to the ends of tables.
  struct Spread {
    std::vector<std::vector<double>> &first, &second;
  };
  void price();
  double sweep(bool forward, Spread *spread = nullptr);
  void choose(int variable);
  double send(int table, int from, const std::vector<double> &sum);
  void useOf(const std::vector<int> &values);
  void addPeaks();

  std::shared_ptr<const DualTables> shared;
  /// By table: the message that was sent last, to the end that is visited next.
  std::vector<std::vector<double>> messages;
  std::vector<std::vector<double>> unary;
  std::vector<std::vector<char>> alive;
  std::vector<int> aliveCount;
  RowPrices prices, bestPrices;
  std::vector<int> chosen;
  /// Of the chosen values, by row: their use less the capacity.
  std::vector<int64_t> over;
  int64_t worst = 0;
  double lastBound = 0, bestBound = 0, limit, most;
  bool isEmpty = false, unpriced = true;
  std::vector<double> scratch;
};

/// Moves the prices of a dual towards its best bound and some more: less where
/// the last passes brought little, more where they brought much.
class Ascent {
public:
  /// After each pass.
  void move(Dual &dual);
  int64_t passes() const { return count; }
  /// Nothing has come for long.
  bool settled() const { return isSettled; }

private:
  int64_t count = 0;
  double delta = 0, windowStart = 0, longWindowStart = 0;
  int poorWindows = 0;
  bool isSettled = false;
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_DUAL_H
