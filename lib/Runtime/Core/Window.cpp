//===- Window.cpp - Windows that slide over a tensor ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads the numbers of a call; everything that loops over windows relies on the
// bounds that are checked here.
//
//===----------------------------------------------------------------------===//

#include "Window.h"
#include <limits>

using namespace partita;
using namespace partita::runtime;

Result<Windows> partita::runtime::readWindows(
    const Command &call, const std::vector<int64_t> &outer,
    const std::vector<int64_t> &inner, const std::vector<int64_t> &kernel) {
  std::vector<int64_t> strides = intsAttr(call, "strides"),
                       dilations = intsAttr(call, "dilations"),
                       begin = intsAttr(call, "pads_begin");
  size_t spatial = kernel.size();
  if (spatial < 1 || spatial > 3 || outer.size() != spatial + 2 ||
      inner.size() != spatial + 2 || strides.size() != spatial ||
      dilations.size() != spatial || begin.size() != spatial)
    return callError(call, "does not have 1 to 3 spatial dimensions with one "
                           "stride, dilation and pad each");
  Windows w;
  constexpr int64_t limit = int64_t(1) << 31;
  for (size_t d = 0; d < spatial; ++d) {
    size_t to = 3 - spatial + d;
    w.outer[to] = outer[2 + d];
    w.inner[to] = inner[2 + d];
    w.kernel[to] = kernel[d];
    w.stride[to] = strides[d];
    w.dilation[to] = dilations[d];
    w.pad[to] = begin[d];
    for (int64_t number : {kernel[d], strides[d], dilations[d], begin[d] + 1})
      if (number < 1 || number > limit)
        return callError(call, "has a window that is out of range");
    // So that no position overflows.
    if (w.outer[to] > std::numeric_limits<int64_t>::max() / limit / 4)
      return callError(call, "has too many windows");
  }
  return w;
}
