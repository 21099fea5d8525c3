//===- Model.h - What is left of an instance to choose ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The form that the search works on. Presolve makes it of an instance:
//
//   variable   one or more nodes whose values determine each other
//   edge       one table for each pair of variables that has any
//   row        a time at which memory can run out; times whose nodes are all
//              alive at another time are no rows
//   item       memory that one variable uses over an interval of rows, by
//   value,
//              less what every value uses: that is taken off the rows' capacity
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_MODEL_H
#define PARTITA_LIB_SOLVE_MODEL_H

#include "partita/Solve/Instance.h"
#include <memory>

namespace partita::solve {

/// The sum of two prices, at most `infinity`.
inline int64_t addPrices(int64_t a, int64_t b) {
  return a + b < infinity ? a + b : infinity;
}

struct Item {
  int variable = 0;
  /// Half-open, of rows.
  int begin = 0, end = 0;
  /// Where its use by value of the variable begins in Model::usages; the least
  /// is zero, and one is not.
  int64_t usage = 0;
};

struct Table {
  int first = 0, second = 0;
  /// Rows of `first`.
  std::vector<int64_t> prices;
};

/// Prices of memory: (row, price), in order of rows.
using RowPrices = std::vector<std::pair<int, double>>;

struct Model {
  /// By variable and value.
  std::vector<std::vector<int64_t>> unary;
  std::vector<Table> tables;
  /// In order of variables.
  std::vector<Item> items;
  std::vector<int64_t> usages;
  /// By row: what items may use together. Never negative, or nothing is valid.
  std::vector<int64_t> capacity;
  /// By variable: its tables, by number; and where its items begin, to the
  /// next variable's.
  std::vector<std::vector<int>> tablesOf;
  std::vector<int> firstItem;

  int numVariables() const { return static_cast<int>(unary.size()); }
  int size(int variable) const {
    return static_cast<int>(unary[variable].size());
  }
  /// The use of an item if its variable has the value.
  int64_t use(const Item &item, int value) const {
    return usages[item.usage + value];
  }
  std::span<const Item> itemsOf(int variable) const {
    return {items.data() + firstItem[variable],
            static_cast<size_t>(firstItem[variable + 1] - firstItem[variable])};
  }
  int numRows() const { return static_cast<int>(capacity.size()); }
  void index();
};

/// What the rows and columns of all that is priced between two variables have
/// in common. It is in the unary prices.
struct Drained {
  int first = 0, second = 0;
  /// Its number in Model::tables, or -1 if nothing is left of it.
  int table = -1;
  std::vector<int64_t> rows, columns;
};

/// A model and the way back from it.
struct Presolved {
  Model model;
  std::vector<Drained> drained;
  /// By row of the model: the time, of the instance, at which it is.
  std::vector<int64_t> times;
  /// What every assignment pays; the model's prices are what there is above it.
  int64_t constant = 0;
  /// By node: its variable or -1, and its value for each value of that (the
  /// only one if there is no variable).
  std::vector<int> variable;
  std::vector<std::vector<int>> value;

  std::vector<int> assignment(const std::vector<int> &values) const;
};

Presolved presolve(const Instance &instance);

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_MODEL_H
