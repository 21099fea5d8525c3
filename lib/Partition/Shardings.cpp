//===- Shardings.cpp - Strategies and shardings of IR values --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;

std::string partita::placeOf(Operation *op) {
  std::string place = "'" + nn::getId(op).str() + "'";
  std::vector<std::string> nodes = nn::getNodes(op);
  if (nodes.empty() || (nodes.size() == 1 && nodes[0] == nn::getId(op)))
    return op->getName().getStringRef().str() + " " + place;
  place += " (";
  for (size_t i = 0; i < nodes.size(); ++i)
    place += (i ? ", " : "") + nodes[i];
  return op->getName().getStringRef().str() + " " + place + ")";
}

static Error planError(Operation *op, std::string message) {
  return makeError(ExitCode::InvalidInput, "partition.strategy", placeOf(op),
                   std::move(message), "plan the model again");
}

Result<ShardingReader> ShardingReader::create(ModuleOp module) {
  ShardingReader reader;
  dist::MeshOp mesh = dist::getMesh(module);
  if (!mesh)
    return makeError(ExitCode::InvalidInput, "partition.mesh", "module",
                     "there is no dist.mesh", "run the planner first");
  reader.grid = mesh.getMesh();
  reader.ref = FlatSymbolRefAttr::get(mesh.getSymNameAttr());
  reader.function = module.lookupSymbol<func::FuncOp>("step");
  if (!reader.function || !reader.function.getBody().hasOneBlock())
    return makeError(ExitCode::InvalidInput, "partition.entry", "module",
                     "there is no function @step of one block");
  return reader;
}

Result<const ShardingReader::Planned *> ShardingReader::planned(Operation *op) {
  std::unique_ptr<Planned> &entry = cache[op];
  if (entry)
    return const_cast<const Planned *>(entry.get());
  auto ruleOp = dyn_cast<ShardingRuleOpInterface>(op);
  auto attr = op->getAttrOfType<dist::StrategyAttr>(dist::strategyAttrName);
  if (!ruleOp)
    return planError(op, "the operation has no sharding rule");
  if (!attr)
    return planError(op, "the operation has no strategy");
  Planned result{ruleOp.getShardingRule(), {}};
  PARTITA_TRY(result.strategy, attr.toData(grid, result.rule));
  PARTITA_CHECK(checkStrategy(result.rule, result.strategy, grid, placeOf(op)));
  entry = std::make_unique<Planned>(std::move(result));
  return const_cast<const Planned *>(entry.get());
}

static Result<Sharding> fromAttr(Attribute attr, const Mesh &mesh, Type type,
                                 const std::string &place) {
  auto sharding = dyn_cast_or_null<dist::ShardingAttr>(attr);
  if (!sharding)
    return makeError(ExitCode::InvalidInput, "partition.sharding", place,
                     "there is no sharding", "plan the model again");
  PARTITA_TRY(Sharding data, sharding.toData(mesh));
  PARTITA_CHECK(checkSharding(data, nn::shapeOf(type), mesh, place));
  return data;
}

Result<Sharding> ShardingReader::of(Value value) {
  if (auto arg = dyn_cast<BlockArgument>(value))
    return fromAttr(function.getArgAttr(arg.getArgNumber(),
                                        dist::shardingAttrName),
                    grid, value.getType(),
                    "argument " + std::to_string(arg.getArgNumber()));
  Operation *op = value.getDefiningOp();
  if (dist::isMove(op) || isa<dist::ReshardOp>(op))
    return fromAttr(
        op->getAttr(cast<OpResult>(value).getResultNumber() ? "to_lse" : "to"),
        grid, value.getType(), placeOf(op));
  PARTITA_TRY(const Planned *plan, planned(op));
  return resultSharding(plan->rule, plan->strategy,
                        cast<OpResult>(value).getResultNumber());
}

Result<Sharding> ShardingReader::demanded(Operation *op, unsigned i) {
  if (isa<func::ReturnOp>(op))
    return fromAttr(function.getResultAttr(i, dist::shardingAttrName), grid,
                    op->getOperand(i).getType(), "result " + std::to_string(i));
  if (dist::isMove(op) || isa<dist::ReshardOp>(op))
    return fromAttr(op->getAttr(i ? "from_lse" : "from"), grid,
                    op->getOperand(i).getType(), placeOf(op));
  PARTITA_TRY(const Planned *plan, planned(op));
  return operandSharding(plan->rule, plan->strategy, i);
}

Attribute ShardingReader::attr(const Sharding &sharding) const {
  return dist::ShardingAttr::get(ref.getContext(), ref, grid, sharding);
}
