//===- Solver.cpp - Exact elimination, else search and bound --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exact elimination where it is little work. Where it is much, as in training
// steps and with three axes, messages (Dual.h) say which values are dear, and
// what is left within some slack of their bound is eliminated. What is too much
// even so goes to the solver for such problems (partita/Solve).
//
//===----------------------------------------------------------------------===//

#include "Dominance.h"
#include "Dual.h"
#include "Elimination.h"
#include "partita/Planner/Problem.h"
#include "partita/Solve/Solve.h"
#include <algorithm>
#include <numeric>
#include <optional>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Solving
//===----------------------------------------------------------------------===//

int64_t partita::priceOf(const Problem &problem,
                         const std::vector<int> &values) {
  int64_t price = 0;
  for (size_t v = 0; v < values.size(); ++v)
    price = addPrices(price, problem.unary[v][values[v]]);
  for (const PriceEdge &edge : problem.edges)
    price = addPrices(price,
                      edge.table->at(values[edge.first], values[edge.second]));
  return price;
}

/// The same problem for the solver of large ones: nothing uses memory.
static solve::Instance asInstance(const Problem &problem) {
  solve::Instance instance;
  instance.firstValue = {0};
  for (const std::vector<int64_t> &prices : problem.unary) {
    instance.begins.push_back(0);
    instance.ends.push_back(0);
    instance.costs.insert(instance.costs.end(), prices.begin(), prices.end());
    instance.firstValue.push_back(static_cast<int64_t>(instance.costs.size()));
  }
  instance.usages.assign(instance.costs.size(), 0);
  for (const PriceEdge &edge : problem.edges) {
    instance.edges.push_back({edge.first, edge.second,
                              static_cast<int64_t>(instance.tables.size())});
    instance.tables.insert(instance.tables.end(), edge.table->prices.begin(),
                           edge.table->prices.end());
  }
  return instance;
}

static size_t numValues(const Problem &problem) {
  size_t count = 0;
  for (const std::vector<int64_t> &domain : problem.unary)
    count += domain.size();
  return count;
}

static Solution search(const Problem &problem, const SolverOptions &options) {
  static_assert(forbidden == solve::infinity);
  solve::Options search;
  // Rounds of large problems take long, and change little.
  constexpr int64_t many = 1 << 14;
  search.rounds = std::max<int64_t>(
      options.rounds * many / (many + static_cast<int64_t>(numValues(problem))),
      1);
  search.seed = options.seed;
  // After one round.
  search.interrupted = [&options, asked = 0]() mutable {
    return asked++ > 0 && options.isInterrupted();
  };
  Solution solution;
  // Without memory something always fits.
  Result<solve::Answer> answer = solve::solve(asInstance(problem), search);
  solution.values =
      answer ? answer->assignment : std::vector<int>(problem.unary.size(), 0);
  solution.price = priceOf(problem, solution.values);
  solution.bound = answer ? std::min(answer->bound, solution.price) : 0;
  return solution;
}

/// Without the values that only assignments have that cost over `slack` more
/// than the bound.
static Reduction within(const Problem &problem, const DualBound &dual,
                        int64_t slack) {
  std::vector<std::vector<int>> ofClass(dual.excess.size());
  for (size_t c = 0; c < ofClass.size(); ++c)
    for (size_t value = 0; value < dual.excess[c].size(); ++value)
      if (dual.excess[c][value] <= slack)
        ofClass[c].push_back(static_cast<int>(value));
  std::vector<std::vector<int>> values;
  for (int c : dual.classOf)
    values.push_back(ofClass[c]);
  return restrictTo(problem, std::move(values));
}

std::vector<std::vector<int>> partita::valuesNear(const Problem &problem,
                                                  double slack) {
  Reduction reduction = removeDominated(problem);
  DualBound dual = boundByMessages(reduction.problem, 1e-3);
  Reduction near =
      within(reduction.problem, dual,
             static_cast<int64_t>(slack * static_cast<double>(dual.bound)));
  reduction.toOriginal(near);
  return std::move(near.values);
}

namespace {
/// Works towards a proof from both sides. What is left within a little slack of
/// the dual bound is eliminated, which gives an assignment; values that are in
/// none as good go; what is left has a higher dual bound. Repeated until the
/// rest can be eliminated, or little is gained.
class SlackSearch {
public:
  SlackSearch(const Problem &whole, const SolverOptions &options)
      : options(options), left(restrictTo(whole, allValues(whole))) {
    best.price = forbidden;
  }
  Solution run();

private:
  static std::vector<std::vector<int>> allValues(const Problem &problem);
  bool tryWithin(const DualBound &dual, int64_t slack, int64_t limit);
  void findAssignment(const DualBound &dual);
  void searchRest();
  void keep(Solution solution, const Reduction &reduction);
  void raise(int64_t bound) {
    best.bound = std::max(best.bound, std::min(bound, best.price));
  }

  const SolverOptions &options;
  /// All that may be better than the best.
  Reduction left;
  Solution best;
};
} // namespace

std::vector<std::vector<int>> SlackSearch::allValues(const Problem &problem) {
  std::vector<std::vector<int>> values;
  for (const std::vector<int64_t> &domain : problem.unary) {
    values.emplace_back(domain.size());
    std::iota(values.back().begin(), values.back().end(), 0);
  }
  return values;
}

/// `reduction` is of what is left.
void SlackSearch::keep(Solution solution, const Reduction &reduction) {
  if (solution.price >= best.price && !best.values.empty())
    return;
  reduction.toOriginal(solution.values);
  left.toOriginal(solution.values);
  best.values = std::move(solution.values);
  best.price = solution.price;
}

/// False if that was too much work.
bool SlackSearch::tryWithin(const DualBound &dual, int64_t slack,
                            int64_t limit) {
  Reduction reduction = within(left.problem, dual, slack);
  std::optional<Solution> solution = eliminated(reduction.problem, limit);
  if (!solution)
    return false;
  int64_t price = solution->price;
  keep(std::move(*solution), reduction);
  // An assignment with any other value costs more than bound and slack.
  raise(std::min(price, addPrices(dual.bound, slack)));
  return true;
}

/// With as much slack as there is room for.
void SlackSearch::findAssignment(const DualBound &dual) {
  constexpr int maxTries = 8;
  const int64_t limit = std::min(options.workLimit, options.easyLimit / 8);
  // What is not to be proved needs no more than a near one.
  int64_t slack = dual.bound / (options.prove ? 512 : 8192);
  for (int i = 1; i <= maxTries && !tryWithin(dual, slack, limit); ++i)
    slack = i + 1 < maxTries ? slack / 4 : 0;
  // Too little slack may leave nothing that fits together.
  for (int i = 0; i < maxTries && best.price >= forbidden; ++i) {
    slack = 4 * slack + dual.bound / 4096 + 1;
    if (!tryWithin(dual, slack, options.workLimit))
      break;
  }
}

void SlackSearch::searchRest() {
  Solution solution = search(left.problem, options);
  int64_t bound = solution.bound;
  keep(std::move(solution), restrictTo(left.problem, allValues(left.problem)));
  raise(bound);
}

Solution SlackSearch::run() {
  constexpr int maxRounds = 6;
  // A gap of a part of so many is large.
  const int64_t large = options.worth > 1e-4 ? 20 : 50;
  for (int round = 0; round < maxRounds; ++round) {
    DualBound dual = boundByMessages(left.problem, options.worth);
    int64_t before = best.price - best.bound;
    raise(dual.bound);
    if (best.price >= forbidden)
      findAssignment(dual);
    int64_t missing = best.price - best.bound;
    // A proof of so little is not worth much work.
    bool near = missing <= best.price / 1000;
    const int64_t limit = near || !options.prove
                              ? std::min(options.workLimit, options.easyLimit)
                              : options.workLimit;
    if (missing <= 0 || best.price >= forbidden || options.isInterrupted() ||
        (!options.prove && missing <= best.price / large) ||
        tryWithin(dual, best.price - dual.bound, limit) || near ||
        !options.prove || (round > 0 && missing > before / 4 * 3))
      break;
    Reduction smaller = within(left.problem, dual, best.price - dual.bound);
    bool isLittle =
        numValues(smaller.problem) > numValues(left.problem) / 8 * 7;
    left.toOriginal(smaller);
    left = std::move(smaller);
    if (isLittle)
      break;
  }
  // A search of many values is only worth a large gap, and the solver has no
  // tables in common.
  constexpr size_t few = 1 << 12, mostEntries = 1 << 24;
  size_t entries = 0;
  for (const PriceEdge &edge : left.problem.edges)
    entries += edge.table->prices.size();
  const bool isLarge = numValues(left.problem) > few || !options.prove;
  bool isEnough = best.price < forbidden &&
                  (options.isInterrupted() || entries > mostEntries);
  if (!isEnough && best.price - best.bound > (isLarge ? best.price / large : 0))
    searchRest();
  return best;
}

Solution partita::solveProblem(const Problem &problem,
                               const SolverOptions &options) {
  for (const std::vector<int64_t> &domain : problem.unary)
    if (domain.empty())
      return {std::vector<int>(problem.unary.size(), 0), forbidden, forbidden,
              false};
  Reduction reduction = removeDominated(problem);
  // Of what is not to be proved, so much is seldom little work.
  constexpr size_t many = 1 << 18;
  std::optional<Solution> exact;
  if (options.prove || numValues(reduction.problem) < many)
    exact = eliminated(reduction.problem,
                       std::min(options.workLimit, options.easyLimit));
  Solution solution =
      exact ? std::move(*exact) : SlackSearch(reduction.problem, options).run();
  solution.proved = solution.bound == solution.price;
  reduction.toOriginal(solution.values);
  return solution;
}
