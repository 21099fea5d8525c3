//===- Selection.cpp - Elements by their order ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// topk: each row is copied beside its indices and sorted as far as it is asked
// for. Gathers and scatters are in Indexed.cpp.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <algorithm>

using namespace partita;
using namespace partita::runtime;

namespace {

/// Elements of one row in the order in which they are taken: a strict weak
/// order, in which NaN is larger than any number.
template <typename T> struct Entry {
  T key;
  int64_t index;
};

template <typename T> bool isNaN(T value) { return value != value; }

template <typename T, bool largest> struct Before {
  bool operator()(const Entry<T> &a, const Entry<T> &b) const {
    if (isNaN(a.key) || isNaN(b.key)) {
      if (isNaN(a.key) != isNaN(b.key))
        return isNaN(a.key) == largest;
    } else if (a.key != b.key) {
      return (a.key > b.key) == largest;
    }
    return a.index < b.index;
  }
};

struct TopKPlan {
  /// Strides of input, values, indices; the sorted loop comes last.
  LoopNest nest;
  int64_t count, taken;
  bool largest;
  /// Bytes of workspace for each thread.
  int64_t rowBytes;
};

/// `T` is how elements are stored.
template <typename T> class PreparedTopK : public PreparedCall {
public:
  PreparedTopK(const Command &call, TopKPlan plan, int threads)
      : call(call), plan(std::move(plan)), threads(threads) {}

  Status execute(std::byte *const bases[3]) override {
    int64_t rows = plan.nest.shape[0];
    if (plan.nest.empty() || plan.taken == 0)
      return ok();
    parallelFor(threads, rows, [&](int64_t begin, int64_t end, int part) {
      if (plan.largest)
        runRows<true>(bases, begin, end, part);
      else
        runRows<false>(bases, begin, end, part);
    });
    return ok();
  }

private:
  template <bool largest>
  void runRows(std::byte *const bases[3], int64_t begin, int64_t end,
               int part) {
    using Key = Computed<T>;
    auto *in = reinterpret_cast<const T *>(addressOf(call.operands[0], bases));
    auto *values = reinterpret_cast<T *>(addressOf(call.results[0], bases));
    auto *indices =
        reinterpret_cast<int64_t *>(addressOf(call.results[1], bases));
    auto *entries = reinterpret_cast<Entry<Key> *>(
        addressOf(call.workspace[0], bases) + part * plan.rowBytes);
    int last = plan.nest.rank() - 1;
    int64_t inStride = plan.nest.strides[0][last],
            valueStride = plan.nest.strides[1][last],
            indexStride = plan.nest.strides[2][last];
    forEachIndex(
        plan.nest, last,
        [&](const int64_t *offsets) {
          for (int64_t i = 0; i < plan.count; ++i)
            entries[i] = {convert<Key>(in[offsets[0] + i * inStride]), i};
          std::partial_sort(entries, entries + plan.taken, entries + plan.count,
                            Before<Key, largest>());
          for (int64_t i = 0; i < plan.taken; ++i) {
            values[offsets[1] + i * valueStride] = convert<T>(entries[i].key);
            indices[offsets[2] + i * indexStride] = entries[i].index;
          }
        },
        begin, end);
  }

  Command call;
  TopKPlan plan;
  int threads;
};

} // namespace

static Result<TopKPlan> planTopK(const Command &call) {
  PARTITA_CHECK(checkCounts(call, 1, 2));
  const View &in = call.operands[0], &values = call.results[0],
             &indices = call.results[1];
  int64_t axis = intAttr(call, "axis", 0);
  int64_t rank = static_cast<int64_t>(in.shape.size());
  if (axis < 0 || axis >= rank || values.shape.size() != in.shape.size() ||
      values.shape != indices.shape)
    return callError(call, "the operand and the results do not fit together");
  for (int64_t d = 0; d < rank; ++d)
    if (d == axis ? values.shape[d] > in.shape[d]
                  : values.shape[d] != in.shape[d])
      return callError(call, "the results have a wrong shape");
  if (values.dtype != in.dtype || indices.dtype != DType::I64)
    return callError(call, "the results have a wrong type");

  TopKPlan plan;
  plan.nest.strides.resize(3);
  auto push = [&](int64_t size, int64_t a, int64_t b, int64_t c) {
    plan.nest.shape.push_back(size);
    plan.nest.strides[0].push_back(a);
    plan.nest.strides[1].push_back(b);
    plan.nest.strides[2].push_back(c);
  };
  for (int64_t d = 0; d < rank; ++d)
    if (d != axis)
      push(in.shape[d], in.strides[d], values.strides[d], indices.strides[d]);
  plan.nest = coalesce(std::move(plan.nest));
  // A loop over rows there is always, even if over one.
  if (plan.nest.shape.empty())
    push(1, 0, 0, 0);
  push(in.shape[axis], in.strides[axis], values.strides[axis],
       indices.strides[axis]);
  plan.count = in.shape[axis];
  plan.taken = values.shape[axis];
  plan.largest = intAttr(call, "largest", 0) != 0;
  // No entry is larger than that of a double.
  plan.rowBytes =
      alignWorkspace(plan.count * static_cast<int64_t>(sizeof(Entry<double>)));
  return plan;
}

static Result<int64_t> topKWorkspace(const Command &call, int threads) {
  PARTITA_TRY(TopKPlan plan, planTopK(call));
  return plan.rowBytes * std::max(threads, 1);
}

static Result<std::unique_ptr<PreparedCall>>
prepareTopK(const Command &call, const PrepareContext &context) {
  PARTITA_TRY(TopKPlan plan, planTopK(call));
  PARTITA_CHECK(
      checkWorkspace(call, plan.rowBytes * std::max(context.threads, 1)));
  return dispatch(call.operands[0].dtype,
                  [&](auto tag) -> std::unique_ptr<PreparedCall> {
                    using T = typename decltype(tag)::type;
                    return std::make_unique<PreparedTopK<T>>(
                        call, std::move(plan), context.threads);
                  });
}

void partita::runtime::addSelectionCalls(CallTable &table) {
  table["topk"] = {topKWorkspace, prepareTopK};
}
