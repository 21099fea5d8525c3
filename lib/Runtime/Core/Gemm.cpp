//===- Gemm.cpp - Small products on strided matrices ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row-major strides translated to BLAS' leading dimensions, with the corner
// cases (one row, one column, broadcast rows) kept away from oneDNN, which
// refuses a leading dimension that is less than a row.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include <algorithm>
#include <oneapi/dnnl/dnnl.h>
#include <optional>

using namespace partita::runtime;

template <typename T>
static void plainGemm(const Matrix<const T> &a, const Matrix<const T> &b,
                      const Matrix<T> &c, T beta) {
  for (int64_t i = 0; i < c.rows; ++i) {
    T *row = c.data + i * c.rowStride;
    if (beta == 0)
      for (int64_t j = 0; j < c.columns; ++j)
        row[j * c.columnStride] = 0;
    for (int64_t p = 0; p < a.columns; ++p) {
      T x = a.data[i * a.rowStride + p * a.columnStride];
      const T *from = b.data + p * b.rowStride;
      for (int64_t j = 0; j < c.columns; ++j)
        row[j * c.columnStride] += x * from[j * b.columnStride];
    }
  }
}

namespace {
struct Layout {
  char transposed;
  int64_t leading;
};
} // namespace

/// How BLAS would name the matrix, or nothing if it has no name for it.
template <typename T>
static std::optional<Layout> layoutOf(const Matrix<T> &matrix) {
  int64_t rows = matrix.rows, columns = matrix.columns;
  if (matrix.columnStride == 1 || columns == 1) {
    int64_t leading = rows == 1 ? columns : matrix.rowStride;
    if (leading >= columns && leading > 0)
      return Layout{'N', leading};
  }
  if (matrix.rowStride == 1 || rows == 1) {
    int64_t leading = columns == 1 ? rows : matrix.columnStride;
    if (leading >= rows && leading > 0)
      return Layout{'T', leading};
  }
  return std::nullopt;
}

void partita::runtime::gemm(Matrix<const float> a, Matrix<const float> b,
                            Matrix<float> c, float beta) {
  if (c.rows == 0 || c.columns == 0)
    return;
  auto la = layoutOf(a), lb = layoutOf(b), lc = layoutOf(c);
  if (a.columns > 0 && la && lb && lc && lc->transposed == 'N' &&
      dnnl_sgemm(la->transposed, lb->transposed, c.rows, c.columns, a.columns,
                 1.f, a.data, la->leading, b.data, lb->leading, beta, c.data,
                 lc->leading) == dnnl_success)
    return;
  plainGemm(a, b, c, beta);
}

void partita::runtime::gemm(Matrix<const double> a, Matrix<const double> b,
                            Matrix<double> c, double beta) {
  plainGemm(a, b, c, beta);
}
