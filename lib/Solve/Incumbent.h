//===- Incumbent.h - The best plan so far -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the parts of a search exchange: the best values that fit.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SOLVE_INCUMBENT_H
#define PARTITA_LIB_SOLVE_INCUMBENT_H

#include "State.h"
#include <limits>

namespace partita::solve {

struct Incumbent {
  std::vector<int> values;
  int64_t price = std::numeric_limits<int64_t>::max();

  bool exists() const { return price != std::numeric_limits<int64_t>::max(); }
  /// No plan is better if its bound is above this: prices are integers, so that
  /// the next better one is better by one, and half of that, or a part of large
  /// prices, is left for what sums in double precision are off.
  double limit() const {
    return double(price) - 1 + std::max(0.5, 1e-12 * double(price));
  }
  bool offer(const State &state) {
    if (!state.fits() || state.price() >= price)
      return false;
    values = state.values();
    price = state.price();
    return true;
  }
};

} // namespace partita::solve

#endif // PARTITA_LIB_SOLVE_INCUMBENT_H
