//===- DType.cpp - Element types ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes, names and half-precision conversions. The conversions are bit
// manipulations so that every machine gives the same bytes.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/DType.h"
#include <bit>

using namespace partita;

namespace {
struct DTypeInfo {
  std::string_view name;
  size_t size;
};
} // namespace

/// In the order of the enumeration.
static constexpr DTypeInfo infos[] = {
    {"f32", 4}, {"f64", 8}, {"f16", 2},  {"bf16", 2}, {"i8", 1},
    {"i16", 2}, {"i32", 4}, {"i64", 8},  {"u8", 1},   {"u16", 2},
    {"u32", 4}, {"u64", 8}, {"bool", 1},
};

size_t partita::dtypeSize(DType type) {
  return infos[static_cast<size_t>(type)].size;
}

std::string_view partita::dtypeName(DType type) {
  return infos[static_cast<size_t>(type)].name;
}

std::optional<DType> partita::parseDType(std::string_view name) {
  for (size_t i = 0; i < std::size(infos); ++i)
    if (infos[i].name == name)
      return static_cast<DType>(i);
  return std::nullopt;
}

float partita::halfToFloat(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16;
  uint32_t exponent = (bits >> 10) & 0x1f;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) |
                                (mantissa << 13));
  // Zero and subnormals: mantissa * 2^-24 is exact in f32.
  float value = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

uint16_t partita::floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) // NaN stays NaN, quiet.
    return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) // Rounds to 65520 or more: infinity.
    return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal in half: adding 0.5 places the rounding at 2^-24.
    float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign |
           static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000);
  }
  uint32_t odd = (magnitude >> 13) & 1;
  magnitude += 0xfff + odd;
  return sign | static_cast<uint16_t>((magnitude - (112u << 23)) >> 13);
}

float partita::bfloatToFloat(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

uint16_t partita::floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}
