//===- Signal.cpp - Import of Fourier transforms --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A discrete Fourier transform is a product with a matrix of cosines and one of
// sines, which are made of iotas at load: that is more arithmetic than a fast
// transform needs, but splits like any product, and signals are short. Window
// functions are bodies that ONNX defines.
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

namespace {

/// One transform of a signal [.., n, .., 1 or 2] along a dimension.
struct Fourier {
  int64_t axis, length;
  bool inverse, onesided;
};

struct Complex {
  Value real, imaginary;
};

} // namespace

/// cos and sin of 2 pi i k / length, [rows, columns]. The product i k is taken
/// modulo the length, so that no angle is large.
static Complex circle(NodeImport &n, int64_t rows, int64_t columns,
                      int64_t length, Type element) {
  if (length > (int64_t(1) << 31))
    n.unsupported("its signal is too long");
  RankedTensorType indices =
      n.makeType({rows, columns}, n.builder.getI64Type());
  Value product =
      n.binary<MulOp>(n.iota(indices, 0, 0, 1), n.iota(indices, 1, 0, 1));
  Value turn = n.binary<ModOp>(product, n.splatLike(product, double(length)));
  // Rounded angles would show where sums cancel: double, until they are done.
  Value angle = n.cast(turn, n.builder.getF64Type());
  angle = n.binary<MulOp>(angle, n.splatLike(angle, 2 * M_PI / double(length)));
  return {n.cast(n.unary<CosOp>(angle), element),
          n.cast(n.unary<SinOp>(angle), element)};
}

/// The first `count` elements of the last dimension, or zeros behind it.
static Value resized(NodeImport &n, Value value, int64_t count) {
  Shape shape = nn::shapeOf(value);
  int64_t last = int64_t(shape.size()) - 1, size = shape[last];
  if (count <= size)
    return n.slice(value, last, 0, count);
  std::vector<int64_t> low(shape.size(), 0), high(shape.size(), 0);
  high[last] = count - size;
  shape[last] = count;
  return n.create<PadOp>(n.makeType(shape, getElementTypeOrSelf(value)), value,
                         low, high, APFloat(0.0));
}

/// The matrices for `bins` frequencies of a one-sided spectrum back to a real
/// signal: all but the first (and the middle) stand for two.
static Complex backToReal(NodeImport &n, int64_t bins, int64_t length,
                          Type element) {
  Complex matrix = circle(n, bins, length, length, element);
  RankedTensorType type = n.makeType({bins, length}, element);
  Value bin =
      n.iota(n.makeType({bins, length}, n.builder.getI64Type()), 0, 0, 1);
  Value single = n.compare("eq", bin, n.splatLike(bin, 0));
  if (length % 2 == 0)
    single = n.binary<OrOp>(
        single, n.compare("eq", bin, n.splatLike(bin, double(length / 2))));
  Value weight =
      n.create<SelectOp>(type, single, n.splat(type, 1), n.splat(type, 2));
  return {n.binary<MulOp>(matrix.real, weight),
          n.binary<MulOp>(matrix.imaginary, weight)};
}

/// Transforms along the last dimension.
static Complex transformLast(NodeImport &n, Complex x, const Fourier &f) {
  Type element = getElementTypeOrSelf(x.real);
  int64_t bins = f.length / 2 + 1;
  bool toReal = f.inverse && f.onesided;
  int64_t rows = toReal ? bins : f.length;
  x.real = resized(n, x.real, rows);
  if (x.imaginary)
    x.imaginary = resized(n, x.imaginary, rows);
  Complex matrix =
      toReal ? backToReal(n, bins, f.length, element)
             : circle(n, rows, f.onesided ? bins : f.length, f.length, element);
  if (f.inverse) {
    Value scale = n.splatLike(matrix.real, 1 / double(f.length));
    matrix = {n.binary<MulOp>(matrix.real, scale),
              n.binary<MulOp>(matrix.imaginary, scale)};
  } else {
    matrix.imaginary = n.unary<NegOp>(matrix.imaginary);
  }
  // (a + ib) (c + is)
  Complex y = {n.matmul(x.real, matrix.real),
               toReal ? Value() : n.matmul(x.real, matrix.imaginary)};
  if (!x.imaginary)
    return y;
  y.real = n.binary<SubOp>(y.real, n.matmul(x.imaginary, matrix.imaginary));
  if (!toReal)
    y.imaginary =
        n.binary<AddOp>(y.imaginary, n.matmul(x.imaginary, matrix.real));
  return y;
}

static Value transform(NodeImport &n, Value signal, const Fourier &f) {
  Shape shape = nn::shapeOf(signal);
  int64_t parts = int64_t(shape.size()) - 1;
  if (shape.size() < 2 || f.axis >= parts || shape[parts] < 1 ||
      shape[parts] > 2 || f.length < 1)
    n.invalid("does not have a signal of real or complex numbers");
  Type element = getElementTypeOrSelf(signal);
  Type computed = element.isF64() ? element : Type(n.builder.getF32Type());
  // The dimension goes last, and those before it become rows.
  std::vector<int64_t> order, back(size_t(parts), 0);
  for (int64_t d = 0; d < parts; ++d)
    if (d != f.axis)
      order.push_back(d);
  order.push_back(f.axis);
  for (int64_t d = 0; d < parts; ++d)
    back[size_t(order[size_t(d)])] = d;
  Shape part(shape.begin(), shape.end() - 1), rows;
  for (int64_t d : order)
    rows.push_back(part[size_t(d)]);
  int64_t count = 1;
  for (size_t d = 0; d + 1 < rows.size(); ++d)
    count *= rows[d];
  auto read = [&](int64_t i) {
    Value value = n.reshape(n.slice(signal, parts, i, 1), part);
    return n.cast(n.reshape(n.transpose(value, order), {count, rows.back()}),
                  computed);
  };
  Complex x = {read(0), shape[parts] == 2 ? read(1) : Value()};
  Complex y = transformLast(n, x, f);
  rows.back() = nn::shapeOf(y.real)[1];
  auto write = [&](Value value) {
    value = n.transpose(n.reshape(n.cast(value, element), rows), back);
    Shape to = nn::shapeOf(value);
    to.push_back(1);
    return n.reshape(value, to);
  };
  Value real = write(y.real);
  if (!y.imaginary)
    return real;
  Shape to = nn::shapeOf(real);
  to.back() = 2;
  return n.create<ConcatOp>(n.makeType(to, element),
                            ValueRange{real, write(y.imaginary)},
                            uint64_t(parts));
}

static void importDFT(NodeImport &n) {
  Fourier f;
  int64_t axis = n.version < 20 ? n.integer("axis", 1)
                 : n.has(2)     ? n.scalarInt(2)
                                : -2;
  f.axis = n.axis(axis, n.rank(0));
  f.inverse = n.integer("inverse", 0) != 0;
  f.onesided = n.integer("onesided", 0) != 0;
  int64_t size = n.shape(0)[f.axis];
  f.length = n.has(1)                  ? n.scalarInt(1)
             : f.inverse && f.onesided ? 2 * (size - 1)
                                       : size;
  n.set(0, transform(n, n.input(0), f));
}

/// Frames of a signal, each times a window, transformed.
static void importSTFT(NodeImport &n) {
  if (n.rank(0) != 3)
    n.invalid("does not have signals [batch, time, 1 or 2]");
  Shape shape = n.shape(0);
  int64_t step = n.scalarInt(1);
  int64_t length = n.has(3)   ? n.scalarInt(3)
                   : n.has(2) ? n.type(2).getNumElements()
                              : shape[1];
  if (step < 1 || length < 1 || length > shape[1])
    n.invalid("its frames do not fit its signals");
  int64_t frames = (shape[1] - length) / step + 1;
  RankedTensorType type = n.makeType({frames, length}, n.builder.getI64Type());
  Value at =
      n.binary<AddOp>(n.iota(type, 0, 0, double(step)), n.iota(type, 1, 0, 1));
  Shape framed = {shape[0], frames, length, shape[2]};
  Value x = n.create<GatherOp>(n.makeType(framed, n.element(0)), n.input(0), at,
                               uint64_t(1), Attribute());
  if (n.has(2)) {
    if (n.shape(2) != Shape{length})
      n.invalid("its window does not have the length of a frame");
    x = n.binary<MulOp>(x, n.broadcast(n.input(2), framed, {2}));
  }
  n.set(0, transform(n, x, {2, length, false, n.integer("onesided", 1) != 0}));
}

//===----------------------------------------------------------------------===//
// Mel weights
//===----------------------------------------------------------------------===//

/// Where the triangles of the mel scale begin, peak and end, in bins of a
/// spectrum.
static std::vector<int64_t> melBins(NodeImport &n, int64_t count,
                                    int64_t length) {
  auto toMel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  double rate = n.scalar(2), low = toMel(n.scalar(3)),
         high = toMel(n.scalar(4));
  std::vector<int64_t> bins;
  for (int64_t i = 0; i < count + 2; ++i) {
    double mel = low + double(i) * (high - low) / double(count + 2);
    double hertz = 700 * (std::pow(10.0, mel / 2595) - 1);
    double bin = std::floor(double(length + 1) * hertz / rate);
    if (!(std::abs(bin) < 1e15))
      n.invalid("its frequencies make no sense");
    bins.push_back(int64_t(bin));
  }
  return bins;
}

/// Column i rises from bin i to the next and falls to the one after.
static void importMelWeightMatrix(NodeImport &n) {
  int64_t count = n.scalarInt(0), length = n.scalarInt(1);
  if (count < 1 || length < 1 || length > (int64_t(1) << 31) ||
      (count + 2) * 8 > int64_t(NodeImport::maxConstantBytes))
    n.unsupported("its number of bands or its length is out of range");
  std::vector<int64_t> bins = melBins(n, count, length);
  Type f64 = n.builder.getF64Type();
  RankedTensorType type = n.makeType({length / 2 + 1, count}, f64);
  auto bound = [&](int64_t first) {
    HostTensor values(DType::F64, {count});
    for (int64_t i = 0; i < count; ++i)
      values.setDouble(i, double(bins[size_t(first + i)]));
    return n.broadcast(n.constantValue(values), nn::shapeOf(type), {1});
  };
  Value low = bound(0), peak = bound(1), high = bound(2);
  Value bin = n.iota(type, 0, 0, 1), one = n.splat(type, 1);
  auto ratio = [&](Value a, Value b, Value c, Value d) {
    return n.binary<DivOp>(n.binary<SubOp>(a, b),
                           n.binary<MaxOp>(n.binary<SubOp>(c, d), one));
  };
  auto within = [&](Value from, Value to, const char *end) {
    return n.binary<AndOp>(n.compare("ge", bin, from), n.compare(end, bin, to));
  };
  // A triangle without a rise is one at its peak.
  Value rise = n.create<SelectOp>(type, n.compare("eq", low, peak), one,
                                  ratio(bin, low, peak, low));
  Value weight =
      n.create<SelectOp>(type, within(low, peak, "le"), rise, n.splat(type, 0));
  weight = n.create<SelectOp>(type, within(peak, high, "lt"),
                              ratio(high, bin, high, peak), weight);
  n.set(0, n.cast(weight,
                  n.graphElementType(int(n.integer("output_datatype", 1)))));
}

void importer::addSignal(ImportTable &table) {
  table.add("DFT", 17, importDFT);
  table.add("STFT", 17, importSTFT);
  table.add("MelWeightMatrix", 17, importMelWeightMatrix);
}
