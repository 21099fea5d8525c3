//===- Process.h - Other programs ------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `run` becomes the executable, `verify` waits for it and for the reference,
// and `bench` keeps both alive and asks each for one step at a time.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_PROCESS_H
#define PARTITA_TOOLS_PARTITA_PROCESS_H

#include "partita/Support/Error.h"
#include "partita/Support/Transient.h"
#include <string>
#include <sys/types.h>
#include <vector>

namespace partita::tool {

/// A program with its arguments, and variables to set beside ours.
struct CommandLine {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;

  std::string str() const;
};

/// A running program whose stdin and stdout are ours; what it writes to stderr
/// is kept. Killed and waited for when destroyed.
class Process {
public:
  Process() = default;
  Process(Process &&other) noexcept;
  Process &operator=(Process &&other) noexcept;
  ~Process();

  /// Starts it. Errors: exit code 2 if there is no such file, 3 if it cannot be
  /// executed.
  static Result<Process> start(const CommandLine &command);
  /// Sends a line and its newline. Errors: exit code 70 if it went away.
  Status writeLine(const std::string &line);
  /// The next line without its newline. Errors: exit code 70 if there is none.
  Result<std::string> readLine();
  /// Closes its stdin and returns the rest of what it writes.
  std::string readAll();
  /// Closes its stdin and waits for it. The exit code; 128 + n for signal n.
  int wait();
  /// All that it wrote to stderr so far.
  std::string errors() const;

private:
  pid_t pid = -1;
  int toChild = -1, fromChild = -1, errorFile = -1;
  std::string name, buffer;
};

/// What a program wrote to stdout and to stderr, and how it ended.
struct Finished {
  int code = 0;
  std::string output, errors;
};

/// Runs a program to its end. Errors: as Process::start.
Result<Finished> runProcess(const CommandLine &command);

/// Why one of our executables failed: its own error, which it has written to
/// stderr, or exit code 70 if it died.
Error executableError(const std::string &name, int code,
                      const std::string &errors);

/// Becomes another program; returns only if that fails, with exit code 3, or 2
/// where there is no such file.
Error becomeProcess(const CommandLine &command);

/// `python -m module` with Partita's Python package. The interpreter is
/// $PARTITA_PYTHON, or that of the virtual environment of the checkout which
/// this program was built in, or python3.
CommandLine pythonModule(const std::string &module);

/// A new folder under $TMPDIR, removed with all that is in it when destroyed.
class TemporaryFolder {
public:
  static Result<TemporaryFolder> create();
  TemporaryFolder(TemporaryFolder &&other) noexcept
      : path(std::exchange(other.path, {})),
        transient(std::move(other.transient)) {}
  ~TemporaryFolder();
  /// The path of something in it.
  std::string operator/(const std::string &name) const {
    return path + "/" + name;
  }
  /// It stays; returns its path.
  std::string keep();

private:
  explicit TemporaryFolder(const std::string &path)
      : path(path), transient(path) {}
  std::string path;
  TransientPath transient;
};

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_PROCESS_H
