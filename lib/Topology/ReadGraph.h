//===- ReadGraph.h - Graphs of links from YAML ------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TOPOLOGY_READGRAPH_H
#define PARTITA_LIB_TOPOLOGY_READGRAPH_H

#include "Fields.h"
#include "partita/Topology/Topology.h"

namespace partita::topology {

/// The keys of a link.
extern const std::vector<std::string> linkFields;
/// Sets what `fields` give of a link. `whole`: kind, latency and bandwidth have
/// to be there.
void readLinkFields(const Fields &fields, bool whole, Link &link);

inline constexpr size_t maxGraphLinks = 1 << 20;

/// Reads vertices, links and media. Throws Failure, for a link from a vertex to
/// itself too. Whether the graph is connected, levelsOf() says.
LinkGraph readGraph(const std::string &file, const YamlNode &node);

} // namespace partita::topology

#endif // PARTITA_LIB_TOPOLOGY_READGRAPH_H
