//===- Pace.h - Steps that follow each other closely -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rank of an early stage may begin the next step while later stages are still
// at this one, but not run away: groups that have nothing to say to each other
// would drift apart, until one waits too long for another. A step is begun by
// nobody before the one `ahead` steps before its predecessor is done
// everywhere.
//
// Ranks of this process enter and leave steps; the session waits for all of
// them, meets other processes, and then opens what that allows.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_PACE_H
#define PARTITA_LIB_RUNTIME_PACE_H

#include "partita/Runtime/Communicator.h"
#include <condition_variable>
#include <deque>
#include <mutex>

namespace partita::runtime {

class Pace {
public:
  /// A series of steps of the ranks of this process.
  void begin(Interval ranks, int64_t ahead);

  /// Waits until `rank` may begin its next step. Errors: `run.aborted`,
  /// `run.timeout`.
  Status enter(int64_t rank, std::chrono::duration<double> timeout);
  /// `rank` is done with its step.
  void leave(int64_t rank);

  /// Waits until all ranks here have done `step`. False if one of them is later
  /// than the first by more than `timeout`, or after abort().
  bool await(int64_t step, std::chrono::duration<double> timeout);
  /// All ranks everywhere have done the next step that was not yet. Returns
  /// when the first rank here began it.
  Clock::time_point done();

  /// Ends all waits.
  void abort();
  bool aborted() const;
  /// The ranks here that have not done `step`.
  std::vector<int64_t> late(int64_t step) const;
  /// The step that has to be done everywhere before `rank` goes on, or -1 if it
  /// does not wait.
  int64_t awaitedBy(int64_t rank) const;

private:
  struct Place {
    int64_t done = 0; ///< steps
    bool waiting = false;
  };
  Place &place(int64_t rank) { return places[rank - ranks.begin]; }
  std::vector<int64_t> lateLocked(int64_t step) const;

  mutable std::mutex mutex;
  std::condition_variable changed;
  Interval ranks;
  int64_t ahead = 0;
  /// Steps done everywhere.
  int64_t finished = 0;
  bool isAborted = false;
  std::vector<Place> places;
  /// When steps were begun, from `finished` on.
  std::deque<Clock::time_point> begins;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_PACE_H
