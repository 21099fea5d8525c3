//===- Numbers.cpp - Between stored and computed numbers ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One loop for each pair of a stored and a computed type, so that the compiler
// vectorises it; the switch is outside.
//
//===----------------------------------------------------------------------===//

#include "Numbers.h"
#include <bit>
#include <cmath>

using namespace partita;
using namespace partita::interp;

/// The f32 on the side of `value` towards zero with its last bit set unless
/// `value` is an f32 itself: rounding that again to fewer bits gives what
/// rounding `value` gives.
template <typename Wide> static float roundToOdd(double value, Wide exact) {
  float nearest = static_cast<float>(exact);
  if (!std::isfinite(value) || Wide(nearest) == exact)
    return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  bool awayFromZero = value < 0 ? Wide(nearest) < exact : Wide(nearest) > exact;
  if (awayFromZero)
    --bits;
  return std::bit_cast<float>(bits | 1);
}

uint16_t interp::roundToHalf(double value) {
  return floatToHalf(roundToOdd<double>(value, value));
}
uint16_t interp::roundToBfloat(double value) {
  return floatToBfloat(roundToOdd<double>(value, value));
}
uint16_t interp::roundToBfloat(int64_t value) {
  return floatToBfloat(roundToOdd<long double>(double(value), value));
}

template <typename From, typename T>
static void widen(const HostTensor &tensor, std::vector<T> &values) {
  const From *from = tensor.as<From>();
  for (size_t i = 0, n = values.size(); i < n; ++i)
    values[i] = static_cast<T>(from[i]);
}

template <typename T> std::vector<T> interp::load(const HostTensor &tensor) {
  std::vector<T> values(tensor.numElements());
  switch (tensor.dtype()) {
  case DType::F32:
    widen<float>(tensor, values);
    break;
  case DType::F64:
    widen<double>(tensor, values);
    break;
  case DType::I8:
    widen<int8_t>(tensor, values);
    break;
  case DType::I16:
    widen<int16_t>(tensor, values);
    break;
  case DType::I32:
    widen<int32_t>(tensor, values);
    break;
  case DType::I64:
    widen<int64_t>(tensor, values);
    break;
  case DType::U8:
    widen<uint8_t>(tensor, values);
    break;
  case DType::U16:
    widen<uint16_t>(tensor, values);
    break;
  case DType::U32:
    widen<uint32_t>(tensor, values);
    break;
  case DType::U64:
    widen<uint64_t>(tensor, values);
    break;
  case DType::Bool:
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = tensor.as<uint8_t>()[i] != 0;
    break;
  case DType::F16:
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<T>(halfToFloat(tensor.as<uint16_t>()[i]));
    break;
  case DType::BF16:
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<T>(bfloatToFloat(tensor.as<uint16_t>()[i]));
    break;
  }
  return values;
}

/// Integers of an integer type keep their low bits; what comes from double goes
/// through HostTensor's saturating conversion.
template <typename To, typename T>
static void narrow(const std::vector<T> &values, HostTensor &tensor) {
  To *to = tensor.as<To>();
  if constexpr (std::is_integral_v<To> && std::is_floating_point_v<T>) {
    for (size_t i = 0, n = values.size(); i < n; ++i)
      tensor.setDouble(i, values[i]);
  } else {
    for (size_t i = 0, n = values.size(); i < n; ++i)
      to[i] = static_cast<To>(values[i]);
  }
}

template <typename T>
static void narrowHalf(const std::vector<T> &values, HostTensor &tensor) {
  uint16_t *to = tensor.as<uint16_t>();
  bool half = tensor.dtype() == DType::F16;
  for (size_t i = 0, n = values.size(); i < n; ++i) {
    // An integer that does not fit f64 is far beyond f16: its first rounding
    // cannot matter there.
    if (half)
      to[i] = roundToHalf(static_cast<double>(values[i]));
    else if constexpr (std::is_same_v<T, int64_t>)
      to[i] = roundToBfloat(values[i]);
    else
      to[i] = roundToBfloat(static_cast<double>(values[i]));
  }
}

template <typename T>
HostTensor interp::store(DType type, std::vector<int64_t> shape,
                         const std::vector<T> &values) {
  HostTensor tensor(type, std::move(shape));
  switch (type) {
  case DType::F32:
    narrow<float>(values, tensor);
    break;
  case DType::F64:
    narrow<double>(values, tensor);
    break;
  case DType::F16:
  case DType::BF16:
    narrowHalf(values, tensor);
    break;
  case DType::I8:
    narrow<int8_t>(values, tensor);
    break;
  case DType::I16:
    narrow<int16_t>(values, tensor);
    break;
  case DType::I32:
    narrow<int32_t>(values, tensor);
    break;
  case DType::I64:
    narrow<int64_t>(values, tensor);
    break;
  case DType::U8:
    narrow<uint8_t>(values, tensor);
    break;
  case DType::U16:
    narrow<uint16_t>(values, tensor);
    break;
  case DType::U32:
    narrow<uint32_t>(values, tensor);
    break;
  case DType::U64:
    narrow<uint64_t>(values, tensor);
    break;
  case DType::Bool:
    for (size_t i = 0; i < values.size(); ++i)
      tensor.as<uint8_t>()[i] = values[i] != T(0);
    break;
  }
  return tensor;
}

#define PARTITA_INSTANTIATE(T)                                                 \
  template std::vector<T> interp::load<T>(const HostTensor &);                 \
  template HostTensor interp::store<T>(DType, std::vector<int64_t>,            \
                                       const std::vector<T> &);
PARTITA_INSTANTIATE(double)
PARTITA_INSTANTIATE(int64_t)
PARTITA_INSTANTIATE(uint64_t)
#undef PARTITA_INSTANTIATE
