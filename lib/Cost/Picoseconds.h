//===- Picoseconds.h - Times as integers ------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_COST_PICOSECONDS_H
#define PARTITA_LIB_COST_PICOSECONDS_H

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace partita {

/// Never less than nothing, never more than what sums of thousands hold: a
/// quarter of an hour. What is not a number counts as that much.
inline int64_t toPicoseconds(double seconds) {
  constexpr double limit = 1e15;
  double picoseconds = seconds * 1e12;
  if (!(picoseconds < limit))
    return static_cast<int64_t>(limit);
  return std::llround(std::max(picoseconds, 0.0));
}

} // namespace partita

#endif // PARTITA_LIB_COST_PICOSECONDS_H
