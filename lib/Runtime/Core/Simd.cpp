//===- Simd.cpp - Vector loops for several processors ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Three compilations of Simd.inc and the choice between them.
//
//===----------------------------------------------------------------------===//

#include "Simd.h"
#include "Levels.h"
#include <algorithm>
#include <cmath>
#include <limits>

#pragma clang attribute push(                                                  \
    __attribute__((target("arch=x86-64-v4"), min_vector_width(512))),          \
    apply_to = function)
namespace partita::runtime::v4 {
#include "Vectors.inc"

#include "Simd.inc"
} // namespace partita::runtime::v4
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))),        \
                             apply_to = function)
namespace partita::runtime::v3 {
#include "Vectors.inc"

#include "Simd.inc"
} // namespace partita::runtime::v3
#pragma clang attribute pop

namespace partita::runtime::v1 {
#include "Vectors.inc"

#include "Simd.inc"
} // namespace partita::runtime::v1

using namespace partita::runtime;

static int detectLevel() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4"))
    return 4;
  return __builtin_cpu_supports("x86-64-v3") ? 3 : 1;
}

static int &chosenLevel() {
  static int level = detectLevel();
  return level;
}

int partita::runtime::processorLevel() { return chosenLevel(); }

void partita::runtime::limitProcessorLevel(int level) {
  chosenLevel() = std::min(detectLevel(), level);
}

float partita::runtime::scaleMaskMax(float *x, int64_t count, float scale,
                                     const void *mask, int64_t maskStride,
                                     bool maskIsBool) {
  PARTITA_DISPATCH(scaleMaskMaxImpl, x, count, scale, mask, maskStride,
                   maskIsBool)
}

float partita::runtime::expSum(float *x, int64_t count, float maximum) {
  PARTITA_DISPATCH(expSumImpl, x, count, maximum)
}

double partita::runtime::scaleMaskMax(double *x, int64_t count, double scale,
                                      const void *mask, int64_t maskStride,
                                      bool maskIsBool) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < count; ++i) {
    x[i] *= scale;
    if (mask && maskIsBool) {
      if (!static_cast<const uint8_t *>(mask)[i * maskStride])
        x[i] = -std::numeric_limits<double>::infinity();
    } else if (mask) {
      x[i] += static_cast<const double *>(mask)[i * maskStride];
    }
    largest = x[i] > largest ? x[i] : largest;
  }
  return largest;
}

double partita::runtime::expSum(double *x, int64_t count, double maximum) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    x[i] = std::exp(x[i] - maximum);
    sum += x[i];
  }
  return sum;
}
