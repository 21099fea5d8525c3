//===- Fit.h - The best plan within a memory limit --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For any price p >= 0 per byte of a row with limit L, no plan that fits takes
// less than
//
//   min over all plans of (time + p * bytes) - p * L
//
// and the plan that attains the minimum fits if p is large enough. So prices
// are raised until a plan fits; then the price is tried at which it costs as
// much as the last that is too full, until no other plan is better there. The
// last plan that is too full and the first that fits are mixed, layer by layer.
// Rows come on demand: the fullest one of each plan that does not fit. All rows
// share one price, which leaves a gap where two of them matter by different
// amounts.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_FIT_H
#define PARTITA_LIB_PLANNER_FIT_H

#include "Memory.h"
#include "Model.h"

namespace partita::planner {

struct Fitted {
  /// The plan; its price is of the objective, without memory.
  Solution solution;
  /// Whether its rows are within the limit.
  bool fits = false;
  /// The search ended because no plan can be better than the one to beat.
  bool beaten = false;
  /// In picoseconds; no plan that fits takes a shorter step.
  int64_t bound = 0;
  /// The fullest row of the solution, and bytes below which no plan has all
  /// rows; only where the limit binds.
  int64_t bytes = 0, leastBytes = 0;
  /// Of the different tables of the model: what another look takes.
  size_t entries = 0;
};

/// How closely a plan is looked for. Look: as if there were no limit, and then
/// whether that fits. Rough: within a percent or so where the
/// limit binds, without a bound; what is no better than the one to beat by its
/// price is left alone. Good: with a bound. Best: refined.
enum class Care : uint8_t { Look, Rough, Good, Best };
inline bool isRough(Care care) {
  return care == Care::Look || care == Care::Rough;
}

/// A part of a step that is not worth another look.
inline int64_t hardlyMore(int64_t step) { return step / 500; }
/// How far apart plan and bound may be without another look, which takes longer
/// than all else where tables are large.
inline int64_t closeEnough(int64_t step, const Fitted &fitted) {
  constexpr size_t many = size_t(1) << 16;
  return fitted.entries > many ? step / 100 : hardlyMore(step);
}

/// The best of `model` whose rows are at most `limit`, as far as it may take a
/// shorter step than `toBeat`. Without `rows` everything fits. Errors: those of
/// verify().
Result<Fitted> solveWithin(const Model &model, const MemoryRows *rows,
                           int64_t limit, int64_t toBeat,
                           const SolverOptions &options,
                           Care care = Care::Best);

/// Looks again where plan and bound are apart, with prices that know what uses
/// share. Takes long for training steps. `fitted` is what solveWithin() found
/// for the same; its bound may rise, and its plan become a better one. Errors:
/// as there.
Status refine(const Model &model, const MemoryRows *rows, int64_t limit,
              int64_t toBeat, const SolverOptions &options, Fitted &fitted);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_FIT_H
