//===- DimSpace.h - The layouts of one dimension ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Moves of a whole tensor are made of two steps of one dimension: an axis that
// is the last of a factor is removed, or an axis is appended to a factor. This
// class numbers the canonical layouts of a dimension and remembers their steps,
// so that the search over tensors works with small integers.
//
// The factors to which an axis may be appended come from *bases*, lists of
// factor sizes: those of both ends of a reshard and their common refinement. A
// layout is first expanded on a base, that is, written with the base's factors
// wherever that describes the same blocks: {2304:2 ranks} cannot be written on
// {3, 12, 64}, but {2304:3 ranks} can, as {3:3 ranks, 12, 64}.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RESHARD_DIMSPACE_H
#define PARTITA_LIB_RESHARD_DIMSPACE_H

#include "partita/Support/Sharding.h"
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

namespace partita::reshard {

/// Factor sizes, major first.
using Base = std::vector<int64_t>;

/// An axis removed from or added to a layout, and the layout that it gives.
struct Step {
  int axis;
  uint16_t to;
};

/// What a rank owns of a dimension after a move, and what of it before too.
struct Share {
  int64_t owned, kept;
  bool operator==(const Share &) const = default;
};

/// The shares of all ranks. They depend on few axes, mostly on none: layouts
/// that divide evenly give all ranks equal shares.
struct Kept {
  /// Ranks that differ along no other axes have equal shares.
  uint32_t axes = 0;
  /// Of the rank whose coordinates are all zero.
  Share first = {0, 0};
  /// Those of which no other owns as much and keeps as little. Empty without
  /// axes.
  std::vector<Share> worst = {};
  /// Whether all ranks own equally much.
  bool isEven = true;
};

/// The row-major number of a rank among all that differ along `axes` only.
size_t placeOf(uint32_t axes, const Mesh &mesh,
               const std::vector<int64_t> &coords);

/// Calls `fn` with every combination of coordinates along `axes`, the last axis
/// fastest; the others are zero. Whether `fn` said of one that it is enough.
template <typename Fn>
bool untilPlace(uint32_t axes, const Mesh &mesh, const Fn &fn) {
  std::vector<int64_t> coords(mesh.numAxes(), 0);
  while (true) {
    if (fn(coords))
      return true;
    int axis = mesh.numAxes();
    while (--axis >= 0) {
      if (!(axes >> axis & 1))
        continue;
      if (++coords[axis] < mesh.axisSizes[axis])
        break;
      coords[axis] = 0;
    }
    if (axis < 0)
      return false;
  }
}

/// The same with all of them.
template <typename Fn>
void forEachPlace(uint32_t axes, const Mesh &mesh, const Fn &fn) {
  untilPlace(axes, mesh, [&](std::vector<int64_t> &coords) {
    fn(coords);
    return false;
  });
}

/// A place of the number of an element, if a layout splits its dimension into
/// equal blocks: the number is written with one such digit for each axis of
/// each factor, and one for the elements of a block. That of an axis is a
/// rank's coordinate along it.
struct Digit {
  int64_t size;
  /// Negative: of the elements that a rank has.
  int axis;
};

/// From the largest place to the smallest, without those of one value; nothing
/// if blocks are not equal.
std::optional<std::vector<Digit>> digitsOf(const DimSharding &dim,
                                           const Mesh &mesh);

/// What ranks own and keep between two such layouts, digit by digit, without a
/// look at each rank; nothing if their places do not fit together.
std::optional<Kept> keptOfDigits(const std::vector<Digit> &from,
                                 const std::vector<Digit> &to);

/// The canonical layouts of all dimensions of one size, which spaces of
/// different bases share: what ranks keep from one to another takes long to
/// find.
class DimLayouts {
public:
  struct Layout {
    DimSharding dim;
    /// Elements of the largest block.
    int64_t localSize;
    uint32_t axes;
    std::optional<std::vector<Digit>> digits;
    /// By the coordinates along its axes, once asked for.
    std::vector<Box::Dim> boxes = {};
  };

  explicit DimLayouts(const Mesh &mesh) : mesh(mesh) {}

  /// The number of a canonical layout.
  int intern(const DimSharding &canonical);
  /// Stays where it is.
  const Layout &layout(int number) const { return layouts[number]; }
  /// What ranks own of the dimension under `to`, and of that under `from` too.
  const Kept &kept(int from, int to);
  /// The same of all ranks, by their coordinates along the axes of that,
  /// row-major.
  const std::vector<Share> &shares(int from, int to);

private:
  const std::vector<Box::Dim> &boxes(Layout &layout) const;
  Share shareAt(Layout &from, Layout &to,
                const std::vector<int64_t> &coords) const;
  bool isLostSomewhere(Layout &from, Layout &to) const;
  Kept keptOf(Layout &from, Layout &to) const;

  const Mesh &mesh;
  std::deque<Layout> layouts;
  std::map<DimSharding, int> numbers;
  /// By both layouts.
  std::unordered_map<uint64_t, Kept> known;
  std::unordered_map<uint64_t, std::vector<Share>> knownShares;
};

class DimSpace {
public:
  /// `known` are of dimensions of this size.
  DimSpace(int64_t size, std::vector<Base> bases, DimLayouts &known,
           const Mesh &mesh);

  uint16_t intern(const DimSharding &dim);
  const DimSharding &layout(uint16_t id) const { return layouts[id].of->dim; }
  /// Elements of the largest block.
  int64_t localSize(uint16_t id) const { return layouts[id].of->localSize; }
  uint32_t axes(uint16_t id) const { return layouts[id].of->axes; }
  /// All blocks are equal.
  bool isEven(uint16_t id) const { return layouts[id].of->digits.has_value(); }
  /// In an order that depends on the layout alone, not on its number.
  const std::vector<Step> &removals(uint16_t id);
  const std::vector<Step> &additions(uint16_t id);
  /// The layout with axes `a` and `b`, of equal size, exchanged.
  uint16_t exchanged(uint16_t id, int a, int b);
  /// Layouts with the same blocks owned by other ranks, because neighbouring
  /// axes of a factor nest the other way round; the axes of each that did.
  const std::vector<std::pair<uint32_t, uint16_t>> &renested(uint16_t id);

  /// What ranks own of the dimension under `to`, and of that under `from` too.
  const Kept &kept(uint16_t from, uint16_t to);
  const std::vector<Share> &shares(uint16_t from, uint16_t to) {
    return all.shares(layouts[from].number, layouts[to].number);
  }

private:
  struct Layout {
    const DimLayouts::Layout *of;
    int number; // among all of this size
    bool stepped = false;
    std::vector<Step> removals = {}, additions = {};
    std::optional<std::vector<std::pair<uint32_t, uint16_t>>> renested = {};
    /// By the pair of axes that are exchanged.
    std::vector<std::pair<std::pair<int, int>, uint16_t>> exchanged = {};
  };
  void step(uint16_t id);
  std::vector<std::vector<FactorSharding>> expansions(const DimSharding &dim);

  int64_t size;
  std::vector<Base> bases;
  DimLayouts &all;
  const Mesh &mesh;
  std::deque<Layout> layouts; // what is asked of one stays where it is
  std::map<DimSharding, uint16_t> numbers;
  std::vector<std::vector<const Kept *>> known; // by both layouts
};

/// The coarsest list of factors that refines both: {4,6} and {8,3} give
/// {4,2,3}. Empty if there is none: {4,6} and {6,4} cut at 6 and at 4.
Base commonRefinement(const Base &a, const Base &b);

} // namespace partita::reshard

#endif // PARTITA_LIB_RESHARD_DIMSPACE_H
