//===- Planner.h - From a graph to a plan -----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Chooses a strategy for every operation so that a step takes least time, and
// proves how far from the best it may be. The way:
//
//   DimClasses   which dimensions are one loop, what they are made of, and
//                which of them are batch or sequence
//   Strategies   the legal strategies of an operation on a mesh
//   Problem      those as numbers: variables, prices, pairwise tables
//   Solver       exact elimination, or the best it finds and a lower bound
//   verify       cost and legality again, by code of its own
//
// The same for every mesh of the topology where none is asked for.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_PLANNER_H
#define PARTITA_PLANNER_PLANNER_H

#include "partita/Planner/Execution.h"
#include "partita/Topology/Topology.h"
#include <functional>
#include <optional>

namespace partita {

/// Manual control: the operations that match `glob` take `factor` on `axis`.
struct Pin {
  /// Matched against operation ids and the names of ONNX nodes; `*` and `?`.
  std::string glob;
  /// The name of a factor, or "name.i" for part i of its refinement; or
  /// "batch", "sequence", "experts" for whatever is one, backward too. Empty
  /// with an empty axis: the operation is wholly replicated.
  std::string factor;
  std::string axis;
  std::string text;

  /// Parses "GLOB:factor=axis" or "GLOB:replicated". Errors: exit code 1.
  static Result<Pin> parse(const std::string &text);
};

/// Why a search ended: a plan was proved the best; its step is its bound; the
/// work that `effort` allows was done; or whoever asked wanted it to.
enum class StoppedBy : uint8_t { Exhausted, Gap, Work, Time, User };
/// "exhausted", "gap", ...
const char *stoppedByName(StoppedBy reason);
std::optional<StoppedBy> parseStoppedBy(const std::string &name);

/// The parts of a plan's predicted time, of the slowest rank, in picoseconds.
struct PlanCost {
  int64_t compute = 0;
  int64_t communication = 0;
  /// Of everything that runs once, at load; not part of the step.
  int64_t load = 0;
  /// What the stage that does most waits for others.
  int64_t idle = 0;
  int64_t step() const { return compute + communication + idle; }
  PlanCost &operator+=(const PlanCost &other) {
    compute += other.compute;
    communication += other.communication;
    load += other.load;
    idle += other.idle;
    return *this;
  }
  bool operator==(const PlanCost &) const = default;
};

struct PlanResult {
  Mesh mesh;
  Execution execution;
  /// By chunk: one of each stage, or more (Execution::schedule).
  std::vector<StageTimes> chunks;
  /// By operation.
  std::vector<Strategy> strategies;
  PlanCost cost;
  /// No plan of `boundSpace` takes a shorter step, in picoseconds.
  int64_t bound = 0;
  std::string boundSpace;
  /// (step - bound) / step.
  double gap = 0;
  /// The search was exact: the plan is the best of its space by the planner's
  /// objective, which is the step's time plus small prices for resident bytes
  /// and for what runs at load.
  bool proved = false;
  StoppedBy stoppedBy = StoppedBy::Work;
  /// Bytes of parameters and of what is computed from them at load, rank 0.
  int64_t residentBytes = 0;
  /// Bytes of a rank at the fullest time, as far as operations decide
  /// (PlanOptions::memoryLimit); zero without a limit.
  int64_t leastPeakBytes = 0;
  /// Remarks for the user: axes that nothing uses, ...
  std::vector<std::string> notes;

  /// The bound, or the step if that is less, and the gap.
  void setBound(int64_t picoseconds);
};

struct PlanOptions {
  Topology topology;
  /// Searched for if absent. Its product must be the number of ranks.
  std::optional<Mesh> mesh;
  /// The most axes of a mesh that is searched for, from 1 to 4, the axis of
  /// stages not counted.
  int maxAxes = 2;
  /// Micro-batches; zero: searched for, where the graph is a training step or
  /// there are stages.
  int64_t microBatches = 1;
  /// The graph of one of so many micro-batches, where the model itself is cut:
  /// with one sample in each its operations may have other rules. Absent:
  /// microBatched().
  std::function<Result<Graph>(int64_t)> microBatch;
  /// The most stages that are searched for; an axis `pp` of `mesh` says how
  /// many there are.
  int64_t maxStages = 1;
  /// Whether layers run again for their backward pass; absent: searched for.
  std::optional<bool> recompute = false;
  /// In which order stages work, where there are several; absent: searched for.
  std::optional<ScheduleChoice> schedule = ScheduleChoice();
  /// Bytes that a rank has; zero: no limit. Plans hold to it as far as
  /// operations decide: what is resident, and what products, convolutions and
  /// attention read and write. The program may need more.
  int64_t memoryLimit = 0;
  std::vector<Pin> pins;
  /// Work units of the improving search where exact elimination does not fit.
  int64_t effort = 32;
  uint64_t seed = 0;
  /// Asked between pieces of work: Time or User to take the best plan so far.
  /// One is made in any case.
  std::function<std::optional<StoppedBy>()> stop;
  /// A plan of the same graph and topology: the search begins with it, and
  /// finds none that is worse by what plans are chosen by. Its bound is taken
  /// for that of the search if it is of the same space.
  std::optional<PlanResult> resumed;
  /// Every operation takes a random legal strategy: for tests.
  bool randomStrategies = false;
  /// Of these, one that splits, if there is any.
  bool splitAll = false;
};

/// Plans. Errors: `plan.mesh-size` (1) if the mesh's product is not the number
/// of ranks; `plan.pin` (1) for a pin that matches nothing or names what is not
/// there; `plan.pins-conflict` (4) if no strategy of an operation satisfies its
/// pins; `plan.memory` (4) if no plan fits into the limit, `plan.memory-search`
/// (4) if none was found; `plan.stages` (1) for more stages than there are
/// segments; `plan.micro-batches` (1); `schedule.shape` (1) for a schedule that
/// has no such numbers; `plan.resume` (1) for a plan to begin with that is not
/// what is asked for; `plan.graph` (70) for a malformed graph.
Result<PlanResult> plan(const Graph &graph, const PlanOptions &options);

/// The cost of given strategies under the same model as plan()'s, by
/// independent code. `graph` is of one micro-batch. `times` gets those of
/// each chunk. Errors: `plan.illegal` (2) naming the operation if a strategy is
/// not legal.
Result<PlanCost> evaluate(const Graph &graph, const Topology &topology,
                          const Mesh &mesh,
                          const std::vector<Strategy> &strategies,
                          const Execution &execution = {},
                          std::vector<StageTimes> *times = nullptr);

/// The same by operation: its kernel, and the reshards of what it makes, as
/// often as a step has them. Of a plan without stages they sum to what
/// evaluate() gives; stages work at the same time, and wait for each other.
Result<std::vector<PlanCost>>
evaluateParts(const Graph &graph, const Topology &topology, const Mesh &mesh,
              const std::vector<Strategy> &strategies,
              const Execution &execution = {});

} // namespace partita

#endif // PARTITA_PLANNER_PLANNER_H
