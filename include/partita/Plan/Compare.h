//===- Compare.h - What two plans decide differently -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A hundred layers that changed in the same way are one change. Operations are
// put together if their ids differ in numbers only:
//
//   decoder.layer.[3-94].attention.wo   n = tp -> k = tp   92 operations
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLAN_COMPARE_H
#define PARTITA_PLAN_COMPARE_H

#include "partita/Plan/Plan.h"

namespace partita {

/// "n = 3 x 12:tp x 64, m = dp"; "whole" without any.
std::string splitText(const PlannedOp &op, const Mesh &mesh);

/// Operations that changed in the same way.
struct Change {
  std::string kind;
  /// What the first plan says of them, and the second; empty where they are not
  /// in it.
  std::string first, second;
  std::vector<std::string> ids;
};

/// In the order of the first plan, then what only the second has.
std::vector<Change> changesBetween(const Plan &first, const Plan &second);

} // namespace partita

#endif // PARTITA_PLAN_COMPARE_H
