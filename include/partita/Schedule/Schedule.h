//===- Schedule.h - Who works on what in which order ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model is cut into chunks that follow each other, and a batch into
// micro-batches. A lane, a group of ranks, has one or more of the chunks and
// works on one task at a time:
//
//   forward   of a chunk and a micro-batch: after that of the chunk before
//   backward  what the chunk before waits for: after the chunk's own forward
//             pass and the backward pass of the chunk after it
//   weight    gradients that only the update reads: after the backward pass, at
//             any time. Where it is not split off it is a part of that pass.
//
// A schedule is data: the order of each lane's tasks. When a task begins
// follows from the order and from how long tasks take. One generator makes all
// kinds: a lane takes forward passes as long as it is at most so far `ahead` of
// its backward passes, and keeps at most so many micro-batches; else what is
// next of the others. The kinds differ in these two numbers.
//
//   kind          ahead on lane s of p     kept      bubble of equal lanes
//   fill, drain   all                      -         (p-1) F
//   GPipe         all                      m         (p-1) (F+B+W)
//   1F1B          p-s                      p-s       (p-1) (F+B+W)
//   interleaved   2(p-s-1) + (v-1)p + 1    the same  (p-1) (F+B+W) / v
//   ZB-H1         p-s                      p         (p-1) (F+B-W)
//   ZB-H2         2(p-s) - 1               2p-1      (p-1) (F+B-2W), own span
//   ZB-V          2p (of half size)        2p        (p-1) F / 2, if F=B=W
//
// F, B and W are of all chunks of a lane, W <= B; the counts are of chunks. The
// formulas are those of Huang et al., arXiv:1811.06965 (GPipe), Narayanan et
// al., arXiv:2104.04473 (1F1B, interleaved), Qi et al., arXiv:2401.10241 and
// arXiv:2405.15362 (ZB).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SCHEDULE_SCHEDULE_H
#define PARTITA_SCHEDULE_SCHEDULE_H

#include "partita/Support/Error.h"
#include <optional>
#include <vector>

namespace partita {

enum class ScheduleKind : uint8_t {
  OneForwardOneBackward,
  GPipe,
  Interleaved,
  ZeroBubbleH1,
  ZeroBubbleH2,
  ZeroBubbleV
};
/// "1f1b", "gpipe", "interleaved", "zb-h1", "zb-h2", "zb-v".
const char *scheduleName(ScheduleKind kind);
/// Whether gradients of weights are tasks of their own.
bool splitsWeight(ScheduleKind kind);

/// A kind, and how many chunks a lane has.
struct ScheduleChoice {
  ScheduleKind kind = ScheduleKind::OneForwardOneBackward;
  int64_t chunksPerLane = 1;

  /// "1f1b", "interleaved:3".
  std::string str() const;
  /// Reads that; "interleaved" has two chunks. Errors: `schedule.name` (1).
  static Result<ScheduleChoice> parse(const std::string &text);
  bool operator==(const ScheduleChoice &) const = default;
};

/// What a schedule is made for.
struct ScheduleShape {
  ScheduleKind kind = ScheduleKind::OneForwardOneBackward;
  int64_t lanes = 1, chunksPerLane = 1, microBatches = 1;
  /// Without backward passes every kind fills and drains.
  bool backward = true;
  /// Chunks of micro-batches that a lane keeps at most, if that is less than
  /// the kind's own number; zero: the kind's own number.
  int64_t cap = 0;
  /// Of ZB-V: what a forward pass, a backward pass and gradients of weights
  /// take about, in any unit, by which its order is made.
  int64_t units[3] = {1, 1, 1};

  int64_t chunks() const { return lanes * chunksPerLane; }
  /// The lane of a chunk: dealt in order; of ZB-V there and back again.
  int64_t laneOf(int64_t chunk) const;
  /// The chunk that a lane has as its `number`th.
  int64_t chunkOf(int64_t lane, int64_t number) const {
    // Places and lanes are the same thing, or turned round.
    return number * lanes + laneOf(number * lanes + lane);
  }
};

/// Errors: `schedule.shape` (1) for numbers that a kind does not have:
/// interleaved, a number of micro-batches that the lanes do not divide; of
/// others more than one chunk a lane, of ZB-V not two; more than 2^24 tasks.
Status checkShape(const ScheduleShape &shape);

enum class TaskKind : uint8_t { Forward, Backward, Weight };

struct Task {
  int chunk = 0, microBatch = 0;
  TaskKind kind = TaskKind::Forward;
  /// "backward of chunk 3, micro-batch 5".
  std::string str() const;
  bool operator==(const Task &) const = default;
};

struct Schedule {
  int64_t microBatches = 1;
  bool backward = true, splitsWeight = false;
  /// By chunk.
  std::vector<int> laneOf;
  /// By lane, in the order of work.
  std::vector<std::vector<Task>> lanes;

  int chunks() const { return static_cast<int>(laneOf.size()); }
};

/// Errors: those of checkShape(), and `schedule.cap` (1) if lanes would wait
/// for each other.
Result<Schedule> makeSchedule(const ScheduleShape &shape);

//===----------------------------------------------------------------------===//
// What an order takes
//===----------------------------------------------------------------------===//

/// Of a chunk and a micro-batch, in any unit. `sendForward` passes between the
/// end of a forward pass and what the next chunk makes of it, `sendBackward`
/// between that of a backward pass and the chunk before.
struct ChunkTimes {
  int64_t forward = 0, backward = 0, weight = 0;
  int64_t sendForward = 0, sendBackward = 0;
};

struct LaneSpan {
  int64_t begin = 0, end = 0, busy = 0;
  /// Between the first task and the last.
  int64_t idle() const { return end - begin - busy; }
};

/// When each lane works if every task begins as soon as it can. `times` by
/// chunk. Errors: `schedule.cycle` (2) naming a task that is never ready.
Result<std::vector<LaneSpan>> simulate(const Schedule &schedule,
                                       const std::vector<ChunkTimes> &times);

/// How many tasks of a chunk are in a chain.
struct ChainCounts {
  int64_t forward = 0, backward = 0, weight = 0;
  bool operator==(const ChainCounts &) const = default;
};

/// Tasks each of which waits for the one before it: for what it needs, or for
/// its lane. Whatever tasks take, the step takes no less than a chain's.
struct TaskChain {
  /// By chunk.
  std::vector<ChainCounts> counts;
  /// That works on its last task.
  int lane = 0;
};

/// The chain that says when the lane ends that, with `tails` by lane, ends
/// last. Errors: as of simulate().
Result<TaskChain> longestChain(const Schedule &schedule,
                               const std::vector<ChunkTimes> &times,
                               const std::vector<int64_t> &tails);

/// Micro-batches of a chunk.
struct Kept {
  /// That ran forward, and of which something is yet to be done; of these,
  /// those that wait for their gradients of weights only.
  int64_t all = 0, forWeight = 0;
  bool operator==(const Kept &) const = default;
};

/// By chunk, at the time when its lane keeps most of all its chunks together.
/// That depends on the order alone.
std::vector<Kept> keptMost(const Schedule &schedule);

//===----------------------------------------------------------------------===//
// What can be proved of an order
//===----------------------------------------------------------------------===//

/// That every task is there once, on its chunk's lane, after what it needs, and
/// that no lane waits in a cycle, neither for tasks nor, if two messages from
/// one lane to another may be under way, for exchanges. Errors (2), each naming
/// lane, entry and task: `schedule.task` for one that is not of the schedule,
/// `schedule.lane`, `schedule.repeated`, `schedule.missing`, `schedule.order`
/// for one that comes before what it needs of its own lane, `schedule.cycle`;
/// those of checkExchanges().
Status checkSchedule(const Schedule &schedule);

/// What a rank does that others may wait for.
struct Exchange {
  enum Kind : uint8_t { Send, Receive, Collective };
  Kind kind = Send;
  /// The other rank; of a collective, the group.
  int with = 0;
  /// What is exchanged; equal on both sides.
  int64_t tag = 0;
  bool operator==(const Exchange &) const = default;
};

/// By lane: what comes from other lanes before each task, and goes to others
/// after it. What comes from a lane is received in the order in which that lane
/// sends it, if need be before it is used. The tag is the task's that sends.
std::vector<std::vector<Exchange>> exchangesOf(const Schedule &schedule);

/// That ranks that do these things in these orders all come to their ends,
/// whatever their speed. Messages between two ranks arrive in the order in
/// which they are sent, and a send waits while `ahead` of them are not received
/// yet; with zero it waits for its receive. A collective waits for all ranks of
/// its group. `groups` has their ranks, in ascending order.
///
/// One run proves it for all: what a rank does next is fixed, and nothing that
/// another rank does takes from it what it was ready for. Errors (2), naming
/// rank and entry: `schedule.exchange` for a rank or group that is not there,
/// `schedule.mismatch` if two ranks disagree about what comes next between
/// them, `schedule.deadlock` with those that wait for each other.
Status checkExchanges(const std::vector<std::vector<Exchange>> &ranks,
                      const std::vector<std::vector<int>> &groups,
                      int64_t ahead = 2);

} // namespace partita

#endif // PARTITA_SCHEDULE_SCHEDULE_H
