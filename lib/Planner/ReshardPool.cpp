//===- ReshardPool.cpp - What is known of the layouts of meshes -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReshardPool.h"
#include "partita/Planner/Execution.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

std::shared_ptr<ReshardSpaces> ReshardPool::lend(const Mesh &whole) {
  Mesh mesh = stageOf(whole);
  std::shared_ptr<ReshardSpaces> spaces;
  {
    std::lock_guard lock(guard);
    auto it = std::find_if(kept.begin(), kept.end(),
                           [&](const Kept &one) { return one.mesh == mesh; });
    if (it != kept.end()) {
      spaces = std::move(it->spaces);
      kept.erase(it);
    }
  }
  if (!spaces)
    spaces =
        std::make_shared<ReshardSpaces>(mesh, CollectiveCost(topology, mesh));
  ReshardSpaces *lent = spaces.get();
  return {lent,
          [this, mesh = std::move(mesh), owner = std::move(spaces)](
              ReshardSpaces *) mutable { takeBack(mesh, std::move(owner)); }};
}

void ReshardPool::takeBack(const Mesh &mesh,
                           std::shared_ptr<ReshardSpaces> spaces) {
  const size_t prices = spaces->numPrices();
  // What is forgotten is freed after the lock.
  std::list<Kept> forgotten;
  std::lock_guard lock(guard);
  kept.push_front({mesh, std::move(spaces), prices});
  size_t sum = 0;
  auto it = kept.begin();
  while (it != kept.end() && (sum += it->prices) <= mostPrices)
    ++it;
  forgotten.splice(forgotten.begin(), kept, it, kept.end());
}
