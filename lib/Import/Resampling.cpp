//===- Resampling.cpp - Import of resizing and sampling -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A Resize is one resampling after another, a dimension each. What ONNX calls a
// coordinate transformation is a linear function of the sample's index, so that
// its kinds end here.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Resampling.h"
#include "Linear.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// Resize
//===----------------------------------------------------------------------===//

namespace {

/// How one dimension is resized.
struct ResizedAxis {
  int64_t axis, from, to;
  double scale;
  /// The region of interest, in parts of the dimension.
  double begin = 0, end = 1;
};

/// What holds for all dimensions.
struct ResizeMode {
  std::string filter, coordinates;
  bool antialias = false, excludesOutside = false;
  double cubic = -0.75, fill = 0;
};

} // namespace

/// shift, multiplier, divisor and offset: see nn.resample.
static std::array<double, 4>
coordinatesOf(NodeImport &n, const ResizeMode &mode, const ResizedAxis &a) {
  double last = double(a.from - 1), length = a.scale * double(a.from);
  bool isPoint = length == 1;
  const std::string &kind = mode.coordinates;
  if (kind == "half_pixel")
    return {0.5, 1, a.scale, -0.5};
  if (kind == "half_pixel_symmetric")
    return {0.5, 1, a.scale,
            double(a.from) / 2 * (1 - double(a.to) / length) - 0.5};
  if (kind == "pytorch_half_pixel")
    return isPoint ? std::array<double, 4>{0, 0, 1, 0}
                   : std::array<double, 4>{0.5, 1, a.scale, -0.5};
  if (kind == "tf_half_pixel_for_nn")
    return {0.5, 1, a.scale, 0};
  if (kind == "asymmetric")
    return {0, 1, a.scale, 0};
  if (kind == "align_corners")
    return isPoint ? std::array<double, 4>{0, 0, 1, 0}
                   : std::array<double, 4>{0, last, length - 1, 0};
  if (kind == "tf_crop_and_resize")
    return isPoint
               ? std::array<double, 4>{0, 0, 1, (a.begin + a.end) * last / 2}
               : std::array<double, 4>{0, (a.end - a.begin) * last, length - 1,
                                       a.begin * last};
  n.unsupported("its coordinates are transformed by \"" + kind + "\"");
}

static Value resample(NodeImport &n, Value value, const ResizeMode &mode,
                      const ResizedAxis &a) {
  Shape shape = nn::shapeOf(value);
  if (shape[a.axis] == 0 && a.to > 0)
    n.invalid("makes an empty dimension larger");
  shape[a.axis] = a.to;
  std::array<double, 4> coordinates = coordinatesOf(n, mode, a);
  for (double number : coordinates)
    if (!std::isfinite(number))
      n.invalid("its scales or its region make no sense");
  if (coordinates[2] == 0)
    n.invalid("its scales make no sense");
  bool fills = mode.coordinates == "tf_crop_and_resize";
  double filterScale = mode.antialias ? std::min(a.scale, 1.0) : 1.0;
  return n.create<ResampleOp>(
      n.makeType(shape, getElementTypeOrSelf(value)), mode.filter, value,
      uint64_t(a.axis), coordinates, APFloat(filterScale), APFloat(mode.cubic),
      mode.excludesOutside,
      fills ? n.builder.getF64FloatAttr(mode.fill) : FloatAttr(), Attribute(),
      Attribute());
}

static void resize(NodeImport &n, const ResizeMode &mode,
                   const std::vector<ResizedAxis> &axes) {
  Value value = n.input(0);
  for (const ResizedAxis &a : axes) {
    if (a.to < 0 || !(a.scale > 0) || !std::isfinite(a.scale))
      n.invalid("its sizes or scales make no sense");
    // Crops of the whole and scales of one change nothing.
    if (a.to != a.from || a.scale != 1 || a.begin != 0 || a.end != 1)
      value = resample(n, value, mode, a);
  }
  n.set(0, value);
}

/// The size of a dimension after scaling, rounded down.
static int64_t scaled(NodeImport &n, int64_t size, double scale) {
  double result = std::floor(double(size) * scale);
  if (!(result >= 0 && result < 1e15))
    n.invalid("its scales make no sense");
  return int64_t(result);
}

static std::string filterOf(NodeImport &n, const std::string &mode,
                            const std::string &nearest) {
  if (mode == "linear" || mode == "bilinear" || mode == "trilinear")
    return "linear";
  if (mode == "cubic")
    return mode;
  if (mode != "nearest")
    n.unsupported("its mode is \"" + mode + "\"");
  if (nearest == "round_prefer_floor")
    return "round_half_down";
  if (nearest == "round_prefer_ceil")
    return "round_half_up";
  if (nearest != "floor" && nearest != "ceil")
    n.unsupported("its nearest_mode is \"" + nearest + "\"");
  return nearest;
}

/// The numbers of an input that may be there, or may be there and empty.
static std::vector<double> numbers(NodeImport &n, size_t i) {
  std::vector<double> values;
  if (!n.has(i) || n.type(i).getNumElements() == 0)
    return values;
  const HostTensor *tensor = n.constant(i);
  if (!tensor)
    n.unsupported("its input " + std::to_string(i) + " depends on data");
  for (int64_t k = 0; k < tensor->numElements(); ++k)
    values.push_back(tensor->getDouble(k));
  return values;
}

/// Sizes from scales alone, as Upsample and the first Resize have it.
static void importUpsample(NodeImport &n) {
  std::vector<double> scales;
  if (n.version >= 9) {
    scales = numbers(n, 1);
  } else if (const auto *given = n.attribute("scales")) {
    scales.assign(given->floats().begin(), given->floats().end());
  } else {
    scales.assign(n.rank(0), 1.0);
    if (n.rank(0) == 4) {
      scales[2] = n.real("height_scale", 1);
      scales[3] = n.real("width_scale", 1);
    }
  }
  ResizeMode mode;
  mode.filter = filterOf(n, n.string("mode", "nearest"), "floor");
  mode.coordinates = "asymmetric";
  if (int64_t(scales.size()) != n.rank(0))
    n.invalid("does not have one scale a dimension");
  std::vector<ResizedAxis> axes;
  for (int64_t d = 0; d < n.rank(0); ++d) {
    int64_t size = n.shape(0)[d];
    axes.push_back({d, size, scaled(n, size, scales[d]), scales[d]});
  }
  resize(n, mode, axes);
}

/// Scales from sizes, by which the ratio of the dimensions may be kept.
static void setSizes(NodeImport &n, std::vector<ResizedAxis> &axes,
                     const std::vector<double> &sizes) {
  std::string policy = n.string("keep_aspect_ratio_policy", "stretch");
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!(sizes[i] >= 0 && sizes[i] < 1e15))
      n.invalid("its sizes make no sense");
    axes[i].to = int64_t(sizes[i]);
    axes[i].scale = axes[i].from ? sizes[i] / double(axes[i].from) : 1;
  }
  if (policy == "stretch" || axes.empty())
    return;
  if (policy != "not_larger" && policy != "not_smaller")
    n.invalid("its keep_aspect_ratio_policy is \"" + policy + "\"");
  double scale = axes[0].scale;
  for (const ResizedAxis &a : axes)
    scale = policy == "not_larger" ? std::min(scale, a.scale)
                                   : std::max(scale, a.scale);
  for (ResizedAxis &a : axes) {
    a.scale = scale;
    a.to = scaled(n, 1, scale * double(a.from) + 0.5);
  }
}

static void importResize(NodeImport &n) {
  ResizeMode mode;
  mode.filter = filterOf(n, n.string("mode", "nearest"),
                         n.string("nearest_mode", "round_prefer_floor"));
  mode.coordinates = n.string("coordinate_transformation_mode", "half_pixel");
  bool isNearest = mode.filter != "linear" && mode.filter != "cubic";
  mode.antialias = n.integer("antialias", 0) != 0;
  mode.excludesOutside = n.integer("exclude_outside", 0) != 0 && !isNearest;
  mode.cubic = n.real("cubic_coeff_a", -0.75);
  mode.fill = n.real("extrapolation_value", 0);
  if (mode.antialias && isNearest)
    n.invalid("has antialias with nearest elements");

  std::vector<ResizedAxis> axes;
  std::vector<int64_t> all;
  for (int64_t d = 0; d < n.rank(0); ++d)
    all.push_back(d);
  for (int64_t d : n.axes(n.integers("axes").value_or(all), n.rank(0)))
    axes.push_back({d, n.shape(0)[d], n.shape(0)[d], 1});
  std::vector<double> roi = numbers(n, 1), scales = numbers(n, 2),
                      sizes = numbers(n, 3);
  const std::vector<double> &given = scales.empty() ? sizes : scales;
  if (given.size() != axes.size())
    n.invalid("does not have one scale or one size a dimension");
  if (scales.empty())
    setSizes(n, axes, sizes);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!scales.empty()) {
      axes[i].scale = scales[i];
      axes[i].to = scaled(n, axes[i].from, scales[i]);
    }
    if (mode.coordinates != "tf_crop_and_resize")
      continue;
    if (roi.size() != 2 * axes.size())
      n.invalid("does not have a region of interest");
    axes[i].begin = roi[i];
    axes[i].end = roi[axes.size() + i];
  }
  resize(n, mode, axes);
}

//===----------------------------------------------------------------------===//
// Sampling
//===----------------------------------------------------------------------===//

static void importGridSample(NodeImport &n) {
  std::string mode = n.string("mode", n.version < 20 ? "bilinear" : "linear");
  std::string filter = mode == "bilinear"  ? "linear"
                       : mode == "bicubic" ? "cubic"
                                           : mode;
  Shape images = n.shape(0), grid = n.shape(1);
  if (images.size() < 3 || images.size() != grid.size())
    n.invalid("has a grid that does not fit its images");
  if (images.size() > 5)
    n.unsupported("samples in more than 3 dimensions");
  Shape shape = {images[0], images[1]};
  shape.insert(shape.end(), grid.begin() + 1, grid.end() - 1);
  n.set(0,
        n.create<GridSampleOp>(n.makeType(shape, n.element(0)), filter,
                               n.string("padding_mode", "zeros"), n.input(0),
                               n.input(1), n.integer("align_corners", 0) != 0));
}

/// Points of a grid from -1 to 1 along each dimension, times a matrix.
static void importAffineGrid(NodeImport &n) {
  std::vector<int64_t> size = n.ints(1);
  int64_t dims = int64_t(size.size()) - 2;
  Shape theta = n.shape(0);
  if ((dims != 2 && dims != 3) || theta != Shape{size[0], dims, dims + 1})
    n.invalid("its matrices do not fit its size");
  bool aligns = n.integer("align_corners", 0) != 0;
  Shape points(size.begin() + 2, size.end());
  points.push_back(1);
  RankedTensorType type = n.makeType(points, n.element(0));
  SmallVector<Value> coordinates;
  // The last dimension is the first coordinate.
  for (int64_t d = dims; d-- > 0;) {
    double length = double(points[d]);
    double step = aligns ? (length > 1 ? 2 / (length - 1) : 0) : 2 / length;
    double start = aligns ? (length > 1 ? -1 : 0) : step / 2 - 1;
    coordinates.push_back(n.iota(type, d, start, step));
  }
  coordinates.push_back(n.splat(type, 1));
  points.back() = dims + 1;
  Value grid = n.create<ConcatOp>(n.makeType(points, n.element(0)), coordinates,
                                  uint64_t(dims));
  int64_t count = 1;
  for (int64_t d = 0; d < dims; ++d)
    count *= points[d];
  grid = n.reshape(grid, {1, count, dims + 1});
  Value result = numpyMatMul(n, grid, n.transpose(n.input(0), {0, 2, 1}));
  Shape shape = points;
  shape.back() = dims;
  shape.insert(shape.begin(), size[0]);
  n.set(0, n.reshape(result, shape));
}

static void importRoiAlign(NodeImport &n) {
  // Before version 16 boxes are not shifted by half an element.
  std::string kind =
      n.string("coordinate_transformation_mode",
               n.version < 16 ? "output_half_pixel" : "half_pixel");
  bool half = kind == "half_pixel";
  std::string mode = n.string("mode", "avg");
  if ((!half && kind != "output_half_pixel") ||
      (mode != "avg" && mode != "max"))
    n.unsupported("its mode is \"" + mode + "\" with \"" + kind + "\"");
  if (n.rank(0) != 4 || n.rank(1) != 2)
    n.invalid("does not have images and boxes");
  Shape shape = {n.shape(1)[0], n.shape(0)[1], n.integer("output_height", 1),
                 n.integer("output_width", 1)};
  n.set(0, n.create<RoiAlignOp>(n.makeType(shape, n.element(0)), n.input(0),
                                n.input(1), n.input(2),
                                APFloat(n.real("spatial_scale", 1)),
                                APFloat(half ? 0.5 : 0.0),
                                uint64_t(n.integer("sampling_ratio", 0)),
                                /*clamp=*/!half, mode == "max", Attribute()));
}

//===----------------------------------------------------------------------===//
// Crops
//===----------------------------------------------------------------------===//

/// Cuts and pads around the middle.
static void importCenterCropPad(NodeImport &n) {
  std::vector<int64_t> sizes = n.ints(1), all;
  for (int64_t d = 0; d < n.rank(0); ++d)
    all.push_back(d);
  std::vector<int64_t> axes =
      n.axes(n.integers("axes").value_or(all), n.rank(0));
  if (sizes.size() != axes.size())
    n.invalid("does not have one size a dimension");
  Value value = n.input(0);
  Shape shape = n.shape(0);
  std::vector<int64_t> low(shape.size(), 0), high(shape.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t &size = shape[axes[i]], to = sizes[i];
    if (to < 0)
      n.invalid("has a negative size");
    if (to < size) {
      value = n.slice(value, axes[i], (size - to) / 2, to);
    } else {
      low[axes[i]] = (to - size) / 2;
      high[axes[i]] = to - size - low[axes[i]];
    }
    size = to;
  }
  if (nn::shapeOf(value) != shape)
    value = n.create<PadOp>(n.makeType(shape, n.element(0)), value, low, high,
                            APFloat(0.0));
  n.set(0, value);
}

void importer::addResampling(ImportTable &table) {
  table.add("Upsample", 7, importUpsample);
  table.add("Resize", 10, importUpsample);
  table.add("Resize", 11, importResize);
  table.add("GridSample", 16, importGridSample);
  table.add("AffineGrid", 20, importAffineGrid);
  table.add("RoiAlign", 10, importRoiAlign);
  table.add("CenterCropPad", 18, importCenterCropPad);
}
