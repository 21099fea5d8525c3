//===- Window.h - Windows that slide over a tensor -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Convolutions, transposed convolutions and pools relate positions of two
// tensors: the one that has an element for each window ("outer") and the one
// under the windows ("inner"):
//
//   inner = outer * stride + tap * dilation - pad
//
// One or two spatial dimensions are three, of which the first have size one.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_WINDOW_H
#define PARTITA_LIB_RUNTIME_CORE_WINDOW_H

#include "LibraryImpl.h"

namespace partita::runtime {

struct Windows {
  using Triple = std::array<int64_t, 3>;
  Triple outer{1, 1, 1}, inner{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1},
      dilation{1, 1, 1}, pad{0, 0, 0};
};

/// Windows of `kernel` with the strides, dilations and pads of a call, between
/// tensors [n,c,s..] of these shapes. Fails if there are not one to three
/// spatial dimensions with one number each, or if a number is out of range.
Result<Windows> readWindows(const Command &call,
                            const std::vector<int64_t> &outer,
                            const std::vector<int64_t> &inner,
                            const std::vector<int64_t> &kernel);

/// The strides of a view [n,c,s..] (or of a weight) along three spatial
/// dimensions.
inline Windows::Triple spatialStrides(const View &view) {
  Windows::Triple strides{0, 0, 0};
  size_t spatial = view.shape.size() - 2;
  for (size_t d = 0; d < spatial; ++d)
    strides[3 - spatial + d] = view.strides[2 + d];
  return strides;
}

/// The offset of a position by strides, in elements.
inline int64_t dot(const Windows::Triple &position,
                   const Windows::Triple &strides) {
  return position[0] * strides[0] + position[1] * strides[1] +
         position[2] * strides[2];
}

/// A tap that falls inside for `count` consecutive windows of a row: the first
/// of them, the element under it, and the tap itself.
struct Tap {
  Windows::Triple outer, inner, tap;
  int64_t count;
};

/// Calls `fn(tap)` for the taps of the row of windows (d, h).
template <typename Fn>
void forEachTap(const Windows &w, int64_t d, int64_t h, Fn fn) {
  Tap t{{d, h, 0}, {}, {}, 0};
  auto inside = [&](int dim) {
    t.inner[dim] = t.outer[dim] * w.stride[dim] + t.tap[dim] * w.dilation[dim] -
                   w.pad[dim];
    return t.inner[dim] >= 0 && t.inner[dim] < w.inner[dim];
  };
  for (t.tap[0] = 0; t.tap[0] < w.kernel[0]; ++t.tap[0]) {
    if (!inside(0))
      continue;
    for (t.tap[1] = 0; t.tap[1] < w.kernel[1]; ++t.tap[1]) {
      if (!inside(1))
        continue;
      for (t.tap[2] = 0; t.tap[2] < w.kernel[2]; ++t.tap[2]) {
        // 0 <= first * stride + shift, last * stride + shift < inner.
        int64_t shift = t.tap[2] * w.dilation[2] - w.pad[2];
        int64_t first =
            shift >= 0 ? 0 : (-shift + w.stride[2] - 1) / w.stride[2];
        int64_t room = w.inner[2] - shift;
        int64_t end = room <= 0 ? 0 : (room + w.stride[2] - 1) / w.stride[2];
        t.count = std::min(end, w.outer[2]) - first;
        if (t.count <= 0)
          continue;
        t.outer[2] = first;
        t.inner[2] = first * w.stride[2] + shift;
        fn(t);
      }
    }
  }
}

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_WINDOW_H
