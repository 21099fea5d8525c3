//===- Main.cpp - The command line of Partita -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Parses the command line, runs one command, prints its error if it has one,
// and exits with the error's code. Every way out leads through here, exceptions
// of the standard library included.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "partita/Support/Transient.h"
#include "llvm/Support/ErrorHandling.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <malloc.h>
#include <new>

using namespace partita;
using namespace partita::tool;

/// Ends the process as `head` ends what writes to it.
[[noreturn]] static void dieWithoutReader() {
  removeTransientPaths();
  std::signal(SIGPIPE, SIG_DFL);
  std::raise(SIGPIPE);
  std::_Exit(128 + SIGPIPE);
}

Status tool::printResult(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0)
    return ok();
  if (errno == EPIPE)
    dieWithoutReader();
  return makeError(ExitCode::InvalidInput, "output.write", "standard output",
                   "the result cannot be written",
                   "is the disk behind it full?");
}

/// The version of CMakeLists.txt; a test compares them.
static constexpr const char *version = "0.1.0";

static int report(const Error &error) {
  std::fprintf(stderr, "%s\n", error.str().c_str());
  return static_cast<int>(error.exit);
}

static Error memoryError() {
  return makeError(ExitCode::Unsupported, "memory", "partita",
                   "there is not enough memory",
                   "raise the memory limit, or use a larger machine");
}

/// What CLI11 found wrong, as one of our errors.
static Error usageError(const CLI::App &app, const CLI::ParseError &error) {
  std::string help = "partita";
  for (const CLI::App *command : app.get_subcommands())
    help += " " + command->get_name();
  std::string message = error.what();
  while (!message.empty() && message.back() == '\n')
    message.pop_back();
  return makeError(ExitCode::Usage, "usage", "command line", message,
                   "try " + help + " --help");
}

/// What is said where not even a message can be made any more.
static const std::string outOfMemory = memoryError().str() + "\n";

/// Ends the process where an allocator finds no memory. It cannot throw: most
/// frames that it is called from are not made for exceptions.
[[noreturn]] static void dieOutOfMemory() {
  std::fputs(outOfMemory.c_str(), stderr);
  removeTransientPaths();
  std::_Exit(static_cast<int>(ExitCode::Unsupported));
}

/// mimalloc, where it is linked, looks for no handler of C++ before it aborts.
extern "C" __attribute__((weak)) void
mi_register_error(void (*handler)(int, void *), void *argument);

static void dieWhereMemoryEnds() {
  std::set_new_handler(dieOutOfMemory);
  llvm::install_bad_alloc_error_handler(
      [](void *, const char *, bool) { dieOutOfMemory(); });
  auto handler = [](int number, void *) {
    if (number == ENOMEM || number == EOVERFLOW)
      dieOutOfMemory();
  };
  if (mi_register_error)
    mi_register_error(handler, nullptr);
}

static Result<ExitCode> runGuarded(const Action &action) {
  try {
    return action();
  } catch (const std::bad_alloc &) {
    return memoryError();
  } catch (const std::exception &exception) {
    return makeError(ExitCode::Internal, "internal", "partita",
                     exception.what(),
                     "this is a defect of Partita; --dump-dir DIR keeps the "
                     "program up to it: please report it with that");
  }
}

int tool::runCommandLine(std::vector<std::string> words) {
  CLI::App app("Splits an ONNX model over the ranks of a machine and compiles "
               "it to one executable.\n",
               "partita");
  app.require_subcommand(1);
  app.set_version_flag("--version", version);
  app.footer("Exit codes: 0 ok, 1 usage, 2 invalid input, 3 unsupported, "
             "4 infeasible,\n5 numerical mismatch, 6 distributed fault, "
             "7 different, 70 internal.");
  Action chosen;
  addCompile(app, chosen);
  addPlan(app, chosen);
  addInspect(app, chosen);
  addRun(app, chosen);
  addVerify(app, chosen);
  addBench(app, chosen);
  addInterpret(app, chosen);
  addBatch(app, chosen);
  addOperators(app, chosen);
  addTopology(app, chosen);
  addDiff(app, chosen);
  addExplain(app, chosen);
  addVerifyBound(app, chosen);
  addCalibrate(app, chosen);
  addDoctor(app, chosen);
  try {
    // It takes them from the back.
    std::reverse(words.begin(), words.end());
    app.parse(std::move(words));
  } catch (const CLI::Success &success) {
    app.exit(success);
    return 0;
  } catch (const CLI::ParseError &error) {
    return report(usageError(app, error));
  }
  Result<ExitCode> result = runGuarded(chosen);
  return result ? static_cast<int>(*result) : report(result.error());
}

int main(int argc, char **argv) {
  // A reader that goes away and a file that may not grow are errors of writing,
  // not deaths (but see printResult); the linker inherits this.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  removeTransientPathsOnSignals();
  dieWhereMemoryEnds();
  // Memory that one phase gives back the next one takes: returning it to the
  // system in between is a tenth of the time.
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
  int code = runCommandLine({argv + 1, argv + argc});
#if !__has_feature(address_sanitizer)
  // Without taking down what startPipeline() keeps.
  std::fflush(nullptr);
  std::_Exit(code);
#endif
  return code;
}
