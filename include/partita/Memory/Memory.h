//===- Memory.h - Liveness and arena offsets --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Buffers with lifetimes over a sequence of commands receive offsets in one
// arena, so that buffers which live at the same time do not overlap. The plan's
// promised peak and the executable's arena come from this one function.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_MEMORY_MEMORY_H
#define PARTITA_MEMORY_MEMORY_H

#include <cstdint>
#include <vector>

namespace partita {

/// Alive from command `first` to command `last`, both included.
struct BufferLife {
  int64_t bytes = 0;
  int64_t first = 0, last = 0;
};

struct ArenaLayout {
  std::vector<int64_t> offsets; // one per buffer, multiples of `alignment`
  int64_t bytes = 0;            // of the whole arena
  int64_t liveBytes = 0;        // largest sum of live buffers: a lower bound
};

/// Places large and long-lived buffers first, each into the lowest gap between
/// the buffers that it overlaps in time (greedy by size, after Pisarchyk and
/// Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
/// Deterministic. Buffers of zero bytes get offset zero.
ArenaLayout layoutArena(const std::vector<BufferLife> &buffers,
                        int64_t alignment = 64);

} // namespace partita

#endif // PARTITA_MEMORY_MEMORY_H
