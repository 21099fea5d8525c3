//===- Memory.cpp - Liveness and arena offsets ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Memory/Memory.h"
#include <algorithm>
#include <map>
#include <numeric>

using namespace partita;

static int64_t roundUp(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// The largest sum of sizes that are alive at one command.
static int64_t maxLive(const std::vector<BufferLife> &buffers,
                       int64_t alignment) {
  std::map<int64_t, int64_t> change;
  for (const BufferLife &buffer : buffers) {
    change[buffer.first] += roundUp(buffer.bytes, alignment);
    change[buffer.last + 1] -= roundUp(buffer.bytes, alignment);
  }
  int64_t live = 0, most = 0;
  for (auto [time, delta] : change)
    most = std::max(most, live += delta);
  return most;
}

ArenaLayout partita::layoutArena(const std::vector<BufferLife> &buffers,
                                 int64_t alignment) {
  ArenaLayout layout;
  layout.offsets.assign(buffers.size(), 0);
  layout.liveBytes = maxLive(buffers, alignment);
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (buffers[a].bytes != buffers[b].bytes)
      return buffers[a].bytes > buffers[b].bytes;
    return buffers[a].last - buffers[a].first >
           buffers[b].last - buffers[b].first;
  });
  // Placed buffers by offset: a new one goes into the lowest gap among those
  // whose lifetimes overlap its own.
  std::vector<size_t> placed;
  for (size_t i : order) {
    const BufferLife &buffer = buffers[i];
    if (buffer.bytes <= 0)
      continue;
    int64_t offset = 0, size = roundUp(buffer.bytes, alignment);
    for (size_t j : placed) {
      const BufferLife &other = buffers[j];
      if (other.last < buffer.first || buffer.last < other.first)
        continue;
      if (offset + size <= layout.offsets[j])
        break;
      offset = std::max(offset,
                        layout.offsets[j] + roundUp(other.bytes, alignment));
    }
    layout.offsets[i] = offset;
    layout.bytes = std::max(layout.bytes, offset + size);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) {
                                     return layout.offsets[a] <
                                            layout.offsets[b];
                                   }),
                  i);
  }
  return layout;
}
