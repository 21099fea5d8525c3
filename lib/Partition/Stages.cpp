//===- Stages.cpp - A function for each stage -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A stage is a program of its own: its mesh is a part of the ranks, its
// arguments are inputs of the model and what other stages send, its results are
// outputs and what others want. So all that follows (reshards, rank classes,
// commands) is done to a stage as to a model, and only @step, which is left
// with stages and transfers, knows that there are several.
//
// Stages are numbered along the axis pp of the mesh. A stage's mesh has the
// same axes, this one with one rank, so that strategies mean what they meant.
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/nn/NN.h"
#include "mlir/IR/IRMapping.h"
#include "partita/Partition/Partition.h"
#include <map>

using namespace mlir;
using namespace partita;

namespace {
/// A value that a stage makes and others use.
struct Crossing {
  Value value;
  /// In which it leaves its stage.
  Sharding leaves;
  /// By stage: in which it arrives there.
  std::map<int64_t, Sharding> arrives;
};

class StageSplitter {
public:
  StageSplitter(ModuleOp module, ShardingReader reader)
      : module(module), reader(std::move(reader)), entry(this->reader.entry()) {
  }
  Status run();

private:
  Status findStages();
  Status assignOps();
  void need(Operation *op, int64_t stage);
  Status addUse(OpOperand &use, int64_t stage);
  Status findCrossings();
  Status addCrossing(Value value);
  void createMeshes();
  void buildStage(int64_t stage);
  void buildStep();

  int64_t stageOfResult(unsigned i);
  Attribute spelled(Attribute attr, int64_t stage);
  DictionaryAttr spelled(DictionaryAttr port, int64_t stage);
  dist::ShardingAttr attrOf(Sharding sharding, int64_t stage);
  FlatSymbolRefAttr refOf(int64_t stage);

  ModuleOp module;
  ShardingReader reader;
  func::FuncOp entry;
  int64_t stages = 0;
  /// Operations that depend on no argument; in every stage that needs them.
  llvm::DenseSet<Operation *> atLoad;
  llvm::DenseMap<Operation *, int64_t> stageOf;
  /// By stage.
  std::vector<llvm::DenseSet<Operation *>> members;
  std::vector<llvm::DenseSet<Value>> arguments;
  std::vector<SmallVector<unsigned>> results;
  std::vector<Crossing> crossings;

  /// By stage: its function's arguments and results, as values of the model.
  struct Ports {
    SmallVector<Value> inputs, outputs;
    SmallVector<DictionaryAttr> inputAttrs, outputAttrs;
    std::string entry;
  };
  std::vector<Ports> ports;
};
} // namespace

static Error stageError(Operation *op, std::string message) {
  return makeError(ExitCode::InvalidInput, "partition.stage", placeOf(op),
                   std::move(message), "plan the model again");
}

//===----------------------------------------------------------------------===//
// What belongs to which stage
//===----------------------------------------------------------------------===//

Status StageSplitter::findStages() {
  if (reader.mesh().axis(stageAxis) < 0)
    return makeError(ExitCode::InvalidInput, "partition.stage", "dist.mesh",
                     "there is no axis pp, which numbers the stages",
                     "plan the model again");
  stages = reader.mesh().numStages();
  members.resize(stages);
  arguments.resize(stages);
  results.resize(stages);
  ports.resize(stages);
  for (Operation &op : entry.getBody().front().without_terminator()) {
    bool loads = llvm::all_of(op.getOperands(), [&](Value operand) {
      return operand.getDefiningOp() &&
             atLoad.contains(operand.getDefiningOp());
    });
    if (loads)
      atLoad.insert(&op);
    auto attr = op.getAttrOfType<IntegerAttr>(dist::stageAttrName);
    if (!attr || attr.getInt() < 0 || attr.getInt() >= stages)
      return stageError(&op, "the operation has no stage");
    stageOf[&op] = attr.getInt();
  }
  return ok();
}

/// A result is stored where it is made. What the load or the caller made is
/// there anywhere.
int64_t StageSplitter::stageOfResult(unsigned i) {
  Operation *maker =
      entry.getBody().front().getTerminator()->getOperand(i).getDefiningOp();
  if (maker && !atLoad.contains(maker))
    return stageOf.lookup(maker);
  auto attr = entry.getResultAttrOfType<IntegerAttr>(i, dist::stageAttrName);
  return attr && attr.getInt() >= 0 && attr.getInt() < stages ? attr.getInt()
                                                              : 0;
}

/// `op`, which runs at load, and what it reads.
void StageSplitter::need(Operation *op, int64_t stage) {
  if (!members[stage].insert(op).second)
    return;
  for (Value operand : op->getOperands())
    need(operand.getDefiningOp(), stage);
}

Status StageSplitter::addUse(OpOperand &use, int64_t stage) {
  Operation *maker = use.get().getDefiningOp();
  if (!maker)
    arguments[stage].insert(use.get());
  else if (atLoad.contains(maker))
    need(maker, stage);
  else if (stageOf.lookup(maker) > stage)
    return stageError(use.getOwner(),
                      "stage " + std::to_string(stage) + " reads " +
                          placeOf(maker) + ", which stage " +
                          std::to_string(stageOf.lookup(maker)) + " makes");
  return ok();
}

Status StageSplitter::assignOps() {
  Block &body = entry.getBody().front();
  for (Operation &op : body.without_terminator()) {
    if (atLoad.contains(&op))
      continue;
    int64_t stage = stageOf.lookup(&op);
    members[stage].insert(&op);
    for (OpOperand &operand : op.getOpOperands())
      PARTITA_CHECK(addUse(operand, stage));
  }
  for (OpOperand &operand : body.getTerminator()->getOpOperands()) {
    int64_t stage = stageOfResult(operand.getOperandNumber());
    results[stage].push_back(operand.getOperandNumber());
    PARTITA_CHECK(addUse(operand, stage));
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// What goes from one stage to another
//===----------------------------------------------------------------------===//

/// It leaves as it is made, unless it is pending: then as the first stage that
/// receives it wants it. It arrives in the largest layout that is wanted there,
/// from which the others are mostly slices.
Status StageSplitter::addCrossing(Value value) {
  Operation *maker = value.getDefiningOp();
  DType dtype =
      *getDType(cast<RankedTensorType>(value.getType()).getElementType());
  Crossing crossing{value, {}, {}};
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    uses.push_back(&use);
  for (OpOperand *use : llvm::reverse(uses)) {
    if (isa<func::ReturnOp>(use->getOwner()) ||
        stageOf.lookup(use->getOwner()) == stageOf.lookup(maker))
      continue;
    PARTITA_TRY(const Sharding *wanted,
                reader.demanded(use->getOwner(), use->getOperandNumber()));
    Sharding arrival = *wanted;
    arrival.partialAxes.clear(); // From a whole value that costs nothing.
    arrival.combiner = Combiner::None;
    auto [it, isNew] =
        crossing.arrives.try_emplace(stageOf.lookup(use->getOwner()), arrival);
    if (!isNew && maxLocalBytes(arrival, reader.mesh(), dtype) >
                      maxLocalBytes(it->second, reader.mesh(), dtype))
      it->second = arrival;
  }
  if (crossing.arrives.empty())
    return ok();
  PARTITA_TRY(const Sharding *made, reader.of(value));
  crossing.leaves = made->isPartial()
                        ? crossing.arrives.begin()->second.withoutHalos()
                        : *made;
  crossings.push_back(std::move(crossing));
  return ok();
}

Status StageSplitter::findCrossings() {
  for (Operation &op : entry.getBody().front().without_terminator())
    if (!atLoad.contains(&op))
      for (Value result : op.getResults())
        PARTITA_CHECK(addCrossing(result));
  return ok();
}

//===----------------------------------------------------------------------===//
// Meshes and their names
//===----------------------------------------------------------------------===//

FlatSymbolRefAttr StageSplitter::refOf(int64_t stage) {
  return FlatSymbolRefAttr::get(module.getContext(),
                                "stage" + std::to_string(stage));
}

void StageSplitter::createMeshes() {
  OpBuilder builder(module.getContext());
  dist::MeshOp whole = dist::getMesh(module);
  builder.setInsertionPointAfter(whole);
  for (int64_t stage = 0; stage < stages; ++stage)
    dist::MeshOp::create(
        builder, whole.getLoc(), refOf(stage).getValue(), whole.getAxes(),
        builder.getDenseI64ArrayAttr(reader.mesh().gridOf(stage).axisSizes),
        builder.getDenseI64ArrayAttr(reader.mesh().ranksOf(stage)),
        /*stages=*/nullptr);
}

/// A strategy or a sharding of the whole mesh, on that of a stage: without the
/// axes that the stage has not.
Attribute StageSplitter::spelled(Attribute attr, int64_t stage) {
  MLIRContext *context = module.getContext();
  if (auto sharding = dyn_cast_or_null<dist::ShardingAttr>(attr))
    if (auto data = sharding.toData(reader.mesh()))
      return attrOf(*data, stage);
  auto strategy = dyn_cast_or_null<dist::StrategyAttr>(attr);
  if (!strategy)
    return attr;
  SmallVector<dist::DimAttr> dims;
  for (dist::DimAttr dim : strategy.getFactors()) {
    SmallVector<dist::FactorAttr> factors;
    for (dist::FactorAttr factor : dim.getFactors()) {
      SmallVector<StringAttr> axes;
      for (StringAttr axis : factor.getAxes())
        if (reader.mesh().hasAxis(stage, reader.mesh().axis(axis.str())))
          axes.push_back(axis);
      factors.push_back(dist::FactorAttr::get(context, factor.getSize(), axes,
                                              factor.getHalo()));
    }
    dims.push_back(dist::DimAttr::get(context, factors));
  }
  return dist::StrategyAttr::get(context, refOf(stage), strategy.getNames(),
                                 dims);
}

DictionaryAttr StageSplitter::spelled(DictionaryAttr port, int64_t stage) {
  NamedAttrList attributes(port);
  attributes.erase(dist::stageAttrName);
  if (Attribute sharding = attributes.get(dist::shardingAttrName))
    attributes.set(dist::shardingAttrName, spelled(sharding, stage));
  return attributes.getDictionary(module.getContext());
}

dist::ShardingAttr StageSplitter::attrOf(Sharding sharding, int64_t stage) {
  auto isAbsent = [&](int axis) { return !reader.mesh().hasAxis(stage, axis); };
  for (DimSharding &dim : sharding.dims)
    for (FactorSharding &factor : dim.factors)
      std::erase_if(factor.axes, isAbsent);
  std::erase_if(sharding.partialAxes, isAbsent);
  if (sharding.partialAxes.empty())
    sharding.combiner = Combiner::None;
  return dist::ShardingAttr::get(module.getContext(), refOf(stage),
                                 reader.mesh(), sharding);
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

void StageSplitter::buildStage(int64_t stage) {
  OpBuilder builder(entry);
  auto portOf = [&](const Sharding &sharding) {
    return builder.getDictionaryAttr(
        builder.getNamedAttr(dist::shardingAttrName, attrOf(sharding, stage)));
  };
  Ports &own = ports[stage];
  own.entry = entry.getName().str() + "_stage" + std::to_string(stage);
  for (BlockArgument argument : entry.getArguments())
    if (arguments[stage].contains(argument)) {
      own.inputs.push_back(argument);
      own.inputAttrs.push_back(
          spelled(entry.getArgAttrDict(argument.getArgNumber()), stage));
    }
  Operation *end = entry.getBody().front().getTerminator();
  for (unsigned i : results[stage]) {
    own.outputs.push_back(end->getOperand(i));
    own.outputAttrs.push_back(spelled(entry.getResultAttrDict(i), stage));
  }
  for (const Crossing &crossing : crossings) {
    if (stageOf.lookup(crossing.value.getDefiningOp()) == stage) {
      own.outputs.push_back(crossing.value);
      own.outputAttrs.push_back(portOf(crossing.leaves));
    }
    if (auto it = crossing.arrives.find(stage); it != crossing.arrives.end()) {
      own.inputs.push_back(crossing.value);
      own.inputAttrs.push_back(portOf(it->second));
    }
  }
  auto function = func::FuncOp::create(
      builder, entry.getLoc(), own.entry,
      builder.getFunctionType(ValueRange(own.inputs).getTypes(),
                              ValueRange(own.outputs).getTypes()));
  function.setAllArgAttrs(own.inputAttrs);
  function.setAllResultAttrs(own.outputAttrs);
  function->setAttr(dist::meshAttrName, refOf(stage));
  Block *block = function.addEntryBlock();
  IRMapping map;
  map.map(own.inputs, block->getArguments());
  builder.setInsertionPointToStart(block);
  for (Operation &op : entry.getBody().front().without_terminator()) {
    if (!members[stage].contains(&op))
      continue;
    Operation *copy = builder.clone(op, map);
    copy->removeDiscardableAttr(dist::stageAttrName);
    copy->setDiscardableAttr(
        dist::strategyAttrName,
        spelled(op.getDiscardableAttr(dist::strategyAttrName), stage));
  }
  SmallVector<Value> returned;
  for (Value value : own.outputs)
    returned.push_back(map.lookup(value));
  func::ReturnOp::create(builder, entry.getLoc(), returned);
}

/// @step anew, of stages and transfers.
void StageSplitter::buildStep() {
  OpBuilder builder(entry);
  auto step = cast<func::FuncOp>(builder.cloneWithoutRegions(*entry));
  for (unsigned i = 0; i < step.getNumResults(); ++i)
    step.removeResultAttr(i, builder.getStringAttr(dist::stageAttrName));
  Block *block = step.addEntryBlock();
  builder.setInsertionPointToStart(block);
  // By stage: what stands there for a value of the model.
  std::vector<llvm::DenseMap<Value, Value>> known(stages);
  std::vector<Value> returned(entry.getNumResults());
  for (int64_t stage = 0; stage < stages; ++stage) {
    const Ports &own = ports[stage];
    SmallVector<Value> operands;
    for (Value value : own.inputs) {
      auto argument = dyn_cast<BlockArgument>(value);
      operands.push_back(argument ? block->getArgument(argument.getArgNumber())
                                  : known[stage].lookup(value));
    }
    auto made = dist::StageOp::create(
        builder, entry.getLoc(), ValueRange(own.outputs).getTypes(),
        builder.getI64IntegerAttr(stage), builder.getStringAttr(own.entry),
        refOf(stage), operands);
    for (auto [i, number] : llvm::enumerate(results[stage]))
      returned[number] = made.getResult(i);
    size_t next = results[stage].size();
    for (const Crossing &crossing : crossings) {
      Operation *maker = crossing.value.getDefiningOp();
      if (stageOf.lookup(maker) != stage)
        continue;
      Value sent = made.getResult(next++);
      for (const auto &[to, sharding] : crossing.arrives) {
        auto transfer = dist::TransferOp::create(
            builder, entry.getLoc(), sent.getType(), sent,
            attrOf(crossing.leaves, stage), attrOf(sharding, to));
        nn::copyIdentity(maker, transfer, "/to" + std::to_string(to));
        known[to][crossing.value] = transfer;
      }
    }
  }
  func::ReturnOp::create(builder, entry.getLoc(), returned);
}

Status StageSplitter::run() {
  PARTITA_CHECK(findStages());
  PARTITA_CHECK(assignOps());
  PARTITA_CHECK(findCrossings());
  createMeshes();
  for (int64_t stage = 0; stage < stages; ++stage)
    buildStage(stage);
  buildStep();
  entry.erase();
  return ok();
}

Status partita::splitStages(ModuleOp module) {
  PARTITA_TRY(ShardingReader reader, ShardingReader::create(module, "step"));
  return StageSplitter(module, std::move(reader)).run();
}
