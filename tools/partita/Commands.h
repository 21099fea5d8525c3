//===- Commands.h - The commands of partita --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A command declares its options and says what it does once they are parsed.
// Results go to stdout. What goes wrong is returned, and Main.cpp prints it:
// nothing else writes errors.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_COMMANDS_H
#define PARTITA_TOOLS_PARTITA_COMMANDS_H

#include "partita/Support/Error.h"
#include <CLI/CLI.hpp>
#include <functional>

namespace partita::tool {

/// What a command does: its exit code, or the error to print.
using Action = std::function<Result<ExitCode>()>;

/// Each adds a command to `app`; when the user gives it, `chosen` is set.
void addPlan(CLI::App &app, Action &chosen);
void addCompile(CLI::App &app, Action &chosen);
void addRun(CLI::App &app, Action &chosen);
void addVerify(CLI::App &app, Action &chosen);
void addInspect(CLI::App &app, Action &chosen);
void addBench(CLI::App &app, Action &chosen);
/// Below `bench`.
void addCostBench(CLI::App &bench, Action &chosen);
void addCalibrationBench(CLI::App &bench, Action &chosen);
void addPlannerBench(CLI::App &bench, Action &chosen);
void addInterpret(CLI::App &app, Action &chosen);
void addBatch(CLI::App &app, Action &chosen);
void addOperators(CLI::App &app, Action &chosen);
void addTopology(CLI::App &app, Action &chosen);
void addExplain(CLI::App &app, Action &chosen);
void addDiff(CLI::App &app, Action &chosen);
void addVerifyBound(CLI::App &app, Action &chosen);
void addCalibrate(CLI::App &app, Action &chosen);
void addDoctor(CLI::App &app, Action &chosen);

/// Runs what a user typed after "partita": prints the result or the error, and
/// gives the exit code.
int runCommandLine(std::vector<std::string> words);

/// A subcommand whose options live in an `Options`, and which runs
/// `body(options)`.
template <typename Options, typename Body>
std::pair<CLI::App *, std::shared_ptr<Options>>
addCommand(CLI::App &app, Action &chosen, const std::string &name,
           const std::string &description, Body body) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand(name, description);
  command->callback(
      [&chosen, options, body] { chosen = [=] { return body(*options); }; });
  return {command, options};
}

/// Writes to stdout. Errors: exit code 2 if that fails (a full disk). Where
/// nobody reads any more, SIGPIPE ends the process.
Status printResult(const std::string &text);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_COMMANDS_H
