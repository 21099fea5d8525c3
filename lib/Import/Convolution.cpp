//===- Convolution.cpp - Import of convolutions and pools -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What ONNX leaves to be worked out ends here: automatic pads, sizes that are
// rounded up, output shapes that imply pads. Only windows with explicit pads
// are left. Averages, norms of windows and normalisation across channels are
// sums under windows with arithmetic around them.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Convolution.h"
#include "NodeImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

namespace {
/// Windows of a node, one for each spatial dimension, with explicit pads.
struct NodeWindows {
  std::vector<Window> windows;
  /// What the node itself pads at the end; windows that reach beyond are there
  /// because their number was rounded up.
  std::vector<int64_t> statedEnd;

  std::vector<int64_t> get(int64_t Window::*number) const {
    std::vector<int64_t> result;
    for (const Window &window : windows)
      result.push_back(window.*number);
    return result;
  }
};
} // namespace

/// One number for each spatial dimension.
static std::vector<int64_t> perDimension(NodeImport &n, const char *name,
                                         size_t count, int64_t otherwise) {
  std::vector<int64_t> numbers =
      n.integers(name).value_or(std::vector<int64_t>(count, otherwise));
  if (numbers.size() != count)
    n.invalid(std::string("its ") + name + " has " +
              std::to_string(numbers.size()) + " numbers where there are " +
              std::to_string(count));
  return numbers;
}

static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Splits `total` elements of padding into two halves; the odd one goes to the
/// end for SAME_UPPER.
static void splitPads(Window &window, int64_t total, bool upper) {
  window.padBegin = upper ? total / 2 : total - total / 2;
  window.padEnd = total - window.padBegin;
}

/// Kernel, strides and dilations, and pads as far as the node states them.
static NodeWindows statedWindows(NodeImport &n, ArrayRef<int64_t> kernel) {
  size_t count = kernel.size();
  if (count < 1)
    n.invalid("its input has no spatial dimensions");
  if (count > 3)
    n.unsupported("it has more than three spatial dimensions");
  std::vector<int64_t> strides = perDimension(n, "strides", count, 1),
                       dilations = perDimension(n, "dilations", count, 1),
                       pads = perDimension(n, "pads", 2 * count, 0);
  bool automatic = n.string("auto_pad", "NOTSET") != "NOTSET";
  NodeWindows result;
  for (size_t d = 0; d < count; ++d) {
    result.windows.push_back({kernel[d], strides[d], dilations[d],
                              automatic ? 0 : pads[d],
                              automatic ? 0 : pads[count + d]});
    if (!result.windows.back().isValid())
      n.invalid("its window along spatial dimension " + std::to_string(d) +
                    " is out of range",
                "kernel sizes, strides and dilations are positive, pads are "
                "not negative");
    result.statedEnd.push_back(result.windows.back().padEnd);
  }
  return result;
}

/// The windows over an input of these sizes.
static NodeWindows windowsOver(NodeImport &n, ArrayRef<int64_t> kernel,
                               ArrayRef<int64_t> sizes) {
  NodeWindows result = statedWindows(n, kernel);
  std::string automatic = n.string("auto_pad", "NOTSET");
  bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (!same && automatic != "VALID" && automatic != "NOTSET")
    n.invalid("its auto_pad is \"" + automatic + "\"");
  bool roundsUp = n.integer("ceil_mode", 0) != 0 && automatic == "NOTSET";
  for (auto [d, window] : llvm::enumerate(result.windows)) {
    int64_t size = sizes[d];
    if (same) {
      int64_t positions = ceilDiv(size, window.stride);
      int64_t total = std::max<int64_t>(0, (positions - 1) * window.stride +
                                               window.extent() - size);
      splitPads(window, total, automatic == "SAME_UPPER");
      result.statedEnd[d] = window.padEnd;
    }
    std::optional<int64_t> positions = window.positions(size);
    if (!positions)
      n.invalid("its window of " + std::to_string(window.extent()) +
                " elements is larger than spatial dimension " +
                std::to_string(d) + " of " + std::to_string(size) +
                " with its pads");
    if (!roundsUp)
      continue;
    // One more window, if it begins before the pads at the end do.
    int64_t reach = *positions * window.stride;
    int64_t end = reach + window.extent() - size - window.padBegin;
    if (end > window.padEnd && end < window.padEnd + window.stride &&
        reach < size + window.padBegin)
      window.padEnd = end;
  }
  return result;
}

/// Creates an operation whose types its operands and attributes decide; what
/// does not fit together is an error of the node.
template <typename Op>
static Value createInferred(NodeImport &n, ValueRange operands,
                            const typename Op::Properties &properties) {
  std::string message;
  SmallVector<Type> types;
  {
    ScopedDiagnosticHandler handler(n.builder.getContext(), [&](Diagnostic &d) {
      message += (message.empty() ? "" : "; ") + d.str();
    });
    typename Op::Adaptor adaptor(operands, DictionaryAttr(), properties);
    if (failed(Op::inferReturnTypes(n.builder.getContext(), n.location(),
                                    adaptor, types)))
      n.invalid("does not make sense: " + message);
  }
  auto type = mlir::cast<RankedTensorType>(types[0]);
  n.makeType(type.getShape(), type.getElementType());
  return n.create<Op>(TypeRange(types), operands, properties);
}

template <typename Properties>
static Properties windowProperties(NodeImport &n, const NodeWindows &windows) {
  Properties p;
  p.strides = n.builder.getDenseI64ArrayAttr(windows.get(&Window::stride));
  p.dilations = n.builder.getDenseI64ArrayAttr(windows.get(&Window::dilation));
  p.pads_begin = n.builder.getDenseI64ArrayAttr(windows.get(&Window::padBegin));
  p.pads_end = n.builder.getDenseI64ArrayAttr(windows.get(&Window::padEnd));
  return p;
}

static Shape spatialOf(const Shape &shape) {
  return shape.size() < 2 ? Shape() : Shape(shape.begin() + 2, shape.end());
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

/// The node's kernel, which the weight's shape tells and an attribute may
/// repeat.
static Shape kernelOf(NodeImport &n, size_t weight) {
  if (n.rank(0) < 3 || n.rank(weight) != n.rank(0))
    n.invalid("its input and weight do not have the same three or more "
              "dimensions");
  Shape kernel = spatialOf(n.shape(weight));
  if (n.integers("kernel_shape").value_or(kernel) != kernel)
    n.invalid("its kernel_shape is not that of its weight");
  return kernel;
}

/// The result with the bias, if the node has one, added to each channel.
static void setWithBias(NodeImport &n, Value result, size_t bias) {
  if (n.has(bias)) {
    if (n.rank(bias) != 1)
      n.invalid("its bias is not one number for each channel");
    result = n.binary<AddOp>(result,
                             n.broadcast(n.input(bias), shapeOf(result), {1}));
  }
  n.set(0, result);
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

static Value convolve(NodeImport &n, Value input, Value weight) {
  NodeWindows windows = windowsOver(n, kernelOf(n, 1), spatialOf(n.shape(0)));
  // The operation tells the groups from the shapes.
  int64_t groups = n.integer("group", 1), channels = n.shape(0)[1];
  if (groups < 1 || groups > channels || n.shape(1)[1] != channels / groups ||
      channels % groups != 0)
    n.invalid("its weight does not fit " + std::to_string(channels) +
              " channels in " + std::to_string(groups) + " groups");
  if (groups == 1 && arePatches(windows.windows))
    return multiplyPatches(n, input, weight, windows.windows);
  return createInferred<ConvOp>(
      n, {input, weight}, windowProperties<ConvOp::Properties>(n, windows));
}

static void importConv(NodeImport &n) {
  setWithBias(n, convolve(n, n.input(0), n.input(1)), 2);
}

/// Elements less their zero point, as i32. The zero point is one for all, or
/// one for each index of dimension 0.
static Value centred(NodeImport &n, size_t i, size_t zeroPoint) {
  Type i32 = n.builder.getI32Type();
  Value value = n.cast(n.input(i), i32);
  if (!n.has(zeroPoint))
    return value;
  Value zero = n.cast(n.input(zeroPoint), i32);
  Shape shape = n.shape(i);
  if (n.rank(zeroPoint) == 1 && n.shape(zeroPoint)[0] != 1)
    zero = n.broadcast(zero, shape, {0});
  else
    zero = n.broadcast(n.reshape(zero, {}), shape);
  return n.binary<SubOp>(value, zero);
}

static void importConvInteger(NodeImport &n) {
  Value input = centred(n, 0, 2), weight = centred(n, 1, 3);
  n.set(0, convolve(n, input, weight));
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
  NodeWindows windows = statedWindows(n, kernelOf(n, 1));
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
  setWithBias(
      n, createInferred<ConvTransposeOp>(n, {n.input(0), n.input(1)}, p), 2);
}

//===----------------------------------------------------------------------===//
// Pools
//===----------------------------------------------------------------------===//

static Value pool(NodeImport &n, const char *kind, Value input,
                  const NodeWindows &windows) {
  auto p = windowProperties<PoolOp::Properties>(n, windows);
  p.kind = n.builder.getStringAttr(kind);
  p.kernel = n.builder.getDenseI64ArrayAttr(windows.get(&Window::kernel));
  return createInferred<PoolOp>(n, {input}, p);
}

static NodeWindows poolWindows(NodeImport &n) {
  auto kernel = n.integers("kernel_shape");
  if (!kernel || n.rank(0) < 3 || kernel->size() + 2 != size_t(n.rank(0)))
    n.invalid("its kernel_shape is not one size a spatial dimension");
  return windowsOver(n, *kernel, spatialOf(n.shape(0)));
}

static void importMaxPool(NodeImport &n) {
  if (n.wants(1))
    n.unsupported("its indices are used");
  n.integer("storage_order", 0); // Of the indices.
  n.set(0, pool(n, "max", n.input(0), poolWindows(n)));
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
  table.add("ConvInteger", 10, importConvInteger);
  table.add("ConvTranspose", 1, importConvTranspose);
  table.add("MaxPool", 1, importMaxPool);
  table.add("AveragePool", 1, importAveragePool);
  table.add("LpPool", 1, importLpPool);
  table.add("GlobalMaxPool", 1, importGlobalMaxPool);
  table.add("GlobalAveragePool", 1, importGlobalAveragePool);
  table.add("GlobalLpPool", 1, importGlobalLpPool);
  table.add("LRN", 1, importLRN);
}
