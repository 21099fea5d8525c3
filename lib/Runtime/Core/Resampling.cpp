//===- Resampling.cpp - Another number of samples along a dimension -------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// resample is a sparse matrix times a dimension: which elements a sample reads,
// and with which weights, depends on shapes and attributes alone. The matrix is
// made once, for the rows and columns that this rank holds.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <cmath>

using namespace partita;
using namespace partita::runtime;

namespace {

/// The sparse matrix, by rows.
struct Weights {
  struct Entry {
    int64_t column;
    double weight;
  };
  /// The entries of row i are begins[i] to begins[i + 1].
  std::vector<int64_t> begins = {0};
  std::vector<Entry> entries;
  /// Rows that are the fill value instead.
  std::vector<bool> filled;
};

/// A dimension of which this rank holds local elements, from `first` on.
struct Extent {
  int64_t first, local, whole;
};

/// Makes the matrix.
class WeightsBuilder {
public:
  WeightsBuilder(const Command &call, Extent in, Extent out)
      : filter(stringAttr(call, "filter")),
        scale(doubleAttr(call, "filter_scale", 1)),
        cubic(doubleAttr(call, "cubic", -0.75)),
        excludesOutside(intAttr(call, "exclude_outside", 0)),
        fills(call.attrs.count("fill")), in(in), out(out) {
    auto found = call.attrs.find("coordinates");
    if (found != call.attrs.end())
      if (auto *values = std::get_if<std::vector<double>>(&found->second))
        coordinates = *values;
  }

  /// Whether the attributes make sense.
  bool isValid() const;
  Weights build() const;

private:
  /// What the filter weighs an element at a distance.
  double weightAt(double distance) const;
  int64_t nearest(double x) const;
  std::vector<Weights::Entry> rowAt(double x) const;

  std::string filter;
  std::vector<double> coordinates;
  double scale, cubic;
  bool excludesOutside, fills;
  Extent in, out;
};

} // namespace

bool WeightsBuilder::isValid() const {
  if (coordinates.size() != 4 || coordinates[2] == 0 || !(scale > 0) ||
      (in.whole == 0 && out.local != 0))
    return false;
  // Filters that reach farther than the dimension is long reach far enough.
  if (!(scale >= 1.0 / (1 << 20)))
    return false;
  for (double value : coordinates)
    if (!(std::abs(value) < 1e15))
      return false;
  return true;
}

double WeightsBuilder::weightAt(double distance) const {
  double x = std::abs(distance * scale), a = cubic;
  if (filter == "linear")
    return std::max(0.0, 1 - x);
  if (x <= 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

int64_t WeightsBuilder::nearest(double x) const {
  double low = std::floor(x), rest = x - low;
  bool up = filter == "ceil"              ? rest > 0
            : filter == "round_half_down" ? rest > 0.5
            : filter == "round_half_up"   ? rest >= 0.5
                                          : false;
  return static_cast<int64_t>(low) + up;
}

std::vector<Weights::Entry> WeightsBuilder::rowAt(double x) const {
  std::vector<Weights::Entry> row;
  if (filter != "linear" && filter != "cubic") {
    row.push_back({nearest(x), 1});
  } else {
    double reach = (filter == "linear" ? 1 : 2) / scale;
    auto low = static_cast<int64_t>(std::floor(x - reach)) + 1,
         high = static_cast<int64_t>(std::ceil(x + reach)) - 1;
    for (int64_t i = low; i <= high; ++i)
      row.push_back({i, weightAt(static_cast<double>(i) - x)});
  }
  auto normalise = [&] {
    double sum = 0;
    for (const Weights::Entry &entry : row)
      sum += entry.weight;
    for (Weights::Entry &entry : row)
      entry.weight /= sum == 0 ? 1 : sum;
  };
  if (scale != 1)
    normalise();
  for (Weights::Entry &entry : row) {
    int64_t inside = std::clamp<int64_t>(entry.column, 0, in.whole - 1);
    if (excludesOutside && inside != entry.column)
      entry.weight = 0;
    entry.column = inside;
  }
  if (excludesOutside)
    normalise();
  return row;
}

Weights WeightsBuilder::build() const {
  Weights weights;
  double end = static_cast<double>(in.whole - 1);
  for (int64_t i = 0; i < out.local; ++i) {
    double x = (static_cast<double>(out.first + i) + coordinates[0]) *
                   coordinates[1] / coordinates[2] +
               coordinates[3];
    weights.filled.push_back(fills && !(x >= 0 && x <= end));
    // Far outside is outside: this keeps indices small.
    x = std::clamp(x, -16.0, end + 16.0);
    if (!weights.filled.back())
      for (Weights::Entry entry : rowAt(x)) {
        entry.column -= in.first;
        if (entry.weight != 0 && entry.column >= 0 && entry.column < in.local)
          weights.entries.push_back(entry);
      }
    weights.begins.push_back(static_cast<int64_t>(weights.entries.size()));
  }
  return weights;
}

namespace {

/// `T` is how elements are stored.
template <typename T> class PreparedResample : public PreparedCall {
  /// Integers need more digits than they have.
  using Sum =
      std::conditional_t<std::is_same_v<T, float> || std::is_same_v<T, Half> ||
                             std::is_same_v<T, Bfloat>,
                         float, double>;

public:
  PreparedResample(const Command &call, int axis, Weights weights, int threads)
      : from(call.operands[0]), to(call.results[0]), axis(axis),
        weights(std::move(weights)), threads(threads),
        fill(doubleAttr(call, "fill", 0)) {
    nest.strides.resize(2);
    for (size_t d = 0; d < to.shape.size(); ++d)
      if (static_cast<int>(d) != axis)
        push(to.shape[d], from.strides[d], to.strides[d]);
    nest = coalesce(std::move(nest));
    if (nest.shape.empty())
      push(1, 0, 0);
  }

  Status execute(std::byte *const bases[3]) override {
    auto *in = reinterpret_cast<const T *>(addressOf(from, bases));
    auto *out = reinterpret_cast<T *>(addressOf(to, bases));
    int inner = nest.rank() - 1;
    if (nest.empty() || to.shape[axis] == 0)
      return ok();
    parallelFor(threads, to.shape[axis], [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        forEachIndex(nest, inner, [&](const int64_t *offsets) {
          for (int64_t j = 0; j < nest.shape[inner]; j += width)
            sumBlock(i, in + offsets[0] + j * nest.strides[0][inner],
                     out + offsets[1] + i * to.strides[axis] +
                         j * nest.strides[1][inner],
                     std::min(width, nest.shape[inner] - j));
        });
    });
    return ok();
  }

private:
  static constexpr int64_t width = 64;

  void push(int64_t size, int64_t a, int64_t b) {
    nest.shape.push_back(size);
    nest.strides[0].push_back(a);
    nest.strides[1].push_back(b);
  }

  /// Sample `i` of `count` neighbours along the innermost loop.
  void sumBlock(int64_t i, const T *in, T *out, int64_t count) const {
    Sum sums[width] = {};
    int64_t inStride = nest.strides[0].back(),
            outStride = nest.strides[1].back();
    for (int64_t e = weights.begins[i]; e < weights.begins[i + 1]; ++e) {
      const T *row = in + weights.entries[e].column * from.strides[axis];
      Sum weight = static_cast<Sum>(weights.entries[e].weight);
      for (int64_t j = 0; j < count; ++j)
        sums[j] += weight * convert<Sum>(row[j * inStride]);
    }
    for (int64_t j = 0; j < count; ++j) {
      Sum sum = weights.filled[i] ? static_cast<Sum>(fill) : sums[j];
      if constexpr (std::is_integral_v<T>)
        sum = std::nearbyint(sum);
      out[j * outStride] = convert<T>(sum);
    }
  }

  View from, to;
  int axis;
  Weights weights;
  int threads;
  double fill;
  /// All dimensions but the axis; strides of input, result.
  LoopNest nest;
};

} // namespace

static Result<int64_t> noWorkspace(const Command &, int) { return int64_t(0); }

/// Which part of a dimension this rank holds; `name` is the attribute with the
/// number of the offset.
static Extent extentOf(const Command &call, const char *name, int64_t local,
                       const PrepareContext &context) {
  int64_t i = intAttr(call, name, -1);
  if (i < 0 || i >= static_cast<int64_t>(call.offsets.size()))
    return {0, local, local};
  return {call.offsets[i].evaluate(*context.mesh, context.coords), local,
          call.offsets[i].size};
}

static Result<std::unique_ptr<PreparedCall>>
prepareResample(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 1, 1));
  const View &from = call.operands[0], &to = call.results[0];
  int64_t axis = intAttr(call, "axis", 0);
  if (axis < 0 || axis >= static_cast<int64_t>(from.shape.size()) ||
      from.shape.size() != to.shape.size() || from.dtype != to.dtype)
    return callError(call, "the operand and the result do not fit together");
  for (size_t d = 0; d < to.shape.size(); ++d)
    if (static_cast<int64_t>(d) != axis && from.shape[d] != to.shape[d])
      return callError(call, "the operand and the result do not fit together");
  WeightsBuilder builder(call,
                         extentOf(call, "in_base", from.shape[axis], context),
                         extentOf(call, "out_base", to.shape[axis], context));
  if (!builder.isValid())
    return callError(call, "its attributes make no sense");
  return dispatch(from.dtype, [&](auto tag) -> std::unique_ptr<PreparedCall> {
    using T = typename decltype(tag)::type;
    return std::make_unique<PreparedResample<T>>(
        call, static_cast<int>(axis), builder.build(), context.threads);
  });
}

void partita::runtime::addResamplingCalls(CallTable &table) {
  table["resample"] = {noWorkspace, prepareResample};
}
