//===- Simd.h - Vector loops for several processors ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Loops over contiguous elements that must run at vector speed on whatever
// processor the executable meets. Simd.cpp compiles each for x86-64-v2, v3
// (AVX2) and v4 (AVX-512) and chooses once.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_SIMD_H
#define PARTITA_LIB_RUNTIME_CORE_SIMD_H

#include <cstdint>

namespace partita::runtime {

/// x[i] = x[i] * scale + mask[i * maskStride]; returns the maximum (-inf of
/// nothing). The mask is null, of x's type, or bytes where zero means -inf.
float scaleMaskMax(float *x, int64_t count, float scale, const void *mask,
                   int64_t maskStride, bool maskIsBool);
double scaleMaskMax(double *x, int64_t count, double scale, const void *mask,
                    int64_t maskStride, bool maskIsBool);

/// x[i] = exp(x[i] - maximum); returns the sum. Relative error of f32 below
/// 2e-7; x[i] <= maximum, which is finite or +inf.
float expSum(float *x, int64_t count, float maximum);
double expSum(double *x, int64_t count, double maximum);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_SIMD_H
