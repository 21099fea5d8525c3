//===- Sharding.h - Meshes, shardings and boxes ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The sharding algebra as plain data: what a rank owns of a tensor. Compiler,
// planner, interpreter and runtime all use this one implementation; the
// attributes of the dist dialect are its spelling in IR.
//
// A dimension is a mixed-radix product of factors, major first, any of which
// may carry mesh axes. With a mesh <"dp"=2, "tp"=2>:
//
//   dims                         local size          what it is
//   [{6:"dp"}, {8}]              [3, 8]              rows split over dp
//   [{6}, {3, 4:"tp", 2}]        [6, 3*2*2 = 12]     fused QKV, 4 heads of 2
//   [{5:"dp","tp"}]              2,1 | 1,1           uneven, nested
//   [{6:"dp"}, {8}] partial tp   [3, 8]              pending sum over tp
//
// Several axes on one factor nest: the first axis splits the factor into
// blocks, the next splits each block. A block of size n split p ways gives the
// first n mod p parts one element more. Nesting keeps blocks within one unit of
// each other and makes removing the last axis a gather of neighbours.
//
// The set that a rank owns is a product over factors of intervals: a Box.
//
// What slides a window reads more than its own block: a *halo*. {56:"tp"
// halo(28, 2, 1, 3)} is the rows that 28 positions of a window of 3 read which
// begins one row before the first and goes on in steps of 2; the axes split the
// positions. Boxes of neighbours overlap then. Only what an operation reads has
// halos, never what it makes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_SHARDING_H
#define PARTITA_SUPPORT_SHARDING_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace partita {

/// The name of the axis of pipeline stages.
inline constexpr const char *stageAxis = "pp";

/// A named grid of ranks. Rank r's coordinates are the row-major digits of r
/// (the last axis varies fastest).
///
/// The axis of stages numbers parts of the ranks that run different programs.
/// If these are of different shapes, each stage has some of the other axes, and
/// one rank along those that it has not; stages follow each other, and only
/// the grid of a stage gives coordinates.
struct Mesh {
  std::string name = "mesh";
  std::vector<std::string> axisNames;
  std::vector<int64_t> axisSizes;
  /// By stage the axes that it has, as a bit set; empty: all stages have all.
  std::vector<uint32_t> stageAxes = {};

  int numAxes() const { return static_cast<int>(axisSizes.size()); }
  int64_t numRanks() const;
  /// One, if there is no axis of stages.
  int64_t numStages() const;
  bool hasAxis(int64_t stage, int axis) const {
    return stageAxes.empty() || (stageAxes[stage] >> axis & 1);
  }
  /// The grid of a stage: the same axes, with one rank along that of stages and
  /// along those that it has not.
  Mesh gridOf(int64_t stage) const;
  /// The ranks of a stage, by place in its grid.
  std::vector<int64_t> ranksOf(int64_t stage) const;
  std::vector<int64_t> coordinates(int64_t rank) const;
  int64_t rankOf(const std::vector<int64_t> &coords) const;
  /// Index of the axis called `name`, or -1.
  int axis(const std::string &name) const;
  /// Ranks that differ from `rank` only along `axes`, in the order of the
  /// axes' digits (first axis of `axes` slowest).
  std::vector<int64_t> group(int64_t rank, const std::vector<int> &axes) const;
  bool operator==(const Mesh &) const = default;

  /// Parses "dp=2,tp=4"; names unique, sizes positive.
  static Result<Mesh> parse(const std::string &text);
  /// Parses the meshes of stages, "tp=2|tp=1". An axis that is as large in
  /// several stages is one; another size makes it "tp.1".
  static Result<Mesh> parseStages(const std::string &text);
  std::string str() const;
};

/// How pending values of a partial tensor combine.
enum class Combiner : uint8_t { None, Sum, Max, Min, Prod, SoftmaxMerge };
const char *combinerName(Combiner combiner);
std::optional<Combiner> parseCombiner(const std::string &name);

/// Half-open.
struct Interval {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const Interval &) const = default;
};

/// Windows over a dimension: position p reads the elements from
/// p * stride - before, `extent` of them, as far as they exist.
struct Halo {
  int64_t positions = 1, stride = 1, before = 0, extent = 1;

  /// What some positions read, beyond the ends of the dimension too.
  Interval reads(Interval of) const {
    return {of.begin * stride - before,
            (of.end - 1) * stride - before + extent};
  }
  /// The numbers are in range, so that nothing here overflows.
  bool isValid() const;
  bool operator==(const Halo &) const = default;
  auto operator<=>(const Halo &) const = default;
};

/// One factor of a dimension: `size` elements, split over `axes` (nested). With
/// a halo the axes split its positions, and the factor is the whole dimension.
struct FactorSharding {
  int64_t size = 1;
  std::vector<int> axes;
  std::optional<Halo> halo = {};
  bool operator==(const FactorSharding &) const = default;
  auto operator<=>(const FactorSharding &) const = default;
};

/// Factors of one dimension, major first; their product is its size.
struct DimSharding {
  std::vector<FactorSharding> factors;
  int64_t size() const;
  bool isReplicated() const;
  bool operator==(const DimSharding &) const = default;
  auto operator<=>(const DimSharding &) const = default;
};

/// The sharding of one tensor over a mesh (held by the context).
struct Sharding {
  std::vector<DimSharding> dims;
  /// Axes over which values are pending, ascending, with one combiner.
  std::vector<int> partialAxes;
  Combiner combiner = Combiner::None;

  bool operator==(const Sharding &) const = default;
  auto operator<=>(const Sharding &) const = default;

  static Sharding replicated(const std::vector<int64_t> &shape);
  bool isReplicated() const;
  bool isPartial() const { return !partialAxes.empty(); }
  std::vector<int64_t> globalShape() const;
  /// Axes used by dimensions, as a bit set; partial axes are not included.
  uint64_t dimAxes() const;
  bool hasHalo() const;
  /// The same axes in blocks that do not overlap.
  Sharding withoutHalos() const;
  /// "[{6:dp}, {3, 4:tp, 2}] partial{..}" with the mesh's axis names.
  std::string str(const Mesh &mesh) const;
};

/// The part of 0..size that the rank at `coords` owns.
Interval shardInterval(int64_t size, const std::vector<int> &axes,
                       const Mesh &mesh, const std::vector<int64_t> &coords);
/// The part of a factor that the rank at `coords` holds, with its halo.
Interval shardInterval(const FactorSharding &factor, const Mesh &mesh,
                       const std::vector<int64_t> &coords);
/// How many elements the windows of the rank at `coords` reach over either end
/// of a factor with a halo: the padding that its own positions need.
std::pair<int64_t, int64_t> beyondEnds(const FactorSharding &factor,
                                       const Mesh &mesh,
                                       const std::vector<int64_t> &coords);
/// The most elements of a factor that a rank holds.
int64_t maxShardSize(const FactorSharding &factor, const Mesh &mesh);

/// What a rank owns: per dimension and factor an interval, with the factor
/// sizes for addressing.
struct Box {
  struct Dim {
    std::vector<int64_t> sizes;
    std::vector<Interval> intervals;
    int64_t localSize() const;
    int64_t globalSize() const;
    bool operator==(const Dim &) const = default;
  };
  std::vector<Dim> dims;

  std::vector<int64_t> localShape() const;
  std::vector<int64_t> globalShape() const;
  int64_t numElements() const;
  bool isFull() const;
  bool operator==(const Box &) const = default;
};

Box boxOf(const Sharding &sharding, const Mesh &mesh,
          const std::vector<int64_t> &coords);
std::vector<int64_t> localShape(const Sharding &sharding, const Mesh &mesh,
                                int64_t rank);

/// Whether all ranks have equal local shapes because everything divides. False
/// does not say that they differ.
bool isEven(const Sharding &sharding, const Mesh &mesh);

/// A run of elements that lie next to each other both globally and locally.
struct Run {
  int64_t global, local, count;
};
/// Calls `fn` for each maximal run of `box`, ascending; offsets in elements of
/// the row-major global and local tensors. Runs merge across dimensions where
/// the box is full.
void forEachRun(const Box &box, const std::function<void(Run)> &fn);

/// A run of elements owned by two boxes of the same tensor.
struct SharedRun {
  int64_t from, to, count;
};
/// Runs of the intersection of two boxes of one global tensor, with offsets
/// into the local tensor of each.
std::vector<SharedRun> intersect(const Box &from, const Box &to);

/// Checks everything that makes a sharding legal for `shape` on `mesh`: factor
/// products match, axes exist and occur once, no shard is empty, partial axes
/// have a combiner, a halo is the only factor of its dimension.
Status checkSharding(const Sharding &sharding,
                     const std::vector<int64_t> &shape, const Mesh &mesh,
                     const std::string &place);

/// The unique spelling among shardings that give every rank the same box:
/// axes of size one vanish, adjacent whole factors merge, {12:a, 64} becomes
/// {768:a} where 12 divides evenly, {2:a, 6:b} becomes {12:a,b} where a's
/// blocks are single units. Two canonical shardings are equal iff no data
/// needs to move (for axis orders that the mesh distinguishes).
Sharding canonical(const Sharding &sharding, const Mesh &mesh);

/// The interval of one factor on this rank begins here: what a local program
/// needs to know of its place (causal masks, iota, split vocabularies).
struct ShardOffset {
  int64_t size = 0;
  std::vector<int> axes;
  bool operator==(const ShardOffset &) const = default;
  int64_t evaluate(const Mesh &mesh, const std::vector<int64_t> &coords) const {
    return shardInterval(size, axes, mesh, coords).begin;
  }
};

} // namespace partita

#endif // PARTITA_SUPPORT_SHARDING_H
