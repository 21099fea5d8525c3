//===- Progress.h - What takes long shows that it moves --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A bar on stderr, on a terminal only, and only from the second second on:
// short runs and logs stay clean. A thread of its own draws it, so that a phase
// which never reports anything shows its seconds all the same.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_PROGRESS_H
#define PARTITA_TOOLS_PARTITA_PROGRESS_H

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace partita::tool {

class Progress {
public:
  /// Counts `total` steps. Draws nothing if stderr is no terminal.
  explicit Progress(int total);
  ~Progress();
  Progress(const Progress &) = delete;

  /// The next step begins.
  void step(const std::string &what);
  /// Takes the bar off the screen; later steps show it again.
  void clear();

private:
  void draw();

  std::mutex mutex;
  std::condition_variable changed;
  std::thread painter;
  std::string label;
  std::chrono::steady_clock::time_point start;
  int total, done = 0;
  bool stopped = false, shown = false;
};

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_PROGRESS_H
