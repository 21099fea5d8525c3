//===- Rank.h - One rank of a program --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rank owns its memory and a list of commands made ready: addresses resolved,
// shard offsets evaluated, primitives created. A step walks the list.
// Everything here runs on the rank's own thread, except what is marked as
// readable by others.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_RANK_H
#define PARTITA_LIB_RUNTIME_RANK_H

#include "Inject.h"
#include "Memory.h"
#include "Weights.h"
#include "partita/Runtime/Communicator.h"
#include "partita/Runtime/Library.h"
#include "partita/Runtime/partita.h"
#include <atomic>

namespace partita::runtime {

/// What all ranks of a session have in common.
struct RankContext {
  const Program *program = nullptr;
  const partita_kernel *kernels = nullptr;
  const WeightFiles *weights = nullptr; ///< during load() only
  const std::byte *constants = nullptr;
  Injection injection;
  bool checkArena = false, trace = false, pin = false;
};

/// Global tensors of a step, by the numbers of inputs and outputs. An output
/// that nobody asked for is null.
struct StepTensors {
  std::vector<const std::byte *> inputs;
  std::vector<std::byte *> outputs;
};

/// One executed command.
struct TraceEvent {
  const Command *command;
  bool init;
  Clock::time_point begin, end;
};

class Rank {
public:
  Rank(const RankContext &context, int64_t rank,
       std::unique_ptr<Communicator> communicator);
  ~Rank();

  /// Allocates, prepares both lists and runs `init`.
  Status load();
  Status step(const StepTensors &tensors);

  int64_t number() const { return rank; }
  const RankClass &rankClass() const { return table; }
  /// Readable by others: the command being executed, or null.
  const Command *currentCommand() const { return current.load(); }

  int64_t allocatedBytes() const { return memory.allocatedBytes(); }
  int64_t weightBytesRead = 0;
  /// Of the last step.
  int64_t matmulFlops = 0;
  std::vector<TraceEvent> trace;

private:
  struct Ready;
  Result<Ready> prepare(const Command &command, bool init);
  Status prepareAll(const std::vector<Command> &commands, bool init,
                    std::vector<Ready> &ready);
  Status execute(Ready &ready, const StepTensors &tensors);
  Status executeAll(std::vector<Ready> &list, bool init,
                    const StepTensors &tensors);
  Status loadParameter(const Command &command);
  void loadInput(const Command &command, const std::byte *from);
  void storeOutput(const Command &command, std::byte *to);
  std::byte *address(const View &view) const {
    return bases[static_cast<int>(view.space)] + view.offset;
  }
  void fillDead(const std::vector<Interval> &dead);
  Error located(Error error, const Command &command) const;

  RankContext context;
  int64_t rank;
  std::vector<int64_t> coords;
  const RankClass &table;
  std::unique_ptr<Communicator> communicator;
  RankMemory memory;
  std::byte *bases[3] = {};
  std::vector<Ready> steps;
  std::vector<std::vector<Interval>> stepDead, initDead;
  std::atomic<const Command *> current{nullptr};
};

/// "command 5, call matmul @id (nodes)"; `index` below zero is left out.
std::string describeCommand(const Command &command, int64_t index = -1);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_RANK_H
