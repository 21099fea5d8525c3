//===- Pipeline.h - A model's way to an executable -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The libraries do the work; this puts them in order:
//
//   load       .onnx -> nn, composites raised          00-import 01-raised
//   choose     -> strategies                           02-plan 03-planned
//   partition  -> one program for each rank class      04 .. 06
//   lower      -> commands over buffers                07-rt
//   generate   -> kernels and the command table        08-kernels 09-program
//
// The module is verified after each phase, and every stage can be written to a
// folder. A phase that fails ends the pipeline; what MLIR said about it is part
// of the one error.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_PIPELINE_H
#define PARTITA_TOOLS_PARTITA_PIPELINE_H

#include "Diagnostics.h"
#include "Options.h"
#include "Progress.h"
#include "partita/Plan/PlanFile.h"
#include "partita/Runtime/Program.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace partita::tool {

/// The phases that `plan` goes through, and those of `compile`, for bars.
inline constexpr int planPhases = 4, compilePhases = 6;

class Pipeline {
public:
  Pipeline(Request request, Progress &progress);

  /// Each is called once, in this order.
  Status load();
  Status choose();
  Status partitionAndLower();
  /// The command table without code: kernels have names only. Memory and
  /// communication are those of the executable.
  Result<runtime::Program> tabulate();
  /// The command table and the object file of its kernels.
  Result<runtime::Program> generate(std::vector<char> &object);

  const Request &asked() const { return request; }
  mlir::ModuleOp module() { return *current; }
  const Graph &graph() const { return modelGraph; }
  /// Known after choose().
  PlanFile &plan() { return planned; }

private:
  /// Runs one phase, then verifies and dumps.
  template <typename Body>
  Status phase(const char *label, const char *stage, Body body);
  /// Writes a stage to the folder that the user named.
  Status dump(const std::string &stage, const std::string &text);
  Status finish(runtime::Program &program);

  Request request;
  Progress &progress;
  mlir::MLIRContext context;
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> current;
  Graph modelGraph;
  PlanFile planned;
  int nextStage = 0;
};

/// All phases up to the program; `object` receives the kernels.
Result<runtime::Program> compileProgram(Pipeline &pipeline,
                                        std::vector<char> &object);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_PIPELINE_H
