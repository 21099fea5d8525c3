//===- Copy.cpp - Moving elements -----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// copy, fill, iota, cumsum, cumprod and zero_unless_first. Everything goes
// through loop nests that are coalesced once, so that the innermost loop is as
// long as the strides allow: usually a memcpy. Transposes, where no loop has
// unit stride on both sides, go in tiles that fit the first-level cache.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <algorithm>
#include <cstring>

using namespace partita;
using namespace partita::runtime;

template <typename From, typename To>
static void convertRow(const std::byte *from, int64_t fromStride, std::byte *to,
                       int64_t toStride, int64_t count) {
  auto *in = reinterpret_cast<const From *>(from);
  auto *out = reinterpret_cast<To *>(to);
  if (fromStride == 1 && toStride == 1) {
    for (int64_t i = 0; i < count; ++i)
      out[i] = convert<To>(in[i]);
  } else if (fromStride == 0) {
    To value = convert<To>(in[0]);
    for (int64_t i = 0; i < count; ++i)
      out[i * toStride] = value;
  } else {
    for (int64_t i = 0; i < count; ++i)
      out[i * toStride] = convert<To>(in[i * fromStride]);
  }
}

//===----------------------------------------------------------------------===//
// StridedCopy
//===----------------------------------------------------------------------===//

StridedCopy::StridedCopy(const std::vector<int64_t> &shape,
                         const std::vector<int64_t> &fromStrides,
                         DType fromType, const std::vector<int64_t> &toStrides,
                         DType toType)
    : fromSize(dtypeSize(fromType)), toSize(dtypeSize(toType)) {
  // The order of iterations is free: large strides of the target outside.
  std::vector<size_t> order(shape.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(-toStrides[a], a) < std::pair(-toStrides[b], b);
  });
  LoopNest sorted;
  sorted.strides.resize(2);
  for (size_t i : order) {
    sorted.shape.push_back(shape[i]);
    sorted.strides[0].push_back(fromStrides[i]);
    sorted.strides[1].push_back(toStrides[i]);
  }
  nest = coalesce(std::move(sorted));
  if (nest.shape.empty()) {
    nest.shape.push_back(1);
    nest.strides[0].push_back(1);
    nest.strides[1].push_back(1);
  }
  elements = 1;
  for (int64_t size : nest.shape)
    elements *= size;
  int last = nest.rank() - 1;
  bool sameType = fromType == toType;
  contiguousRows =
      sameType && nest.strides[0][last] == 1 && nest.strides[1][last] == 1;
  if (sameType && !contiguousRows && nest.strides[1][last] == 1) {
    // Bring the loop that is contiguous in the source next to the innermost.
    for (int d = 0; d < last; ++d)
      if (nest.strides[0][d] == 1 && nest.shape[d] >= 4) {
        auto rotateTo = [&](std::vector<int64_t> &v) {
          std::rotate(v.begin() + d, v.begin() + d + 1, v.begin() + last);
        };
        rotateTo(nest.shape);
        rotateTo(nest.strides[0]);
        rotateTo(nest.strides[1]);
        transposed = true;
        break;
      }
  }
  if (sameType)
    row = dispatchSize(fromSize, [](auto tag) -> RowFn {
      using T = typename decltype(tag)::type;
      return convertRow<T, T>;
    });
  else
    row = dispatch(fromType, [&](auto from) -> RowFn {
      using From = typename decltype(from)::type;
      return dispatch(toType, [](auto to) -> RowFn {
        return convertRow<From, typename decltype(to)::type>;
      });
    });
}

template <typename T>
static void transposeTiles(const T *from, int64_t fromInner, T *to,
                           int64_t toOuter, int64_t rows, int64_t columns) {
  // from[r + c * fromInner] -> to[r * toOuter + c].
  constexpr int64_t tile = 16;
  for (int64_t r = 0; r < rows; r += tile)
    for (int64_t c = 0; c < columns; c += tile) {
      int64_t rEnd = std::min(r + tile, rows),
              cEnd = std::min(c + tile, columns);
      for (int64_t i = r; i < rEnd; ++i)
        for (int64_t j = c; j < cEnd; ++j)
          to[i * toOuter + j] = from[i + j * fromInner];
    }
}

/// Iterations begin..end of the first loop.
void StridedCopy::runSlice(const std::byte *from, std::byte *to, int64_t begin,
                           int64_t end) const {
  int last = nest.rank() - 1;
  int64_t fromStride = nest.strides[0][last], toStride = nest.strides[1][last];
  // A single loop is sliced itself.
  int64_t count = last == 0 ? end - begin : nest.shape[last];
  if (last == 0) {
    from += begin * fromStride * fromSize;
    to += begin * toStride * toSize;
  }
  if (transposed) {
    bool outermost = last == 1;
    int64_t rows = outermost ? end - begin : nest.shape[last - 1];
    int64_t rowStride = nest.strides[1][last - 1];
    if (outermost) {
      from += begin * fromSize;
      to += begin * rowStride * toSize;
    }
    auto tiles = [&](const int64_t *offsets) {
      dispatchSize(fromSize, [&](auto tag) {
        using T = typename decltype(tag)::type;
        transposeTiles(reinterpret_cast<const T *>(from) + offsets[0],
                       fromStride, reinterpret_cast<T *>(to) + offsets[1],
                       rowStride, rows, count);
      });
    };
    forEachIndex(nest, last - 1, tiles, begin, end);
    return;
  }
  auto oneRow = [&](const int64_t *offsets) {
    const std::byte *in = from + offsets[0] * fromSize;
    std::byte *out = to + offsets[1] * toSize;
    if (contiguousRows)
      std::memmove(out, in, count * fromSize);
    else
      row(in, fromStride, out, toStride, count);
  };
  forEachIndex(nest, last, oneRow, begin, end);
}

void StridedCopy::run(const std::byte *from, std::byte *to, int threads) const {
  if (elements == 0)
    return;
  if (threads <= 1 || elements < 16384)
    return runSlice(from, to, 0, nest.shape[0]);
  parallelFor(threads, nest.shape[0], [&](int64_t begin, int64_t end, int) {
    runSlice(from, to, begin, end);
  });
}

//===----------------------------------------------------------------------===//
// copy
//===----------------------------------------------------------------------===//

static Result<int64_t> noWorkspace(const Command &, int) { return int64_t(0); }

namespace {
class PreparedCopy : public PreparedCall {
public:
  PreparedCopy(const Command &call, int threads)
      : from(call.operands[0]), to(call.results[0]), plan(from, to),
        threads(threads) {}
  Status execute(std::byte *const bases[3]) override {
    const std::byte *in = addressOf(from, bases);
    std::byte *out = addressOf(to, bases);
    if (in == out && from.dtype == to.dtype && from.strides == to.strides)
      return ok();
    plan.run(in, out, threads);
    return ok();
  }

private:
  View from, to;
  StridedCopy plan;
  int threads;
};
} // namespace

static Result<std::unique_ptr<PreparedCall>>
prepareCopy(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  if (call.operands[0].shape != call.results[0].shape)
    return callError(call, "operand and result have different shapes");
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedCopy>(call, context.threads));
}

//===----------------------------------------------------------------------===//
// fill, iota
//===----------------------------------------------------------------------===//

/// Writes `value(i)` along the loop of `axis` (or everywhere, axis < 0).
namespace {
class PreparedFill : public PreparedCall {
public:
  PreparedFill(View view, HostTensor values, int axis)
      : to(std::move(view)), values(std::move(values)) {
    std::vector<int64_t> strides(to.shape.size(), 0);
    if (axis >= 0)
      strides[axis] = 1;
    plan = StridedCopy(to.shape, strides, to.dtype, to.strides, to.dtype);
  }
  Status execute(std::byte *const bases[3]) override {
    plan.run(values.data(), addressOf(to, bases));
    return ok();
  }

private:
  View to;
  HostTensor values;
  StridedCopy plan;
};
} // namespace

static Result<std::unique_ptr<PreparedCall>>
prepareFill(const Command &call, const PrepareContext &) {
  PARTITA_CHECK(checkCounts(call, 0, 1));
  HostTensor value(call.results[0].dtype, {1});
  if (!intsAttr(call, "value").empty() && !isFloat(value.dtype()))
    value.setInt(0, intAttr(call, "value", 0));
  else
    value.setDouble(0, doubleAttr(call, "value", 0));
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedFill>(call.results[0], std::move(value), -1));
}

static Result<std::unique_ptr<PreparedCall>>
prepareIota(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 0, 1));
  const View &to = call.results[0];
  int64_t axis = intAttr(call, "axis", 0);
  if (axis < 0 || axis >= static_cast<int64_t>(to.shape.size()))
    return callError(call, "axis is out of range");
  int64_t first = call.offsets.empty()
                      ? 0
                      : call.offsets[0].evaluate(*context.mesh, context.coords);
  double start = doubleAttr(call, "start", 0),
         step = doubleAttr(call, "step", 1);
  HostTensor values(to.dtype, {to.shape[axis]});
  for (int64_t i = 0; i < to.shape[axis]; ++i) {
    if (isFloat(to.dtype))
      values.setDouble(i, start + step * static_cast<double>(first + i));
    else
      values.setInt(i, static_cast<int64_t>(start) +
                           static_cast<int64_t>(step) * (first + i));
  }
  return std::unique_ptr<PreparedCall>(std::make_unique<PreparedFill>(
      to, std::move(values), static_cast<int>(axis)));
}

//===----------------------------------------------------------------------===//
// zero_unless_first
//===----------------------------------------------------------------------===//

static Result<std::unique_ptr<PreparedCall>>
prepareZeroUnlessFirst(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  for (int axis : call.axes)
    if (context.coords[axis] != 0)
      return std::unique_ptr<PreparedCall>(std::make_unique<PreparedFill>(
          call.results[0], HostTensor(call.results[0].dtype, {1}), -1));
  return prepareCopy(call, context);
}

//===----------------------------------------------------------------------===//
// cumsum, cumprod
//===----------------------------------------------------------------------===//

namespace {
/// `T` is how elements are stored; half precisions accumulate in float.
template <typename T, bool product>
class PreparedRunning : public PreparedCall {
public:
  PreparedRunning(const Command &call, size_t axis)
      : from(call.operands[0]), to(call.results[0]),
        exclusive(intAttr(call, "exclusive", 0)),
        reverse(intAttr(call, "reverse", 0)) {
    // The combined loop comes last.
    for (size_t d = 0; d < from.shape.size(); ++d)
      if (d != axis)
        push(d);
    push(axis);
  }
  Status execute(std::byte *const bases[3]) override {
    auto *in = reinterpret_cast<const T *>(addressOf(from, bases));
    auto *out = reinterpret_cast<T *>(addressOf(to, bases));
    int last = nest.rank() - 1;
    int64_t count = nest.shape[last];
    if (nest.empty())
      return ok();
    forEachIndex(nest, last, [&](const int64_t *offsets) {
      Computed<T> running = product ? 1 : 0;
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = reverse ? count - 1 - i : i;
        auto value =
            convert<Computed<T>>(in[offsets[0] + at * nest.strides[0][last]]);
        T &target = out[offsets[1] + at * nest.strides[1][last]];
        auto next = static_cast<Computed<T>>(product ? running * value
                                                     : running + value);
        target = convert<T>(exclusive ? running : next);
        running = next;
      }
    });
    return ok();
  }

private:
  void push(size_t d) {
    nest.strides.resize(2);
    nest.shape.push_back(from.shape[d]);
    nest.strides[0].push_back(from.strides[d]);
    nest.strides[1].push_back(to.strides[d]);
  }
  View from, to;
  LoopNest nest;
  bool exclusive, reverse;
};
} // namespace

template <bool product>
static Result<std::unique_ptr<PreparedCall>>
prepareRunning(const Command &call, const PrepareContext &) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &from = call.operands[0], &to = call.results[0];
  int64_t axis = intAttr(call, "axis", 0);
  if (from.shape != to.shape || from.dtype != to.dtype)
    return callError(call, "operand and result differ");
  if (axis < 0 || axis >= static_cast<int64_t>(from.shape.size()))
    return callError(call, "axis is out of range");
  return dispatch(from.dtype, [&](auto tag) -> std::unique_ptr<PreparedCall> {
    using T = typename decltype(tag)::type;
    return std::make_unique<PreparedRunning<T, product>>(call, axis);
  });
}

void partita::runtime::addCopyCalls(CallTable &table) {
  table["copy"] = {noWorkspace, prepareCopy};
  table["fill"] = {noWorkspace, prepareFill};
  table["iota"] = {noWorkspace, prepareIota};
  table["cumsum"] = {noWorkspace, prepareRunning<false>};
  table["cumprod"] = {noWorkspace, prepareRunning<true>};
  table["zero_unless_first"] = {noWorkspace, prepareZeroUnlessFirst};
}
