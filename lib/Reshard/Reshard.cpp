//===- Reshard.cpp - The cheapest way between two shardings ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Numbers layouts and the spaces in which they are searched. A space depends
// only on the factor lists of the two ends, so that the answer to a question
// never depends on the questions asked before.
//
//===----------------------------------------------------------------------===//

#include "partita/Reshard/Reshard.h"
#include "TensorSpace.h"
#include <algorithm>
#include <bit>
#include <map>

using namespace partita;
using namespace partita::reshard;

struct ReshardSpaces::Impl {
  const Mesh mesh;
  const CollectiveCost cost;
  std::map<Base, int> baseNumbers;
  std::vector<Base> bases;
  std::map<int64_t, DimLayouts> dimLayouts; // by size
  std::map<std::pair<int, int>, std::unique_ptr<DimSpace>> dimSpaces;
  std::map<std::vector<int>, std::unique_ptr<TensorSpace>> spaces;

  Impl(const Mesh &mesh, const CollectiveCost &cost) : mesh(mesh), cost(cost) {}

  int numberOf(const Base &base);
  DimSpace *dimSpace(int a, int b);
  TensorSpace &space(size_t elementSize, const std::vector<int> &fromBases,
                     const std::vector<int> &toBases);
};

ReshardSpaces::ReshardSpaces(const Mesh &mesh, const CollectiveCost &cost)
    : impl(std::make_unique<Impl>(mesh, cost)) {}
ReshardSpaces::~ReshardSpaces() = default;

size_t ReshardSpaces::numPrices() const {
  size_t count = 0;
  for (const auto &[key, space] : impl->spaces)
    count += space->numPrices();
  return count;
}

namespace {
struct HashOfSharding {
  size_t operator()(const Sharding &sharding) const {
    uint64_t hash = 0;
    auto mix = [&](uint64_t part) {
      hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 29;
    };
    for (const DimSharding &dim : sharding.dims) {
      mix(dim.factors.size());
      for (const FactorSharding &factor : dim.factors) {
        mix(static_cast<uint64_t>(factor.size));
        for (int axis : factor.axes)
          mix(static_cast<uint64_t>(axis) + 64);
      }
    }
    for (int axis : sharding.partialAxes)
      mix(static_cast<uint64_t>(axis) + 128);
    return hash;
  }
};
} // namespace

struct ReshardPlanner::Impl {
  const std::shared_ptr<ReshardSpaces> owner;
  ReshardSpaces::Impl &all;
  const Mesh &mesh;
  const CollectiveCost &cost;
  std::map<Sharding, int> layoutNumbers;
  /// Of those that were asked for, as they were spelled.
  std::unordered_map<Sharding, int, HashOfSharding> askedNumbers;
  std::vector<const Sharding *> layouts;
  /// By layout and dimension: the number of its list of factor sizes.
  std::vector<std::vector<int>> layoutBases;
  /// By layout: the number of those numbers.
  std::vector<int> shapeOf;
  std::map<std::vector<int>, int> shapeNumbers;
  /// Spaces by element size and the shapes of both layouts, which is quicker to
  /// ask, and the vertices of layouts in them.
  struct Known {
    TensorSpace *space = nullptr;
    std::unordered_map<int, int> vertices;
  };
  std::unordered_map<uint64_t, Known> knownSpaces;
  Known &knownSpace(size_t elementSize, int from, int to);
  int vertex(Known &known, int layout);
  /// By element size and two layouts.
  std::unordered_map<uint64_t, int64_t> prices;

  explicit Impl(std::shared_ptr<ReshardSpaces> spaces)
      : owner(std::move(spaces)), all(*owner->impl), mesh(all.mesh),
        cost(all.cost) {}

  TensorSpace &space(size_t elementSize, int from, int to) {
    return all.space(elementSize, layoutBases[from], layoutBases[to]);
  }
  int64_t distance(size_t elementSize, int from, int to);
  std::vector<Move> movesIntoHalos(DType dtype, const Sharding &to) const;
};

ReshardPlanner::ReshardPlanner(const Mesh &mesh, const CollectiveCost &cost)
    : ReshardPlanner(std::make_shared<ReshardSpaces>(mesh, cost)) {}
ReshardPlanner::ReshardPlanner(std::shared_ptr<ReshardSpaces> spaces)
    : impl(std::make_unique<Impl>(std::move(spaces))) {}
ReshardPlanner::~ReshardPlanner() = default;
ReshardPlanner::ReshardPlanner(ReshardPlanner &&) noexcept = default;
ReshardPlanner &ReshardPlanner::operator=(ReshardPlanner &&) noexcept = default;

int ReshardSpaces::Impl::numberOf(const Base &base) {
  auto [it, added] =
      baseNumbers.try_emplace(base, static_cast<int>(bases.size()));
  if (added)
    bases.push_back(base);
  return it->second;
}

DimSpace *ReshardSpaces::Impl::dimSpace(int a, int b) {
  // The order of the bases is that of their contents, not of their numbers.
  if (bases[b] < bases[a])
    std::swap(a, b);
  std::unique_ptr<DimSpace> &space = dimSpaces[{a, b}];
  if (!space) {
    std::vector<Base> list{bases[a]};
    if (a != b) {
      list.push_back(bases[b]);
      if (Base both = commonRefinement(bases[a], bases[b]); !both.empty())
        list.push_back(std::move(both));
    }
    int64_t size = 1;
    for (int64_t factor : bases[a])
      size *= factor;
    DimLayouts &known = dimLayouts.try_emplace(size, mesh).first->second;
    space = std::make_unique<DimSpace>(size, std::move(list), known, mesh);
  }
  return space.get();
}

TensorSpace &ReshardSpaces::Impl::space(size_t elementSize,
                                        const std::vector<int> &fromBases,
                                        const std::vector<int> &toBases) {
  std::vector<int> key{static_cast<int>(elementSize)};
  for (size_t d = 0; d < fromBases.size(); ++d) {
    auto [a, b] = std::minmax(fromBases[d], toBases[d]);
    key.push_back(a);
    key.push_back(b);
  }
  std::unique_ptr<TensorSpace> &space = spaces[key];
  if (!space) {
    std::vector<DimSpace *> dims;
    for (size_t i = 1; i < key.size(); i += 2)
      dims.push_back(dimSpace(key[i], key[i + 1]));
    space =
        std::make_unique<TensorSpace>(std::move(dims), elementSize, mesh, cost);
  }
  return *space;
}

ReshardPlanner::Impl::Known &
ReshardPlanner::Impl::knownSpace(size_t elementSize, int from, int to) {
  Known &known =
      knownSpaces[uint64_t(elementSize) << 58 | uint64_t(shapeOf[from]) << 29 |
                  uint64_t(shapeOf[to])];
  if (!known.space)
    known.space = &space(elementSize, from, to);
  return known;
}

int ReshardPlanner::Impl::vertex(Known &known, int layout) {
  auto [it, added] = known.vertices.try_emplace(layout, 0);
  if (added)
    it->second = known.space->vertex(*layouts[layout]);
  return it->second;
}

int64_t ReshardPlanner::Impl::distance(size_t elementSize, int from, int to) {
  Known &known = knownSpace(elementSize, from, to);
  int source = vertex(known, from), target = vertex(known, to);
  return known.space->distance(source, target);
}

Result<int> ReshardPlanner::intern(const Sharding &sharding) {
  if (auto known = impl->askedNumbers.find(sharding);
      known != impl->askedNumbers.end())
    return known->second;
  const char *place = "reshard";
  int axes = 0;
  for (int64_t size : impl->mesh.axisSizes)
    axes += size > 1;
  if (axes > 8 || impl->mesh.numAxes() > 16)
    return makeError(ExitCode::Unsupported, "reshard.unsupported", place,
                     "reshards are searched over at most eight mesh axes");
  if (Status legal =
          checkSharding(sharding, sharding.globalShape(), impl->mesh, place);
      !legal) {
    Error error = legal.takeError();
    error.code = "reshard.illegal";
    return error;
  }
  auto [it, added] = impl->layoutNumbers.try_emplace(
      canonical(sharding, impl->mesh), static_cast<int>(impl->layouts.size()));
  impl->askedNumbers[sharding] = it->second;
  if (!added)
    return it->second;
  impl->layouts.push_back(&it->first);
  std::vector<int> numbers;
  for (const DimSharding &dim : it->first.dims) {
    Base base;
    for (const FactorSharding &factor : dim.factors)
      base.push_back(factor.size);
    numbers.push_back(impl->all.numberOf(base));
  }
  impl->shapeOf.push_back(
      impl->shapeNumbers
          .try_emplace(numbers, static_cast<int>(impl->shapeNumbers.size()))
          .first->second);
  impl->layoutBases.push_back(std::move(numbers));
  return it->second;
}

/// The moves that may be the last of a path to halos: from the blocks of the
/// same axes, and from the whole of those dimensions.
std::vector<Move>
ReshardPlanner::Impl::movesIntoHalos(DType dtype, const Sharding &to) const {
  Sharding blocks = to.withoutHalos(), whole = blocks;
  std::vector<int> axes;
  for (size_t d = 0; d < to.dims.size(); ++d)
    if (const FactorSharding &factor = to.dims[d].factors[0]; factor.halo) {
      axes.insert(axes.end(), factor.axes.begin(), factor.axes.end());
      whole.dims[d].factors[0].axes.clear();
    }
  std::sort(axes.begin(), axes.end());
  std::vector<Move> moves{{MoveKind::HaloExchange, axes, blocks, to},
                          {MoveKind::Slice, axes, whole, to}};
  for (Move &move : moves)
    move.picoseconds =
        cost.picoseconds(move.kind, axes, dtype, move.from, move.to);
  return moves;
}

const Sharding &ReshardPlanner::layout(int number) const {
  return *impl->layouts[number];
}

int64_t ReshardPlanner::picoseconds(DType dtype, int from, int to) {
  if (from == to)
    return 0;
  if (layout(from).hasHalo())
    return unreachable;
  size_t size = dtypeSize(dtype);
  uint64_t key = uint64_t(size) << 58 | uint64_t(from) << 29 | uint64_t(to);
  if (auto known = impl->prices.find(key); known != impl->prices.end())
    return known->second;
  int64_t price = unreachable;
  if (layout(to).hasHalo()) {
    for (const Move &last : impl->movesIntoHalos(dtype, layout(to)))
      if (auto via = intern(last.from))
        price =
            std::min(price, picoseconds(dtype, from, *via) + last.picoseconds);
  } else {
    int64_t distance = impl->distance(size, from, to);
    price = distance < 0 ? unreachable : distance;
  }
  impl->prices[key] = price;
  return price;
}

std::vector<int64_t> ReshardPlanner::picoseconds(DType dtype,
                                                 const std::vector<int> &from,
                                                 const std::vector<int> &to) {
  std::vector<int64_t> prices(from.size() * to.size(), unreachable);
  // Layouts without halos, by their shapes: of two shapes all pairs are in one
  // space.
  auto byShape = [&](const std::vector<int> &layouts) {
    std::map<int, std::vector<size_t>> places;
    for (size_t i = 0; i < layouts.size(); ++i)
      if (!layout(layouts[i]).hasHalo())
        places[impl->shapeOf[layouts[i]]].push_back(i);
    return places;
  };
  const auto rows = byShape(from), columns = byShape(to);
  struct Block {
    TensorSpace *space;
    const std::vector<size_t> *rows, *columns;
    std::vector<int> sources, targets;
  };
  // A space is closed once if it has all its vertices before.
  std::vector<Block> blocks;
  for (auto &[rowShape, theseRows] : rows)
    for (auto &[columnShape, theseColumns] : columns) {
      Impl::Known &known = impl->knownSpace(
          dtypeSize(dtype), from[theseRows[0]], to[theseColumns[0]]);
      Block block{known.space, &theseRows, &theseColumns, {}, {}};
      for (size_t row : theseRows)
        block.sources.push_back(impl->vertex(known, from[row]));
      for (size_t column : theseColumns)
        block.targets.push_back(impl->vertex(known, to[column]));
      blocks.push_back(std::move(block));
    }
  for (const Block &block : blocks)
    for (size_t i = 0; i < block.sources.size(); ++i) {
      const int64_t *distances = block.space->distancesFrom(block.sources[i]);
      int64_t *row = &prices[(*block.rows)[i] * to.size()];
      for (size_t j = 0; j < block.targets.size(); ++j)
        row[(*block.columns)[j]] = distances[block.targets[j]];
    }
  for (size_t column = 0; column < to.size(); ++column)
    if (layout(to[column]).hasHalo())
      for (size_t row = 0; row < from.size(); ++row)
        prices[row * to.size() + column] =
            picoseconds(dtype, from[row], to[column]);
  return prices;
}

static int64_t saturatingSum(int64_t a, int64_t b) {
  return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/// The cheapest path to halos: to where the last move starts, and that move.
Result<ReshardPath> ReshardPlanner::pathIntoHalos(DType dtype,
                                                  const Sharding &from,
                                                  const Sharding &to) {
  std::optional<ReshardPath> best;
  for (Move &last : impl->movesIntoHalos(dtype, to)) {
    PARTITA_TRY(ReshardPath path, this->path(dtype, from, last.from));
    path.picoseconds += last.picoseconds;
    if (best && best->picoseconds <= path.picoseconds)
      continue;
    path.transientBytes =
        std::max(path.transientBytes,
                 saturatingSum(maxLocalBytes(last.from, impl->mesh, dtype),
                               maxLocalBytes(to, impl->mesh, dtype)));
    path.moves.push_back(std::move(last));
    best = std::move(path);
  }
  best->moves.front().from = from;
  best->moves.back().to = to;
  return std::move(*best);
}

Result<ReshardPath> ReshardPlanner::path(DType dtype, const Sharding &from,
                                         const Sharding &to) {
  if (from.globalShape() != to.globalShape())
    return makeError(ExitCode::InvalidInput, "reshard.illegal", "reshard",
                     "the shardings " + from.str(impl->mesh) + " and " +
                         to.str(impl->mesh) + " are of different shapes");
  PARTITA_TRY(int source, intern(from));
  PARTITA_TRY(int target, intern(to));
  ReshardPath path;
  if (source == target)
    return path;
  path.picoseconds = picoseconds(dtype, source, target);
  if (path.picoseconds == unreachable)
    return makeError(ExitCode::Unsupported, "reshard.unreachable", "reshard",
                     "there is no way from " + from.str(impl->mesh) + " to " +
                         to.str(impl->mesh),
                     "only sums can be made partial, and what windows read is "
                     "no source");
  if (layout(target).hasHalo())
    return pathIntoHalos(dtype, from, layout(target));
  TensorSpace &space = impl->space(dtypeSize(dtype), source, target);
  for (auto &[at, edge] :
       space.path(space.vertex(layout(source)), space.vertex(layout(target)))) {
    Move move{
        edge.kind, {}, space.sharding(at), space.sharding(edge.to), edge.cost};
    for (int axis = 0; axis < impl->mesh.numAxes(); ++axis)
      if (edge.axes >> axis & 1)
        move.axes.push_back(axis);
    int64_t before = space.localBytes(at), after = space.localBytes(edge.to);
    path.transientBytes =
        std::max(path.transientBytes, saturatingSum(before, after));
    path.moves.push_back(std::move(move));
  }
  path.moves.front().from = from;
  path.moves.back().to = to;
  return path;
}

Result<Sharding>
ReshardPlanner::sharedLayout(DType dtype, const Sharding &producer,
                             const std::vector<Sharding> &uses) {
  if (uses.size() < 2)
    return producer;
  PARTITA_TRY(int source, intern(producer));
  std::vector<Sharding> candidates{producer};
  std::vector<int> targets;
  for (const Sharding &use : uses) {
    PARTITA_TRY(int target, intern(use));
    targets.push_back(target);
    candidates.push_back(use);
  }
  candidates.push_back(Sharding::replicated(producer.globalShape()));
  size_t best = 0;
  int64_t bestPrice = INT64_MAX;
  for (size_t i = 0; i < candidates.size(); ++i) {
    PARTITA_TRY(int at, intern(candidates[i]));
    int64_t price = picoseconds(dtype, source, at);
    for (int target : targets)
      price = std::min(price + picoseconds(dtype, at, target), unreachable);
    if (price < bestPrice) {
      best = i;
      bestPrice = price;
    }
  }
  return candidates[best];
}
