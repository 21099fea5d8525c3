//===- Topology.cpp - Any text as a machine, a mesh and a pin --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the command line parses by itself: --topology, --mesh and --pin.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include "partita/Planner/Planner.h"
#include "test/fuzz/Fuzz.h"

using namespace partita;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  if (auto topology = Topology::parse(text); !topology)
    fuzz::expectUsersError(topology.error());
  else if (topology->numRanks() < 1)
    fuzz::finding("a machine without ranks");
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
