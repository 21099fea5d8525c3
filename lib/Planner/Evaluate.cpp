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
            const std::vector<Strategy> &strategies)
      : graph(graph), mesh(mesh), strategies(strategies),
        collectives(topology, mesh), kernels(topology),
        reshard(mesh, collectives), uses(graph.values.size()) {}
  /// By operation.
  Result<std::vector<PlanCost>> run();

private:
  int64_t kernel(size_t op) const;
  int64_t bytesOf(const Sharding &sharding, DType dtype) const;
  Status addTraffic(int value, size_t producer, size_t result);
  Status addReturn(size_t number);
  Status addPath(DType dtype, const Sharding &from, const Sharding &to,
                 bool atLoad);

  const Graph &graph;
  const Mesh &mesh;
  const std::vector<Strategy> &strategies;
  CollectiveCost collectives;
  KernelCost kernels;
  ReshardPlanner reshard;
  std::map<std::tuple<DType, Sharding, Sharding>, int64_t> prices;
  /// By value: operations and operand numbers.
  std::vector<std::vector<std::pair<size_t, size_t>>> uses;
  std::vector<PlanCost> parts;
  /// Which of them is added to.
  PlanCost *part = nullptr;
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

Status Evaluator::addPath(DType dtype, const Sharding &from, const Sharding &to,
                          bool atLoad) {
  if (from == to)
    return ok();
  // Layers repeat their paths.
  auto [it, isNew] = prices.try_emplace({dtype, from, to}, 0);
  if (isNew) {
    PARTITA_TRY(ReshardPath path, reshard.path(dtype, from, to));
    for (const Move &move : path.moves)
      it->second += collectives.picoseconds(move.kind, move.axes, dtype,
                                            move.from, move.to);
  }
  (atLoad ? part->load : part->communication) += it->second;
  return ok();
}

/// The reshards of one value belong to the step, unless producer and users all
/// run at load.
Status Evaluator::addTraffic(int number, size_t producer, size_t result) {
  struct Demand {
    Sharding sharding;
    bool atLoad;
  };
  const GraphValue &value = graph.values[number];
  bool loaded = graph.ops[producer].atLoad, allAtLoad = loaded;
  Sharding have =
      resultSharding(graph.ops[producer].rule, strategies[producer], result);
  std::vector<Demand> demands;
  for (auto [op, operand] : uses[number]) {
    Sharding wanted = canonical(
        operandSharding(graph.ops[op].rule, strategies[op], operand), mesh);
    bool atLoad = loaded && graph.ops[op].atLoad;
    allAtLoad &= atLoad;
    auto it =
        std::find_if(demands.begin(), demands.end(), [&](const Demand &demand) {
          return demand.sharding == wanted;
        });
    if (it == demands.end())
      demands.push_back({std::move(wanted), atLoad});
    else
      it->atLoad &= atLoad;
  }
  Sharding shared = have;
  if (demands.size() > 1) {
    std::vector<Sharding> targets;
    for (const Demand &demand : demands)
      targets.push_back(demand.sharding);
    PARTITA_TRY(shared, reshard.sharedLayout(value.dtype, have, targets));
  }
  PARTITA_CHECK(addPath(value.dtype, have, shared, allAtLoad));
  for (const Demand &demand : demands)
    PARTITA_CHECK(addPath(value.dtype, shared, demand.sharding, demand.atLoad));
  return ok();
}

/// A state goes back to where the next step reads it.
Status Evaluator::addReturn(size_t number) {
  int next = graph.ops[number].nextState;
  if (next < 0)
    return ok();
  return addPath(
      graph.values[graph.ops[number].results[0]].dtype,
      canonical(operandSharding(graph.ops[next].rule, strategies[next], 0),
                mesh),
      canonical(resultSharding(graph.ops[number].rule, strategies[number], 0),
                mesh),
      false);
}

Result<std::vector<PlanCost>> Evaluator::run() {
  if (strategies.size() != graph.ops.size())
    return makeError(ExitCode::InvalidInput, "plan.illegal", "plan",
                     "the plan has " + std::to_string(strategies.size()) +
                         " strategies for " + std::to_string(graph.ops.size()) +
                         " operations");
  parts.assign(graph.ops.size(), {});
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    part = &parts[o];
    if (Status legal = checkStrategy(op.rule, strategies[o], mesh, op.id);
        !legal) {
      Error error = legal.takeError();
      error.code = "plan.illegal";
      return error;
    }
    (op.atLoad ? part->load : part->compute) += kernel(o);
    for (size_t i = 0; i < op.operands.size(); ++i)
      uses[op.operands[i]].push_back({o, i});
  }
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    part = &parts[o];
    for (size_t i = 0; i < graph.ops[o].results.size(); ++i)
      PARTITA_CHECK(addTraffic(graph.ops[o].results[i], o, i));
    PARTITA_CHECK(addReturn(o));
  }
  return parts;
}

Result<std::vector<PlanCost>>
partita::evaluateParts(const Graph &graph, const Topology &topology,
                       const Mesh &mesh,
                       const std::vector<Strategy> &strategies) {
  PARTITA_CHECK(checkGraph(graph));
  return Evaluator(graph, topology, mesh, strategies).run();
}

Result<PlanCost> partita::evaluate(const Graph &graph, const Topology &topology,
                                   const Mesh &mesh,
                                   const std::vector<Strategy> &strategies) {
  PARTITA_TRY(std::vector<PlanCost> parts,
              evaluateParts(graph, topology, mesh, strategies));
  PlanCost total;
  for (const PlanCost &part : parts)
    total += part;
  return total;
}
