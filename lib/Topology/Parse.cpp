//===- Parse.cpp - Names of machines --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The constants below are of one x86 core with AVX-512 at a server's clock.
// They decide which of two plans is taken; what is promised to a user in
// seconds wants a calibrated machine.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include <algorithm>
#include <charconv>
#include <optional>

using namespace partita;

namespace {
/// A packed f32 product of 1024^3 on one core, as oneDNN does it.
constexpr double cpuPeakFlopsPerThread = 140e9;
/// A core streaming from memory while the others do the same.
constexpr double cpuBandwidthPerThread = 12e9;
/// A core's share stops growing when its socket's channels are full.
constexpr double cpuBandwidthLimit = 100e9;
/// Dispatch of one command from the table, its kernel's prologue included.
constexpr double cpuLaunchSeconds = 2e-6;
/// Threads of one process meet at a flag and read each other's memory.
constexpr double threadLatencySeconds = 3e-6, threadBandwidth = 10e9;
} // namespace

static std::optional<int64_t> parseCount(std::string_view text) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 ||
      value > 4096)
    return std::nullopt;
  return value;
}

static DeviceType cpuOf(int64_t threads) {
  DeviceType device;
  device.name = "cpu";
  device.threads = device.computeUnits = threads;
  double n = static_cast<double>(threads), peak = n * cpuPeakFlopsPerThread;
  auto set = [&](Precision precision, double share) {
    size_t p = static_cast<size_t>(precision);
    device.vector[p] = device.matrix[p] = share * peak;
  };
  // Vectors of half the lanes; halves are converted before and after.
  set(Precision::F64, 0.5);
  set(Precision::F32, 1);
  set(Precision::F16, 0.25);
  set(Precision::BF16, 0.25);
  set(Precision::I8, 1);
  device.memoryBandwidth =
      std::min(n * cpuBandwidthPerThread, cpuBandwidthLimit);
  device.launchSeconds = cpuLaunchSeconds;
  return device;
}

Result<Topology> Topology::parse(const std::string &text) {
  const char *hint = "write cpu:N for N ranks of one thread, or cpu:NxT for N "
                     "ranks of T threads, for example cpu:4";
  std::string place = "--topology " + text;
  size_t colon = text.find(':');
  if (colon == std::string::npos)
    return makeError(ExitCode::Usage, "topology.syntax", place,
                     "'" + text + "' is not KIND:RANKS", hint);
  std::string kind = text.substr(0, colon);
  if (kind != "cpu")
    return makeError(ExitCode::Unsupported, "topology.kind", place,
                     "there is no support for devices of kind '" + kind + "'",
                     hint);
  std::string_view counts = std::string_view(text).substr(colon + 1);
  size_t cross = counts.find('x');
  auto ranks = parseCount(counts.substr(0, cross));
  auto threads = cross == std::string_view::npos
                     ? std::optional<int64_t>(1)
                     : parseCount(counts.substr(cross + 1));
  if (!ranks || !threads)
    return makeError(ExitCode::Usage, "topology.syntax", place,
                     "'" + std::string(counts) +
                         "' is not a number of ranks from 1 to 4096",
                     hint);
  Topology topology;
  topology.text = topology.name = text;
  topology.devices.push_back(cpuOf(*threads));
  topology.ranges.push_back({0, *ranks, 0});
  Link link;
  link.latencySeconds = threadLatencySeconds;
  link.bandwidth = threadBandwidth;
  topology.levels.push_back({"process", *ranks, link});
  return topology;
}
