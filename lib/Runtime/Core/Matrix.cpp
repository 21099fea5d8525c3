//===- Matrix.cpp - Determinants of square matrices -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// det: each matrix is copied to the workspace in f64 and eliminated there, with
// the largest element of a column as its pivot.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <cmath>

using namespace partita;
using namespace partita::runtime;

/// Of n rows of n elements, which are overwritten.
static double determinant(double *rows, int64_t n) {
  double product = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(rows[i * n + k]) > std::abs(rows[pivot * n + k]))
        pivot = i;
    if (pivot != k) {
      std::swap_ranges(rows + k * n, rows + (k + 1) * n, rows + pivot * n);
      product = -product;
    }
    double head = rows[k * n + k];
    product *= head;
    if (head == 0)
      return product;
    for (int64_t i = k + 1; i < n; ++i) {
      double factor = rows[i * n + k] / head;
      for (int64_t j = k + 1; j < n; ++j)
        rows[i * n + j] -= factor * rows[k * n + j];
    }
  }
  return product;
}

namespace {

struct DeterminantPlan {
  /// How many matrices of n x n, and the bytes of workspace for each thread.
  int64_t count, n, threadBytes;
};

template <typename T> class PreparedDeterminant : public PreparedCall {
public:
  PreparedDeterminant(const Command &call, DeterminantPlan plan, int threads)
      : call(call), plan(plan), threads(threads) {}

  Status execute(std::byte *const bases[3]) override {
    auto *in = reinterpret_cast<const T *>(addressOf(call.operands[0], bases));
    auto *out = reinterpret_cast<T *>(addressOf(call.results[0], bases));
    std::byte *space = addressOf(call.workspace[0], bases);
    int64_t size = plan.n * plan.n;
    parallelFor(threads, plan.count, [&](int64_t begin, int64_t end, int part) {
      auto *rows = reinterpret_cast<double *>(space + part * plan.threadBytes);
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t e = 0; e < size; ++e)
          rows[e] = convert<double>(in[i * size + e]);
        out[i] = convert<T>(determinant(rows, plan.n));
      }
    });
    return ok();
  }

private:
  Command call;
  DeterminantPlan plan;
  int threads;
};

} // namespace

static Result<DeterminantPlan> planDeterminant(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &in = call.operands[0], &out = call.results[0];
  std::vector<int64_t> batch = in.shape;
  if (batch.size() < 2 || batch.back() != batch[batch.size() - 2])
    return callError(call, "the operand is not square matrices");
  DeterminantPlan plan;
  plan.n = batch.back();
  batch.resize(batch.size() - 2);
  if (out.shape != batch || out.dtype != in.dtype || !isFloat(in.dtype))
    return callError(call, "the result has a wrong shape or type");
  plan.count = out.numElements();
  // Also the determinant of nothing, which is one, has a workspace to name.
  plan.threadBytes = alignWorkspace(std::max<int64_t>(plan.n * plan.n, 1) *
                                    static_cast<int64_t>(sizeof(double)));
  return plan;
}

static Result<int64_t> determinantWorkspace(const Command &call, int threads) {
  PARTITA_TRY(DeterminantPlan plan, planDeterminant(call));
  return plan.threadBytes * std::max(threads, 1);
}

static Result<std::unique_ptr<PreparedCall>>
prepareDeterminant(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(DeterminantPlan plan, planDeterminant(call));
  PARTITA_CHECK(
      checkWorkspace(call, plan.threadBytes * std::max(context.threads, 1)));
  return dispatch(call.operands[0].dtype,
                  [&](auto tag) -> std::unique_ptr<PreparedCall> {
                    using T = typename decltype(tag)::type;
                    return std::make_unique<PreparedDeterminant<T>>(
                        call, plan, context.threads);
                  });
}

void partita::runtime::addMatrixCalls(CallTable &table) {
  table["det"] = {determinantWorkspace, prepareDeterminant};
}
