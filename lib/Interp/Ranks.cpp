//===- Ranks.cpp - Runs all ranks of a localised program ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All rank classes have the same sequence of operations, so every rank executes
// operation k before any executes k + 1, and a collective sees the operands of
// all ranks at once: no threads, and a deadlock cannot be. Stages run one after
// the other; what is transferred is put together whole and cut anew, so that a
// wrong box on either side shows.
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

/// A tensor by rank.
using Parts = std::vector<HostTensor>;

/// The ranks of one entry: of a program, or of a stage.
class RankRunner {
public:
  RankRunner(ModuleOp module, StringRef entry, ParameterSource &parameters,
             const RankOptions &options)
      : module(module), entry(entry), parameters(parameters), options(options) {
  }
  Status findFunctions();
  unsigned numArguments() const {
    return func::FuncOp(functions.front()).getNumArguments();
  }
  /// Gives each rank its box of an input.
  Status distribute(unsigned argument, const HostTensor &input);
  Status define(unsigned argument, const Parts &parts);
  Status run();
  /// After run().
  unsigned numResults() const {
    return func::FuncOp(functions.front()).getNumResults();
  }
  Parts result(unsigned i) const;
  Result<HostTensor> collect(unsigned i) const;

private:
  using StepOps = SmallVector<Operation *>;
  Error fault(std::string message) const;
  Result<Sharding> boundary(DictionaryAttr attrs, Type localType) const;
  Status step(const StepOps &ops);
  template <typename Op> Status communicate(Op op, const StepOps &ops);

  ModuleOp module;
  StringRef entry;
  ParameterSource &parameters;
  RankOptions options;
  Mesh mesh;
  /// By rank.
  std::vector<func::FuncOp> functions;
  std::vector<Frame> frames;
  std::vector<std::vector<HostTensor>> returned;
};

} // namespace

Error RankRunner::fault(std::string message) const {
  return makeError(ExitCode::Internal, "interp.ranks", "@" + entry.str(),
                   std::move(message));
}

/// Finds each rank's function by `rt.ranks`.
Status RankRunner::findFunctions() {
  std::string prefix = entry.str() + "_class";
  for (auto function : module.getOps<func::FuncOp>()) {
    auto ranks = function->getAttrOfType<DenseI64ArrayAttr>(rt::ranksAttrName);
    if (!ranks || !function.getSymName().starts_with(prefix))
      continue;
    if (!function.getBody().hasOneBlock())
      return fault("a rank class has no body of one block");
    dist::MeshOp meshOp = dist::meshOf(function);
    if (!meshOp)
      return fault("the module has no mesh");
    mesh = meshOp.getMesh();
    functions.resize(mesh.numRanks());
    for (int64_t rank : ranks.asArrayRef()) {
      if (rank < 0 || rank >= mesh.numRanks() || functions[rank])
        return fault("rank " + std::to_string(rank) +
                     " is in two classes or not in the mesh");
      functions[rank] = function;
    }
  }
  if (functions.empty())
    return fault("there is no rank class");
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

Status RankRunner::define(unsigned i, const Parts &parts) {
  for (auto [function, frame, part] :
       llvm::zip_equal(functions, frames, parts)) {
    if (function.getNumArguments() != numArguments() ||
        nn::shapeOf(function.getArgument(i)) != part.shape())
      return fault("argument " + std::to_string(i) +
                   " does not have the type of its shard");
    frame.define(function.getArgument(i), part);
  }
  return ok();
}

Status RankRunner::distribute(unsigned i, const HostTensor &input) {
  func::FuncOp first = functions.front();
  PARTITA_TRY(Sharding sharding,
              boundary(first.getArgAttrDict(i), first.getArgumentTypes()[i]));
  PARTITA_CHECK(checkInput(i, input, first.getArgumentTypes()[i],
                           sharding.globalShape()));
  if (sharding.isPartial())
    return fault("argument " + std::to_string(i) + " is partial");
  Parts parts;
  for (Frame &frame : frames)
    parts.push_back(
        extractBox(input, boxOf(sharding, mesh, frame.where().coords)));
  return define(i, parts);
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

Parts RankRunner::result(unsigned i) const {
  Parts parts;
  for (const std::vector<HostTensor> &tensors : returned)
    parts.push_back(tensors[i]);
  return parts;
}

Result<HostTensor> RankRunner::collect(unsigned i) const {
  func::FuncOp first = functions.front();
  PARTITA_TRY(Sharding sharding,
              boundary(first.getResultAttrDict(i), first.getResultTypes()[i]));
  auto output = assemble(mesh, sharding, result(i), options.replicaTolerance);
  if (output)
    return output;
  Error error = output.takeError();
  error.place = "output " + std::to_string(i);
  return error;
}

Status RankRunner::run() {
  SmallVector<Block::iterator> next;
  for (func::FuncOp function : functions)
    next.push_back(function.getBody().front().begin());
  while (true) {
    StepOps ops;
    for (Block::iterator &at : next)
      ops.push_back(&*at++);
    if (!isa<func::ReturnOp>(ops.front())) {
      PARTITA_CHECK(step(ops));
      continue;
    }
    for (auto [frame, op] : llvm::zip_equal(frames, ops)) {
      if (!isa<func::ReturnOp>(op) || op->getNumOperands() != numResults())
        return fault("rank classes return at different places");
      returned.push_back(frame.use(op));
    }
    return ok();
  }
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static Result<std::vector<HostTensor>> runPlain(RankRunner runner,
                                                ArrayRef<HostTensor> inputs) {
  PARTITA_CHECK(runner.findFunctions());
  PARTITA_CHECK(checkCount(inputs.size(), runner.numArguments()));
  for (auto [i, input] : llvm::enumerate(inputs))
    PARTITA_CHECK(runner.distribute(i, input));
  PARTITA_CHECK(runner.run());
  std::vector<HostTensor> outputs;
  for (unsigned i = 0; i < runner.numResults(); ++i) {
    PARTITA_TRY(HostTensor output, runner.collect(i));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

namespace {
/// Runs an entry that says how stages hang together.
class StageRunner {
public:
  StageRunner(func::FuncOp step, ParameterSource &parameters,
              const RankOptions &options)
      : step(step), module(step->getParentOfType<ModuleOp>()),
        parameters(parameters), options(options) {}
  Result<std::vector<HostTensor>> run(ArrayRef<HostTensor> inputs);

private:
  Status runStage(dist::StageOp stage, ArrayRef<HostTensor> inputs);
  Status transfer(dist::TransferOp op);

  func::FuncOp step;
  ModuleOp module;
  ParameterSource &parameters;
  RankOptions options;
  llvm::DenseMap<Value, Parts> parts;
  /// Results of stages, whole.
  llvm::DenseMap<Value, HostTensor> outputs;
};
} // namespace

Status StageRunner::runStage(dist::StageOp stage, ArrayRef<HostTensor> inputs) {
  RankRunner runner(module, stage.getEntry(), parameters, options);
  PARTITA_CHECK(runner.findFunctions());
  PARTITA_CHECK(checkCount(stage.getInputs().size(), runner.numArguments()));
  for (auto [i, value] : llvm::enumerate(stage.getInputs()))
    if (auto argument = dyn_cast<BlockArgument>(value))
      PARTITA_CHECK(runner.distribute(i, inputs[argument.getArgNumber()]));
    else
      PARTITA_CHECK(runner.define(i, parts.find(value)->second));
  PARTITA_CHECK(runner.run());
  PARTITA_CHECK(checkCount(stage.getNumResults(), runner.numResults()));
  for (auto [i, value] : llvm::enumerate(stage.getResults())) {
    parts[value] = runner.result(i);
    if (llvm::any_of(value.getUsers(), llvm::IsaPred<func::ReturnOp>)) {
      PARTITA_TRY(outputs[value], runner.collect(i));
    }
  }
  return ok();
}

Status StageRunner::transfer(dist::TransferOp op) {
  Mesh source = dist::findMesh(op, op.getFrom().getMesh()).getMesh();
  Mesh target = dist::findMesh(op, op.getTo().getMesh()).getMesh();
  PARTITA_TRY(Sharding from, op.getFrom().toData(source));
  PARTITA_TRY(Sharding to, op.getTo().toData(target));
  PARTITA_TRY(HostTensor whole,
              assemble(source, from, parts.find(op.getInput())->second,
                       options.replicaTolerance));
  Parts &received = parts[op.getResult()];
  for (int64_t rank = 0, n = target.numRanks(); rank < n; ++rank)
    received.push_back(
        extractBox(whole, boxOf(to, target, target.coordinates(rank))));
  return ok();
}

Result<std::vector<HostTensor>> StageRunner::run(ArrayRef<HostTensor> inputs) {
  PARTITA_CHECK(checkCount(inputs.size(), step.getNumArguments()));
  Block &body = step.getBody().front();
  for (Operation &op : body.without_terminator()) {
    if (auto stage = dyn_cast<dist::StageOp>(op))
      PARTITA_CHECK(runStage(stage, inputs));
    else if (auto moved = dyn_cast<dist::TransferOp>(op))
      PARTITA_CHECK(transfer(moved));
    else
      return makeError(ExitCode::Internal, "interp.ranks", describe(&op),
                       "is neither a stage nor a transfer");
  }
  std::vector<HostTensor> all;
  for (Value value : body.getTerminator()->getOperands())
    all.push_back(outputs.find(value)->second);
  return all;
}

Result<std::vector<HostTensor>>
Interpreter::runRanks(ModuleOp module, StringRef entry,
                      ArrayRef<HostTensor> inputs, ParameterSource &parameters,
                      const RankOptions &options) {
  return guarded([&] {
    auto step = module.lookupSymbol<func::FuncOp>(entry);
    if (step && !step.isExternal() &&
        !step.getBody().front().getOps<dist::StageOp>().empty())
      return StageRunner(step, parameters, options).run(inputs);
    return runPlain(RankRunner(module, entry, parameters, options), inputs);
  });
}
