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

bool TensorSpace::isScattered(int number, uint32_t axes) {
  std::vector<std::optional<bool>> &known = vertices[number].scattered;
  if (known.size() <= axes)
    known.resize(size_t(allAxes) + 1);
  if (!known[axes]) {
    std::vector<const DimSharding *> layout;
    for (size_t d = 0; d < dims.size(); ++d)
      layout.push_back(&dims[d]->layout(vertices[number].key[d]));
    known[axes] = partita::isScattered(axes, layout, mesh);
  }
  return *known[axes];
}

/// As of CollectiveCost, which looks at the layouts each time.
int64_t TensorSpace::packedBytes(MoveKind kind, uint32_t axes, int from,
                                 int to) {
  return partita::packedBytes(
      kind, [&] { return isScattered(from, axes); },
      [&] { return isScattered(to, axes); }, vertices[from].bytes,
      vertices[to].bytes);
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
      for (Step step : dims[d]->removals(reached[i].key[d])) {
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
const std::vector<int> &TensorSpace::addAxes(int number, uint32_t axes) {
  auto [it, isNew] =
      added.try_emplace(static_cast<uint64_t>(number) << 32 | axes);
  if (!isNew)
    return it->second;
  std::vector<VertexKey> reached{vertices[number].key};
  for (int count = std::popcount(axes); count > 0; --count) {
    std::vector<VertexKey> next;
    std::unordered_set<VertexKey> seen;
    for (const VertexKey &at : reached) {
      uint32_t used = usedAxes(at);
      for (size_t d = 0; d < dims.size(); ++d) {
        for (Step step : dims[d]->additions(at[d])) {
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
  for (const VertexKey &key : reached)
    it->second.push_back(vertex(key));
  return it->second;
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

/// The greatest difference of the products of what ranks own and of what they
/// keep. Where no two dimensions tell ranks apart by the same axes, shares of
/// dimensions go together in all ways; where all own equally much, a rank that
/// keeps nothing of one dimension keeps nothing.
int64_t TensorSpace::fetchedBytes(const VertexKey &from, const VertexKey &to) {
  uint32_t axes = 0;
  bool independent = true, isEven = true, isLost = false;
  Share all{elementSize, elementSize};
  int64_t owned = elementSize; // if they own equally much
  apart.clear();
  for (size_t d = 0; d < dims.size(); ++d) {
    if (from[d] == to[d] && dims[d]->isEven(to[d])) {
      const int64_t size = dims[d]->localSize(to[d]);
      all = {all.owned * size, all.kept * size};
      owned *= size;
      continue;
    }
    const Kept &dim = dims[d]->kept(from[d], to[d]);
    if (!dim.axes) {
      all = {all.owned * dim.first.owned, all.kept * dim.first.kept};
      owned *= dim.first.owned;
      continue;
    }
    owned *= dim.first.owned;
    isEven &= dim.isEven;
    isLost |= dim.worst[0].kept == 0;
    independent &= !(axes & dim.axes);
    axes |= dim.axes;
    apart.push_back({&dim, d});
  }
  if (apart.empty())
    return all.owned - all.kept;
  if (isEven && isLost)
    return owned;
  int64_t most = 0;
  if (!independent) {
    for (Apart &one : apart)
      one.shares = &dims[one.dim]->shares(from[one.dim], to[one.dim]);
    forEachPlace(axes, mesh, [&](const std::vector<int64_t> &coords) {
      Share product = all;
      for (const Apart &one : apart) {
        Share share = (*one.shares)[placeOf(one.kept->axes, mesh, coords)];
        product = {product.owned * share.owned, product.kept * share.kept};
      }
      most = std::max(most, product.owned - product.kept);
    });
    return most;
  }
  std::vector<Share> products{all}, next;
  for (const Apart &one : apart) {
    next.clear();
    for (Share product : products)
      for (Share share : one.kept->worst)
        next.push_back(
            {product.owned * share.owned, product.kept * share.kept});
    products.swap(next);
  }
  for (Share product : products)
    most = std::max(most, product.owned - product.kept);
  return most;
}

struct TensorSpace::Builder {
  TensorSpace &space;
  int source;
  std::vector<MoveEdge> &edges;
  Builder(TensorSpace &space, int source)
      : space(space), source(source), edges(space.underConstruction) {
    edges.clear();
  }

  /// Of several moves to one vertex the cheapest counts, the first on a tie.
  void add(int to, MoveKind kind, uint32_t axes) {
    MoveBytes bytes{space.localBytes(source), space.localBytes(to)};
    bytes.fetched =
        kind == MoveKind::AllToAll && space.numRanks <= maxRanksForOverlap
            ? space.fetchedBytes(space.vertices[source].key,
                                 space.vertices[to].key)
            : bytes.to;
    if (space.cost.packs())
      bytes.packed = space.packedBytes(kind, axes, source, to);
    MoveEdge edge{to, space.cost.picoseconds(kind, axes, bytes), kind, axes};
    std::vector<int> &places = space.edgeTo;
    places.resize(space.vertices.size(), -1);
    if (places[to] < 0) {
      places[to] = static_cast<int>(edges.size());
      edges.push_back(edge);
    } else if (edge.cost < edges[places[to]].cost) {
      edges[places[to]] = edge;
    }
  }
  void add(const VertexKey &key, MoveKind kind, uint32_t axes) {
    add(space.vertex(key), kind, axes);
  }
  void addAll(const std::vector<int> &to, MoveKind kind, uint32_t axes) {
    for (int vertex : to)
      if (vertex != source)
        add(vertex, kind, axes);
  }
  void finish() {
    for (const MoveEdge &edge : edges)
      space.edgeTo[edge.to] = -1;
    space.vertices[source].edges = edges;
    space.vertices[source].expanded = true;
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
  Builder builder(*this, number);
  uint32_t pending = partial(key), unused = allAxes & ~usedAxes(key);

  // Softmax parts pend over two tensors together; they are merged at once.
  if (combiner(key) == static_cast<char16_t>(Combiner::SoftmaxMerge)) {
    VertexKey resolved = key;
    partial(resolved) = combiner(resolved) = 0;
    builder.add(resolved, MoveKind::AllReduce, pending);
    builder.finish();
    return;
  }
  forEachSubset(pending, std::popcount(pending), [&](uint32_t axes) {
    VertexKey resolved = key;
    partial(resolved) &= static_cast<char16_t>(~axes);
    if (!partial(resolved))
      combiner(resolved) = 0;
    int reduced = vertex(resolved);
    builder.add(reduced, MoveKind::AllReduce, axes);
    if (std::popcount(axes) <= maxAxesPerMove)
      builder.addAll(addAxes(reduced, axes), MoveKind::ReduceScatter, axes);
  });
  forEachSubset(unused, maxAxesPerMove, [&](uint32_t axes) {
    builder.addAll(addAxes(number, axes), MoveKind::Slice, axes);
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
    int gathered = vertex(removed.key);
    builder.add(gathered, MoveKind::AllGather, removed.axes);
    builder.addAll(addAxes(gathered, removed.axes), MoveKind::AllToAll,
                   removed.axes);
  }
  builder.finish();
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
  if (source < static_cast<int>(sources) && target < static_cast<int>(closed)) {
    int64_t price = distances[static_cast<size_t>(source) * closed + target];
    return price < unreachable ? price : -1;
  }
  return search(source, target);
}

int64_t TensorSpace::search(int source, int target) {
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

/// to[i] = min(to[i], add + from[i]) for i < count, and whether any became
/// less: where the time goes.
__attribute__((target_clones("default", "avx2", "avx512f"))) static bool
relax(int64_t add, const int64_t *from, size_t count, int64_t *to) {
  int64_t gained = 0;
  for (size_t i = 0; i < count; ++i) {
    int64_t sum = add + from[i];
    int64_t less = sum < to[i] ? sum : to[i];
    gained |= to[i] ^ less;
    to[i] = less;
  }
  return gained != 0;
}

/// Moves lead from nearly everywhere to nearly everywhere, so that paths are of
/// few of them: labels of all sources together settle in a few rounds.
void TensorSpace::close() {
  sources = vertices.size();
  for (size_t v = 0; v < vertices.size(); ++v)
    edges(static_cast<int>(v));
  closed = vertices.size();
  constexpr size_t lane = 8;
  const size_t width = (sources + lane - 1) / lane * lane;
  // By vertex and source.
  std::vector<int64_t> labels(closed * width, unreachable);
  std::vector<char> changed(closed, 0);
  for (size_t source = 0; source < sources; ++source) {
    labels[source * width + source] = 0;
    changed[source] = 1;
  }
  for (bool any = true; any;) {
    any = false;
    for (size_t v = 0; v < closed; ++v) {
      if (!std::exchange(changed[v], 0))
        continue;
      const int64_t *from = &labels[v * width];
      for (const MoveEdge &edge : vertices[v].edges)
        if (relax(edge.cost, from, width, &labels[edge.to * width]))
          any = changed[edge.to] = 1;
    }
  }
  distances.resize(sources * closed);
  for (size_t source = 0; source < sources; ++source)
    for (size_t v = 0; v < closed; ++v)
      distances[source * closed + v] = labels[v * width + source];
  // They are most of what a space takes, and hardly ever asked for again.
  for (Vertex &vertex : vertices) {
    std::vector<MoveEdge>().swap(vertex.edges);
    vertex.expanded = false;
  }
  added.clear();
}

const int64_t *TensorSpace::distancesFrom(int source) {
  if (source >= static_cast<int>(sources) || closed < vertices.size())
    close();
  return &distances[static_cast<size_t>(source) * closed];
}

std::vector<std::pair<int, MoveEdge>> TensorSpace::path(int source,
                                                        int target) {
  std::vector<std::pair<int, MoveEdge>> out;
  if (source == target || search(source, target) < 0)
    return out;
  for (int at = target; at != source;) {
    const Search::Label &label = searches[source].labels[at];
    out.emplace_back(label.from, edges(label.from)[label.edge]);
    at = label.from;
  }
  std::reverse(out.begin(), out.end());
  return out;
}
