//===- Simulator.h - Ranks that move data -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// N ranks hold their boxes of a tensor of integers, moves are carried out on
// them element by element as Reshard.h describes, and the outcome is compared
// with the boxes that the target demands. Knows nothing of how paths are found.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_RESHARD_SIMULATOR_H
#define PARTITA_TEST_UNIT_RESHARD_SIMULATOR_H

#include "partita/Reshard/Reshard.h"
#include <algorithm>
#include <string>

namespace partita::test {

using Values = std::vector<int64_t>;

inline int64_t combine(Combiner combiner, int64_t a, int64_t b) {
  switch (combiner) {
  case Combiner::Max:
    return std::max(a, b);
  case Combiner::Min:
    return std::min(a, b);
  case Combiner::Prod: // Wraps, which products modulo 2^64 may.
    return static_cast<int64_t>(static_cast<uint64_t>(a) *
                                static_cast<uint64_t>(b));
  default:
    return a + b;
  }
}

/// Global offsets of what a rank owns, in local order.
inline std::vector<int64_t> offsetsOf(const Sharding &sharding,
                                      const Mesh &mesh, int64_t rank) {
  std::vector<int64_t> offsets;
  forEachRun(boxOf(sharding, mesh, mesh.coordinates(rank)), [&](Run run) {
    for (int64_t i = 0; i < run.count; ++i)
      offsets.push_back(run.global + i);
  });
  return offsets;
}

class Simulator {
public:
  Simulator(const Mesh &mesh, Sharding start, int64_t elements)
      : mesh(mesh), at(std::move(start)), elements(elements) {
    for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
      Values local;
      for (int64_t offset : offsetsOf(at, mesh, rank))
        local.push_back(initial(offset, rank));
      data.push_back(std::move(local));
    }
  }

  /// Empty, or what is wrong with the move.
  std::string apply(const Move &move) {
    if (canonical(move.from, mesh) != canonical(at, mesh))
      return "the move does not start where the last one ended";
    std::vector<std::vector<int64_t>> where(data.size());
    for (size_t rank = 0; rank < data.size(); ++rank) {
      where[rank].assign(elements, -1);
      std::vector<int64_t> offsets = offsetsOf(at, mesh, rank);
      for (size_t i = 0; i < offsets.size(); ++i)
        where[rank][offsets[i]] = i;
    }
    std::vector<Values> next(data.size());
    for (size_t rank = 0; rank < data.size(); ++rank)
      for (int64_t offset : offsetsOf(move.to, mesh, rank)) {
        int64_t value = 0;
        if (!fetch(move, rank, offset, where, value))
          return "rank " + std::to_string(rank) + " misses element " +
                 std::to_string(offset);
        next[rank].push_back(value);
      }
    data = std::move(next);
    at = move.to;
    return "";
  }

  /// Do all ranks hold what `start` meant?
  bool matches(const Sharding &start, const Sharding &target) const {
    Simulator first(mesh, start, elements);
    return first.whole() == whole() && at == target;
  }

  /// The value of every element, or nothing where ranks disagree.
  std::optional<Values> whole() const {
    std::vector<std::optional<int64_t>> values(elements);
    for (size_t rank = 0; rank < data.size(); ++rank) {
      std::vector<int64_t> offsets = offsetsOf(at, mesh, rank);
      for (size_t i = 0; i < offsets.size(); ++i) {
        int64_t value = 0;
        bool first = true;
        for (int64_t other : mesh.group(rank, at.partialAxes)) {
          value = first ? data[other][i]
                        : combine(at.combiner, value, data[other][i]);
          first = false;
        }
        std::optional<int64_t> &slot = values[offsets[i]];
        if (slot && *slot != value)
          return std::nullopt;
        slot = value;
      }
    }
    Values out;
    for (auto &value : values) {
      if (!value)
        return std::nullopt;
      out.push_back(*value);
    }
    return out;
  }

private:
  /// Differs between ranks exactly where values pend.
  int64_t initial(int64_t offset, int64_t rank) const {
    int64_t value = offset * 7919 + 13;
    std::vector<int64_t> coords = mesh.coordinates(rank);
    for (int axis : at.partialAxes)
      value = value * 31 + coords[axis] * (offset % 5 + 3);
    return value;
  }

  bool fetch(const Move &move, int64_t rank, int64_t offset,
             const std::vector<std::vector<int64_t>> &where,
             int64_t &value) const {
    std::vector<int64_t> group = mesh.group(rank, move.axes);
    switch (move.kind) {
    case MoveKind::Slice:
      group = {rank};
      [[fallthrough]];
    case MoveKind::AllGather:
    case MoveKind::AllToAll:
    case MoveKind::Permute:
    case MoveKind::HaloExchange:
      for (int64_t other : group)
        if (where[other][offset] >= 0) {
          value = data[other][where[other][offset]];
          return true;
        }
      return false;
    case MoveKind::AllReduce:
    case MoveKind::ReduceScatter: {
      bool first = true;
      for (int64_t other : group) {
        if (where[other][offset] < 0)
          return false;
        int64_t theirs = data[other][where[other][offset]];
        value = first ? theirs : combine(move.from.combiner, value, theirs);
        first = false;
      }
      return true;
    }
    case MoveKind::ToPartial: {
      if (where[rank][offset] < 0)
        return false;
      std::vector<int64_t> coords = mesh.coordinates(rank);
      bool keeps = std::all_of(move.axes.begin(), move.axes.end(),
                               [&](int axis) { return coords[axis] == 0; });
      value = keeps ? data[rank][where[rank][offset]] : 0;
      return true;
    }
    }
    return false;
  }

  const Mesh &mesh;
  Sharding at;
  int64_t elements;
  std::vector<Values> data;
};

/// Every canonical sharding of a tensor whose dimensions have the given factor
/// lists, each of which may be used whole or split: all placements of every
/// axis, in every nesting order, pending ones included.
inline std::vector<Sharding>
allShardings(const std::vector<std::vector<std::vector<int64_t>>> &dims,
             const Mesh &mesh, Combiner combiner) {
  std::vector<Sharding> bases{{}};
  for (const auto &choices : dims) {
    std::vector<Sharding> longer;
    for (const Sharding &base : bases)
      for (const std::vector<int64_t> &factors : choices) {
        Sharding next = base;
        next.dims.emplace_back();
        for (int64_t size : factors)
          next.dims.back().factors.push_back({size, {}});
        longer.push_back(std::move(next));
      }
    bases = std::move(longer);
  }
  std::vector<int> order(mesh.numAxes());
  for (int i = 0; i < mesh.numAxes(); ++i)
    order[i] = i;
  std::vector<Sharding> out;
  do {
    std::vector<Sharding> reached = bases;
    for (int axis : order) {
      std::vector<Sharding> next = reached;
      for (const Sharding &sharding : reached) {
        if (combiner != Combiner::None) {
          Sharding to = sharding;
          to.partialAxes.push_back(axis);
          std::sort(to.partialAxes.begin(), to.partialAxes.end());
          to.combiner = combiner;
          next.push_back(std::move(to));
        }
        for (size_t d = 0; d < sharding.dims.size(); ++d)
          for (size_t f = 0; f < sharding.dims[d].factors.size(); ++f) {
            Sharding to = sharding;
            to.dims[d].factors[f].axes.push_back(axis);
            next.push_back(std::move(to));
          }
      }
      reached = std::move(next);
    }
    for (const Sharding &sharding : reached)
      if (checkSharding(sharding, sharding.globalShape(), mesh, ""))
        out.push_back(canonical(sharding, mesh));
  } while (std::next_permutation(order.begin(), order.end()));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_RESHARD_SIMULATOR_H
