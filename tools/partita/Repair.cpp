//===- Repair.cpp - What to ask for instead -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Repair.h"
#include "Table.h"
#include "partita/Cost/Cost.h"
#include "partita/Plan/IR.h"
#include "partita/Planner/Repairs.h"
#include <algorithm>

using namespace partita;
using namespace partita::tool;

/// The plan of another request.
static std::optional<PlanResult> planOf(const Request &request,
                                        Progress &progress) {
  Pipeline pipeline(request, progress);
  if (!pipeline.load())
    return std::nullopt;
  auto graph = extractGraph(pipeline.module());
  if (!graph)
    return std::nullopt;
  auto planned = plan(*graph, request.plan);
  return planned ? std::optional(std::move(*planned)) : std::nullopt;
}

/// The named dimensions of inputs that count samples, and their sizes.
static std::map<std::string, int64_t> batchDims(const Graph &graph) {
  std::map<std::string, int64_t> dims;
  for (const GraphOp &op : graph.ops)
    for (int result : op.results) {
      const GraphValue &value = graph.values[result];
      for (size_t d = 0; d < value.dimNames.size(); ++d)
        if (op.role == OpRole::Input &&
            value.dimNames[d].find("batch") != std::string::npos)
          dims[value.dimNames[d]] = value.shape[d];
    }
  return dims;
}

/// Half the samples, or a quarter, and so on, until there is a plan.
static void shrinkBatch(Request request, const Graph &graph, Progress &progress,
                        std::vector<Repair> &found) {
  constexpr int maxHalvings = 4;
  std::map<std::string, int64_t> dims;
  if (!request.globalBatch)
    dims = batchDims(graph);
  for (int halvings = 1; halvings <= maxHalvings; ++halvings) {
    std::string change;
    auto halve = [&](const std::string &option, int64_t size) {
      change += (change.empty() ? "" : " ") + option + std::to_string(size / 2);
      return size / 2;
    };
    int64_t least = request.globalBatch.value_or(INT64_MAX);
    for (const auto &[name, size] : dims)
      least = std::min(least, size);
    if (least < 2 || least == INT64_MAX)
      return;
    if (request.globalBatch)
      request.globalBatch = halve("--global-batch ", *request.globalBatch);
    for (auto &[name, size] : dims)
      request.dims[name] = size = halve("--dim " + name + "=", size);
    if (auto planned = planOf(request, progress)) {
      found.push_back({change, std::move(*planned),
                       request.plan.topology.numRanks(),
                       1.0 / double(1 << halvings)});
      return;
    }
  }
}

Error tool::withRepairs(const Request &request, const Graph &graph,
                        Progress &progress, Error error) {
  if (!error.code.starts_with("plan.memory") || !request.planFile.empty())
    return error;
  std::vector<Repair> repairs = findRepairs(graph, request.plan);
  shrinkBatch(request, graph, progress, repairs);
  progress.clear();
  if (repairs.empty())
    return error;
  std::sort(
      repairs.begin(), repairs.end(), [](const Repair &a, const Repair &b) {
        return std::pair(a.price(), a.change) < std::pair(b.price(), b.change);
      });
  error.message += "\n  there are plans (of operations' memory alone)";
  for (const Repair &repair : repairs)
    error.message += "\n    " + repair.change + ": step " +
                     secondsText(toSeconds(repair.plan.cost.step())) +
                     " on mesh " + repair.plan.mesh.str() + ", " +
                     bytesText(repair.plan.leastPeakBytes) + " a rank";
  error.hint = "the cheapest by device time for the same work: " +
               repairs.front().change;
  return error;
}
