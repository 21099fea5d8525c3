//===- Parallel.cpp - Equal work side by side -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Parallel.h"
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

using namespace partita;

void planner::forAll(size_t count, const std::function<void(size_t)> &fn) {
  const size_t numThreads = std::min<size_t>(
      std::clamp(std::thread::hardware_concurrency(), 1U, 8U), count);
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++)
      fn(i);
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < numThreads; ++t)
    others.emplace_back(work);
  work();
  for (std::thread &other : others)
    other.join();
}
