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

namespace {
/// Buffers that have their places, by when they are alive: what a new one may
/// collide with is found without a look at all the others.
class Placed {
public:
  explicit Placed(const std::vector<BufferLife> &buffers) : buffers(buffers) {
    int64_t last = 0;
    for (const BufferLife &buffer : buffers)
      last = std::max(last, buffer.last);
    constexpr int64_t mostSpans = 256;
    width = last / mostSpans + 1;
    spans.resize(static_cast<size_t>(last / width) + 1);
  }

  void add(size_t buffer) {
    forEachSpan(buffers[buffer],
                [&](std::vector<size_t> &span) { span.push_back(buffer); });
  }

  /// Those that are alive at the same time as `buffer` at some command.
  std::vector<size_t> besides(const BufferLife &buffer) {
    std::vector<size_t> found;
    forEachSpan(buffer, [&](const std::vector<size_t> &span) {
      for (size_t other : span)
        if (buffers[other].last >= buffer.first &&
            buffer.last >= buffers[other].first)
          found.push_back(other);
    });
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

private:
  template <typename Fn> void forEachSpan(const BufferLife &buffer, Fn fn) {
    for (int64_t span = std::max<int64_t>(buffer.first, 0) / width;
         span <= std::max<int64_t>(buffer.last, 0) / width; ++span)
      fn(spans[static_cast<size_t>(span)]);
  }

  const std::vector<BufferLife> &buffers;
  int64_t width;
  std::vector<std::vector<size_t>> spans;
};
} // namespace

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
  // A new one goes into the lowest gap among those whose lifetimes overlap its
  // own.
  Placed placed(buffers);
  for (size_t i : order) {
    const BufferLife &buffer = buffers[i];
    if (buffer.bytes <= 0)
      continue;
    int64_t offset = 0, size = roundUp(buffer.bytes, alignment);
    std::vector<size_t> others = placed.besides(buffer);
    std::sort(others.begin(), others.end(), [&](size_t a, size_t b) {
      return layout.offsets[a] < layout.offsets[b];
    });
    for (size_t j : others) {
      if (offset + size <= layout.offsets[j])
        break;
      offset = std::max(offset, layout.offsets[j] +
                                    roundUp(buffers[j].bytes, alignment));
    }
    layout.offsets[i] = offset;
    layout.bytes = std::max(layout.bytes, offset + size);
    placed.add(i);
  }
  return layout;
}
