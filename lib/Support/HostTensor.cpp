//===- HostTensor.cpp - A dense tensor in host memory ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Storage and element access by dtype. Access by element is for tests, folding
// and printing; hot loops use `as<T>()`.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/HostTensor.h"
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

using namespace partita;

std::optional<int64_t>
partita::checkedNumElements(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0)
      return std::nullopt;
    if (dim == 0)
      empty = true;
    else if (__builtin_mul_overflow(count, dim, &count))
      return std::nullopt;
  }
  return empty ? 0 : count;
}

std::vector<int64_t>
partita::rowMajorStrides(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

HostTensor::HostTensor(DType type, std::vector<int64_t> shape)
    : type(type), dims(std::move(shape)) {
  std::optional<int64_t> elements = checkedNumElements(dims);
  int64_t size;
  if (!elements ||
      __builtin_mul_overflow(*elements, int64_t(dtypeSize(type)), &size) ||
      size > INT64_MAX - 64)
    throw std::bad_alloc();
  count = *elements;
  size_t padded = (static_cast<size_t>(size) + 63) / 64 * 64;
  if (padded == 0)
    padded = 64;
  auto *memory = static_cast<std::byte *>(std::aligned_alloc(64, padded));
  if (!memory)
    throw std::bad_alloc();
  std::memset(memory, 0, padded);
  bytes =
      std::shared_ptr<std::byte>(memory, [](std::byte *p) { std::free(p); });
}

double HostTensor::getDouble(int64_t i) const {
  switch (type) {
  case DType::F32:
    return as<float>()[i];
  case DType::F64:
    return as<double>()[i];
  case DType::F16:
    return halfToFloat(as<uint16_t>()[i]);
  case DType::BF16:
    return bfloatToFloat(as<uint16_t>()[i]);
  case DType::U64:
    return static_cast<double>(as<uint64_t>()[i]);
  default:
    return static_cast<double>(getInt(i));
  }
}

/// Conversion of a double to an integer type: truncation, saturated, NaN is 0
/// (the C conversion would be undefined).
template <typename T> static T toInteger(double value) {
  if (!(value == value))
    return 0;
  // Both bounds as doubles: the upper one rounds up to 2^n, hence `>=`.
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  return static_cast<T>(value);
}

void HostTensor::setDouble(int64_t i, double value) {
  switch (type) {
  case DType::F32:
    as<float>()[i] = static_cast<float>(value);
    return;
  case DType::F64:
    as<double>()[i] = value;
    return;
  case DType::F16:
    as<uint16_t>()[i] = floatToHalf(static_cast<float>(value));
    return;
  case DType::BF16:
    as<uint16_t>()[i] = floatToBfloat(static_cast<float>(value));
    return;
  case DType::U64:
    as<uint64_t>()[i] = toInteger<uint64_t>(value);
    return;
  case DType::Bool:
    as<uint8_t>()[i] = value != 0;
    return;
  case DType::I8:
    as<int8_t>()[i] = toInteger<int8_t>(value);
    return;
  case DType::I16:
    as<int16_t>()[i] = toInteger<int16_t>(value);
    return;
  case DType::I32:
    as<int32_t>()[i] = toInteger<int32_t>(value);
    return;
  case DType::I64:
    as<int64_t>()[i] = toInteger<int64_t>(value);
    return;
  case DType::U8:
    as<uint8_t>()[i] = toInteger<uint8_t>(value);
    return;
  case DType::U16:
    as<uint16_t>()[i] = toInteger<uint16_t>(value);
    return;
  case DType::U32:
    as<uint32_t>()[i] = toInteger<uint32_t>(value);
    return;
  }
}

int64_t HostTensor::getInt(int64_t i) const {
  switch (type) {
  case DType::I8:
    return as<int8_t>()[i];
  case DType::I16:
    return as<int16_t>()[i];
  case DType::I32:
    return as<int32_t>()[i];
  case DType::I64:
    return as<int64_t>()[i];
  case DType::U8:
    return as<uint8_t>()[i];
  case DType::U16:
    return as<uint16_t>()[i];
  case DType::U32:
    return as<uint32_t>()[i];
  case DType::U64:
    return static_cast<int64_t>(as<uint64_t>()[i]);
  case DType::Bool:
    return as<uint8_t>()[i] != 0;
  default:
    return toInteger<int64_t>(getDouble(i));
  }
}

void HostTensor::setInt(int64_t i, int64_t value) {
  switch (type) {
  case DType::I8:
  case DType::U8:
    as<uint8_t>()[i] = static_cast<uint8_t>(value);
    return;
  case DType::I16:
  case DType::U16:
    as<uint16_t>()[i] = static_cast<uint16_t>(value);
    return;
  case DType::I32:
  case DType::U32:
    as<uint32_t>()[i] = static_cast<uint32_t>(value);
    return;
  case DType::I64:
  case DType::U64:
    as<int64_t>()[i] = value;
    return;
  case DType::Bool:
    as<uint8_t>()[i] = value != 0;
    return;
  default:
    setDouble(i, static_cast<double>(value));
  }
}

HostTensor HostTensor::clone() const {
  HostTensor copy(type, dims);
  std::memcpy(copy.data(), data(), numBytes());
  return copy;
}

HostTensor HostTensor::reshaped(std::vector<int64_t> shape) const {
  assert(checkedNumElements(shape) == count && "element counts differ");
  HostTensor other = *this;
  other.dims = std::move(shape);
  return other;
}

HostTensor HostTensor::cast(DType to) const {
  if (to == type)
    return clone();
  HostTensor result(to, dims);
  bool throughInt = !isFloat(type) && !isFloat(to);
  for (int64_t i = 0; i < count; ++i)
    if (throughInt)
      result.setInt(i, getInt(i));
    else
      result.setDouble(i, getDouble(i));
  return result;
}
