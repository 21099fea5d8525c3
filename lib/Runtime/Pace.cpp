//===- Pace.cpp - Steps that follow each other closely --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Pace.h"
#include "WaitErrors.h"
#include <algorithm>

using namespace partita;
using namespace partita::runtime;

void Pace::begin(Interval all, int64_t stepsAhead) {
  std::lock_guard lock(mutex);
  ranks = all;
  ahead = stepsAhead;
  finished = 0;
  places.assign(all.size(), {});
  begins.clear();
}

Status Pace::enter(int64_t rank, std::chrono::duration<double> timeout) {
  std::unique_lock lock(mutex);
  Place &own = place(rank);
  auto mayBegin = [&] { return isAborted || own.done - ahead <= finished; };
  own.waiting = !mayBegin();
  if (!changed.wait_for(lock, timeout, mayBegin))
    return timeoutError(timeout); // It stays in the picture.
  own.waiting = false;
  if (isAborted)
    return abortedError();
  if (own.done - finished == static_cast<int64_t>(begins.size()))
    begins.push_back(Clock::now());
  return ok();
}

void Pace::leave(int64_t rank) {
  std::lock_guard lock(mutex);
  ++place(rank).done;
  changed.notify_all();
}

bool Pace::await(int64_t step, std::chrono::duration<double> timeout) {
  std::unique_lock lock(mutex);
  size_t all = places.size();
  changed.wait(lock,
               [&] { return isAborted || lateLocked(step).size() < all; });
  return changed.wait_for(lock, timeout, [&] {
    return isAborted || lateLocked(step).empty();
  }) && !isAborted;
}

Clock::time_point Pace::done() {
  std::lock_guard lock(mutex);
  ++finished;
  Clock::time_point begin = begins.front();
  begins.pop_front();
  changed.notify_all();
  return begin;
}

void Pace::abort() {
  std::lock_guard lock(mutex);
  isAborted = true;
  changed.notify_all();
}

bool Pace::aborted() const {
  std::lock_guard lock(mutex);
  return isAborted;
}

std::vector<int64_t> Pace::lateLocked(int64_t step) const {
  std::vector<int64_t> late;
  for (size_t i = 0; i < places.size(); ++i)
    if (places[i].done <= step)
      late.push_back(ranks.begin + static_cast<int64_t>(i));
  return late;
}

std::vector<int64_t> Pace::late(int64_t step) const {
  std::lock_guard lock(mutex);
  return lateLocked(step);
}

int64_t Pace::awaitedBy(int64_t rank) const {
  std::lock_guard lock(mutex);
  if (places.empty() || !places[rank - ranks.begin].waiting)
    return -1;
  return places[rank - ranks.begin].done - ahead - 1;
}
