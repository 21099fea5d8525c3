//===- Indexing.cpp - Import of slices, gathers and padding ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include <algorithm>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// Slice
//===----------------------------------------------------------------------===//

/// Counts `value` from the end if it is negative and keeps it in [low, high].
static int64_t clampIndex(int64_t value, int64_t size, int64_t low,
                          int64_t high) {
  if (value < 0)
    value = value < -size ? -1 : value + size;
  return std::clamp(value, low, high);
}

static void importSlice(NodeImport &n) {
  auto starts = n.integers("starts", 1), ends = n.integers("ends", 2);
  if (!starts || !ends)
    n.invalid("has no starts or no ends");
  std::vector<int64_t> all, ones(starts->size(), 1);
  for (size_t i = 0; i < starts->size(); ++i)
    all.push_back(int64_t(i));
  std::vector<int64_t> axes =
      n.axes(n.integers("axes", 3).value_or(all), n.rank(0));
  std::vector<int64_t> steps = n.has(4) ? n.ints(4) : ones;
  if (ends->size() != starts->size() || axes.size() != starts->size() ||
      steps.size() != starts->size())
    n.invalid("starts, ends, axes and steps have different lengths");
  Shape from = n.shape(0), to = from;
  std::vector<int64_t> first(from.size(), 0), step(from.size(), 1);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t d = axes[i], size = from[d], by = steps[i];
    if (by == 0 || by == INT64_MIN)
      n.invalid("has a step of " + std::to_string(by));
    int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
    int64_t begin =
        clampIndex((*starts)[i], size, std::min<int64_t>(0, high), high);
    int64_t end = clampIndex((*ends)[i], size, low, high);
    int64_t distance = by > 0 ? end - begin : begin - end;
    int64_t stride = by > 0 ? by : -by;
    to[d] = distance <= 0 ? 0 : (distance - 1) / stride + 1;
    first[d] = to[d] == 0 ? 0 : begin;
    // A step beyond the dimension takes one element.
    step[d] = to[d] <= 1 ? 1 : by;
  }
  if (to == from && step == std::vector<int64_t>(from.size(), 1))
    return n.set(0, n.imported(0));
  n.set(0, n.create<SliceOp>(n.makeType(to, n.element(0)), n.input(0), first,
                             step));
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

/// Known indices in equal steps are a slice, which moves nothing.
static bool gatherAsSlice(NodeImport &n, int64_t axis) {
  const HostTensor *indices = n.constant(1);
  if (!indices || indices->numElements() == 0)
    return false;
  int64_t size = n.shape(0)[axis], count = indices->numElements();
  auto index = [&](int64_t i) {
    int64_t value = indices->getInt(i);
    if (value < -size || value >= size)
      n.invalid("index " + std::to_string(value) +
                " is outside of a dimension of size " + std::to_string(size));
    return value < 0 ? value + size : value;
  };
  int64_t first = index(0), step = count > 1 ? index(1) - first : 1;
  for (int64_t i = 1; i < count; ++i)
    if (index(i) != first + i * step || step == 0)
      return false;
  Shape from = n.shape(0), cut = from, to(from.begin(), from.begin() + axis);
  cut[axis] = count;
  for (int64_t d : indices->shape())
    to.push_back(d);
  to.insert(to.end(), from.begin() + axis + 1, from.end());
  std::vector<int64_t> starts(from.size(), 0), steps(from.size(), 1);
  starts[axis] = first;
  steps[axis] = step;
  Value value = n.input(0);
  if (cut != from || step != 1)
    value =
        n.create<SliceOp>(n.makeType(cut, n.element(0)), value, starts, steps);
  n.set(0, n.reshape(value, to));
  return true;
}

static void importGather(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
  if (gatherAsSlice(n, axis))
    return;
  Shape shape = n.shape(0), indices = n.shape(1);
  Shape to(shape.begin(), shape.begin() + axis);
  to.insert(to.end(), indices.begin(), indices.end());
  to.insert(to.end(), shape.begin() + axis + 1, shape.end());
  n.makeType(to, n.element(0));
  n.set(0, n.create<GatherOp>(n.input(0), n.input(1), uint64_t(axis),
                              Attribute()));
}

//===----------------------------------------------------------------------===//
// Pad
//===----------------------------------------------------------------------===//

namespace {
/// What one dimension loses and gains at both ends.
struct Padding {
  int64_t axis, before, after;
};
} // namespace

/// Every `step`-th element of a dimension, `size` of them.
static Value strided(NodeImport &n, Value x, int64_t axis, int64_t start,
                     int64_t size, int64_t step) {
  Shape shape = shapeOf(x);
  std::vector<int64_t> starts(shape.size(), 0), steps(shape.size(), 1);
  shape[axis] = size;
  starts[axis] = start;
  steps[axis] = step;
  return n.create<SliceOp>(n.makeType(shape, getElementTypeOrSelf(x)), x,
                           starts, steps);
}

/// `count` elements that continue `x` before it or after it; of one value if
/// `fill` is given.
static Value border(NodeImport &n, const std::string &mode, Value x, Value fill,
                    int64_t axis, int64_t count, bool before) {
  Shape shape = shapeOf(x);
  int64_t size = shape[axis];
  shape[axis] = count;
  if (fill)
    return n.broadcast(fill, shape);
  if (size == 0)
    n.invalid("continues a dimension without elements");
  if (mode == "edge" || size == 1)
    return n.broadcast(n.slice(x, axis, before ? 0 : size - 1, 1), shape);
  int64_t most = mode == "reflect" ? size - 1 : size;
  if (count > most)
    n.unsupported("its mode \"" + mode + "\" goes over a dimension of size " +
                  std::to_string(size) + " more than once");
  if (mode == "wrap")
    return n.slice(x, axis, before ? size - count : 0, count);
  return strided(n, x, axis, before ? count : size - 2, count, -1);
}

/// The paddings of the dimensions that are named, or of all.
static std::vector<Padding> paddings(NodeImport &n) {
  std::vector<int64_t> pads =
      n.integers("pads", 1).value_or(std::vector<int64_t>());
  std::vector<int64_t> axes;
  for (int64_t d = 0; d < n.rank(0); ++d)
    axes.push_back(d);
  if (n.has(3))
    axes = n.axes(n.ints(3), n.rank(0));
  if (pads.size() != 2 * axes.size())
    n.invalid("does not have two paddings a dimension");
  std::vector<Padding> result;
  for (size_t i = 0; i < axes.size(); ++i)
    result.push_back({axes[i], pads[i], pads[axes.size() + i]});
  return result;
}

/// Removes what negative paddings take away; they are zero after it.
static Value cropped(NodeImport &n, Value x, std::vector<Padding> &paddings) {
  for (auto &[axis, before, after] : paddings) {
    int64_t size = shapeOf(x)[axis];
    if (std::min(before, after) < -size)
      n.invalid("removes more than there is");
    int64_t begin = std::max<int64_t>(-before, 0);
    int64_t kept = size - begin - std::max<int64_t>(-after, 0);
    if (kept < 0)
      n.invalid("removes more than there is");
    x = n.slice(x, axis, begin, kept);
    before = std::max<int64_t>(before, 0);
    after = std::max<int64_t>(after, 0);
    int64_t whole;
    if (__builtin_add_overflow(kept, before, &whole) ||
        __builtin_add_overflow(whole, after, &whole))
      n.invalid("its result is too large");
  }
  return x;
}

static Value padByConstant(NodeImport &n, Value x, double value,
                           const std::vector<Padding> &paddings) {
  Shape shape = shapeOf(x);
  std::vector<int64_t> low(shape.size(), 0), high(shape.size(), 0);
  for (auto [axis, before, after] : paddings) {
    low[axis] = before;
    high[axis] = after;
    shape[axis] += before + after;
  }
  if (shapeOf(x) == shape)
    return x;
  return n.create<PadOp>(n.makeType(shape, n.element(0)), x, low, high,
                         APFloat(value));
}

/// Parts of the tensor, or of a value that depends on data, joined to it.
static Value padByParts(NodeImport &n, Value x, const std::string &mode,
                        Value fill, const std::vector<Padding> &paddings) {
  for (auto [axis, before, after] : paddings) {
    SmallVector<Value> parts;
    if (before > 0)
      parts.push_back(border(n, mode, x, fill, axis, before, true));
    parts.push_back(x);
    if (after > 0)
      parts.push_back(border(n, mode, x, fill, axis, after, false));
    if (parts.size() == 1)
      continue;
    Shape shape = shapeOf(x);
    shape[axis] += before + after;
    x = n.create<ConcatOp>(n.makeType(shape, n.element(0)), parts, axis);
  }
  return x;
}

static void importPad(NodeImport &n) {
  std::string mode = n.string("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" &&
      mode != "wrap")
    n.invalid("its mode is \"" + mode + "\"");
  std::vector<Padding> all = paddings(n);
  bool valued = n.version >= 11 && n.has(2) && mode == "constant";
  std::optional<double> value = n.version < 11 ? n.real("value", 0)
                                : valued       ? n.knownScalar(2)
                                               : 0.0;
  Value x = cropped(n, n.input(0), all);
  if (mode == "constant" && value)
    return n.set(0, padByConstant(n, x, *value, all));
  Value fill = valued ? n.reshape(n.input(2), {}) : Value();
  n.set(0, padByParts(n, x, mode, fill, all));
}

/// Picks along the last dimension; a vector becomes a row.
static void importArrayFeatureExtractor(NodeImport &n) {
  int64_t count = n.type(1).getNumElements();
  Value data = n.input(0);
  if (n.rank(0) < 1 || count < 1)
    n.invalid("has nothing to pick, or picks nothing");
  if (n.rank(0) == 1)
    data = n.reshape(data, {1, n.shape(0)[0]});
  Shape shape = nn::shapeOf(data);
  uint64_t axis = shape.size() - 1;
  shape.back() = count;
  n.set(0,
        n.create<GatherOp>(n.makeType(shape, n.element(0)), data,
                           n.reshape(n.input(1), {count}), axis, Attribute()));
}

void importer::addIndexing(ImportTable &table) {
  table.add("ArrayFeatureExtractor", 1, importArrayFeatureExtractor,
            "ai.onnx.ml");
  table.add("Slice", 1, importSlice);
  table.add("Gather", 1, importGather);
  table.add("Pad", 2, importPad);
}
