//===- Convolution.cpp - Import of convolutions and pools -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Only windows with explicit pads are left (Windows.h), also where an output
// shape implies them. Averages, norms of windows and normalisation across
// channels are sums under windows with arithmetic around them.
//
//===----------------------------------------------------------------------===//

#include "Windows.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

Shape importer::kernelOf(NodeImport &n, const Shape &input,
                         const Shape &weight) {
  if (input.size() < 3 || weight.size() != input.size())
    n.invalid("its input and weight do not have the same three or more "
              "dimensions");
  Shape kernel = spatialOf(weight);
  if (n.integers("kernel_shape").value_or(kernel) != kernel)
    n.invalid("its kernel_shape is not that of its weight");
  return kernel;
}

Value importer::withBias(NodeImport &n, Value value, size_t bias) {
  if (!n.has(bias))
    return value;
  if (n.rank(bias) != 1)
    n.invalid("its bias is not one number for each channel");
  return n.binary<AddOp>(value,
                         n.broadcast(n.input(bias), shapeOf(value), {1}));
}

/// Whether the windows lie side by side and hold more than one element each.
static bool arePatches(ArrayRef<Window> windows) {
  bool single = true;
  for (const Window &w : windows) {
    if (w.kernel != w.stride || w.dilation != 1 || w.padBegin || w.padEnd)
      return false;
    single &= w.kernel == 1;
  }
  return !single;
}

/// Patches are the rows of a matrix: a product, which splits over positions and
/// channels as products do, and needs no borders of its neighbours.
static Value multiplyPatches(NodeImport &n, Value input, Value weight,
                             ArrayRef<Window> windows) {
  Shape shape = shapeOf(input), parted = {shape[0], shape[1]}, result;
  std::vector<int64_t> order = {0}, inside = {1};
  int64_t positions = 1;
  for (auto [d, window] : llvm::enumerate(windows)) {
    int64_t count = shape[2 + d] / window.kernel;
    // What does not fill a patch belongs to none.
    input = n.slice(input, 2 + int64_t(d), 0, count * window.kernel);
    parted.insert(parted.end(), {count, window.kernel});
    order.push_back(2 + 2 * int64_t(d));
    inside.push_back(3 + 2 * int64_t(d));
    result.push_back(count);
    positions *= count;
  }
  order.insert(order.end(), inside.begin(), inside.end());
  int64_t columns = shapeOf(weight)[0], size = 1;
  for (size_t d = 1; d < shapeOf(weight).size(); ++d)
    size *= shapeOf(weight)[d];
  Value rows = n.transpose(n.reshape(input, parted), order);
  rows = n.reshape(rows, {shape[0], positions, size});
  Value matrix = n.transpose(n.reshape(weight, {columns, size}), {1, 0});
  result.insert(result.begin(), {shape[0], columns});
  return n.reshape(n.transpose(n.matmul(rows, matrix), {0, 2, 1}), result);
}

Value importer::convolve(NodeImport &n, Value input, Value weight) {
  Shape from = shapeOf(input), filters = shapeOf(weight);
  NodeWindows windows =
      windowsOver(n, kernelOf(n, from, filters), spatialOf(from));
  // The operation tells the groups from the shapes.
  int64_t groups = n.integer("group", 1), channels = from[1];
  if (groups < 1 || groups > channels || filters[1] != channels / groups ||
      channels % groups != 0)
    n.invalid("its weight does not fit " + std::to_string(channels) +
              " channels in " + std::to_string(groups) + " groups");
  if (groups == 1 && arePatches(windows.windows))
    return multiplyPatches(n, input, weight, windows.windows);
  return createInferred<ConvOp>(
      n, {input, weight}, windowProperties<ConvOp::Properties>(n, windows));
}

static void importConv(NodeImport &n) {
  n.set(0, withBias(n, convolve(n, n.input(0), n.input(1)), 2));
}

/// The pads of a transposed convolution that gives the sizes in `output`, as
/// ONNX divides them.
static void fitOutput(NodeImport &n, NodeWindows &windows,
                      std::vector<int64_t> &outputPads, const Shape &sizes,
                      const Shape &output) {
  bool upper = n.string("auto_pad", "NOTSET") == "SAME_UPPER";
  for (auto [d, window] : llvm::enumerate(windows.windows)) {
    int64_t whole, total;
    if (__builtin_mul_overflow(sizes[d] - 1, window.stride, &whole) ||
        __builtin_add_overflow(whole, window.extent() + outputPads[d],
                               &whole) ||
        __builtin_sub_overflow(whole, output[d], &total))
      n.invalid("its output_shape is out of range");
    if (total < 0)
      outputPads[d] -= total;
    splitPads(window, std::max<int64_t>(total, 0), upper);
  }
}

static void importConvTranspose(NodeImport &n) {
  Shape sizes = spatialOf(n.shape(0));
  NodeWindows windows = statedWindows(n, kernelOf(n, n.shape(0), n.shape(1)));
  std::vector<int64_t> outputPads =
      perDimension(n, "output_padding", sizes.size(), 0);
  for (int64_t pad : outputPads)
    if (pad < 0 || pad >= int64_t(1) << 31)
      n.invalid("its output_padding is out of range");
  std::string automatic = n.string("auto_pad", "NOTSET");
  if (auto output = n.integers("output_shape")) {
    if (output->size() == sizes.size() + 2)
      output->erase(output->begin(), output->begin() + 2);
    if (output->size() != sizes.size())
      n.invalid("its output_shape is not one size a spatial dimension");
    fitOutput(n, windows, outputPads, sizes, *output);
  } else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    Shape output;
    for (auto [size, window] : llvm::zip_equal(sizes, windows.windows))
      if (__builtin_mul_overflow(size, window.stride, &output.emplace_back()))
        n.invalid("its result is too large");
    fitOutput(n, windows, outputPads, sizes, output);
  }
  auto p = windowProperties<ConvTransposeOp::Properties>(n, windows);
  int64_t groups = n.integer("group", 1);
  if (groups < 1 || n.shape(0)[1] % groups != 0)
    n.invalid("its channels do not divide into groups");
  p.groups = n.builder.getI64IntegerAttr(groups);
  p.output_pads = n.builder.getDenseI64ArrayAttr(outputPads);
  Value result =
      createInferred<ConvTransposeOp>(n, {n.input(0), n.input(1)}, p);
  n.set(0, withBias(n, result, 2));
}

//===----------------------------------------------------------------------===//
// Pools
//===----------------------------------------------------------------------===//

static Value pool(NodeImport &n, const char *kind, Value input,
                  const NodeWindows &windows) {
  auto p = poolProperties<PoolOp::Properties>(n, windows);
  p.kind = n.builder.getStringAttr(kind);
  return createInferred<PoolOp>(n, {input}, p);
}

static NodeWindows poolWindows(NodeImport &n) {
  auto kernel = n.integers("kernel_shape");
  if (!kernel || n.rank(0) < 3 || kernel->size() + 2 != size_t(n.rank(0)))
    n.invalid("its kernel_shape is not one size a spatial dimension");
  return windowsOver(n, *kernel, spatialOf(n.shape(0)));
}

/// ONNX counts positions through the whole tensor, the operation in a plane.
static void setIndices(NodeImport &n, const NodeWindows &windows) {
  auto p = poolProperties<PoolArgMaxOp::Properties>(n, windows);
  if (n.integer("storage_order", 0) != 0)
    p.column_major = n.builder.getUnitAttr();
  Value inPlane = createInferred<PoolArgMaxOp>(n, {n.input(0)}, p);
  auto type = mlir::cast<RankedTensorType>(inPlane.getType());
  int64_t plane = 1;
  for (int64_t size : spatialOf(n.shape(0)))
    plane *= size;
  Value channel = n.iota(type, 1, 0, double(plane));
  Value image = n.iota(type, 0, 0, double(plane * n.shape(0)[1]));
  n.set(1, n.binary<AddOp>(inPlane, n.binary<AddOp>(image, channel)));
}

static void importMaxPool(NodeImport &n) {
  NodeWindows windows = poolWindows(n);
  n.integer("storage_order", 0); // Of the indices.
  n.set(0, pool(n, "max", n.input(0), windows));
  if (n.wants(1))
    setIndices(n, windows);
}

/// How many elements each window has: those of the input, or also the pads that
/// the node states. One number if it is the same for all windows.
static Value windowSizes(NodeImport &n, const NodeWindows &windows,
                         bool withPads) {
  NodeWindows counted = windows;
  Shape ones = {1, 1};
  int64_t whole = 1;
  bool uniform = true;
  for (auto [d, window] : llvm::enumerate(counted.windows)) {
    int64_t size = n.shape(0)[d + 2];
    if (withPads) {
      size += window.padBegin + windows.statedEnd[d];
      window.padEnd -= windows.statedEnd[d];
      window.padBegin = 0;
    }
    ones.push_back(size);
    whole *= window.kernel;
    uniform &= window.padBegin == 0 && window.padEnd == 0;
  }
  if (uniform)
    return n.splat(n.makeType({}, n.element(0)), double(whole));
  return pool(n, "sum", n.splat(n.makeType(ones, n.element(0)), 1), counted);
}

static void importAveragePool(NodeImport &n) {
  NodeWindows windows = poolWindows(n);
  bool withPads = n.integer("count_include_pad", 0) != 0;
  Value sum = pool(n, "sum", n.input(0), windows);
  Value sizes = windowSizes(n, windows, withPads);
  n.set(0, n.binary<MulOp>(
               sum, n.broadcast(n.unary<ReciprocalOp>(sizes), shapeOf(sum))));
}

/// The p-th root of a sum of p-th powers; `sum` adds up.
static void setNorm(NodeImport &n, llvm::function_ref<Value(Value)> sum) {
  // It was a number before it was an integer.
  double p = n.version < 2 ? n.real("p", 2) : double(n.integer("p", 2));
  Value magnitude = n.unary<AbsOp>(n.input(0));
  Value powers = p == 1 ? magnitude
                 : p == 2
                     ? n.binary<MulOp>(magnitude, magnitude)
                     : n.binary<PowOp>(magnitude, n.splatLike(magnitude, p));
  Value total = sum(powers);
  n.set(0, p == 1   ? total
           : p == 2 ? n.unary<SqrtOp>(total)
                    : n.binary<PowOp>(total, n.splatLike(total, 1 / p)));
}

static void importLpPool(NodeImport &n) {
  NodeWindows windows = poolWindows(n);
  setNorm(n, [&](Value powers) { return pool(n, "sum", powers, windows); });
}

static std::vector<int64_t> spatialAxes(NodeImport &n) {
  std::vector<int64_t> axes;
  for (int64_t d = 2; d < n.rank(0); ++d)
    axes.push_back(d);
  return axes;
}

static void importGlobalMaxPool(NodeImport &n) {
  n.set(0, n.reduce("max", n.input(0), spatialAxes(n), true));
}

static void importGlobalAveragePool(NodeImport &n) {
  int64_t count = 1;
  for (int64_t axis : spatialAxes(n))
    count *= n.shape(0)[axis];
  Value sum = n.reduce("sum", n.input(0), spatialAxes(n), true);
  n.set(0, n.binary<MulOp>(sum, n.splatLike(sum, 1.0 / double(count))));
}

static void importGlobalLpPool(NodeImport &n) {
  setNorm(n, [&](Value powers) {
    return n.reduce("sum", powers, spatialAxes(n), true);
  });
}

/// x / (bias + alpha / size * sum of squares over nearby channels) ^ beta: a
/// window that slides over channels.
static void importLRN(NodeImport &n) {
  Shape shape = n.shape(0);
  int64_t size = n.integer("size", 0), rest = 1;
  if (shape.size() < 2)
    n.invalid("its input has no channels");
  Window window{size, 1, 1, (size - 1) / 2, size - 1 - (size - 1) / 2};
  if (!window.isValid())
    n.invalid("its size is out of range");
  for (int64_t extent : spatialOf(shape))
    rest *= extent;
  Value x = n.input(0);
  Value squares =
      n.reshape(n.binary<MulOp>(x, x), {shape[0], 1, shape[1], rest});
  Value sum =
      n.reshape(pool(n, "sum", squares, {{window, Window()}, {}}), shape);
  Value scaled = n.binary<MulOp>(
      sum, n.splatLike(sum, n.real("alpha", 1e-4f) / double(size)));
  Value base = n.binary<AddOp>(scaled, n.splatLike(sum, n.real("bias", 1.0f)));
  Value power = n.binary<PowOp>(base, n.splatLike(sum, n.real("beta", 0.75f)));
  n.set(0, n.binary<DivOp>(x, power));
}

void importer::addConvolution(ImportTable &table) {
  table.add("Conv", 1, importConv);
  table.add("ConvTranspose", 1, importConvTranspose);
  table.add("MaxPool", 1, importMaxPool);
  table.add("AveragePool", 1, importAveragePool);
  table.add("LpPool", 1, importLpPool);
  table.add("GlobalMaxPool", 1, importGlobalMaxPool);
  table.add("GlobalAveragePool", 1, importGlobalAveragePool);
  table.add("GlobalLpPool", 1, importGlobalLpPool);
  table.add("LRN", 1, importLRN);
}
