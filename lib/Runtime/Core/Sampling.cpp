//===- Sampling.cpp - Images at points and in boxes -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// grid_sample and roi_align read images at points that are data. For each point
// a stencil is made, which elements with which weights, and applied to all
// channels.
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "LibraryImpl.h"
#include <atomic>
#include <cmath>
#include <optional>

using namespace partita;
using namespace partita::runtime;

/// A floating point number of any type.
static double readFloat(const std::byte *base, DType type, int64_t offset) {
  switch (type) {
  case DType::F64:
    return reinterpret_cast<const double *>(base)[offset];
  case DType::F32:
    return reinterpret_cast<const float *>(base)[offset];
  case DType::F16:
    return halfToFloat(reinterpret_cast<const uint16_t *>(base)[offset]);
  default:
    return bfloatToFloat(reinterpret_cast<const uint16_t *>(base)[offset]);
  }
}

/// Calls fn for the storage type of floating point numbers.
template <typename Fn> static auto dispatchFloat(DType type, Fn fn) {
  switch (type) {
  case DType::F64:
    return fn(Tag<double>());
  case DType::F32:
    return fn(Tag<float>());
  case DType::F16:
    return fn(Tag<Half>());
  default:
    return fn(Tag<Bfloat>());
  }
}

static Result<int64_t> noWorkspace(const Command &, int) { return int64_t(0); }

//===----------------------------------------------------------------------===//
// Stencils
//===----------------------------------------------------------------------===//

namespace {

/// The elements of an image that a point weighs.
struct Stencil {
  struct Entry {
    int64_t offset;
    double weight;
  };
  std::vector<Entry> entries;

  template <typename T> double apply(const T *image) const {
    double sum = 0;
    for (const Entry &entry : entries)
      sum += entry.weight * convert<Computed<T>>(image[entry.offset]);
    return sum;
  }
};

enum class Filter { Nearest, Linear, Cubic };
enum class Padding { Zeros, Border, Reflection };

/// One dimension of an image for grid_sample.
struct GridAxis {
  int64_t size, stride;
  Filter filter;
  Padding padding;
  bool alignCorners;

  /// The elements around a coordinate that goes from -1 to 1 over the image.
  void around(double coordinate, Stencil &out) const;

private:
  double reflect(double x) const;
  void add(double index, double weight, Stencil &out) const;
};

} // namespace

/// Mirrors x at both ends until it is between them.
double GridAxis::reflect(double x) const {
  double low = alignCorners ? 0 : -0.5,
         high = static_cast<double>(size) - (alignCorners ? 1 : 0.5);
  double range = high - low;
  if (range <= 0)
    return low;
  double away = std::fmod(std::abs(x - low), 2 * range);
  return low + (away > range ? 2 * range - away : away);
}

void GridAxis::add(double index, double weight, Stencil &out) const {
  double last = static_cast<double>(size - 1);
  if (padding == Padding::Zeros && !(index >= 0 && index <= last))
    return;
  if (padding == Padding::Reflection && !(index >= 0 && index <= last))
    index = std::trunc(reflect(index));
  index = std::clamp(index, 0.0, last);
  out.entries.push_back({static_cast<int64_t>(index) * stride, weight});
}

void GridAxis::around(double coordinate, Stencil &out) const {
  double length = static_cast<double>(size);
  double x = alignCorners ? (coordinate + 1) / 2 * (length - 1)
                          : ((coordinate + 1) * length - 1) / 2;
  // What is not a number is far outside.
  if (!(std::abs(x) < 1e9))
    x = x > 0 ? 1e9 : -1e9;
  if (filter == Filter::Nearest)
    x = std::nearbyint(x);
  double low = alignCorners ? 0 : -0.5,
         high = length - (alignCorners ? 1 : 0.5);
  if (x < low || x > high) {
    if (padding == Padding::Border)
      x = std::clamp(x, 0.0, length - 1);
    else if (padding == Padding::Reflection)
      x = reflect(x);
  }
  double first = std::floor(x), r = x - first;
  if (filter == Filter::Nearest)
    return add(x, 1, out);
  if (filter == Filter::Linear) {
    add(first, 1 - r, out);
    return add(first + 1, r, out);
  }
  const double a = -0.75;
  auto near = [&](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  auto far = [&](double d) {
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  };
  add(first - 1, far(1 + r), out);
  add(first, near(r), out);
  add(first + 1, near(1 - r), out);
  add(first + 2, far(2 - r), out);
}

//===----------------------------------------------------------------------===//
// grid_sample
//===----------------------------------------------------------------------===//

namespace {

class PreparedGridSample : public PreparedCall {
public:
  PreparedGridSample(const Command &call, std::vector<GridAxis> axes,
                     int threads)
      : images(call.operands[0]), grid(call.operands[1]),
        result(call.results[0]), axes(std::move(axes)), threads(threads) {
    points.strides.resize(3);
    for (size_t d = 0; d + 1 < grid.shape.size(); ++d) {
      points.shape.push_back(grid.shape[d]);
      points.strides[0].push_back(d == 0 ? images.strides[0] : 0);
      points.strides[1].push_back(grid.strides[d]);
      points.strides[2].push_back(result.strides[d == 0 ? 0 : d + 1]);
    }
  }

  Status execute(std::byte *const bases[3]) override {
    if (points.empty())
      return ok();
    dispatchFloat(images.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      parallelFor(threads, points.shape[0],
                  [&](int64_t begin, int64_t end, int) {
                    runRange<T>(bases, begin, end);
                  });
    });
    return ok();
  }

private:
  template <typename T>
  void runRange(std::byte *const bases[3], int64_t begin, int64_t end) {
    auto *in = reinterpret_cast<const T *>(addressOf(images, bases));
    const std::byte *coordinates = addressOf(grid, bases);
    auto *out = reinterpret_cast<T *>(addressOf(result, bases));
    Stencil stencil, wider, line;
    forEachIndex(
        points, points.rank(),
        [&](const int64_t *offsets) {
          stencil.entries.assign(1, {offsets[0], 1});
          // Coordinates are in the reverse order of the dimensions.
          int64_t at = offsets[1];
          for (size_t d = axes.size(); d-- > 0; at += grid.strides.back()) {
            line.entries.clear();
            axes[d].around(readFloat(coordinates, grid.dtype, at), line);
            wider.entries.clear();
            for (const Stencil::Entry &a : stencil.entries)
              for (const Stencil::Entry &b : line.entries)
                wider.entries.push_back(
                    {a.offset + b.offset, a.weight * b.weight});
            std::swap(stencil, wider);
          }
          for (int64_t c = 0; c < images.shape[1]; ++c)
            out[offsets[2] + c * result.strides[1]] =
                convert<T>(stencil.apply(in + c * images.strides[1]));
        },
        begin, end);
  }

  View images, grid, result;
  std::vector<GridAxis> axes;
  int threads;
  /// Images' numbers and points; strides of images, grid, result.
  LoopNest points;
};

} // namespace

static Result<std::unique_ptr<PreparedCall>>
prepareGridSample(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 2, 1));
  const View &images = call.operands[0], &grid = call.operands[1],
             &result = call.results[0];
  size_t rank = images.shape.size(), points = grid.shape.size();
  bool fits = rank >= 3 && rank <= 5 && points >= 2 &&
              grid.shape.back() == static_cast<int64_t>(rank) - 2 &&
              result.shape.size() == points && isFloat(images.dtype) &&
              isFloat(grid.dtype) && images.dtype == result.dtype;
  fits = fits && images.shape[0] == grid.shape[0] &&
         result.shape[0] == images.shape[0] &&
         result.shape[1] == images.shape[1];
  for (size_t d = 1; fits && d + 1 < points; ++d)
    fits = grid.shape[d] == result.shape[d + 1];
  for (size_t d = 2; fits && d < rank; ++d)
    fits = images.shape[d] > 0;
  if (!fits)
    return callError(call, "the operands and the result do not fit together");
  std::string filter = stringAttr(call, "filter"),
              padding = stringAttr(call, "padding");
  std::vector<GridAxis> axes;
  for (size_t d = 2; d < rank; ++d)
    axes.push_back({images.shape[d], images.strides[d],
                    filter == "nearest"  ? Filter::Nearest
                    : filter == "linear" ? Filter::Linear
                                         : Filter::Cubic,
                    padding == "zeros"    ? Padding::Zeros
                    : padding == "border" ? Padding::Border
                                          : Padding::Reflection,
                    intAttr(call, "align_corners", 0) != 0});
  return std::unique_ptr<PreparedCall>(std::make_unique<PreparedGridSample>(
      call, std::move(axes), context.threads));
}

//===----------------------------------------------------------------------===//
// roi_align
//===----------------------------------------------------------------------===//

namespace {

class PreparedRoiAlign : public PreparedCall {
public:
  PreparedRoiAlign(const Command &call, const PrepareContext &context)
      : images(call.operands[0]), boxes(call.operands[1]),
        numbers(call.operands[2]), result(call.results[0]),
        place(describeCall(call)), scale(doubleAttr(call, "scale", 1)),
        shift(doubleAttr(call, "offset", 0)),
        sampling(intAttr(call, "sampling", 0)),
        clamps(intAttr(call, "clamp", 0)), takesMax(intAttr(call, "max", 0)),
        whole(images.shape[0]), threads(context.threads) {
    if (!call.offsets.empty()) {
      first = call.offsets[0].evaluate(*context.mesh, context.coords);
      whole = call.offsets[0].size;
    }
  }

  Status execute(std::byte *const bases[3]) override {
    std::atomic<int64_t> bad = -1;
    dispatchFloat(images.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      parallelFor(threads, boxes.shape[0],
                  [&](int64_t begin, int64_t end, int) {
                    for (int64_t r = begin; r < end; ++r)
                      if (!runBox<T>(bases, r))
                        bad = r;
                  });
    });
    if (bad < 0)
      return ok();
    return makeError(ExitCode::InvalidInput, "run.box", place,
                     "box " + std::to_string(bad) +
                         " is of no image, or larger than can be sampled",
                     "check the values of the inputs");
  }

private:
  /// Points of one bin along a dimension.
  static constexpr double maxSamples = 4096;

  /// One dimension of a box: its bins and the points in them.
  struct Side {
    double start, bin;
    int64_t samples, size, stride;

    /// The two elements around point `i` of bin `b`; false if it is outside.
    bool around(int64_t b, int64_t i, Stencil::Entry out[2]) const {
      double x =
          start + static_cast<double>(b) * bin +
          (static_cast<double>(i) + 0.5) * bin / static_cast<double>(samples);
      if (!(x >= -1 && x <= static_cast<double>(size)))
        return false;
      x = std::clamp(x, 0.0, static_cast<double>(size - 1));
      int64_t low = static_cast<int64_t>(x);
      double r = x - static_cast<double>(low);
      out[0] = {low * stride, 1 - r};
      out[1] = {std::min(low + 1, size - 1) * stride, r};
      return true;
    }
  };

  /// Nothing if the box is larger than can be sampled.
  std::optional<Side> side(double from, double to, int64_t bins, int d) const {
    from = from * scale - shift;
    to = to * scale - shift;
    double length = to - from;
    if (clamps)
      length = std::max(length, 1.0);
    double bin = length / static_cast<double>(bins);
    double samples =
        sampling > 0 ? static_cast<double>(sampling) : std::ceil(bin);
    if (!(std::abs(samples) <= maxSamples) || !(std::abs(from) < 1e15))
      return std::nullopt;
    return Side{from, bin, std::max<int64_t>(static_cast<int64_t>(samples), 0),
                images.shape[d], images.strides[d]};
  }

  int64_t numberOf(std::byte *const bases[3], int64_t r) const {
    const std::byte *base = addressOf(numbers, bases);
    int64_t at = r * numbers.strides[0];
    return numbers.dtype == DType::I64
               ? reinterpret_cast<const int64_t *>(base)[at]
               : reinterpret_cast<const int32_t *>(base)[at];
  }

  template <typename T> bool runBox(std::byte *const bases[3], int64_t r) {
    const std::byte *corners = addressOf(boxes, bases);
    auto corner = [&](int64_t i) {
      return readFloat(corners, boxes.dtype,
                       r * boxes.strides[0] + i * boxes.strides[1]);
    };
    int64_t image = numberOf(bases, r);
    if (image < 0)
      image += whole;
    auto x = side(corner(0), corner(2), result.shape[3], 3),
         y = side(corner(1), corner(3), result.shape[2], 2);
    if (image < 0 || image >= whole || !x || !y)
      return false;
    image -= first;
    bool here = image >= 0 && image < images.shape[0];
    auto *in = reinterpret_cast<const T *>(addressOf(images, bases)) +
               (here ? image * images.strides[0] : 0);
    auto *out =
        reinterpret_cast<T *>(addressOf(result, bases)) + r * result.strides[0];
    Stencil stencil;
    for (int64_t by = 0; by < result.shape[2]; ++by)
      for (int64_t bx = 0; bx < result.shape[3]; ++bx) {
        stencil.entries.clear();
        if (here)
          collect(*y, by, *x, bx, stencil);
        double count =
            static_cast<double>(std::max<int64_t>(x->samples * y->samples, 1));
        T *target = out + by * result.strides[2] + bx * result.strides[3];
        for (int64_t c = 0; c < images.shape[1]; ++c) {
          const T *channel = in + c * images.strides[1];
          target[c * result.strides[1]] =
              convert<T>(takesMax ? largest(stencil, channel)
                                  : stencil.apply(channel) / count);
        }
      }
    return true;
  }

  /// All elements that the points of a bin weigh; for a maximum, a point
  /// outside is zero.
  void collect(const Side &y, int64_t by, const Side &x, int64_t bx,
               Stencil &out) const {
    Stencil::Entry row[2], column[2];
    for (int64_t i = 0; i < y.samples; ++i) {
      bool isInside = y.around(by, i, row);
      for (int64_t j = 0; j < x.samples; ++j) {
        if (isInside && x.around(bx, j, column)) {
          for (const Stencil::Entry &a : row)
            for (const Stencil::Entry &b : column)
              out.entries.push_back({a.offset + b.offset, a.weight * b.weight});
        } else if (takesMax) {
          out.entries.push_back({0, 0});
        }
      }
    }
  }

  /// As ONNX defines it: of the weighed elements, not of the points.
  template <typename T>
  static double largest(const Stencil &stencil, const T *image) {
    double result = 0;
    bool isFirst = true;
    for (const Stencil::Entry &entry : stencil.entries) {
      double value = entry.weight * convert<Computed<T>>(image[entry.offset]);
      result = isFirst ? value : std::max(result, value);
      isFirst = false;
    }
    return result;
  }

  View images, boxes, numbers, result;
  std::string place;
  double scale, shift;
  int64_t sampling;
  bool clamps, takesMax;
  int64_t first = 0, whole;
  int threads;
};

} // namespace

static Result<std::unique_ptr<PreparedCall>>
prepareRoiAlign(const Command &call, const PrepareContext &context) {
  PARTITA_CHECK(checkCounts(call, 3, 1));
  const View &images = call.operands[0], &boxes = call.operands[1],
             &numbers = call.operands[2], &result = call.results[0];
  bool fits = images.shape.size() == 4 && boxes.shape.size() == 2 &&
              boxes.shape[1] == 4 && numbers.shape.size() == 1 &&
              numbers.shape[0] == boxes.shape[0] && result.shape.size() == 4 &&
              isFloat(images.dtype) && isFloat(boxes.dtype) &&
              result.dtype == images.dtype &&
              (numbers.dtype == DType::I64 || numbers.dtype == DType::I32);
  fits = fits && result.shape[0] == boxes.shape[0] &&
         result.shape[1] == images.shape[1] && result.shape[2] > 0 &&
         result.shape[3] > 0 && images.shape[2] > 0 && images.shape[3] > 0;
  if (!fits)
    return callError(call, "the operands and the result do not fit together");
  return std::unique_ptr<PreparedCall>(
      std::make_unique<PreparedRoiAlign>(call, context));
}

void partita::runtime::addSamplingCalls(CallTable &table) {
  table["grid_sample"] = {noWorkspace, prepareGridSample};
  table["roi_align"] = {noWorkspace, prepareRoiAlign};
}
