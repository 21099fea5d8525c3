//===- Plan.cpp - A plan and the model that it is for ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Plan.h"
#include "partita/Support/File.h"
#include <algorithm>
#include <unordered_map>

using namespace partita;

//===----------------------------------------------------------------------===//
// Identity
//===----------------------------------------------------------------------===//

std::string partita::modelIdentity(const Graph &graph) {
  std::string text;
  auto put = [&](const std::string &item) {
    text += item;
    text += '\0';
  };
  auto putValue = [&](int number) {
    put(std::to_string(number));
    put(std::string(dtypeName(graph.values[number].dtype)));
    for (int64_t size : graph.values[number].shape)
      put(std::to_string(size));
  };
  for (const GraphOp &op : graph.ops) {
    put(op.id);
    put(op.kind);
    put(op.rule.str());
    for (const Factor &factor : op.rule.factors)
      put(std::to_string(factor.size));
    for (int value : op.operands)
      putValue(value);
    put("->");
    for (int value : op.results)
      putValue(value);
  }
  uint64_t hash = hashBytes(text.data(), text.size());
  std::string digits(16, '0');
  for (size_t i = digits.size(); i-- > 0; hash >>= 4)
    digits[i] = "0123456789abcdef"[hash & 15];
  return digits;
}

//===----------------------------------------------------------------------===//
// From a result
//===----------------------------------------------------------------------===//

/// A name that is unique in the rule: a repeated one gets the factor's number.
static std::string factorName(const ShardingRule &rule, size_t f) {
  const std::string &name = rule.factors[f].name;
  bool repeated = std::count_if(rule.factors.begin(), rule.factors.end(),
                                [&](const Factor &factor) {
                                  return factor.name == name;
                                }) > 1;
  return repeated ? name + "#" + std::to_string(f) : name;
}

PlannedOp partita::planOperation(const GraphOp &op, const Strategy &strategy) {
  PlannedOp planned{op.id, op.kind, op.nodes};
  for (size_t f = 0; f < strategy.factors.size(); ++f)
    if (!strategy.factors[f].isReplicated())
      planned.factors.push_back({factorName(op.rule, f), strategy.factors[f]});
  return planned;
}

Plan partita::makePlan(const Graph &graph, const PlanOptions &options,
                       const PlanResult &result) {
  Plan plan;
  plan.modelName = graph.modelName;
  plan.modelIdentity = modelIdentity(graph);
  plan.topology = options.topology.text;
  plan.mesh = result.mesh;
  plan.microBatches = result.execution.microBatches;
  plan.recompute = result.execution.recompute;
  plan.schedule = result.execution.schedule;
  if (!result.execution.isPlain())
    plan.chunks = result.chunks;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    plan.ops.push_back(planOperation(graph.ops[o], result.strategies[o]));
    plan.ops.back().stage = result.execution.stage(o);
    plan.ops.back().chunk =
        static_cast<int>(result.execution.chunk(o) / result.execution.stages);
  }
  plan.cost = result.cost;
  plan.residentBytes = result.residentBytes;
  plan.bound = result.bound;
  plan.boundSpace = result.boundSpace;
  plan.gap = result.gap;
  plan.proved = result.proved;
  plan.stoppedBy = result.stoppedBy;
  for (const Pin &pin : options.pins)
    plan.pins.push_back(pin.text);
  plan.notes = result.notes;
  plan.seed = options.seed;
  plan.effort = options.effort;
  return plan;
}

//===----------------------------------------------------------------------===//
// For a model
//===----------------------------------------------------------------------===//

static Result<Strategy> strategyFor(const PlannedOp &planned, const GraphOp &op,
                                    const Mesh &mesh,
                                    const std::string &place) {
  std::string where = place + ": operation '" + op.id + "'";
  Strategy strategy = Strategy::replicated(op.rule);
  for (const PlannedFactor &factor : planned.factors) {
    size_t f = 0;
    while (f < op.rule.factors.size() && factorName(op.rule, f) != factor.name)
      ++f;
    if (f == op.rule.factors.size())
      return makeError(ExitCode::InvalidInput, "plan.illegal", where,
                       "the operation has no factor '" + factor.name + "'",
                       "its rule is " + op.rule.str());
    strategy.factors[f] = factor.parts;
    for (const FactorSharding &part : factor.parts.factors)
      for (int axis : part.axes)
        if (planned.stage < mesh.numStages() &&
            !mesh.hasAxis(planned.stage, axis))
          return makeError(ExitCode::InvalidInput, "plan.illegal", where,
                           "stage " + std::to_string(planned.stage) +
                               " has no axis '" + mesh.axisNames[axis] + "'",
                           "its mesh is " + mesh.gridOf(planned.stage).str());
  }
  if (Status legal = checkStrategy(op.rule, strategy, mesh, where); !legal) {
    Error error = legal.takeError();
    error.code = "plan.illegal";
    return error;
  }
  return strategy;
}

/// What depends on data goes to later chunks only, and comes back only in the
/// backward pass.
static Status checkStageOrder(const Execution &execution, const Graph &graph,
                              const std::string &place) {
  std::vector<OpPhase> phases = phasesOf(graph);
  const std::string part =
      execution.chunks() > execution.stages ? "chunk" : "stage";
  std::vector<int> producer(graph.values.size(), -1);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    for (int value : op.results)
      producer[value] = static_cast<int>(o);
    if (phases[o] != OpPhase::Forward || op.role != OpRole::Compute)
      continue;
    for (int value : op.operands) {
      int from = producer[value];
      if (phases[from] == OpPhase::Forward &&
          graph.ops[from].role == OpRole::Compute &&
          execution.chunk(from) > execution.chunk(o))
        return makeError(
            ExitCode::InvalidInput, "plan.stage-order",
            place + ": operation '" + op.id + "'",
            "is in " + part + " " + std::to_string(execution.chunk(o)) +
                " and reads '" + graph.ops[from].id + "' of a later " + part +
                ", " + std::to_string(execution.chunk(from)),
            "a " + part + " reads what earlier ones make");
    }
  }
  return ok();
}

Execution partita::executionOf(const Plan &plan) {
  Execution execution;
  execution.stages = plan.mesh.numStages();
  execution.microBatches = plan.microBatches;
  execution.recompute = plan.recompute;
  execution.schedule = plan.schedule;
  return execution;
}

Result<Execution> partita::executionOf(const Plan &plan, const Graph &graph,
                                       const std::string &place) {
  Execution execution = executionOf(plan);
  const ScheduleShape shape = shapeOf(execution, true);
  if (Status there = checkShape(shape); !there) {
    Error error = there.takeError();
    error.exit = ExitCode::InvalidInput;
    error.code = "plan.field";
    error.place = place + ": " + error.place;
    return error;
  }
  auto refuse = [&](const PlannedOp &op, const char *what, int number,
                    int64_t of, const char *hint) {
    return makeError(
        ExitCode::InvalidInput, "plan.field",
        place + ": operation '" + op.id + "'",
        what + std::to_string(number) + " of " + std::to_string(of), hint);
  };
  std::unordered_map<std::string, int> chunkOf;
  for (const PlannedOp &op : plan.ops) {
    if (op.stage >= shape.lanes)
      return refuse(op, "stage ", op.stage, shape.lanes,
                    "stages count from zero along the axis pp");
    if (op.chunk >= shape.chunksPerLane)
      return refuse(op, "chunk ", op.chunk, shape.chunksPerLane,
                    "chunks of a stage count from zero");
    chunkOf[op.id] = static_cast<int>(shape.chunkOf(op.stage, op.chunk));
  }
  for (size_t o = 0; execution.chunks() > 1 && o < graph.ops.size(); ++o)
    execution.chunkOf.push_back(chunkOf[graph.ops[o].id]);
  if (execution.chunks() > 1)
    PARTITA_CHECK(checkStageOrder(execution, graph, place));
  return execution;
}

Result<std::vector<Strategy>> partita::strategiesFor(const Plan &plan,
                                                     const Graph &graph,
                                                     const std::string &place) {
  auto other = [&](const std::string &what) {
    std::string hint = "make a new plan for this model";
    if (plan.modelIdentity != modelIdentity(graph))
      hint += "; this one was made for '" + plan.modelName + "', identity " +
              plan.modelIdentity;
    return makeError(ExitCode::InvalidInput, "plan.other-model", place,
                     "the plan is for another model: " + what, hint);
  };
  std::unordered_map<std::string, const PlannedOp *> byId;
  for (const PlannedOp &op : plan.ops)
    byId[op.id] = &op;
  std::vector<Strategy> strategies;
  for (const GraphOp &op : graph.ops) {
    auto it = byId.find(op.id);
    if (it == byId.end())
      return other("it has no strategy for operation '" + op.id + "'");
    PARTITA_TRY(Strategy strategy,
                strategyFor(*it->second, op, plan.mesh, place));
    strategies.push_back(std::move(strategy));
    byId.erase(it);
  }
  for (const PlannedOp &op : plan.ops)
    if (byId.count(op.id))
      return other("the model has no operation '" + op.id + "'");
  return strategies;
}
