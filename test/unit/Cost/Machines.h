//===- Machines.h - Machines to price things on -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_COST_MACHINES_H
#define PARTITA_TEST_UNIT_COST_MACHINES_H

#include "partita/Topology/Topology.h"

namespace partita::test {

inline DeviceType a100() {
  DeviceType device;
  device.name = "A100-SXM-80GB";
  device.kind = DeviceKind::Cuda;
  device.vector[static_cast<size_t>(Precision::F32)] = 19.5e12;
  device.matrix[static_cast<size_t>(Precision::F16)] = 312e12;
  device.matrix[static_cast<size_t>(Precision::BF16)] = 312e12;
  device.memoryBandwidth = 2.039e12;
  device.launchSeconds = 5e-6;
  device.computeUnits = 108;
  return device;
}

inline DeviceType h100() {
  DeviceType device = a100();
  device.name = "H100-SXM-80GB";
  device.vector[static_cast<size_t>(Precision::F32)] = 67e12;
  device.matrix[static_cast<size_t>(Precision::F16)] = 989.4e12;
  device.matrix[static_cast<size_t>(Precision::BF16)] = 989.4e12;
  device.matrix[static_cast<size_t>(Precision::F8)] = 1978.9e12;
  device.memoryBandwidth = 3.35e12;
  device.computeUnits = 132;
  return device;
}

/// `nodes` nodes of `gpus` devices behind switches, each with its own adapter
/// of `network` bytes per second, or sharing `adapters` of them.
inline Topology cluster(const DeviceType &device, int64_t gpus, int64_t nodes,
                        double bandwidth, double network,
                        int64_t adapters = 0) {
  Topology topology;
  topology.devices = {device};
  topology.ranges = {{0, gpus * nodes, 0}};
  Link inside;
  inside.kind = LinkKind::NVSwitch;
  inside.bandwidth = bandwidth;
  inside.reduces = true;
  topology.levels.push_back({"node", gpus, inside});
  if (nodes > 1) {
    Link across;
    across.kind = LinkKind::InfiniBand;
    across.bandwidth = network;
    if (adapters > 0)
      across.childBandwidth = network * static_cast<double>(adapters);
    topology.levels.push_back({"cluster", nodes, across});
  }
  return topology;
}
inline Topology dgxA100(int64_t nodes = 1) {
  return cluster(a100(), 8, nodes, 300e9, 25e9);
}
inline Topology dgxH100(int64_t nodes = 1) {
  return cluster(h100(), 8, nodes, 450e9, 50e9);
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_COST_MACHINES_H
