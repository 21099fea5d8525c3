//===- Children.h - Processes that were started here -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What starting ranks here and starting hosts over ssh have in common: children
// whose messages are kept until all have ended, so that many which fail for one
// reason say it once, and signals that are passed on instead of obeyed.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CHILDREN_H
#define PARTITA_LIB_RUNTIME_CHILDREN_H

#include "Channel.h"
#include <csignal>
#include <optional>
#include <sys/types.h>
#include <vector>

namespace partita::runtime {

struct Child {
  pid_t pid = -1;
  Descriptor messages;       ///< a file in memory for what it writes to stderr
  std::optional<int> status; ///< as waitpid() says
  bool stopped = false;

  bool running() const { return pid > 0 && !status; }
  bool endedWell() const { return status == 0; }
  /// Of a child that has ended; 6 for a signal.
  int exitCode() const;
  /// Looks whether it was stopped, continued or ended; true if it ended now.
  bool reap();
  void signal(int number) const;
  /// What it has written so far.
  std::string text() const;
};

/// Makes the file for its messages; false if that cannot be.
bool openMessages(Child &child);

/// Starts a program by its name, with the words and with stdin and stdout from
/// these descriptors (-1: ours); its messages are kept. Returns an errno.
int spawn(Child &child, std::vector<std::string> words, int in, int out,
          const sigset_t &signals);

/// SIGCHLD, SIGINT, SIGTERM and SIGHUP, which come to a descriptor while this
/// lives.
class HeldSignals {
public:
  HeldSignals();
  ~HeldSignals() { release(); }
  HeldSignals(const HeldSignals &) = delete;
  int descriptor() const { return signals.get(); }
  /// The mask of the caller, for its children.
  const sigset_t &outside() const { return before; }
  /// Takes all that came.
  void read();
  /// The first that asked us to end, or 0.
  int received() const { return first; }
  /// Ends by it, as the caller would have without us.
  [[noreturn]] void obey();

private:
  void release();
  Descriptor signals;
  sigset_t before;
  int first = 0;
};

/// The exit code of a job: one that failed by itself before those that were
/// told, which end with 6.
int jointExitCode(const std::vector<int> &codes);

/// Writes each text to stderr, once.
void writeOnce(const std::vector<std::string> &texts);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CHILDREN_H
