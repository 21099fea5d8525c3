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
#include "LibraryImpl.h"
#include "OneDNN.h"
#include "Panels.h"
#include <algorithm>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl.hpp>
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

//===----------------------------------------------------------------------===//
// PreparedGemm
//===----------------------------------------------------------------------===//

struct PreparedGemm::Impl {
  GemmShape shape;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul primitive;
  /// Which way it is done: in panels made each time, by the primitive, or in
  /// loops.
  bool panels = false, ready = false;
};

PreparedGemm::~PreparedGemm() = default;
PreparedGemm::PreparedGemm(PreparedGemm &&) noexcept = default;

PreparedGemm::PreparedGemm(const GemmShape &shape)
    : impl(std::make_unique<Impl>()) {
  impl->shape = shape;
  if (shape.m == 0 || shape.k == 0 || shape.n == 0 ||
      !fitsOneDNN(shape.m, shape.k, shape.n))
    return;
  // With fewer rows B is not worth to be laid out.
  constexpr int64_t leastRows = 8;
  if (shape.m >= leastRows && shape.aColumn == 1) {
    impl->panels = true;
    return;
  }
  // oneDNN divides the work by the thread count at creation.
  ThreadCount single(1);
  auto matrix = [](int64_t rows, int64_t columns, int64_t rowStride,
                   int64_t columnStride) {
    return dnnl::memory::desc({rows, columns}, dnnl::memory::data_type::f32,
                              {rowStride, columnStride});
  };
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.f);
    attr.set_post_ops(sum);
  }
  try {
    impl->desc = dnnl::matmul::primitive_desc(
        dnnl::matmul::desc(matrix(shape.m, shape.k, shape.aRow, shape.aColumn),
                           matrix(shape.k, shape.n, shape.bRow, shape.bColumn),
                           matrix(shape.m, shape.n, shape.cRow, 1)),
        attr, impl->engine);
    impl->primitive = dnnl::matmul(impl->desc);
    impl->ready = true;
  } catch (const dnnl::error &) {
    // The strides are beyond oneDNN: run() takes the loops.
  }
}

int64_t PreparedGemm::scratchBytes() const {
  if (impl->panels)
    return panelElements(impl->shape.k, impl->shape.n) *
           static_cast<int64_t>(sizeof(float));
  return impl->ready
             ? static_cast<int64_t>(impl->desc.scratchpad_desc().get_size())
             : 0;
}

void PreparedGemm::run(const float *a, const float *b, float *c,
                       std::byte *scratch) const {
  const GemmShape &shape = impl->shape;
  if (impl->panels) {
    auto *panels = reinterpret_cast<float *>(scratch);
    packPanels(b, shape.bRow, shape.bColumn, shape.k, shape.n, panels, 1);
    multiplyPanels({shape.m, shape.k, shape.n, /*inner=*/shape.m, shape.aRow,
                    /*outerStride=*/0, shape.cRow, shape.accumulate},
                   a, panels, c, {}, /*threads=*/1);
    return;
  }
  if (!impl->ready) {
    gemm(Matrix<const float>{a, shape.m, shape.k, shape.aRow, shape.aColumn},
         Matrix<const float>{b, shape.k, shape.n, shape.bRow, shape.bColumn},
         Matrix<float>{c, shape.m, shape.n, shape.cRow, 1},
         shape.accumulate ? 1.f : 0.f);
    return;
  }
  dnnl::stream stream(impl->engine);
  auto memory = [&](const dnnl::memory::desc &desc, const void *data) {
    return dnnl::memory(desc, impl->engine, const_cast<void *>(data));
  };
  impl->primitive.execute(
      stream,
      {{DNNL_ARG_SRC, memory(impl->desc.src_desc(), a)},
       {DNNL_ARG_WEIGHTS, memory(impl->desc.weights_desc(), b)},
       {DNNL_ARG_DST, memory(impl->desc.dst_desc(), c)},
       {DNNL_ARG_SCRATCHPAD, memory(impl->desc.scratchpad_desc(), scratch)}});
}
