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
// group of uses that can share with one another one or two layouts more, to
// which the value is brought once and which all of the group may read. Of three
// uses at most one layout is wanted twice, of five at most two, so nothing is
// left to share beside them: the price is the time. Of g uses, what is wanted
// beside the n layouts that are wanted most is wanted by g / (n + 1) at most,
// and the bound charges that part of it.
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

/// Values that are left of variables, some of which are alike.
struct Left {
  std::vector<int> classOf;
  std::vector<std::vector<char>> ofClass;
  bool operator()(int variable, size_t value) const {
    return ofClass[classOf[variable]][value] != 0;
  }
};

/// What `dual` does not rule out to be within `slack` of its bound.
Left leftWithin(const DualBound &dual, int64_t slack);

/// A model of the plans that are left; other values are forbidden. Variables
/// keep their numbers, and those of operations their values. A group has up to
/// `extra` layouts.
struct Sharing {
  Sharing(const Model &model, const Left &left, int extra);

  Model model;
  /// Turns values of `model` into original ones.
  void toOriginal(std::vector<int> &values) const;
  /// The original values of those that are left of `model`.
  Left toOriginal(const Left &left) const;

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
