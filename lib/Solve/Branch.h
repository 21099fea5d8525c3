//===- Branch.h - Branch and bound over memory and values ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For models of up to a thousand variables. What the dual leaves open is nearly
// always memory: under the best prices some variables waver between values that
// use much and values that use little. A node halves the values of the one
// whose wavering is worth most, by what they pay for memory. Children inherit
// messages and prices, so that a few passes suffice.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_BRANCH_H
#define PARTITA_LIB_SOLVE_BRANCH_H

#include "Dual.h"
#include "Incumbent.h"
#include <deque>
#include <functional>

namespace partita::solve {

/// By variable and value: whether a pass chose it.
using Seen = std::vector<std::vector<char>>;

/// Up to `passes` passes, between which prices of memory move, at first towards
/// a bound of a quarter of `open` above `bound`. After each pass
/// `proceed(its number)` is asked; where it says no, settle() ends and says so
/// too. `seen`: what the later half of the passes chose.
bool settle(Dual &dual, double bound, double open, int passes,
            const std::function<bool(int)> &proceed, Seen &seen);

/// The variable to halve, or -1 if there is no choice left, and its values of
/// the cheaper half.
struct Split {
  int variable = -1;
  std::vector<char> low;
};

/// By the range of what the values that passes chose pay for memory, else by
/// the number of those values.
Split chooseSplit(const Dual &dual, const Seen &seen);

class Branch {
public:
  /// Starts at a dual whose prices have settled.
  Branch(const Dual &root, Incumbent &incumbent, int passes = 30);

  /// Opens nodes until so many entries have been visited, or until none is
  /// left.
  void run(int64_t work);
  /// No node is left: nothing is better than the incumbent.
  bool isDone() const { return open.empty(); }
  /// At most the price of anything that fits.
  double bound() const;
  int64_t numNodes() const { return count; }

private:
  struct Node {
    Dual dual;
    double bound;
    int depth;
    Split split = {};
  };
  bool process(Node &node, int passes);
  void expand(Node node);
  bool isPruned(double bound) const;
  void tryValues(const std::vector<int> &values);

  Incumbent &incumbent;
  State state;
  std::deque<Node> open;
  int passes;
  int64_t count = 0, turn = 0, spent = 0, passWork;
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_BRANCH_H
