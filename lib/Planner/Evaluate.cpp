//===- Evaluate.cpp - What a plan costs -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Prices a plan as the partitioner carries it out: a value goes from its
// producer's layout to the shared layout, and from there once to each layout
// that uses demand; and to each other stage once, where it is an input as those
// of the model. Written without the planner's model and its tables, from
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
        betweenStages(topology, evenStages(mesh)), kernels(topology),
        reshard(this->mesh, collectives), uses(graph.values.size()),
        chunks(execution.chunks()) {}
  Result<PlanCost> run(std::vector<StageTimes> *times);
  /// By operation, of a step.
  std::vector<PlanCost> parts;

private:
  int64_t kernel(size_t op) const;
  int64_t bytesOf(const Sharding &sharding, DType dtype) const;
  /// A layout that is wanted, by whom, and as often as what.
  struct Demand {
    Sharding sharding;
    bool atLoad;
    size_t op, asIn;
  };
  int stageOfUse(size_t op, size_t producer) const;
  std::map<int, std::vector<Demand>> demandsOf(int value,
                                               size_t producer) const;
  void addDemand(std::vector<Demand> &demands, Demand demand) const;
  const Demand &firstOf(const std::vector<Demand> &demands) const;
  Status addReshards(int value, size_t producer, size_t at,
                     const Sharding &have, const std::vector<Demand> &demands);
  Sharding arrivalOf(int value, const std::vector<Demand> &demands) const;
  Status addValue(int value, size_t producer, size_t result);
  Status addReturn(size_t number);
  Result<int64_t> pathTime(DType dtype, const Sharding &from,
                           const Sharding &to);
  StageTimes::Time &timesOf(size_t op, size_t asIn);
  int64_t runsOf(size_t op) const;
  void addTraffic(size_t maker, size_t op, size_t asIn, bool atLoad,
                  int64_t time);
  int64_t transferTime(int64_t bytes) const;
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

/// Every stage that reads what such an operation makes has it by itself: it
/// reads the input, or computes it at load.
static bool isEverywhere(const GraphOp &op) {
  return op.atLoad || op.role != OpRole::Compute;
}

/// A value is stored in the stage that makes it.
int Evaluator::stageOfUse(size_t op, size_t producer) const {
  bool isStoredThere = graph.ops[op].role == OpRole::Output &&
                       !isEverywhere(graph.ops[producer]);
  return execution.stage(isStoredThere ? producer : op);
}

int64_t Evaluator::transferTime(int64_t bytes) const {
  return betweenStages.picoseconds(
      MoveKind::Permute, uint32_t(1) << mesh.axis(stageAxis), {bytes, bytes});
}

/// By stage, the layouts that its operations want, each once for each phase. A
/// reshard runs as often as the use that asks for it, but a value that is
/// computed once a step is brought to its place once.
std::map<int, std::vector<Evaluator::Demand>>
Evaluator::demandsOf(int value, size_t producer) const {
  std::map<int, std::vector<Demand>> byStage;
  const bool loaded = graph.ops[producer].atLoad,
             once = !isInLoop(phases[producer]);
  for (auto [op, operand] : uses[value]) {
    bool inLoop =
        isInLoop(phases[op]) && (!once || isStored(graph.ops[producer]));
    addDemand(
        byStage[stageOfUse(op, producer)],
        {canonical(operandSharding(graph.ops[op].rule, strategies[op], operand),
                   mesh),
         loaded && graph.ops[op].atLoad, op,
         inLoop ? op
         : once ? producer
                : op});
  }
  return byStage;
}

void Evaluator::addDemand(std::vector<Demand> &demands, Demand demand) const {
  for (Demand &other : demands)
    if (other.sharding == demand.sharding &&
        phases[other.asIn] == phases[demand.asIn]) {
      other.atLoad &= demand.atLoad;
      return;
    }
  demands.push_back(std::move(demand));
}

/// For which a value is there: a forward pass comes before a backward pass,
/// that before gradients that are split off.
const Evaluator::Demand &
Evaluator::firstOf(const std::vector<Demand> &demands) const {
  auto rank = [&](const Demand &demand) {
    OpPhase phase = phases[demand.asIn];
    return isInLoop(phase) ? phase : OpPhase::Update;
  };
  return *std::min_element(
      demands.begin(), demands.end(),
      [&](const Demand &a, const Demand &b) { return rank(a) < rank(b); });
}

/// The reshards of a value in one stage, where operations `at` have it in the
/// layout `have`. They belong to the step, unless producer and users all run at
/// load.
Status Evaluator::addReshards(int number, size_t producer, size_t at,
                              const Sharding &have,
                              const std::vector<Demand> &demands) {
  const DType dtype = graph.values[number].dtype;
  Sharding shared = have;
  if (demands.size() > 1) {
    std::vector<Sharding> targets;
    bool allAtLoad = true;
    for (const Demand &demand : demands) {
      targets.push_back(demand.sharding);
      allAtLoad &= demand.atLoad;
    }
    PARTITA_TRY(shared, reshard.sharedLayout(dtype, have, targets));
    PARTITA_TRY(int64_t time, pathTime(dtype, have, shared));
    addTraffic(producer, at, firstOf(demands).asIn, allAtLoad, time);
  }
  for (const Demand &demand : demands) {
    PARTITA_TRY(int64_t time, pathTime(dtype, shared, demand.sharding));
    addTraffic(producer, demand.op, demand.asIn, demand.atLoad, time);
  }
  return ok();
}

/// In which a value arrives: the largest layout that is wanted, none of it
/// pending.
Sharding Evaluator::arrivalOf(int value,
                              const std::vector<Demand> &demands) const {
  const Sharding *largest = nullptr;
  int64_t most = -1;
  for (const Demand &demand : demands)
    if (int64_t bytes = bytesOf(demand.sharding, graph.values[value].dtype);
        bytes > most) {
      most = bytes;
      largest = &demand.sharding;
    }
  Sharding arrival = *largest;
  arrival.partialAxes.clear();
  arrival.combiner = Combiner::None;
  return canonical(arrival, mesh);
}

/// What other stages want goes there once, from the layout in which it is made,
/// or, if that is pending, from that in which it arrives in the first of them.
Status Evaluator::addValue(int number, size_t producer, size_t result) {
  std::map<int, std::vector<Demand>> byStage = demandsOf(number, producer);
  const int home = execution.stage(producer);
  const Sharding have = canonical(
      resultSharding(graph.ops[producer].rule, strategies[producer], result),
      mesh);
  std::optional<Sharding> leaves;
  std::vector<Demand> received;
  for (const auto &[stage, demands] : byStage) {
    const size_t at = firstOf(demands).op;
    if (stage == home || isEverywhere(graph.ops[producer])) {
      if (stage != home)
        PARTITA_CHECK(addReshards(number, producer, at, have, demands));
      continue;
    }
    Sharding arrival = arrivalOf(number, demands);
    addTraffic(producer, at, firstOf(demands).asIn, false,
               transferTime(bytesOf(arrival, graph.values[number].dtype)));
    PARTITA_CHECK(addReshards(number, producer, at, arrival, demands));
    if (!leaves)
      leaves = have.isPartial() ? arrival.withoutHalos() : have;
    received.push_back(firstOf(demands));
  }
  std::vector<Demand> &own = byStage[home];
  if (leaves)
    addDemand(own, {*leaves, false, producer, firstOf(received).asIn});
  return addReshards(number, producer, producer, have, own);
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
  addTraffic(number, number, number, false, time);
  // To other stages that read it.
  const int value = graph.ops[number].results[0];
  std::map<int, size_t> readers;
  for (auto [op, operand] : uses[value])
    readers.try_emplace(stageOfUse(op, number), op);
  readers.erase(execution.stage(number));
  for (auto [stage, op] : readers)
    addTraffic(number, op, number, false,
               transferTime(bytesOf(resultSharding(graph.ops[number].rule,
                                                   strategies[number], 0),
                                    graph.values[value].dtype)));
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
      PARTITA_CHECK(addValue(graph.ops[o].results[i], o, i));
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
