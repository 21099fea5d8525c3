//===- Collectives.h - What moves between ranks cost ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A collective is the cheapest of the algorithms that the library has for the
// links between the ranks of a group: latencies of steps plus bytes over
// bandwidth. Uneven shards are priced by the largest one: the others wait for
// it. All groups along the same axes move at the same time and share links.
//
// docs/cost-model.md has the formulas, their constants and their errors.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_COST_COLLECTIVES_H
#define PARTITA_COST_COLLECTIVES_H

#include "partita/Support/DType.h"
#include "partita/Support/Sharding.h"
#include "partita/Topology/Topology.h"
#include <algorithm>
#include <memory>

namespace partita {

/// How bytes change ranks along some mesh axes. See Reshard.h for what each
/// does to a sharding.
enum class MoveKind : uint8_t {
  AllGather,
  ReduceScatter,
  AllReduce,
  AllToAll,
  Permute,
  HaloExchange,
  Slice,
  ToPartial
};
/// "all_gather", "reduce_scatter", ...
const char *moveKindName(MoveKind kind);
/// Slices and ToPartial move nothing between ranks.
inline bool isLocalMove(MoveKind kind) { return kind >= MoveKind::Slice; }

/// What a move handles on the rank that has most to do.
struct MoveBytes {
  /// The local shard before and after.
  int64_t from = 0, to = 0;
  /// What an all-to-all or an exchange of halos takes from other ranks.
  int64_t fetched = 0;
  /// What is copied once more because collectives want the parts of ranks one
  /// after the other; see packedBytes().
  int64_t packed = 0;
};

/// Prices moves over one mesh of one topology. What does not depend on bytes is
/// computed once for each set of axes and remembered, by copies too, so objects
/// must not be used by several threads at a time.
class CollectiveCost {
public:
  CollectiveCost(const Topology &topology, const Mesh &mesh);

  /// The time of a move along `axes` from one sharding to another.
  int64_t picoseconds(MoveKind kind, const std::vector<int> &axes, DType dtype,
                      const Sharding &from, const Sharding &to) const;
  /// The same for the axes in the bit set `axes`. Grows with each of the bytes;
  /// zero for groups of one rank.
  int64_t picoseconds(MoveKind kind, uint32_t axes,
                      const MoveBytes &bytes) const;

  const Mesh &mesh() const;
  /// Whether moves of anything but leading dimensions are packed: threads of
  /// one process read each other's memory with any strides.
  bool packs() const;

private:
  struct State;
  std::shared_ptr<State> state;
};

/// Whether the part of a rank along the axes in `axes` is in several runs: it
/// is unless nothing of more than one element comes before the factor that they
/// split.
bool isScattered(uint32_t axes, const std::vector<const DimSharding *> &dims,
                 const Mesh &mesh);

/// Bytes that are copied once more when a move goes between shards of
/// `fromBytes` and `toBytes`: collectives want what a rank sends to or gets
/// from another in one run. The functions tell whether the shards before and
/// after it are scattered along its axes.
template <typename FromScattered, typename ToScattered>
int64_t packedBytes(MoveKind kind, const FromScattered &fromScattered,
                    const ToScattered &toScattered, int64_t fromBytes,
                    int64_t toBytes) {
  bool gathers = kind == MoveKind::AllGather || kind == MoveKind::AllToAll;
  bool scatters = kind == MoveKind::ReduceScatter || kind == MoveKind::AllToAll;
  int64_t bytes = 0;
  if (gathers && fromScattered())
    bytes += toBytes;
  if (scatters && toScattered())
    bytes += std::min(fromBytes, INT64_MAX - bytes);
  return bytes;
}

/// The same for a move along the axes in `axes` between shards whose dimensions
/// are split as in `from` and `to`.
int64_t packedBytes(MoveKind kind, uint32_t axes,
                    const std::vector<const DimSharding *> &from,
                    const std::vector<const DimSharding *> &to,
                    int64_t fromBytes, int64_t toBytes, const Mesh &mesh);

/// Bytes of the largest shard under `sharding`. Without halos it is rank 0's:
/// blocks that do not divide give their first parts the extra unit. Overflow
/// saturates.
int64_t maxLocalBytes(const Sharding &sharding, const Mesh &mesh, DType dtype);

/// Elements that are in two boxes of one dimension.
int64_t overlap(const Box::Dim &a, const Box::Dim &b);

/// Above this many ranks an all-to-all is priced as if no rank had anything of
/// what it needs, an exchange of halos as if ranks had a block in its middle:
/// looking at each is no longer worth it.
inline constexpr int64_t maxRanksForOverlap = 256;

} // namespace partita

#endif // PARTITA_COST_COLLECTIVES_H
