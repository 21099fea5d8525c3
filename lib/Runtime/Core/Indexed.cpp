//===- Indexed.cpp - Gathers and scatters ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// gather, gather_elements, gather_nd, scatter_elements and scatter_nd are one
// thing. At each of some points, a vector of indices says where in the data a
// row lies; the row goes from there to a tensor of rows, or from the rows to
// there. What differs is which dimensions are points, which are indexed and
// which make up a row (Layout).
//
// When the first indexed dimension is split over ranks, each rank gathers the
// rows that it owns and zeros for the others, a partial sum, and scatters to
// the rows that it owns.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <atomic>
#include <optional>

using namespace partita;
using namespace partita::runtime;

namespace {

/// Where points, indices and rows lie.
struct Layout {
  View data, indices, rows;
  /// Strides of data, indices, rows.
  LoopNest points;
  /// Strides of data, rows.
  LoopNest row;
  /// A dimension that an index points into.
  struct Indexed {
    int64_t extent, stride;
    /// What this rank has begins at `first` of `whole`.
    int64_t first, whole;
  };
  std::vector<Indexed> indexed;
  /// Between the indices of one point.
  int64_t vectorStride = 0;
  std::string place;
  int threads = 1;

  Layout(const View &data, const View &indices, const View &rows)
      : data(data), indices(indices), rows(rows) {
    points.strides.resize(3);
    row.strides.resize(2);
  }
  /// Dimension `d` of data if it is at least 0, `i` of indices, `r` of rows.
  void addPoint(int d, int i, int r) {
    points.shape.push_back(rows.shape[r]);
    points.strides[0].push_back(d < 0 ? 0 : data.strides[d]);
    points.strides[1].push_back(i < 0 ? 0 : indices.strides[i]);
    points.strides[2].push_back(rows.strides[r]);
  }
  void addRow(int d, int r) {
    row.shape.push_back(data.shape[d]);
    row.strides[0].push_back(data.strides[d]);
    row.strides[1].push_back(rows.strides[r]);
  }
  void addIndexed(int d) {
    int64_t extent = data.shape[d];
    indexed.push_back({extent, data.strides[d], 0, extent});
  }
  /// The last touch: what the rank holds of the first indexed dimension, and
  /// nests with as few loops as possible, but one.
  void finish(const Command &call, const PrepareContext &context);

  /// The offset in data of the row that the indices at `offset` stand for, or
  /// one of the two below.
  int64_t locate(const std::byte *base, int64_t offset) const;
  /// Another rank has the row; no rank has it.
  static constexpr int64_t elsewhere = -1, nowhere = -2;
  /// Says which of the indices at `offset` is out of range.
  Error outOfRange(const std::byte *base, int64_t offset) const;

private:
  int64_t indexAt(const std::byte *base, int64_t offset) const {
    return indices.dtype == DType::I64
               ? reinterpret_cast<const int64_t *>(base)[offset]
               : reinterpret_cast<const int32_t *>(base)[offset];
  }
};

} // namespace

static LoopNest withALoop(LoopNest nest) {
  nest = coalesce(std::move(nest));
  if (nest.shape.empty()) {
    nest.shape.push_back(1);
    for (std::vector<int64_t> &strides : nest.strides)
      strides.push_back(0);
  }
  return nest;
}

void Layout::finish(const Command &call, const PrepareContext &context) {
  if (!call.offsets.empty()) {
    indexed[0].first = call.offsets[0].evaluate(*context.mesh, context.coords);
    indexed[0].whole = call.offsets[0].size;
  }
  points = withALoop(std::move(points));
  row = withALoop(std::move(row));
  place = describeCall(call);
  threads = context.threads;
}

int64_t Layout::locate(const std::byte *base, int64_t offset) const {
  int64_t result = 0;
  bool here = true;
  for (const Indexed &d : indexed) {
    int64_t index = indexAt(base, offset);
    if (index < 0)
      index += d.whole;
    if (index < 0 || index >= d.whole)
      return nowhere;
    index -= d.first;
    here &= index >= 0 && index < d.extent;
    result += index * d.stride;
    offset += vectorStride;
  }
  return here ? result : elsewhere;
}

Error Layout::outOfRange(const std::byte *base, int64_t offset) const {
  int64_t index = 0, size = 0;
  for (const Indexed &d : indexed) {
    index = indexAt(base, offset);
    size = d.whole;
    if (index < -size || index >= size)
      break;
    offset += vectorStride;
  }
  return makeError(ExitCode::InvalidInput, "run.index", place,
                   "index " + std::to_string(index) +
                       " is outside a dimension of " + std::to_string(size),
                   "check the values of the inputs");
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

namespace {
class PreparedGather : public PreparedCall {
public:
  explicit PreparedGather(Layout given)
      : layout(std::move(given)), single(layout.row.shape == Single),
        row(layout.row.shape, layout.row.strides[0], layout.data.dtype,
            layout.row.strides[1], layout.data.dtype),
        zeros(layout.row.shape, std::vector<int64_t>(layout.row.rank(), 0),
              layout.data.dtype, layout.row.strides[1], layout.data.dtype) {}

  Status execute(std::byte *const bases[3]) override {
    if (layout.points.empty())
      return ok();
    std::atomic<int64_t> bad = -1;
    parallelFor(layout.threads, layout.points.shape[0],
                [&](int64_t begin, int64_t end, int) {
                  int64_t at =
                      dispatchSize(dtypeSize(layout.data.dtype), [&](auto tag) {
                        using T = typename decltype(tag)::type;
                        return gatherRange<T>(bases, begin, end);
                      });
                  if (at >= 0)
                    bad = at;
                });
    if (bad >= 0)
      return layout.outOfRange(addressOf(layout.indices, bases), bad);
    return ok();
  }

private:
  static inline const std::vector<int64_t> Single = {1};

  /// Gathers for a range of the outermost loop. Returns the offset of an index
  /// that is out of range, or -1.
  template <typename T>
  int64_t gatherRange(std::byte *const bases[3], int64_t begin, int64_t end) {
    auto *from = reinterpret_cast<const T *>(addressOf(layout.data, bases));
    const std::byte *indices = addressOf(layout.indices, bases);
    auto *to = reinterpret_cast<T *>(addressOf(layout.rows, bases));
    const T zero = 0;
    int64_t bad = -1;
    forEachIndex(
        layout.points, layout.points.rank(),
        [&](const int64_t *offsets) {
          int64_t at = layout.locate(indices, offsets[1]);
          if (at == Layout::nowhere)
            bad = offsets[1];
          const T *source = at < 0 ? &zero : from + offsets[0] + at;
          T *target = to + offsets[2];
          if (single)
            *target = *source;
          else
            (at < 0 ? zeros : row)
                .run(reinterpret_cast<const std::byte *>(source),
                     reinterpret_cast<std::byte *>(target));
        },
        begin, end);
    return bad;
  }

  Layout layout;
  /// Rows are single elements.
  bool single;
  StridedCopy row, zeros;
};
} // namespace

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

namespace {
/// Combines `count` elements of a row with those of the data.
using CombineFn = void (*)(std::byte *to, int64_t toStride,
                           const std::byte *from, int64_t fromStride,
                           int64_t count);

// What a scatter does with an element and its update.
struct Replace {
  template <typename T> static T of(T, T update) { return update; }
};
struct Add {
  template <typename T> static T of(T old, T update) { return old + update; }
};
struct Multiply {
  template <typename T> static T of(T old, T update) { return old * update; }
};
// As in NumPy, NaN wins.
struct Minimum {
  template <typename T> static T of(T old, T update) {
    return update < old || update != update ? update : old;
  }
};
struct Maximum {
  template <typename T> static T of(T old, T update) {
    return update > old || update != update ? update : old;
  }
};
} // namespace

template <typename T, typename Kind>
static void combineRow(std::byte *to, int64_t toStride, const std::byte *from,
                       int64_t fromStride, int64_t count) {
  auto *out = reinterpret_cast<T *>(to);
  auto *in = reinterpret_cast<const T *>(from);
  for (int64_t i = 0; i < count; ++i) {
    auto old = convert<Computed<T>>(out[i * toStride]);
    auto update = convert<Computed<T>>(in[i * fromStride]);
    // Small integers are computed in int, and wrap.
    out[i * toStride] =
        convert<T>(static_cast<Computed<T>>(Kind::of(old, update)));
  }
}

template <typename Kind> static CombineFn combineFor(DType type) {
  return dispatch(type, [](auto tag) -> CombineFn {
    return combineRow<typename decltype(tag)::type, Kind>;
  });
}

static CombineFn combineFor(DType type, const std::string &kind) {
  return kind == "none"  ? combineFor<Replace>(type)
         : kind == "add" ? combineFor<Add>(type)
         : kind == "mul" ? combineFor<Multiply>(type)
         : kind == "min" ? combineFor<Minimum>(type)
         : kind == "max" ? combineFor<Maximum>(type)
                         : nullptr;
}

namespace {
/// Copies the data, or zeros if there are none, and writes the updates over
/// them, in their order.
class PreparedScatter : public PreparedCall {
public:
  PreparedScatter(std::optional<View> given, Layout where, CombineFn combine)
      : layout(std::move(where)), original(std::move(given)), combine(combine),
        copy(layout.data.shape,
             original ? original->strides
                      : std::vector<int64_t>(layout.data.shape.size(), 0),
             layout.data.dtype, layout.data.strides, layout.data.dtype) {}

  Status execute(std::byte *const bases[3]) override {
    std::byte *to = addressOf(layout.data, bases);
    const uint64_t zero = 0;
    copy.run(original ? addressOf(*original, bases)
                      : reinterpret_cast<const std::byte *>(&zero),
             to, layout.threads);
    const std::byte *indices = addressOf(layout.indices, bases);
    const std::byte *from = addressOf(layout.rows, bases);
    int64_t size = dtypeSize(layout.data.dtype), bad = -1;
    int inner = layout.row.rank() - 1;
    if (layout.points.empty() || layout.row.empty())
      return ok();
    forEachIndex(
        layout.points, layout.points.rank(), [&](const int64_t *offsets) {
          int64_t at = layout.locate(indices, offsets[1]);
          if (at == Layout::nowhere)
            bad = offsets[1];
          if (at < 0)
            return;
          forEachIndex(layout.row, inner, [&](const int64_t *row) {
            combine(to + (offsets[0] + at + row[0]) * size,
                    layout.row.strides[0][inner],
                    from + (offsets[2] + row[1]) * size,
                    layout.row.strides[1][inner], layout.row.shape[inner]);
          });
        });
    if (bad >= 0)
      return layout.outOfRange(indices, bad);
    return ok();
  }

private:
  Layout layout;
  std::optional<View> original;
  CombineFn combine;
  StridedCopy copy;
};
} // namespace

//===----------------------------------------------------------------------===//
// Layouts
//===----------------------------------------------------------------------===//

/// The layout of one of the three forms, or nothing if the shapes do not fit.
using LayoutFn = std::optional<Layout> (*)(const Command &call,
                                           const View &data,
                                           const View &indices,
                                           const View &rows);

static int rankOf(const View &view) {
  return static_cast<int>(view.shape.size());
}

/// rows[o.., i.., p..] = data[o.., indices[i..], p..]
static std::optional<Layout> sliceLayout(const Command &call, const View &data,
                                         const View &indices,
                                         const View &rows) {
  int64_t axis = intAttr(call, "axis", 0);
  if (axis < 0 || axis >= rankOf(data))
    return std::nullopt;
  std::vector<int64_t> expected(data.shape.begin(), data.shape.begin() + axis);
  expected.insert(expected.end(), indices.shape.begin(), indices.shape.end());
  expected.insert(expected.end(), data.shape.begin() + axis + 1,
                  data.shape.end());
  if (rows.shape != expected)
    return std::nullopt;
  Layout layout(data, indices, rows);
  int at = static_cast<int>(axis), inner = rankOf(indices);
  for (int d = 0; d < at; ++d)
    layout.addPoint(d, -1, d);
  for (int d = 0; d < inner; ++d)
    layout.addPoint(-1, d, at + d);
  layout.addIndexed(at);
  for (int d = at + 1; d < rankOf(data); ++d)
    layout.addRow(d, d - 1 + inner);
  return layout;
}

/// rows[.., i, ..] = data[.., indices[.., i, ..], ..]
static std::optional<Layout> elementLayout(const Command &call,
                                           const View &data,
                                           const View &indices,
                                           const View &rows) {
  int64_t axis = intAttr(call, "axis", 0);
  int rank = rankOf(data);
  if (axis < 0 || axis >= rank || rankOf(indices) != rank ||
      rows.shape != indices.shape)
    return std::nullopt;
  Layout layout(data, indices, rows);
  for (int d = 0; d < rank; ++d) {
    if (d != axis && indices.shape[d] > data.shape[d])
      return std::nullopt;
    layout.addPoint(d == axis ? -1 : d, d, d);
  }
  layout.addIndexed(static_cast<int>(axis));
  return layout;
}

/// rows[b.., i.., t..] = data[b.., indices[b.., i.., :], t..]
static std::optional<Layout> vectorLayout(const Command &call, const View &data,
                                          const View &indices,
                                          const View &rows) {
  int64_t batch = intAttr(call, "batch_dims", 0);
  if (batch < 0 || batch >= rankOf(indices) || batch >= rankOf(data))
    return std::nullopt;
  int64_t depth = indices.shape.back();
  if (depth < 1 || depth > rankOf(data) - batch)
    return std::nullopt;
  std::vector<int64_t> expected(indices.shape.begin(), indices.shape.end() - 1);
  expected.insert(expected.end(), data.shape.begin() + batch + depth,
                  data.shape.end());
  if (rows.shape != expected ||
      !std::equal(data.shape.begin(), data.shape.begin() + batch,
                  indices.shape.begin()))
    return std::nullopt;
  Layout layout(data, indices, rows);
  int last = rankOf(indices) - 1, tail = static_cast<int>(batch + depth);
  for (int d = 0; d < last; ++d)
    layout.addPoint(d < batch ? d : -1, d, d);
  for (int d = static_cast<int>(batch); d < tail; ++d)
    layout.addIndexed(d);
  layout.vectorStride = indices.strides.back();
  for (int d = tail; d < rankOf(data); ++d)
    layout.addRow(d, last + d - tail);
  return layout;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

static Result<int64_t> noWorkspace(const Command &, int) { return int64_t(0); }

/// The layout of `form`, checked.
static Result<Layout> makeLayout(LayoutFn form, const Command &call,
                                 const View &data, const View &indices,
                                 const View &rows,
                                 const PrepareContext &context) {
  if (indices.dtype != DType::I64 && indices.dtype != DType::I32)
    return callError(call, "indices must be i32 or i64");
  std::optional<Layout> layout = form(call, data, indices, rows);
  if (!layout || rows.dtype != data.dtype)
    return callError(call, "the operands and results do not fit together");
  layout->finish(call, context);
  return std::move(*layout);
}

template <LayoutFn form>
static Result<std::unique_ptr<PreparedCall>>
prepareGather(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  PARTITA_TRY(Layout layout,
              makeLayout(form, call, call.operands[0], call.operands[1],
                         call.results[0], context));
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedGather>(std::move(layout)));
}

template <LayoutFn form>
static Result<std::unique_ptr<PreparedCall>>
prepareScatter(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 3, 1));
  const View &data = call.operands[0];
  if (data.shape != call.results[0].shape ||
      data.dtype != call.results[0].dtype)
    return callError(call, "data and result differ");
  PARTITA_TRY(Layout layout,
              makeLayout(form, call, call.results[0], call.operands[1],
                         call.operands[2], context));
  CombineFn combine = combineFor(data.dtype, stringAttr(call, "kind"));
  if (!combine)
    return callError(call, "does not know how to combine");
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedScatter>(data, std::move(layout), combine));
}

/// A scatter of sums into zeros.
static Result<std::unique_ptr<PreparedCall>>
prepareGatherGradient(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  PARTITA_TRY(Layout layout,
              makeLayout(sliceLayout, call, call.results[0], call.operands[0],
                         call.operands[1], context));
  CombineFn combine = combineFor<Add>(call.results[0].dtype);
  return std::unique_ptr<PreparedCall>(std::make_unique<PreparedScatter>(
      std::nullopt, std::move(layout), combine));
}

void partita::runtime::addIndexedCalls(CallTable &table) {
  table["gather"] = {noWorkspace, prepareGather<sliceLayout>};
  table["gather_gradient"] = {noWorkspace, prepareGatherGradient};
  table["gather_elements"] = {noWorkspace, prepareGather<elementLayout>};
  table["gather_nd"] = {noWorkspace, prepareGather<vectorLayout>};
  table["scatter_elements"] = {noWorkspace, prepareScatter<elementLayout>};
  table["scatter_nd"] = {noWorkspace, prepareScatter<vectorLayout>};
}
