//===- Bystanders.cpp - Who else uses the processor -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bystanders.h"
#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

using namespace partita::tool;

/// Seconds that all cores together were busy: the first line of /proc/stat is
/// user, nice, system, idle, iowait, ... in ticks.
static double busySeconds() {
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  double ticks = 0, value = 0;
  for (int column = 0; file >> value; ++column) {
    constexpr int idle = 3, waiting = 4, guest = 8; // Counted in user already.
    if (column != idle && column != waiting && column < guest)
      ticks += value;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

static double ownSeconds() {
  double seconds = 0;
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval &time : {usage.ru_utime, usage.ru_stime})
      seconds += static_cast<double>(time.tv_sec) +
                 1e-6 * static_cast<double>(time.tv_usec);
  }
  return seconds;
}

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Bystanders::Bystanders()
    : busy(busySeconds()), own(ownSeconds()), start(now()) {}

double Bystanders::cores() const {
  double others = (busySeconds() - busy) - (ownSeconds() - own);
  // Ticks are counted where they end.
  constexpr double resolution = 0.03;
  return std::max(0.0, others - resolution) / std::max(now() - start, 1e-3);
}

bool Bystanders::disturb() const {
  constexpr double most = 0.06;
  return cores() > most;
}
