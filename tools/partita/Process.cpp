//===- Process.cpp - Other programs ---------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Process.h"
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

using namespace partita;
using namespace partita::tool;
namespace fs = std::filesystem;

std::string CommandLine::str() const {
  std::string text;
  for (const std::string &argument : arguments)
    text += (text.empty() ? "" : " ") + argument;
  return text;
}

static std::vector<char *> pointers(const std::vector<std::string> &strings) {
  std::vector<char *> out;
  for (const std::string &text : strings)
    out.push_back(const_cast<char *>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// Our environment with some variables replaced.
static std::vector<std::string>
mergedEnvironment(const std::vector<std::string> &extra) {
  std::vector<std::string> out = extra;
  for (char **entry = environ; *entry; ++entry) {
    std::string_view name(*entry, std::strcspn(*entry, "=") + 1);
    bool replaced = false;
    for (const std::string &other : extra)
      replaced |= other.compare(0, name.size(), name) == 0;
    if (!replaced)
      out.emplace_back(*entry);
  }
  return out;
}

static Error cannotStart(const CommandLine &command, int error) {
  return makeError(error == ENOENT ? ExitCode::InvalidInput
                                   : ExitCode::Unsupported,
                   "process.start", command.arguments[0],
                   "cannot be started: " + std::string(std::strerror(error)),
                   "check the path and that it is executable");
}

//===----------------------------------------------------------------------===//
// Process
//===----------------------------------------------------------------------===//

Process::Process(Process &&other) noexcept
    : pid(std::exchange(other.pid, -1)),
      toChild(std::exchange(other.toChild, -1)),
      fromChild(std::exchange(other.fromChild, -1)),
      errorFile(std::exchange(other.errorFile, -1)),
      name(std::move(other.name)), buffer(std::move(other.buffer)) {}

Process &Process::operator=(Process &&other) noexcept {
  std::swap(pid, other.pid);
  std::swap(toChild, other.toChild);
  std::swap(fromChild, other.fromChild);
  std::swap(errorFile, other.errorFile);
  std::swap(name, other.name);
  std::swap(buffer, other.buffer);
  return *this;
}

static void closeAll(std::initializer_list<int> descriptors) {
  for (int descriptor : descriptors)
    if (descriptor >= 0)
      close(descriptor);
}

Process::~Process() {
  if (pid > 0)
    kill(pid, SIGKILL);
  wait();
  closeAll({errorFile});
}

Result<Process> Process::start(const CommandLine &command) {
  // Ends of pipes that a child inherits by accident would keep them open.
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    int error = errno;
    closeAll({in[0], in[1], out[0], out[1]});
    return cannotStart(command, error);
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  // Not a pipe: a program that fills it while we read its stdout would wait.
  Process process;
  process.errorFile = memfd_create("stderr", MFD_CLOEXEC);
  if (process.errorFile >= 0)
    posix_spawn_file_actions_adddup2(&actions, process.errorFile,
                                     STDERR_FILENO);
  // We ignore SIGPIPE; what we start shall not.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  process.name = command.arguments[0];
  std::vector<std::string> environment = mergedEnvironment(command.environment);
  int error = posix_spawnp(&process.pid, command.arguments[0].c_str(), &actions,
                           &attributes, pointers(command.arguments).data(),
                           pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  closeAll({in[0], out[1]});
  process.toChild = in[1];
  process.fromChild = out[0];
  if (error == 0)
    return process;
  process.pid = -1;
  return cannotStart(command, error);
}

static Error wentAway(const std::string &name) {
  return makeError(ExitCode::Internal, "process.ended", name,
                   "ended before it answered", "start it by itself to see why");
}

Status Process::writeLine(const std::string &line) {
  std::string text = line + "\n";
  for (size_t sent = 0; sent < text.size();) {
    ssize_t count = write(toChild, text.data() + sent, text.size() - sent);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return wentAway(name);
    sent += count;
  }
  return ok();
}

/// Appends what can be read; false at the end.
static bool readMore(int descriptor, std::string &buffer) {
  char chunk[1 << 14];
  ssize_t count;
  do
    count = read(descriptor, chunk, sizeof(chunk));
  while (count < 0 && errno == EINTR);
  if (count > 0)
    buffer.append(chunk, count);
  return count > 0;
}

Result<std::string> Process::readLine() {
  size_t end;
  while ((end = buffer.find('\n')) == std::string::npos)
    if (!readMore(fromChild, buffer))
      return wentAway(name);
  std::string line = buffer.substr(0, end);
  buffer.erase(0, end + 1);
  return line;
}

std::string Process::readAll() {
  closeAll({std::exchange(toChild, -1)});
  while (readMore(fromChild, buffer))
    ;
  return std::exchange(buffer, {});
}

int Process::wait() {
  closeAll({std::exchange(toChild, -1), std::exchange(fromChild, -1)});
  if (pid <= 0)
    return 0;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  pid = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string Process::errors() const {
  std::string text;
  char chunk[1 << 12];
  ssize_t count;
  for (off_t at = 0; errorFile >= 0 &&
                     (count = pread(errorFile, chunk, sizeof(chunk), at)) > 0;
       at += count)
    text.append(chunk, count);
  return text;
}

Result<Finished> tool::runProcess(const CommandLine &command) {
  PARTITA_TRY(Process process, Process::start(command));
  Finished finished;
  finished.output = process.readAll();
  finished.code = process.wait();
  finished.errors = process.errors();
  return finished;
}

/// Executables write errors as Error::str() does.
static std::optional<Error> parseError(const std::string &text) {
  size_t begin = text.find("error["), close = text.find("]: ", begin);
  if (begin == std::string::npos || close == std::string::npos)
    return std::nullopt;
  Error error;
  error.code = text.substr(begin + 6, close - begin - 6);
  error.message = text.substr(close + 3);
  while (!error.message.empty() && error.message.back() == '\n')
    error.message.pop_back();
  static const std::string mark = "\n  hint: ";
  if (size_t hint = error.message.rfind(mark); hint != std::string::npos) {
    error.hint = error.message.substr(hint + mark.size());
    error.message.resize(hint);
  }
  return error;
}

Error tool::executableError(const std::string &name, int code,
                            const std::string &errors) {
  if (code < 128)
    if (auto error = parseError(errors)) {
      error->exit = ExitCode(code);
      return *error;
    }
  return makeError(ExitCode::Internal, "process.ended", name,
                   (code < 128
                        ? "ended with " + std::to_string(code)
                        : "died of signal " + std::to_string(code - 128)) +
                       (errors.empty() ? "" : "\n" + errors),
                   "start it by itself to see why");
}

Error tool::becomeProcess(const CommandLine &command) {
  std::signal(SIGPIPE, SIG_DFL);
  std::vector<std::string> environment = mergedEnvironment(command.environment);
  execve(command.arguments[0].c_str(), pointers(command.arguments).data(),
         pointers(environment).data());
  return cannotStart(command, errno);
}

//===----------------------------------------------------------------------===//
// Python
//===----------------------------------------------------------------------===//

/// The checkout that this program lies in, or an empty path.
static fs::path findCheckout() {
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error);
  while (!error && folder.has_relative_path()) {
    folder = folder.parent_path();
    if (fs::exists(folder / "python/partita/reference.py", error))
      return folder;
    error.clear();
  }
  return {};
}

CommandLine tool::pythonModule(const std::string &module) {
  CommandLine command;
  fs::path checkout = findCheckout();
  std::error_code error;
  std::string python = "python3";
  if (const char *chosen = std::getenv("PARTITA_PYTHON"); chosen && *chosen)
    python = chosen;
  else if (fs::exists(checkout / ".venv/bin/python3", error))
    python = checkout / ".venv/bin/python3";
  command.arguments = {python, "-m", module};
  if (!checkout.empty()) {
    std::string path = checkout / "python";
    if (const char *inherited = std::getenv("PYTHONPATH");
        inherited && *inherited)
      path += std::string(":") + inherited;
    command.environment = {"PYTHONPATH=" + path};
  }
  return command;
}

//===----------------------------------------------------------------------===//
// Temporary folders
//===----------------------------------------------------------------------===//

Result<TemporaryFolder> TemporaryFolder::create() {
  const char *parent = std::getenv("TMPDIR");
  std::string path =
      std::string(parent && *parent ? parent : "/tmp") + "/partita-XXXXXX";
  // Its name is known when it is there, and then it must be listed before a
  // signal comes.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool made = mkdtemp(path.data()) != nullptr;
  int number = errno;
  TemporaryFolder folder(made ? path : "");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!made)
    return makeError(ExitCode::InvalidInput, "output.folder", path,
                     "cannot be made: " + std::string(std::strerror(number)),
                     "set TMPDIR to a folder that can be written");
  return folder;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path.empty())
    fs::remove_all(path, ignored);
}

std::string TemporaryFolder::keep() {
  transient.release();
  return std::exchange(path, {});
}
