//===- Parts.cpp - The least that parts of a step take --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Parts.h"
#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

using namespace partita;
using namespace partita::planner;

ByPhase &ByPhase::operator+=(const ByPhase &other) {
  forward += other.forward;
  backward += other.backward;
  weight += other.weight;
  once += other.once;
  return *this;
}

/// Calls `see` with both numbers of each phase of each place, and whether they
/// are of each micro-batch.
template <typename See>
static void forBoth(const std::vector<ByPhase> &a,
                    const std::vector<ByPhase> &b, See see) {
  auto number = [](int64_t value) { return static_cast<double>(value); };
  for (size_t place = 0; place < a.size(); ++place) {
    see(number(a[place].forward), number(b[place].forward), true);
    see(number(a[place].backward), number(b[place].backward), true);
    see(number(a[place].weight), number(b[place].weight), true);
    see(number(a[place].once), number(b[place].once), false);
  }
}

double Part::kernels(const Counts &counts) const {
  double sum = 0;
  forBoth(counts, least,
          [&](double count, double time, bool) { sum += count * time; });
  return sum;
}

double Part::bound(const Counts &counts, double smaller) const {
  double own = 0; // what kernels take
  forBoth(counts, least, [&](double count, double time, bool inLoop) {
    own += count * time * (inLoop ? smaller : 1);
  });
  double best = own;
  for (const Known &other : known) {
    double often = std::numeric_limits<double>::infinity();
    forBoth(counts, other.counts, [&](double count, double of, bool inLoop) {
      if (of > 0)
        often = std::min(often, count / of * (inLoop ? smaller : 1));
    });
    if (often < std::numeric_limits<double>::infinity())
      best = std::max(best, own + often * (static_cast<double>(other.bound) -
                                           kernels(other.counts)));
  }
  return best * (1 - 1e-9);
}

/// Whether one is a multiple of the other, and so says as much.
static bool areAlike(const Counts &a, const Counts &b) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  forBoth(a, b, [&](double one, double other, bool) {
    if (one == 0 && other == 0)
      return;
    double ratio =
        other > 0 ? one / other : std::numeric_limits<double>::infinity();
    least = std::min(least, ratio);
    most = std::max(most, ratio);
  });
  return most <= least * (1 + 1e-9);
}

std::vector<Counts>
Part::worthKnowing(const std::vector<CountsOfCopies> &ofCopies) const {
  constexpr size_t mostCounts = 8;
  constexpr double worth = 1.0 / 256;
  std::map<Counts, double> workOf;
  double all = 0;
  for (const auto &[counts, copies] : ofCopies) {
    const double work = copies * kernels(counts);
    workOf[counts] += work;
    all += work;
  }
  std::vector<std::pair<double, const Counts *>> byWork;
  for (const auto &[counts, work] : workOf)
    byWork.emplace_back(-work, &counts);
  std::sort(byWork.begin(), byWork.end(), [](const auto &a, const auto &b) {
    return std::tie(a.first, *a.second) < std::tie(b.first, *b.second);
  });
  std::vector<Counts> list;
  for (auto [work, counts] : byWork) {
    if (list.size() == mostCounts || (!list.empty() && -work < worth * all))
      break;
    bool isNew =
        std::none_of(list.begin(), list.end(), [&](const Counts &other) {
          return areAlike(*counts, other);
        });
    if (isNew)
      list.push_back(*counts);
  }
  return list;
}
