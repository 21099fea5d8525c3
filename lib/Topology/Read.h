//===- Read.h - Topologies from YAML ----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// docs/topology.md describes the format. What is read is a Machine: devices,
// levels or a graph, and the network that joins several of them. The presets
// are such files; `base`, `device` and `network` name what is in them, so a
// Machine needs the Library of presets to be read.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TOPOLOGY_READ_H
#define PARTITA_LIB_TOPOLOGY_READ_H

#include "Yaml.h"
#include "partita/Topology/Topology.h"
#include <map>
#include <optional>

namespace partita::topology {

/// Named parts that files refer to.
struct Library {
  std::map<std::string, DeviceType> devices;
  std::map<std::string, Link> networks;
};

/// What one file says.
struct Machine {
  std::string name, summary;
  /// Types that the file defines, and those that it takes from the library.
  Library library;
  /// One of the two is given.
  std::vector<Level> levels;
  LinkGraph graph;
  /// Names and counts of the devices of one machine.
  std::vector<std::pair<std::string, int64_t>> ranks;
  /// Over which `machines` of them are joined.
  std::optional<Link> network;
  int64_t machines = 1;
};

/// Finds a preset by its name, or null.
using FindMachine = std::optional<Machine> (*)(const std::string &name);

inline constexpr int64_t maxRanks = 1 << 20;
inline constexpr size_t maxLevels = 8;
inline constexpr size_t maxOverrides = 4096;

/// Reads a file of types only, adding to `library`.
void readLibrary(const YamlNode &root, const std::string &file,
                 Library &library);
/// Reads a machine. `find` gives the presets that it may be based on.
Machine readMachine(const YamlNode &root, const std::string &file,
                    const Library &library, FindMachine find);
/// All machines joined. Throws Failure, with `place`, where they have no
/// network or more than maxRanks ranks together.
Topology join(const Machine &machine, const std::string &place);
/// Reads the `overrides` of links in what was joined, if there are any.
void readOverrides(const YamlNode &root, const std::string &file,
                   Topology &topology);

/// The levels of a connected graph: groups of ranks with ever less bandwidth
/// between them. See Graph.cpp.
std::vector<Level> levelsOf(const LinkGraph &graph, const std::string &place);

} // namespace partita::topology

#endif // PARTITA_LIB_TOPOLOGY_READ_H
