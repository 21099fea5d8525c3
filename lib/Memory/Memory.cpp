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
/// collide with is found without a look at all the others. Those that live long
/// are in a list of their own, by offset, for most others collide with them.
class Placed {
  struct Before {
    const std::vector<int64_t> &offsets;
    bool operator()(size_t a, size_t b) const {
      return offsets[a] < offsets[b];
    }
  };

public:
  Placed(const std::vector<BufferLife> &buffers,
         const std::vector<int64_t> &offsets)
      : buffers(buffers), offsets(offsets) {
    int64_t last = 0;
    for (const BufferLife &buffer : buffers)
      last = std::max(last, buffer.last);
    constexpr int64_t mostSpans = 256;
    width = last / mostSpans + 1;
    spans.resize(static_cast<size_t>(last / width) + 1);
  }

  /// Its offset is known now.
  void add(size_t buffer) {
    auto [first, last] = spansOf(buffers[buffer]);
    constexpr size_t longest = 16;
    if (last - first < longest)
      for (size_t span = first; span <= last; ++span)
        spans[span].push_back(buffer);
    else
      longLived.insert(std::upper_bound(longLived.begin(), longLived.end(),
                                        buffer, Before{offsets}),
                       buffer);
  }

  /// Calls `fn` with those that are alive at the same time as `buffer` at some
  /// command, by offset, until it returns false.
  template <typename Fn> void forEachBeside(const BufferLife &buffer, Fn fn) {
    auto overlaps = [&](size_t other) {
      return buffers[other].last >= buffer.first &&
             buffer.last >= buffers[other].first;
    };
    std::vector<size_t> found;
    auto [first, last] = spansOf(buffer);
    for (size_t span = first; span <= last; ++span)
      for (size_t other : spans[span])
        // In the first span that both have.
        if (overlaps(other) &&
            std::max(first, spansOf(buffers[other]).first) == span)
          found.push_back(other);
    std::sort(found.begin(), found.end(), Before{offsets});
    auto next = found.begin();
    for (size_t other : longLived) {
      if (!overlaps(other))
        continue;
      for (; next != found.end() && offsets[*next] <= offsets[other]; ++next)
        if (!fn(*next))
          return;
      if (!fn(other))
        return;
    }
    for (; next != found.end(); ++next)
      if (!fn(*next))
        return;
  }

private:
  std::pair<size_t, size_t> spansOf(const BufferLife &buffer) const {
    return {static_cast<size_t>(std::max<int64_t>(buffer.first, 0) / width),
            static_cast<size_t>(std::max<int64_t>(buffer.last, 0) / width)};
  }
  const std::vector<BufferLife> &buffers;
  const std::vector<int64_t> &offsets;
  int64_t width;
  std::vector<std::vector<size_t>> spans;
  std::vector<size_t> longLived;
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
  Placed placed(buffers, layout.offsets);
  for (size_t i : order) {
    const BufferLife &buffer = buffers[i];
    if (buffer.bytes <= 0)
      continue;
    int64_t offset = 0, size = roundUp(buffer.bytes, alignment);
    placed.forEachBeside(buffer, [&](size_t j) {
      if (offset + size <= layout.offsets[j])
        return false;
      offset = std::max(offset, layout.offsets[j] +
                                    roundUp(buffers[j].bytes, alignment));
      return true;
    });
    layout.offsets[i] = offset;
    layout.bytes = std::max(layout.bytes, offset + size);
    placed.add(i);
  }
  return layout;
}
