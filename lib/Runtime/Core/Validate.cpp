//===- Validate.cpp - What the runtime relies on --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// After this check no command of a program reaches outside its memory spaces,
// names something that does not exist, or has fewer operands than its kind
// needs. Generated kernels are trusted with the views that they are given.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Program.h"
#include "partita/Support/HostTensor.h"
#include <algorithm>

using namespace partita;
using namespace partita::runtime;

static Error invalid(const std::string &place, std::string message) {
  return makeError(ExitCode::InvalidInput, "program.invalid", place,
                   std::move(message), "compile the model again");
}

namespace {

class Validator {
public:
  explicit Validator(const Program &program) : program(program) {}
  Status run();

private:
  /// Only copies and generated kernels read dimensions backwards.
  enum class Access { Read, ReadAnyOrder, Write };

  Status checkGrid(const Mesh &mesh, size_t ranks);
  Status checkMesh();
  Status checkStages();
  Status checkTensor(const std::string &name, DType type,
                     const std::vector<int64_t> &shape);
  Status checkTables();
  Status checkTransfers();
  Status checkClass(const RankClass &rankClass, size_t number);
  Status checkCommand(const Command &command, const RankClass &rankClass);
  Status checkView(const View &view, const RankClass &rankClass,
                   const std::string &place, Access access);
  Status checkAxes(const std::vector<int> &axes, const std::string &place);
  Status checkShards(const Sharding &sharding,
                     const std::vector<int64_t> &shape,
                     const std::string &place);
  Status checkPort(const Command &command, const Sharding &sharding,
                   const View &view, DType type,
                   const std::vector<int64_t> &shape);
  Status checkMessage(const Command &command, const RankClass &rankClass);
  Status checkCollective(const Command &command);
  Status checkIndex(const Command &command, size_t count);

  const Program &program;
  /// Of the class that is being checked.
  Mesh mesh;
};

} // namespace

Status Validator::checkGrid(const Mesh &mesh, size_t expected) {
  if (mesh.axisNames.size() != mesh.axisSizes.size() ||
      mesh.axisSizes.size() > 64)
    return invalid("mesh", "has unequal numbers of names and sizes");
  int64_t ranks = 1;
  for (int64_t size : mesh.axisSizes)
    if (size <= 0 || __builtin_mul_overflow(ranks, size, &ranks))
      return invalid("mesh", "has an impossible size");
  // Of stages that differ the grids are checked.
  bool areApart = !mesh.stageAxes.empty();
  if (areApart &&
      (program.stages.empty() || mesh.axisSizes.size() > 16 ||
       mesh.stageAxes.size() != program.stages.size() ||
       mesh.numStages() != static_cast<int64_t>(mesh.stageAxes.size()) ||
       mesh.numRanks() != static_cast<int64_t>(expected)))
    return invalid("mesh", "has other stages than the program");
  if (!areApart && static_cast<uint64_t>(ranks) != expected)
    return invalid("mesh", "has " + std::to_string(ranks) + " ranks, " +
                               std::to_string(expected) + " are described");
  for (const std::string &name : mesh.axisNames)
    if (std::count(mesh.axisNames.begin(), mesh.axisNames.end(), name) > 1)
      return invalid("mesh", "has two axes called '" + name + "'");
  return ok();
}

Status Validator::checkMesh() {
  PARTITA_CHECK(checkGrid(program.mesh, program.classOfRank.size()));
  for (int32_t number : program.classOfRank)
    if (number < 0 || static_cast<size_t>(number) >= program.classes.size())
      return invalid("mesh", "names a rank class that does not exist");
  if (program.threadsPerRank < 1 || program.threadsPerRank > 4096)
    return invalid("mesh", "has an impossible number of threads");
  return checkStages();
}

/// Every rank is in one stage, and its class is of that stage.
Status Validator::checkStages() {
  for (const RankClass &rankClass : program.classes)
    if (rankClass.stage < 0 ||
        (rankClass.stage > 0 &&
         static_cast<size_t>(rankClass.stage) >= program.stages.size()))
      return invalid("stages", "a rank class names one that does not exist");
  std::vector<char> seen(program.classOfRank.size(), 0);
  for (size_t stage = 0; stage < program.stages.size(); ++stage) {
    const Grid &grid = program.stages[stage];
    PARTITA_CHECK(checkGrid(grid.mesh, grid.ranks.size()));
    for (int64_t rank : grid.ranks)
      if (rank < 0 || static_cast<size_t>(rank) >= seen.size() ||
          seen[rank]++ ||
          static_cast<size_t>(
              program.classes[program.classOfRank[rank]].stage) != stage)
        return invalid("stages", "rank " + std::to_string(rank) +
                                     " is in another stage or does not exist");
  }
  if (!program.stages.empty() && std::count(seen.begin(), seen.end(), 0) > 0)
    return invalid("stages", "a rank is in none");
  return ok();
}

Status Validator::checkTensor(const std::string &name, DType type,
                              const std::vector<int64_t> &shape) {
  if (type > DType::Bool)
    return invalid(name, "has an unknown element type");
  std::optional<int64_t> count = checkedNumElements(shape);
  int64_t bytes;
  if (!count ||
      __builtin_mul_overflow(*count, int64_t(dtypeSize(type)), &bytes))
    return invalid(name, "has an impossible shape");
  return ok();
}

Status Validator::checkTables() {
  for (const FileInfo &file : program.files)
    if (file.size < 0)
      return invalid(file.path, "has a negative size");
  for (const ParameterInfo &p : program.parameters) {
    PARTITA_CHECK(checkTensor(p.name, p.dtype, p.shape));
    int64_t bytes = *checkedNumElements(p.shape) * dtypeSize(p.dtype);
    if (p.file == -1 && program.weightsAbsent)
      continue;
    if (p.file < 0 || static_cast<size_t>(p.file) >= program.files.size())
      return invalid(p.name, "names a file that does not exist");
    int64_t size = program.files[p.file].size;
    if (p.offset < 0 || p.offset > size || p.length != bytes ||
        p.length > size - p.offset)
      return invalid(p.name, "reaches outside its file");
  }
  if (program.microBatches < 1)
    return invalid("micro-batches", "there are none");
  for (const auto *ports : {&program.inputs, &program.outputs})
    for (const PortInfo &port : *ports) {
      PARTITA_CHECK(checkTensor(port.name, port.dtype, port.shape));
      if (port.batchDim < -1 ||
          port.batchDim >= static_cast<int32_t>(port.shape.size()) ||
          (port.batchDim >= 0 &&
           port.shape[port.batchDim] % program.microBatches != 0))
        return invalid(port.name, "does not divide into micro-batches");
    }
  return checkTransfers();
}

/// Of both ends.
Status Validator::checkTransfers() {
  for (const TransferInfo &t : program.transfers) {
    PARTITA_CHECK(checkTensor(t.name, t.dtype, t.shape));
    for (auto [stage, sharding] :
         {std::pair(t.fromStage, &t.from), std::pair(t.toStage, &t.to)}) {
      if (stage < 0 || static_cast<size_t>(stage) >= program.stages.size())
        return invalid(t.name, "names a stage that does not exist");
      mesh = program.stages[stage].mesh;
      PARTITA_CHECK(checkShards(*sharding, t.shape, t.name));
      if (sharding->isPartial())
        return invalid(t.name, "transfers a partial value");
    }
    if (t.fromStage == t.toStage || t.from.hasHalo())
      return invalid(t.name, "does not leave its stage, or overlaps there");
  }
  return ok();
}

Status Validator::checkView(const View &view, const RankClass &rankClass,
                            const std::string &place, Access access) {
  PARTITA_CHECK(checkTensor(place, view.dtype, view.shape));
  if (view.shape.size() > maxRank)
    return invalid(place, "a view has too many dimensions");
  if (view.shape.size() != view.strides.size())
    return invalid(place, "a view has unequal numbers of sizes and strides");
  int64_t limit = 0;
  switch (view.space) {
  case Space::Arena:
    limit = rankClass.arenaBytes;
    break;
  case Space::Persistent:
    limit = rankClass.persistentBytes;
    break;
  case Space::Constant:
    limit = static_cast<int64_t>(program.constants.size());
    if (access == Access::Write)
      return invalid(place, "writes to the constants");
    break;
  default:
    return invalid(place, "a view is in an unknown memory space");
  }
  // The first and the last element, with each step checked; an empty view
  // touches nothing.
  int64_t first = 0, last = 0, reach = 0, size = dtypeSize(view.dtype);
  bool empty = false;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.strides[i] < 0 && access != Access::ReadAnyOrder)
      return invalid(place, "a view has a negative stride");
    empty |= view.shape[i] == 0;
    int64_t &end = view.strides[i] < 0 ? first : last;
    if (view.shape[i] > 0 &&
        (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &reach) ||
         __builtin_add_overflow(end, reach, &end)))
      return invalid(place, "a view is too large");
  }
  if (view.offset < 0 || view.offset > limit)
    return invalid(place, "a view begins outside its memory space");
  if (view.offset % size != 0)
    return invalid(place, "a view is not aligned to its elements");
  if (!empty && first < -(view.offset / size))
    return invalid(place, std::string("a view begins before the ") +
                              spaceName(view.space));
  if (!empty &&
      (last >= INT64_MAX / size - 1 || (last + 1) * size > limit - view.offset))
    return invalid(place, std::string("a view ends outside the ") +
                              spaceName(view.space));
  return ok();
}

Status Validator::checkAxes(const std::vector<int> &axes,
                            const std::string &place) {
  for (int axis : axes)
    if (axis < 0 || axis >= mesh.numAxes())
      return invalid(place, "names a mesh axis that does not exist");
  return ok();
}

Status Validator::checkIndex(const Command &command, size_t count) {
  if (command.index < 0 || static_cast<size_t>(command.index) >= count)
    return invalid(command.id, std::string(commandKindName(command.kind)) +
                                   " names number " +
                                   std::to_string(command.index) + " of " +
                                   std::to_string(count));
  return ok();
}

/// What checkSharding() takes for granted, then checkSharding().
Status Validator::checkShards(const Sharding &sharding,
                              const std::vector<int64_t> &shape,
                              const std::string &place) {
  if (sharding.combiner > Combiner::SoftmaxMerge)
    return invalid(place, "unknown combiner");
  for (const DimSharding &dim : sharding.dims) {
    int64_t size = 1;
    for (const FactorSharding &factor : dim.factors)
      if (factor.size < 0 || __builtin_mul_overflow(size, factor.size, &size))
        return invalid(place, "a sharding has an impossible factor");
  }
  return checkSharding(sharding, shape, mesh, place);
}

/// Whoever reads shards of overlapping blocks would meet elements twice.
static Status checkDisjoint(const Command &command) {
  if (command.from.hasHalo())
    return invalid(command.id, "starts from blocks that overlap");
  return ok();
}

/// A load or a store between a global tensor and the view of a shard.
Status Validator::checkPort(const Command &command, const Sharding &sharding,
                            const View &view, DType type,
                            const std::vector<int64_t> &shape) {
  PARTITA_CHECK(checkShards(sharding, shape, command.id));
  if (view.dtype != type)
    return invalid(command.id, "element types differ");
  if (sharding.isPartial())
    return invalid(command.id, "loads or stores a partial value");
  return ok();
}

/// One end of a transfer.
Status Validator::checkMessage(const Command &command,
                               const RankClass &rankClass) {
  const bool sends = command.kind == CommandKind::Send;
  const TransferInfo &t = program.transfers[command.index];
  const std::vector<View> &views = sends ? command.operands : command.results;
  if (rankClass.stage != (sends ? t.fromStage : t.toStage))
    return invalid(command.id, "is in another stage than its transfer");
  if (views[0].dtype != t.dtype)
    return invalid(command.id, "element types differ");
  if (command.workspace.size() > 1)
    return invalid(command.id, "has two wire buffers");
  return ok();
}

Status Validator::checkCollective(const Command &command) {
  if (command.operands.size() != 1 || command.results.size() != 1)
    return invalid(command.id, "a collective has one operand and one result");
  if (command.collective > CollectiveKind::HaloExchange)
    return invalid(command.id, "unknown kind of collective");
  if (command.operands[0].dtype != command.results[0].dtype)
    return invalid(command.id, "element types differ");
  if (!command.operands[0].isContiguous() || !command.results[0].isContiguous())
    return invalid(command.id, "a collective's views are contiguous");
  // The global shape is that of `from`; factors are checked before they are
  // multiplied.
  std::vector<int64_t> shape;
  for (const DimSharding &dim : command.from.dims) {
    int64_t size = 1;
    for (const FactorSharding &factor : dim.factors)
      if (__builtin_mul_overflow(size, factor.size, &size))
        return invalid(command.id, "a sharding has an impossible factor");
    shape.push_back(size);
  }
  PARTITA_CHECK(checkTensor(command.id, command.operands[0].dtype, shape));
  PARTITA_CHECK(checkShards(command.from, shape, command.id));
  PARTITA_CHECK(checkDisjoint(command));
  return checkShards(command.to, shape, command.id);
}

Status Validator::checkCommand(const Command &command,
                               const RankClass &rankClass) {
  bool anyOrder =
      command.kind == CommandKind::Kernel ||
      (command.kind == CommandKind::Call && command.callee == "copy");
  Access read = anyOrder ? Access::ReadAnyOrder : Access::Read;
  for (const View &view : command.operands)
    PARTITA_CHECK(checkView(view, rankClass, command.id, read));
  for (const View &view : command.results)
    PARTITA_CHECK(checkView(view, rankClass, command.id, Access::Write));
  for (const View &view : command.workspace)
    PARTITA_CHECK(checkView(view, rankClass, command.id, Access::Write));
  PARTITA_CHECK(checkAxes(command.axes, command.id));
  for (const ShardOffset &offset : command.offsets) {
    if (offset.size < 0)
      return invalid(command.id, "has a negative shard offset");
    PARTITA_CHECK(checkAxes(offset.axes, command.id));
  }
  auto one = [&](const std::vector<View> &views) -> Status {
    if (views.size() != 1 || !views[0].isContiguous())
      return invalid(command.id, "needs one contiguous view");
    return ok();
  };
  switch (command.kind) {
  case CommandKind::LoadParameter: {
    PARTITA_CHECK(checkIndex(command, program.parameters.size()));
    PARTITA_CHECK(one(command.results));
    const ParameterInfo &p = program.parameters[command.index];
    return checkPort(command, command.to, command.results[0], p.dtype, p.shape);
  }
  case CommandKind::LoadInput: {
    PARTITA_CHECK(checkIndex(command, program.inputs.size()));
    PARTITA_CHECK(one(command.results));
    const PortInfo &port = program.inputs[command.index];
    return checkPort(command, command.to, command.results[0], port.dtype,
                     program.partOf(port));
  }
  case CommandKind::StoreOutput: {
    PARTITA_CHECK(checkIndex(command, program.outputs.size()));
    PARTITA_CHECK(one(command.operands));
    PARTITA_CHECK(checkDisjoint(command));
    const PortInfo &port = program.outputs[command.index];
    return checkPort(command, command.from, command.operands[0], port.dtype,
                     program.partOf(port));
  }
  case CommandKind::Send:
    PARTITA_CHECK(checkIndex(command, program.transfers.size()));
    PARTITA_CHECK(one(command.operands));
    return checkMessage(command, rankClass);
  case CommandKind::Receive:
    PARTITA_CHECK(checkIndex(command, program.transfers.size()));
    PARTITA_CHECK(one(command.results));
    return checkMessage(command, rankClass);
  case CommandKind::Kernel:
    return checkIndex(command, program.kernelNames.size());
  case CommandKind::Call:
    return ok(); // The library checks when it prepares the call.
  case CommandKind::Collective:
    return checkCollective(command);
  }
  return invalid(command.id, "is of an unknown kind");
}

Status Validator::checkClass(const RankClass &rankClass, size_t number) {
  if (rankClass.arenaBytes < 0 || rankClass.persistentBytes < 0 ||
      rankClass.arenaBytes > INT64_MAX / 4 ||
      rankClass.persistentBytes > INT64_MAX / 4)
    return invalid("rank class " + std::to_string(number),
                   "has an impossible size");
  mesh = program.gridOf(rankClass.stage).mesh;
  for (const Command &command : rankClass.init)
    PARTITA_CHECK(checkCommand(command, rankClass));
  for (const Command &command : rankClass.step)
    PARTITA_CHECK(checkCommand(command, rankClass));
  return ok();
}

Status Validator::run() {
  PARTITA_CHECK(checkMesh());
  PARTITA_CHECK(checkTables());
  for (size_t i = 0; i < program.classes.size(); ++i)
    PARTITA_CHECK(checkClass(program.classes[i], i));
  return ok();
}

Status partita::runtime::validate(const Program &program) {
  return Validator(program).run();
}
