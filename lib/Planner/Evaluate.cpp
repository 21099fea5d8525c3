//===- Evaluate.cpp - What a plan costs -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Prices a plan as the partitioner carries it out: a value goes from its
// producer's layout to the shared layout, and from there once to each layout
// that uses demand. Written without the planner's model and its tables, from
// boxes and paths, so that an error in either shows as a difference.
//
//===----------------------------------------------------------------------===//

#include "DimClasses.h"
#include "partita/Cost/Cost.h"
#include "partita/Planner/Planner.h"
#include "partita/Reshard/Reshard.h"
#include <algorithm>
#include <map>

using namespace partita;
using namespace partita::planner;

namespace {
class Evaluator {
public:
  Evaluator(const Graph &graph, const Topology &topology, const Mesh &mesh,
            const std::vector<Strategy> &strategies, const Execution &execution)
      : graph(graph), mesh(stageOf(mesh)), strategies(strategies),
        execution(execution), phases(phasesOf(graph, execution)),
        collectives(topology, this->mesh),
        betweenStages(topology, evenStages(mesh)),
        kernels(topology), reshard(this->mesh, collectives),
        uses(graph.values.size()), chunks(execution.chunks()) {}
  Result<PlanCost> run(std::vector<StageTimes> *times);
  /// By operation, of a step.
  std::vector<PlanCost> parts;

private:
  int64_t kernel(size_t op) const;
  int64_t bytesOf(const Sharding &sharding, DType dtype) const;
  Status addTraffic(int value, size_t producer, size_t result);
  Status addReturn(size_t number);
  Result<int64_t> pathTime(DType dtype, const Sharding &from,
                           const Sharding &to);
  StageTimes::Time &timesOf(size_t op, size_t asIn);
  int64_t runsOf(size_t op) const;
  void addTraffic(size_t maker, size_t op, size_t asIn, bool atLoad,
                  int64_t time);
  int64_t transferTime(int value, size_t producer) const;
  PlanCost total() const;

  const Graph &graph;
  const Mesh mesh;
  const std::vector<Strategy> &strategies;
  const Execution &execution;
  const std::vector<OpPhase> phases;
  CollectiveCost collectives, betweenStages;
  KernelCost kernels;
  ReshardPlanner reshard;
  std::map<std::tuple<DType, Sharding, Sharding>, int64_t> prices;
  /// By value: operations and operand numbers.
  std::vector<std::vector<std::pair<size_t, size_t>>> uses;
  std::vector<StageTimes> chunks;
  int64_t load = 0;
};
} // namespace

/// Rank 0 has the largest share of everything but halos, which are smaller at
/// the ends.
int64_t Evaluator::bytesOf(const Sharding &sharding, DType dtype) const {
  int64_t most = 0, ranks = sharding.hasHalo() ? mesh.numRanks() : 1;
  for (int64_t rank = 0; rank < ranks; ++rank)
    most = std::max(
        most, boxOf(sharding, mesh, mesh.coordinates(rank)).numElements());
  return most * static_cast<int64_t>(dtypeSize(dtype));
}

int64_t Evaluator::kernel(size_t number) const {
  const GraphOp &op = graph.ops[number];
  const Strategy &strategy = strategies[number];
  if (op.role != OpRole::Compute || op.kernelClass == KernelClass::Free)
    return 0;
  std::vector<int64_t> shares;
  for (const DimSharding &factor : strategy.factors) {
    int64_t share = 1;
    for (const FactorSharding &part : factor.factors)
      share *= shardInterval(part.size, part.axes, mesh,
                             std::vector<int64_t>(mesh.axisSizes.size(), 0))
                   .size();
    shares.push_back(share);
  }
  int64_t written = 0, read = 0;
  for (size_t i = 0; i < op.results.size(); ++i)
    written += bytesOf(resultSharding(op.rule, strategy, i),
                       graph.values[op.results[i]].dtype);
  for (size_t i = 0; i < op.operands.size(); ++i) {
    int64_t bytes = bytesOf(operandSharding(op.rule, strategy, i),
                            graph.values[op.operands[i]].dtype);
    bool sampled =
        std::find(op.sampledOperands.begin(), op.sampledOperands.end(), i) !=
        op.sampledOperands.end();
    read += sampled ? std::min(bytes, written) : bytes;
  }
  DType dtype =
      op.results.empty() ? DType::F32 : graph.values[op.results[0]].dtype;
  return kernels.picoseconds(kernelWork(op.rule, op.kernelClass, dtype,
                                        op.flops, shares, read + written));
}

Result<int64_t> Evaluator::pathTime(DType dtype, const Sharding &from,
                                    const Sharding &to) {
  if (from == to)
    return 0;
  // Layers repeat their paths.
  auto [it, isNew] = prices.try_emplace({dtype, from, to}, 0);
  if (isNew) {
    PARTITA_TRY(ReshardPath path, reshard.path(dtype, from, to));
    for (const Move &move : path.moves)
      it->second += collectives.picoseconds(move.kind, move.axes, dtype,
                                            move.from, move.to);
  }
  return it->second;
}

/// What `op` does as often as `asIn` runs adds to these times of its chunk.
StageTimes::Time &Evaluator::timesOf(size_t op, size_t asIn) {
  StageTimes &chunk = chunks[execution.chunk(op)];
  return phases[asIn] == OpPhase::Forward    ? chunk.forward
         : phases[asIn] == OpPhase::Backward ? chunk.backward
         : phases[asIn] == OpPhase::Weight   ? chunk.weight
                                             : chunk.once;
}

/// How often a step has an operation.
int64_t Evaluator::runsOf(size_t op) const {
  switch (phases[op]) {
  case OpPhase::Forward:
    return execution.microBatches * (execution.recompute ? 2 : 1);
  case OpPhase::Backward:
  case OpPhase::Weight:
    return execution.microBatches;
  case OpPhase::Once:
  case OpPhase::Update:
    break;
  }
  return 1;
}

/// What `maker` made goes to `op`.
void Evaluator::addTraffic(size_t maker, size_t op, size_t asIn, bool atLoad,
                           int64_t time) {
  (atLoad ? load : timesOf(op, asIn).communication) += time;
  if (atLoad)
    parts[maker].load += time;
  else
    parts[maker].communication += time * runsOf(asIn);
}

/// Where values come from that are the same for all micro-batches but are read
/// wherever they lie.
static bool isStored(const GraphOp &op) {
  return op.atLoad || op.role == OpRole::Parameter || op.nextState >= 0;
}

/// What goes from one stage to another: each takes the mean of what its uses
/// want, once.
int64_t Evaluator::transferTime(int number, size_t op) const {
  int64_t sum = 0, count = 0;
  const GraphValue &value = graph.values[number];
  for (auto [user, operand] : uses[number]) {
    if (execution.stage(user) != execution.stage(op))
      continue;
    int64_t bytes = bytesOf(
        operandSharding(graph.ops[user].rule, strategies[user], operand),
        value.dtype);
    sum += betweenStages.picoseconds(MoveKind::Permute,
                                     uint32_t(1) << mesh.axis(stageAxis),
                                     {bytes, bytes, 0, 0});
    ++count;
  }
  return sum / std::max<int64_t>(count, 1);
}

/// The reshards of one value belong to the step, unless producer and users all
/// run at load. A reshard runs as often as the use that asks for it, but a
/// value that is computed once a step is brought to its place once. What
/// several share is there for the first of them: a forward pass before a
/// backward pass, that before gradients that are split off.
Status Evaluator::addTraffic(int number, size_t producer, size_t result) {
  struct Demand {
    Sharding sharding;
    bool atLoad;
    size_t op, asIn;
  };
  const GraphValue &value = graph.values[number];
  bool loaded = graph.ops[producer].atLoad, allAtLoad = loaded;
  Sharding have =
      resultSharding(graph.ops[producer].rule, strategies[producer], result);
  std::vector<Demand> demands;
  size_t oftenest = producer;
  bool once = !isInLoop(phases[producer]);
  for (auto [op, operand] : uses[number]) {
    Sharding wanted = canonical(
        operandSharding(graph.ops[op].rule, strategies[op], operand), mesh);
    bool atLoad = loaded && graph.ops[op].atLoad;
    allAtLoad &= atLoad;
    bool inLoop =
        isInLoop(phases[op]) && (!once || isStored(graph.ops[producer]));
    size_t asIn = inLoop ? op : once ? producer : op;
    if (inLoop && (!isInLoop(phases[oftenest]) || oftenest == producer ||
                   phases[op] < phases[oftenest]))
      oftenest = op;
    auto it =
        std::find_if(demands.begin(), demands.end(), [&](const Demand &demand) {
          return demand.sharding == wanted &&
                 execution.stage(demand.op) == execution.stage(op) &&
                 phases[demand.asIn] == phases[asIn];
        });
    if (it == demands.end())
      demands.push_back({std::move(wanted), atLoad, op, asIn});
    else
      it->atLoad &= atLoad;
  }
  Sharding shared = have;
  if (demands.size() > 1) {
    std::vector<Sharding> targets;
    for (const Demand &demand : demands)
      targets.push_back(demand.sharding);
    PARTITA_TRY(shared, reshard.sharedLayout(value.dtype, have, targets));
    if (!isInLoop(phases[oftenest]) && !demands.empty())
      oftenest = demands[0].asIn;
    PARTITA_TRY(int64_t time, pathTime(value.dtype, have, shared));
    addTraffic(producer, producer, oftenest, allAtLoad, time);
  }
  // By stage, who gets it first.
  std::vector<const Demand *> receivers(execution.stages, nullptr);
  auto rank = [&](const Demand &demand) {
    OpPhase phase = phases[demand.asIn];
    return isInLoop(phase) ? phase : OpPhase::Update;
  };
  for (const Demand &demand : demands) {
    PARTITA_TRY(int64_t time, pathTime(value.dtype, shared, demand.sharding));
    addTraffic(producer, demand.op, demand.asIn, demand.atLoad, time);
    const Demand *&receiver = receivers[execution.stage(demand.op)];
    if (!receiver || rank(demand) < rank(*receiver))
      receiver = &demand;
  }
  receivers[execution.stage(producer)] = nullptr;
  for (const Demand *receiver : receivers)
    if (receiver)
      addTraffic(producer, receiver->op, receiver->asIn, false,
                 transferTime(number, receiver->op));
  return ok();
}

/// A state goes back to where the next step reads it.
Status Evaluator::addReturn(size_t number) {
  int next = graph.ops[number].nextState;
  if (next < 0)
    return ok();
  PARTITA_TRY(int64_t time,
              pathTime(graph.values[graph.ops[number].results[0]].dtype,
                       canonical(operandSharding(graph.ops[next].rule,
                                                 strategies[next], 0),
                                 mesh),
                       canonical(resultSharding(graph.ops[number].rule,
                                                strategies[number], 0),
                                 mesh)));
  chunks[execution.chunk(number)].once.communication += time;
  parts[number].communication += time;
  return ok();
}

/// Of the stage that does most.
PlanCost Evaluator::total() const {
  PlanCost cost;
  for (const StageTimes &stage : timesOfStages(execution, chunks)) {
    StageTimes::Time sum = stage.once;
    for (const StageTimes::Time &time :
         {stage.forward, stage.backward, stage.weight}) {
      sum.compute += execution.microBatches * time.compute;
      sum.communication += execution.microBatches * time.communication;
    }
    if (sum.sum() > cost.step()) {
      cost.compute = sum.compute;
      cost.communication = sum.communication;
    }
  }
  cost.idle = stepTime(execution, chunks) - cost.step();
  cost.load = load;
  return cost;
}

Result<PlanCost> Evaluator::run(std::vector<StageTimes> *times) {
  if (strategies.size() != graph.ops.size())
    return makeError(ExitCode::InvalidInput, "plan.illegal", "plan",
                     "the plan has " + std::to_string(strategies.size()) +
                         " strategies for " + std::to_string(graph.ops.size()) +
                         " operations");
  PARTITA_CHECK(checkShape(shapeOf(execution, true)));
  parts.assign(graph.ops.size(), {});
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (Status legal = checkStrategy(op.rule, strategies[o], mesh, op.id);
        !legal) {
      Error error = legal.takeError();
      error.code = "plan.illegal";
      return error;
    }
    int64_t time = kernel(o);
    (op.atLoad ? load : timesOf(o, o).compute) += time;
    if (op.atLoad)
      parts[o].load += time;
    else
      parts[o].compute += time * runsOf(o);
    for (size_t i = 0; i < op.operands.size(); ++i)
      uses[op.operands[i]].push_back({o, i});
  }
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t i = 0; i < graph.ops[o].results.size(); ++i)
      PARTITA_CHECK(addTraffic(graph.ops[o].results[i], o, i));
  for (size_t o = 0; o < graph.ops.size(); ++o)
    PARTITA_CHECK(addReturn(o));
  if (execution.recompute)
    for (StageTimes &chunk : chunks) {
      chunk.backward.compute += chunk.forward.compute;
      chunk.backward.communication += chunk.forward.communication;
    }
  if (times)
    *times = chunks;
  return total();
}

Result<PlanCost> partita::evaluate(const Graph &graph, const Topology &topology,
                                   const Mesh &mesh,
                                   const std::vector<Strategy> &strategies,
                                   const Execution &execution,
                                   std::vector<StageTimes> *times) {
  PARTITA_CHECK(checkGraph(graph));
  return Evaluator(graph, topology, mesh, strategies, execution).run(times);
}

Result<std::vector<PlanCost>> partita::evaluateParts(
    const Graph &graph, const Topology &topology, const Mesh &mesh,
    const std::vector<Strategy> &strategies, const Execution &execution) {
  PARTITA_CHECK(checkGraph(graph));
  Evaluator evaluator(graph, topology, mesh, strategies, execution);
  PARTITA_CHECK(evaluator.run(nullptr));
  return std::move(evaluator.parts);
}
