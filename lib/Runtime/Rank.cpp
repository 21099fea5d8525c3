//===- Rank.cpp - One rank of a program -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Preparing and walking the command table.
//
//===----------------------------------------------------------------------===//

#include "Rank.h"
#include "Liveness.h"
#include <cstring>
#include <new>

using namespace partita;
using namespace partita::runtime;

/// A command made ready. Which members are set follows from its kind.
struct Rank::Ready {
  const Command *command = nullptr;
  partita_kernel kernel = nullptr;
  std::vector<void *> buffers;
  std::vector<int64_t> offsets;
  std::unique_ptr<PreparedCall> call;
  std::unique_ptr<PreparedCollective> collective;
  std::unique_ptr<Messages> messages;
};

std::string partita::runtime::describeCommand(const Command &command,
                                              int64_t index) {
  std::string text;
  if (index >= 0)
    text = "command " + std::to_string(index) + ", ";
  text += commandKindName(command.kind);
  if (command.kind == CommandKind::Call)
    text += " " + command.callee;
  if (command.kind == CommandKind::Collective)
    text = (index >= 0 ? "command " + std::to_string(index) + ", " : "") +
           collectiveName(command.collective);
  text += " @" + command.id;
  if (!command.nodes.empty())
    text += " (nodes " + command.nodes + ")";
  return text;
}

const Command *partita::runtime::findCommand(const RankClass &table,
                                             CommandNumber number) {
  const std::vector<Command> &list = number < 0 ? table.init : table.step;
  uint64_t index = number < 0 ? -1 - number : number;
  return index < list.size() ? &list[index] : nullptr;
}

std::string partita::runtime::describeNumber(const RankClass &table,
                                             CommandNumber number) {
  const Command *command = findCommand(table, number);
  if (!command)
    return "";
  return number < 0 ? "init " + describeCommand(*command, -1 - number)
                    : describeCommand(*command, number);
}

Rank::Rank(const RankContext &context, int64_t rank,
           std::unique_ptr<Communicator> communicator,
           std::unique_ptr<Transport> transport, FlightRecord &record)
    : context(context), rank(rank),
      table(context.program->classes[context.program->classOfRank[rank]]),
      communicator(std::move(communicator)), transport(std::move(transport)),
      record(record) {
  Grid grid = context.program->gridOf(table.stage);
  mesh = grid.mesh;
  coords = mesh.coordinates(grid.placeOf(rank));
}

Rank::~Rank() = default;

/// Says which rank and which command, and keeps the kind of failure.
Error Rank::located(Error error, CommandNumber number) const {
  error.place = "rank " + std::to_string(rank) +
                (error.place.empty() ? "" : ": " + error.place);
  error.message += "\n  at " + describeNumber(table, number);
  return error;
}

//===----------------------------------------------------------------------===//
// Preparing
//===----------------------------------------------------------------------===//

Result<Rank::Ready> Rank::prepare(const Command &command, bool init) {
  const Program &program = *context.program;
  Ready ready;
  ready.command = &command;
  switch (command.kind) {
  case CommandKind::Kernel:
    ready.kernel = context.kernels[command.index];
    for (const auto *views : {&command.operands, &command.results})
      for (const View &view : *views)
        ready.buffers.push_back(address(view));
    for (const ShardOffset &offset : command.offsets)
      ready.offsets.push_back(offset.evaluate(mesh, coords));
    break;
  case CommandKind::Call: {
    PrepareContext where{&mesh, coords, program.threadsPerRank};
    PARTITA_TRY(ready.call, prepareCall(command, where));
    break;
  }
  case CommandKind::Collective: {
    CollectiveSpec spec{command.collective, command.operands[0].dtype,
                        command.from,       command.to,
                        command.axes,       describeCommand(command)};
    PARTITA_TRY(ready.collective, communicator->prepare(spec));
    int64_t in = boxOf(command.from, mesh, coords).numElements();
    int64_t out = boxOf(command.to, mesh, coords).numElements();
    if (command.operands[0].numElements() != in ||
        command.results[0].numElements() != out)
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "a view is not as large as its shard");
    break;
  }
  case CommandKind::LoadInput:
    if (init)
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "init reads an input");
    [[fallthrough]];
  case CommandKind::LoadParameter:
    if (command.results[0].numElements() !=
        boxOf(command.to, mesh, coords).numElements())
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "a view is not as large as its shard");
    break;
  case CommandKind::Send:
  case CommandKind::Receive: {
    if (init)
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "init sends or receives");
    PARTITA_TRY(ready.messages, Messages::prepare(program, command, rank));
    break;
  }
  case CommandKind::StoreOutput:
    if (init || command.operands[0].numElements() !=
                    boxOf(command.from, mesh, coords).numElements())
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "stores an output from init or of another size");
    break;
  }
  return std::move(ready);
}

/// The number of a command of one of the lists.
static CommandNumber numberOf(int64_t index, bool init) {
  return init ? -1 - index : index;
}

Status Rank::prepareAll(const std::vector<Command> &commands, bool init,
                        std::vector<Ready> &ready) {
  ready.reserve(commands.size());
  for (const Command &command : commands) {
    CommandNumber number = numberOf(&command - commands.data(), init);
    record.begin(number, Clock::now());
    Result<Ready> prepared = prepare(command, init);
    if (!prepared)
      return located(prepared.takeError(), number);
    ready.push_back(std::move(*prepared));
  }
  record.current.store(noCommand);
  return ok();
}

Status Rank::load() {
  Status allocated = memory.allocate(table.persistentBytes, table.arenaBytes);
  if (!allocated) {
    Error error = allocated.takeError();
    error.place = "rank " + std::to_string(rank);
    return error;
  }
  bases[static_cast<int>(Space::Arena)] = memory.arena();
  bases[static_cast<int>(Space::Persistent)] = memory.persistent();
  // Never written: validate() refuses results in the constants.
  bases[static_cast<int>(Space::Constant)] =
      const_cast<std::byte *>(context.constants);
  if (context.checkArena) {
    initDead = deadAfter(table.init);
    stepDead = deadAfter(table.step);
  }
  {
    std::vector<Ready> inits;
    PARTITA_CHECK(prepareAll(table.init, true, inits));
    PARTITA_CHECK(executeAll(inits, true, {}));
  }
  return prepareAll(table.step, false, steps);
}

//===----------------------------------------------------------------------===//
// Executing
//===----------------------------------------------------------------------===//

Status Rank::loadParameter(const Command &command) {
  const ParameterInfo &info = context.program->parameters[command.index];
  Box box = boxOf(command.to, mesh, coords);
  const std::byte *from = context.weights->parameter(info);
  std::byte *to = address(command.results[0]);
  int64_t size = dtypeSize(info.dtype);
  forEachRun(box, [&](Run run) {
    std::memcpy(to + run.local * size, from + run.global * size,
                run.count * size);
    weightBytesRead += run.count * size;
  });
  return ok();
}

/// A rank's part of a micro-batch, as a box of the whole tensor.
static Box portBox(const Program &program, const PortInfo &port, Box box,
                   int64_t microBatch) {
  if (port.batchDim < 0)
    return box;
  Box::Dim &dim = box.dims[port.batchDim];
  dim.sizes.insert(dim.sizes.begin(), program.microBatches);
  dim.intervals.insert(dim.intervals.begin(), {microBatch, microBatch + 1});
  return box;
}

void Rank::loadInput(const Command &command, const std::byte *from) {
  Box box = portBox(*context.program, context.program->inputs[command.index],
                    boxOf(command.to, mesh, coords), microBatch);
  std::byte *to = address(command.results[0]);
  int64_t size = dtypeSize(command.results[0].dtype);
  forEachRun(box, [&](Run run) {
    std::memcpy(to + run.local * size, from + run.global * size,
                run.count * size);
  });
}

/// Of the ranks that hold the same part of an output, the first one stores it.
static bool storesOutput(const Sharding &sharding,
                         const std::vector<int64_t> &coords) {
  uint64_t used = sharding.dimAxes();
  for (size_t axis = 0; axis < coords.size(); ++axis)
    if (!(used >> axis & 1) && coords[axis] != 0)
      return false;
  return true;
}

void Rank::storeOutput(const Command &command, std::byte *to) {
  if (!storesOutput(command.from, coords))
    return;
  Box box = portBox(*context.program, context.program->outputs[command.index],
                    boxOf(command.from, mesh, coords), microBatch);
  const std::byte *from = address(command.operands[0]);
  int64_t size = dtypeSize(command.operands[0].dtype);
  forEachRun(box, [&](Run run) {
    std::memcpy(to + run.global * size, from + run.local * size,
                run.count * size);
  });
}

Status Rank::execute(Ready &ready, const StepTensors &tensors) {
  const Command &command = *ready.command;
  switch (command.kind) {
  case CommandKind::Kernel:
    ready.kernel(ready.buffers.data(), ready.offsets.data());
    return ok();
  case CommandKind::Call:
    matmulFlops += command.matmulFlops;
    return ready.call->execute(bases);
  case CommandKind::Collective:
    return ready.collective->execute(address(command.operands[0]),
                                     address(command.results[0]));
  case CommandKind::LoadParameter:
    return loadParameter(command);
  case CommandKind::LoadInput:
    loadInput(command, tensors.inputs[command.index]);
    return ok();
  case CommandKind::StoreOutput:
    if (tensors.outputs[command.index])
      storeOutput(command, tensors.outputs[command.index]);
    return ok();
  case CommandKind::Send:
  case CommandKind::Receive: {
    const View &shard = command.kind == CommandKind::Send ? command.operands[0]
                                                          : command.results[0];
    return ready.messages->execute(
        {transport.get(), context.timeout}, address(shard),
        command.workspace.empty() ? nullptr : address(command.workspace[0]));
  }
  }
  return ok();
}

void Rank::fillDead(const std::vector<Interval> &dead) {
  for (Interval part : dead)
    std::memset(memory.arena() + part.begin, deadByte, part.size());
}

/// Ends a command that began then.
void Rank::account(CommandNumber number, CommandKind kind,
                   Clock::time_point begin,
                   std::chrono::nanoseconds waitedBefore) {
  Clock::time_point end = Clock::now();
  record.end(end);
  int64_t waited = (transport->waited() - waitedBefore).count();
  if (counting)
    (isCommunication(kind) ? times.communication : times.compute) +=
        nanoseconds(end) - nanoseconds(begin) - waited;
  if (context.trace)
    trace.push_back({number, nanoseconds(begin), nanoseconds(end), waited});
}

Status Rank::executeAll(std::vector<Ready> &list, bool init,
                        const StepTensors &tensors) {
  if (context.checkArena)
    fillDead({{0, memory.arenaSize()}});
  int64_t count = static_cast<int64_t>(list.size());
  for (int64_t i = 0; i < count; ++i) {
    Ready &ready = list[i];
    CommandNumber number = numberOf(i, init);
    Clock::time_point begin = Clock::now();
    std::chrono::nanoseconds waited = transport->waited();
    record.begin(number, begin);
    Status status = ok();
    try {
      if (!init && context.injection.hits(rank, record.step.load(), i, count))
        status = context.injection.strike();
      if (status)
        status = execute(ready, tensors);
    } catch (const std::bad_alloc &) {
      status = makeError(ExitCode::DistributedFault, "run.memory", "",
                         "out of memory", "use more ranks or a smaller batch");
    } catch (const std::exception &e) {
      status = makeError(ExitCode::Internal, "run.exception", "", e.what());
    }
    if (!status)
      return located(status.takeError(), number);
    account(number, ready.command->kind, begin, waited);
    if (context.checkArena)
      fillDead((init ? initDead : stepDead)[i]);
  }
  return ok();
}

Status Rank::step(const StepTensors &tensors) {
  matmulFlops = 0;
  record.step.fetch_add(1, std::memory_order_relaxed);
  for (microBatch = 0; microBatch < context.program->microBatches; ++microBatch)
    PARTITA_CHECK(executeAll(steps, false, tensors));
  return ok();
}

//===----------------------------------------------------------------------===//
// Collecting
//===----------------------------------------------------------------------===//

RankSummary Rank::summary() const {
  return {memory.allocatedBytes(), weightBytesRead, matmulFlops, times, trace};
}

namespace {
/// One way of messages between a rank and rank 0, in an order that both know.
struct Collection {
  Transport &transport;
  bool receiving;
  int64_t peer;
  std::chrono::duration<double> timeout;

  /// Sends or receives the bytes.
  Status move(void *data, int64_t size) const {
    std::span bytes(static_cast<std::byte *>(data), static_cast<size_t>(size));
    Clock::time_point deadline =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
    return receiving
               ? transport.exchange(-1, {}, peer, bytes, maxTag, deadline)
               : transport.exchange(peer, bytes, -1, {}, maxTag, deadline);
  }
  /// The same with the elements of a box of a tensor.
  Status move(const Box &box, int64_t size, std::byte *tensor) const {
    std::vector<std::byte> bytes(box.numElements() * size);
    auto copy = [&](Run run) {
      std::byte *whole = tensor + run.global * size;
      std::byte *part = bytes.data() + run.local * size;
      std::memcpy(receiving ? whole : part, receiving ? part : whole,
                  run.count * size);
    };
    if (!receiving)
      forEachRun(box, copy);
    PARTITA_CHECK(move(bytes.data(), static_cast<int64_t>(bytes.size())));
    if (receiving)
      forEachRun(box, copy);
    return ok();
  }
};
} // namespace

/// The parts of all outputs that `rank` stored.
static Status collectOutputs(const Program &program, int64_t rank,
                             const StepTensors &tensors,
                             const Collection &collection) {
  const RankClass &table = program.classes[program.classOfRank[rank]];
  Grid grid = program.gridOf(table.stage);
  std::vector<int64_t> coords = grid.mesh.coordinates(grid.placeOf(rank));
  for (const Command &command : table.step) {
    if (command.kind != CommandKind::StoreOutput ||
        !tensors.outputs[command.index] || !storesOutput(command.from, coords))
      continue;
    const PortInfo &port = program.outputs[command.index];
    Box part = boxOf(command.from, grid.mesh, coords);
    for (int64_t i = 0; i < (port.batchDim < 0 ? 1 : program.microBatches); ++i)
      PARTITA_CHECK(collection.move(portBox(program, port, part, i),
                                    dtypeSize(port.dtype),
                                    tensors.outputs[command.index]));
  }
  return ok();
}

static Status collectSummary(RankSummary &summary,
                             const Collection &collection) {
  int64_t events = summary.trace.size();
  for (int64_t *number :
       {&summary.allocatedBytes, &summary.weightBytesRead, &summary.matmulFlops,
        &summary.times.compute, &summary.times.communication, &events})
    PARTITA_CHECK(collection.move(number, sizeof(*number)));
  summary.trace.resize(events);
  return collection.move(summary.trace.data(), events * sizeof(TraceEvent));
}

Status Rank::collect(const StepTensors &tensors, int64_t firstRemote,
                     std::vector<RankSummary> &summaries) {
  const Program &program = *context.program;
  summaries[rank] = summary();
  int64_t begin = rank, end = rank;
  if (rank == 0) {
    begin = firstRemote;
    end = program.numRanks();
  } else if (rank >= firstRemote) {
    end = rank + 1;
  }
  for (int64_t r = begin; r < end; ++r) {
    Collection collection{*transport, rank == 0, rank == 0 ? r : 0,
                          context.timeout};
    PARTITA_CHECK(collectOutputs(program, r, tensors, collection));
    PARTITA_CHECK(collectSummary(summaries[r], collection));
  }
  return ok();
}
