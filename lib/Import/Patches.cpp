//===- Patches.cpp - Import of what takes windows apart -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operators that put windows back into a tensor, or whose windows are bent.
// They are products and gathers that exist, whose batches, channels and groups
// split: adding patches up is a transposed convolution by ones, a deformed
// convolution one of samples, and unpooling a scatter in each plane.
//
//===----------------------------------------------------------------------===//

#include "Windows.h"
#include "dialects/nn/Resampling.h"
#include "dialects/nn/Selection.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    if (__builtin_mul_overflow(result, size, &result))
      return -1;
  return result;
}

static Shape joined(const Shape &front, const Shape &back) {
  Shape shape = front;
  shape.insert(shape.end(), back.begin(), back.end());
  return shape;
}

//===----------------------------------------------------------------------===//
// Col2Im
//===----------------------------------------------------------------------===//

/// Filters of a group for each channel, of which filter i has a one at tap i.
static Value unitFilters(NodeImport &n, int64_t channels, const Shape &kernel) {
  int64_t taps = product(kernel);
  RankedTensorType pairs =
      n.makeType({channels, taps, taps}, n.builder.getI64Type());
  Value same = n.compare("eq", n.iota(pairs, 1, 0, 1), n.iota(pairs, 2, 0, 1));
  return n.reshape(n.cast(same, n.element(0)),
                   joined({channels * taps, 1}, kernel));
}

/// [n, (c taps), positions] -> [n, c, image..], where patches overlap their
/// sum.
static void importCol2Im(NodeImport &n) {
  Shape image = n.ints(1), kernel = n.ints(2), from = n.shape(0);
  int64_t taps = product(kernel);
  if (from.size() != 3 || image.size() != kernel.size() || taps < 1 ||
      from[1] % taps != 0)
    n.invalid("its columns do not fit its blocks");
  NodeWindows windows = statedWindows(n, kernel);
  Shape positions;
  std::vector<int64_t> outputPads;
  for (auto [window, size] : llvm::zip_equal(windows.windows, image)) {
    std::optional<int64_t> count = window.positions(size);
    if (!count)
      n.invalid("its blocks are larger than its image");
    positions.push_back(*count);
    outputPads.push_back(size + window.padBegin + window.padEnd -
                         (*count - 1) * window.stride - window.extent());
  }
  if (product(positions) != from[2])
    n.invalid("has " + std::to_string(from[2]) +
              " columns where its image has " +
              std::to_string(product(positions)) + " blocks");
  int64_t channels = from[1] / taps;
  auto p = windowProperties<ConvTransposeOp::Properties>(n, windows);
  p.groups = n.builder.getI64IntegerAttr(channels);
  p.output_pads = n.builder.getDenseI64ArrayAttr(outputPads);
  Value columns = n.reshape(n.input(0), joined({from[0], from[1]}, positions));
  n.set(0, createInferred<ConvTransposeOp>(
               n, {columns, unitFilters(n, channels, kernel)}, p));
}

//===----------------------------------------------------------------------===//
// DeformConv
//===----------------------------------------------------------------------===//

namespace {
/// A convolution each of whose taps, at each position, is moved by an offset of
/// its own, between the elements too.
class DeformConvImport {
public:
  explicit DeformConvImport(NodeImport &n);
  void run();

private:
  Value coordinate(size_t d);
  Value samples();

  NodeImport &n;
  Shape images, weight, kernel, positions;
  NodeWindows windows;
  /// Groups of channels that are moved alike.
  int64_t groups, taps, count;
};
} // namespace

DeformConvImport::DeformConvImport(NodeImport &n)
    : n(n), images(n.shape(0)), weight(n.shape(1)),
      kernel(kernelOf(n, images, weight)),
      windows(windowsOver(n, kernel, spatialOf(images))),
      groups(n.integer("offset_group", 1)), taps(product(kernel)) {
  for (auto [window, size] :
       llvm::zip_equal(windows.windows, spatialOf(images)))
    positions.push_back(*window.positions(size));
  count = product(positions);
  int64_t dims = int64_t(kernel.size()), group = n.integer("group", 1);
  if (product(images) < 1 || product(weight) < 1)
    n.invalid("has no element to sample, or no weight");
  if (groups < 1 || images[1] % groups != 0 || group < 1 ||
      images[1] % group != 0 || weight[1] != images[1] / group ||
      weight[0] % group != 0)
    n.invalid("its channels do not divide into its groups");
  if (n.shape(2) != joined({images[0], groups * taps * dims}, positions))
    n.invalid("its offsets do not fit its windows");
  if (n.has(4) && n.shape(4) != joined({images[0], groups * taps}, positions))
    n.invalid("its mask does not fit its windows");
}

/// Where the samples lie along spatial dimension d, from -1 to 1 over the
/// image: [n groups, taps, positions, 1].
Value DeformConvImport::coordinate(size_t d) {
  const Window &window = windows.windows[d];
  size_t dims = kernel.size();
  double unit = 2 / double(images[2 + d]);
  int64_t rows = images[0] * groups;
  Value moved = n.reshape(n.input(2), {rows, taps, int64_t(dims), count});
  moved = n.reshape(n.slice(moved, 2, int64_t(d), 1),
                    joined(joined({rows}, kernel), positions));
  auto type = mlir::cast<RankedTensorType>(moved.getType());
  Value tap = n.iota(type, int64_t(1 + d), 0, unit * double(window.dilation));
  // Element i is the interval from i to i + 1.
  Value position = n.iota(type, int64_t(1 + dims + d),
                          (0.5 - double(window.padBegin)) * unit - 1,
                          unit * double(window.stride));
  moved = n.binary<MulOp>(moved, n.splatLike(moved, unit));
  moved = n.binary<AddOp>(moved, n.binary<AddOp>(tap, position));
  return n.reshape(moved, {rows, taps, count, 1});
}

/// What each tap reads at each position, zero beyond the image:
/// [n, c, taps, positions].
Value DeformConvImport::samples() {
  int64_t rows = images[0] * groups, dims = int64_t(kernel.size());
  SmallVector<Value> coordinates;
  // The last dimension is the first coordinate.
  for (size_t d = kernel.size(); d-- > 0;)
    coordinates.push_back(coordinate(d));
  Value grid = coordinates[0];
  if (dims > 1)
    grid = n.create<ConcatOp>(
        n.makeType({rows, taps, count, dims}, getElementTypeOrSelf(grid)),
        coordinates, uint64_t(3));
  Shape shape = {rows, images[1] / groups, taps, count};
  Value source =
      n.reshape(n.input(0), joined({rows, shape[1]}, spatialOf(images)));
  Value read = n.create<GridSampleOp>(n.makeType(shape, n.element(0)), "linear",
                                      "zeros", source, grid, false);
  if (n.has(4)) {
    Value mask = n.reshape(n.input(4), {rows, taps, count});
    read = n.binary<MulOp>(read, n.broadcast(mask, shape, {0, 2, 3}));
  }
  return n.reshape(read, {images[0], images[1], taps, count});
}

void DeformConvImport::run() {
  // One window lies on all taps of a position.
  NodeWindows column{{{taps, taps, 1, 0, 0}, {1, 1, 1, 0, 0}}, {0, 0}};
  Value filters = n.reshape(n.input(1), {weight[0], weight[1], taps, 1});
  Value result = createInferred<ConvOp>(
      n, {samples(), filters}, windowProperties<ConvOp::Properties>(n, column));
  n.set(0, withBias(
               n, n.reshape(result, joined({images[0], weight[0]}, positions)),
               3));
}

static void importDeformConv(NodeImport &n) { DeformConvImport(n).run(); }

//===----------------------------------------------------------------------===//
// MaxUnpool
//===----------------------------------------------------------------------===//

/// Maxima back where they were, zeros elsewhere. Indices count through the
/// whole tensor; a maximum lies in the plane that it was taken from.
static void importMaxUnpool(NodeImport &n) {
  Shape from = n.shape(0);
  auto kernel = n.integers("kernel_shape");
  if (!kernel || from.size() < 3 || kernel->size() + 2 != from.size() ||
      n.shape(1) != from)
    n.invalid("its kernel_shape or its indices do not fit its input");
  NodeWindows windows = statedWindows(n, *kernel);
  Shape plane;
  for (auto [window, size] :
       llvm::zip_equal(windows.windows, spatialOf(from))) {
    int64_t rest = window.kernel - window.padBegin - window.padEnd, whole;
    if (__builtin_mul_overflow(size - 1, window.stride, &whole) ||
        __builtin_add_overflow(whole, rest, &whole) || whole < 1)
      n.invalid("its windows make up no result");
    plane.push_back(whole);
  }
  Shape shape = joined({from[0], from[1]}, plane);
  n.makeType(shape, n.element(0));

  Shape flat = {from[0], from[1], product(spatialOf(from))};
  Value indices = n.reshape(n.input(1), flat);
  indices =
      n.binary<ModOp>(indices, n.splatLike(indices, double(product(plane))));
  Value zeros =
      n.splat(n.makeType({from[0], from[1], product(plane)}, n.element(0)), 0);
  Value result = n.create<ScatterElementsOp>(
      zeros.getType(), "none", zeros, indices, n.reshape(n.input(0), flat),
      uint64_t(2), Attribute());
  result = n.reshape(result, shape);
  Shape to = n.has(2) ? n.ints(2) : shape;
  std::vector<int64_t> low(shape.size(), 0), high;
  if (to.size() != shape.size())
    n.invalid("its output_shape does not have the rank of its input");
  for (auto [wanted, size] : llvm::zip_equal(to, shape))
    high.push_back(wanted - size);
  if (llvm::any_of(high, [](int64_t pad) { return pad < 0; }))
    n.invalid("its output_shape has no room for its windows");
  if (to != shape)
    result = n.create<PadOp>(n.makeType(to, n.element(0)), result, low, high,
                             APFloat(0.0));
  n.set(0, result);
}

void importer::addPatches(ImportTable &table) {
  table.add("Col2Im", 18, importCol2Im);
  table.add("DeformConv", 19, importDeformConv);
  table.add("MaxUnpool", 9, importMaxUnpool);
}
