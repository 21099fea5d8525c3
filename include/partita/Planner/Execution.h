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
// transfer.
//
// An operation runs either for each micro-batch or once a step: what does not
// depend on data (casts of weights), and the optimizer.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_EXECUTION_H
#define PARTITA_PLANNER_EXECUTION_H

#include "partita/Planner/Graph.h"
#include "partita/Support/Error.h"

namespace partita {

/// The name of the axis of stages.
inline constexpr const char *stageAxis = "pp";

struct Execution {
  int64_t stages = 1;
  int64_t microBatches = 1;
  /// The backward pass of a layer runs its forward pass again: only what goes
  /// from layer to layer is kept for it.
  bool recompute = false;
  /// By operation; empty: one stage.
  std::vector<int> stageOf;

  int stage(size_t op) const { return stageOf.empty() ? 0 : stageOf[op]; }
  bool isPlain() const {
    return stages == 1 && microBatches == 1 && !recompute;
  }
  bool operator==(const Execution &) const = default;
};

/// When an operation runs.
enum class OpPhase : uint8_t { Once, Forward, Backward, Update };

/// By operation. Without a backward pass everything that depends on data is
/// Forward.
std::vector<OpPhase> phasesOf(const Graph &graph);

/// `graph` with a `count`th of the batch: what one micro-batch runs. Errors:
/// `plan.micro-batches` (1) if no dimension is the batch or it does not divide.
Result<Graph> microBatched(const Graph &graph, int64_t count);

/// What one stage of `mesh` looks like: the axis of stages has one rank. The
/// others lie on the levels of the machine as they did, for it is the
/// outermost.
Mesh stageOf(Mesh mesh);

/// The times of a stage, in picoseconds: forward and backward of one
/// micro-batch, and what it does once a step.
struct StageTimes {
  struct Time {
    int64_t compute = 0, communication = 0;
    int64_t sum() const { return compute + communication; }
    bool operator==(const Time &) const = default;
  };
  Time forward, backward, once;
  int64_t microBatch() const { return forward.sum() + backward.sum(); }
  bool operator==(const StageTimes &) const = default;
};

/// The time of a step: every stage works on one thing at a time, forward passes
/// follow the stages, backward passes come back, and each stage prefers a
/// backward pass to a forward pass as soon as it has as many micro-batches in
/// flight as stages come after it (1F1B: Narayanan et al., "Memory-Efficient
/// Pipeline-Parallel DNN Training", 2021). Without backward passes that is
/// fill and drain. What is done once a step comes last.
int64_t stepTime(const std::vector<StageTimes> &stages, int64_t microBatches);

/// Micro-batches of which a stage keeps what the backward pass needs.
int64_t inFlight(const Execution &execution, int stage);

} // namespace partita

#endif // PARTITA_PLANNER_EXECUTION_H
