//===- IR.h - Between a module and the planner's data ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A module goes to the planner as a Graph and comes back annotated. Operations
// of the graph are, in order: the entry's arguments (role Input, id
// "input:NAME"), the operations of its body, its results (role Output, id
// "output:NAME").
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLAN_IR_H
#define PARTITA_PLAN_IR_H

#include "mlir/IR/BuiltinOps.h"
#include "partita/Planner/Graph.h"

namespace partita {

/// Reads @step through ShardingRuleOpInterface and CostOpInterface. Errors: an
/// operation without a rule (3, named), no @step (2).
Result<Graph> extractGraph(mlir::ModuleOp module);

/// Puts the mesh and one strategy for each operation of the graph on the
/// module: `dist.mesh @m`, `dist.strategy` and `dist.sharding` attributes.
/// Replaces an earlier plan. Errors: counts or rules that do not match.
Status attachPlan(mlir::ModuleOp module, const Mesh &mesh,
                  const std::vector<Strategy> &strategies);

/// Puts the stage of each operation of the graph on the module, as
/// `dist.in_stage` on operations and results: arguments are read where they are
/// used. Error: a count that does not match.
Status attachStages(mlir::ModuleOp module, const std::vector<int> &stageOf);

} // namespace partita

#endif // PARTITA_PLAN_IR_H
