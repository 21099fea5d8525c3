//===- Solve.h - The best choice, and how near to it one is ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Solves an Instance. Two workers, whatever the number of threads, take turns
// in rounds of a fixed amount of work and tell each other what they found after
// each:
//
//   prover     raises the lower bound (Dual.h), then closes what is open by
//              branch and bound (Branch.h) if few choices are left
//   improver   betters the best plan in large neighbourhoods (Region.h)
//
// So the result depends on the instance, the seed and the number of rounds
// alone. A limit in seconds stops at the end of a round, which may be another
// one elsewhere.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SOLVE_SOLVE_H
#define PARTITA_SOLVE_SOLVE_H

#include "partita/Solve/Instance.h"
#include <functional>
#include <limits>
#include <optional>

namespace partita::solve {

struct Progress {
  double seconds = 0;
  /// Absent until a plan fits.
  std::optional<int64_t> cost;
  int64_t bound = 0;
};

/// Takes a line of a text, with its end.
using WriteLine = std::function<Status(const std::string &)>;

struct Options {
  /// Since the call.
  double seconds = std::numeric_limits<double>::infinity();
  int64_t rounds = std::numeric_limits<int64_t>::max();
  uint64_t seed = 0;
  /// 1 or 2.
  int threads = 2;
  /// Stop when (cost - bound) / cost is at most this.
  double gap = 0;
  /// Called when the cost or the bound has become better, between rounds.
  std::function<void(const Progress &)> progress;
  /// Asked between rounds.
  std::function<bool()> interrupted;
  /// Given a certificate of the bound, line by line, after the search, for at
  /// most as many seconds again. It may prove less than the bound is.
  WriteLine certificate;
};

enum class StoppedBy { Gap, Rounds, Time, User };
const char *stoppedByName(StoppedBy reason);

struct Answer {
  /// By node; empty if none that fits was found.
  std::vector<int> assignment;
  int64_t cost = 0;
  /// At most the cost of everything that fits.
  int64_t bound = 0;
  StoppedBy stoppedBy = StoppedBy::Gap;
  double seconds = 0;
  int64_t rounds = 0;
  bool isOptimal() const { return !assignment.empty() && cost == bound; }
};

/// Errors: `solve.infeasible` (4) if it was shown that nothing fits; those of
/// writing the certificate.
Result<Answer> solve(const Instance &instance, const Options &options);

} // namespace partita::solve

#endif // PARTITA_SOLVE_SOLVE_H
