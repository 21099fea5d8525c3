//===- Batch.cpp - partita batch ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Thousands of small models take longer to start the compiler for than to
// compile. `partita batch` starts once and reads command lines:
//
//   stdin   ["interpret", "M.onnx", "--output-dir", "D"]     one a line
//   stdout  {"code": 0, "out": "..", "err": ".."}            one a line
//
// Each runs in a forked process: whatever one does, crash or hang, the next
// begins as the first did. This process has no threads, so that forking it is
// safe.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::tool;
using nlohmann::json;

namespace {
struct BatchOptions {
  unsigned timeLimit = 0;
};

/// A file in memory that takes what a child writes to one of its streams.
class Captured {
public:
  Captured() : descriptor(memfd_create("captured", MFD_CLOEXEC)) {}
  ~Captured() {
    if (descriptor >= 0)
      close(descriptor);
  }
  Captured(const Captured &) = delete;

  bool replace(int stream) const {
    return descriptor >= 0 && dup2(descriptor, stream) >= 0;
  }
  std::string text() const {
    std::string all;
    char chunk[1 << 12];
    ssize_t count;
    for (off_t at = 0;
         (count = pread(descriptor, chunk, sizeof(chunk), at)) > 0; at += count)
      all.append(chunk, count);
    return all;
  }

private:
  int descriptor;
};
} // namespace

static Error malformed(size_t line) {
  return makeError(
      ExitCode::InvalidInput, "batch.line",
      "line " + std::to_string(line) + " of standard input",
      "is not an array of strings",
      "write [\"interpret\", \"M.onnx\", \"--output-dir\", \"D\"]");
}

/// The words of a line, which is a JSON array of strings.
static Result<std::vector<std::string>> parseLine(const std::string &text,
                                                  size_t line) {
  auto parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array())
    return malformed(line);
  std::vector<std::string> words;
  for (const json &word : parsed) {
    if (!word.is_string())
      return malformed(line);
    words.push_back(word.get<std::string>());
  }
  return words;
}

/// In the child: never returns.
[[noreturn]] static void runAlone(const std::vector<std::string> &words,
                                  const Captured &out, const Captured &err,
                                  unsigned timeLimit) {
  alarm(timeLimit);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || !out.replace(STDOUT_FILENO) ||
      !err.replace(STDERR_FILENO))
    _exit(static_cast<int>(ExitCode::Internal));
  int code = runCommandLine(words);
  std::fflush(nullptr);
  _exit(code);
}

static Result<json> answer(const std::vector<std::string> &words,
                           unsigned timeLimit) {
  Captured out, err;
  std::fflush(nullptr);
  pid_t child = fork();
  if (child < 0)
    return makeError(ExitCode::Unsupported, "batch.fork", "partita batch",
                     "no process can be started",
                     "raise the limit of processes or of memory");
  if (child == 0)
    runAlone(words, out, err, timeLimit);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return json{{"code", code}, {"out", out.text()}, {"err", err.text()}};
}

static Result<ExitCode> runBatch(const BatchOptions &options) {
  std::string text;
  for (size_t line = 1; std::getline(std::cin, text); ++line) {
    PARTITA_TRY(std::vector<std::string> words, parseLine(text, line));
    PARTITA_TRY(json reply, answer(words, options.timeLimit));
    PARTITA_CHECK(printResult(
        reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"));
  }
  return ExitCode::Ok;
}

void tool::addBatch(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<BatchOptions>(
      app, chosen, "batch",
      "Run the command lines of standard input, each in a process of its own",
      runBatch);
  command
      ->add_option("--time-limit", options->timeLimit,
                   "Seconds that each may take (default 0: any)")
      ->type_name("S");
}
