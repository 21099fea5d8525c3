//===- Random.h - Small random instances -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Instances small enough to try everything, with all that real ones have:
// one-to-one edges, infinite prices, parallel edges and edges to the node
// itself, nodes of one value, empty intervals, values without use of memory.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_SOLVE_RANDOM_H
#define PARTITA_TEST_UNIT_SOLVE_RANDOM_H

#include "partita/Solve/Instance.h"
#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

namespace partita::solve {

class RandomInstance {
public:
  /// Prices are at most `most`, or of a size by chance.
  explicit RandomInstance(uint64_t seed, int64_t most = 0)
      : random(seed), most(most) {}

  Instance make() {
    int nodes = 2 + below(7);
    scale = below(3) ? 100 : 1'000'000'000'000;
    scale = most ? most : scale;
    result.firstValue = {0};
    for (int i = 0; i < nodes; ++i)
      addNode();
    for (int e = below(2 * nodes); e > 0; --e)
      addEdge(below(nodes), below(nodes));
    int64_t all = 0;
    for (int64_t usage : result.usages)
      all += usage;
    result.usageLimit = below(4) ? below(static_cast<int>(all / 2) + 2) : all;
    return std::move(result);
  }

private:
  int below(int n) { return static_cast<int>(random() % n); }
  int64_t price() { return below(4) ? below(20) * (scale / 20) : 0; }

  void addNode() {
    int values = below(5) ? 2 + below(3) : 1;
    int begin = below(6);
    result.begins.push_back(begin);
    result.ends.push_back(below(6) ? begin + 1 + below(5) : begin);
    bool uses = below(4);
    for (int k = 0; k < values; ++k) {
      result.costs.push_back(below(30) ? price() : infinity);
      result.usages.push_back(uses ? below(10) : 0);
    }
    result.firstValue.push_back(static_cast<int64_t>(result.costs.size()));
  }

  void addEdge(int a, int b) {
    int rows = result.numValues(a), columns = result.numValues(b);
    result.edges.push_back({a, b, static_cast<int64_t>(result.tables.size())});
    int kind = below(3);
    std::vector<int> partner(columns);
    std::iota(partner.begin(), partner.end(), 0);
    std::shuffle(partner.begin(), partner.end(), random);
    for (int k = 0; k < rows; ++k)
      for (int l = 0; l < columns; ++l) {
        bool apart = kind == 0 && rows == columns && partner[k] != l;
        bool rare = kind == 1 && below(8) == 0;
        result.tables.push_back(apart || rare ? infinity : price());
      }
  }

  std::mt19937_64 random;
  int64_t most, scale = 1;
  Instance result;
};

/// The least cost of what fits, by trying everything; nothing if nothing fits.
inline std::optional<__int128> bruteForce(const Instance &instance) {
  std::vector<int> values(instance.numNodes(), 0);
  std::optional<__int128> best;
  while (true) {
    Verdict verdict = evaluate(instance, values);
    if (verdict.valid && (!best || verdict.cost < *best))
      best = verdict.cost;
    int i = 0;
    while (i < instance.numNodes() && ++values[i] == instance.numValues(i))
      values[i++] = 0;
    if (i == instance.numNodes())
      return best;
  }
}

} // namespace partita::solve

#endif // PARTITA_TEST_UNIT_SOLVE_RANDOM_H
