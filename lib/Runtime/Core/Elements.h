//===- Elements.h - Element types as kernels see them ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels are templates over how an element is stored. Half precisions and
// booleans are types of their own here, because their conversions are not the
// language's; a dispatch turns a DType into one of these types.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CORE_ELEMENTS_H
#define PARTITA_LIB_RUNTIME_CORE_ELEMENTS_H

#include "partita/Support/DType.h"
#include <limits>
#include <type_traits>

namespace partita::runtime {

struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};
struct Boolean {
  uint8_t value;
};

/// The type to compute with what is stored as T: convert<Computed<T>>(x).
template <typename T> struct ComputedType {
  using type = T;
};
template <> struct ComputedType<Half> {
  using type = float;
};
template <> struct ComputedType<Bfloat> {
  using type = float;
};
template <> struct ComputedType<Boolean> {
  using type = uint8_t;
};
template <typename T> using Computed = typename ComputedType<T>::type;

/// As nn.cast converts.
template <typename To, typename From> To convert(From from) {
  if constexpr (std::is_same_v<From, Half>)
    return convert<To>(halfToFloat(from.bits));
  else if constexpr (std::is_same_v<From, Bfloat>)
    return convert<To>(bfloatToFloat(from.bits));
  else if constexpr (std::is_same_v<From, Boolean>)
    return convert<To>(static_cast<uint8_t>(from.value != 0));
  else if constexpr (std::is_same_v<To, Half>)
    return Half{floatToHalf(static_cast<float>(from))};
  else if constexpr (std::is_same_v<To, Bfloat>)
    return Bfloat{floatToBfloat(static_cast<float>(from))};
  else if constexpr (std::is_same_v<To, Boolean>)
    return Boolean{static_cast<uint8_t>(from != From(0))};
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // What the hardware does out of range, made defined: saturate, NaN is 0.
    if (!(from == from))
      return 0;
    if (from >= static_cast<From>(std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    if (from <= static_cast<From>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    return static_cast<To>(from);
  } else
    return static_cast<To>(from);
}

template <typename T> struct Tag {
  using type = T;
};

/// Calls fn(Tag<storage type>) for a dtype.
template <typename Fn> auto dispatch(DType type, Fn fn) {
  switch (type) {
  case DType::F32:
    return fn(Tag<float>());
  case DType::F64:
    return fn(Tag<double>());
  case DType::F16:
    return fn(Tag<Half>());
  case DType::BF16:
    return fn(Tag<Bfloat>());
  case DType::I8:
    return fn(Tag<int8_t>());
  case DType::I16:
    return fn(Tag<int16_t>());
  case DType::I32:
    return fn(Tag<int32_t>());
  case DType::I64:
    return fn(Tag<int64_t>());
  case DType::U8:
    return fn(Tag<uint8_t>());
  case DType::U16:
    return fn(Tag<uint16_t>());
  case DType::U32:
    return fn(Tag<uint32_t>());
  case DType::U64:
    return fn(Tag<uint64_t>());
  case DType::Bool:
    break;
  }
  return fn(Tag<Boolean>());
}

/// Calls fn with an integer type as wide as the dtype: for moves.
template <typename Fn> auto dispatchSize(size_t size, Fn fn) {
  switch (size) {
  case 1:
    return fn(Tag<uint8_t>());
  case 2:
    return fn(Tag<uint16_t>());
  case 4:
    return fn(Tag<uint32_t>());
  default:
    return fn(Tag<uint64_t>());
  }
}

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CORE_ELEMENTS_H
