//===- Norm.cpp - Import of normalisations --------------------------------===//
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

namespace {
/// The normalised dimensions, from `axis` on, as one last dimension.
struct Rows {
  Shape shape, flat;
  int64_t size;
};
} // namespace

static Rows rowsOf(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", -1), n.rank(0));
  Rows rows{n.shape(0), {}, 1};
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (d < axis)
      rows.flat.push_back(rows.shape[d]);
    else
      rows.size *= rows.shape[d];
  rows.flat.push_back(rows.size);
  return rows;
}

/// Scale or bias, which broadcasts to the normalised dimensions, as a vector.
static Value vectorInput(NodeImport &n, size_t i, const Rows &rows) {
  size_t normalised = rows.shape.size() - rows.flat.size() + 1;
  Shape from = n.shape(i);
  while (from.size() > normalised && from.front() == 1)
    from.erase(from.begin());
  if (from.size() > normalised)
    n.unsupported("its input " + std::to_string(i) +
                  " differs between the rows");
  Value value = n.reshape(n.input(i), from);
  value = n.broadcast(value,
                      Shape(rows.shape.end() - normalised, rows.shape.end()));
  return n.reshape(value, {rows.size});
}

static void refuseStatistics(NodeImport &n) {
  for (size_t i = 1; i < n.numOutputs(); ++i)
    if (n.wants(i))
      n.unsupported("its statistics are used");
}

/// Mean and 1 / sqrt(variance + epsilon) of the rows, which training keeps.
static void setStatistics(NodeImport &n, Value x, const Rows &rows,
                          double epsilon) {
  x = n.cast(x, n.builder.getF32Type());
  int64_t axis = int64_t(rows.flat.size()) - 1;
  auto mean = [&](Value value) {
    Value sum = n.reduce("sum", value, {axis}, true);
    return n.binary<MulOp>(sum, n.splatLike(sum, 1.0 / double(rows.size)));
  };
  Value average = mean(x);
  Value centred = n.binary<SubOp>(x, n.broadcast(average, rows.flat));
  Value variance = mean(n.binary<MulOp>(centred, centred));
  Value inverse = n.unary<RsqrtOp>(
      n.binary<AddOp>(variance, n.splatLike(variance, epsilon)));
  Shape shape = rows.shape;
  for (size_t d = rows.flat.size() - 1; d < shape.size(); ++d)
    shape[d] = 1;
  if (n.numOutputs() > 1)
    n.set(1, n.reshape(average, shape));
  if (n.numOutputs() > 2)
    n.set(2, n.reshape(inverse, shape));
}

static void importLayerNorm(NodeImport &n) {
  Rows rows = rowsOf(n);
  Value x = n.reshape(n.input(0), rows.flat);
  if (n.wants(1) || n.wants(2))
    setStatistics(n, x, rows, n.real("epsilon", 1e-5f));
  Value scale = vectorInput(n, 1, rows);
  Value bias = n.has(2) ? vectorInput(n, 2, rows) : Value();
  Value result = n.create<LayerNormOp>(
      x.getType(), x, scale, bias,
      n.builder.getF64FloatAttr(n.real("epsilon", 1e-5f)));
  n.set(0, n.reshape(result, rows.shape));
}

static void importRMSNorm(NodeImport &n) {
  refuseStatistics(n);
  Rows rows = rowsOf(n);
  Value x = n.reshape(n.input(0), rows.flat);
  Value result =
      n.create<RMSNormOp>(x.getType(), x, vectorInput(n, 1, rows),
                          n.builder.getF64FloatAttr(n.real("epsilon", 1e-5f)));
  n.set(0, n.reshape(result, rows.shape));
}

/// ONNX Runtime's fusion of an addition and a norm: input, skip, scale, (bias
/// of the norm), bias of the addition; the sum is the last output.
static ImportFunction skipNorm(bool rms) {
  return [rms](NodeImport &n) {
    size_t bias = rms ? 3 : 4;
    Rows rows{n.shape(0), n.shape(0), n.shape(0).back()};
    Value sum = n.binary<AddOp>(n.input(0), n.inputAs(1, n.shape(0)));
    if (n.has(bias))
      sum = n.binary<AddOp>(sum, n.inputAs(bias, n.shape(0)));
    if (n.wants(1) || n.wants(2))
      n.unsupported("its statistics are used");
    auto epsilon = n.builder.getF64FloatAttr(n.real("epsilon", 1e-12f));
    Value scale = vectorInput(n, 2, rows);
    if (rms)
      n.set(0, n.create<RMSNormOp>(sum.getType(), sum, scale, epsilon));
    else
      n.set(0, n.create<LayerNormOp>(
                   sum.getType(), sum, scale,
                   n.has(3) ? vectorInput(n, 3, rows) : Value(), epsilon));
    for (size_t i : {size_t(1), size_t(2)})
      if (i < n.numOutputs())
        n.set(i, Imported());
    if (n.wants(3))
      n.set(3, sum);
  };
}

namespace {
/// Mean and variance of each channel, as vectors.
struct Statistics {
  Value mean, variance;
};
} // namespace

/// Those of the batch, of which the running ones become a part.
static Statistics batchStatistics(NodeImport &n) {
  Type type = n.element(3);
  Value x = n.cast(n.input(0), type);
  Shape shape = n.shape(0);
  std::vector<int64_t> axes;
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (d != 1)
      axes.push_back(d);
  double count = double(n.type(0).getNumElements()) / double(shape[1]);
  auto average = [&](Value value) {
    Value sum = n.reduce("sum", value, axes, false);
    return n.binary<MulOp>(sum, n.splatLike(sum, 1 / count));
  };
  Statistics batch;
  batch.mean = average(x);
  Value centred = n.binary<SubOp>(x, n.broadcast(batch.mean, shape, {1}));
  batch.variance = average(n.binary<MulOp>(centred, centred));
  double momentum = n.real("momentum", 0.9f);
  const std::pair<size_t, Value> running[] = {{3, batch.mean},
                                              {4, batch.variance}};
  for (auto [i, value] : running) {
    if (!n.wants(i - 2))
      continue;
    Value old = n.cast(n.input(i), type);
    n.set(i - 2, n.binary<AddOp>(
                     n.binary<MulOp>(old, n.splatLike(old, momentum)),
                     n.binary<MulOp>(value, n.splatLike(value, 1 - momentum))));
  }
  return batch;
}

/// A scale and a shift of each channel.
static void importBatchNorm(NodeImport &n) {
  if (n.rank(0) < 2)
    n.invalid("its input has no channels");
  for (size_t i = 1; i <= 4; ++i)
    if (n.shape(i) != Shape{n.shape(0)[1]})
      n.invalid("does not have one number a channel");
  bool isTraining = n.integer("training_mode", 0) != 0;
  for (size_t i = isTraining ? 3 : 1; i < n.numOutputs(); ++i)
    if (n.wants(i))
      n.unsupported("its statistics are used");
  Statistics s =
      isTraining ? batchStatistics(n) : Statistics{n.input(3), n.input(4)};
  Value inverse = n.unary<RsqrtOp>(n.binary<AddOp>(
      s.variance, n.splatLike(s.variance, n.real("epsilon", 1e-5f))));
  Value scale = n.cast(n.input(1), getElementTypeOrSelf(inverse));
  scale = n.binary<MulOp>(scale, inverse);
  Value shift =
      n.binary<SubOp>(n.cast(n.input(2), getElementTypeOrSelf(inverse)),
                      n.binary<MulOp>(s.mean, scale));
  Shape shape = n.shape(0);
  scale = n.broadcast(n.cast(scale, n.element(0)), shape, {1});
  shift = n.broadcast(n.cast(shift, n.element(0)), shape, {1});
  n.set(0, n.binary<AddOp>(n.binary<MulOp>(n.input(0), scale), shift));
}

/// Groups of channels, or with one channel a group instances, are rows of a
/// layer norm of their own; scale and bias come after it.
static void normaliseGroups(NodeImport &n, int64_t groups) {
  Shape shape = n.shape(0);
  if (shape.size() < 2 || groups < 1 || shape[1] % groups != 0)
    n.invalid("its channels do not divide into groups");
  int64_t size = 1;
  for (size_t d = 1; d < shape.size(); ++d)
    size *= shape[d];
  size /= groups;
  Value x = n.reshape(n.input(0), {shape[0], groups, size});
  Value one = n.splat(n.makeType({size}, n.element(0)), 1);
  x = n.create<LayerNormOp>(
      x.getType(), x, one, Value(),
      n.builder.getF64FloatAttr(n.real("epsilon", 1e-5f)));
  x = n.reshape(x, shape);
  x = n.binary<MulOp>(x, n.broadcast(n.input(1), shape, {1}));
  n.set(0, n.binary<AddOp>(x, n.broadcast(n.input(2), shape, {1})));
}

static void importInstanceNorm(NodeImport &n) {
  normaliseGroups(n, n.shape(0).size() > 1 ? n.shape(0)[1] : 0);
}

static void importGroupNorm(NodeImport &n) {
  normaliseGroups(n, n.integer("num_groups", 0));
}

/// Zero where the norm is.
static void importLpNormalization(NodeImport &n) {
  int64_t axis = n.axis(n.integer("axis", -1), n.rank(0));
  int64_t p = n.integer("p", 2);
  if (p != 1 && p != 2)
    n.invalid("its norm is not the first or the second");
  Value x = n.input(0);
  Value size = p == 1 ? n.unary<AbsOp>(x) : n.binary<MulOp>(x, x);
  size = n.reduce("sum", size, {axis}, true);
  size = n.broadcast(p == 1 ? size : n.unary<SqrtOp>(size), n.shape(0));
  Value zero = n.splatLike(x, 0);
  n.set(0, n.create<SelectOp>(x.getType(), n.compare("eq", size, zero), zero,
                              n.binary<DivOp>(x, size)));
}

void importer::addNorm(ImportTable &table) {
  table.add("LayerNormalization", 17, importLayerNorm);
  table.add("LayerNormalization", 1, importLayerNorm, "com.microsoft");
  table.add("RMSNormalization", 23, importRMSNorm);
  table.add("SimplifiedLayerNormalization", 1, importRMSNorm);
  table.add("SimplifiedLayerNormalization", 1, importRMSNorm, "com.microsoft");
  table.add("SkipLayerNormalization", 1, skipNorm(false), "com.microsoft");
  table.add("SkipSimplifiedLayerNormalization", 1, skipNorm(true),
            "com.microsoft");
  table.add("BatchNormalization", 9, importBatchNorm);
  table.add("LpNormalization", 1, importLpNormalization);
  table.add("InstanceNormalization", 6, importInstanceNorm);
  table.add("GroupNormalization", 21, importGroupNorm);
}
