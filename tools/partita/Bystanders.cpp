//===- Bystanders.cpp - Who else uses the processor -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bystanders.h"
#include "Table.h"
#include <fstream>
#include <map>
#include <sched.h>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

using namespace partita;
using namespace partita::tool;

int64_t tool::coresHere() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
    return CPU_COUNT(&allowed);
  return std::max(1u, std::thread::hardware_concurrency());
}

//===----------------------------------------------------------------------===//
// Processes
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Neighbours
//===----------------------------------------------------------------------===//

/// Some milliseconds of arithmetic that keeps the units of a core full.
static double arithmeticSeconds() {
  constexpr int chains = 16, rounds = 1 << 19;
  double x[chains];
  for (int c = 0; c < chains; ++c)
    x[c] = c;
  double begin = now();
  for (int i = 0; i < rounds; ++i)
    for (double &value : x)
      value = value * 0.999 + 0.5;
  double seconds = now() - begin;
  double sum = 0;
  for (double value : x)
    sum += value;
  // Never so; but the compiler must not know.
  return sum < 0 ? 0 : seconds;
}

/// Of so many threads that all compute at the same time.
static std::vector<double> allArithmetic(int64_t threads) {
  std::vector<double> seconds(static_cast<size_t>(threads));
  std::vector<std::thread> others;
  for (size_t t = 1; t < seconds.size(); ++t)
    others.emplace_back([&, t] { seconds[t] = arithmeticSeconds(); });
  seconds[0] = arithmeticSeconds();
  for (std::thread &other : others)
    other.join();
  return seconds;
}

/// Cores that so many threads now lose against the best that was ever seen.
static double lostNow(int64_t threads) {
  static std::map<int64_t, double> known;
  auto [best, isNew] = known.try_emplace(threads, HUGE_VAL);
  double lost = HUGE_VAL;
  // A thread that starts late, or a clock that has to rise, is no neighbour.
  for (int attempt = 0; attempt < (isNew ? 20 : 3); ++attempt) {
    std::vector<double> seconds = allArithmetic(threads);
    for (double time : seconds)
      best->second = std::min(best->second, time);
    double sum = 0;
    for (double time : seconds)
      sum += 1 - best->second / time;
    lost = std::min(lost, sum);
  }
  return lost;
}

//===----------------------------------------------------------------------===//
// Both
//===----------------------------------------------------------------------===//

Bystanders::Bystanders(int64_t threads)
    : threads(std::clamp<int64_t>(threads, 1, coresHere())) {
  lostBefore = lostNow(this->threads);
  busy = busySeconds();
  own = ownSeconds();
  start = now();
}

double Bystanders::lostCores() {
  double others = (busySeconds() - busy) - (ownSeconds() - own);
  // Ticks are counted where they end.
  constexpr double resolution = 0.03;
  others = std::max(0.0, others - resolution) / std::max(now() - start, 1e-3);
  double neighbours = std::max(lostBefore, lostNow(threads));
  return std::min(others + neighbours, static_cast<double>(threads));
}

std::string tool::disturbanceText(double lostCores) {
  if (lostCores <= Bystanders::disturbing)
    return "";
  return "others took up to " + number(lostCores, 2) +
         " of the cores: measure again when the machine is idle\n";
}
