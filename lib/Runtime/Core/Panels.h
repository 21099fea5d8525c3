//===- Panels.h - Products with weights in panels --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C = A B in f32 where B is there long before A: it is laid out in panels, some
// columns wide and all of k deep, whose rows follow each other in memory. Such
// products are nearly all the time of a step, and they read their weights from
// memory once: what a library's kernels lose there is the wait for them. These
// ask for the next panel while they work on one (docs/performance.md).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_PANELS_H
#define PARTITA_LIB_RUNTIME_CORE_PANELS_H

#include "Epilogue.h"

namespace partita::runtime {

/// Elements that B [k,n] takes in panels, whatever the processor.
int64_t panelElements(int64_t k, int64_t n);

/// Lays out B [k,n], whose element (i,j) is at b[i * rowStride + j *
/// columnStride].
void packPanels(const float *b, int64_t rowStride, int64_t columnStride,
                int64_t k, int64_t n, float *panels, int threads);

/// A call that lays out `weight` [k,n] in the blob.
std::unique_ptr<PreparedCall> packIntoPanels(const View &weight,
                                             const View &blob, int threads);

/// What is applied to each row of C; `operand` has unit stride along a row.
struct PanelEpilogue {
  EpilogueKind kind;
  const float *operand;
  /// Between rows of the operand; zero: one row for all.
  int64_t rowStride;
};

/// Sizes of a product, and where rows are, in elements. Elements of a row are
/// adjacent.
struct PanelProduct {
  int64_t m, k, n;
  /// Row i of A is at (i / inner) * outerStride + (i % inner) * innerStride.
  int64_t inner, innerStride, outerStride;
  int64_t cStride;
  /// C += A B.
  bool accumulate = false;
};

/// C = A B or C += A B, with the epilogues applied in order. C shares no memory
/// with what is read.
void multiplyPanels(const PanelProduct &product, const float *a,
                    const float *panels, float *c,
                    const std::vector<PanelEpilogue> &epilogues, int threads);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_PANELS_H
