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

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>

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

/// What a product of blocks looks like in memory: C [m,n] = A [m,k] B [k,n], or
/// C += A B; strides in elements, C's columns are adjacent.
struct GemmShape {
  int64_t m, k, n;
  int64_t aRow, aColumn, bRow, bColumn, cRow;
  bool accumulate;
  auto operator<=>(const GemmShape &) const = default;
};

/// A product whose shape is known beforehand, on the calling thread alone. All
/// scratch memory is the caller's: nothing is allocated per run, where
/// dnnl_sgemm maps and clears fresh pages each time.
class PreparedGemm {
public:
  /// Where oneDNN has no primitive for the strides, plain loops are used.
  explicit PreparedGemm(const GemmShape &shape);
  ~PreparedGemm();
  PreparedGemm(PreparedGemm &&) noexcept;

  int64_t scratchBytes() const;
  /// `scratch` is aligned to 64 bytes. May be called by several threads at
  /// once, each with scratch of its own.
  void run(const float *a, const float *b, float *c, std::byte *scratch) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_GEMM_H
