//===- Parts.h - The least that parts of a step take ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// To bound a leaf (Leaves.h) operations count by numbers, and a window of the
// model (Segments.h) has copies in several stages, which count by different
// ones. Let f be what the operations of a copy take under some strategies, c
// their counts, and
//
//   g(c) = least of c f over all strategies.
//
// Each copy has strategies of its own, so together they take the sum of g(c)
// over the copies. Counts must not be added up before: g of the sum is more.
// But g(k c) = k g(c), and g grows with the counts, so that
//
//   g(d) >= k g(c) + least of (d - k c) f    where k c <= d
//
// of which the last part is at least what kernels take.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_PARTS_H
#define PARTITA_LIB_PLANNER_PARTS_H

#include <compare>
#include <cstdint>
#include <vector>

namespace partita::planner {

/// Times, or how often they count: forward, backward, gradients of weights, and
/// once a step.
struct ByPhase {
  int64_t forward = 0, backward = 0, weight = 0, once = 0;
  ByPhase &operator+=(const ByPhase &other);
  auto operator<=>(const ByPhase &) const = default;
};

/// How often what the segments of a copy do counts, by place; or chunks.
using Counts = std::vector<ByPhase>;

/// Those of copies that are neighbours and count alike.
struct CountsOfCopies {
  Counts counts;
  int copies = 0;
};

/// What is known of a window.
struct Part {
  struct Known {
    Counts counts;
    /// At most g(counts).
    int64_t bound = 0;
  };
  std::vector<Known> known;
  /// By place: what the kernels take at least, for one micro-batch.
  std::vector<ByPhase> least;

  /// What kernels take at least.
  double kernels(const Counts &counts) const;
  /// At most g(counts); where a micro-batch is `smaller`, of that one.
  double bound(const Counts &counts, double smaller = 1) const;
  /// Some of these that say most of all of them, those with most to do first.
  std::vector<Counts>
  worthKnowing(const std::vector<CountsOfCopies> &ofCopies) const;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_PARTS_H
