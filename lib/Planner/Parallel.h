//===- Parallel.h - Equal work side by side ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What comes out of a search must not depend on how many processors there are:
// what is done side by side is decided before, and taken in order afterwards.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_PARALLEL_H
#define PARTITA_LIB_PLANNER_PARALLEL_H

#include <cstddef>
#include <functional>

namespace partita::planner {

/// Calls `fn` with all numbers below `count`, on as many threads as there are
/// processors, up to eight.
void forAll(size_t count, const std::function<void(size_t)> &fn);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_PARALLEL_H
