//===- Topology.h - The machines that a model runs on -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the cost model and the mesh search know of machines: what each rank
// computes with, and a tree of levels, innermost first, each with its size and
// its link. Sixteen machines of eight GPUs are two levels:
//
//   level    size   a child is   link
//   node        8   a rank       NVLink through switches
//   cluster    16   a node       InfiniBand
//
// Ranks are numbered along the tree: rank r is number r % 8 in node r / 8.
// Data that go from one rank to another cross the innermost level that has both
// below one node of the tree, and use the link of that level.
//
// A link has up to four limits, all in bytes per second and one direction: what
// a rank sends, what a pair of ranks exchanges, what a child (a node) sends to
// the others with all of its ranks, and what the whole level carries. The last
// two are what ranks share.
//
// A machine may also be given as a graph of links; the levels are then derived
// from it, and the graph stays available.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_TOPOLOGY_H
#define PARTITA_TOPOLOGY_TOPOLOGY_H

#include "partita/Support/Error.h"
#include "partita/Support/Sharding.h"
#include "partita/Topology/Calibration.h"
#include "partita/Topology/Device.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace partita {

enum class LinkKind : uint8_t {
  SharedMemory, // threads of one process
  NVLink,       // GPUs wired to each other
  NVSwitch,     // GPUs wired to switches
  XGMI,         // AMD's links between GPUs
  PCIe,
  InfiniBand,
  Ethernet
};
inline constexpr size_t numLinkKinds = 7;
/// "shared-memory", "nvlink", "nvswitch", "xgmi", "pcie", "infiniband",
/// "ethernet".
const char *linkKindName(LinkKind kind);
/// The inverse of linkKindName.
std::optional<LinkKind> parseLinkKind(std::string_view name);
/// Links that leave a machine.
inline bool isNetwork(LinkKind kind) { return kind >= LinkKind::InfiniBand; }

/// What the ranks of one level talk over. Bandwidths are bytes per second in
/// one direction.
struct Link {
  LinkKind kind = LinkKind::SharedMemory;
  /// From a rank to another, the smallest message.
  double latencySeconds = 0;
  /// What a rank sends to all others of the level together.
  double bandwidth = 0;
  /// What a rank sends to one other rank; zero: as much as to all.
  double pairBandwidth = 0;
  /// What the ranks of one child send to other children together; zero: no
  /// limit beyond that of each rank.
  double childBandwidth = 0;
  /// What all ranks of the level send together; zero: no such limit.
  double mediumBandwidth = 0;
  /// Links or rails that make up `bandwidth`.
  int64_t channels = 1;
  /// The switches add up what passes through them (NVLS, SHARP).
  bool reduces = false;

  /// What a rank can send to all others while `activePerChild` ranks of each of
  /// `children` children do the same.
  double sharedBandwidth(int64_t activePerChild, int64_t children) const;

  bool operator==(const Link &) const = default;
};

/// The least of each limit and the longest latency.
Link slower(const Link &a, const Link &b);

/// `size` children that talk over `link`. A child of the innermost level is a
/// rank.
struct Level {
  std::string name;
  int64_t size = 1;
  Link link;
};

/// The groups first to last of `level`, counted over the whole machine, have
/// another link than the rest.
struct LinkOverride {
  int level = 0;
  int64_t first = 0, last = 0;
  Link link;
};

/// `count` ranks from `first` on are devices of type `type`.
struct DeviceRange {
  int64_t first = 0, count = 0;
  int type = 0;
};

/// A link in both directions between two vertices of a LinkGraph.
struct GraphLink {
  int64_t from = 0, to = 0;
  Link link;
};

/// Links that share one medium, and what it carries in bytes per second.
struct SharedMedium {
  std::string name;
  double bandwidth = 0;
  /// Indices of links, ascending.
  std::vector<int64_t> links;
};

/// The vertices 0 to ranks - 1 are ranks, those that follow are switches. Where
/// a topology has more ranks, its other machines are wired like the first.
struct LinkGraph {
  int64_t ranks = 0;
  std::vector<std::string> switches;
  std::vector<GraphLink> links;
  std::vector<SharedMedium> media;
};

/// How the groups of ranks along some axes of a mesh lie on the levels.
struct AxisSpan {
  /// For each level the children that a group has members in, within one group
  /// of that level; 1 where it does not use the level's link. Groups that do
  /// not lie alike: no group has more.
  std::vector<int64_t> ranks;
  /// All groups lie alike, and `ranks` multiplies to the size of a group.
  bool regular = true;

  /// The outermost level whose link is used, or -1.
  int outermost() const;
};

struct Topology {
  /// As the user wrote it: "cpu:4", "dgx-h100x16", "machines/ours.yaml".
  std::string text;
  /// What the machine is called.
  std::string name;
  /// The types of devices, and which ranks have which: the ranges follow each
  /// other from rank 0 and cover all ranks.
  std::vector<DeviceType> devices;
  std::vector<DeviceRange> ranges;
  /// Innermost first; their sizes multiply to the number of ranks.
  std::vector<Level> levels;
  std::vector<LinkOverride> overrides;
  /// Empty unless the file gives one.
  LinkGraph graph;
  /// Measured times of these ranks, which prices follow; null: there are none.
  /// Set by calibrate().
  std::shared_ptr<const CalibratedLoad> measured;

  int64_t numRanks() const;
  const DeviceType &deviceOf(int64_t rank) const;
  bool mixed() const { return devices.size() > 1; }
  /// All ranks are processors and no link is a network: the machine is what an
  /// executable runs on.
  bool isOneProcess() const;
  /// What every rank can be counted on to be: the device, or the least of each
  /// figure where there are several types.
  DeviceType commonDevice() const;
  /// The slowest link of a level, overrides included: what a collective that
  /// all groups perform at a time waits for.
  Link linkOf(int level) const;
  /// Ranks below one child of `level`.
  int64_t ranksPerChild(int level) const;
  /// Where groups along `axes` lie when rank r of `mesh` is rank r here. A mesh
  /// with more ranks than there are continues on the outermost level.
  AxisSpan spanOf(const Mesh &mesh, const std::vector<int> &axes) const;

  /// The machine that `text` names:
  ///   cpu:N, cpu:NxT       N ranks of T threads, both from 1 to 4096
  ///   NAME                 a machine or a device of the presets
  ///   NAMExN               N of them, joined by the machine's own network
  ///   NAMExN@NETWORK       ... or by another one
  ///   a path               a file, which has a slash or ends in .yaml or .yml
  /// Errors: exit code 1 for no such name, 2 for a bad file, 3 for a kind of
  /// machine that is not supported.
  static Result<Topology> parse(const std::string &text);
  /// The machine that a file describes (docs/topology.md); errors name `place`,
  /// line and column. Errors: exit code 2.
  static Result<Topology> read(std::string_view yaml, const std::string &place);

  /// Takes the tables of as many ranks and threads as there are here; `place`
  /// names the calibration. Errors: exit code 2 if it has none of them, 3 if
  /// this is not a machine that executables run on.
  Status calibrate(const Calibration &calibration, const std::string &place);
};

} // namespace partita

#endif // PARTITA_TOPOLOGY_TOPOLOGY_H
