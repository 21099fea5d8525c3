//===- Solve.cpp - Prover and improver in rounds --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Solve.h"
#include "Branch.h"
#include "Certify.h"
#include "Region.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

using namespace partita;
using namespace partita::solve;

const char *solve::stoppedByName(StoppedBy reason) {
  switch (reason) {
  case StoppedBy::Gap:
    return "gap";
  case StoppedBy::Rounds:
    return "work";
  case StoppedBy::Time:
    return "time";
  case StoppedBy::User:
    return "user";
  }
  return "";
}

namespace {

/// Branch and bound takes over where presolve leaves fewer variables.
constexpr int maxBranchVariables = 1000;

/// Bounds take sums beyond this for infinite (Dual.cpp), and prove no more.
constexpr int64_t mostProven = infinity / 5;

//===----------------------------------------------------------------------===//
// Neighbourhoods
//===----------------------------------------------------------------------===//

/// Improves an incumbent. Which sizes of regions and of tables pay is learned:
/// a kind is drawn in proportion to what it brought for its work of late.
class Improver {
public:
  Improver(const Model &model, uint64_t seed);
  void run(int64_t work, Incumbent &incumbent, const RowPrices &prices);

private:
  struct Kind {
    Region::Options options;
    double hits = 0, work = 0;
    double rate() const { return (hits + 0.3) / (work + 2e7); }
  };
  const Model &model;
  Region region;
  State state;
  std::mt19937_64 random;
  std::vector<Kind> kinds;
};

} // namespace

Improver::Improver(const Model &model, uint64_t seed)
    : model(model), region(model, seed), state(model), random(seed ^ 0x5eed) {
  for (int variables : {40, 100, 200, 400})
    for (int limit : {12, 15, 18, 20}) {
      if (variables > std::max(40, 2 * model.numVariables()))
        continue;
      Kind kind;
      kind.options.variables = variables;
      kind.options.tableLimit = int64_t(1) << limit;
      kind.options.priceSteps = 14;
      kinds.push_back(kind);
    }
}

void Improver::run(int64_t work, Incumbent &incumbent,
                   const RowPrices &prices) {
  if (!incumbent.exists() || model.numVariables() == 0)
    return;
  // So much more than its work a round may take.
  constexpr int64_t leastBudget = int64_t(1) << 22;
  state.set(incumbent.values);
  while (work > 0) {
    double sum = 0;
    for (const Kind &kind : kinds)
      sum += kind.rate();
    double at = sum * double(random() >> 11) / double(uint64_t(1) << 53);
    size_t drawn = 0;
    while (drawn + 1 < kinds.size() && (at -= kinds[drawn].rate()) > 0)
      ++drawn;
    Kind &kind = kinds[drawn];
    kind.options.budget = std::max(work, leastBudget);
    bool better = region.improve(state, prices, kind.options);
    work -= region.work();
    kind.hits += better;
    kind.work += double(region.work());
    if (kind.work > 2e9) {
      kind.hits /= 2;
      kind.work /= 2;
    }
    if (better)
      incumbent.offer(state);
  }
}

//===----------------------------------------------------------------------===//
// Bounds
//===----------------------------------------------------------------------===//

namespace {

/// Moves memory prices until the bound settles, then branches, or improves
/// where there is too much to branch on.
class Prover {
public:
  Prover(const Model &model, uint64_t seed);
  /// A first plan, whatever it costs.
  void start(Incumbent &incumbent);
  void run(int64_t work, Incumbent &incumbent);
  /// No plan is better than the incumbent.
  bool isDone() const { return done; }
  double bound() const { return best; }
  const RowPrices &prices() const { return dual.bestRowPrices(); }
  /// As before any pass.
  Dual root() const { return Dual(tables); }

private:
  void passOnce(Incumbent &incumbent);
  void tryValues(Incumbent &incumbent);

  const Model &model;
  std::shared_ptr<const DualTables> tables;
  Dual dual;
  State state;
  Improver improver;
  std::optional<Branch> branch;
  Ascent ascent;
  int64_t passWork = 0;
  double best = -1;
  bool done = false;
};

} // namespace

Prover::Prover(const Model &model, uint64_t seed)
    : model(model), tables(std::make_shared<DualTables>(model)), dual(tables),
      state(model), improver(model, seed + 1) {}

void Prover::start(Incumbent &incumbent) {
  state.setLeast();
  if (state.fits() || state.repair(model.numVariables()))
    incumbent.offer(state);
}

void Prover::tryValues(Incumbent &incumbent) {
  state.set(dual.values());
  if (!state.fits() && !state.repair(60 + model.numVariables() / 20))
    return;
  state.descend();
  incumbent.offer(state);
}

void Prover::passOnce(Incumbent &incumbent) {
  if (ascent.passes() == 0 && incumbent.exists()) {
    state.set(incumbent.values);
    state.descend();
    incumbent.offer(state);
  }
  if (incumbent.exists())
    dual.setLimit(incumbent.limit());
  dual.pass();
  if (dual.empty() || (incumbent.exists() && dual.best() > incumbent.limit())) {
    done = true;
    return;
  }
  best = std::max(best, dual.best());
  passWork += dual.passWork();
  // Rounding takes at most a fifth of the time of passes.
  if (!incumbent.exists() || (state.work() < passWork / 5 &&
                              (dual.fits() || ascent.passes() % 10 == 9)))
    tryValues(incumbent);
  ascent.move(dual);
}

void Prover::run(int64_t work, Incumbent &incumbent) {
  if (done)
    return;
  if (branch) {
    branch->run(work);
    best = std::max(best, branch->bound());
    done = branch->isDone();
    return;
  }
  bool isLarge = model.numVariables() > maxBranchVariables;
  int64_t own = ascent.settled() && isLarge ? work / 4 : work;
  int64_t before = state.work();
  for (int64_t spent = 0; spent + state.work() - before < own && !done &&
                          (isLarge || !ascent.settled());
       spent += dual.passWork())
    passOnce(incumbent);
  if (done || !ascent.settled())
    return;
  if (isLarge) {
    improver.run(work - own, incumbent, dual.bestRowPrices());
    return;
  }
  dual.restoreBest();
  dual.pass();
  branch.emplace(dual, incumbent);
}

//===----------------------------------------------------------------------===//
// Rounds
//===----------------------------------------------------------------------===//

namespace {

class Search {
public:
  Search(const Instance &instance, const Options &options);
  Result<Answer> run();

private:
  double seconds() const;
  void round(int64_t work);
  void report();
  std::optional<StoppedBy> stop() const;
  int64_t bound() const;
  Status certify(int64_t target);
  /// With what no plan avoids. Infinite where it would be more than that: of
  /// such sums no more is known than that they are infinite.
  int64_t total(int64_t price) const {
    return addPrices(presolved.constant, std::min(price, infinity));
  }

  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  const Instance &instance;
  const Options &options;
  Presolved presolved;
  Prover prover;
  Improver improver;
  /// Of the prover, of the improver.
  Incumbent proven, improved;
  int64_t rounds = 0;
  std::optional<int64_t> toldCost;
  int64_t toldBound = -1;
};

} // namespace

Search::Search(const Instance &instance, const Options &options)
    : instance(instance), options(options), presolved(presolve(instance)),
      prover(presolved.model, options.seed),
      improver(presolved.model, options.seed * 2 + 1000) {}

double Search::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The least integer that no plan is below, with a margin for what sums in
/// double precision are off.
int64_t Search::bound() const {
  double sure = prover.bound() - 1e-12 * std::abs(prover.bound());
  int64_t whole = static_cast<int64_t>(std::ceil(std::max(0.0, sure) - 0.01));
  if (prover.isDone() || whole > proven.price)
    whole = proven.price;
  return std::min(whole, mostProven);
}

void Search::round(int64_t work) {
  // The improver reads the prices as they were before the round.
  RowPrices prices = prover.prices();
  auto improve = [&] { improver.run(work, improved, prices); };
  if (options.threads > 1) {
    std::thread other(improve);
    prover.run(work, proven);
    other.join();
  } else {
    improve();
    prover.run(work, proven);
  }
  if (improved.price < proven.price)
    proven = improved;
  else if (proven.price < improved.price)
    improved = proven;
}

void Search::report() {
  Progress progress{seconds(), std::nullopt, total(bound())};
  if (proven.exists())
    progress.cost = total(proven.price);
  if (progress.cost == toldCost && progress.bound <= toldBound)
    return;
  toldCost = progress.cost;
  toldBound = progress.bound;
  if (options.progress)
    options.progress(progress);
}

std::optional<StoppedBy> Search::stop() const {
  if (prover.isDone())
    return StoppedBy::Gap;
  if (proven.exists() && double(proven.price - bound()) <=
                             options.gap * double(total(proven.price)))
    return StoppedBy::Gap;
  if (rounds >= options.rounds)
    return StoppedBy::Rounds;
  // After one round, so that no limit is too short for a plan.
  if (rounds > 0 && seconds() >= options.seconds)
    return StoppedBy::Time;
  if (options.interrupted && options.interrupted())
    return StoppedBy::User;
  return std::nullopt;
}

Status Search::certify(int64_t target) {
  double end = seconds() + options.seconds;
  auto stop = [&] {
    return seconds() >= end || (options.interrupted && options.interrupted());
  };
  return solve::certify(presolved, prover.root(), target, prover.prices(),
                        instance.name, options.certificate, stop);
}

Result<Answer> Search::run() {
  const Model &model = presolved.model;
  for (int64_t capacity : model.capacity)
    if (capacity < 0)
      return makeError(ExitCode::Infeasible, "solve.infeasible", "memory",
                       "the least that all nodes can use is " +
                           std::to_string(-capacity) +
                           " more than the limit at some time",
                       "raise the usage limit");
  prover.start(proven);
  improved = proven;
  report();
  int64_t work = int64_t(1) << 20;
  std::optional<StoppedBy> reason;
  while (!(reason = stop())) {
    round(work);
    ++rounds;
    work = std::min<int64_t>(2 * work, int64_t(1) << 25);
    report();
  }
  if (prover.isDone() && !proven.exists())
    return makeError(ExitCode::Infeasible, "solve.infeasible", "memory",
                     "nothing fits, or only at an infinite price",
                     "raise the usage limit");
  Answer answer;
  answer.stoppedBy = *reason;
  answer.bound = total(bound());
  answer.seconds = seconds();
  answer.rounds = rounds;
  if (proven.exists()) {
    answer.cost = total(proven.price);
    answer.assignment = presolved.assignment(proven.values);
  }
  if (options.certificate)
    PARTITA_CHECK(certify(answer.bound));
  return answer;
}

Result<Answer> solve::solve(const Instance &instance, const Options &options) {
  return Search(instance, options).run();
}
