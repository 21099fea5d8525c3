//===- RunCopy.h - Executing lists of runs ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Copying and combining what planExchange listed.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_RUNCOPY_H
#define PARTITA_LIB_RUNTIME_RUNCOPY_H

#include "partita/Runtime/Communicator.h"
#include <algorithm>
#include <cstring>

namespace partita::runtime {

/// memcpy, which must not be given null even for nothing.
inline void copyBytes(std::byte *to, const std::byte *from, int64_t bytes) {
  if (bytes > 0)
    std::memcpy(to, from, bytes);
}

/// Calls fn(from, to, count), in elements, for each run of the groups.
template <typename Fn>
void forEachRunOf(const std::vector<RunGroup> &runs, Fn fn) {
  for (const RunGroup &run : runs)
    for (int64_t i = 0; i < run.repeat; ++i)
      fn(run.from + i * run.fromStep, run.to + i * run.toStep, run.count);
}

inline void copyRuns(const std::vector<RunGroup> &runs, int64_t size,
                     const std::byte *from, std::byte *to) {
  forEachRunOf(runs, [&](int64_t a, int64_t b, int64_t count) {
    copyBytes(to + b * size, from + a * size, count * size);
  });
}

inline void combineRuns(const std::vector<RunGroup> &runs, Combiner combiner,
                        DType dtype, const std::byte *from, std::byte *to) {
  int64_t size = dtypeSize(dtype);
  forEachRunOf(runs, [&](int64_t a, int64_t b, int64_t count) {
    combineElements(combiner, dtype, to + b * size, from + a * size, count);
  });
}

/// Part `index` of 0..count in `parts` parts whose borders are multiples of 16
/// elements (a cache line of f32), the last one excepted.
inline Interval chunkOf(int64_t count, int64_t parts, int64_t index) {
  int64_t blocks = (count + 15) / 16;
  auto border = [&](int64_t i) {
    return std::min(count, blocks * i / parts * 16);
  };
  return {border(index), border(index + 1)};
}

/// An all-reduce proper: every rank of the group has a pending value of the
/// same box, and gets the combined one.
inline bool isPlainAllReduce(const CollectiveSpec &spec, const Mesh &mesh) {
  if (spec.from.dims != spec.to.dims)
    return false;
  for (int axis : spec.axes) {
    bool pending =
        std::find(spec.from.partialAxes.begin(), spec.from.partialAxes.end(),
                  axis) != spec.from.partialAxes.end();
    bool remains =
        std::find(spec.to.partialAxes.begin(), spec.to.partialAxes.end(),
                  axis) != spec.to.partialAxes.end();
    if ((!pending || remains) && mesh.axisSizes[axis] > 1)
      return false;
  }
  return true;
}

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_RUNCOPY_H
