//===- Children.cpp - Processes that were started here --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Children.h"
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

int Child::exitCode() const {
  return WIFEXITED(*status) ? WEXITSTATUS(*status)
                            : static_cast<int>(ExitCode::DistributedFault);
}

bool Child::reap() {
  int now = 0;
  while (running() &&
         ::waitpid(pid, &now, WNOHANG | WUNTRACED | WCONTINUED) == pid) {
    stopped = WIFSTOPPED(now);
    if (WIFSTOPPED(now) || WIFCONTINUED(now))
      continue;
    status = now;
    return true;
  }
  return false;
}

void Child::signal(int number) const {
  if (running())
    ::kill(pid, number);
}

std::string Child::text() const {
  std::string text;
  char bytes[4096];
  ssize_t count;
  while ((count = ::pread(messages.get(), bytes, sizeof(bytes), text.size())) >
         0)
    text.append(bytes, count);
  return text;
}

bool partita::runtime::openMessages(Child &child) {
  child.messages = Descriptor(::memfd_create("partita-messages", MFD_CLOEXEC));
  return static_cast<bool>(child.messages);
}

HeldSignals::HeldSignals() {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (int number : {SIGCHLD, SIGINT, SIGTERM, SIGHUP})
    ::sigaddset(&watched, number);
  ::sigprocmask(SIG_BLOCK, &watched, &before);
  signals = Descriptor(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
}

void HeldSignals::read() {
  signalfd_siginfo info;
  while (::read(signals.get(), &info, sizeof(info)) == sizeof(info))
    if (info.ssi_signo != SIGCHLD && !first)
      first = static_cast<int>(info.ssi_signo);
}

void HeldSignals::release() { ::sigprocmask(SIG_SETMASK, &before, nullptr); }

void HeldSignals::obey() {
  std::signal(first, SIG_DFL);
  release();
  ::raise(first);
  // It was blocked or ignored outside.
  ::_exit(static_cast<int>(ExitCode::DistributedFault));
}

int partita::runtime::jointExitCode(const std::vector<int> &codes) {
  int told = 0;
  for (int code : codes) {
    if (code && code != static_cast<int>(ExitCode::DistributedFault))
      return code;
    told = told ? told : code;
  }
  return told;
}

void partita::runtime::writeOnce(const std::vector<std::string> &texts) {
  std::set<std::string> written;
  for (const std::string &text : texts)
    if (!text.empty() && written.insert(text).second)
      std::fwrite(text.data(), 1, text.size(), stderr);
}
