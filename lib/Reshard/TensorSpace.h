//===- TensorSpace.h - The layouts of one tensor ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The graph that reshards are shortest paths of: vertices are layouts of a
// tensor (one number per dimension, a set of partial axes, their combiner),
// edges are moves. Both come into being as a search reaches them, and are kept.
//
// A move of several axes is found as a sequence of steps of one axis each, of
// the same kind, that one collective does at once. An all-to-all removes axes
// and then adds the same axes elsewhere; what lies between is never built.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RESHARD_TENSORSPACE_H
#define PARTITA_LIB_RESHARD_TENSORSPACE_H

#include "DimSpace.h"
#include "partita/Cost/Cost.h"
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>

namespace partita::reshard {

/// Dimension numbers, then the partial axes as bits, then the combiner.
using VertexKey = std::u16string;

struct MoveEdge {
  int to;
  int64_t cost;
  MoveKind kind;
  uint32_t axes;
};

class TensorSpace {
public:
  TensorSpace(std::vector<DimSpace *> dims, int64_t elementSize,
              const Mesh &mesh, const CollectiveCost &cost);

  int vertex(const VertexKey &key);
  /// The vertex of a canonical sharding.
  int vertex(const Sharding &sharding);
  Sharding sharding(int vertex) const;
  int64_t localBytes(int vertex) const { return vertices[vertex].bytes; }
  /// In an order that depends on the layout alone.
  const std::vector<MoveEdge> &edges(int vertex);

  /// The least price from `source` to `target`, or -1.
  int64_t distance(int source, int target);
  /// The same for all targets that there are now, for who asks for most pairs;
  /// `unreachable` where there is no path. Until the next call.
  const int64_t *distancesFrom(int source);
  static constexpr int64_t unreachable = 1'000'000'000'000'000'000;
  /// That are kept of all pairs.
  size_t numPrices() const { return distances.size(); }
  /// Edges of that path in order, as (vertex before, edge).
  std::vector<std::pair<int, MoveEdge>> path(int source, int target);

private:
  struct Vertex {
    VertexKey key;
    int64_t bytes;
    bool expanded = false;
    std::vector<MoveEdge> edges;
    /// By axes: whether the part of a rank along them is in several runs, once
    /// asked for.
    std::vector<std::optional<bool>> scattered = {};
  };
  /// One Dijkstra run, stopped as soon as a target is settled and gone on with
  /// for the next.
  struct Search {
    struct Label {
      /// Negative: not reached yet.
      int64_t cost = -1;
      int hops = 0;
      bool settled = false;
      /// The vertex before this one, and which of its edges leads here.
      int from = -1, edge = -1;
    };
    struct Entry {
      int64_t cost;
      int hops;
      int64_t sequence;
      int vertex;
      bool operator>(const Entry &other) const {
        return std::tie(cost, hops, sequence) >
               std::tie(other.cost, other.hops, other.sequence);
      }
    };
    std::vector<Label> labels; // by vertex; those beyond are not reached
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    int64_t sequence = 0;
  };
  /// A layout reached by steps along a set of axes.
  struct Reached {
    VertexKey key;
    uint32_t axes;
  };
  /// The edges of one vertex under construction.
  struct Builder;

  uint32_t usedAxes(const VertexKey &key) const;
  std::vector<Reached> removeAxes(const VertexKey &key);
  const std::vector<int> &addAxes(int vertex, uint32_t axes);
  std::vector<Reached> permuted(const VertexKey &key);
  bool isScattered(int vertex, uint32_t axes);
  int64_t packedBytes(MoveKind kind, uint32_t axes, int from, int to);
  /// The most bytes that a rank lacks of what it owns under `to`.
  int64_t fetchedBytes(const VertexKey &from, const VertexKey &to);
  char16_t &partial(VertexKey &key) const { return key[dims.size()]; }
  char16_t partial(const VertexKey &key) const { return key[dims.size()]; }
  char16_t &combiner(VertexKey &key) const { return key[dims.size() + 1]; }
  void expand(int vertex);
  /// As distance(), with labels that lead back from there.
  int64_t search(int source, int target);
  void close();

  std::vector<DimSpace *> dims;
  int64_t elementSize;
  const Mesh &mesh;
  const CollectiveCost &cost;
  int64_t numRanks;
  /// A dimension that tells ranks apart.
  struct Apart {
    const Kept *kept;
    size_t dim;
    const std::vector<Share> *shares = nullptr; // where they are needed
  };
  std::vector<Apart> apart; // of fetchedBytes()
  uint32_t allAxes = 0;
  int maxAxesPerMove;
  std::vector<Vertex> vertices;
  std::unordered_map<VertexKey, int> numbers;
  /// What addAxes() gave, by vertex and axes.
  std::unordered_map<uint64_t, std::vector<int>> added;
  std::vector<MoveEdge> underConstruction;
  /// By vertex: which of the edges under construction leads there, or -1.
  std::vector<int> edgeTo;
  std::unordered_map<int, Search> searches;
  /// From the first `sources` vertices, those that were asked for before the
  /// others were reached, to the first `closed`.
  std::vector<int64_t> distances;
  size_t sources = 0, closed = 0;
};

} // namespace partita::reshard

#endif // PARTITA_LIB_RESHARD_TENSORSPACE_H
