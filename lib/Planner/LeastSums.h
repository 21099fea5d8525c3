//===- LeastSums.h - One variable out of a sum ------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The step of elimination: a function of some variables, the least sum of
// others that share one more. Nearly all time of exact solving goes here, so
// the last variable of the result is what vectors run along.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_LEASTSUMS_H
#define PARTITA_LIB_PLANNER_LEASTSUMS_H

#include <cstdint>
#include <vector>

namespace partita::planner {

/// least[y] = min(least[y], add + a[y]) for y < count, in the vectors that the
/// machine has.
void takeSums(int64_t add, const int64_t *a, int64_t count, int64_t *least);

/// A dense function as the step sees it: how far apart neighbouring values of
/// the variable that goes are, and of each that stays; zero for those that it
/// does not have.
struct SumTerm {
  const int64_t *data;
  int64_t inner;
  std::vector<int64_t> outer;
};

/// For all values of the variables that stay, of these `sizes`, the least over
/// x of unary[x] and the sum of all terms; at most `forbidden`. The last
/// variable varies fastest. There is a variable, each is in some term, and no
/// price is above `forbidden`.
std::vector<int64_t> leastSums(const std::vector<int64_t> &unary,
                               const std::vector<int64_t> &sizes,
                               const std::vector<SumTerm> &terms);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_LEASTSUMS_H
