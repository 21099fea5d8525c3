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

Result<ShardingReader> ShardingReader::create(ModuleOp module,
                                              StringRef entry) {
  ShardingReader reader;
  reader.function = module.lookupSymbol<func::FuncOp>(entry);
  if (!reader.function || !reader.function.getBody().hasOneBlock())
    return makeError(ExitCode::InvalidInput, "partition.entry", "module",
                     "there is no function @" + entry.str() + " of one block");
  dist::MeshOp mesh = dist::meshOf(reader.function);
  if (!mesh)
    return makeError(ExitCode::InvalidInput, "partition.mesh", "module",
                     "there is no dist.mesh", "run the planner first");
  reader.grid = mesh.getMesh();
  reader.ref = FlatSymbolRefAttr::get(mesh.getSymNameAttr());
  return reader;
}

Result<const ShardingReader::Planned *> ShardingReader::planned(Operation *op) {
  const ShardingRule *rule = rules.of(op);
  if (!rule)
    return planError(op, "the operation has no sharding rule");
  auto attr = dyn_cast_or_null<dist::StrategyAttr>(
      op->getDiscardableAttr(dist::strategyAttrName));
  if (!attr)
    return planError(op, "the operation has no strategy");
  std::unique_ptr<Planned> &known = plans[{rule, attr}];
  if (known)
    return const_cast<const Planned *>(known.get());
  auto plan = std::make_unique<Planned>();
  plan->rule = rule;
  PARTITA_TRY(plan->strategy, attr.toData(grid, *rule));
  PARTITA_CHECK(checkStrategy(*rule, plan->strategy, grid, placeOf(op)));
  for (unsigned i = 0; i < rule->operands.size(); ++i)
    plan->operands.push_back(operandSharding(*rule, plan->strategy, i));
  for (unsigned i = 0; i < rule->results.size(); ++i)
    plan->results.push_back(resultSharding(*rule, plan->strategy, i));
  known = std::move(plan);
  return const_cast<const Planned *>(known.get());
}

Result<const Sharding *>
ShardingReader::read(Attribute attr, Type type,
                     llvm::function_ref<std::string()> place) {
  auto sharding = dyn_cast_or_null<dist::ShardingAttr>(attr);
  if (!sharding)
    return makeError(ExitCode::InvalidInput, "partition.sharding", place(),
                     "there is no sharding", "plan the model again");
  std::unique_ptr<Sharding> &known = shardings[{attr, type}];
  if (known)
    return const_cast<const Sharding *>(known.get());
  PARTITA_TRY(Sharding data, sharding.toData(grid));
  PARTITA_CHECK(checkSharding(data, nn::shapeOf(type), grid, place()));
  known = std::make_unique<Sharding>(std::move(data));
  return const_cast<const Sharding *>(known.get());
}

Result<const Sharding *> ShardingReader::of(Value value) {
  if (auto arg = dyn_cast<BlockArgument>(value))
    return read(function.getArgAttr(arg.getArgNumber(), dist::shardingAttrName),
                value.getType(), [&] {
                  return "argument " + std::to_string(arg.getArgNumber());
                });
  Operation *op = value.getDefiningOp();
  unsigned i = cast<OpResult>(value).getResultNumber();
  if (dist::isMove(op) || isa<dist::ReshardOp>(op))
    return read(op->getAttr(i ? "to_lse" : "to"), value.getType(),
                [&] { return placeOf(op); });
  PARTITA_TRY(const Planned *plan, planned(op));
  return &plan->results[i];
}

Result<const Sharding *> ShardingReader::demanded(Operation *op, unsigned i) {
  Type type = op->getOperand(i).getType();
  if (isa<func::ReturnOp>(op))
    return read(function.getResultAttr(i, dist::shardingAttrName), type,
                [&] { return "result " + std::to_string(i); });
  if (dist::isMove(op) || isa<dist::ReshardOp>(op))
    return read(op->getAttr(i ? "from_lse" : "from"), type,
                [&] { return placeOf(op); });
  PARTITA_TRY(const Planned *plan, planned(op));
  return &plan->operands[i];
}

bool ShardingReader::sameBoxes(const Sharding *a, const Sharding *b) {
  if (a == b)
    return true;
  auto [it, isNew] = same.try_emplace({a, b}, false);
  if (isNew)
    it->second = *a == *b || canonical(*a, grid) == canonical(*b, grid);
  return it->second;
}

Attribute ShardingReader::attr(const Sharding &sharding) const {
  return dist::ShardingAttr::get(ref.getContext(), ref, grid, sharding);
}
