//===- Reduction.cpp - Import of reductions and softmax -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include "dialects/nn/Recurrent.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// The reduced dimensions: an attribute in older versions, an input in newer;
/// none given means all, or none with noop_with_empty_axes.
static std::vector<int64_t> reducedAxes(NodeImport &n) {
  std::vector<int64_t> axes =
      n.integers("axes", 1).value_or(std::vector<int64_t>());
  if (axes.empty() && !n.integer("noop_with_empty_axes", 0))
    for (int64_t d = 0; d < n.rank(0); ++d)
      axes.push_back(d);
  axes = n.axes(axes, n.rank(0));
  llvm::sort(axes);
  return axes;
}

static bool keepsDims(NodeImport &n) { return n.integer("keepdims", 1); }

static ImportFunction reduceBy(const char *kind) {
  return [kind](NodeImport &n) {
    n.set(0, n.reduce(kind, n.input(0), reducedAxes(n), keepsDims(n)));
  };
}

/// A mean is a sum and a scale, so that partial sums flow through it.
static void importReduceMean(NodeImport &n) {
  std::vector<int64_t> axes = reducedAxes(n);
  Value sum = n.reduce("sum", n.input(0), axes, keepsDims(n));
  int64_t count = 1;
  for (int64_t axis : axes)
    count *= n.shape(0)[axis];
  if (isa<FloatType>(n.element(0)))
    n.set(0, n.binary<MulOp>(sum, n.splatLike(sum, 1.0 / double(count))));
  else
    n.set(0, n.binary<DivOp>(sum, n.splatLike(sum, double(count))));
}

static void importReduceSumSquare(NodeImport &n) {
  Value x = n.input(0);
  n.set(0,
        n.reduce("sum", n.binary<MulOp>(x, x), reducedAxes(n), keepsDims(n)));
}

static void importReduceL1(NodeImport &n) {
  n.set(0, n.reduce("sum", n.unary<AbsOp>(n.input(0)), reducedAxes(n),
                    keepsDims(n)));
}

static void importReduceL2(NodeImport &n) {
  Value x = n.input(0);
  n.set(0, n.unary<SqrtOp>(n.reduce("sum", n.binary<MulOp>(x, x),
                                    reducedAxes(n), keepsDims(n))));
}

static void importReduceLogSum(NodeImport &n) {
  n.set(0, n.unary<LogOp>(
               n.reduce("sum", n.input(0), reducedAxes(n), keepsDims(n))));
}

namespace {
/// log(sum of e^x) along axes = log + top; `shifted` is x - top, of x's shape.
struct LogSumExp {
  Value top, shifted, log;
};
} // namespace

/// The maximum is taken out, so that no exponential overflows.
static LogSumExp logSumExp(NodeImport &n, Value x,
                           const std::vector<int64_t> &axes) {
  Value top = n.reduce("max", x, axes, true);
  Value shifted = n.binary<SubOp>(x, n.broadcast(top, shapeOf(x)));
  return {top, shifted,
          n.unary<LogOp>(n.reduce("sum", n.unary<ExpOp>(shifted), axes, true))};
}

static void importReduceLogSumExp(NodeImport &n) {
  std::vector<int64_t> axes = reducedAxes(n);
  LogSumExp parts = logSumExp(n, n.input(0), axes);
  Value result = n.binary<AddOp>(parts.log, parts.top);
  Shape shape;
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (!llvm::is_contained(axes, d))
      shape.push_back(n.shape(0)[d]);
  n.set(0, keepsDims(n) ? result : n.reshape(result, shape));
}

static Value softmax(NodeImport &n, Value x, int64_t axis) {
  return n.create<SoftmaxOp>(x.getType(), x, axis);
}

/// Made of sums and maxima, so that the dimension can be split: it is the
/// vocabulary in the loss of a language model.
static Value logSoftmax(NodeImport &n, Value x, int64_t axis) {
  Type element = getElementTypeOrSelf(x);
  bool narrow = element.getIntOrFloatBitWidth() < 32;
  LogSumExp parts =
      logSumExp(n, narrow ? n.cast(x, n.builder.getF32Type()) : x, {axis});
  Value result =
      n.binary<SubOp>(parts.shifted, n.broadcast(parts.log, shapeOf(x)));
  return narrow ? n.cast(result, element) : result;
}

/// Before version 13, softmax treats its input as a matrix whose columns begin
/// at the axis.
template <Value (*make)(NodeImport &, Value, int64_t)>
static void importSoftmax(NodeImport &n) {
  bool flattens = n.version < 13;
  int64_t axis = n.axis(n.integer("axis", flattens ? 1 : -1), n.rank(0));
  Shape shape = n.shape(0);
  Value x = n.input(0);
  if (!flattens || axis + 1 == n.rank(0))
    return n.set(0, make(n, x, axis));
  int64_t rows = 1, columns = 1;
  for (int64_t d = 0; d < n.rank(0); ++d)
    (d < axis ? rows : columns) *= shape[d];
  n.set(0, n.reshape(make(n, n.reshape(x, {rows, columns}), 1), shape));
}

template <typename Op> static void importRunning(NodeImport &n) {
  int64_t axis = n.axis(n.scalarInt(1), n.rank(0));
  n.set(0, n.create<Op>(n.type(0), n.input(0), axis,
                        n.integer("exclusive", 0) != 0,
                        n.integer("reverse", 0) != 0));
}

/// The index of the first (or last) element that equals the extreme: indices
/// where it does not are replaced by one that cannot win.
static Value argExtreme(NodeImport &n, const char *kind, int64_t axis,
                        bool last) {
  Value x = n.input(0);
  Shape shape = n.shape(0);
  Value top = n.broadcast(n.reduce(kind, x, {axis}, true), shape);
  RankedTensorType indices = n.makeType(shape, n.builder.getI64Type());
  Value index = n.iota(indices, axis, 0, 1);
  Value never = n.splat(indices, last ? -1 : double(shape[axis]));
  Value candidate =
      n.create<SelectOp>(indices, n.compare("eq", x, top), index, never);
  return n.reduce(last ? "max" : "min", candidate, {axis}, true);
}

static ImportFunction argReduceBy(const char *kind) {
  return [kind](NodeImport &n) {
    int64_t axis = n.axis(n.integer("axis", 0), n.rank(0));
    Shape shape = n.shape(0);
    if (shape[axis] == 0)
      n.invalid("looks for an index in an empty dimension");
    Value index = argExtreme(n, kind, axis, n.integer("select_last_index", 0));
    shape[axis] = 1;
    if (!keepsDims(n))
      shape.erase(shape.begin() + axis);
    n.set(0, n.reshape(index, shape));
  };
}

/// One where the first maximum is, else zero.
static void importHardmax(NodeImport &n) {
  if (n.version < 13 && n.axis(n.integer("axis", 1), n.rank(0)) + 1 < n.rank(0))
    n.unsupported("it treats its input as a matrix");
  int64_t axis = n.axis(n.integer("axis", n.version < 13 ? 1 : -1), n.rank(0));
  Value index = n.broadcast(argExtreme(n, "max", axis, false), n.shape(0));
  auto type = cast<RankedTensorType>(index.getType());
  Value hit = n.compare("eq", index, n.iota(type, axis, 0, 1));
  n.set(0, n.cast(hit, n.element(0)));
}

void importer::addReduction(ImportTable &table) {
  table.add("ReduceSum", 1, reduceBy("sum"));
  table.add("ReduceMax", 1, reduceBy("max"));
  table.add("ReduceMin", 1, reduceBy("min"));
  table.add("ReduceProd", 1, reduceBy("prod"));
  table.add("ReduceMean", 1, importReduceMean);
  table.add("ReduceSumSquare", 1, importReduceSumSquare);
  table.add("ReduceL1", 1, importReduceL1);
  table.add("ReduceL2", 1, importReduceL2);
  table.add("ReduceLogSum", 1, importReduceLogSum);
  table.add("ReduceLogSumExp", 1, importReduceLogSumExp);
  table.add("Softmax", 1, importSoftmax<softmax>);
  table.add("LogSoftmax", 1, importSoftmax<logSoftmax>);
  table.add("CumSum", 11, importRunning<CumSumOp>);
  table.add("CumProd", 26, importRunning<CumProdOp>);
  table.add("ArgMax", 1, argReduceBy("max"));
  table.add("ArgMin", 1, argReduceBy("min"));
  table.add("Hardmax", 1, importHardmax);
}
