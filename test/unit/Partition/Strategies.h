//===- Strategies.h - Enumerating strategies and shardings -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Independent of the planner: everything that checkStrategy and checkSharding
// call legal, with dimensions refined into up to three factors. The property
// tests run all of it, or a seeded sample where it is too much.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PARTITION_STRATEGIES_H
#define PARTITA_TEST_UNIT_PARTITION_STRATEGIES_H

#include "partita/Support/ShardingRule.h"
#include <random>

namespace partita::test {

/// All ways to write `size` as a product of one to three parts (each above one,
/// unless it is the only one) and to put all of `axes` on parts, in every
/// order. Parts without axes are never neighbours.
std::vector<DimSharding> placements(int64_t size, const std::vector<int> &axes);

/// All legal strategies. Axes may stay unused.
std::vector<Strategy> legalStrategies(const ShardingRule &rule,
                                      const Mesh &mesh);

/// All legal shardings of a tensor, those pending by a sum included.
std::vector<Sharding> legalShardings(const std::vector<int64_t> &shape,
                                     const Mesh &mesh);

/// At most `count` of the list, the same for the same seed.
template <typename T>
std::vector<T> sample(std::vector<T> list, size_t count, unsigned seed) {
  if (list.size() <= count)
    return list;
  std::mt19937 random(seed);
  // By hand: std::shuffle differs between standard libraries.
  for (size_t i = 0; i < count; ++i)
    std::swap(list[i], list[i + random() % (list.size() - i)]);
  list.resize(count);
  return list;
}

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PARTITION_STRATEGIES_H
