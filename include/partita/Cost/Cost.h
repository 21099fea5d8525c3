//===- Cost.h - What kernels and collectives cost ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Times of one rank in integer picoseconds, so that sums do not depend on their
// order. A kernel is as slow as the slower of its arithmetic and its memory
// traffic, plus its launch. A collective is latency plus bytes over bandwidth.
// Uneven shards are priced by the largest one: the others wait for it.
//
// Nothing here searches or knows of operations; callers give local sizes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_COST_COST_H
#define PARTITA_COST_COST_H

#include "partita/Support/DType.h"
#include "partita/Support/KernelClass.h"
#include "partita/Support/Sharding.h"
#include "partita/Topology/Topology.h"

namespace partita {

/// Picoseconds in a second.
inline constexpr int64_t picosPerSecond = 1'000'000'000'000;
inline double toSeconds(int64_t picoseconds) {
  return static_cast<double>(picoseconds) / picosPerSecond;
}

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

/// Prices moves over one mesh of one topology. The mesh is copied: the object
/// may outlive the one it was made from.
class CollectiveCost {
public:
  CollectiveCost(const Topology &topology, const Mesh &mesh);

  /// The time of a move along `axes` from one sharding to another.
  int64_t picoseconds(MoveKind kind, const std::vector<int> &axes, DType dtype,
                      const Sharding &from, const Sharding &to) const;
  /// The same for groups of `ranks`, where the largest local shard has
  /// `fromBytes` before the move and `toBytes` after it, and the rank that
  /// fetches most in an all-to-all or an exchange of halos fetches
  /// `fetchedBytes`.
  int64_t picoseconds(MoveKind kind, int64_t ranks, int64_t fromBytes,
                      int64_t toBytes, int64_t fetchedBytes) const;

  const Mesh &mesh() const { return grid; }

private:
  Mesh grid;
  DeviceType device;
  Link link;
};

/// Prices kernels on one device.
class KernelCost {
public:
  explicit KernelCost(const Topology &topology);

  /// The time of a kernel with `flops` floating point operations in `dtype`
  /// and `bytes` read and written. Free kernels take no time.
  int64_t picoseconds(KernelClass kernelClass, DType dtype, int64_t flops,
                      int64_t bytes) const;

private:
  DeviceType device;
};

/// Bytes of the largest shard under `sharding`. Without halos it is rank 0's:
/// blocks that do not divide give their first parts the extra unit. Overflow
/// saturates.
int64_t maxLocalBytes(const Sharding &sharding, const Mesh &mesh, DType dtype);

/// Elements of a dimension that the rank at `coords` owns under both layouts.
int64_t overlap(const DimSharding &a, const DimSharding &b, const Mesh &mesh,
                const std::vector<int64_t> &coords);

/// Above this many ranks an all-to-all is priced as if no rank had anything of
/// what it needs, an exchange of halos as if ranks had a block in its middle:
/// looking at each is no longer worth it.
inline constexpr int64_t maxRanksForOverlap = 256;

} // namespace partita

#endif // PARTITA_COST_COST_H
