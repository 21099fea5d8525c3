//===- Shape.cpp - Import of operators that change shapes -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// Zero copies a size (unless allowzero), one -1 takes what remains.
static void importReshape(NodeImport &n) {
  Shape from = n.shape(0), to = n.ints(1);
  bool allowZero = n.integer("allowzero", 0);
  int64_t known = 1, unknown = -1;
  for (size_t d = 0; d < to.size(); ++d) {
    if (to[d] == 0 && !allowZero) {
      if (d >= from.size())
        n.invalid("copies a dimension that its input does not have");
      to[d] = from[d];
    }
    if (to[d] < -1 || (to[d] == -1 && unknown >= 0))
      n.invalid("has an impossible shape");
    if (to[d] == -1)
      unknown = int64_t(d);
    else if (__builtin_mul_overflow(known, to[d], &known))
      n.invalid("has an impossible shape");
  }
  int64_t total = n.type(0).getNumElements();
  if (unknown >= 0) {
    if (known == 0 || total % known != 0)
      n.invalid("cannot reshape " + std::to_string(total) +
                " elements to rows of " + std::to_string(known));
    to[unknown] = total / known;
  }
  n.set(0, n.reshape(n.input(0), to));
}

static void importTranspose(NodeImport &n) {
  std::vector<int64_t> reversed;
  for (int64_t d = n.rank(0); d-- > 0;)
    reversed.push_back(d);
  n.set(0, n.transpose(n.input(0), n.integers("perm").value_or(reversed)));
}

static void importSqueeze(NodeImport &n) {
  std::optional<std::vector<int64_t>> given = n.integers("axes", 1);
  std::vector<int64_t> axes;
  if (given)
    axes = n.axes(*given, n.rank(0));
  Shape shape;
  for (int64_t d = 0; d < n.rank(0); ++d) {
    int64_t size = n.shape(0)[d];
    bool remove = given ? llvm::is_contained(axes, d) : size == 1;
    if (remove && size != 1)
      n.invalid("removes dimension " + std::to_string(d) + " of size " +
                std::to_string(size));
    if (!remove)
      shape.push_back(size);
  }
  n.set(0, n.reshape(n.input(0), shape));
}

static void importUnsqueeze(NodeImport &n) {
  std::vector<int64_t> given =
      n.integers("axes", 1).value_or(std::vector<int64_t>());
  int64_t rank = n.rank(0) + int64_t(given.size());
  std::vector<int64_t> axes = n.axes(given, rank);
  Shape from = n.shape(0), shape;
  for (int64_t d = 0, next = 0; d < rank; ++d)
    shape.push_back(llvm::is_contained(axes, d) ? 1 : from[next++]);
  n.set(0, n.reshape(n.input(0), shape));
}

static void importFlatten(NodeImport &n) {
  int64_t axis = n.integer("axis", 1), rank = n.rank(0);
  if (axis < -rank || axis > rank)
    n.invalid("axis " + std::to_string(axis) + " is out of range");
  axis = axis < 0 ? axis + rank : axis;
  int64_t rows = 1, columns = 1;
  for (int64_t d = 0; d < rank; ++d)
    (d < axis ? rows : columns) *= n.shape(0)[d];
  n.set(0, n.reshape(n.input(0), {rows, columns}));
}

static void importExpand(NodeImport &n) {
  Shape from = n.shape(0), to = n.ints(1);
  if (from.size() > to.size())
    to.insert(to.begin(), from.size() - to.size(), 1);
  size_t offset = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d)
    if (to[offset + d] == 1)
      to[offset + d] = from[d];
  n.set(0, n.inputAs(0, to));
}

/// Repeats dimension d r times: a new dimension before it, then joined.
static void importTile(NodeImport &n) {
  Shape from = n.shape(0), repeats = n.ints(1), wide, joined;
  if (repeats.size() != from.size())
    n.invalid("does not say how often each dimension is repeated");
  std::vector<int64_t> dims;
  for (size_t d = 0; d < from.size(); ++d) {
    if (repeats[d] < 0)
      n.invalid("repeats a dimension a negative number of times");
    wide.push_back(repeats[d]);
    dims.push_back(int64_t(wide.size()));
    wide.push_back(from[d]);
  }
  n.makeType(wide, n.element(0));
  for (size_t d = 0; d < from.size(); ++d) {
    joined.push_back(0);
    if (__builtin_mul_overflow(repeats[d], from[d], &joined.back()))
      n.invalid("its result is too large");
  }
  if (joined == from)
    return n.set(0, n.imported(0));
  n.set(0, n.reshape(n.broadcast(n.input(0), wide, dims), joined));
}

static void importConcat(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 1), n.rank(0));
  Shape shape = n.shape(0);
  SmallVector<Value> parts;
  shape[axis] = 0;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    Shape part = n.shape(i);
    if (part.size() != shape.size() || n.element(i) != n.element(0))
      n.invalid("its inputs differ in rank or element type");
    for (size_t d = 0; d < shape.size(); ++d)
      if (int64_t(d) != axis && part[d] != shape[d])
        n.invalid("its inputs differ in dimension " + std::to_string(d));
    if (__builtin_add_overflow(shape[axis], part[axis], &shape[axis]))
      n.invalid("its result is too large");
    if (part[axis] != 0)
      parts.push_back(n.input(i));
  }
  if (parts.empty())
    parts.push_back(n.input(0));
  if (parts.size() == 1)
    return n.set(0, parts[0]);
  n.set(0, n.create<ConcatOp>(n.makeType(shape, n.element(0)), parts, axis));
}

/// The sizes of the parts: given, or as equal as possible with the last one
/// smaller.
static std::vector<int64_t> partSizes(NodeImport &n, int64_t size) {
  if (auto given = n.integers("split", 1))
    return *given;
  int64_t count = n.integer("num_outputs", int64_t(n.numOutputs()));
  if (count < 1 || count > size)
    n.invalid("cuts " + std::to_string(size) + " elements into " +
              std::to_string(count) + " parts");
  int64_t each = (size + count - 1) / count;
  std::vector<int64_t> sizes(count, each);
  sizes.back() = size - each * (count - 1);
  return sizes;
}

static void importSplit(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
  Shape shape = n.shape(0);
  std::vector<int64_t> sizes = partSizes(n, shape[axis]);
  int64_t total = 0;
  SmallVector<Type> types;
  for (int64_t size : sizes) {
    if (size < 0 || __builtin_add_overflow(total, size, &total))
      n.invalid("has a part of an impossible size");
    Shape part = shape;
    part[axis] = size;
    types.push_back(n.makeType(part, n.element(0)));
  }
  if (total != shape[axis] || sizes.size() != n.numOutputs())
    n.invalid("its parts do not make up its input");
  if (sizes.size() == 1)
    return n.set(0, n.imported(0));
  auto split = n.createOp<SplitOp>(types, n.input(0), axis);
  for (size_t i = 0; i < sizes.size(); ++i)
    n.set(i, split.getResult(i));
}

/// Channels to blocks of pixels; DCR and CRD say which varies faster.
static void importDepthToSpace(NodeImport &n) {
  int64_t b = n.integer("blocksize", 0);
  Shape s = n.shape(0);
  if (s.size() != 4 || b < 1 || b > 65536 || s[1] % (b * b) != 0)
    n.invalid("its channels do not divide into blocks");
  int64_t c = s[1] / (b * b);
  bool crd = n.string("mode", "DCR") == "CRD";
  Value x = crd ? n.reshape(n.input(0), {s[0], c, b, b, s[2], s[3]})
                : n.reshape(n.input(0), {s[0], b, b, c, s[2], s[3]});
  x = crd ? n.transpose(x, {0, 1, 4, 2, 5, 3})
          : n.transpose(x, {0, 3, 4, 1, 5, 2});
  n.set(0, n.reshape(x, {s[0], c, s[2] * b, s[3] * b}));
}

static void importSpaceToDepth(NodeImport &n) {
  int64_t b = n.integer("blocksize", 0);
  Shape s = n.shape(0);
  if (s.size() != 4 || b < 1 || b > 65536 || s[2] % b != 0 || s[3] % b != 0)
    n.invalid("its pixels do not divide into blocks");
  Value x = n.reshape(n.input(0), {s[0], s[1], s[2] / b, b, s[3] / b, b});
  x = n.transpose(x, {0, 3, 5, 1, 2, 4});
  n.set(0, n.reshape(x, {s[0], s[1] * b * b, s[2] / b, s[3] / b}));
}

void importer::addShape(ImportTable &table) {
  table.add("Reshape", 5, importReshape);
  table.add("Transpose", 1, importTranspose);
  table.add("Squeeze", 1, importSqueeze);
  table.add("Unsqueeze", 1, importUnsqueeze);
  table.add("Flatten", 1, importFlatten);
  table.add("Expand", 8, importExpand);
  table.add("Tile", 6, importTile);
  table.add("Concat", 4, importConcat);
  table.add("Split", 2, importSplit);
  table.add("DepthToSpace", 1, importDepthToSpace);
  table.add("SpaceToDepth", 1, importSpaceToDepth);
}
