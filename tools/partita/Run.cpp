//===- Run.cpp - partita run ----------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An executable has its own command line; `partita run OUT ...` is `./OUT ...`.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Process.h"
#include <filesystem>

using namespace partita;
using namespace partita::tool;

void tool::addRun(CLI::App &app, Action &chosen) {
  CLI::App *command = app.add_subcommand(
      "run", "Run an executable: the same as ./OUT with these arguments");
  command->prefix_command();
  command->footer("OUT and its arguments follow; `./OUT --help` lists them.");
  command->callback([&chosen, command] {
    std::vector<std::string> arguments = command->remaining();
    chosen = [arguments]() mutable -> Result<ExitCode> {
      if (arguments.empty())
        return makeError(ExitCode::Usage, "usage", "command line",
                         "which executable?",
                         "partita run OUT --random-inputs 7");
      arguments[0] = std::filesystem::absolute(arguments[0]);
      return becomeProcess({arguments, {}});
    };
  });
}
