//===- PriceTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the planner says that a plan costs, against what its partitioned program
// costs: the kernels, the moves and the transfers that stand there, integer for
// integer, of random graphs in random stages under random strategies.
//
// The planner has a reshard in the step unless what makes the value and all
// that use it run at load. So it is counted here, too.
//
//===----------------------------------------------------------------------===//

#include "GraphWriter.h"
#include "Property.h"
#include "dialects/dist/Dist.h"
#include "dialects/interfaces/Interfaces.h"
#include "dialects/nn/NN.h"
#include "mlir/Parser/Parser.h"
#include "partita/Partition/Partition.h"
#include "partita/Plan/IR.h"
#include "partita/Planner/Planner.h"
#include <catch2/catch.hpp>

using namespace mlir;
using namespace partita;
using namespace partita::test;

//===----------------------------------------------------------------------===//
// The price of a program
//===----------------------------------------------------------------------===//

namespace {
/// What stands in the function of a stage, or in @step.
class PricedFunction {
public:
  PricedFunction(func::FuncOp function, const Topology &topology)
      : function(function), mesh(dist::meshOf(function).getMesh()),
        collectives(topology, mesh), kernels(topology) {}
  StageTimes::Time price();

private:
  bool isAtLoad(Operation *op) const;
  bool isUsedAtLoad(Operation *op) const;
  int64_t kernel(Operation *op) const;
  int64_t move(Operation *op) const;

  func::FuncOp function;
  Mesh mesh;
  CollectiveCost collectives;
  KernelCost kernels;
};
} // namespace

/// Depends on parameters alone.
bool PricedFunction::isAtLoad(Operation *op) const {
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    return operand.getDefiningOp() && isAtLoad(operand.getDefiningOp());
  });
}

/// By nothing but what runs at load; a move is as what uses it.
bool PricedFunction::isUsedAtLoad(Operation *op) const {
  return llvm::all_of(op->getUsers(), [&](Operation *user) {
    return isAtLoad(user) && !isa<func::ReturnOp>(user) &&
           (!dist::isMove(user) || isUsedAtLoad(user));
  });
}

int64_t PricedFunction::kernel(Operation *op) const {
  auto cost = dyn_cast<CostOpInterface>(op);
  if (!cost || cost.getKernelClass() == KernelClass::Free)
    return 0;
  ShardingRule rule = cast<ShardingRuleOpInterface>(op).getShardingRule();
  auto attr = op->getAttrOfType<dist::StrategyAttr>(dist::strategyAttrName);
  REQUIRE(attr);
  Strategy strategy = *attr.toData(mesh, rule);
  auto dtypeOf = [](Value value) {
    return *getDType(cast<RankedTensorType>(value.getType()).getElementType());
  };
  int64_t written = 0, read = 0;
  for (OpResult result : op->getResults())
    written +=
        maxLocalBytes(resultSharding(rule, strategy, result.getResultNumber()),
                      mesh, dtypeOf(result));
  for (OpOperand &operand : op->getOpOperands()) {
    unsigned i = operand.getOperandNumber();
    int64_t bytes = maxLocalBytes(operandSharding(rule, strategy, i), mesh,
                                  dtypeOf(operand.get()));
    bool sampled = isa<nn::GatherOp>(op) && i == 0;
    read += sampled ? std::min(bytes, written) : bytes;
  }
  return kernels.picoseconds(kernelWork(
      rule, cost.getKernelClass(), dtypeOf(op->getResult(0)), cost.getFlops(),
      localIterations(strategy, mesh), read + written));
}

int64_t PricedFunction::move(Operation *op) const {
  std::optional<MoveKind> kind;
  for (MoveKind other :
       {MoveKind::AllGather, MoveKind::ReduceScatter, MoveKind::AllReduce,
        MoveKind::AllToAll, MoveKind::Permute, MoveKind::HaloExchange,
        MoveKind::Slice, MoveKind::ToPartial})
    if (op->getName().stripDialect() == moveKindName(other))
      kind = other;
  if (isa<dist::SoftmaxMergeOp>(op))
    kind = MoveKind::AllReduce;
  REQUIRE(kind);
  std::vector<int> axes;
  for (auto axis :
       op->getAttrOfType<ArrayAttr>("axes").getAsRange<StringAttr>())
    axes.push_back(mesh.axis(axis.str()));
  int64_t sum = 0;
  for (OpResult result : op->getResults()) {
    if (result.use_empty())
      continue;
    auto end = [&](const char *name) {
      std::string suffix = result.getResultNumber() ? "_lse" : "";
      return *op->getAttrOfType<dist::ShardingAttr>(name + suffix).toData(mesh);
    };
    auto type = cast<RankedTensorType>(result.getType());
    sum += collectives.picoseconds(
        *kind, axes, *getDType(type.getElementType()), end("from"), end("to"));
  }
  return sum;
}

StageTimes::Time PricedFunction::price() {
  StageTimes::Time time;
  for (Operation &op : function.getBody().front().without_terminator()) {
    bool loads = isAtLoad(&op);
    if (!dist::isMove(&op))
      time.compute += loads ? 0 : kernel(&op);
    else if (!loads || !isUsedAtLoad(&op))
      time.communication += move(&op);
  }
  return time;
}

/// By stage.
static std::vector<StageTimes::Time>
priceOf(ModuleOp module, const Topology &topology, const Mesh &mesh) {
  auto step = module.lookupSymbol<func::FuncOp>("step");
  if (mesh.axis(stageAxis) < 0)
    return {PricedFunction(step, topology).price()};
  std::vector<StageTimes::Time> times;
  CollectiveCost betweenStages(topology, evenStages(mesh));
  std::vector<std::pair<int64_t, int64_t>> transfers;
  for (Operation &op : step.getBody().front()) {
    if (auto stage = dyn_cast<dist::StageOp>(op)) {
      auto function = module.lookupSymbol<func::FuncOp>(stage.getEntry());
      times.push_back(PricedFunction(function, topology).price());
    } else if (auto transfer = dyn_cast<dist::TransferOp>(op)) {
      auto ref = transfer.getTo().getMesh();
      Mesh there = module.lookupSymbol<dist::MeshOp>(ref.getValue()).getMesh();
      auto type = cast<RankedTensorType>(transfer.getType());
      int64_t bytes = maxLocalBytes(*transfer.getTo().toData(there), there,
                                    *getDType(type.getElementType()));
      int64_t stage = std::stoll(ref.getValue().drop_front(5).str());
      transfers.push_back(
          {stage, betweenStages.picoseconds(MoveKind::Permute,
                                            uint32_t(1) << mesh.axis(stageAxis),
                                            {bytes, bytes})});
    }
  }
  for (auto [stage, time] : transfers)
    times[stage].communication += time;
  return times;
}

//===----------------------------------------------------------------------===//
// Random plans
//===----------------------------------------------------------------------===//

namespace {
struct RandomPlan {
  std::vector<Strategy> strategies;
  Execution execution;
};
} // namespace

/// `mesh` has the axis of stages, which nothing takes, last or not at all.
static RandomPlan randomPlan(const Graph &graph, Mesh mesh,
                             std::mt19937 &random, unsigned split) {
  RandomPlan plan;
  plan.execution.stages = mesh.numStages();
  if (mesh.axis(stageAxis) >= 0) {
    mesh.axisNames.pop_back();
    mesh.axisSizes.pop_back();
  }
  const int stages = static_cast<int>(plan.execution.stages);
  std::vector<int> madeIn(graph.values.size(), 0);
  for (const GraphOp &op : graph.ops) {
    std::vector<Strategy> all = legalStrategies(op.rule, mesh);
    plan.strategies.push_back(random() % 4 < split
                                  ? all[random() % all.size()]
                                  : Strategy::replicated(op.rule));
    // Mostly that of what is read. Inputs, and what loads, may be anywhere.
    int stage = 0;
    for (int value : op.operands)
      stage = std::max(stage, madeIn[value]);
    bool isAnywhere = op.atLoad || op.role == OpRole::Input;
    if (isAnywhere)
      stage = static_cast<int>(random() % stages);
    else if (op.role == OpRole::Compute && random() % 6 == 0)
      stage = std::min(stages - 1, stage + 1);
    plan.execution.chunkOf.push_back(stage);
    for (int value : op.results)
      madeIn[value] = isAnywhere ? 0 : stage;
  }
  return plan;
}

/// Names the batch, so that it can be cut, and every operation.
static OwningOpRef<ModuleOp> parsed(const std::string &text) {
  auto module = parseSourceString<ModuleOp>(text, &context());
  REQUIRE(module);
  auto step = module->lookupSymbol<func::FuncOp>("step");
  Builder builder(&context());
  for (BlockArgument argument : step.getArguments()) {
    SmallVector<Attribute> dims(
        cast<RankedTensorType>(argument.getType()).getRank(),
        builder.getStringAttr(""));
    dims[0] = builder.getStringAttr("batch");
    step.setArgAttr(argument.getArgNumber(), nn::dimsAttrName,
                    builder.getArrayAttr(dims));
  }
  int number = 0;
  for (Operation &op : step.getBody().front().without_terminator())
    op.setAttr(nn::idAttrName,
               builder.getStringAttr("op" + std::to_string(number++)));
  return module;
}

/// Makes `module` the program of one of so many micro-batches, if that can be.
static bool cutBatch(ModuleOp module, int64_t count) {
  if (count == 1)
    return true;
  OwningOpRef<ModuleOp> copy = module.clone();
  ScopedDiagnosticHandler quiet(&context(), [](Diagnostic &) {});
  auto strategies = microBatchStrategies(*extractGraph(*copy), count);
  if (!strategies ||
      !attachPlan(module, Mesh{"batches", {"batch"}, {count}}, *strategies))
    return false;
  return bool(cutMicroBatches(module));
}

TEST_CASE("plans cost what their programs do") {
  static const char *const meshes[] = {
      "a=2",      "a=2,b=2", "pp=2",         "a=2,pp=2", "a=2,pp=3",
      "a=3,pp=2", "pp=4",    "a=2,b=2,pp=2", "b=4,pp=2", "a=2,b=3,pp=3"};
  int transfers = 0, count = 0, inMicroBatches = 0;
  for (unsigned seed = 1; seed <= 120; ++seed) {
    Mesh mesh = *Mesh::parse(meshes[seed % std::size(meshes)]);
    Topology topology =
        *Topology::parse("cpu:" + std::to_string(mesh.numRanks()));
    std::mt19937 random(seed);
    const int64_t microBatches = 1 + random() % 2;
    OwningOpRef<ModuleOp> module = parsed(GraphWriter(seed).write());
    if (!cutBatch(*module, microBatches))
      continue;
    Graph graph = *extractGraph(*module);
    for (unsigned sample = 0; sample < 4; ++sample) {
      INFO("seed " << seed << ", sample " << sample << ", mesh " << mesh.str());
      RandomPlan plan = randomPlan(graph, mesh, random, 2 + sample % 3);
      plan.execution.microBatches = microBatches;
      std::vector<StageTimes> times;
      auto cost = evaluate(graph, topology, mesh, plan.strategies,
                           plan.execution, &times);
      INFO((cost ? "" : cost.error().str()));
      REQUIRE(cost);
      OwningOpRef<ModuleOp> program = module->clone();
      REQUIRE(attachPlan(*program, mesh, plan.strategies));
      if (mesh.axis(stageAxis) >= 0) {
        REQUIRE(attachStages(*program, plan.execution.chunkOf));
        REQUIRE(splitStages(*program));
      }
      auto partitioner = Partitioner::create(*program, topology);
      REQUIRE(partitioner);
      REQUIRE(partitioner->insertReshards());
      REQUIRE(partitioner->lowerReshards());
      std::vector<StageTimes::Time> found = priceOf(*program, topology, mesh);
      REQUIRE(found.size() == times.size());
      for (size_t stage = 0; stage < found.size(); ++stage) {
        INFO("stage " << stage);
        // Without data there is nothing to do for each micro-batch.
        StageTimes::Time said = times[stage].forward;
        said += times[stage].once;
        CHECK(said.compute == found[stage].compute);
        CHECK(said.communication == found[stage].communication);
      }
      program->walk([&](dist::TransferOp) { ++transfers; });
      ++count;
      inMicroBatches += microBatches > 1;
    }
  }
  CHECK(transfers > count);
  CHECK(inMicroBatches > count / 8);
}
