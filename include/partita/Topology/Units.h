//===- Units.h - Quantities with units --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// "900 GB/s", "312 TFLOP/s", "80 GiB", "3 us": a quantity is a positive decimal
// number, a prefix and a unit. A number alone is not a quantity: bits and
// bytes, 10^9 and 2^30 differ by more than what the choice between two plans
// turns on.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_UNITS_H
#define PARTITA_TOPOLOGY_UNITS_H

#include "partita/Support/Error.h"
#include <string>
#include <string_view>

namespace partita {

enum class Dimension : uint8_t {
  Bandwidth, // bytes per second
  Rate,      // operations per second
  Bytes,
  Seconds,
  Hertz,
  Watts,
  DollarsPerHour
};

/// The value in the base unit of its dimension, within what machines may have
/// (one to 10^24 operations per second, one to 2^53 bytes, ...); zero only for
/// times. Errors: exit code 2, without a place.
Result<double> parseQuantity(std::string_view text, Dimension dimension);

/// "900 GB/s", "80 GiB", "1.5 us": what parseQuantity() takes, at most five
/// digits.
std::string formatQuantity(double value, Dimension dimension);

} // namespace partita

#endif // PARTITA_TOPOLOGY_UNITS_H
