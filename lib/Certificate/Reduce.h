//===- Reduce.h - What is left of a problem to choose ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Of all choices that fit and cost less than infinity, none is lost by
//
//   - taking away a value that is infinite by itself, or over some edge with
//   all
//     values that are left at its other end;
//   - making one variable of two nodes if an edge leaves each value of one
//     exactly one partner, another one each;
//   - taking away a value with which memory overflows at some time even if all
//     other variables use the least that they can.
//
// All three are done for as long as any of them finds anything, which ends in
// the same place in whatever order.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CERTIFICATE_REDUCE_H
#define PARTITA_LIB_CERTIFICATE_REDUCE_H

#include "Problem.h"
#include <optional>

namespace partita::certificate {

struct Reduced {
  /// Memory by value, while time is in a half-open interval.
  struct Use {
    int64_t begin = 0, end = 0;
    std::vector<int64_t> usages;
  };
  struct Variable {
    /// The first of its nodes, whose values are its names for its own.
    int node = 0;
    std::vector<int> values;
    std::vector<int64_t> costs;
    std::vector<Use> uses;
  };
  struct Table {
    int first = 0, second = 0; ///< the first is less
    std::vector<int64_t> costs;
  };
  /// In the order of their first nodes; those of one value too.
  std::vector<Variable> variables;
  /// At most one for two variables, none of variables of one value.
  std::vector<Table> tables;
};

/// Nothing if no choice is left: none fits and costs less than infinity.
std::optional<Reduced> reduce(const Problem &problem);

} // namespace partita::certificate

#endif // PARTITA_LIB_CERTIFICATE_REDUCE_H
