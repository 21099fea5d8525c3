//===- Region.h - Large neighbourhoods --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Frees a few hundred connected variables, keeps all others, and finds the best
// values of the free ones by elimination (Elimination.h). Memory enters through
// prices of rows, at first those of the whole model at a random scale. They are
// moved a few times, until the values fit and save, or until the bound that
// they make shows that this region holds nothing better.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_REGION_H
#define PARTITA_LIB_SOLVE_REGION_H

#include "Elimination.h"
#include "State.h"

namespace partita::solve {

class Region {
public:
  Region(const Model &model, uint64_t seed);

  struct Options {
    int variables = 200;
    /// Entries of the largest step of an elimination.
    int64_t tableLimit = 1 << 14;
    int priceSteps = 14;
    /// Entries to visit, roughly.
    int64_t budget = int64_t(1) << 24;
  };
  /// Tries to better `state`, which fits; it fits afterwards, and costs no
  /// more. `prices` are those of the whole model. True if it costs less.
  bool improve(State &state, const RowPrices &prices, const Options &options);
  /// Entries that the last improve() visited.
  int64_t work() const { return visited; }

private:
  void grow(int count);
  void cut(const State &state);
  double priceOf(const std::vector<int> &values) const;
  std::vector<std::vector<double>> pricedUnary() const;
  void put(State &state, const std::vector<int> &values) const;
  bool mend(State &state, int64_t before);
  std::vector<double> excessOfRows(const State &state) const;
  double paymentFor(const std::vector<double> &excess) const;
  bool movePrices(std::vector<double> excess, double gap);

  const Model &model;
  std::mt19937_64 random;
  /// The variables of the region, and the place of each there or -1.
  std::vector<int> members, place;
  /// By member: the values that they have, and those that were found.
  std::vector<int> current, found;
  /// Prices without those of memory.
  std::vector<std::vector<double>> unary;
  std::vector<Elimination::Function> functions;
  RowPrices rows;
  int64_t visited = 0;
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_REGION_H
