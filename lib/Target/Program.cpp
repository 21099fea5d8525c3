//===- Program.cpp - From an rt module to a command table -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What belongs to the program as a whole (ports, parameters, stages, what goes
// between them), and the tables of its rank classes.
//
//===----------------------------------------------------------------------===//

#include "ClassBuilder.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "partita/Target/Target.h"

using namespace mlir;
using namespace partita;
using target::Wiring;

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

runtime::PortInfo partita::portInfo(Type type, DictionaryAttr attrs,
                                    const Mesh &mesh) {
  runtime::PortInfo port;
  auto text = [&](StringRef name) {
    auto attr = attrs ? attrs.getAs<StringAttr>(name) : StringAttr();
    return attr ? attr.str() : std::string();
  };
  port.name = text(nn::nameAttrName);
  port.range = text(nn::rangeAttrName);
  port.dtype = *getDType(cast<RankedTensorType>(type).getElementType());
  port.shape = nn::shapeOf(type);
  if (auto sharding =
          attrs ? attrs.getAs<dist::ShardingAttr>(dist::shardingAttrName)
                : dist::ShardingAttr())
    if (auto data = sharding.toData(mesh))
      port.shape = data->globalShape();
  return port;
}

static void addFiles(ModuleOp module, runtime::Program &program) {
  program.weightsAbsent = module->hasAttr(nn::weightsAbsentAttrName);
  auto files = module->getAttrOfType<ArrayAttr>(nn::filesAttrName);
  if (!files)
    return;
  for (auto file : files.getAsRange<DictionaryAttr>()) {
    runtime::FileInfo info;
    if (auto path = file.getAs<StringAttr>("path"))
      info.path = path.str();
    if (auto size = file.getAs<IntegerAttr>("size"))
      info.size = size.getValue().getSExtValue();
    if (auto hash = file.getAs<IntegerAttr>("hash"))
      info.hash = hash.getValue().getZExtValue();
    program.files.push_back(std::move(info));
  }
}

static void addParameters(ModuleOp module, runtime::Program &program) {
  for (auto op : module.getOps<nn::ParameterOp>()) {
    auto type = cast<RankedTensorType>(op.getType());
    program.parameters.push_back(
        {op.getSymName().str(), *getDType(type.getElementType()),
         nn::shapeOf(type), int32_t(op.getFile()), int64_t(op.getOffset()),
         int64_t(op.getLength())});
  }
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

namespace {
/// Reads what belongs to the program as a whole, and how its parts hang
/// together.
class ProgramBuilder {
public:
  ProgramBuilder(ModuleOp module, const std::vector<std::string> &kernelNames)
      : module(module) {
    program.kernelNames = kernelNames;
  }
  Result<runtime::Program> run();

private:
  void addPorts(TypeRange arguments, TypeRange results);
  void wireAsOne();
  Status wireStages();
  Status addTransfer(dist::TransferOp op);
  Status buildClass(func::FuncOp function, const llvm::StringMap<int> &kernels,
                    const llvm::StringMap<int> &parameters);

  ModuleOp module;
  runtime::Program program;
  std::vector<func::FuncOp> classes;
  /// The function of which `classes` are the parts; or made of stages.
  func::FuncOp step;
  /// By stage, and the stage by the name of its mesh.
  std::vector<Wiring> wirings;
  llvm::StringMap<int32_t> stages;
  llvm::DenseMap<Value, int32_t> transfers;
};
} // namespace

/// Types are of what @step sees if there are stages, else local.
void ProgramBuilder::addPorts(TypeRange arguments, TypeRange results) {
  func::FuncOp entry = step ? step : classes.front();
  auto port = [&](Type type, DictionaryAttr attributes) {
    runtime::PortInfo info = portInfo(type, attributes, program.mesh);
    if (auto dim = attributes
                       ? attributes.getAs<IntegerAttr>(dist::batchDimAttrName)
                       : IntegerAttr()) {
      info.batchDim = static_cast<int32_t>(dim.getInt());
      info.shape[info.batchDim] *= program.microBatches;
    }
    return info;
  };
  for (auto [i, type] : llvm::enumerate(arguments))
    program.inputs.push_back(port(type, entry.getArgAttrDict(i)));
  for (auto [i, type] : llvm::enumerate(results))
    program.outputs.push_back(port(type, entry.getResultAttrDict(i)));
}

void ProgramBuilder::wireAsOne() {
  Wiring &wiring = wirings.emplace_back();
  for (size_t i = 0; i < program.inputs.size(); ++i)
    wiring.arguments.push_back({false, static_cast<int32_t>(i)});
  for (size_t i = 0; i < program.outputs.size(); ++i)
    wiring.results.push_back({{static_cast<int32_t>(i)}, {}});
}

Status ProgramBuilder::addTransfer(dist::TransferOp op) {
  runtime::TransferInfo transfer;
  transfer.name = nn::getId(op).str();
  auto type = cast<RankedTensorType>(op.getType());
  transfer.dtype = *getDType(type.getElementType());
  transfer.shape = nn::shapeOf(op.getResult());
  transfer.fromStage = stages.lookup(op.getFrom().getMesh().getValue());
  transfer.toStage = stages.lookup(op.getTo().getMesh().getValue());
  PARTITA_TRY(transfer.from,
              op.getFrom().toData(program.stages[transfer.fromStage].mesh));
  PARTITA_TRY(transfer.to,
              op.getTo().toData(program.stages[transfer.toStage].mesh));
  transfers[op.getResult()] = static_cast<int32_t>(program.transfers.size());
  program.transfers.push_back(std::move(transfer));
  return ok();
}

Status ProgramBuilder::wireStages() {
  for (auto stage : step.getOps<dist::StageOp>()) {
    dist::MeshOp mesh = dist::findMesh(stage, stage.getMeshAttr());
    stages[stage.getMesh()] = static_cast<int32_t>(program.stages.size());
    program.stages.push_back({mesh.getMesh(), mesh.rankNumbers()});
  }
  for (auto transfer : step.getOps<dist::TransferOp>())
    PARTITA_CHECK(addTransfer(transfer));
  for (auto stage : step.getOps<dist::StageOp>()) {
    Wiring &wiring = wirings.emplace_back();
    for (Value value : stage.getInputs()) {
      auto argument = dyn_cast<BlockArgument>(value);
      wiring.arguments.push_back(
          {!argument, argument ? static_cast<int32_t>(argument.getArgNumber())
                               : transfers.lookup(value)});
    }
    for (Value value : stage.getResults()) {
      Wiring::Result &result = wiring.results.emplace_back();
      for (OpOperand &use : value.getUses())
        if (auto transfer = dyn_cast<dist::TransferOp>(use.getOwner()))
          result.transfers.push_back(transfers.lookup(transfer.getResult()));
        else
          result.outputs.push_back(
              static_cast<int32_t>(use.getOperandNumber()));
      llvm::sort(result.outputs);
    }
  }
  return ok();
}

Status ProgramBuilder::buildClass(func::FuncOp function,
                                  const llvm::StringMap<int> &kernels,
                                  const llvm::StringMap<int> &parameters) {
  int32_t stage = 0;
  if (auto mesh =
          function->getAttrOfType<FlatSymbolRefAttr>(dist::meshAttrName))
    stage = stages.lookup(mesh.getValue());
  runtime::Grid grid = program.gridOf(stage);
  auto places = function->getAttrOfType<DenseI64ArrayAttr>(rt::ranksAttrName);
  for (int64_t place : places.asArrayRef())
    program.classOfRank[grid.ranks[place]] =
        static_cast<int32_t>(program.classes.size());
  PARTITA_TRY(runtime::RankClass built,
              target::buildClass(function, program, kernels, parameters, stage,
                                 wirings[stage]));
  program.classes.push_back(std::move(built));
  return ok();
}

Result<runtime::Program> ProgramBuilder::run() {
  dist::MeshOp mesh = dist::getMesh(module);
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr(rt::ranksAttrName))
      classes.push_back(function);
    else if (!function.isExternal() &&
             !function.getBody().front().getOps<dist::StageOp>().empty())
      step = function;
  if (!mesh || classes.empty())
    return makeError(ExitCode::Internal, "target.module", "module",
                     "there is no mesh or no rank class");
  program.mesh = mesh.getMesh();
  if (auto count =
          module->getAttrOfType<IntegerAttr>(dist::microBatchesAttrName))
    program.microBatches = count.getInt();
  program.classOfRank.assign(program.mesh.numRanks(), -1);
  addFiles(module, program);
  addParameters(module, program);
  func::FuncOp entry = step ? step : classes.front();
  addPorts(entry.getArgumentTypes(), entry.getResultTypes());
  if (step)
    PARTITA_CHECK(wireStages());
  else
    wireAsOne();
  llvm::StringMap<int> kernels, parameters;
  for (auto [i, name] : llvm::enumerate(program.kernelNames))
    kernels[name] = static_cast<int>(i);
  for (auto [i, parameter] : llvm::enumerate(program.parameters))
    parameters[parameter.name] = static_cast<int>(i);
  for (func::FuncOp function : classes)
    PARTITA_CHECK(buildClass(function, kernels, parameters));
  return std::move(program);
}

Result<runtime::Program>
partita::buildProgram(ModuleOp module,
                      const std::vector<std::string> &kernelNames) {
  return ProgramBuilder(module, kernelNames).run();
}
