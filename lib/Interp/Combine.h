//===- Combine.h - Combining values of a reduction -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What nn.reduce does to elements and a collective to partial values.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_COMBINE_H
#define PARTITA_LIB_INTERP_COMBINE_H

#include "partita/Support/DType.h"
#include "partita/Support/Sharding.h"
#include <limits>
#include <type_traits>

namespace partita::interp {

/// a combined with b; T is double, int64_t or uint64_t. NaN propagates and
/// integers wrap. The combiner is sum, max, min or prod.
template <typename T> T combine(Combiner combiner, T a, T b) {
  switch (combiner) {
  case Combiner::Max:
    return a != a || a > b ? a : b;
  case Combiner::Min:
    return a != a || a < b ? a : b;
  case Combiner::Prod:
    if constexpr (std::is_same_v<T, double>)
      return a * b;
    else
      return T(uint64_t(a) * uint64_t(b));
  default:
    if constexpr (std::is_same_v<T, double>)
      return a + b;
    else
      return T(uint64_t(a) + uint64_t(b));
  }
}

/// What combining nothing gives: 0, 1, or the end of the stored type's range.
template <typename T> T identity(Combiner combiner, DType stored) {
  bool max = combiner == Combiner::Max;
  if (!max && combiner != Combiner::Min)
    return combiner == Combiner::Prod ? T(1) : T(0);
  if constexpr (std::is_same_v<T, double>) {
    double infinity = std::numeric_limits<double>::infinity();
    return max ? -infinity : infinity;
  } else {
    if (stored == DType::Bool)
      return max ? T(0) : T(1);
    int bits = 8 * int(dtypeSize(stored));
    bool isUnsigned = stored >= DType::U8;
    // The least value of n signed bits is -2^(n-1), the greatest its
    // complement.
    uint64_t least = isUnsigned ? 0 : ~uint64_t(0) << (bits - 1);
    uint64_t greatest = isUnsigned ? ~uint64_t(0) >> (64 - bits) : ~least;
    return T(max ? least : greatest);
  }
}

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_COMBINE_H
