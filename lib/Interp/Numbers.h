//===- Numbers.h - Between stored and computed numbers ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reference kernels compute in three types only: double for every floating
// point type, int64 for integers and booleans, uint64 for u64. `load` widens a
// tensor to one of them, exactly; `store` rounds once to the stored type. Half
// precisions take care: going through f32 would round twice, so the value is
// first rounded to odd, which the second rounding cannot notice.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_NUMBERS_H
#define PARTITA_LIB_INTERP_NUMBERS_H

#include "partita/Support/HostTensor.h"
#include <type_traits>
#include <vector>

namespace partita::interp {

/// The elements as T, which is double, int64_t or uint64_t.
template <typename T> std::vector<T> load(const HostTensor &tensor);

/// A tensor of `type` from values; T as above. Integers are truncated to their
/// width, booleans are `value != 0`, doubles to integers saturate at 64 bits.
template <typename T>
HostTensor store(DType type, std::vector<int64_t> shape,
                 const std::vector<T> &values);

/// Calls `fn` with a value-less tag of the type that `type` computes in.
template <typename Fn> auto dispatch(DType type, Fn fn) {
  if (isFloat(type))
    return fn(std::type_identity<double>());
  if (type == DType::U64)
    return fn(std::type_identity<uint64_t>());
  return fn(std::type_identity<int64_t>());
}

/// Rounded to nearest even once, from double or int64.
uint16_t roundToHalf(double value);
uint16_t roundToBfloat(double value);
uint16_t roundToBfloat(int64_t value);

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_NUMBERS_H
