//===- Device.h - What a rank computes with ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A data sheet as a value: rates by number format, memory, power and price of
// one type of device. A device has two kinds of arithmetic units. Vector units
// compute what is element by element; matrix units (tensor cores, matrix cores,
// a CPU's library of matrix products) multiply matrices and convolve.
//
// A figure that is not known is zero, and every lookup says what it then gives.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_DEVICE_H
#define PARTITA_TOPOLOGY_DEVICE_H

#include "partita/Support/DType.h"
#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace partita {

/// A number format that arithmetic units compute in. TF32 is f32 rounded to
/// ten bits of mantissa before it is multiplied; F8 and F4 stand for all
/// formats of that size.
enum class Precision : uint8_t { F64, F32, TF32, F16, BF16, F8, I8, F4 };
inline constexpr size_t numPrecisions = 8;
/// "f64", "f32", "tf32", "f16", "bf16", "f8", "i8", "f4".
const char *precisionName(Precision precision);
/// The inverse of precisionName.
std::optional<Precision> parsePrecision(std::string_view name);

/// The precision that values of `dtype` are computed in. Integers wider than a
/// byte and booleans count as floats of f32, those of 64 bits as f64. A program
/// may permit less for what is multiplied: `tf32` for f32, `f8` for halves.
Precision precisionOf(DType dtype, bool tf32 = false, bool f8 = false);

/// Operations per second by precision, zero where there are no such units. A
/// fused multiplication and addition counts as two; no structured sparsity.
using Rates = std::array<double, numPrecisions>;

/// What makes a device run; only `Cpu` can be compiled for.
enum class DeviceKind : uint8_t { Cpu, Cuda, Rocm };
const char *deviceKindName(DeviceKind kind);

/// Rates are of the whole device.
struct DeviceType {
  std::string name;
  /// The device that it is a variant of, whose measured constants hold for it;
  /// empty: it is one itself.
  std::string variantOf;
  DeviceKind kind = DeviceKind::Cpu;
  /// Threads of one rank; above one on CPUs only.
  int64_t threads = 1;
  /// Peaks of the data sheet.
  Rates vector{}, matrix{};
  /// What the best shape of a matrix product sustains within the power limit;
  /// zero where nobody measured it.
  Rates sustained{};
  int64_t memoryBytes = 0;
  /// Bytes per second, read and written together.
  double memoryBandwidth = 0;
  /// Time of a command that does nothing.
  double launchSeconds = 0;
  /// Streaming multiprocessors, compute units, cores.
  int64_t computeUnits = 0;
  /// Bytes of the last cache that all compute units share.
  int64_t cacheBytes = 0;
  /// Cycles per second at which the peaks hold.
  double clockHz = 0;
  /// Power that it may draw, and what an hour of it costs in US dollars.
  double powerWatts = 0, dollarsPerHour = 0;
  /// Where the figures are from.
  std::string source;

  /// Under which name constants of the device are known.
  const std::string &model() const {
    return variantOf.empty() ? name : variantOf;
  }
  /// The peak of vector units. A precision that they do not have is computed as
  /// f32; f64 at half its rate.
  double vectorPeak(Precision precision) const;
  /// The peak of matrix units. A precision that they do not have is computed in
  /// the next wider one that they have, at last by vector units: f4 as f8, f8
  /// and i8 as f16 or bf16, those as each other and tf32, tf32 as f32.
  double matrixPeak(Precision precision) const;
  /// What can be sustained of matrixPeak(), or matrixPeak() where that is not
  /// known.
  double sustainedPeak(Precision precision) const;

  bool operator==(const DeviceType &) const = default;
};

/// The least of each figure: what all ranks can be counted on to do. Unknown
/// where one of the two is unknown.
DeviceType weaker(const DeviceType &a, const DeviceType &b);

} // namespace partita

#endif // PARTITA_TOPOLOGY_DEVICE_H
