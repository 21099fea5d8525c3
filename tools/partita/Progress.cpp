//===- Progress.cpp - What takes long shows that it moves -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Progress.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using namespace partita::tool;
using Clock = std::chrono::steady_clock;

/// What runs for less than this is not worth a bar.
static constexpr auto patience = std::chrono::seconds(1);
static constexpr auto frame = std::chrono::milliseconds(200);
static constexpr int barWidth = 24;

static bool isTerminal() {
  const char *term = std::getenv("TERM");
  return isatty(STDERR_FILENO) && (!term || std::strcmp(term, "dumb") != 0);
}

Progress::Progress(int total) : start(Clock::now()), total(total) {
  if (!isTerminal())
    return;
  painter = std::thread([this] {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, frame, [this] { return stopped; }))
      if (!label.empty() && Clock::now() - start >= patience)
        draw();
  });
}

Progress::~Progress() {
  if (!painter.joinable())
    return;
  clear();
  {
    std::lock_guard lock(mutex);
    stopped = true;
  }
  changed.notify_all();
  painter.join();
}

void Progress::step(const std::string &what) {
  std::lock_guard lock(mutex);
  done += !label.empty();
  label = what;
}

void Progress::clear() {
  std::lock_guard lock(mutex);
  if (shown)
    std::fputs("\r\033[K", stderr);
  shown = false;
  label.clear();
}

void Progress::draw() {
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  int filled = total ? std::min(barWidth, barWidth * done / total) : 0;
  std::string bar(filled, '#');
  bar.resize(barWidth, '.');
  std::fprintf(stderr, "\r\033[K[%s] %s  %.0f s", bar.c_str(), label.c_str(),
               seconds);
  std::fflush(stderr);
  shown = true;
}
