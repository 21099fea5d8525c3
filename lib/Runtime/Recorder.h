//===- Recorder.h - What ranks did last ------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A flight recorder for each rank of a process: the command that it is in, whom
// it waits for, and its last commands with their times. Always on, of fixed
// size. Only its rank writes, with plain stores; anybody may read at any time,
// and what is read while it is written may be of two commands.
//
// Where ranks are processes, the memory is an anonymous file: another process
// of the same user can map it through /proc while its owner lives, and then
// read on after the owner was killed or stopped. It goes away with the last
// process that has it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_RECORDER_H
#define PARTITA_LIB_RUNTIME_RECORDER_H

#include "Channel.h"
#include <atomic>

namespace partita::runtime {

/// A command by its list and its place there: `index` of `step`, or -1 - index
/// of `init`.
using CommandNumber = int64_t;
constexpr CommandNumber noCommand = std::numeric_limits<int64_t>::min();

/// Of steady_clock.
inline int64_t nanoseconds(Clock::time_point time) {
  return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

struct FlightEvent {
  std::atomic<int64_t> command, step;
  std::atomic<int64_t> begin, end; ///< nanoseconds()
};

struct FlightRecord {
  static constexpr uint64_t capacity = 256;

  /// Being executed, or noCommand.
  std::atomic<int64_t> current, currentSince;
  /// Steps that were begun.
  std::atomic<int64_t> step;
  /// Ranks that a message is awaited from or for; -1: none.
  std::atomic<int64_t> waitFrom, waitTo;
  /// Commands done; the last `capacity` of them are in `events`.
  std::atomic<uint64_t> done;
  FlightEvent events[capacity];

  void begin(CommandNumber command, Clock::time_point now);
  void end(Clock::time_point now);
  /// The last command done, or noCommand.
  CommandNumber last() const;
};

/// The records of one process, in memory that others can map. Movable.
class FlightRecorder {
public:
  FlightRecorder() = default;
  FlightRecorder(FlightRecorder &&other) noexcept;
  FlightRecorder &operator=(FlightRecorder &&other) noexcept;
  ~FlightRecorder();

  static Result<FlightRecorder> create(int64_t ranks, bool forOthers);
  /// Those of another process, which has them as this file; none if it cannot
  /// be read, or is of another size.
  static FlightRecorder map(int64_t pid, int64_t descriptor, int64_t ranks);

  explicit operator bool() const { return records; }
  FlightRecord &operator[](int64_t i) const { return records[i]; }
  int descriptor() const { return file.get(); }

private:
  /// Maps the file, or memory without one.
  static FlightRecorder adopt(Descriptor file, int64_t ranks);
  Descriptor file;
  FlightRecord *records = nullptr;
  int64_t ranks = 0;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_RECORDER_H
