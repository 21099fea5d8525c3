//===- Cost.h - What kernels and collectives cost ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Times of one rank in integer picoseconds, so that sums do not depend on their
// order. Nothing here searches or knows of operations; callers give local
// sizes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_COST_COST_H
#define PARTITA_COST_COST_H

#include "partita/Cost/Collectives.h"
#include "partita/Cost/Kernels.h"

namespace partita {

/// Picoseconds in a second.
inline constexpr int64_t picosPerSecond = 1'000'000'000'000;
inline double toSeconds(int64_t picoseconds) {
  return static_cast<double>(picoseconds) / picosPerSecond;
}

} // namespace partita

#endif // PARTITA_COST_COST_H
