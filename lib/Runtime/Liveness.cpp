//===- Liveness.cpp - Which bytes of the arena are dead -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One walk backwards over the commands with a set of live bytes: what a command
// writes is dead before it, what it reads is live before it. Computed from the
// views alone, knowing nothing of how the compiler placed them.
//
//===----------------------------------------------------------------------===//

#include "Liveness.h"
#include <iterator>
#include <map>

using namespace partita;
using namespace partita::runtime;

namespace {

/// Disjoint half-open intervals, by their beginnings.
class IntervalSet {
public:
  void add(Interval interval) {
    if (interval.begin >= interval.end)
      return;
    remove(interval);
    parts[interval.begin] = interval.end;
  }
  void remove(Interval interval) {
    if (interval.begin >= interval.end)
      return;
    split(interval.begin);
    split(interval.end);
    parts.erase(parts.lower_bound(interval.begin),
                parts.lower_bound(interval.end));
  }
  /// The parts of `interval` that are not in the set.
  std::vector<Interval> gaps(Interval interval) const {
    std::vector<Interval> result;
    int64_t at = interval.begin;
    auto it = parts.upper_bound(interval.begin);
    if (it != parts.begin() && std::prev(it)->second > at)
      at = std::prev(it)->second;
    for (; it != parts.end() && it->first < interval.end; ++it) {
      if (at < it->first)
        result.push_back({at, it->first});
      at = it->second;
    }
    if (at < interval.end)
      result.push_back({at, interval.end});
    return result;
  }

private:
  /// Makes `at` a border if it lies inside a part.
  void split(int64_t at) {
    auto it = parts.upper_bound(at);
    if (it == parts.begin())
      return;
    --it;
    if (it->first < at && at < it->second) {
      parts[at] = it->second;
      it->second = at;
    }
  }
  std::map<int64_t, int64_t> parts;
};

} // namespace

/// The bytes of a view as contiguous intervals; one covering interval if there
/// would be very many.
static std::vector<Interval> bytesOf(const View &view, bool &exact) {
  exact = true;
  if (view.space != Space::Arena || view.numElements() == 0)
    return {};
  int64_t size = dtypeSize(view.dtype);
  // The innermost dimensions that are contiguous together form one run.
  int64_t run = 1;
  size_t inner = view.shape.size();
  while (inner > 0 &&
         (view.shape[inner - 1] == 1 || view.strides[inner - 1] == run)) {
    run *= view.shape[inner - 1];
    --inner;
  }
  int64_t count = 1;
  for (size_t d = 0; d < inner; ++d)
    count *= view.strides[d] == 0 ? 1 : view.shape[d];
  if (count > 4096) {
    exact = false;
    auto [begin, end] = view.byteRange();
    return {{begin, end}};
  }
  std::vector<Interval> result;
  std::vector<int64_t> index(inner, 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = view.offset;
    for (size_t d = 0; d < inner; ++d)
      at += index[d] * view.strides[d] * size;
    result.push_back({at, at + run * size});
    for (size_t d = inner; d-- > 0;) {
      if (view.strides[d] != 0 && ++index[d] < view.shape[d])
        break;
      index[d] = 0;
    }
  }
  return result;
}

std::vector<std::vector<Interval>>
partita::runtime::deadAfter(const std::vector<Command> &commands) {
  std::vector<std::vector<Interval>> dead(commands.size());
  IntervalSet live;
  for (size_t i = commands.size(); i-- > 0;) {
    const Command &command = commands[i];
    std::vector<Interval> &gone = dead[i];
    bool exact;
    auto bury = [&](const std::vector<View> &views) {
      for (const View &view : views)
        for (Interval part : bytesOf(view, exact))
          // A covering interval also spans bytes of others, which may be dead
          // already or live: only the former are filled again.
          for (Interval gap : live.gaps(part))
            gone.push_back(gap);
    };
    bury(command.operands);
    bury(command.results);
    bury(command.workspace);
    for (const std::vector<View> *views :
         {&command.results, &command.workspace})
      for (const View &view : *views)
        for (Interval part : bytesOf(view, exact))
          if (exact)
            live.remove(part);
    for (const View &view : command.operands)
      for (Interval part : bytesOf(view, exact))
        live.add(part);
  }
  return dead;
}
