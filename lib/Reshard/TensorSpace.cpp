//===- TensorSpace.cpp - The layouts of one tensor ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TensorSpace.h"
#include <algorithm>
#include <bit>
#include <unordered_set>

using namespace partita;
using namespace partita::reshard;

TensorSpace::TensorSpace(std::vector<DimSpace *> dims, int64_t elementSize,
                         const Mesh &mesh, const CollectiveCost &cost)
    : dims(std::move(dims)), elementSize(elementSize), mesh(mesh), cost(cost),
      numRanks(mesh.numRanks()) {
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    if (mesh.axisSizes[axis] > 1)
      allAxes |= 1u << axis;
  // Sequences of three steps and more of an all-to-all are many, and what they
  // save over two moves is a latency.
  maxAxesPerMove = std::popcount(allAxes) <= 3 ? std::popcount(allAxes) : 2;
}

int TensorSpace::vertex(const VertexKey &key) {
  auto [it, added] =
      numbers.try_emplace(key, static_cast<int>(vertices.size()));
  if (added) {
    __int128 bytes = elementSize;
    for (size_t d = 0; d < dims.size(); ++d)
      bytes = std::min<__int128>(bytes * dims[d]->localSize(key[d]), INT64_MAX);
    vertices.push_back({key, static_cast<int64_t>(bytes), false, {}});
  }
  return it->second;
}

int TensorSpace::vertex(const Sharding &sharding) {
  VertexKey key;
  for (size_t d = 0; d < dims.size(); ++d)
    key.push_back(dims[d]->intern(sharding.dims[d]));
  char16_t bits = 0;
  for (int axis : sharding.partialAxes)
    bits |= static_cast<char16_t>(1u << axis);
  key.push_back(bits);
  key.push_back(static_cast<char16_t>(sharding.combiner));
  return vertex(key);
}

static std::vector<int> axesOf(uint32_t bits) {
  std::vector<int> axes;
  for (int axis = 0; bits >> axis; ++axis)
    if (bits >> axis & 1)
      axes.push_back(axis);
  return axes;
}

Sharding TensorSpace::sharding(int number) const {
  const VertexKey &key = vertices[number].key;
  Sharding out;
  for (size_t d = 0; d < dims.size(); ++d)
    out.dims.push_back(dims[d]->layout(key[d]));
  out.partialAxes = axesOf(partial(key));
  out.combiner = static_cast<Combiner>(key[dims.size() + 1]);
  return out;
}

uint32_t TensorSpace::usedAxes(const VertexKey &key) const {
  uint32_t used = partial(key);
  for (size_t d = 0; d < dims.size(); ++d)
    used |= dims[d]->axes(key[d]);
  return used;
}

std::vector<const DimSharding *>
TensorSpace::dimsOf(const VertexKey &key) const {
  std::vector<const DimSharding *> out;
  for (size_t d = 0; d < dims.size(); ++d)
    out.push_back(&dims[d]->layout(key[d]));
  return out;
}

//===----------------------------------------------------------------------===//
// Sequences of steps
//===----------------------------------------------------------------------===//

/// Layouts with one to maxAxesPerMove axes removed from dimensions.
std::vector<TensorSpace::Reached>
TensorSpace::removeAxes(const VertexKey &key) {
  std::vector<Reached> reached{{key, 0}};
  std::unordered_set<VertexKey> seen{key};
  for (size_t i = 0; i < reached.size(); ++i) {
    if (std::popcount(reached[i].axes) == maxAxesPerMove)
      continue;
    for (size_t d = 0; d < dims.size(); ++d) {
      std::vector<Step> steps = dims[d]->removals(reached[i].key[d]);
      for (Step step : steps) {
        VertexKey next = reached[i].key;
        next[d] = step.to;
        if (seen.insert(next).second)
          reached.push_back({next, reached[i].axes | 1u << step.axis});
      }
    }
  }
  reached.erase(reached.begin());
  return reached;
}

/// Layouts with all of `axes` added to dimensions, in any order and place.
std::vector<VertexKey> TensorSpace::addAxes(const VertexKey &key,
                                            uint32_t axes) {
  std::vector<VertexKey> reached{key};
  for (int count = std::popcount(axes); count > 0; --count) {
    std::vector<VertexKey> next;
    std::unordered_set<VertexKey> seen;
    for (const VertexKey &at : reached) {
      uint32_t used = usedAxes(at);
      for (size_t d = 0; d < dims.size(); ++d) {
        std::vector<Step> steps = dims[d]->additions(at[d]);
        for (Step step : steps) {
          if (!(axes >> step.axis & 1) || used >> step.axis & 1)
            continue;
          VertexKey to = at;
          to[d] = step.to;
          if (seen.insert(to).second)
            next.push_back(std::move(to));
        }
      }
    }
    reached = std::move(next);
  }
  return reached;
}

/// Layouts in which ranks own each other's blocks: axes of equal size exchanged
/// (one of them may be unused), or neighbouring axes of a factor nested the
/// other way round. Partial axes stay: with the same box on several ranks, an
/// executor could not tell which of the pending values is meant.
std::vector<TensorSpace::Reached> TensorSpace::permuted(const VertexKey &key) {
  constexpr size_t limit = 64;
  std::vector<Reached> reached{{key, 0}};
  std::unordered_set<VertexKey> seen{key};
  auto add = [&](VertexKey next, uint32_t axes) {
    if (seen.insert(next).second)
      reached.push_back({std::move(next), axes});
  };
  uint32_t candidates = allAxes & ~static_cast<uint32_t>(partial(key));
  for (size_t i = 0; i < reached.size() && reached.size() < limit; ++i) {
    Reached at = reached[i];
    uint32_t used = usedAxes(at.key);
    for (int a : axesOf(candidates))
      for (int b : axesOf(candidates)) {
        if (a >= b || mesh.axisSizes[a] != mesh.axisSizes[b] ||
            !((used >> a | used >> b) & 1))
          continue;
        VertexKey next = at.key;
        for (size_t d = 0; d < dims.size(); ++d)
          next[d] = dims[d]->exchanged(next[d], a, b);
        add(std::move(next), at.axes | 1u << a | 1u << b);
      }
    for (size_t d = 0; d < dims.size(); ++d)
      for (auto [axes, to] : dims[d]->renested(at.key[d])) {
        VertexKey next = at.key;
        next[d] = to;
        add(std::move(next), at.axes | axes);
      }
  }
  reached.erase(reached.begin());
  return reached;
}

//===----------------------------------------------------------------------===//
// Edges
//===----------------------------------------------------------------------===//

int64_t TensorSpace::fetchedBytes(const VertexKey &from, const VertexKey &to) {
  kept.assign(numRanks, elementSize);
  owned.assign(numRanks, elementSize);
  for (size_t d = 0; d < dims.size(); ++d) {
    const std::vector<int64_t> &both = dims[d]->overlaps(from[d], to[d]);
    const std::vector<int64_t> &all = dims[d]->sizes(to[d]);
    for (int64_t rank = 0; rank < numRanks; ++rank) {
      kept[rank] *= both[rank];
      owned[rank] *= all[rank];
    }
  }
  int64_t most = 0;
  for (int64_t rank = 0; rank < numRanks; ++rank)
    most = std::max(most, owned[rank] - kept[rank]);
  return most;
}

struct TensorSpace::Builder {
  TensorSpace &space;
  const VertexKey &from;
  int64_t fromBytes;
  std::vector<MoveEdge> edges;
  std::unordered_map<int, size_t> cheapest;

  /// Of several moves to one vertex the cheapest counts, the first on a tie.
  void add(const VertexKey &key, MoveKind kind, uint32_t axes) {
    int to = space.vertex(key);
    MoveBytes bytes{fromBytes, space.localBytes(to)};
    bytes.fetched =
        kind == MoveKind::AllToAll && space.numRanks <= maxRanksForOverlap
            ? space.fetchedBytes(from, key)
            : bytes.to;
    if (space.cost.packs())
      bytes.packed =
          packedBytes(kind, axes, space.dimsOf(from), space.dimsOf(key),
                      bytes.from, bytes.to, space.mesh);
    int64_t price = space.cost.picoseconds(kind, axes, bytes);
    auto [it, added] = cheapest.try_emplace(to, edges.size());
    if (added)
      edges.push_back({to, price, kind, axes});
    else if (price < edges[it->second].cost)
      edges[it->second] = {to, price, kind, axes};
  }
};

/// Calls `fn` for each subset of `axes` of one to `most` members, small first.
template <typename Fn>
static void forEachSubset(uint32_t axes, int most, const Fn &fn) {
  for (int count = 1; count <= most; ++count)
    for (uint32_t set = axes; set; set = (set - 1) & axes)
      if (std::popcount(set) == count)
        fn(set);
}

void TensorSpace::expand(int number) {
  VertexKey key = vertices[number].key;
  Builder builder{*this, key, vertices[number].bytes, {}, {}};
  uint32_t pending = partial(key), unused = allAxes & ~usedAxes(key);

  // Softmax parts pend over two tensors together; they are merged at once.
  if (combiner(key) == static_cast<char16_t>(Combiner::SoftmaxMerge)) {
    VertexKey resolved = key;
    partial(resolved) = combiner(resolved) = 0;
    builder.add(resolved, MoveKind::AllReduce, pending);
    vertices[number].edges = std::move(builder.edges);
    vertices[number].expanded = true;
    return;
  }
  forEachSubset(pending, std::popcount(pending), [&](uint32_t axes) {
    VertexKey resolved = key;
    partial(resolved) &= static_cast<char16_t>(~axes);
    if (!partial(resolved))
      combiner(resolved) = 0;
    builder.add(resolved, MoveKind::AllReduce, axes);
    if (std::popcount(axes) <= maxAxesPerMove)
      for (const VertexKey &to : addAxes(resolved, axes))
        builder.add(to, MoveKind::ReduceScatter, axes);
  });
  forEachSubset(unused, maxAxesPerMove, [&](uint32_t axes) {
    for (const VertexKey &to : addAxes(key, axes))
      builder.add(to, MoveKind::Slice, axes);
    // Zeros on all ranks but one are neutral for sums only.
    VertexKey to = key;
    if (!pending || combiner(to) == static_cast<char16_t>(Combiner::Sum)) {
      partial(to) |= static_cast<char16_t>(axes);
      combiner(to) = static_cast<char16_t>(Combiner::Sum);
      builder.add(to, MoveKind::ToPartial, axes);
    }
  });
  for (const Reached &to : permuted(key))
    builder.add(to.key, MoveKind::Permute, to.axes);
  for (const Reached &removed : removeAxes(key)) {
    builder.add(removed.key, MoveKind::AllGather, removed.axes);
    for (const VertexKey &to : addAxes(removed.key, removed.axes))
      if (to != key)
        builder.add(to, MoveKind::AllToAll, removed.axes);
  }
  vertices[number].edges = std::move(builder.edges);
  vertices[number].expanded = true;
}

const std::vector<MoveEdge> &TensorSpace::edges(int number) {
  if (!vertices[number].expanded)
    expand(number);
  return vertices[number].edges;
}

//===----------------------------------------------------------------------===//
// Shortest paths
//===----------------------------------------------------------------------===//

int64_t TensorSpace::distance(int source, int target) {
  if (source == target)
    return 0;
  Search &search = searches[source];
  std::vector<Search::Label> &labels = search.labels;
  if (labels.empty()) {
    labels.resize(vertices.size());
    labels[source].cost = 0;
    search.open.push({0, 0, search.sequence++, source});
  }
  if (target < static_cast<int>(labels.size()) && labels[target].settled)
    return labels[target].cost;
  while (!search.open.empty()) {
    auto [cost, hops, sequence, at] = search.open.top();
    search.open.pop();
    if (labels[at].settled || labels[at].cost != cost ||
        labels[at].hops != hops)
      continue;
    labels[at].settled = true;
    // The edges of a settled vertex are relaxed before the search stops at it,
    // so that going on later needs no memory of where it stopped.
    const std::vector<MoveEdge> &out = edges(at);
    labels.resize(vertices.size());
    for (size_t i = 0; i < out.size(); ++i) {
      int64_t nextCost = cost + out[i].cost;
      Search::Label &next = labels[out[i].to];
      if (next.settled ||
          (next.cost >= 0 && std::tie(next.cost, next.hops) <=
                                 std::make_tuple(nextCost, hops + 1)))
        continue;
      next = {nextCost, hops + 1, false, at, static_cast<int>(i)};
      search.open.push({nextCost, hops + 1, search.sequence++, out[i].to});
    }
    if (at == target)
      return cost;
  }
  return -1;
}

std::vector<std::pair<int, MoveEdge>> TensorSpace::path(int source,
                                                        int target) {
  std::vector<std::pair<int, MoveEdge>> out;
  if (distance(source, target) < 0)
    return out;
  for (int at = target; at != source;) {
    const Search::Label &label = searches[source].labels[at];
    out.emplace_back(label.from, edges(label.from)[label.edge]);
    at = label.from;
  }
  std::reverse(out.begin(), out.end());
  return out;
}
