//===- Presets.h - Machines that Partita knows by name ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The presets are the files of lib/Topology/presets, carried in the library.
// Topology::parse() takes their names.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_PRESETS_H
#define PARTITA_TOPOLOGY_PRESETS_H

#include "partita/Topology/Topology.h"
#include <map>

namespace partita {

struct MachinePreset {
  std::string name, summary;
  int64_t ranks = 0;
  /// The name of its type of device.
  std::string device;
};

/// By name.
std::vector<MachinePreset> machinePresets();
const std::map<std::string, DeviceType> &devicePresets();
const std::map<std::string, Link> &networkPresets();

} // namespace partita

#endif // PARTITA_TOPOLOGY_PRESETS_H
