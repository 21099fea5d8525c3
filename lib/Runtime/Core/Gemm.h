//===- Gemm.h - Small products on strided matrices -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C = A B + beta C for matrices with any row and column strides: in oneDNN's
// sgemm where one stride of each is one, otherwise (and for f64) in a plain
// loop.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_GEMM_H
#define PARTITA_LIB_RUNTIME_CORE_GEMM_H

#include <cstdint>

namespace partita::runtime {

/// A matrix in memory; strides in elements.
template <typename T> struct Matrix {
  T *data;
  int64_t rows, columns, rowStride, columnStride;
};

/// `beta` is zero or one; with zero, what C holds is not read.
void gemm(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
          float beta);
void gemm(Matrix<const double> a, Matrix<const double> b, Matrix<double> c,
          double beta);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_GEMM_H
