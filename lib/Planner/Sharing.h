//===- Sharing.h - What readers of one tensor pay together ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Uses that want a value in the same layout share its reshard: query, key and
// value of a layer read one tensor. Pairwise prices cannot say so. Of u uses,
// the bound (Model.h) charges each a (u - 1)th, which three of them, two of
// which want the same, meet only in part: one that wants a layout by itself
// pays half.
//
// Here the variable of such a value is a tuple: the shared layout, and for each
// group of uses that can share with one another one more layout, to which the
// value is brought once and which all of the group may read. Of three uses at
// most one layout is wanted twice, so nothing is left to share beside it: the
// price is the time. Of g uses, a layout beside the most wanted one is wanted
// by g / 2 at most, and the bound charges that part of it.
//
// Tuples are many, so this is done where a bound has left few values, when a
// plan and its bound are apart.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_SHARING_H
#define PARTITA_LIB_PLANNER_SHARING_H

#include "Dual.h"
#include "Model.h"

namespace partita::planner {

/// A model of the plans that `dual`, a bound of its time, does not rule out to
/// be within `slack` of it; other values are forbidden. Variables keep their
/// numbers, and those of operations their values.
struct Sharing {
  Sharing(const Model &model, const DualBound &dual, int64_t slack);

  Model model;
  /// Turns values of `model` into original ones.
  void toOriginal(std::vector<int> &values) const;

private:
  struct Tuples;
  std::vector<std::pair<int, std::shared_ptr<const Tuples>>> tuples;
  friend class SharingBuilder;
};

/// What `problem`, the objective or the time of `model`, costs if equal
/// reshards are paid for once.
int64_t priceShared(const Model &model, const Problem &problem,
                    const std::vector<int> &values);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_SHARING_H
