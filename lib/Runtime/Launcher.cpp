//===- Launcher.cpp - Starting the processes of a job ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One thread: the hub's poll() also watches a signalfd, which tells of children
// that ended and of signals to pass on. A child writes its messages to a file
// in memory, so that N processes that fail for one reason say it once.
//
//===----------------------------------------------------------------------===//

#include "Launcher.h"
#include "partita/Support/Transient.h"
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

struct Child {
  pid_t pid = -1;
  Descriptor messages; ///< what it writes to stderr
  std::optional<int> status;
  bool stopped = false;
};

class Launcher {
public:
  Launcher(Job job, Descriptor listener, Describe describe)
      : job(std::move(job)),
        hub(std::move(listener), this->job, std::move(describe)) {}
  ~Launcher();

  Status start(const std::function<int(const Job &)> &run);
  int wait();

private:
  [[noreturn]] void become(int64_t process, pid_t parent,
                           const std::function<int(const Job &)> &run);
  void readSignals();
  void reap();
  void signalAll(int number);
  void endStopped();
  void report() const;
  int exitCode() const;
  bool running() const;

  Job job;
  Hub hub;
  std::vector<Child> children;
  Descriptor signals;
  sigset_t outside; ///< mask of the caller
  int received = 0; ///< a signal that asked us to end
  std::optional<Clock::time_point> killTime;
  /// Of a process that was stopped or killed when all steps were done.
  std::optional<Clock::time_point> stoppedTime;
  std::optional<Error> lateError;
};

} // namespace

//===----------------------------------------------------------------------===//
// Start
//===----------------------------------------------------------------------===//

/// In the child.
void Launcher::become(int64_t process, pid_t parent,
                      const std::function<int(const Job &)> &run) {
  // The first one may have begun output files, which a signal handler removes.
  removeTransientPathsOnSignals();
  ::prctl(PR_SET_PDEATHSIG, process == 0 ? SIGTERM : SIGKILL);
  ::sigprocmask(SIG_SETMASK, &outside, nullptr);
  if (::getppid() != parent)
    ::_exit(static_cast<int>(ExitCode::DistributedFault));
  hub.abandon();
  ::dup2(children[process].messages.get(), STDERR_FILENO);
  if (process > 0) {
    int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
  }
  Job own = job;
  own.process = own.localProcess = process;
  int code = run(own);
  std::fflush(nullptr);
  ::_exit(code);
}

Status Launcher::start(const std::function<int(const Job &)> &run) {
  std::fflush(nullptr);
  sigset_t watched;
  ::sigemptyset(&watched);
  for (int number : {SIGCHLD, SIGINT, SIGTERM, SIGHUP})
    ::sigaddset(&watched, number);
  ::sigprocmask(SIG_BLOCK, &watched, &outside);
  signals = Descriptor(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  pid_t parent = ::getpid();
  for (int64_t process = 0; process < job.processes; ++process) {
    Child &child = children.emplace_back();
    child.messages =
        Descriptor(::memfd_create("partita-messages", MFD_CLOEXEC));
    child.pid = child.messages ? ::fork() : -1;
    if (child.pid == 0)
      become(process, parent, run);
    if (child.pid < 0)
      return makeError(ExitCode::DistributedFault, "launch.start",
                       "process " + std::to_string(process),
                       std::string("cannot be started: ") +
                           std::strerror(errno),
                       "may this user have that many processes?");
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Wait
//===----------------------------------------------------------------------===//

bool Launcher::running() const {
  for (const Child &child : children)
    if (child.pid > 0 && !child.status)
      return true;
  return false;
}

void Launcher::signalAll(int number) {
  for (const Child &child : children)
    if (child.pid > 0 && !child.status)
      ::kill(child.pid, number);
}

/// What happened to a process that had nothing more to do but to end.
static Error lateFault(int64_t process, const char *code, std::string what) {
  return makeError(ExitCode::DistributedFault, code,
                   "process " + std::to_string(process),
                   std::move(what) + " after all steps were done",
                   "its outputs may not have been written");
}

void Launcher::reap() {
  for (size_t i = 0; i < children.size(); ++i) {
    Child &child = children[i];
    int status = 0;
    while (!child.status && child.pid > 0 &&
           ::waitpid(child.pid, &status, WNOHANG | WUNTRACED | WCONTINUED) ==
               child.pid) {
      child.stopped = WIFSTOPPED(status);
      if (WIFSTOPPED(status) || WIFCONTINUED(status))
        continue;
      child.status = status;
      hub.noteEnd(static_cast<int64_t>(i), status);
      if (hub.allDone() && WIFSIGNALED(status) && !lateError)
        lateError = lateFault(static_cast<int64_t>(i), "run.rank-died",
                              endText(status));
    }
  }
}

/// Nobody waits any more for a process that has done all its steps, but for its
/// end. The first one may take its time to write; one that is stopped may not.
void Launcher::endStopped() {
  int64_t process = 0;
  while (process < job.processes &&
         (children[process].status || !children[process].stopped))
    ++process;
  if (!hub.allDone() || process == job.processes) {
    stoppedTime.reset();
    return;
  }
  if (!stoppedTime)
    stoppedTime =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(job.timeoutSeconds));
  if (Clock::now() < *stoppedTime)
    return;
  lateError = lateFault(process, "run.rank-silent", "was stopped");
  ::kill(children[process].pid, SIGKILL);
}

void Launcher::readSignals() {
  signalfd_siginfo info;
  while (::read(signals.get(), &info, sizeof(info)) == sizeof(info))
    if (info.ssi_signo != SIGCHLD && !received) {
      received = static_cast<int>(info.ssi_signo);
      signalAll(received);
    }
  reap();
}

int Launcher::wait() {
  using namespace std::chrono_literals;
  while (running()) {
    // All know by now that it is over; a process that is stopped does not.
    if ((hub.verdict() || received) && !killTime) {
      killTime = Clock::now() + 3s;
      for (size_t i = 0; i < children.size(); ++i)
        if (!children[i].status && hub.isSilent(static_cast<int64_t>(i)))
          ::kill(children[i].pid, SIGKILL);
    }
    if (killTime && Clock::now() >= *killTime)
      signalAll(SIGKILL);
    endStopped();
    auto next = std::min(killTime.value_or(Clock::time_point::max()),
                         stoppedTime.value_or(Clock::time_point::max()));
    hub.step(signals.get(), std::max(next, Clock::now() + 50ms));
    readSignals();
  }
  if (received) {
    std::signal(received, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &outside, nullptr);
    ::raise(received);
  }
  report();
  return exitCode();
}

Launcher::~Launcher() {
  signalAll(SIGKILL);
  for (const Child &child : children)
    if (child.pid > 0 && !child.status)
      ::waitpid(child.pid, nullptr, 0);
  ::sigprocmask(SIG_SETMASK, &outside, nullptr);
}

static std::string contentsOf(const Descriptor &file) {
  std::string text;
  char bytes[4096];
  ssize_t count;
  while ((count = ::pread(file.get(), bytes, sizeof(bytes), text.size())) > 0)
    text.append(bytes, count);
  return text;
}

/// What the children wrote, each text once. What others say of a process that
/// said why it ended itself is left out.
void Launcher::report() const {
  std::string verdict = hub.verdict() ? hub.verdict()->str() + "\n" : "";
  std::vector<std::string> texts;
  for (const Child &child : children) {
    std::string text = contentsOf(child.messages);
    if (!text.empty() && text != verdict &&
        std::find(texts.begin(), texts.end(), text) == texts.end())
      texts.push_back(text);
  }
  bool secondHand = hub.verdict() && hub.verdict()->code == "launch.ended";
  if (!verdict.empty() && !(secondHand && !texts.empty()))
    texts.push_back(verdict);
  if (lateError)
    texts.push_back(lateError->str() + "\n");
  for (const std::string &text : texts)
    std::fwrite(text.data(), 1, text.size(), stderr);
}

int Launcher::exitCode() const {
  int others = 0, own = 0;
  for (const Child &child : children) {
    int code = WIFEXITED(*child.status)
                   ? WEXITSTATUS(*child.status)
                   : static_cast<int>(ExitCode::DistributedFault);
    int &kind =
        code == static_cast<int>(ExitCode::DistributedFault) ? others : own;
    kind = kind ? kind : code;
  }
  // Of a process that ended before the others met, its own code counts.
  if (hub.verdict() && hub.verdict()->code != "launch.ended")
    return static_cast<int>(hub.verdict()->exit);
  return own ? own : others;
}

Result<int>
partita::runtime::startProcesses(Job job, Describe describe,
                                 const std::function<int(const Job &)> &child) {
  PARTITA_TRY(Descriptor listener, listenOn(job.bind, job.port));
  job.port = portOf(listener);
  job.token = randomName();
  Launcher launcher(std::move(job), std::move(listener), std::move(describe));
  PARTITA_CHECK(launcher.start(child));
  return launcher.wait();
}
