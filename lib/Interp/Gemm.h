//===- Gemm.h - Matrix product in double -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The interpreter spends its time in matrix products, so this one is blocked
// and vectorised. Operands are addressed by strides, so that transposed ones
// need no copy, and are widened while they are packed.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_GEMM_H
#define PARTITA_LIB_INTERP_GEMM_H

#include "partita/Support/DType.h"
#include <cstddef>
#include <cstdint>

namespace partita::interp {

/// A matrix in memory of any floating point type; strides in elements.
struct MatrixView {
  const std::byte *data;
  DType dtype;
  int64_t rowStride, columnStride;
};

/// c [m, n], row-major, += a [m, k] times b [k, n]. Sums run in the order of k.
void gemm(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b,
          double *c);

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_GEMM_H
