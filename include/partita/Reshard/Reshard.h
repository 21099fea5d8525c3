//===- Reshard.h - The cheapest way between two shardings -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tensor that is sharded one way and wanted another is moved along a path of
// collectives and free operations. Vertices are canonical shardings; a move
// concerns one or two mesh axes; the path is the shortest under the prices of
// Cost. Every sharding on the way is legal: no shard of it is empty.
//
//   move           what it does to a sharding          box of a rank after it
//   AllGather      the axes leave dimensions           union over the group
//   ReduceScatter  partial axes go to dimensions       part of the old box
//   AllReduce      the axes are no longer partial      the old box
//   AllToAll       the axes go elsewhere               part of the union
//   Permute        axes exchange places                another rank's old box
//   HaloExchange   blocks become what windows read     part of the union
//   Slice          unused axes go to dimensions        part of the old box
//   ToPartial      unused axes become partial          the old box
//
// The group of a rank is Mesh::group(rank, axes). So an executor needs no case
// per shape: a rank's new box is assembled from the boxes of its group, through
// the combiner where the move reduces. An exchange of halos is the last move of
// a path: from the blocks of a dimension to what each rank's windows read of
// it. A tensor that is whole is cut to that by a Slice instead. Nothing starts
// from halos.
//
// So an executor In ToPartial the rank whose coordinates
// along the axes are all zero keeps the values, the others hold zeros.
//
// Values pending with softmax_merge are merged by one AllReduce over all their
// axes, which takes both results of the attention.
//
// Dimensions with several factors are searched on the factors of both ends and,
// where there is one, on their common refinement, so that {2304} reaches
// {3, 12:"tp", 64} by a slice and {2304:"tp"} reaches it by an all-to-all.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RESHARD_RESHARD_H
#define PARTITA_RESHARD_RESHARD_H

#include "partita/Cost/Cost.h"
#include <memory>

namespace partita {

struct Move {
  MoveKind kind;
  /// The axes of the groups that take part, ascending.
  std::vector<int> axes;
  Sharding from, to;
  int64_t picoseconds = 0;
};

struct ReshardPath {
  /// Empty if the ends own the same boxes. The first `from` and the last `to`
  /// are spelled as the caller spelled them, the others are canonical.
  std::vector<Move> moves;
  int64_t picoseconds = 0;
  /// The most that one move holds at once on a rank: its operand and result.
  int64_t transientBytes = 0;
};

/// What planners have found out about the layouts of one mesh, for the next one
/// to begin with. No answer depends on it. Of one planner at a time.
class ReshardSpaces {
public:
  ReshardSpaces(const Mesh &mesh, const CollectiveCost &cost);
  ~ReshardSpaces();
  ReshardSpaces(const ReshardSpaces &) = delete;
  ReshardSpaces &operator=(const ReshardSpaces &) = delete;
  /// That are kept: most of the memory that this takes.
  size_t numPrices() const;

private:
  friend class ReshardPlanner;
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Finds and remembers paths over one mesh. Not safe for use by two threads.
class ReshardPlanner {
public:
  ReshardPlanner(const Mesh &mesh, const CollectiveCost &cost);
  explicit ReshardPlanner(std::shared_ptr<ReshardSpaces> spaces);
  ~ReshardPlanner();
  ReshardPlanner(ReshardPlanner &&) noexcept;
  ReshardPlanner &operator=(ReshardPlanner &&) noexcept;

  /// The cheapest path; among equals the one with fewest moves, then always
  /// the same one. Errors: `reshard.illegal` (2) if an end is no legal sharding
  /// or the ends are of different shapes, `reshard.unsupported` (3) for
  /// more than eight axes, `reshard.unreachable` (3) if
  /// `to` is pending with a combiner other than sum and `from` is not.
  Result<ReshardPath> path(DType dtype, const Sharding &from,
                           const Sharding &to);

  /// A number for the canonical form of `sharding`, equal for equal forms, by
  /// which many prices are asked for quickly. Errors: as of path().
  Result<int> intern(const Sharding &sharding);
  /// The canonical form behind such a number.
  const Sharding &layout(int number) const;
  /// The price of the path between two interned layouts of one shape, or
  /// `unreachable` where there is no path.
  int64_t picoseconds(DType dtype, int from, int to);
  static constexpr int64_t unreachable = 1'000'000'000'000'000'000;
  /// The same between all layouts of two lists, row-major by `from`: much
  /// quicker than to ask for each pair.
  std::vector<int64_t> picoseconds(DType dtype, const std::vector<int> &from,
                                   const std::vector<int> &to);

  /// A value with several uses is first brought to one layout, which all uses
  /// then start from: so an all-gather that three products want is paid once.
  /// Returns the cheapest among the producer's layout, the uses' layouts and
  /// the whole tensor; the producer's own on a tie. Every use pays its own way
  /// from there, equal uses too.
  Result<Sharding> sharedLayout(DType dtype, const Sharding &producer,
                                const std::vector<Sharding> &uses);

private:
  Result<ReshardPath> pathIntoHalos(DType dtype, const Sharding &from,
                                    const Sharding &to);

  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace partita

#endif // PARTITA_RESHARD_RESHARD_H
