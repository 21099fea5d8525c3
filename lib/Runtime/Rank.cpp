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

Rank::Rank(const RankContext &context, int64_t rank,
           std::unique_ptr<Communicator> communicator)
    : context(context), rank(rank),
      coords(context.program->mesh.coordinates(rank)),
      table(context.program->classes[context.program->classOfRank[rank]]),
      communicator(std::move(communicator)) {}

Rank::~Rank() = default;

/// Says which rank and which command, and keeps the kind of failure.
Error Rank::located(Error error, const Command &command) const {
  int64_t index = -1;
  for (const auto *list : {&table.init, &table.step})
    if (!list->empty() && &command >= list->data() &&
        &command < list->data() + list->size())
      index = &command - list->data();
  std::string what = "at " + describeCommand(command, index);
  error.place = "rank " + std::to_string(rank) +
                (error.place.empty() ? "" : ": " + error.place);
  error.message += "\n  " + what;
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
      ready.offsets.push_back(offset.evaluate(program.mesh, coords));
    break;
  case CommandKind::Call: {
    PrepareContext where{&program.mesh, coords, program.threadsPerRank};
    PARTITA_TRY(ready.call, prepareCall(command, where));
    break;
  }
  case CommandKind::Collective: {
    CollectiveSpec spec{command.collective, command.operands[0].dtype,
                        command.from,       command.to,
                        command.axes,       describeCommand(command)};
    PARTITA_TRY(ready.collective, communicator->prepare(spec));
    int64_t in = boxOf(command.from, program.mesh, coords).numElements();
    int64_t out = boxOf(command.to, program.mesh, coords).numElements();
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
        boxOf(command.to, program.mesh, coords).numElements())
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "a view is not as large as its shard");
    break;
  case CommandKind::StoreOutput:
    if (init || command.operands[0].numElements() !=
                    boxOf(command.from, program.mesh, coords).numElements())
      return makeError(ExitCode::InvalidInput, "program.invalid", command.id,
                       "stores an output from init or of another size");
    break;
  }
  return std::move(ready);
}

Status Rank::prepareAll(const std::vector<Command> &commands, bool init,
                        std::vector<Ready> &ready) {
  ready.reserve(commands.size());
  for (const Command &command : commands) {
    current.store(&command, std::memory_order_relaxed);
    Result<Ready> prepared = prepare(command, init);
    if (!prepared)
      return located(prepared.takeError(), command);
    ready.push_back(std::move(*prepared));
  }
  current.store(nullptr, std::memory_order_relaxed);
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
  Box box = boxOf(command.to, context.program->mesh, coords);
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

void Rank::loadInput(const Command &command, const std::byte *from) {
  Box box = boxOf(command.to, context.program->mesh, coords);
  std::byte *to = address(command.results[0]);
  int64_t size = dtypeSize(command.results[0].dtype);
  forEachRun(box, [&](Run run) {
    std::memcpy(to + run.local * size, from + run.global * size,
                run.count * size);
  });
}

/// Of the ranks that hold the same shard, the first one stores it.
void Rank::storeOutput(const Command &command, std::byte *to) {
  uint64_t used = command.from.dimAxes();
  for (size_t axis = 0; axis < coords.size(); ++axis)
    if (!(used >> axis & 1) && coords[axis] != 0)
      return;
  Box box = boxOf(command.from, context.program->mesh, coords);
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
  }
  return ok();
}

void Rank::fillDead(const std::vector<Interval> &dead) {
  for (Interval part : dead)
    std::memset(memory.arena() + part.begin, deadByte, part.size());
}

Status Rank::executeAll(std::vector<Ready> &list, bool init,
                        const StepTensors &tensors) {
  if (context.checkArena)
    fillDead({{0, memory.arenaSize()}});
  int64_t count = static_cast<int64_t>(list.size());
  for (int64_t i = 0; i < count; ++i) {
    Ready &ready = list[i];
    current.store(ready.command, std::memory_order_relaxed);
    Clock::time_point begin;
    if (context.trace)
      begin = Clock::now();
    Status status = ok();
    try {
      if (!init && context.injection.hits(rank, i, count))
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
      return located(status.takeError(), *ready.command);
    if (context.trace)
      trace.push_back({ready.command, init, begin, Clock::now()});
    if (context.checkArena)
      fillDead((init ? initDead : stepDead)[i]);
  }
  current.store(nullptr, std::memory_order_relaxed);
  return ok();
}

Status Rank::step(const StepTensors &tensors) {
  matmulFlops = 0;
  return executeAll(steps, false, tensors);
}
