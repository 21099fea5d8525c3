//===- Reshards.cpp - Insert and lower reshards ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reshards are placed right after the producer, once for all uses that demand
// the same sharding. Where uses demand different shardings, ReshardPlanner says
// at which layout their ways part, so that what they share moves once.
//
//===----------------------------------------------------------------------===//

#include "Shardings.h"
#include "dialects/nn/NN.h"

using namespace mlir;
using namespace partita;

namespace {
/// Uses of one value that demand one layout.
struct Demand {
  const Sharding *sharding;
  std::vector<OpOperand *> uses;
};
} // namespace

static Result<std::vector<Demand>> collectDemands(ShardingReader &reader,
                                                  Value value) {
  std::vector<Demand> demands;
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    uses.push_back(&use);
  // Use lists are in reverse order of creation; keep the program's order.
  for (OpOperand *use : llvm::reverse(uses)) {
    PARTITA_TRY(const Sharding *wanted,
                reader.demanded(use->getOwner(), use->getOperandNumber()));
    auto it = llvm::find_if(demands, [&](const Demand &demand) {
      return reader.sameBoxes(demand.sharding, wanted);
    });
    if (it == demands.end())
      demands.push_back({wanted, {use}});
    else
      it->uses.push_back(use);
  }
  return demands;
}

static Value reshardTo(OpBuilder &builder, ShardingReader &reader, Value value,
                       const Sharding &from, const Sharding &to) {
  auto op = dist::ReshardOp::create(
      builder, value.getLoc(), value.getType(), value,
      cast<dist::ShardingAttr>(reader.attr(from)),
      cast<dist::ShardingAttr>(reader.attr(to)));
  if (Operation *producer = value.getDefiningOp())
    nn::copyIdentity(producer, op);
  return op;
}

static std::optional<DType> dtypeOf(Value value) {
  return getDType(cast<RankedTensorType>(value.getType()).getElementType());
}

static Status insertAfter(ShardingReader &reader, ReshardPlanner &planner,
                          Value value) {
  if (value.use_empty())
    return ok();
  PARTITA_TRY(const Sharding *have, reader.of(value));
  PARTITA_TRY(std::vector<Demand> demands, collectDemands(reader, value));
  auto same = [&](const Sharding &a, const Sharding &b) {
    return canonical(a, reader.mesh()) == canonical(b, reader.mesh());
  };
  if (demands.size() == 1 && reader.sameBoxes(demands[0].sharding, have))
    return ok();
  OpBuilder builder(value.getContext());
  builder.setInsertionPointAfterValue(value);
  std::vector<Sharding> targets;
  for (const Demand &demand : demands)
    targets.push_back(*demand.sharding);
  Sharding shared = *have;
  if (demands.size() > 1) {
    PARTITA_TRY(shared, planner.sharedLayout(*dtypeOf(value), *have, targets));
  }
  Value start = value;
  if (!same(shared, *have)) {
    start = reshardTo(builder, reader, value, *have, shared);
    builder.setInsertionPointAfterValue(start);
  }
  for (Demand &demand : demands) {
    Value source = start;
    if (!same(*demand.sharding, shared))
      source = reshardTo(builder, reader, start, shared, *demand.sharding);
    for (OpOperand *use : demand.uses)
      use->set(source);
  }
  return ok();
}

Status partita::insertReshards(ShardingReader &reader,
                               ReshardPlanner &planner) {
  Block &body = reader.entry().getBody().front();
  std::vector<Value> values(body.args_begin(), body.args_end());
  for (Operation &op : body)
    values.insert(values.end(), op.result_begin(), op.result_end());
  for (Value value : values)
    PARTITA_CHECK(insertAfter(reader, planner, value));
  return ok();
}

//===----------------------------------------------------------------------===//
// Lowering
//===----------------------------------------------------------------------===//

static Operation *createMove(OpBuilder &builder, ShardingReader &reader,
                             Value input, const Move &move) {
  static const StringRef names[] = {
      dist::AllGatherOp::getOperationName(),
      dist::ReduceScatterOp::getOperationName(),
      dist::AllReduceOp::getOperationName(),
      dist::AllToAllOp::getOperationName(),
      dist::PermuteOp::getOperationName(),
      dist::HaloExchangeOp::getOperationName(),
      dist::SliceOp::getOperationName(),
      dist::ToPartialOp::getOperationName()};
  OperationState state(input.getLoc(), names[static_cast<int>(move.kind)]);
  SmallVector<Attribute> axes;
  for (int axis : move.axes)
    axes.push_back(builder.getStringAttr(reader.mesh().axisNames[axis]));
  state.addOperands(input);
  state.addTypes(input.getType());
  state.addAttribute("axes", builder.getArrayAttr(axes));
  state.addAttribute("from", reader.attr(move.from));
  state.addAttribute("to", reader.attr(move.to));
  return builder.create(state);
}

/// Merges both results of the attention that makes `value`, and gives the merged
/// form of `value`.
static Result<Value> createMerge(OpBuilder &builder, ShardingReader &reader,
                                 Value value, const Move &move) {
  Operation *producer = value.getDefiningOp();
  if (!producer || producer->getNumResults() != 2)
    return makeError(ExitCode::Internal, "partition.softmax-merge",
                     producer ? placeOf(producer) : "argument",
                     "only the two results of an attention can be merged");
  for (Operation *user : producer->getUsers())
    if (auto merge = dyn_cast<dist::SoftmaxMergeOp>(user))
      return merge->getResult(cast<OpResult>(value).getResultNumber());
  auto ends = [&](unsigned i) -> Result<std::pair<Attribute, Attribute>> {
    PARTITA_TRY(const Sharding *from, reader.of(producer->getResult(i)));
    Sharding to = *from;
    to.partialAxes.clear();
    to.combiner = Combiner::None;
    return std::pair{reader.attr(*from), reader.attr(to)};
  };
  PARTITA_TRY(auto out, ends(0));
  PARTITA_TRY(auto lse, ends(1));
  SmallVector<Attribute> axes;
  for (int axis : move.axes)
    axes.push_back(builder.getStringAttr(reader.mesh().axisNames[axis]));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(producer);
  auto merge = dist::SoftmaxMergeOp::create(
      builder, value.getLoc(),
      TypeRange(producer->getResultTypes()), producer->getResult(0),
      producer->getResult(1), builder.getArrayAttr(axes),
      cast<dist::ShardingAttr>(out.first), cast<dist::ShardingAttr>(out.second),
      cast<dist::ShardingAttr>(lse.first),
      cast<dist::ShardingAttr>(lse.second));
  nn::copyIdentity(producer, merge, "/softmax_merge");
  return merge->getResult(cast<OpResult>(value).getResultNumber());
}

/// Ids of moves: the producer's id, the kind, and a number where several moves
/// of that kind follow one producer.
static void nameMove(Operation *producer, Operation *move,
                     llvm::StringMap<int> &counts, StringRef fallback) {
  std::string id =
      (producer ? nn::getId(producer) : fallback).str() + "/" +
      move->getName().stripDialect().str();
  int count = counts[id]++;
  if (count)
    id += "." + std::to_string(count);
  if (producer)
    nn::copyIdentity(producer, move);
  move->setAttr(nn::idAttrName, StringAttr::get(move->getContext(), id));
}

Status partita::lowerReshards(ShardingReader &reader,
                              ReshardPlanner &planner) {
  llvm::StringMap<int> counts;
  std::vector<dist::ReshardOp> reshards;
  for (Operation &op : reader.entry().getBody().front())
    if (auto reshard = dyn_cast<dist::ReshardOp>(op))
      reshards.push_back(reshard);
  for (dist::ReshardOp reshard : reshards) {
    Value value = reshard.getInput();
    PARTITA_TRY(Sharding from, reshard.getFrom().toData(reader.mesh()));
    PARTITA_TRY(Sharding to, reshard.getTo().toData(reader.mesh()));
    PARTITA_TRY(ReshardPath path, planner.path(*dtypeOf(value), from, to));
    Operation *producer = value.getDefiningOp();
    std::string argument;
    if (auto arg = dyn_cast<BlockArgument>(value)) {
      auto name = reader.entry().getArgAttrOfType<StringAttr>(
          arg.getArgNumber(), nn::nameAttrName);
      argument = name ? name.str() : "argument";
    }
    OpBuilder builder(reshard);
    for (const Move &move : path.moves) {
      if (move.from.combiner == Combiner::SoftmaxMerge) {
        PARTITA_TRY(value, createMerge(builder, reader, value, move));
        continue;
      }
      Operation *op = createMove(builder, reader, value, move);
      nameMove(nn::getId(reshard).empty() ? producer : reshard.getOperation(),
               op, counts, argument);
      value = op->getResult(0);
    }
    reshard.getResult().replaceAllUsesWith(value);
    reshard.erase();
  }
  return ok();
}
