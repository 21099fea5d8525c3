//===- Panels.cpp - Products with weights in panels -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Three compilations of Panels.inc, the layout, and what each thread does: some
// of the panels, or where these are few, some of the rows.
//
//===----------------------------------------------------------------------===//

#include "Panels.h"
#include "Levels.h"

#pragma clang attribute push(                                                  \
    __attribute__((target("arch=x86-64-v4"), min_vector_width(512))),          \
    apply_to = function)
namespace partita::runtime::v4 {
#include "Vectors.inc"

typedef float Wide __attribute__((vector_size(64)));
typedef float WideInMemory __attribute__((vector_size(64), aligned(4)));
static constexpr int tileRows = 6, tileVectors = 4;
#include "Panels.inc"
} // namespace partita::runtime::v4
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))),        \
                             apply_to = function)
namespace partita::runtime::v3 {
#include "Vectors.inc"

typedef float Wide __attribute__((vector_size(32)));
typedef float WideInMemory __attribute__((vector_size(32), aligned(4)));
static constexpr int tileRows = 6, tileVectors = 2;
#include "Panels.inc"
} // namespace partita::runtime::v3
#pragma clang attribute pop

namespace partita::runtime::v1 {
#include "Vectors.inc"

typedef float Wide __attribute__((vector_size(16)));
typedef float WideInMemory __attribute__((vector_size(16), aligned(4)));
static constexpr int tileRows = 3, tileVectors = 4;
#include "Panels.inc"
} // namespace partita::runtime::v1

using namespace partita;
using namespace partita::runtime;

/// Columns of a panel on this processor.
static int64_t panelWidth(){PARTITA_DISPATCH(panelColumnsImpl)}

int64_t partita::runtime::panelElements(int64_t k, int64_t n) {
  return k * v1::padded(n);
}

void partita::runtime::packPanels(const float *b, int64_t rowStride,
                                  int64_t columnStride, int64_t k, int64_t n,
                                  float *panels, int threads) {
  int64_t width = panelWidth();
  auto pack = [&](int64_t first) {
    PARTITA_DISPATCH(packPanelImpl, b + first * columnStride, rowStride,
                     columnStride, k, std::min(width, n - first),
                     panels + first * k)
  };
  parallelFor(threads, (n + width - 1) / width,
              [&](int64_t begin, int64_t end, int) {
                for (int64_t panel = begin; panel < end; ++panel)
                  pack(panel * width);
              });
}

namespace {
class PreparedPanels : public PreparedCall {
public:
  PreparedPanels(const View &weight, const View &blob, int threads)
      : weight(weight), blob(blob), threads(threads) {}
  Status execute(std::byte *const bases[3]) override {
    packPanels(reinterpret_cast<const float *>(addressOf(weight, bases)),
               weight.strides[0], weight.strides[1], weight.shape[0],
               weight.shape[1],
               reinterpret_cast<float *>(addressOf(blob, bases)), threads);
    return ok();
  }

private:
  View weight, blob;
  int threads;
};
} // namespace

std::unique_ptr<PreparedCall>
partita::runtime::packIntoPanels(const View &weight, const View &blob,
                                 int threads) {
  return std::make_unique<PreparedPanels>(weight, blob, threads);
}

template <typename Block>
static Block blockOf(const PanelProduct &product, const float *a,
                     const float *panels, float *c,
                     const std::vector<PanelEpilogue> &epilogues) {
  return {&product,
          a,
          panels,
          c,
          epilogues.data(),
          static_cast<int64_t>(epilogues.size()),
          0,
          product.m,
          0,
          product.n};
}

void partita::runtime::multiplyPanels(
    const PanelProduct &product, const float *a, const float *panels, float *c,
    const std::vector<PanelEpilogue> &epilogues, int threads) {
  int64_t width = panelWidth(), count = (product.n + width - 1) / width;
  bool byRows = threads > 1 && count < 2 * threads && product.m > count;
  auto run = [&](auto block, auto multiply) {
    parallelFor(threads, byRows ? product.m : count,
                [&](int64_t begin, int64_t end, int) {
                  auto part = block;
                  if (byRows) {
                    part.rowBegin = begin, part.rowEnd = end;
                  } else {
                    part.columnBegin = begin * width;
                    part.columnEnd = std::min(end * width, product.n);
                  }
                  if (begin < end)
                    multiply(part);
                });
  };
  switch (processorLevel()) {
  case 4:
    return run(blockOf<v4::PanelBlock>(product, a, panels, c, epilogues),
               v4::multiplyBlockImpl);
  case 3:
    return run(blockOf<v3::PanelBlock>(product, a, panels, c, epilogues),
               v3::multiplyBlockImpl);
  default:
    return run(blockOf<v1::PanelBlock>(product, a, panels, c, epilogues),
               v1::multiplyBlockImpl);
  }
}
