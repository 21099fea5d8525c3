//===- Quantization.cpp - Import of quantised operators -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A quantised tensor q stands for (q - zero) scale. Everything here is composed
// of elementwise operations and products, which fuse and split by themselves;
// what depends on weights alone is done once at load. Products of 8-bit
// integers are computed in floating point as wide as makes them exact.
//
//===----------------------------------------------------------------------===//

#include "Linear.h"
#include "Windows.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// A scale or zero point in the shape of what it belongs to: one for all, one
/// an index of the axis, or one a block along the axis.
static Value spread(NodeImport &n, Value parameter, const Shape &shape,
                    int64_t axis, int64_t block) {
  Shape from = nn::shapeOf(parameter);
  if (from.empty() || from == Shape{1})
    return n.broadcast(n.reshape(parameter, {}), shape);
  axis = n.axis(axis, int64_t(shape.size()));
  if (from.size() == 1 && block == 0) {
    if (from[0] != shape[axis])
      n.invalid("has " + std::to_string(from[0]) +
                " scales or zero points for a dimension of " +
                std::to_string(shape[axis]));
    return n.broadcast(parameter, shape, {axis});
  }
  if (from.size() != shape.size() || block < 1 || block > shape[axis] ||
      from[axis] != (shape[axis] - 1) / block + 1)
    n.invalid("has blocks that do not make up its dimension");
  // Each is repeated along a dimension of its own, and the last block cut.
  Shape wide = from, joined = from;
  wide.insert(wide.begin() + axis + 1, block);
  joined[axis] *= block;
  std::vector<int64_t> dims;
  for (int64_t d = 0; d < int64_t(wide.size()); ++d)
    if (d != axis + 1)
      dims.push_back(d);
  Value value = n.reshape(n.broadcast(parameter, wide, dims), joined);
  value = n.slice(value, axis, 0, shape[axis]);
  if (nn::shapeOf(value) != shape)
    n.invalid("has blocks that do not have its shape");
  return value;
}

namespace {
/// What is quantised to: a type as it is stored and, if it is narrower than
/// that, as it is.
struct Quantised {
  Type stored;
  const NarrowType *narrow = nullptr;

  bool isFloat() const { return narrow && narrow->isFloat(); }
};
} // namespace

/// The nearest number of an integer type, as f32 has it exactly.
static Value saturate(NodeImport &n, Value value, const Quantised &to) {
  auto integer = dyn_cast<IntegerType>(to.stored);
  if (!integer || integer.getWidth() > 16 || integer.getWidth() < 8)
    n.unsupported("quantises to a type other than integers of up to 16 bits");
  int64_t size = int64_t(1) << integer.getWidth();
  double low = integer.isUnsigned() ? 0 : -double(size / 2);
  double high = low + double(size - 1);
  if (to.narrow) {
    low = to.narrow->lowest();
    high = to.narrow->largest();
  }
  value = n.binary<MaxOp>(value, n.splatLike(value, low));
  value = n.binary<MinOp>(value, n.splatLike(value, high));
  return n.cast(value, to.stored);
}

/// round(value) + zero, saturated; `zero` may be null.
static Value quantize(NodeImport &n, Value value, Value zero,
                      const Quantised &to) {
  Type f32 = n.builder.getF32Type();
  value = n.cast(to.isFloat() ? value : n.unary<RoundOp>(value), f32);
  if (zero)
    value = n.binary<AddOp>(value, n.cast(zero, f32));
  if (to.isFloat())
    return castToNarrow(n, value, *to.narrow, n.integer("saturate", 1) != 0);
  return saturate(n, value, to);
}

/// The type of a zero point, or of the attribute output_dtype.
static Quantised quantisedType(NodeImport &n) {
  if (n.has(2))
    return {n.element(2), n.narrow(2)};
  int output = int(n.integer("output_dtype", 0));
  if (const NarrowType *narrow = narrowType(output))
    return {getElementType(n.builder.getContext(), narrow->stored), narrow};
  if (output)
    return {n.graphElementType(output)};
  return {n.builder.getIntegerType(8, /*isSigned=*/false)};
}

static void importQuantizeLinear(NodeImport &n) {
  Shape shape = n.shape(0);
  int64_t axis = n.integer("axis", 1), block = n.integer("block_size", 0);
  int64_t precision = n.integer("precision", 0);
  Quantised to = quantisedType(n);
  n.integer("output_dtype", 0); // Says the same as a zero point.
  Type computed = precision ? n.graphElementType(int(precision)) : n.element(1);
  Value scale = spread(n, n.cast(n.input(1), computed), shape, axis, block);
  Value zero = n.has(2) ? spread(n, n.input(2), shape, axis, block) : Value();
  Value x = n.cast(n.input(0), computed);
  n.setNarrow(0, quantize(n, n.binary<DivOp>(x, scale), zero, to), to.narrow);
}

/// `value` less its zero point, as an integer of 32 bits.
static Value centred(NodeImport &n, Value value, Value zero) {
  Type i32 = n.builder.getI32Type();
  value = n.cast(value, i32);
  return zero ? n.binary<SubOp>(value, n.cast(zero, i32)) : value;
}

static void importDequantizeLinear(NodeImport &n) {
  Shape shape = n.shape(0);
  int64_t axis = n.integer("axis", 1), block = n.integer("block_size", 0);
  int64_t output = n.integer("output_dtype", 0);
  bool isFloat = n.narrow(0) && n.narrow(0)->isFloat();
  if (!isFloat && !isa<IntegerType>(n.element(0)))
    n.unsupported("dequantises a type other than an integer");
  Type f32 = n.builder.getF32Type();
  Value scale = spread(n, n.cast(n.input(1), f32), shape, axis, block);
  Value x = n.input(0);
  // Floats have a zero of their own, and no other one.
  if (!isFloat)
    x = centred(n, x,
                n.has(2) ? spread(n, n.input(2), shape, axis, block) : Value());
  x = n.cast(x, f32);
  n.set(0, n.cast(n.binary<MulOp>(x, scale),
                  output ? n.graphElementType(int(output)) : n.element(1)));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A zero point or a scale of the rows of a matrix (`ofRows`), or of its
/// columns, in the matrix' shape.
static Value spreadOverMatrix(NodeImport &n, size_t i, const Shape &shape,
                              bool ofRows) {
  Value value = n.input(i);
  Shape from = nn::shapeOf(value);
  if (ofRows && from.size() == 1 && from[0] != 1)
    value = n.reshape(value, {from[0], 1});
  return n.broadcast(value, shape);
}

/// The exact product of inputs a and b less their zero points, in f32 or f64.
static Value exactProduct(NodeImport &n, size_t a, size_t aZero, size_t b,
                          size_t bZero) {
  if (n.rank(a) < 1 || n.rank(b) < 1)
    n.invalid("multiplies a scalar");
  auto factor = [&](size_t i, size_t zero, bool ofRows) {
    if (n.element(i).getIntOrFloatBitWidth() != 8)
      n.unsupported("multiplies integers of more than 8 bits");
    return centred(n, n.input(i),
                   n.has(zero) ? spreadOverMatrix(n, zero, n.shape(i), ofRows)
                               : Value());
  };
  Value lhs = factor(a, aZero, true), rhs = factor(b, bZero, false);
  // Each of k products is at most 255 * 255; f32 is exact up to 2^24.
  bool narrow = n.shape(a).back() <= (1 << 24) / (255 * 255);
  Type type = narrow ? Type(n.builder.getF32Type()) : n.builder.getF64Type();
  return numpyMatMul(n, n.cast(lhs, type), n.cast(rhs, type));
}

static void importMatMulInteger(NodeImport &n) {
  n.set(0, n.cast(exactProduct(n, 0, 2, 1, 3), n.builder.getI32Type()));
}

static void importQLinearMatMul(NodeImport &n) {
  Type f32 = n.builder.getF32Type();
  Value product = n.cast(exactProduct(n, 0, 2, 3, 5), f32);
  Shape shape = nn::shapeOf(product);
  // The scale of a row, of a column, and of the result.
  auto scale = [&](size_t i, bool ofRows) {
    return n.cast(spreadOverMatrix(n, i, shape, ofRows), f32);
  };
  Value factor = n.binary<DivOp>(
      n.binary<MulOp>(scale(1, true), scale(4, false)), scale(6, true));
  n.set(0, quantize(n, n.binary<MulOp>(product, factor),
                    spreadOverMatrix(n, 7, shape, true), {n.element(7)}));
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

/// The convolution of inputs x and w less their zero points, in i32. The zero
/// point of a weight may be one for each filter.
static Value exactConvolution(NodeImport &n, size_t x, size_t xZero, size_t w,
                              size_t wZero) {
  auto factor = [&](size_t i, size_t zero) {
    return centred(n, n.input(i),
                   n.has(zero) ? spread(n, n.input(zero), n.shape(i), 0, 0)
                               : Value());
  };
  return convolve(n, factor(x, xZero), factor(w, wZero));
}

static void importConvInteger(NodeImport &n) {
  n.set(0, exactConvolution(n, 0, 2, 1, 3));
}

/// The bias is quantised as sums are, by both scales together.
static void importQLinearConv(NodeImport &n) {
  Type f32 = n.builder.getF32Type();
  Value sum = n.cast(withBias(n, exactConvolution(n, 0, 2, 3, 5), 8), f32);
  Shape shape = nn::shapeOf(sum);
  auto scale = [&](size_t i) {
    return spread(n, n.cast(n.input(i), f32), shape, 1, 0);
  };
  Value factor = n.binary<DivOp>(n.binary<MulOp>(scale(1), scale(4)), scale(6));
  n.set(0, quantize(n, n.binary<MulOp>(sum, factor),
                    spread(n, n.input(7), shape, 1, 0), {n.element(7)}));
}

void importer::addQuantization(ImportTable &table) {
  table.add("QuantizeLinear", 10, importQuantizeLinear);
  table.add("DequantizeLinear", 10, importDequantizeLinear);
  table.add("MatMulInteger", 10, importMatMulInteger);
  table.add("QLinearMatMul", 10, importQLinearMatMul);
  table.add("ConvInteger", 10, importConvInteger);
  table.add("QLinearConv", 10, importQLinearConv);
}
