//===- Algorithms.h - The algorithms of collectives -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a group of ranks pays for a collective, as NCCL decides it: rings and
// trees of channels with the protocols LL (8 bytes with a flag each), LL128
// (120 of 128 bytes) and Simple (whole buffers, then a flag), and switches that
// add (NVLS). Each is a latency plus bytes over a bandwidth, and the cheapest
// counts. A group on several levels may also go level by level: reduce-scatter
// inside, all-reduce across, all-gather inside.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_COST_ALGORITHMS_H
#define PARTITA_LIB_COST_ALGORITHMS_H

#include "Generation.h"
#include "partita/Cost/Collectives.h"
#include <array>

namespace partita {

/// A level whose link a group uses.
struct GroupLevel {
  LinkKind kind = LinkKind::SharedMemory;
  /// Children of the level that the group has members in.
  double ranks = 1;
  /// Bytes per second that a rank sends while all ranks of the machine do the
  /// same, and that it sends to one other; what the wires carry of the data.
  double bandwidth = 0, pairBandwidth = 0;
  double latencySeconds = 0;
  /// The switches add, and the whole switch takes part.
  bool reduces = false;
};

/// The levels that a group uses, innermost first.
struct Group {
  std::vector<GroupLevel> levels;
  double ranks = 1;
  /// Unknown where ranks are not GPUs with NVIDIA's library, or a copy of it.
  Generation generation = Generation::Unknown;
  /// The library is NCCL or RCCL; else there is one protocol, and a step takes
  /// the link's latency.
  bool library = true;
};

/// The time of collectives of one group, by bytes.
class GroupTimes {
public:
  explicit GroupTimes(const Group &group);

  /// Seconds to gather `bytes` on every rank, to reduce and scatter them, or to
  /// reduce them on every rank.
  double collective(MoveKind kind, double bytes) const;
  /// Seconds to get `bytes` in equal parts from all other ranks.
  double allToAll(double bytes) const;
  /// Seconds to get `bytes` from one other rank, the farthest.
  double permute(double bytes) const;

private:
  /// One algorithm with one protocol.
  struct Option {
    double latency, secondsPerByte;
    /// Shares of the bandwidth at 64 bytes, 128, ...; or null.
    const std::array<double, 24> *shares = nullptr;
    double seconds(double bytes) const;
  };
  /// One collective out of several that follow each other, on a share of the
  /// bytes.
  struct Phase {
    double share;
    std::vector<Option> options;
    double seconds(double bytes) const;
  };
  using Way = std::vector<Phase>;

  static std::vector<Option> options(MoveKind kind, const Group &group,
                                     size_t first, size_t last);
  static void addRing(std::vector<Option> &out, MoveKind kind,
                      const Group &group, size_t first, size_t last);
  static void addTree(std::vector<Option> &out, const Group &group,
                      size_t first, size_t last);
  static Way levelByLevel(MoveKind kind, const Group &group);

  /// Of all-gather, reduce-scatter and all-reduce.
  std::array<std::vector<Way>, 3> ways;
  double allToAllLatency = 0, allToAllSecondsPerByte = 0;
  Phase permutation{1, {}};
};

/// The share of a link's bandwidth by its data sheet that data get.
double usableShare(LinkKind kind, Generation generation);

} // namespace partita

#endif // PARTITA_LIB_COST_ALGORITHMS_H
