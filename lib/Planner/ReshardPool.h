//===- ReshardPool.h - What is known of the layouts of meshes ---*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A search looks at most meshes more than once: to bound a leaf, to solve it,
// and for other leaves. Prices of reshards are found once for each mesh, as far
// as there is room to keep them.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_RESHARDPOOL_H
#define PARTITA_LIB_PLANNER_RESHARDPOOL_H

#include "partita/Reshard/Reshard.h"
#include "partita/Topology/Topology.h"
#include <list>
#include <mutex>

namespace partita::planner {

/// Safe for use by several threads. Outlives what it lends.
class ReshardPool {
public:
  explicit ReshardPool(const Topology &topology) : topology(topology) {}

  /// What is known of the ranks of a stage of `mesh`, nobody else's until it is
  /// given back, which happens by itself.
  std::shared_ptr<ReshardSpaces> lend(const Mesh &mesh);

private:
  void takeBack(const Mesh &mesh, std::shared_ptr<ReshardSpaces> spaces);

  /// Half a gigabyte.
  static constexpr size_t mostPrices = size_t(1) << 26;
  struct Kept {
    Mesh mesh;
    std::shared_ptr<ReshardSpaces> spaces;
    size_t prices;
  };
  const Topology &topology;
  std::mutex guard;
  std::list<Kept> kept; // the last used first
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_RESHARDPOOL_H
