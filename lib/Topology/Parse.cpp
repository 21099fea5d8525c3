//===- Parse.cpp - Names of machines --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A machine is a file, a preset, several of a preset, or ranks of this
// processor.
//
// The constants below are of one x86 core with AVX-512 at a server's clock.
// They decide which of two plans is taken; what is promised to a user in
// seconds wants a calibrated machine.
//
//===----------------------------------------------------------------------===//

#include "Presets.h"
#include "partita/Support/File.h"
#include "partita/Topology/Topology.h"
#include <algorithm>
#include <charconv>
#include <optional>

using namespace partita;
using namespace partita::topology;

namespace {
/// A packed f32 product of 1024^3 on one core, as the runtime does it.
constexpr double cpuPeakFlopsPerThread = 140e9;
/// A core streaming from memory while the others do the same.
constexpr double cpuBandwidthPerThread = 12e9;
/// A core's share stops growing when its socket's channels are full.
constexpr double cpuBandwidthLimit = 100e9;
/// Dispatch of one command from the table, its kernel's prologue included.
constexpr double cpuLaunchSeconds = 2e-6;
/// Threads of one process meet at a flag and read each other's memory.
constexpr double threadLatencySeconds = 3e-6, threadBandwidth = 10e9;
constexpr int64_t maxCpuRanks = 4096;
} // namespace

static std::optional<int64_t> parseCount(std::string_view text, int64_t most) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 ||
      value > most)
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

/// `cpu:N` and `cpu:NxT`.
static Result<Topology> parseCpu(const std::string &text) {
  const char *hint = "write cpu:N for N ranks of one thread, or cpu:NxT for N "
                     "ranks of T threads, for example cpu:4";
  std::string place = "--topology " + text;
  size_t colon = text.find(':');
  std::string kind = text.substr(0, colon);
  if (kind != "cpu")
    return makeError(ExitCode::Unsupported, "topology.kind", place,
                     "there is no support for devices of kind '" + kind + "'",
                     hint);
  std::string_view counts = std::string_view(text).substr(colon + 1);
  size_t cross = counts.find('x');
  auto ranks = parseCount(counts.substr(0, cross), maxCpuRanks);
  auto threads = cross == std::string_view::npos
                     ? std::optional<int64_t>(1)
                     : parseCount(counts.substr(cross + 1), maxCpuRanks);
  if (!ranks || !threads)
    return makeError(ExitCode::Usage, "topology.syntax", place,
                     "'" + std::string(counts) +
                         "' is not a number of ranks from 1 to " +
                         std::to_string(maxCpuRanks),
                     hint);
  Topology topology;
  topology.devices.push_back(cpuOf(*threads));
  topology.ranges.push_back({0, *ranks, 0});
  Link link;
  link.latencySeconds = threadLatencySeconds;
  link.bandwidth = threadBandwidth;
  topology.levels.push_back({"process", *ranks, link});
  return topology;
}

/// One device by itself: its only rank talks to nobody.
static Topology single(const DeviceType &device) {
  Topology topology;
  topology.devices.push_back(device);
  topology.ranges.push_back({0, 1, 0});
  Link link;
  link.bandwidth = device.memoryBandwidth;
  topology.levels.push_back({"device", 1, link});
  return topology;
}

static Error unknownName(const std::string &place, const std::string &name,
                         const std::string &what,
                         const std::vector<std::string> &known) {
  std::string nearest = nearestOf(name, known);
  return makeError(ExitCode::Usage, "topology.name", place,
                   "there is no " + what + " '" + name.substr(0, 64) + "'",
                   nearest.empty()
                       ? "`partita topology list` tells them; a file's name "
                         "ends in .yaml, and a processor is cpu:N"
                       : "did you mean '" + nearest + "'?");
}

/// NAME, NAMExN or NAMExN@NETWORK of a machine, or the NAME of a device. Throws
/// Failure.
static Result<Topology> parseName(const std::string &text) {
  std::string place = "--topology " + text, name = text;
  std::optional<Link> network;
  if (size_t at = name.find('@'); at != std::string::npos) {
    const auto &networks = presetLibrary().networks;
    auto found = networks.find(name.substr(at + 1));
    if (found == networks.end()) {
      std::vector<std::string> known;
      for (const auto &[network, link] : networks)
        known.push_back(network);
      return unknownName(place, name.substr(at + 1), "network", known);
    }
    network = found->second;
    name.resize(at);
  }
  const auto &devices = presetLibrary().devices;
  if (auto device = devices.find(name); device != devices.end() && !network)
    return single(device->second);
  std::optional<Machine> machine = findPreset(name);
  int64_t machines = 1;
  size_t cross = name.rfind('x');
  if (!machine && cross != std::string::npos) {
    auto count =
        parseCount(std::string_view(name).substr(cross + 1), INT64_MAX);
    if (count && (machine = findPreset(name.substr(0, cross))))
      machines = *count;
  }
  if (!machine) {
    std::vector<std::string> known = presetNames();
    for (const auto &[device, type] : devices)
      known.push_back(device);
    return unknownName(place, name, "machine", known);
  }
  machine->machines = machines;
  if (network)
    machine->network = network;
  try {
    return join(*machine, place);
  } catch (Failure &failure) {
    failure.error.exit = ExitCode::Usage;
    return std::move(failure.error);
  }
}

Result<Topology> Topology::read(std::string_view yaml,
                                const std::string &place) {
  try {
    YamlNode root = parseYaml(yaml, place);
    Machine machine = readMachine(root, place, presetLibrary(), findPreset);
    const YamlNode *machines = root.find("machines");
    Topology topology =
        join(machine, placeOf(place, machines ? *machines : root));
    readOverrides(root, place, topology);
    topology.text = place;
    if (topology.name.empty())
      topology.name = place;
    return topology;
  } catch (Failure &failure) {
    return std::move(failure.error);
  }
}

Result<Topology> Topology::parse(const std::string &text) {
  bool file = text.find('/') != std::string::npos || text.ends_with(".yaml") ||
              text.ends_with(".yml");
  if (file) {
    PARTITA_TRY(std::string yaml, readFile(text, maxYamlBytes));
    return read(yaml, text);
  }
  bool isCpu = text == "cpu" || text.find(':') != std::string::npos;
  Result<Topology> topology = isCpu ? parseCpu(text) : parseName(text);
  if (topology)
    topology->text = topology->name = text;
  return topology;
}
