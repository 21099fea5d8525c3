//===- Topology.cpp - Any text as a machine, its times, a mesh and a pin ---===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the command line parses by itself: --topology, --mesh and --pin; and the
// files that describe machines and what was measured on them.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include "partita/Planner/Planner.h"
#include "test/fuzz/Fuzz.h"
#include <cmath>

using namespace partita;

static void checkLink(const Link &link) {
  bool good = std::isfinite(link.latencySeconds) && link.latencySeconds >= 0 &&
              std::isfinite(link.bandwidth) && link.bandwidth > 0;
  for (double limit : {link.pairBandwidth, link.childBandwidth,
                       link.mediumBandwidth, link.sharedBandwidth(8, 4)})
    good &= std::isfinite(limit) && limit >= 0;
  if (!good)
    fuzz::finding("a link that carries nothing");
}

/// What the cost model relies on.
static void checkMachine(const Topology &topology) {
  int64_t ranks = topology.numRanks(), next = 0;
  if (ranks < 1)
    fuzz::finding("a machine without ranks");
  for (const DeviceRange &part : topology.ranges) {
    if (part.first != next || part.count < 1)
      fuzz::finding("ranks without a device");
    next += part.count;
    (void)topology.devices.at(part.type);
  }
  if (next != ranks)
    fuzz::finding("not every rank has a device");
  DeviceType device = topology.commonDevice();
  if (!(device.matrixPeak(Precision::BF16) > 0) ||
      !(device.memoryBandwidth > 0))
    fuzz::finding("a device that does nothing");
  for (size_t level = 0; level < topology.levels.size(); ++level)
    checkLink(topology.linkOf(static_cast<int>(level)));
  Mesh mesh{"mesh", {"x", "y"}, {ranks / (ranks % 2 ? 1 : 2),
                                 ranks % 2 ? 1 : 2}};
  AxisSpan span = topology.spanOf(mesh, {0});
  for (int64_t part : span.ranks)
    if (part < 1 || part > ranks)
      fuzz::finding("an axis that lies nowhere");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  auto read = text.find('\n') == std::string::npos
                  ? Topology::parse(text)
                  : Topology::read(text, "t.yaml");
  if (read)
    checkMachine(*read);
  else
    fuzz::expectUsersError(read.error());
  if (auto times = Calibration::read(text, "c.yaml"); !times)
    fuzz::expectUsersError(times.error());
  if (auto mesh = Mesh::parse(text); !mesh)
    fuzz::expectUsersError(mesh.error());
  else if (mesh->numRanks() < 1)
    fuzz::finding("a mesh without ranks");
  else if (auto again = Mesh::parse(mesh->str()); !again || !(*again == *mesh))
    fuzz::finding("a mesh that is not read as written: " + mesh->str());
  if (auto pin = Pin::parse(text); !pin)
    fuzz::expectUsersError(pin.error());
  return 0;
}
