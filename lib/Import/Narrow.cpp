//===- Narrow.cpp - Element types that are stored wider -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Narrow.h"
#include "NodeImport.h"
#include "dialects/nn/Bits.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

//===----------------------------------------------------------------------===//
// The types
//===----------------------------------------------------------------------===//

const NarrowType *importer::narrowType(int onnxType) {
  using T = onnx::TensorProto;
  using N = NarrowType;
  static const N types[] = {
      {T::INT4, "tensor(int4)", DType::I8, 4},
      {T::UINT4, "tensor(uint4)", DType::U8, 4},
      {T::INT2, "tensor(int2)", DType::I8, 2},
      {T::UINT2, "tensor(uint2)", DType::U8, 2},
      {T::FLOAT8E4M3FN, "tensor(float8e4m3fn)", DType::F16, 8, 3, 7,
       N::LastIsNaN},
      {T::FLOAT8E4M3FNUZ, "tensor(float8e4m3fnuz)", DType::F16, 8, 3, 8,
       N::MinusZeroIsNaN},
      {T::FLOAT8E5M2, "tensor(float8e5m2)", DType::F16, 8, 2, 15,
       N::Infinities},
      {T::FLOAT8E5M2FNUZ, "tensor(float8e5m2fnuz)", DType::F16, 8, 2, 16,
       N::MinusZeroIsNaN},
      {T::FLOAT4E2M1, "tensor(float4e2m1)", DType::F16, 4, 1, 1, N::Nothing},
  };
  for (const NarrowType &type : types)
    if (type.onnx == onnxType)
      return &type;
  return nullptr;
}

double NarrowType::value(unsigned pattern) const {
  int sign = 1 << (bits - 1), magnitude = int(pattern) & (sign - 1);
  bool isNegative = int(pattern) & sign;
  if (!isFloat())
    return stored == DType::U8 ? int(pattern) : magnitude - isNegative * sign;
  double nan = std::numeric_limits<double>::quiet_NaN();
  int infinity = (sign - 1) >> mantissa << mantissa;
  if ((special == LastIsNaN && magnitude == sign - 1) ||
      (special == MinusZeroIsNaN && isNegative && magnitude == 0) ||
      (special == Infinities && magnitude > infinity))
    return nan;
  int exponent = magnitude >> mantissa,
      fraction = magnitude & ((1 << mantissa) - 1);
  // The smallest exponent has no leading one.
  double size = std::ldexp(fraction + (exponent ? 1 << mantissa : 0),
                           std::max(exponent, 1) - bias - mantissa);
  if (special == Infinities && magnitude == infinity)
    size = std::numeric_limits<double>::infinity();
  return isNegative ? -size : size;
}

double NarrowType::lowest() const {
  return isFloat()             ? -largest()
         : stored == DType::U8 ? 0
                               : value(1 << (bits - 1));
}

double NarrowType::largest() const {
  unsigned last = (1 << bits) - 1;
  if (isFloat() || stored == DType::I8)
    last >>= 1;
  while (!std::isfinite(value(last)))
    --last;
  return value(last);
}

//===----------------------------------------------------------------------===//
// Unpacking
//===----------------------------------------------------------------------===//

Value importer::unpackBits(NodeImport &n, Value bytes, int64_t bits) {
  bytes = n.cast(bytes, n.builder.getI32Type());
  if (bits == 8)
    return bytes;
  Shape shape = shapeOf(bytes), parted = shape;
  int64_t parts = 8 / bits;
  parted.push_back(parts);
  shape.back() *= parts;
  // byte / 2^(bits * i) mod 2^bits for part i.
  RankedTensorType type = n.makeType(parted, n.builder.getI32Type());
  Value divisor = n.splat(n.makeType({1}, n.builder.getI32Type()), 1);
  SmallVector<Value> divisors;
  for (int64_t i = 0; i < parts; ++i)
    divisors.push_back(n.splat(n.makeType({1}, n.builder.getI32Type()),
                               double(int64_t(1) << (bits * i))));
  divisor = n.create<ConcatOp>(n.makeType({parts}, n.builder.getI32Type()),
                               divisors, int64_t(0));
  std::vector<int64_t> dims;
  for (size_t d = 0; d + 1 < parted.size(); ++d)
    dims.push_back(int64_t(d));
  Value number = n.binary<DivOp>(
      n.broadcast(bytes, parted, dims),
      n.broadcast(divisor, parted, {int64_t(parted.size()) - 1}));
  number = n.binary<ModOp>(number, n.splat(type, double(1 << bits)));
  return n.reshape(number, shape);
}

Value importer::unpackNarrow(NodeImport &n, Value bytes, const NarrowType &type,
                             const Shape &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  Value patterns = n.slice(unpackBits(n, bytes, type.bits), 0, 0, count);
  HostTensor table(type.stored, {int64_t(1) << type.bits});
  for (int64_t i = 0; i < table.numElements(); ++i)
    table.setDouble(i, type.value(unsigned(i)));
  Type element = getElementType(n.builder.getContext(), type.stored);
  Value values =
      n.create<GatherOp>(n.makeType({count}, element), n.constantValue(table),
                         patterns, uint64_t(0), Attribute());
  return n.reshape(values, shape);
}

//===----------------------------------------------------------------------===//
// Conversion
//===----------------------------------------------------------------------===//

static Value wrapped(NodeImport &n, Value value, const NarrowType &type) {
  value = n.cast(value, n.builder.getI32Type());
  auto mask = [&](int64_t bits) { return n.splatLike(value, double(bits)); };
  int64_t size = int64_t(1) << type.bits;
  value = n.binary<BitAndOp>(value, mask(size - 1));
  // What has the highest bit is negative.
  if (type.stored == DType::I8)
    value = n.binary<SubOp>(n.binary<BitXorOp>(value, mask(size / 2)),
                            mask(size / 2));
  return n.cast(value, getElementType(n.builder.getContext(), type.stored));
}

/// Numbers, none of them beyond twice the largest, rounded to as many digits as
/// the type has at their size, ties to even.
static Value roundedToDigits(NodeImport &n, Value value,
                             const NarrowType &type) {
  RankedTensorType integers =
      n.makeType(nn::shapeOf(value), n.builder.getI32Type());
  Value exponent = n.binary<BitAndOp>(n.create<BitcastOp>(integers, value),
                                      n.splat(integers, 0x7f800000));
  Value power = n.create<BitcastOp>(value.getType(), exponent);
  power = n.binary<MaxOp>(power,
                          n.splatLike(power, std::ldexp(1.0, 1 - type.bias)));
  Value step = n.binary<MulOp>(
      power, n.splatLike(power, std::ldexp(1.0, -type.mantissa)));
  return n.binary<MulOp>(n.unary<RoundOp>(n.binary<DivOp>(value, step)), step);
}

static Value rounded(NodeImport &n, Value value, const NarrowType &type,
                     bool saturates) {
  value = n.cast(value, n.builder.getF32Type());
  auto number = [&](double x) { return n.splatLike(value, x); };
  auto select = [&](Value condition, Value yes, Value no) {
    return n.create<SelectOp>(value.getType(), condition, yes, no);
  };
  double largest = type.largest(),
         infinity = std::numeric_limits<double>::infinity(),
         nan = std::numeric_limits<double>::quiet_NaN();
  Value isNaN = n.compare("ne", value, value);
  Value isNegative = n.compare("lt", value, number(0));
  Value clamped = n.binary<MinOp>(
      n.binary<MaxOp>(select(isNaN, number(0), value), number(-2 * largest)),
      number(2 * largest));
  Value result = roundedToDigits(n, clamped, type);
  Value isBeyond = n.compare("gt", n.unary<AbsOp>(result), number(largest));
  double limit = saturates || type.special == NarrowType::Nothing ? largest
                 : type.special == NarrowType::Infinities         ? infinity
                                                                  : nan;
  result = select(isBeyond, select(isNegative, number(-limit), number(limit)),
                  result);
  // Where there is no NaN it is zero, where minus zero is NaN there is one
  // zero.
  if (type.special == NarrowType::MinusZeroIsNaN)
    result = select(n.compare("eq", result, number(0)), number(0), result);
  if (type.special != NarrowType::Nothing)
    result = select(isNaN, number(nan), result);
  return n.cast(result, getElementType(n.builder.getContext(), type.stored));
}

Value importer::castToNarrow(NodeImport &n, Value value, const NarrowType &type,
                             bool saturates) {
  return type.isFloat() ? rounded(n, value, type, saturates)
                        : wrapped(n, value, type);
}
