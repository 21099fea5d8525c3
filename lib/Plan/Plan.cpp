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
  PlannedOp planned{op.id, op.kind, op.nodes, {}};
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
  if (!result.execution.isPlain())
    plan.stages = result.stages;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    plan.ops.push_back(planOperation(graph.ops[o], result.strategies[o]));
    plan.ops.back().stage = result.execution.stage(o);
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
  }
  if (Status legal = checkStrategy(op.rule, strategy, mesh, where); !legal) {
    Error error = legal.takeError();
    error.code = "plan.illegal";
    return error;
  }
  return strategy;
}

Result<Execution> partita::executionOf(const Plan &plan, const Graph &graph,
                                       const std::string &place) {
  Execution execution;
  int axis = plan.mesh.axis(stageAxis);
  execution.stages = axis < 0 ? 1 : plan.mesh.axisSizes[axis];
  execution.microBatches = plan.microBatches;
  execution.recompute = plan.recompute;
  std::unordered_map<std::string, int> stageOf;
  for (const PlannedOp &op : plan.ops) {
    if (op.stage >= execution.stages)
      return makeError(ExitCode::InvalidInput, "plan.field",
                       place + ": operation '" + op.id + "'",
                       "stage " + std::to_string(op.stage) + " of " +
                           std::to_string(execution.stages),
                       "stages count from zero along the axis pp");
    stageOf[op.id] = op.stage;
  }
  for (size_t o = 0; execution.stages > 1 && o < graph.ops.size(); ++o)
    execution.stageOf.push_back(stageOf[graph.ops[o].id]);
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
