//===- Instance.h - Choices, prices and memory as numbers ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The problem of the ASPLOS 2025 contest on intra-operator parallelism
// (IOPDDL), which is that of sharding one stage of a model under a memory
// limit:
//
//   minimise   sum over nodes of cost[i][x_i] + sum over edges of
//              table[e][x_a][x_b]
//   such that  at every time t the sum of usage[i][x_i] over the nodes whose
//              half-open interval contains t is at most the limit
//
// A price of 10^18 stands for infinity: to choose it is bad, not invalid.
// Parallel edges add up, and an edge from a node to itself is a price of its
// values.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SOLVE_INSTANCE_H
#define PARTITA_SOLVE_INSTANCE_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace partita::solve {

/// Prices from here on are infinite; sums of prices stop here while searching.
inline constexpr int64_t infinity = 1'000'000'000'000'000'000;
/// The most edges' tables may hold together, so that hostile files end.
inline constexpr int64_t maxEntries = int64_t(1) << 31;

struct Instance {
  struct Edge {
    int first = 0, second = 0;
    /// Where its table begins in `tables`: rows of `first`.
    int64_t table = 0;
  };

  std::string name;
  /// Half-open, by node.
  std::vector<int64_t> begins, ends;
  /// The values of node i are firstValue[i] .. firstValue[i + 1] of `costs` and
  /// `usages`.
  std::vector<int64_t> firstValue;
  std::vector<int64_t> costs, usages;
  std::vector<Edge> edges;
  std::vector<int64_t> tables;
  int64_t usageLimit = 0;

  int numNodes() const { return static_cast<int>(begins.size()); }
  int numValues(int node) const {
    return static_cast<int>(firstValue[node + 1] - firstValue[node]);
  }
  std::span<const int64_t> costsOf(int node) const {
    return {costs.data() + firstValue[node],
            static_cast<size_t>(numValues(node))};
  }
  std::span<const int64_t> usagesOf(int node) const {
    return {usages.data() + firstValue[node],
            static_cast<size_t>(numValues(node))};
  }
};

/// Reads the contest's JSON. Errors (exit code 2): `solve.read` with the offset
/// of what is malformed: not JSON, a number that is no integer of 64 bits, a
/// negative price, a table that does not fit its ends, a node without values.
Result<Instance> readInstance(const std::string &path);

/// What an assignment costs, by the definition above and nothing else.
struct Verdict {
  __int128 cost = 0;
  /// The greatest use of memory at any time.
  __int128 peak = 0;
  /// In range, and the peak is within the limit.
  bool valid = false;
};

Verdict evaluate(const Instance &instance, const std::vector<int> &assignment);

} // namespace partita::solve

#endif // PARTITA_SOLVE_INSTANCE_H
