//===- Bystanders.h - Who else uses the processor ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A time that was taken while others computed is no property of the program.
// Others are seen in two ways:
//
//   processes   what the whole machine did, less what this process and those
//               that it waited for did
//   neighbours  whoever shares a core without showing up here: another virtual
//               machine on the same core's other thread. Before and after, as
//               many threads as are to be measured do a fixed piece of
//               arithmetic, which then takes longer than the least that it was
//               ever seen to take
//
// Both are cores lost: a core that runs at half its speed is half a core.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_BYSTANDERS_H
#define PARTITA_TOOLS_PARTITA_BYSTANDERS_H

#include "partita/Support/Error.h"
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

namespace partita::tool {

/// Processors that this process may use.
int64_t coresHere();

class Bystanders {
public:
  /// Begins to watch what `threads` threads can get.
  explicit Bystanders(int64_t threads);
  /// Cores lost since then, at most as many as are watched.
  double lostCores();

  /// More than what a machine loses by itself.
  static constexpr double disturbing = 0.12;

private:
  int64_t threads;
  double busy, own, start, lostBefore;
};

/// What was measured, and the cores lost meanwhile.
template <typename Value> struct Watched {
  Value value;
  double lostCores = 0;
};

/// Attempts at a measurement that is to be relied on.
inline constexpr int patient = 6;

/// Measures what uses `threads` threads until nobody disturbs it, `attempts`
/// times at most and with ever longer pauses; of those the one that was least
/// disturbed. `measure` returns a Result<Value>; its errors end it.
template <typename Value, typename Measure>
Result<Watched<Value>> undisturbed(int64_t threads, int attempts,
                                   Measure measure) {
  auto pause = std::chrono::milliseconds(500);
  std::optional<Watched<Value>> best;
  for (int attempt = 1;; ++attempt) {
    Bystanders bystanders(threads);
    PARTITA_TRY(Value value, measure());
    double lost = bystanders.lostCores();
    if (!best || lost < best->lostCores)
      best = {std::move(value), lost};
    if (lost <= Bystanders::disturbing || attempt == attempts)
      return std::move(*best);
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

/// What to say of measurements that lost up to so many cores, with a newline;
/// empty if that is nothing to speak of.
std::string disturbanceText(double lostCores);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_BYSTANDERS_H
