//===- State.h - An assignment, its price and its memory -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What local moves need: the price of changing one variable, and whether the
// memory allows it. Rows are the leaves of a tree with additions to ranges and
// the greatest of ranges.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_STATE_H
#define PARTITA_LIB_SOLVE_STATE_H

#include "Model.h"
#include <algorithm>

namespace partita::solve {

/// Additions to ranges of rows, and the greatest.
class RangeTree {
public:
  /// Of `values`.
  void reset(const std::vector<int64_t> &values);
  void add(int begin, int end, int64_t amount);
  /// The greatest of all; INT64_MIN of none.
  int64_t greatest() const { return size ? best[1] : INT64_MIN; }
  /// The first row that has it.
  int whereGreatest() const;
  int64_t at(int row) const;

private:
  void pull(int node) {
    best[node] = std::max(best[2 * node], best[2 * node + 1]) + lazy[node];
  }
  int size = 0, leaves = 1;
  std::vector<int64_t> best, lazy;
};

class State {
public:
  explicit State(const Model &model);

  void set(const std::vector<int> &values);
  /// What uses least memory, by variable: fits if anything fits easily.
  void setLeast();
  const std::vector<int> &values() const { return chosen; }
  int64_t price() const { return total.price(); }
  /// No row is over its capacity.
  bool fits() const { return excess() <= 0; }
  /// The greatest overflow of any row.
  int64_t excess() const { return model.numRows() ? tree.greatest() : 0; }
  int worstRow() const { return tree.whereGreatest(); }
  int64_t excessAt(int row) const { return tree.at(row); }

  /// The change of the price if the variable took the value.
  int64_t difference(int variable, int value) const {
    return change(variable, value).price();
  }
  void assign(int variable, int value);
  /// assign() if the greatest overflow is then at most `limit`.
  bool tryAssign(int variable, int value, int64_t limit = 0);

  /// Moves single variables until nothing overflows, those first that cost
  /// least by byte at the worst row. Gives up after `most` moves.
  bool repair(int most);
  /// Moves single variables while that saves and fits.
  void descend();
  /// Entries visited so far.
  int64_t work() const { return visited; }

private:
  /// A sum of prices, or a difference of such sums: how many infinite ones, and
  /// the others.
  struct Change {
    /// May be more than 64 bits hold: a sum of many prices just below infinity.
    __int128 finite = 0;
    int infinite = 0;
    void add(int64_t price, int sign) {
      if (price >= infinity)
        infinite += sign;
      else
        finite += sign * static_cast<__int128>(price);
    }
    void add(const Change &other) {
      finite += other.finite;
      infinite += other.infinite;
    }
    int64_t price() const {
      if (infinite != 0)
        return infinite > 0 ? infinity : -infinity;
      return static_cast<int64_t>(
          std::clamp<__int128>(finite, -infinity, infinity));
    }
  };
  Change change(int variable, int value) const;

  /// `rate`: the price by byte saved; negative where the price falls as well.
  struct Move {
    double rate;
    int variable, value;
    auto operator<=>(const Move &) const = default;
  };
  void use(int variable, int from, int to);
  void relief(int row, std::vector<Move> &moves);

  const Model &model;
  std::vector<int> chosen;
  Change total;
  RangeTree tree;
  std::vector<int64_t> buffer;
  mutable int64_t visited = 0;
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_STATE_H
