//===- Gemm.cpp - Matrix product in double --------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Blocks of k and n of b are packed as strips of 8 columns, blocks of m and k
// of a as strips of 6 rows, both in double and filled with zeros at the edges.
// The micro-kernel keeps a 6 x 8 tile in registers; it is compiled for three
// vector widths and the widest that the machine has is taken.
//
//===----------------------------------------------------------------------===//

#include "Gemm.h"
#include <algorithm>
#include <vector>

using namespace partita;
using namespace partita::interp;

static constexpr int64_t tileRows = 6, tileColumns = 8;
static constexpr int64_t blockRows = 96, blockColumns = 512, blockDepth = 256;

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

static double widen(const float *x) { return *x; }
static double widen(const double *x) { return *x; }
namespace {
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};
} // namespace
static double widen(const Half *x) { return halfToFloat(x->bits); }
static double widen(const Bfloat *x) { return bfloatToFloat(x->bits); }

/// Packs `lines` x `depth` elements into strips of `width` lines, depth-major
/// within a strip: strip[d * width + line].
template <typename T>
static void packAs(const T *data, int64_t lineStride, int64_t depthStride,
                   int64_t lines, int64_t depth, int64_t width, double *to) {
  for (int64_t first = 0; first < lines; first += width, to += depth * width) {
    int64_t count = std::min(width, lines - first);
    if (count < width)
      std::fill_n(to, depth * width, 0.0);
    const T *strip = data + first * lineStride;
    for (int64_t d = 0; d < depth; ++d)
      for (int64_t line = 0; line < count; ++line)
        to[d * width + line] =
            widen(strip + line * lineStride + d * depthStride);
  }
}

static void pack(const std::byte *data, DType dtype, int64_t offset,
                 int64_t lineStride, int64_t depthStride, int64_t lines,
                 int64_t depth, int64_t width, double *to) {
  auto run = [&](auto *typed) {
    packAs(typed + offset, lineStride, depthStride, lines, depth, width, to);
  };
  switch (dtype) {
  case DType::F32:
    return run(reinterpret_cast<const float *>(data));
  case DType::F16:
    return run(reinterpret_cast<const Half *>(data));
  case DType::BF16:
    return run(reinterpret_cast<const Bfloat *>(data));
  default:
    return run(reinterpret_cast<const double *>(data));
  }
}

//===----------------------------------------------------------------------===//
// Micro-kernel
//===----------------------------------------------------------------------===//

/// tile [6, 8] = strip of a (depth x 6) times strip of b (depth x 8).
__attribute__((always_inline)) static inline void
multiplyStrips(int64_t depth, const double *a, const double *b, double *tile) {
  double sums[tileRows][tileColumns] = {};
  for (int64_t d = 0; d < depth; ++d, a += tileRows, b += tileColumns)
    for (int64_t i = 0; i < tileRows; ++i)
      for (int64_t j = 0; j < tileColumns; ++j)
        sums[i][j] += a[i] * b[j];
  std::copy_n(&sums[0][0], tileRows * tileColumns, tile);
}

using MicroKernel = void (*)(int64_t, const double *, const double *, double *);

static void multiplyBaseline(int64_t depth, const double *a, const double *b,
                             double *tile) {
  multiplyStrips(depth, a, b, tile);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void
multiplyAVX2(int64_t depth, const double *a, const double *b, double *tile) {
  multiplyStrips(depth, a, b, tile);
}
__attribute__((target("avx512f,avx512vl,avx512dq"),
               min_vector_width(512))) static void
multiplyAVX512(int64_t depth, const double *a, const double *b, double *tile) {
  multiplyStrips(depth, a, b, tile);
}

static MicroKernel chooseMicroKernel() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return multiplyAVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return multiplyAVX2;
  return multiplyBaseline;
}
#else
static MicroKernel chooseMicroKernel() { return multiplyBaseline; }
#endif

//===----------------------------------------------------------------------===//
// Blocking
//===----------------------------------------------------------------------===//

static int64_t roundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// c block += packed a block times packed b block; `n` is c's row stride.
static void multiplyBlock(MicroKernel kernel, int64_t rows, int64_t columns,
                          int64_t depth, const double *a, const double *b,
                          double *c, int64_t n) {
  double tile[tileRows * tileColumns];
  for (int64_t j = 0; j < columns; j += tileColumns)
    for (int64_t i = 0; i < rows; i += tileRows) {
      kernel(depth, a + i * depth, b + j * depth, tile);
      int64_t rowEnd = std::min(tileRows, rows - i);
      int64_t columnEnd = std::min(tileColumns, columns - j);
      for (int64_t r = 0; r < rowEnd; ++r)
        for (int64_t s = 0; s < columnEnd; ++s)
          c[(i + r) * n + j + s] += tile[r * tileColumns + s];
    }
}

void interp::gemm(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b,
                  double *c) {
  static const MicroKernel kernel = chooseMicroKernel();
  int64_t maxDepth = std::min(k, blockDepth);
  std::vector<double> packedA(roundUp(std::min(m, blockRows), tileRows) *
                              maxDepth);
  std::vector<double> packedB(roundUp(std::min(n, blockColumns), tileColumns) *
                              maxDepth);
  for (int64_t j = 0; j < n; j += blockColumns) {
    int64_t columns = std::min(blockColumns, n - j);
    for (int64_t d = 0; d < k; d += blockDepth) {
      int64_t depth = std::min(blockDepth, k - d);
      pack(b.data, b.dtype, d * b.rowStride + j * b.columnStride,
           b.columnStride, b.rowStride, columns, depth, tileColumns,
           packedB.data());
      for (int64_t i = 0; i < m; i += blockRows) {
        int64_t rows = std::min(blockRows, m - i);
        pack(a.data, a.dtype, i * a.rowStride + d * a.columnStride, a.rowStride,
             a.columnStride, rows, depth, tileRows, packedA.data());
        multiplyBlock(kernel, rows, columns, depth, packedA.data(),
                      packedB.data(), c + i * n + j, n);
      }
    }
  }
}
