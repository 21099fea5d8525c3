//===- Convolution.h - Operations on sliding windows -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_CONVOLUTION_H
#define PARTITA_DIALECTS_NN_CONVOLUTION_H

#include "dialects/nn/NN.h"

namespace partita::nn {

/// A window along one spatial dimension.
struct Window {
  int64_t kernel = 1, stride = 1, dilation = 1, padBegin = 0, padEnd = 0;

  /// From the first to the last element under the window.
  int64_t extent() const { return (kernel - 1) * dilation + 1; }
  /// Whether the window is one element and meets each element once.
  bool isPointwise() const {
    return kernel == 1 && stride == 1 && padBegin == 0 && padEnd == 0;
  }
  /// The numbers are in range, so that nothing here overflows.
  bool isValid() const;
  /// How many positions the window has over `size` elements; nothing if it is
  /// larger than they are with their pads.
  std::optional<int64_t> positions(int64_t size) const;
};

} // namespace partita::nn

#define GET_OP_CLASSES
#include "dialects/nn/Convolution.h.inc"

#endif // PARTITA_DIALECTS_NN_CONVOLUTION_H
