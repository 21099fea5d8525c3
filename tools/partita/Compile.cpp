//===- Compile.cpp - partita compile --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Commands.h"
#include "Table.h"
#include "partita/Cost/Cost.h"

using namespace partita;
using namespace partita::tool;

namespace {
struct CompileOptions {
  RequestOptions request;
  std::string out;
};
} // namespace

static Result<ExitCode> runCompile(const CompileOptions &options) {
  PARTITA_TRY(Request request, options.request.resolveToRun());
  if (request.training)
    return makeError(ExitCode::Unsupported, "compile.training", "--train",
                     "executables do not train yet",
                     "partita plan --train plans the step");
  Progress progress(Pipeline::phases);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_TRY(runtime::Program program, buildProgramOf(pipeline));
  PARTITA_CHECK(writeProgram(pipeline, program, options.out));
  progress.clear();
  const PlanResult &plan = pipeline.plan();
  std::string text = options.out + ": " + program.modelName + " on " +
                     std::to_string(plan.mesh.numRanks()) +
                     (plan.mesh.numRanks() == 1 ? " rank" : " ranks") +
                     ", mesh " + plan.mesh.str() + ", predicted step " +
                     secondsText(toSeconds(plan.cost.step())) + ", peak " +
                     bytesText(program.peakBytes(0)) + " a rank\n";
  PARTITA_CHECK(printResult(text));
  return ExitCode::Ok;
}

void tool::addCompile(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<CompileOptions>(
      app, chosen, "compile", "Compile a model to one executable", runCompile);
  options->request.declare(*command);
  options->request.declareTraining(*command, /*withGradients=*/false);
  options->request.declareExecution(*command, /*withTraining=*/false);
  command
      ->add_option("-o,--output", options->out,
                   "The executable; its libraries go to OUT.d")
      ->required()
      ->type_name("OUT");
}
