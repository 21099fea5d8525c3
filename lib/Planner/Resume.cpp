//===- Resume.cpp - The plan that a search begins with --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Resume.h"
#include "Model.h"
#include "Pins.h"
#include "Resident.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

static Error otherThanAsked(const std::string &option,
                            const std::string &what) {
  return makeError(ExitCode::Usage, "plan.resume", option,
                   "the plan that is resumed " + what,
                   "resume it with what it was made with, or make a new one");
}

/// Of what the command line fixes.
static Status checkExecution(const PlanResult &plan,
                             const PlanOptions &options) {
  const Execution &execution = plan.execution;
  if (options.mesh && (options.mesh->axisNames != plan.mesh.axisNames ||
                       options.mesh->axisSizes != plan.mesh.axisSizes ||
                       options.mesh->stageAxes != plan.mesh.stageAxes))
    return otherThanAsked("--mesh " + options.mesh->str(),
                          "has the mesh " + plan.mesh.str());
  if (options.microBatches > 0 &&
      options.microBatches != execution.microBatches)
    return otherThanAsked("--micro-batches " +
                              std::to_string(options.microBatches),
                          "has " + std::to_string(execution.microBatches));
  if (options.recompute && *options.recompute != execution.recompute)
    return otherThanAsked("--recompute", execution.recompute
                                             ? "computes layers again"
                                             : "computes nothing again");
  if (options.schedule && execution.stages > 1 &&
      *options.schedule != execution.schedule)
    return otherThanAsked("--schedule " + options.schedule->str(),
                          "has " + execution.schedule.str());
  return ok();
}

/// Names axes as those of meshes that are searched for.
static Mesh asSearched(Mesh mesh) {
  const std::string names = "xyzw";
  size_t next = 0;
  for (std::string &name : mesh.axisNames)
    if (name != stageAxis && next < names.size())
      name = names.substr(next++, 1);
  return mesh;
}

/// Of each operation the number of its strategy among its candidates.
static Result<std::vector<int>>
valuesOf(const Graph &graph, const PlanResult &plan, const Model &model) {
  std::vector<int> values;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const auto &candidates = model.candidates[o]->candidates;
    auto it = std::find_if(candidates.begin(), candidates.end(),
                           [&](const Candidate &candidate) {
                             return candidate.strategy == plan.strategies[o];
                           });
    if (it == candidates.end())
      return otherThanAsked("--pin", "splits '" + graph.ops[o].id +
                                         "' otherwise than pins allow");
    values.push_back(static_cast<int>(it - candidates.begin()));
  }
  return values;
}

Result<std::optional<PlanResult>>
planner::resumedPlan(Steps &steps, const PlanOptions &options) {
  if (!options.resumed)
    return std::optional<PlanResult>();
  PlanResult plan = *options.resumed;
  PARTITA_CHECK(checkExecution(plan, options));
  PARTITA_TRY(std::shared_ptr<const Step> step,
              steps.of(plan.execution.microBatches));
  PARTITA_TRY(plan.cost,
              evaluate(step->graph, options.topology, plan.mesh,
                       plan.strategies, plan.execution, &plan.chunks));
  const Mesh mesh = options.mesh ? plan.mesh : asSearched(plan.mesh);
  PARTITA_TRY(auto pins,
              resolvePins(step->graph, step->classes, mesh, options.pins));
  ModelBuilder builder(step->graph, step->classes, mesh, options.topology,
                       Costing(step->graph, plan.execution));
  PARTITA_CHECK(builder.addOperations(pins));
  PARTITA_TRY(std::vector<int> values,
              valuesOf(step->graph, plan, builder.model));
  if (options.memoryLimit > 0) {
    std::vector<int64_t> usage = builder.memory().usage(values);
    plan.leastPeakBytes = *std::max_element(usage.begin(), usage.end());
    if (plan.leastPeakBytes > options.memoryLimit)
      return std::optional<PlanResult>();
  }
  plan.residentBytes =
      Resident(step->graph, plan.mesh).most(plan.strategies, plan.execution);
  plan.notes.clear();
  return std::optional(std::move(plan));
}

Leaf *planner::leafOf(const PlanResult &plan, std::vector<Leaf> &leaves) {
  for (Leaf &leaf : leaves)
    if (leaf.mesh.axisSizes == plan.mesh.axisSizes &&
        leaf.mesh.axis(stageAxis) == plan.mesh.axis(stageAxis) &&
        leaf.execution.microBatches == plan.execution.microBatches &&
        leaf.execution.recompute == plan.execution.recompute &&
        leaf.execution.schedule == plan.execution.schedule)
      return &leaf;
  return nullptr;
}
