//===- Inspect.cpp - partita inspect --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shows a plan file, or the plan that an executable carries and prints when
// asked with `--info`.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Document.h"
#include "Process.h"
#include "partita/Support/File.h"
#include <filesystem>

using namespace partita;
using namespace partita::tool;

namespace {
struct InspectOptions {
  std::string file, format = "text";
};
} // namespace

static Result<bool> isExecutable(const std::string &path) {
  PARTITA_TRY(InputFile file, InputFile::open(path));
  char magic[4] = {};
  if (file.size() < 4)
    return false;
  PARTITA_CHECK(file.read(0, magic, 4));
  return std::string_view(magic, 4) == "\177ELF";
}

/// The plan's text, from a file of either kind.
static Result<std::string> planText(const std::string &path) {
  PARTITA_TRY(bool executable, isExecutable(path));
  if (!executable)
    return readFile(path, maxPlanBytes);
  std::string absolute = std::filesystem::absolute(path);
  PARTITA_TRY(Finished finished, runProcess({{absolute, "--info"}, {}}));
  if (finished.code == 0)
    return finished.output;
  return makeError(ExitCode::InvalidInput, "inspect.executable", path,
                   "does not tell its plan; it ended with " +
                       std::to_string(finished.code) + "\n" + finished.errors,
                   "inspect takes a plan or what partita compile made");
}

static Result<ExitCode> runInspect(const InspectOptions &options) {
  PARTITA_TRY(std::string text, planText(options.file));
  PARTITA_TRY(Document document, readDocument(text, options.file));
  PARTITA_CHECK(printResult(options.format == "json" ? writeDocument(document)
                                                     : describe(document)));
  return ExitCode::Ok;
}

void tool::addInspect(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<InspectOptions>(
      app, chosen, "inspect", "Show what a plan or an executable does",
      runInspect);
  command->add_option("file", options->file, "A plan, or an executable")
      ->required()
      ->type_name("PLAN.json|OUT");
  addFormat(*command, options->format);
}
