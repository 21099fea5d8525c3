//===- Children.cpp - Processes that were started here --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Children.h"
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

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

int partita::runtime::spawn(Child &child, std::vector<std::string> words,
                            int in, int out, const sigset_t &signals) {
  if (!openMessages(child))
    return errno;
  std::vector<char *> pointers;
  for (std::string &word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (in >= 0)
    ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  if (out >= 0)
    ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child.messages.get(),
                                     STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  int problem = ::posix_spawnp(&child.pid, pointers[0], &actions, &attributes,
                               pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (problem != 0)
    child.pid = -1;
  return problem;
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
