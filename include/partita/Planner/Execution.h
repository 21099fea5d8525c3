//===- Execution.h - Stages, micro-batches and schedules --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step may be cut in two directions: its batch into equal micro-batches that
// run one after another, and its operations into stages that run on parts of
// the ranks. The axis `pp` of a mesh numbers the stages; no factor takes it, so
// all else is as in any plan: operations of a stage have strategies over the
// other axes, and what goes from one stage to another is a reshard and a
// transfer. A stage may have several chunks of the operations; in which order
// it works on chunks and micro-batches is a schedule (partita/Schedule).
//
// An operation runs either for each micro-batch or once a step: what does not
// depend on data (casts of weights), and the optimizer.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_EXECUTION_H
#define PARTITA_PLANNER_EXECUTION_H

#include "partita/Planner/Graph.h"
#include "partita/Schedule/Schedule.h"
#include "partita/Support/Error.h"

namespace partita {

struct Execution {
  int64_t stages = 1;
  int64_t microBatches = 1;
  /// The backward pass of a layer runs its forward pass again: only what goes
  /// from layer to layer is kept for it.
  bool recompute = false;
  /// By operation, its chunk; empty: there is one.
  std::vector<int> chunkOf;
  ScheduleChoice schedule;

  int64_t chunks() const { return stages * schedule.chunksPerLane; }
  int chunk(size_t op) const { return chunkOf.empty() ? 0 : chunkOf[op]; }
  /// Of a chunk; that of an operation's.
  int stageOf(int chunk) const;
  int stage(size_t op) const { return stageOf(chunk(op)); }
  /// Whether gradients of weights are done apart from the backward pass.
  bool splitsWeight() const {
    return stages > 1 && partita::splitsWeight(schedule.kind);
  }
  bool isPlain() const {
    return stages == 1 && microBatches == 1 && !recompute;
  }
  bool operator==(const Execution &) const = default;
};

/// When an operation runs.
enum class OpPhase : uint8_t { Once, Forward, Backward, Weight, Update };

/// For each micro-batch.
inline bool isInLoop(OpPhase phase) {
  return phase == OpPhase::Forward || phase == OpPhase::Backward ||
         phase == OpPhase::Weight;
}
/// In the backward pass, or split off from it.
inline bool isBackward(OpPhase phase) {
  return phase == OpPhase::Backward || phase == OpPhase::Weight;
}

/// By operation. Without a backward pass everything that depends on data is
/// Forward.
std::vector<OpPhase> phasesOf(const Graph &graph);

/// The same with Weight, where the schedule splits gradients of weights off:
/// what no backward pass of another layer waits for.
std::vector<OpPhase> phasesOf(const Graph &graph, const Execution &execution);

/// `graph` with a `count`th of the batch: what one micro-batch runs. Errors:
/// `plan.micro-batches` (1) if no dimension is the batch or it does not divide.
Result<Graph> microBatched(const Graph &graph, int64_t count);

/// The same as strategies over axis 0, which has `count` ranks. Errors: as of
/// microBatched().
Result<std::vector<Strategy>> microBatchStrategies(const Graph &graph,
                                                   int64_t count);

/// `mesh` as if all stages had all of its axes, as transfers between them are
/// priced.
Mesh evenStages(Mesh mesh);

/// What one stage of `mesh` looks like, if it has all axes: the axis of stages
/// has one rank. The others lie on the levels of the machine as they did, for it
/// is the outermost.
Mesh stageOf(Mesh mesh);

/// The times of a chunk of a stage, in picoseconds: forward and backward of one
/// micro-batch, gradients of weights that are split off, and what is done once
/// a step.
struct StageTimes {
  struct Time {
    int64_t compute = 0, communication = 0;
    int64_t sum() const { return compute + communication; }
    Time &operator+=(const Time &other) {
      compute += other.compute;
      communication += other.communication;
      return *this;
    }
    bool operator==(const Time &) const = default;
  };
  Time forward, backward, weight, once;
  int64_t microBatch() const {
    return forward.sum() + backward.sum() + weight.sum();
  }
  StageTimes &operator+=(const StageTimes &other);
  bool operator==(const StageTimes &) const = default;
};

/// The schedule that a step runs by. A step whose shape checkShape() refuses
/// has none.
ScheduleShape shapeOf(const Execution &execution, bool backward);

/// The time of a step by the simulation of its schedule, `times` by chunk;
/// without backward passes that is fill and drain. What is done once a step
/// comes last.
int64_t stepTime(const Execution &execution,
                 const std::vector<StageTimes> &times);

/// Sums of the chunks' times, by stage.
std::vector<StageTimes> timesOfStages(const Execution &execution,
                                      const std::vector<StageTimes> &times);

/// By chunk: micro-batches of which its stage keeps what is read when they come
/// back, when it keeps most.
std::vector<Kept> keptMost(const Execution &execution);

} // namespace partita

#endif // PARTITA_PLANNER_EXECUTION_H
