//===- Ways.cpp - Numbers of stages and micro-batches --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Ways.h"
#include <algorithm>
#include <set>

using namespace partita;
using namespace partita::planner;

std::vector<int64_t> planner::microBatchesTried(const Steps &steps,
                                                const PlanOptions &options,
                                                int64_t stages) {
  if (options.microBatches > 0)
    return {options.microBatches};
  std::set<int64_t> counts;
  const int64_t most = steps.hasBackward() || stages > 1 ? 16 * stages : 1;
  for (int64_t power = 1; power <= most; power *= 2)
    for (int64_t about : {power, 3 * power / 2}) {
      if (about < stages)
        continue;
      int64_t m = about;
      while (m <= most && !steps.mayDivide(m))
        ++m;
      if (m <= most)
        counts.insert(m);
    }
  if (counts.empty())
    counts.insert(1);
  return {counts.begin(), counts.end()};
}

std::vector<int64_t> planner::stagesTried(const Steps &steps,
                                          const PlanOptions &options) {
  const int64_t ranks = options.topology.numRanks(),
                segments = steps.segments().count();
  const int64_t most = std::max<int64_t>(options.maxStages, 1);
  constexpr size_t mostOthers = 4; // the largest
  std::vector<int64_t> counts, others;
  for (int64_t p = 1; p <= std::min({most, ranks, segments}); ++p) {
    if (ranks % p != 0)
      continue;
    // Missing in the last stages, or more in some, as the head of a model.
    const int64_t more = segments % p;
    if ((p & (p - 1)) == 0)
      counts.push_back(p);
    else if (std::min(more, p - more) <= segments / 20)
      others.push_back(p);
  }
  counts.insert(counts.end(),
                others.end() - static_cast<std::ptrdiff_t>(
                                   std::min(others.size(), mostOthers)),
                others.end());
  std::sort(counts.begin(), counts.end());
  return counts;
}
