//===- Selection.cpp - Import of top-k, gathers and scatters --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operators that pick or place elements by order, index or condition. Those
// that move rows at computed positions (ReverseSequence, TensorScatter) become
// gathers and scatters with indices made of iotas, whose batch dimensions
// split. Where the size of a result depends on values (NonZero, Unique,
// Compress), it must be known at import.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Selection.h"
#include "NodeImport.h"
#include <map>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// TopK
//===----------------------------------------------------------------------===//

/// Into how many equal parts the first of two rounds cuts a dimension: as many
/// as many powers of two divide, at most 64, so that ranks can share them; the
/// second round chooses from at most a quarter. 1: one round.
static int64_t topKParts(int64_t size, int64_t k) {
  constexpr int64_t smallest = 1024, most = 64;
  if (size < smallest || k == 0)
    return 1;
  auto rank = [](int64_t parts) { return std::pair(parts & -parts, parts); };
  int64_t best = 1;
  for (int64_t parts = 2; parts <= most && k <= size / (4 * parts); ++parts)
    if (size % parts == 0 && rank(parts) > rank(best))
      best = parts;
  return best;
}

/// The first k of `x` along an axis, and their indices. A long dimension takes
/// two rounds, of its parts and of what those choose: parts are a dimension
/// that can be split, a vocabulary over ranks for one, and only the chosen
/// move. Equal elements go by their indices in both rounds, so that the result
/// is that of one.
static std::pair<Value, Value> topK(NodeImport &n, Value x, int64_t axis,
                                    int64_t k, bool largest) {
  auto oneRound = [&](Value from, int64_t along) {
    Shape shape = shapeOf(from);
    shape[along] = k;
    auto top = n.createOp<TopKOp>(n.makeType(shape, getElementTypeOrSelf(x)),
                                  n.makeType(shape, n.builder.getI64Type()),
                                  from, along, largest);
    return std::pair<Value, Value>(top.getValues(), top.getIndices());
  };
  Shape shape = shapeOf(x);
  int64_t parts = topKParts(shape[axis], k);
  if (parts == 1)
    return oneRound(x, axis);
  int64_t each = shape[axis] / parts;
  shape[axis] = parts;
  shape.insert(shape.begin() + axis + 1, each);
  auto [values, indices] = oneRound(n.reshape(x, shape), axis + 1);
  Value first =
      n.iota(cast<RankedTensorType>(indices.getType()), axis, 0, each);
  indices = n.binary<AddOp>(indices, first);
  shape[axis] = parts * k;
  shape.erase(shape.begin() + axis + 1);
  indices = n.reshape(indices, shape);
  auto [best, places] = oneRound(n.reshape(values, shape), axis);
  return {best, n.create<GatherElementsOp>(places.getType(), indices, places,
                                           uint64_t(axis), Attribute())};
}

static void importTopK(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", -1), n.rank(0));
  int64_t k = n.version < 10 ? n.integer("k", 0) : n.scalarInt(1);
  Shape shape = n.shape(0);
  if (k < 0 || k > shape[axis])
    n.invalid("takes " + std::to_string(k) + " of " +
              std::to_string(shape[axis]) + " elements");
  // In order is any order.
  n.integer("sorted", 1);
  auto [values, indices] =
      topK(n, n.input(0), axis, k, n.integer("largest", 1) != 0);
  n.set(0, values);
  n.set(1, indices);
}

//===----------------------------------------------------------------------===//
// Gathers and scatters
//===----------------------------------------------------------------------===//

static void importGatherElements(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
  n.set(0, n.create<GatherElementsOp>(n.makeType(n.shape(1), n.element(0)),
                                      n.input(0), n.input(1), uint64_t(axis),
                                      Attribute()));
}

/// Slices of `data` at vectors of indices, whose batch dimensions are its first
/// ones.
static Value gatherND(NodeImport &n, Value data, Value indices, int64_t batch) {
  Shape from = nn::shapeOf(data), at = nn::shapeOf(indices);
  int64_t depth = at.empty() ? 0 : at.back();
  if (batch < 0 || batch >= int64_t(at.size()) || depth < 1 ||
      depth > int64_t(from.size()) - batch)
    n.invalid("its indices do not fit its data");
  Shape shape(at.begin(), at.end() - 1);
  shape.insert(shape.end(), from.begin() + batch + depth, from.end());
  return n.create<GatherNDOp>(n.makeType(shape, getElementTypeOrSelf(data)),
                              data, indices, uint64_t(batch), Attribute());
}

static void importGatherND(NodeImport &n) {
  n.set(0, gatherND(n, n.input(0), n.input(1), n.integer("batch_dims", 0)));
}

static void importScatterElements(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
  n.set(0, n.create<ScatterElementsOp>(n.type(0), n.string("reduction", "none"),
                                       n.input(0), n.input(1), n.input(2),
                                       uint64_t(axis), Attribute()));
}

static void importScatterND(NodeImport &n) {
  n.set(0, n.create<ScatterNDOp>(n.type(0), n.string("reduction", "none"),
                                 n.input(0), n.input(1), n.input(2),
                                 uint64_t(0), Attribute()));
}

//===----------------------------------------------------------------------===//
// Rows at computed positions
//===----------------------------------------------------------------------===//

/// Element t of a sequence of length s comes from s - 1 - t, behind its end
/// from where it is.
static void importReverseSequence(NodeImport &n) {
  int64_t time = n.integer("time_axis", 0), batch = n.integer("batch_axis", 1);
  if (n.rank(0) < 2 || time + batch != 1 || time * batch != 0)
    n.invalid("its time and batch axes are not the first two dimensions");
  Shape shape = n.shape(0);
  if (n.shape(1) != Shape{shape[batch]})
    n.invalid("does not have one length a sequence");
  std::vector<int64_t> permutation;
  for (int64_t d = 0; d < n.rank(0); ++d)
    permutation.push_back(d);
  std::swap(permutation[0], permutation[batch]);

  Type i64 = n.builder.getI64Type();
  Shape indexShape = {shape[batch], shape[time], 1};
  Value length = n.broadcast(n.cast(n.input(1), i64), indexShape, {0});
  Value step = n.iota(n.makeType(indexShape, i64), 1, 0, 1);
  Value last = n.binary<SubOp>(length, n.splatLike(length, 1));
  Value from = n.create<SelectOp>(step.getType(), n.compare("lt", step, length),
                                  n.binary<SubOp>(last, step), step);
  Value rows = n.transpose(n.input(0), permutation);
  n.set(0, n.transpose(gatherND(n, rows, from, 1), permutation));
}

/// Writes the steps of an update into a cache, each sequence of the batch from
/// its own position on. All dimensions before the axis are batch dimensions of
/// the scatter, so that they split.
static void importTensorScatter(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", -2), n.rank(0));
  std::string mode = n.string("mode", "linear");
  if (axis == 0 || (mode != "linear" && mode != "circular"))
    n.invalid("its axis or its mode is impossible");
  Shape cache = n.shape(0), update = n.shape(1);
  if (update.size() != cache.size())
    n.invalid("its update does not have the rank of its cache");
  Type i64 = n.builder.getI64Type();
  Shape shape(update.begin(), update.begin() + axis + 1);
  shape.push_back(1);
  Value at = n.iota(n.makeType(shape, i64), axis, 0, 1);
  if (n.has(2)) {
    if (n.shape(2) != Shape{cache[0]})
      n.invalid("does not have one position a sequence");
    at = n.binary<AddOp>(at, n.broadcast(n.cast(n.input(2), i64), shape, {0}));
  }
  if (mode == "circular")
    at = n.binary<ModOp>(at, n.splatLike(at, double(cache[axis])));
  n.set(0, n.create<ScatterNDOp>(n.type(0), "none", n.input(0), at, n.input(1),
                                 uint64_t(axis), Attribute()));
}

//===----------------------------------------------------------------------===//
// One-hot
//===----------------------------------------------------------------------===//

/// The on value where the index of the new dimension is the given one, which
/// counts from the end if negative. An index out of range is nowhere.
static void importOneHot(NodeImport &n) {
  double size = n.scalar(1);
  int64_t axis = n.axis(n.integer("axis", -1), n.rank(0) + 1);
  if (!(size >= 1 && size < 1e15))
    n.invalid("its depth is not a size");
  if (n.shape(2) != Shape{2})
    n.invalid("does not have two values");
  Shape shape = n.shape(0);
  shape.insert(shape.begin() + axis, int64_t(size));
  std::vector<int64_t> dims;
  for (int64_t d = 0; d < int64_t(shape.size()); ++d)
    if (d != axis)
      dims.push_back(d);
  Type i64 = n.builder.getI64Type();
  Value index = n.cast(n.input(0), i64);
  Value fromEnd = n.binary<AddOp>(index, n.splatLike(index, size));
  index = n.create<SelectOp>(index.getType(),
                             n.compare("lt", index, n.splatLike(index, 0)),
                             fromEnd, index);
  Value hit = n.compare("eq", n.broadcast(index, shape, dims),
                        n.iota(n.makeType(shape, i64), axis, 0, 1));
  RankedTensorType type = n.makeType(shape, n.element(2));
  auto value = [&](int64_t i) {
    if (const HostTensor *known = n.constant(2))
      return n.splat(type, known->getDouble(i));
    return n.broadcast(n.slice(n.input(2), 0, i, 1), shape);
  };
  n.set(0, n.create<SelectOp>(type, hit, value(1), value(0)));
}

//===----------------------------------------------------------------------===//
// What is known at import
//===----------------------------------------------------------------------===//

/// An input whose elements decide the shape of the result.
static const HostTensor &knownInput(NodeImport &n, size_t i) {
  const HostTensor *tensor = n.constant(i);
  n.imported(i);
  if (!tensor)
    n.unsupported("its shape depends on data");
  return *tensor;
}

static HostTensor indexTensor(NodeImport &n, const Shape &shape,
                              const std::vector<int64_t> &values) {
  if (values.size() * sizeof(int64_t) > NodeImport::maxConstantBytes)
    n.unsupported("its shape depends on much data");
  HostTensor tensor(DType::I64, shape);
  for (size_t i = 0; i < values.size(); ++i)
    tensor.setInt(int64_t(i), values[i]);
  return tensor;
}

static void importNonZero(NodeImport &n) {
  const HostTensor &x = knownInput(n, 0);
  std::vector<int64_t> hits;
  for (int64_t i = 0; i < x.numElements(); ++i)
    if (isFloat(x.dtype()) ? x.getDouble(i) != 0 : x.getInt(i) != 0)
      hits.push_back(i);
  std::vector<int64_t> strides = rowMajorStrides(x.shape()), indices;
  for (int64_t d = 0; d < x.rank(); ++d)
    for (int64_t hit : hits)
      indices.push_back(hit / strides[d] % x.shape()[d]);
  n.setConstant(0, indexTensor(n, {x.rank(), int64_t(hits.size())}, indices));
}

/// A gather at the positions where the condition holds.
static void importCompress(NodeImport &n) {
  const HostTensor &condition = knownInput(n, 1);
  bool flat = !n.attribute("axis");
  Value data = n.input(0);
  if (flat)
    data = n.reshape(data, {n.type(0).getNumElements()});
  Shape shape = nn::shapeOf(data);
  int64_t axis = flat ? 0 : n.axis(n.integer("axis", 0), int64_t(shape.size()));
  if (condition.numElements() > shape[axis])
    n.invalid("its condition is longer than its dimension");
  std::vector<int64_t> hits;
  for (int64_t i = 0; i < condition.numElements(); ++i)
    if (condition.getInt(i))
      hits.push_back(i);
  int64_t count = int64_t(hits.size());
  shape[axis] = count;
  n.set(0, n.create<GatherOp>(n.makeType(shape, n.element(0)), data,
                              n.constantValue(indexTensor(n, {count}, hits)),
                              uint64_t(axis), Attribute()));
}

/// Of a flat input; the four results are known with it.
static void importUnique(NodeImport &n) {
  const HostTensor &x = knownInput(n, 0);
  if (n.attribute("axis") && n.rank(0) != 1)
    n.unsupported("it compares slices");
  struct Found {
    int64_t first, count;
  };
  bool sorted = n.integer("sorted", 1);
  std::map<double, Found> found;
  for (int64_t i = 0; i < x.numElements(); ++i) {
    double value = x.getDouble(i);
    // Doubles tell all floats apart, and most integers; NaN equals nothing.
    if (value != value ||
        (!isFloat(x.dtype()) && std::abs(value) > double(int64_t(1) << 53)))
      n.unsupported("its values are not told apart");
    ++found.try_emplace(value, Found{i, 0}).first->second.count;
  }
  std::vector<std::pair<double, Found>> order(found.begin(), found.end());
  if (!sorted)
    llvm::sort(order, [](const auto &a, const auto &b) {
      return a.second.first < b.second.first;
    });
  std::vector<int64_t> first, counts, inverse;
  std::map<double, int64_t> position;
  HostTensor values(x.dtype(), {int64_t(order.size())});
  for (auto &[value, entry] : order) {
    int64_t at = int64_t(first.size());
    position[value] = at;
    values.setDouble(at, value);
    first.push_back(entry.first);
    counts.push_back(entry.count);
  }
  for (int64_t i = 0; i < x.numElements(); ++i)
    inverse.push_back(position[x.getDouble(i)]);
  n.setConstant(0, values);
  int64_t size = int64_t(order.size());
  const std::pair<const std::vector<int64_t> &, int64_t> rest[] = {
      {first, size}, {inverse, x.numElements()}, {counts, size}};
  for (size_t i = 0; i < 3; ++i)
    if (n.wants(i + 1))
      n.setConstant(i + 1, indexTensor(n, {rest[i].second}, rest[i].first));
}

void importer::addSelection(ImportTable &table) {
  table.add("TopK", 1, importTopK);
  table.add("GatherElements", 11, importGatherElements);
  table.add("GatherND", 11, importGatherND);
  table.add("Scatter", 9, importScatterElements);
  table.add("ScatterElements", 11, importScatterElements);
  table.add("ScatterND", 11, importScatterND);
  table.add("ReverseSequence", 10, importReverseSequence);
  table.add("TensorScatter", 24, importTensorScatter);
  table.add("OneHot", 9, importOneHot);
  table.add("NonZero", 9, importNonZero);
  table.add("Compress", 9, importCompress);
  table.add("Unique", 11, importUnique);
}
