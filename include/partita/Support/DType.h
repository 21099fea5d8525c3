//===- DType.h - Element types ---------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Element types as stored in files, buffers and command tables. `Bool` takes
// one byte that is 0 or 1.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_DTYPE_H
#define PARTITA_SUPPORT_DTYPE_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace partita {

enum class DType : uint8_t {
  F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool
};

/// Bytes of one element.
size_t dtypeSize(DType type);
/// "f32", "i64", "bool", ...
std::string_view dtypeName(DType type);
/// The inverse of dtypeName.
std::optional<DType> parseDType(std::string_view name);
inline bool isFloat(DType type) { return type <= DType::BF16; }

/// Conversions between half precisions and f32, round to nearest even.
float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value);
float bfloatToFloat(uint16_t bits);
uint16_t floatToBfloat(float value);

} // namespace partita

#endif // PARTITA_SUPPORT_DTYPE_H
