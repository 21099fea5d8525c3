//===- Fit.cpp - The best plan within a memory limit ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Fit.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::planner;

namespace {
class Fitter {
public:
  Fitter(const Model &model, const MemoryRows &rows, int64_t limit,
         int64_t toBeat, const SolverOptions &options, Fitted &fitted)
      : model(model), rows(rows), limit(limit), toBeat(toBeat),
        options(options), fitted(fitted) {}
  Status run();

private:
  /// Of a plan: within the limit; not; in a row that had no price, so that
  /// nothing is known of the price.
  enum class Outcome { Fits, TooFull, NewRow };
  std::map<int, double> prices(double price) const;
  Result<Outcome> tryPrice(double price);
  Status findLeast();

  const Model &model;
  const MemoryRows &rows;
  int64_t limit, toBeat;
  const SolverOptions &options;
  Fitted &fitted;
  /// The rows that have been too full.
  std::vector<int> tight;
};
} // namespace

static Result<Solution> solved(const Problem &problem,
                               const SolverOptions &options) {
  Solution solution = solveProblem(problem, options);
  PARTITA_CHECK(verify(problem, solution));
  return solution;
}

std::map<int, double> Fitter::prices(double price) const {
  std::map<int, double> prices;
  for (int row : tight)
    prices[row] = price / static_cast<double>(tight.size());
  return prices;
}

/// Solves with a price for a byte of all tight rows together, and keeps what it
/// learns.
Result<Fitter::Outcome> Fitter::tryPrice(double price) {
  Problem priced = model.objective, times = model.time;
  rows.addPrices(prices(price), priced);
  rows.addPrices(prices(price), times);
  PARTITA_TRY(Solution solution, solved(priced, options));
  PARTITA_TRY(Solution fastest, solved(times, options));
  double paid = std::ceil(price * static_cast<double>(limit) * (1 + 1e-12));
  if (fastest.bound < forbidden && paid < static_cast<double>(forbidden))
    fitted.bound =
        std::max(fitted.bound, fastest.bound - static_cast<int64_t>(paid));

  std::vector<int64_t> usage = rows.usage(solution.values);
  auto fullest = std::max_element(usage.begin(), usage.end());
  int64_t cost = priceOf(model.objective, solution.values);
  if (cost < forbidden && *fullest <= limit) {
    if (!fitted.fits || cost < fitted.solution.price) {
      fitted.solution = {solution.values, cost, 0, false};
      fitted.bytes = *fullest;
    }
    fitted.fits = true;
    return Outcome::Fits;
  }
  int row = static_cast<int>(fullest - usage.begin());
  if (std::find(tight.begin(), tight.end(), row) != tight.end())
    return Outcome::TooFull;
  tight.push_back(row);
  return Outcome::NewRow;
}

/// The least bytes of the tight rows, whatever the time.
Status Fitter::findLeast() {
  Problem bytes = model.time;
  for (std::vector<int64_t> &unary : bytes.unary)
    std::fill(unary.begin(), unary.end(), 0);
  bytes.edges.clear();
  rows.addPrices(prices(1), bytes);
  PARTITA_TRY(Solution least, solved(bytes, options));
  fitted.leastBytes = least.bound;
  return ok();
}

Status Fitter::run() {
  std::vector<int64_t> usage = rows.usage(fitted.solution.values);
  auto fullest = std::max_element(usage.begin(), usage.end());
  fitted.bytes = *fullest;
  fitted.fits = *fullest <= limit;
  if (fitted.fits)
    return ok();
  tight.push_back(static_cast<int>(fullest - usage.begin()));
  PARTITA_CHECK(findLeast());
  if (fitted.leastBytes > limit)
    return ok();
  // At the first price the whole limit costs a sixteenth of the step.
  double low = 0, high = static_cast<double>(fitted.solution.price) / 16 /
                         static_cast<double>(limit);
  const double most = high * (1 << 20);
  constexpr int maxSteps = 48;
  constexpr double close = 0.01;
  bool between = false; // `high` is known to fit
  for (int step = 0; step < maxSteps && high <= most; ++step) {
    double price = between ? (low + high) / 2 : high;
    PARTITA_TRY(Outcome outcome, tryPrice(price));
    fitted.beaten = fitted.bound >= toBeat;
    if (fitted.beaten)
      return ok();
    switch (outcome) {
    case Outcome::Fits:
      high = price;
      between = true;
      break;
    case Outcome::TooFull:
      low = price;
      if (!between)
        high *= 4;
      break;
    case Outcome::NewRow:
      between = false;
      PARTITA_CHECK(findLeast());
      if (fitted.leastBytes > limit)
        return ok();
      break;
    }
    if (between && high - low <= close * high)
      break;
  }
  return ok();
}

Result<Fitted> planner::solveWithin(const Model &model, const MemoryRows *rows,
                                    int64_t limit, int64_t toBeat,
                                    const SolverOptions &options) {
  Fitted fitted;
  PARTITA_TRY(Solution fastest, solved(model.time, options));
  fitted.bound = fastest.bound;
  fitted.beaten = fitted.bound >= toBeat;
  if (fitted.beaten)
    return fitted;
  PARTITA_TRY(fitted.solution, solved(model.objective, options));
  fitted.fits = true;
  if (rows && fitted.solution.price < forbidden)
    PARTITA_CHECK(Fitter(model, *rows, limit, toBeat, options, fitted).run());
  return fitted;
}
