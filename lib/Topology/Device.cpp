//===- Device.cpp - What a rank computes with -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Device.h"
#include <algorithm>

using namespace partita;

static const char *const precisionNames[numPrecisions] = {
    "f64", "f32", "tf32", "f16", "bf16", "f8", "i8", "f4"};

const char *partita::precisionName(Precision precision) {
  return precisionNames[static_cast<size_t>(precision)];
}

std::optional<Precision> partita::parsePrecision(std::string_view name) {
  for (size_t p = 0; p < numPrecisions; ++p)
    if (name == precisionNames[p])
      return static_cast<Precision>(p);
  return std::nullopt;
}

Precision partita::precisionOf(DType dtype, bool tf32, bool f8) {
  switch (dtype) {
  case DType::F64:
  case DType::I64:
  case DType::U64:
    return Precision::F64;
  case DType::F16:
    return f8 ? Precision::F8 : Precision::F16;
  case DType::BF16:
    return f8 ? Precision::F8 : Precision::BF16;
  case DType::I8:
  case DType::U8:
    return Precision::I8;
  case DType::F32:
    return tf32 ? Precision::TF32 : Precision::F32;
  case DType::I16:
  case DType::U16:
  case DType::I32:
  case DType::U32:
  case DType::Bool:
    break;
  }
  return Precision::F32;
}

const char *partita::deviceKindName(DeviceKind kind) {
  static const char *const names[] = {"cpu", "cuda", "rocm"};
  return names[static_cast<int>(kind)];
}

static double rate(const Rates &rates, Precision precision) {
  return rates[static_cast<size_t>(precision)];
}

double DeviceType::vectorPeak(Precision precision) const {
  if (double own = rate(vector, precision); own > 0)
    return own;
  double f32 = rate(vector, Precision::F32);
  return precision == Precision::F64 ? f32 / 2 : f32;
}

/// The precision that matrix units without `precision` use instead, which has
/// all of its values; itself where vector units have to do it.
static Precision widened(Precision precision) {
  switch (precision) {
  case Precision::F4:
    return Precision::F8;
  case Precision::F8:
  case Precision::I8:
    return Precision::F16;
  case Precision::F16:
  case Precision::BF16:
    return Precision::TF32;
  case Precision::TF32:
    return Precision::F32;
  case Precision::F32:
  case Precision::F64:
    break;
  }
  return precision;
}

/// The precision that matrix units compute `precision` in, or the last that
/// was tried.
static Precision usedPrecision(const DeviceType &device, Precision precision) {
  while (rate(device.matrix, precision) <= 0 && widened(precision) != precision)
    precision = widened(precision);
  return precision;
}

double DeviceType::matrixPeak(Precision precision) const {
  Precision used = usedPrecision(*this, precision);
  double own = rate(matrix, used);
  return own > 0 ? own : vectorPeak(used);
}

double DeviceType::sustainedPeak(Precision precision) const {
  double known = rate(sustained, usedPrecision(*this, precision));
  return known > 0 ? known : matrixPeak(precision);
}

static Rates least(const Rates &a, const Rates &b) {
  Rates rates;
  for (size_t p = 0; p < numPrecisions; ++p)
    rates[p] = std::min(a[p], b[p]);
  return rates;
}

DeviceType partita::weaker(const DeviceType &a, const DeviceType &b) {
  if (a == b)
    return a;
  DeviceType device;
  device.name = a.name + " and " + b.name;
  if (a.model() == b.model())
    device.variantOf = a.model();
  device.kind = std::max(a.kind, b.kind);
  device.threads = std::min(a.threads, b.threads);
  device.vector = least(a.vector, b.vector);
  device.matrix = least(a.matrix, b.matrix);
  device.sustained = least(a.sustained, b.sustained);
  device.memoryBytes = std::min(a.memoryBytes, b.memoryBytes);
  device.memoryBandwidth = std::min(a.memoryBandwidth, b.memoryBandwidth);
  device.launchSeconds = std::max(a.launchSeconds, b.launchSeconds);
  device.computeUnits = std::min(a.computeUnits, b.computeUnits);
  device.cacheBytes = std::min(a.cacheBytes, b.cacheBytes);
  device.clockHz = std::min(a.clockHz, b.clockHz);
  device.powerWatts = std::max(a.powerWatts, b.powerWatts);
  device.dollarsPerHour = std::max(a.dollarsPerHour, b.dollarsPerHour);
  return device;
}
