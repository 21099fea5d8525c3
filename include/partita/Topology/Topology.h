//===- Topology.h - The machine that a model runs on ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the cost model and the mesh search know of a machine: one device type
// and a tree of levels, innermost first, each with its size and its link.
// `cpu:4x2` is four ranks of two threads in one process, hence one level.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_TOPOLOGY_H
#define PARTITA_TOPOLOGY_TOPOLOGY_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace partita {

/// What one rank computes with. Rates are of the whole device.
struct DeviceType {
  std::string name;
  /// Threads of one rank.
  int64_t threads = 1;
  /// f32 floating point operations per second, sustained by the best library.
  double peakFlops = 0;
  /// Bytes per second, read and written together.
  double memoryBandwidth = 0;
  /// Time of a command that does nothing.
  double launchSeconds = 0;
};

/// The time to move n bytes over a link is alpha + n / beta.
struct Link {
  double alphaSeconds = 0;
  double betaBytesPerSecond = 0;
};

/// `size` children that talk over `link`. A child of the innermost level is a
/// rank.
struct Level {
  std::string name;
  int64_t size = 1;
  Link link;
};

struct Topology {
  /// As the user wrote it: "cpu:4".
  std::string text;
  DeviceType device;
  /// Innermost first; their sizes multiply to the number of ranks.
  std::vector<Level> levels;

  int64_t numRanks() const;

  /// Parses `cpu:N` or `cpu:NxT`, N ranks of T threads, both from 1 to 4096.
  /// Errors: exit code 1 for what cannot be read as a topology, 3 for a kind of
  /// machine that is not supported.
  static Result<Topology> parse(const std::string &text);
};

} // namespace partita

#endif // PARTITA_TOPOLOGY_TOPOLOGY_H
