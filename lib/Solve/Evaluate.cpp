//===- Evaluate.cpp - What an assignment costs ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By definition: it shares nothing with what searches, and judges that.
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Instance.h"
#include <map>

using namespace partita;
using namespace partita::solve;

Verdict solve::evaluate(const Instance &instance,
                        const std::vector<int> &assignment) {
  Verdict verdict;
  if (static_cast<int>(assignment.size()) != instance.numNodes())
    return verdict;
  for (int i = 0; i < instance.numNodes(); ++i)
    if (assignment[i] < 0 || assignment[i] >= instance.numValues(i))
      return verdict;
  std::map<int64_t, __int128> changes;
  for (int i = 0; i < instance.numNodes(); ++i) {
    verdict.cost += instance.costsOf(i)[assignment[i]];
    int64_t usage = instance.usagesOf(i)[assignment[i]];
    if (instance.begins[i] >= instance.ends[i])
      continue;
    changes[instance.begins[i]] += usage;
    changes[instance.ends[i]] -= usage;
  }
  for (const Instance::Edge &edge : instance.edges)
    verdict.cost += instance.tables[edge.table +
                                    int64_t(assignment[edge.first]) *
                                        instance.numValues(edge.second) +
                                    assignment[edge.second]];
  __int128 usage = 0;
  for (const auto &[time, change] : changes) {
    usage += change;
    verdict.peak = std::max(verdict.peak, usage);
  }
  verdict.valid = verdict.peak <= instance.usageLimit;
  return verdict;
}
