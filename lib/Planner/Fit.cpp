//===- Fit.cpp - The best plan within a memory limit ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Fit.h"
#include "Reduction.h"
#include "Sharing.h"
#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>

using namespace partita;
using namespace partita::planner;

namespace {
class Fitter {
public:
  Fitter(const Model &model, const MemoryRows &rows, int64_t limit,
         int64_t toBeat, const SolverOptions &options, Care care,
         Fitted &fitted)
      : model(model), rows(rows), limit(limit), toBeat(toBeat),
        options(options), looks(care == Care::Look), rough(isRough(care)),
        fitted(fitted) {
    this->options.prove = false;
    if (rough)
      this->options.worth = 1e-3;
  }
  Status run();

private:
  std::map<int, double> prices(double price) const;
  double tightBytes(const std::vector<int> &values) const;
  void addTight(const std::vector<int64_t> &usage);
  bool judge(const std::vector<int> &values);
  Result<Solution> solveAt(double price);
  void narrow();
  Status tryBound(double price);
  Status findPrice();
  Status mix();
  Status findLeast();

  const Model &model;
  const MemoryRows &rows;
  int64_t limit, toBeat;
  SolverOptions options;
  bool looks, rough;
  Fitted &fitted;
  /// The rows that have been too full.
  std::vector<int> tight;
  /// By variable, the values that are tried; empty: all.
  std::vector<std::vector<int>> tried;
  /// Where plans begin to fit; plans on either side of it.
  double price = 0;
  std::vector<int> tooFull, fitting;
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

/// Stages are full by themselves: each may get a new tight row.
void Fitter::addTight(const std::vector<int64_t> &usage) {
  for (int row : rows.peaks(usage))
    if (usage[row] > limit &&
        std::find(tight.begin(), tight.end(), row) == tight.end())
      tight.push_back(row);
}

/// Keeps a plan that is better than the one that there is; whether it fits. Its
/// fullest row is tight if it does not.
bool Fitter::judge(const std::vector<int> &values) {
  std::vector<int64_t> usage = rows.usage(values);
  auto fullest = std::max_element(usage.begin(), usage.end());
  int64_t cost = priceOf(model.objective, values);
  if (cost < forbidden && *fullest <= limit) {
    if (!fitted.fits || cost < fitted.solution.price) {
      fitted.solution = {values, cost, 0, false};
      fitted.bytes = *fullest;
    }
    fitted.fits = true;
    return true;
  }
  addTight(usage);
  return false;
}

/// The mean of the tight rows.
double Fitter::tightBytes(const std::vector<int> &values) const {
  std::vector<int64_t> usage = rows.usage(values);
  double sum = 0;
  for (int row : tight)
    sum += static_cast<double>(usage[row]);
  return sum / static_cast<double>(tight.size());
}

static int64_t toPicoseconds(double value) {
  return static_cast<int64_t>(
      std::min(std::ceil(value * (1 + 1e-12)), static_cast<double>(forbidden)));
}

/// The best with a price for a byte of all tight rows together.
Result<Solution> Fitter::solveAt(double price) {
  Problem priced = model.objective;
  rows.addPrices(prices(price), priced);
  if (tried.empty())
    return solved(priced, options);
  Reduction reduction = restrictTo(priced, tried);
  PARTITA_TRY(Solution solution, solved(reduction.problem, options));
  reduction.toOriginal(solution.values);
  solution.bound = 0;
  return solution;
}

/// From here on only values are tried that are good at no price or at the one
/// at which plans fit.
void Fitter::narrow() {
  constexpr double slack = 1.0 / 1024;
  Problem priced = model.objective;
  tried = valuesNear(priced, slack);
  rows.addPrices(prices(price), priced);
  std::vector<std::vector<int>> others = valuesNear(priced, slack);
  for (size_t v = 0; v < tried.size(); ++v) {
    tried[v].insert(tried[v].end(), others[v].begin(), others[v].end());
    tried[v].insert(tried[v].end(), {tooFull[v], fitting[v]});
    std::sort(tried[v].begin(), tried[v].end());
    tried[v].erase(std::unique(tried[v].begin(), tried[v].end()),
                   tried[v].end());
  }
}

/// What such a price says of all plans.
Status Fitter::tryBound(double price) {
  Problem times = model.time;
  rows.addPrices(prices(price), times);
  PARTITA_TRY(Solution fastest, solved(times, options));
  int64_t paid = toPicoseconds(price * static_cast<double>(limit));
  if (fastest.bound < forbidden && paid < forbidden)
    fitted.bound = std::max(fitted.bound, fastest.bound - paid);
  fitted.beaten = fitted.bound >= toBeat;
  return ok();
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

/// A price at which plans begin to fit: where the last that is too full and the
/// last that fits cost the same, until no other costs less there.
Status Fitter::findPrice() {
  // The whole limit costs a part of the step.
  price = static_cast<double>(fitted.solution.price) / 256 /
          static_cast<double>(limit);
  const double most = price * (1 << 24);
  const int maxSteps = rough ? 10 : 32;
  const double close = rough ? 0.01 : 0.001;
  int64_t atLeast = 0;
  for (int step = 0; step < maxSteps && price <= most; ++step) {
    PARTITA_TRY(Solution solution, solveAt(price));
    atLeast = std::max(atLeast, solution.bound - toPicoseconds(price * limit));
    fitted.beaten = rough && atLeast >= toBeat;
    if (fitted.beaten)
      return ok();
    size_t before = tight.size();
    bool fits = judge(solution.values);
    int64_t found = solution.price;
    (fits ? fitting : tooFull) = std::move(solution.values);
    if (rough && fits && tried.empty())
      narrow();
    if (tight.size() > before) {
      PARTITA_CHECK(findLeast());
      if (fitted.leastBytes > limit)
        return ok();
    }
    if (!fitting.empty() && options.isInterrupted())
      break;
    if (fitting.empty()) {
      // Of rows without a price nothing is known.
      if (tight.size() == before)
        price *= 8;
      continue;
    }
    const auto worth = static_cast<int64_t>(close * fitted.solution.price);
    if (fitted.solution.price - atLeast <= worth)
      break;
    double full = tightBytes(tooFull), less = tightBytes(fitting);
    int64_t fast = priceOf(model.objective, tooFull);
    int64_t slow = priceOf(model.objective, fitting);
    if (full <= less || slow <= fast)
      break;
    bool settled = tight.size() == before && step > 0 &&
                   static_cast<double>(found) >=
                       static_cast<double>(fast) + price * full - worth &&
                   static_cast<double>(found) >=
                       static_cast<double>(slow) + price * less - worth;
    if (settled)
      break;
    price = static_cast<double>(slow - fast) / (full - less);
  }
  return ok();
}

/// At the price where plans begin to fit, all copies of a layer change at once.
/// Between the last plan that is too full and the first that fits, bytes of
/// later operations are made a little dearer than those of earlier ones, and
/// the copies change one after another.
Status Fitter::mix() {
  if (tooFull.empty() || fitting.empty())
    return ok();
  std::vector<std::vector<int>> either;
  for (size_t v = 0; v < fitting.size(); ++v) {
    auto [least, most] = std::minmax(tooFull[v], fitting[v]);
    either.push_back({least});
    if (most != least)
      either.back().push_back(most);
  }
  // Nothing between them is worth much.
  if (priceOf(model.objective, fitting) - priceOf(model.objective, tooFull) <=
      fitted.solution.price / 100)
    return ok();
  constexpr int maxSteps = 10;
  constexpr double tilt = 0.1;
  double from = price / (1 + 2 * tilt), to = price * (1 + tilt);
  for (int step = 0; step < maxSteps; ++step) {
    double between = (from + to) / 2;
    Problem priced = model.objective;
    rows.addPrices(prices(between), priced, tilt);
    Reduction reduction = restrictTo(priced, either);
    Solution solution = solveProblem(reduction.problem, options);
    reduction.toOriginal(solution.values);
    (judge(solution.values) ? to : from) = between;
  }
  return ok();
}

Status Fitter::run() {
  tooFull = fitted.solution.values;
  std::vector<int64_t> usage = rows.usage(tooFull);
  auto fullest = std::max_element(usage.begin(), usage.end());
  fitted.bytes = *fullest;
  fitted.fits = *fullest <= limit;
  if (fitted.fits || looks)
    return ok();
  addTight(usage);
  PARTITA_CHECK(findLeast());
  if (fitted.leastBytes > limit)
    return ok();
  PARTITA_CHECK(findPrice());
  if (fitted.beaten || !fitted.fits || options.isInterrupted())
    return ok();
  PARTITA_CHECK(mix());
  return rough ? ok() : tryBound(price);
}

static size_t numEntries(const Problem &problem) {
  size_t count = 0;
  std::unordered_set<const PriceTable *> seen;
  for (const PriceEdge &edge : problem.edges)
    if (seen.insert(edge.table.get()).second)
      count += edge.table->prices.size();
  return count;
}

/// The best of `model` by its objective.
static Result<Fitted> solveOnce(const Model &model, const MemoryRows *rows,
                                int64_t limit, int64_t toBeat,
                                const SolverOptions &options, Care care) {
  const bool rough = isRough(care);
  Fitted fitted;
  fitted.entries = numEntries(model.time);
  SolverOptions first = options;
  if (rough) {
    first.prove = false;
    first.worth = 1e-3;
  } else {
    PARTITA_TRY(Solution fastest, solved(model.time, options));
    fitted.bound = fastest.bound;
    fitted.beaten = fitted.bound >= toBeat;
  }
  if (fitted.beaten)
    return fitted;
  // The bound comes from the time: a proof of the rest is not worth as much.
  first.workLimit = std::min(options.workLimit, options.easyLimit);
  PARTITA_TRY(fitted.solution, solved(model.objective, first));
  fitted.fits = true;
  // Memory only makes a plan slower.
  fitted.beaten = rough && fitted.solution.price >= toBeat;
  if (fitted.beaten)
    return fitted;
  if (rows && fitted.solution.price < forbidden)
    PARTITA_CHECK(
        Fitter(model, *rows, limit, toBeat, options, care, fitted).run());
  return fitted;
}

namespace {
/// Works on a plan and a bound that are apart: with prices that know what uses
/// share, for the shortest step that fits, among what may be shorter.
class Refiner {
public:
  Refiner(const Model &model, const MemoryRows *rows, int64_t limit,
          int64_t toBeat, const SolverOptions &options, Fitted &fitted)
      : model(model), rows(rows), limit(limit), toBeat(toBeat),
        options(options), fitted(fitted),
        time(priceShared(model, model.time, fitted.solution.values)) {
    // What messages and elimination leave is not worth a long search.
    constexpr int64_t few = 4;
    this->options.rounds = std::min(options.rounds, few);
  }
  Status run();

private:
  bool isEnough() const {
    int64_t step = std::min(time, toBeat);
    return step - fitted.bound <= hardlyMore(step) || options.isInterrupted();
  }
  Result<int64_t> tryTuples(const Sharing &sharing);

  const Model &model;
  const MemoryRows *rows;
  int64_t limit, toBeat;
  SolverOptions options;
  Fitted &fitted;
  /// The shortest step so far, and its plan if that is not the one that there
  /// was.
  int64_t time;
  std::optional<Fitted> fastest;
};
} // namespace

/// What the plan takes more than its price says: more layouts to share may
/// help.
Result<int64_t> Refiner::tryTuples(const Sharing &sharing) {
  PARTITA_TRY(Fitted found, solveOnce(sharing.model, rows, limit, toBeat,
                                      options, Care::Good));
  // Everything else takes longer than the plan that there is.
  fitted.bound = std::max(fitted.bound, std::min(found.bound, time));
  fitted.beaten = fitted.bound >= toBeat;
  const int64_t price = found.solution.price;
  if (!found.fits || price >= time)
    return 0;
  sharing.toOriginal(found.solution.values);
  int64_t step = priceShared(model, model.time, found.solution.values);
  if (step < time) {
    time = step;
    fastest = std::move(found);
  }
  return step - price;
}

/// Leaves so little of all prices but time that they only decide between steps
/// that are equally long.
static void preferTime(Model &model) {
  constexpr int64_t part = 8;
  Problem objective = model.time;
  for (size_t v = 0; v < objective.unary.size(); ++v)
    for (size_t k = 0; k < objective.unary[v].size(); ++k) {
      int64_t &price = objective.unary[v][k];
      int64_t more = model.objective.unary[v][k] - price;
      if (more > 0)
        price = addPrices(price, more / part);
    }
  model.objective = std::move(objective);
}

Status Refiner::run() {
  constexpr int mostRounds = 3, mostLayouts = 2;
  const int64_t before = time;
  std::optional<Sharing> sharing;
  for (int round = 0, layouts = 1; round < mostRounds && !isEnough(); ++round) {
    const Problem &problem = sharing ? sharing->model.time : model.time;
    DualBound dual = boundByMessages(problem);
    if (dual.bound >= time)
      break;
    const int64_t last = time;
    Left left = leftWithin(dual, time - dual.bound);
    sharing.emplace(model, sharing ? sharing->toOriginal(left) : left, layouts);
    preferTime(sharing->model);
    PARTITA_TRY(int64_t missing, tryTuples(*sharing));
    // Again with more layouts, or where a better plan leaves fewer values.
    if (missing > hardlyMore(time) && layouts < mostLayouts)
      ++layouts;
    else if (last - time <= hardlyMore(time))
      break;
  }
  // A shorter step is worth other prices if it is so much shorter.
  constexpr int64_t worthMentioning = 60;
  if (!fastest || time > before - before / worthMentioning)
    return ok();
  fitted.solution = std::move(fastest->solution);
  fitted.solution.price =
      priceShared(model, model.objective, fitted.solution.values);
  fitted.bytes = fastest->bytes;
  return ok();
}

Status planner::refine(const Model &model, const MemoryRows *rows,
                       int64_t limit, int64_t toBeat,
                       const SolverOptions &options, Fitted &fitted) {
  if (fitted.beaten || !fitted.fits || fitted.solution.price >= forbidden)
    return ok();
  return Refiner(model, rows, limit, toBeat, options, fitted).run();
}

Result<Fitted> planner::solveWithin(const Model &model, const MemoryRows *rows,
                                    int64_t limit, int64_t toBeat,
                                    const SolverOptions &options, Care care) {
  PARTITA_TRY(Fitted fitted,
              solveOnce(model, rows, limit, toBeat, options, care));
  if (care == Care::Best)
    PARTITA_CHECK(refine(model, rows, limit, toBeat, options, fitted));
  return fitted;
}
