//===- Ranks.cpp - Runs all ranks of a localised program ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All rank classes have the same sequence of operations, so every rank executes
// operation k before any executes k + 1, and a collective sees the operands of
// all ranks at once: no threads, and a deadlock cannot be.
//
//===----------------------------------------------------------------------===//

#include "Exchange.h"
#include "Frame.h"
#include "Models.h"
#include "dialects/rt/RT.h"

using namespace mlir;
using namespace partita;
using namespace partita::interp;

namespace {

class RankRunner {
public:
  RankRunner(ModuleOp module, StringRef entry, ParameterSource &parameters,
             const RankOptions &options)
      : module(module), entry(entry), parameters(parameters), options(options) {
  }
  Result<std::vector<HostTensor>> run(ArrayRef<HostTensor> inputs);

private:
  using StepOps = SmallVector<Operation *>;
  Error fault(std::string message) const;
  Status findFunctions();
  Result<Sharding> boundary(DictionaryAttr attrs, Type localType) const;
  Status distribute(ArrayRef<HostTensor> inputs);
  Status step(const StepOps &ops);
  template <typename Op> Status communicate(Op op, const StepOps &ops);
  Result<std::vector<HostTensor>> collect(const StepOps &returns);

  ModuleOp module;
  StringRef entry;
  ParameterSource &parameters;
  RankOptions options;
  Mesh mesh;
  /// By rank.
  std::vector<func::FuncOp> functions;
  std::vector<Frame> frames;
};

} // namespace

Error RankRunner::fault(std::string message) const {
  return makeError(ExitCode::Internal, "interp.ranks", "@" + entry.str(),
                   std::move(message));
}

/// Finds each rank's function by `rt.ranks`.
Status RankRunner::findFunctions() {
  dist::MeshOp meshOp = dist::getMesh(module);
  if (!meshOp)
    return fault("the module has no mesh");
  mesh = meshOp.getMesh();
  functions.resize(mesh.numRanks());
  std::string prefix = entry.str() + "_class";
  for (auto function : module.getOps<func::FuncOp>()) {
    auto ranks = function->getAttrOfType<DenseI64ArrayAttr>(rt::ranksAttrName);
    if (!ranks || !function.getSymName().starts_with(prefix))
      continue;
    if (!function.getBody().hasOneBlock())
      return fault("a rank class has no body of one block");
    for (int64_t rank : ranks.asArrayRef()) {
      if (rank < 0 || rank >= mesh.numRanks() || functions[rank])
        return fault("rank " + std::to_string(rank) +
                     " is in two classes or not in the mesh");
      functions[rank] = function;
    }
  }
  for (auto [rank, function] : llvm::enumerate(functions)) {
    if (!function)
      return fault("rank " + std::to_string(rank) + " has no function");
    frames.emplace_back(RankPlace{mesh, mesh.coordinates(int64_t(rank))},
                        parameters);
  }
  return ok();
}

/// The sharding of an argument or result; without one it is whole on each rank.
Result<Sharding> RankRunner::boundary(DictionaryAttr attrs,
                                      Type localType) const {
  auto attr = attrs ? attrs.getAs<dist::ShardingAttr>(dist::shardingAttrName)
                    : dist::ShardingAttr();
  if (!attr)
    return Sharding::replicated(nn::shapeOf(localType));
  PARTITA_TRY(Sharding sharding, attr.toData(mesh));
  PARTITA_CHECK(
      checkSharding(sharding, sharding.globalShape(), mesh, "@" + entry.str()));
  return sharding;
}

/// Gives each rank its boxes of the inputs.
Status RankRunner::distribute(ArrayRef<HostTensor> inputs) {
  func::FuncOp first = functions.front();
  if (inputs.size() != first.getNumArguments())
    return makeError(ExitCode::InvalidInput, "interp.inputs", "",
                     std::to_string(inputs.size()) +
                         " inputs are given, the program has " +
                         std::to_string(first.getNumArguments()));
  for (auto [i, argument] : llvm::enumerate(first.getArguments())) {
    PARTITA_TRY(Sharding sharding,
                boundary(first.getArgAttrDict(i), argument.getType()));
    PARTITA_CHECK(
        checkInput(i, inputs[i], argument.getType(), sharding.globalShape()));
    if (sharding.isPartial())
      return fault("argument " + std::to_string(i) + " is partial");
    for (auto [function, frame] : llvm::zip_equal(functions, frames)) {
      HostTensor part =
          extractBox(inputs[i], boxOf(sharding, mesh, frame.where().coords));
      if (function.getNumArguments() != inputs.size() ||
          nn::shapeOf(function.getArgument(i)) != part.shape())
        return fault("argument " + std::to_string(i) +
                     " does not have the type of its shard");
      frame.define(function.getArgument(i), std::move(part));
    }
  }
  return ok();
}

/// rt.collective or rt.shard on all ranks.
template <typename Op>
Status RankRunner::communicate(Op op, const StepOps &ops) {
  for (Operation *other : ops) {
    auto same = cast<Op>(other);
    if (same.getFrom() != op.getFrom() || same.getTo() != op.getTo() ||
        same.getAxes() != op.getAxes() || same.getKind() != op.getKind())
      return fault("rank classes disagree on " + describe(op));
  }
  auto from = dyn_cast<dist::ShardingAttr>(op.getFrom());
  auto to = dyn_cast<dist::ShardingAttr>(op.getTo());
  if (!from || !to)
    return fault(describe(op) + " has no shardings");
  PARTITA_TRY(Sharding source, from.toData(mesh));
  PARTITA_TRY(Sharding target, to.toData(mesh));
  std::vector<int> axes;
  for (auto name : op.getAxes().template getAsValueRange<StringAttr>()) {
    axes.push_back(mesh.axis(name.str()));
    if (axes.back() < 0)
      return fault(describe(op) + " names an unknown axis");
  }
  std::vector<HostTensor> inputs, results;
  for (auto [frame, rankOp] : llvm::zip_equal(frames, ops))
    inputs.push_back(frame.use(rankOp).front());
  if (op.getKind() == "to_partial") {
    results = zeroUnlessFirst(mesh, axes, inputs);
  } else {
    if (isa<rt::ShardOp>(op.getOperation()))
      axes.clear(); // Nothing moves: each rank has what it keeps.
    PARTITA_TRY(results, exchange(mesh, source, target, axes, inputs));
  }
  for (auto [rank, rankOp] : llvm::enumerate(ops))
    frames[rank].define(rankOp->getResult(0), results[rank]);
  return ok();
}

Status RankRunner::step(const StepOps &ops) {
  for (Operation *op : ops)
    if (op->getName() != ops.front()->getName())
      return fault("rank classes are out of step: " + describe(ops.front()) +
                   " and " + describe(op));
  if (auto collective = dyn_cast<rt::CollectiveOp>(ops.front()))
    return communicate(collective, ops);
  if (auto shard = dyn_cast<rt::ShardOp>(ops.front()))
    return communicate(shard, ops);
  if (dist::isMove(ops.front()) || isa<dist::ReshardOp>(ops.front()))
    return fault(describe(ops.front()) + " is left in a local program");
  for (auto [frame, op] : llvm::zip_equal(frames, ops))
    PARTITA_CHECK(frame.execute(op));
  return ok();
}

Result<std::vector<HostTensor>> RankRunner::collect(const StepOps &returns) {
  std::vector<std::vector<HostTensor>> byRank;
  for (auto [frame, op] : llvm::zip_equal(frames, returns))
    byRank.push_back(frame.use(op));
  func::FuncOp first = functions.front();
  std::vector<HostTensor> outputs;
  for (unsigned i = 0; i < first.getNumResults(); ++i) {
    PARTITA_TRY(Sharding sharding, boundary(first.getResultAttrDict(i),
                                            first.getResultTypes()[i]));
    std::vector<HostTensor> parts;
    for (std::vector<HostTensor> &tensors : byRank)
      parts.push_back(tensors[i]);
    auto output = assemble(mesh, sharding, parts, options.replicaTolerance);
    if (!output) {
      Error error = output.takeError();
      error.place = "output " + std::to_string(i);
      return error;
    }
    outputs.push_back(std::move(*output));
  }
  return outputs;
}

Result<std::vector<HostTensor>> RankRunner::run(ArrayRef<HostTensor> inputs) {
  PARTITA_CHECK(findFunctions());
  PARTITA_CHECK(distribute(inputs));
  SmallVector<Block::iterator> next;
  for (func::FuncOp function : functions)
    next.push_back(function.getBody().front().begin());
  while (true) {
    StepOps ops;
    for (Block::iterator &at : next)
      ops.push_back(&*at++);
    if (isa<func::ReturnOp>(ops.front())) {
      for (Operation *op : ops)
        if (!isa<func::ReturnOp>(op) ||
            op->getNumOperands() != ops.front()->getNumOperands())
          return fault("rank classes return at different places");
      return collect(ops);
    }
    PARTITA_CHECK(step(ops));
  }
}

Result<std::vector<HostTensor>>
Interpreter::runRanks(ModuleOp module, StringRef entry,
                      ArrayRef<HostTensor> inputs, ParameterSource &parameters,
                      const RankOptions &options) {
  return guarded([&] {
    return RankRunner(module, entry, parameters, options).run(inputs);
  });
}
