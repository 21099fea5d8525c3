//===- Generators.cpp - Import of constants, ranges and branches ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

static void importConstant(NodeImport &n) {
  std::string name = n.node.output_size() ? n.node.output(0) : "";
  if (const auto *value = n.attribute("value"))
    return n.set(0, n.graph.tensor(value->t(), name));
  auto fill = [&](DType dtype, int count, bool scalar, auto get) {
    HostTensor tensor(dtype, scalar ? Shape{} : Shape{count});
    for (int i = 0; i < count; ++i)
      get(tensor, i);
    n.setConstant(0, std::move(tensor));
  };
  if (const auto *a = n.attribute("value_float"))
    return fill(DType::F32, 1, true,
                [&](HostTensor &t, int i) { t.setDouble(i, a->f()); });
  if (const auto *a = n.attribute("value_int"))
    return fill(DType::I64, 1, true,
                [&](HostTensor &t, int i) { t.setInt(i, a->i()); });
  if (const auto *a = n.attribute("value_floats"))
    return fill(DType::F32, a->floats_size(), false,
                [&](HostTensor &t, int i) { t.setDouble(i, a->floats(i)); });
  if (const auto *a = n.attribute("value_ints"))
    return fill(DType::I64, a->ints_size(), false,
                [&](HostTensor &t, int i) { t.setInt(i, a->ints(i)); });
  n.unsupported("its value is not a dense tensor of numbers");
}

static void importConstantOfShape(NodeImport &n) {
  Shape shape = n.ints(0);
  HostTensor value(DType::F32, {1});
  const NarrowType *narrow = nullptr;
  if (const auto *attribute = n.attribute("value")) {
    value = n.graph.file.read(attribute->t());
    narrow = narrowType(attribute->t().data_type());
  }
  if (value.numElements() != 1)
    n.invalid("its value is not one number");
  for (int64_t size : shape)
    if (size < 0)
      n.invalid("has a negative size");
  Type element = getElementType(n.builder.getContext(), value.dtype());
  n.setNarrow(0, n.splat(n.makeType(shape, element), value.getDouble(0)),
              narrow);
}

/// An iota. Where it is short its elements are known too, for operators whose
/// shapes depend on them, but what computes with it stays.
static void importRange(NodeImport &n) {
  double start = n.scalar(0), limit = n.scalar(1), delta = n.scalar(2);
  if (delta == 0 || !std::isfinite(start) || !std::isfinite(limit) ||
      !std::isfinite(delta))
    n.invalid("has a step of zero");
  double count = std::max(0.0, std::ceil((limit - start) / delta));
  if (count > double(int64_t(1) << 40))
    n.invalid("has too many elements");
  RankedTensorType type = n.makeType({int64_t(count)}, n.element(0));
  n.set(0, n.iota(type, 0, start, delta));
  if (count > 256)
    return;
  HostTensor elements(*getDType(n.element(0)), {int64_t(count)});
  for (int64_t i = 0; i < int64_t(count); ++i)
    elements.setDouble(i, start + double(i) * delta);
  n.addElements(0, std::move(elements));
}

/// True where row + k compares to column as `predicate` says.
static Value triangle(NodeImport &n, const Shape &shape, int64_t k,
                      const char *predicate) {
  Type i64 = n.builder.getI64Type();
  int64_t rank = int64_t(shape.size());
  RankedTensorType type = n.makeType(shape, i64);
  return n.compare(predicate, n.iota(type, rank - 2, double(k), 1),
                   n.iota(type, rank - 1, 0, 1));
}

static void importTrilu(NodeImport &n) {
  int64_t k = n.has(1) ? n.scalarInt(1) : 0;
  if (n.rank(0) < 2)
    n.invalid("its input is not a matrix");
  // Beyond the matrix k changes nothing, and stays exact as a double.
  int64_t most = n.shape(0)[n.rank(0) - 1] + n.shape(0)[n.rank(0) - 2];
  k = std::clamp(k, -most, most);
  bool upper = n.integer("upper", 1);
  Value x = n.input(0);
  Value keep = triangle(n, n.shape(0), k, upper ? "le" : "ge");
  n.set(0, n.create<SelectOp>(x.getType(), keep, x, n.splatLike(x, 0)));
}

static void importEyeLike(NodeImport &n) {
  Shape shape = n.shape(0);
  if (shape.size() != 2)
    n.invalid("its input is not a matrix");
  Type element = n.attribute("dtype")
                     ? n.graphElementType(int(n.integer("dtype", 1)))
                     : n.element(0);
  int64_t k = std::clamp<int64_t>(n.integer("k", 0), -shape[0], shape[1]);
  n.set(0, n.cast(triangle(n, shape, k, "eq"), element));
}

static void importShape(NodeImport &n) {
  int64_t rank = n.rank(0);
  auto bound = [&](const char *name, int64_t otherwise) {
    int64_t value = n.integer(name, otherwise);
    return std::clamp<int64_t>(value < 0 ? value + rank : value, 0, rank);
  };
  int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
  HostTensor sizes(DType::I64, {end - start});
  for (int64_t d = start; d < end; ++d)
    sizes.setInt(d - start, n.shape(0)[d]);
  n.setConstant(0, std::move(sizes));
}

static void importSize(NodeImport &n) {
  HostTensor size(DType::I64, {});
  size.setInt(0, n.type(0).getNumElements());
  n.setConstant(0, std::move(size));
}

void importer::addGenerators(ImportTable &table) {
  table.add("Constant", 1, importConstant);
  table.add("ConstantOfShape", 9, importConstantOfShape);
  table.add("Range", 11, importRange);
  table.add("Trilu", 14, importTrilu);
  table.add("EyeLike", 9, importEyeLike);
  table.add("Shape", 1, importShape);
  table.add("Size", 1, importSize);
}
