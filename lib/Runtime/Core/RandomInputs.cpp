//===- RandomInputs.cpp - Reproducible inputs -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A counter-based generator: splitmix64's finaliser over seed, input number and
// element index.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/RandomInputs.h"
#include <cmath>
#include <cstdlib>

using namespace partita;
using namespace partita::runtime;

static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

namespace {
struct Generator {
  uint64_t key;
  uint64_t bits(uint64_t index) const { return mix(key ^ mix(index)); }
  /// In (0, 1].
  double uniform(uint64_t index) const {
    return static_cast<double>((bits(index) >> 11) + 1) * 0x1p-53;
  }
  double normal(uint64_t index) const {
    double radius = std::sqrt(-2 * std::log(uniform(2 * index)));
    return radius * std::cos(6.283185307179586 * uniform(2 * index + 1));
  }
};
} // namespace

static Result<std::pair<int64_t, int64_t>> parseRange(const PortInfo &port) {
  if (port.range.empty())
    return std::pair<int64_t, int64_t>{0, 2};
  char *end = nullptr;
  int64_t low = std::strtoll(port.range.c_str(), &end, 10);
  if (*end == ':') {
    int64_t high = std::strtoll(end + 1, &end, 10);
    if (*end == '\0' && low < high)
      return std::pair{low, high};
  }
  return makeError(ExitCode::InvalidInput, "run.range", port.name,
                   "has the range '" + port.range + "'",
                   "a range is lo:hi with lo < hi, or mask");
}

Result<HostTensor> partita::runtime::randomInput(const PortInfo &port,
                                                 uint64_t seed,
                                                 uint64_t number) {
  HostTensor tensor(port.dtype, port.shape);
  Generator generator{mix(mix(seed) ^ number)};
  int64_t count = tensor.numElements();
  if (isFloat(port.dtype) && port.range != "mask") {
    for (int64_t i = 0; i < count; ++i)
      tensor.setDouble(i, generator.normal(i));
    return tensor;
  }
  if (port.range == "mask") {
    int64_t columns = port.shape.empty() ? 1 : port.shape.back();
    for (int64_t i = 0; i < count; ++i) {
      int64_t most = columns / 4;
      int64_t zeros = generator.bits(i / columns) % (most + 1);
      tensor.setDouble(i, i % columns < columns - zeros);
    }
    return tensor;
  }
  PARTITA_TRY(auto range, parseRange(port));
  uint64_t width = static_cast<uint64_t>(range.second - range.first);
  for (int64_t i = 0; i < count; ++i)
    tensor.setInt(i, range.first +
                         static_cast<int64_t>(generator.bits(i) % width));
  return tensor;
}
