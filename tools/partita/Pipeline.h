//===- Pipeline.h - A model's way to an executable -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The libraries do the work; this puts them in order:
//
//   load      .onnx -> nn, composites raised         00-import 01-raised
//             with --train, its training step        02-training
//   choose    -> strategies, attached                02-plan 03-planned
//   lower     -> local programs, commands            04-reshards .. 08-kernels
//   tabulate  -> the command table: memory and communication as they will be
//   emit      -> the object file of the kernels
//
// Every stage can be written to a folder. The module is verified after import,
// raising, localising and the selection of commands; where stages are kept, and
// so also when a request that failed is run again, after each phase. A phase
// that fails ends the pipeline; what MLIR said about it is part of the one
// error.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_PIPELINE_H
#define PARTITA_TOOLS_PARTITA_PIPELINE_H

#include "Diagnostics.h"
#include "Options.h"
#include "Progress.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "partita/Planner/Planner.h"
#include "partita/Runtime/Program.h"

namespace partita::tool {

class Pipeline {
public:
  /// Phases that report to Progress.
  static constexpr int phases = 9;

  Pipeline(Request request, Progress &progress);

  /// Each is called once, in this order.
  Status load();
  Status choose();
  Status lower();
  /// The graph of one of `count` micro-batches, if that of the module, which is
  /// as load() left it, is `graph`. Errors: as of microBatched().
  Result<Graph> microBatch(const Graph &graph, int64_t count);
  /// Whether programs can run the plan; else there is nothing to lower.
  bool mayRun() const;
  /// Back to before choose(), with `bytes` less for the plan, which must leave
  /// some: its program needed so many more than there are.
  void tighten(int64_t bytes);
  /// Without predicted times and without a plan's text.
  Result<runtime::Program> tabulate();
  Result<std::vector<char>> emit();

  const Request &asked() const { return request; }
  mlir::ModuleOp module() { return *current; }
  /// The program before anything was done to it, if Request::keepImported.
  mlir::ModuleOp imported() { return *original; }
  /// The operations that were planned; after choose().
  const Graph &graph() const { return modelGraph; }
  const PlanResult &plan() const { return planned; }
  /// Seconds that the choice took.
  double planSeconds() const { return searchSeconds; }

  /// Writes a stage to the folder that the user named, if any.
  Status dump(const std::string &stage, llvm::function_ref<std::string()> text);

private:
  /// WhenKept: what a phase made is checked otherwise, by itself or by the one
  /// that reads it (the importer verifies; strategies are checked against their
  /// rules one by one; localize compares both ends of every use; a program is
  /// validated), and verifying deep models takes as long as a phase.
  enum class Check { Always, WhenKept };
  /// Runs one phase on the module, verifies the module and dumps it.
  template <typename Body>
  Status phase(const char *label, const char *stage, Check check, Body body);
  /// `error` with what MLIR said. If it is a defect, the stages up to it are
  /// kept in a folder that the error names.
  Error explain(Error error);
  Status search();
  Status cutBatch(mlir::ModuleOp module, const Graph &graph, int64_t count);

  Request request;
  Progress &progress;
  mlir::MLIRContext context;
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> original, raised, current, kernels;
  Graph modelGraph;
  PlanResult planned;
  /// Of the whole batch.
  Graph wholeGraph;
  double searchSeconds = 0;
  /// Of the first choice, which had all the memory there is.
  struct Bound {
    int64_t picoseconds;
    std::string space;
  };
  std::optional<Bound> firstBound;
  int stages = 0;
};

/// Starts this process's one pipeline. It is not taken down: freeing a large
/// module object by object takes as long as a phase, and the process ends
/// anyway.
Pipeline &startPipeline(Request request, Progress &progress);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_PIPELINE_H
