//===- Plan.cpp - partita plan --------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decides, and lowers the decision to the command table without generating
// code: the memory and the communication that it prints are those of the
// executable.
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Commands.h"
#include "Document.h"
#include "Remarks.h"
#include "Repair.h"
#include "partita/Support/File.h"
#include <atomic>
#include <csignal>
#include <unistd.h>

using namespace partita;
using namespace partita::tool;

namespace {
struct PlanCommandOptions {
  RequestOptions request;
  RemarkOptions remarks;
  std::string out, format = "text";
};
} // namespace

static std::atomic<bool> interrupted = false;
/// What Ctrl-C did before.
static struct sigaction usual;

/// From now on the first Ctrl-C keeps the best plan so far; another one ends
/// the process.
static void keepBestOnInterrupt() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    interrupted = true;
    ::sigaction(SIGINT, &usual, nullptr);
  };
  sigemptyset(&action.sa_mask);
  // What whoever started us chose to ignore stays ignored.
  if (::sigaction(SIGINT, nullptr, &usual) == 0 && usual.sa_handler != SIG_IGN)
    ::sigaction(SIGINT, &action, nullptr);
}

static std::string hostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

static Result<ExitCode> runPlan(const PlanCommandOptions &options) {
  PARTITA_CHECK(checkRemarks(options.remarks));
  PARTITA_TRY(Request request, options.request.resolve());
  request.interrupted = [] { return interrupted.load(); };
  keepBestOnInterrupt();
  const Request asked = request;
  Progress progress(Pipeline::phases - 1);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  auto built = planDocumentOf(pipeline);
  if (!built)
    return withRepairs(asked, pipeline.graph(), progress, built.takeError());
  Document document = std::move(*built);
  document.plan.run = PlanRun{pipeline.planSeconds(), hostName()};
  progress.clear();
  std::string json = writeDocument(document);
  if (!options.out.empty())
    PARTITA_CHECK(writeFileAtomically(options.out, json));
  if (options.remarks.isEnabled())
    PARTITA_CHECK(emitRemarks(pipeline, document, options.remarks));
  if (options.format == "json")
    PARTITA_CHECK(printResult(json));
  else
    PARTITA_CHECK(printResult(describe(document)));
  return ExitCode::Ok;
}

void tool::addPlan(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<PlanCommandOptions>(
      app, chosen, "plan", "Decide how to split a model; compile nothing",
      runPlan);
  options->request.declare(*command);
  options->request.declareTraining(*command, /*withGradients=*/false);
  options->request.declareExecution(*command, /*withTraining=*/true);
  command
      ->add_option("--resume", options->request.resumeFile,
                   "Begin with the plan of this file, of a search that was "
                   "stopped: the new one is no worse")
      ->excludes("--plan")
      ->type_name("P.json");
  command->add_flag("--remarks", options->remarks.print,
                    "Say on stderr what was chosen, and what was missed, for "
                    "operations that are alike");
  command
      ->add_option("--remarks-filter", options->remarks.filter,
                   "Of remarks, those of categories that match: plan, gap, "
                   "split, replicated")
      ->type_name("REGEX");
  command
      ->add_option("--remarks-output", options->remarks.yamlFile,
                   "Write remarks here, in the YAML of LLVM's tools")
      ->type_name("FILE.yaml");
  command
      ->add_option("-o,--output", options->out,
                   "Write the plan here, as --format json prints it")
      ->type_name("PLAN.json");
  addFormat(*command, options->format);
}
