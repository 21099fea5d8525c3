//===- Plan.h - A plan as data and as a file --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a plan says, apart from the model that it is for, and its JSON:
//
//   {
//     "format": "partita-plan", "version": 1,
//     "model": {"name": "bert", "identity": "8f3c..."},
//     "topology": "cpu:2",
//     "mesh": {"tp": 2},
//     "strategies": {
//       "qkv": {
//         "op": "nn.matmul", "nodes": ["/attn/MatMul"],
//         "factors": {"n": [{"size": 3}, {"size": 12, "axes": ["tp"]},
//                           {"size": 64}]}
//       }, ...
//     },
//     "predicted": {"step_seconds": 0.01, ..., "peak_bytes": [1024, 1024]},
//     "bound": {"step_seconds": 0.0099, "space": "..."},
//     "gap": 0.01, "proved": true, "stopped_by": "exhausted",
//     "pins": ["*fc1*:n=tp"], "seed": 0, "effort": 32,
//     "run": {"seconds": 0.5, "host": "..."}
//   }
//
// A plan of several micro-batches or stages says so, and gives each operation
// its stage; sizes are of one micro-batch:
//
//     "execution": {
//       "micro_batches": 8, "recompute": false, "schedule": "1f1b",
//       "stages": [{"forward_seconds": [0.1, 0.01], "backward_seconds": [0.2,
//                   0.01], "once_seconds": [0.01, 0.02]}, ...]
//     },
//     "strategies": {"qkv": {"op": "nn.matmul", "stage": 3, ...}, ...}
//
// with seconds of computing and of communication, and "weight_seconds" where
// gradients of weights are split off. Of a schedule with several chunks a
// stage, `stages` lists the chunks, in the order in which data go through them,
// and operations have a "chunk" of their stage. Factors that are whole are left
// out. The order of a mesh's axes counts. Of equal inputs equal bytes come out,
// `run` apart, which is not part of a plan.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLAN_PLAN_H
#define PARTITA_PLAN_PLAN_H

#include "partita/Planner/Planner.h"

namespace partita {

/// One factor of an operation that carries axes.
struct PlannedFactor {
  std::string name;
  DimSharding parts;
  bool operator==(const PlannedFactor &) const = default;
};

struct PlannedOp {
  std::string id;
  /// For readers; not compared with a model.
  std::string kind;
  std::vector<std::string> nodes;
  int stage = 0, chunk = 0;
  std::vector<PlannedFactor> factors;
  bool operator==(const PlannedOp &) const = default;
};

/// How a plan was made.
struct PlanRun {
  double seconds = 0;
  std::string host;
  bool operator==(const PlanRun &) const = default;
};

struct Plan {
  std::string modelName, modelIdentity;
  std::string topology;
  Mesh mesh;
  int64_t microBatches = 1;
  bool recompute = false;
  ScheduleChoice schedule;
  /// Empty: one stage that runs once.
  std::vector<StageTimes> chunks;
  /// In the order of the graph.
  std::vector<PlannedOp> ops;
  PlanCost cost;
  int64_t residentBytes = 0;
  /// By rank; empty until the program has been laid out.
  std::vector<int64_t> peakBytes;
  /// Picoseconds.
  int64_t bound = 0;
  std::string boundSpace;
  double gap = 0;
  bool proved = false;
  StoppedBy stoppedBy = StoppedBy::Work;
  std::vector<std::string> pins, notes;
  uint64_t seed = 0;
  int64_t effort = 0;
  std::optional<PlanRun> run;
  bool operator==(const Plan &) const = default;
};

/// 16 hexadecimal digits that change with anything that plans depend on: ids,
/// rules, types and wiring of the operations.
std::string modelIdentity(const Graph &graph);

/// What a plan says of an operation.
PlannedOp planOperation(const GraphOp &op, const Strategy &strategy);

/// The plan of a planner's result.
Plan makePlan(const Graph &graph, const PlanOptions &options,
              const PlanResult &result);

/// The JSON of a plan, with a final newline. `report` is more JSON that becomes
/// the field of that name, which readPlan() refuses; empty: there is none.
std::string writePlan(const Plan &plan, const std::string &report = "");

/// No plan is longer. Parsed, JSON takes up to 30 times its length.
inline constexpr int64_t maxPlanBytes = int64_t(64) << 20;

/// Reads JSON, which may be hostile: at most maxPlanBytes and 32 levels, no key
/// twice, every field of the right type and range, unknown fields refused but
/// in `run`. `place` names the file. The field `report` becomes `*report`,
/// again as JSON, and is refused without that. Errors: `plan.syntax`,
/// `plan.field` (2).
Result<Plan> readPlan(const std::string &text, const std::string &place,
                      std::string *report = nullptr);

/// How a plan runs; without what operations do where.
Execution executionOf(const Plan &plan);

/// How a plan runs `graph`, which is of one micro-batch. Errors: `plan.field`
/// (2) for a stage or a chunk that is not there, and a schedule that there is
/// none of, `plan.stage-order` (2) for an operation that reads what a later chunk
/// makes.
Result<Execution> executionOf(const Plan &plan, const Graph &graph,
                              const std::string &place);

/// The strategies that a plan gives the operations of `graph`, in their order,
/// each checked against its rule. Errors: `plan.other-model` (2) if the plan
/// lacks an operation or has one that the model lacks, `plan.illegal` (2) if a
/// factor is not the rule's or does not fit it.
Result<std::vector<Strategy>>
strategiesFor(const Plan &plan, const Graph &graph, const std::string &place);

} // namespace partita

#endif // PARTITA_PLAN_PLAN_H
