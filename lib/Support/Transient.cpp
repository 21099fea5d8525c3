//===- Transient.cpp - What an interrupted process removes ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A handler may do little: no allocation, no directory streams. It may fork and
// execute, so `rm -rf` does the work.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Transient.h"
#include <atomic>
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;

static std::atomic<char *> paths[64];

TransientPath::TransientPath(const std::string &path) {
  char *copy = ::strdup(path.c_str());
  if (!copy)
    return;
  for (size_t i = 0; i < std::size(paths); ++i) {
    char *none = nullptr;
    if (paths[i].compare_exchange_strong(none, copy)) {
      slot = static_cast<int>(i);
      return;
    }
  }
  ::free(copy);
}

void TransientPath::release() {
  if (slot >= 0)
    ::free(paths[slot].exchange(nullptr));
  slot = -1;
}

void partita::removeTransientPaths() {
  for (std::atomic<char *> &entry : paths) {
    const char *path = entry.load();
    if (!path)
      continue;
    // Not fork(): that takes the locks of allocators, one of which the signal may
    // have found held.
    pid_t child = ::_Fork();
    if (child == 0) {
      ::execl("/bin/rm", "rm", "-rf", "--", path, static_cast<char *>(nullptr));
      ::_exit(127);
    }
    int status = 0;
    if (child > 0)
      ::waitpid(child, &status, 0);
  }
}

static void removeAndDie(int signal) {
  removeTransientPaths();
  // The handler is reset by now: this is the death that was asked for.
  ::raise(signal);
}

void partita::removeTransientPathsOnSignals() {
  struct sigaction action = {};
  action.sa_handler = removeAndDie;
  action.sa_flags = SA_RESETHAND;
  sigfillset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction current;
    // What whoever started us chose to ignore stays ignored.
    if (::sigaction(signal, nullptr, &current) == 0 &&
        current.sa_handler == SIG_DFL)
      ::sigaction(signal, &action, nullptr);
  }
}
