//===- Launcher.cpp - Starting the processes of a job ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One thread: the hub's poll() also watches a signalfd, which tells of children
// that ended and of signals to pass on. On one of several hosts it watches
// stdin too, which ends when the one who started the hosts or the way to it is
// gone. Of several hosts the first has the hub; others learn from their
// children that the job is over.
//
//===----------------------------------------------------------------------===//

#include "Launcher.h"
#include "Children.h"
#include "partita/Support/Transient.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

class Launcher {
public:
  Launcher(Job job, Descriptor listener, Describe describe)
      : job(std::move(job)) {
    if (listener)
      hub.emplace(std::move(listener), this->job, std::move(describe));
  }
  ~Launcher();

  Status start(const std::function<int(const Job &)> &run);
  int wait();

private:
  [[noreturn]] void become(int64_t place, pid_t parent,
                           const std::function<int(const Job &)> &run);
  void watch();
  void readSignals();
  void readLease();
  void reap();
  void signalAll(int number);
  void endStopped();
  void report() const;
  int exitCode() const;
  bool running() const;
  bool allDone() const;
  bool isOver() const;

  Job job; ///< of the first process here
  std::optional<Hub> hub;
  std::vector<Child> children;
  HeldSignals signals;
  Descriptor watched;     ///< an epoll of the signals and of stdin
  bool abandoned = false; ///< stdin has ended
  bool ended = false;     ///< and so all here does, which tells nothing
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
void Launcher::become(int64_t place, pid_t parent,
                      const std::function<int(const Job &)> &run) {
  Job own = job;
  own.process += place;
  own.localProcess = place;
  // The first one may have begun output files, which a signal handler removes.
  removeTransientPathsOnSignals();
  ::prctl(PR_SET_PDEATHSIG, own.process == 0 ? SIGTERM : SIGKILL);
  ::sigprocmask(SIG_SETMASK, &signals.outside(), nullptr);
  if (::getppid() != parent)
    ::_exit(static_cast<int>(ExitCode::DistributedFault));
  if (hub)
    hub->abandon();
  ::dup2(children[place].messages.get(), STDERR_FILENO);
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (own.process > 0 || job.remote)
    ::dup2(null, STDIN_FILENO);
  if (own.process > 0)
    ::dup2(null, STDOUT_FILENO);
  int code = run(own);
  std::fflush(nullptr);
  ::_exit(code);
}

void Launcher::watch() {
  watched = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {}};
  ::epoll_ctl(watched.get(), EPOLL_CTL_ADD, signals.descriptor(), &event);
  if (job.remote)
    ::epoll_ctl(watched.get(), EPOLL_CTL_ADD, STDIN_FILENO, &event);
}

Status Launcher::start(const std::function<int(const Job &)> &run) {
  std::fflush(nullptr);
  watch();
  pid_t parent = ::getpid();
  for (int64_t place = 0; place < job.localProcesses; ++place) {
    Child &child = children.emplace_back();
    child.pid = openMessages(child) ? ::fork() : -1;
    if (child.pid == 0)
      become(place, parent, run);
    if (child.pid < 0)
      return makeError(ExitCode::DistributedFault, "launch.start",
                       "process " + std::to_string(job.process + place),
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
  return std::any_of(children.begin(), children.end(),
                     [](const Child &child) { return child.running(); });
}

void Launcher::signalAll(int number) {
  for (const Child &child : children)
    child.signal(number);
}

/// All processes of the job have done their steps. One that ended well waited
/// for that.
bool Launcher::allDone() const {
  return hub ? hub->allDone()
             : std::any_of(
                   children.begin(), children.end(),
                   [](const Child &child) { return child.endedWell(); });
}

/// All processes know, or will at once, that the job has failed.
bool Launcher::isOver() const {
  if (signals.received() || abandoned)
    return true;
  if (hub)
    return hub->verdict().has_value();
  return std::any_of(children.begin(), children.end(), [](const Child &child) {
    return child.status && !child.endedWell();
  });
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
    if (!children[i].reap())
      continue;
    int64_t process = job.process + static_cast<int64_t>(i);
    int status = *children[i].status;
    if (hub)
      hub->noteEnd(process, status);
    if (allDone() && WIFSIGNALED(status) && !lateError)
      lateError = lateFault(process, "run.rank-died", endText(status));
  }
}

/// Nobody waits any more for a process that has done all its steps, but for its
/// end. The first one may take its time to write; one that is stopped may not.
void Launcher::endStopped() {
  auto stopped =
      std::find_if(children.begin(), children.end(), [](const Child &child) {
        return child.running() && child.stopped;
      });
  if (!allDone() || stopped == children.end()) {
    stoppedTime.reset();
    return;
  }
  if (!stoppedTime)
    stoppedTime =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(job.timeoutSeconds));
  if (Clock::now() < *stoppedTime)
    return;
  lateError = lateFault(job.process + (stopped - children.begin()),
                        "run.rank-silent", "was stopped");
  stopped->signal(SIGKILL);
}

void Launcher::readSignals() {
  int before = signals.received();
  signals.read();
  if (!before && signals.received())
    signalAll(signals.received());
  reap();
}

/// Nothing is sent to stdin; it ends.
void Launcher::readLease() {
  pollfd entry{STDIN_FILENO, POLLIN, 0};
  char bytes[256];
  if (!job.remote || abandoned || ::poll(&entry, 1, 0) <= 0 ||
      ::read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
    return;
  ended = !isOver();
  abandoned = true;
  ::epoll_ctl(watched.get(), EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
  signalAll(SIGTERM);
}

int Launcher::wait() {
  using namespace std::chrono_literals;
  while (running()) {
    // All know by now that it is over; a process that is stopped does not.
    if (isOver() && !killTime) {
      killTime = Clock::now() + 3s;
      for (size_t i = 0; hub && i < children.size(); ++i)
        if (hub->isSilent(job.process + static_cast<int64_t>(i)))
          children[i].signal(SIGKILL);
    }
    if (killTime && Clock::now() >= *killTime)
      signalAll(SIGKILL);
    endStopped();
    auto next = std::min(killTime.value_or(Clock::time_point::max()),
                         stoppedTime.value_or(Clock::time_point::max()));
    next = std::max(next, Clock::now() + 50ms);
    pollfd entry{watched.get(), POLLIN, 0};
    if (hub)
      hub->step(watched.get(), next);
    else
      ::poll(&entry, 1,
             next == Clock::time_point::max() ? -1 : untilMillis(next));
    readSignals();
    readLease();
  }
  if (signals.received())
    signals.obey();
  report();
  return exitCode();
}

Launcher::~Launcher() {
  signalAll(SIGKILL);
  for (const Child &child : children)
    if (child.running())
      ::waitpid(child.pid, nullptr, 0);
}

/// What the children wrote. What others say of a process that said why it ended
/// itself is left out.
void Launcher::report() const {
  if (ended)
    return;
  bool decided = hub && hub->verdict();
  std::string verdict = decided ? hub->verdict()->str() + "\n" : "";
  std::vector<std::string> texts;
  for (const Child &child : children)
    if (std::string text = child.text(); !text.empty() && text != verdict)
      texts.push_back(std::move(text));
  bool secondHand = decided && hub->verdict()->code == "launch.ended";
  if (!(secondHand && !texts.empty()))
    texts.push_back(verdict);
  if (lateError)
    texts.push_back(lateError->str() + "\n");
  writeOnce(texts);
}

int Launcher::exitCode() const {
  if (ended)
    return static_cast<int>(ExitCode::DistributedFault);
  // Of a process that ended before the others met, its own code counts.
  if (hub && hub->verdict() && hub->verdict()->code != "launch.ended")
    return static_cast<int>(hub->verdict()->exit);
  std::vector<int> codes;
  for (const Child &child : children)
    codes.push_back(child.exitCode());
  return jointExitCode(codes);
}

Result<int>
partita::runtime::startProcesses(Job job, Describe describe,
                                 const std::function<int(const Job &)> &child) {
  Descriptor listener;
  if (job.process == 0) {
    PARTITA_TRY(listener, listenOn(job.bind, job.port));
    job.port = portOf(listener);
  }
  if (job.token.empty())
    job.token = randomName();
  Launcher launcher(std::move(job), std::move(listener), std::move(describe));
  PARTITA_CHECK(launcher.start(child));
  return launcher.wait();
}
