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
#include "Messages.h"
#include "Recorder.h"
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
  std::chrono::duration<double> timeout{30};
};

/// Global tensors of a step, by the numbers of inputs and outputs. An output
/// that nobody asked for is null.
struct StepTensors {
  std::vector<const std::byte *> inputs;
  std::vector<std::byte *> outputs;
};

/// One executed command, with nanoseconds of steady_clock.
struct TraceEvent {
  CommandNumber command;
  int64_t begin, end;
  /// For messages of other stages; it comes first.
  int64_t waited;
};

/// What a rank did with its time, in nanoseconds. Waits for messages of other
/// stages are neither.
struct RankTimes {
  int64_t compute = 0, communication = 0;
};

/// What a rank tells of itself. Work is that of the last step.
struct RankSummary {
  int64_t allocatedBytes = 0, weightBytesRead = 0, matmulFlops = 0;
  RankTimes times;
  std::vector<TraceEvent> trace;
};

/// The command of a rank's class, or null.
const Command *findCommand(const RankClass &table, CommandNumber number);
/// "command 5, call matmul @id (nodes)", with "init " before it where it is one
/// of those; empty for none.
std::string describeNumber(const RankClass &table, CommandNumber number);

class Rank {
public:
  /// The record outlives the rank.
  Rank(const RankContext &context, int64_t rank,
       std::unique_ptr<Communicator> communicator,
       std::unique_ptr<Transport> transport, FlightRecord &record);
  ~Rank();

  /// Allocates, prepares both lists and runs `init`.
  Status load();
  /// All micro-batches, one after the other.
  Status step(const StepTensors &tensors);
  /// Whether times are counted from now on.
  void setCounting(bool on) { counting = on; }

  int64_t number() const { return rank; }
  const RankClass &rankClass() const { return table; }
  /// Readable by others: the command being prepared or executed, or null.
  const Command *currentCommand() const {
    return findCommand(table, record.current.load());
  }
  const FlightRecord &flightRecord() const { return record; }
  RankSummary summary() const;
  /// Moves the outputs' parts of a rank of another process into the tensors of
  /// rank 0, which receives, and what ranks tell of themselves into
  /// `summaries` (by rank). Called on every rank; `firstRemote` is the first
  /// one that does not share rank 0's memory.
  Status collect(const StepTensors &tensors, int64_t firstRemote,
                 std::vector<RankSummary> &summaries);

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
  void account(CommandNumber number, CommandKind kind, Clock::time_point begin,
               std::chrono::nanoseconds waitedBefore);
  void fillDead(const std::vector<Interval> &dead);
  Error located(Error error, CommandNumber number) const;

  RankContext context;
  int64_t rank;
  const RankClass &table;
  /// Of the rank's stage, and where the rank is in it.
  Mesh mesh;
  std::vector<int64_t> coords;
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<Transport> transport;
  int64_t microBatch = 0;
  RankMemory memory;
  std::byte *bases[3] = {};
  std::vector<Ready> steps;
  std::vector<std::vector<Interval>> stepDead, initDead;
  FlightRecord &record;
  int64_t weightBytesRead = 0, matmulFlops = 0;
  bool counting = false;
  RankTimes times;
  std::vector<TraceEvent> trace;
};

/// "command 5, call matmul @id (nodes)"; `index` below zero is left out.
std::string describeCommand(const Command &command, int64_t index = -1);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_RANK_H
