//===- Solver.cpp - Exact elimination, else search and bound --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Eliminating a variable replaces the functions that mention it by one function
// of their other variables: the least sum over its values. When nothing is left
// the constant is the least price, and going back through the variables in
// reverse order gives the values. The cost of a step is the number of entries
// visited, so the variable with the cheapest step goes first; long models fall
// to pieces of a few variables. Repeated layers are eliminated by equal steps:
// a step on functions that have been seen in the same places before gives the
// function that it gave then. So depth costs bookkeeping, and nothing is tied.
//
// Where a step is too large, as in training steps and with three axes, messages
// (Dual.h) say which values are dear; what is left within some slack of their
// bound is eliminated. What has no room even so goes to the solver for such
// problems (partita/Solve).
//
//===----------------------------------------------------------------------===//

#include "Classes.h"
#include "Dominance.h"
#include "Dual.h"
#include "partita/Planner/Problem.h"
#include "partita/Solve/Solve.h"
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <set>

using namespace partita;
using namespace partita::planner;

namespace {

/// A function of a few variables, dense, the last variable fastest. Functions
/// with the same data are the same but for the names of their variables.
struct Function {
  std::vector<int> scope;
  std::vector<int64_t> strides;
  const int64_t *data = nullptr;

  int64_t strideOf(int variable) const {
    for (size_t i = 0; i < scope.size(); ++i)
      if (scope[i] == variable)
        return strides[i];
    return 0;
  }
};

/// One pass of elimination over a problem.
class Elimination {
public:
  Elimination(const Problem &problem, int64_t limit);

  /// Eliminates everything. False as soon as a step does not fit.
  bool run();

  /// Values in reverse order of elimination, each the best given those after.
  std::vector<int> values() const;

private:
  struct Bucket {
    int variable;
    std::vector<int> functions;
  };

  int64_t sizeOf(int variable) const {
    return static_cast<int64_t>(problem.unary[variable].size());
  }
  std::vector<int> scopeOf(int variable,
                           const std::vector<int> &functions) const;
  std::vector<int64_t> stepOf(int variable, const std::vector<int> &members,
                              const std::vector<int> &scope) const;
  int64_t workNow(int variable);
  void schedule(int variable);
  void add(Function function);
  const std::vector<int> &membersOf(int variable);
  void eliminate(int variable);
  /// The least sum of `members` and the unary prices over `variable`.
  std::vector<int64_t> project(int variable, const std::vector<int> &members,
                               const std::vector<int> &scope) const;

  const Problem &problem;
  int64_t limit;
  Classes<std::vector<int64_t>> unaries;
  std::vector<int> unaryOf; // by variable
  /// What different steps made.
  std::map<std::vector<int64_t>, std::vector<int64_t>> made;
  std::vector<Function> functions;
  /// Functions are struck out where they end and cleared away when they are the
  /// most: a value that everything reads has as many as there are operations.
  std::vector<char> ended;
  std::vector<std::vector<int>> functionsOf;
  std::vector<size_t> numLive;
  /// Equal to `mark` for the variables that workNow has seen.
  std::vector<int64_t> marks;
  int64_t mark = 0;
  std::vector<char> done;
  std::vector<int64_t> priority;
  std::set<std::pair<int64_t, int>> queue;
  std::vector<Bucket> order;
};

} // namespace

Elimination::Elimination(const Problem &problem, int64_t limit)
    : problem(problem), limit(limit), functionsOf(problem.unary.size()),
      numLive(problem.unary.size(), 0), marks(problem.unary.size(), 0),
      done(problem.unary.size(), 0), priority(problem.unary.size(), -1) {
  functions.reserve(problem.edges.size() + problem.unary.size());
  for (const PriceEdge &edge : problem.edges)
    add({{edge.first, edge.second},
         {edge.table->columns, 1},
         edge.table->prices.data()});
  for (const std::vector<int64_t> &prices : problem.unary)
    unaryOf.push_back(unaries.of(prices));
}

void Elimination::add(Function function) {
  for (int variable : function.scope) {
    functionsOf[variable].push_back(static_cast<int>(functions.size()));
    ++numLive[variable];
  }
  functions.push_back(std::move(function));
  ended.push_back(0);
}

/// The functions of a variable without those that have ended.
const std::vector<int> &Elimination::membersOf(int variable) {
  std::erase_if(functionsOf[variable],
                [&](int member) { return ended[member]; });
  return functionsOf[variable];
}

/// The other variables of some functions, in the order in which these name
/// them.
std::vector<int> Elimination::scopeOf(int variable,
                                      const std::vector<int> &members) const {
  std::vector<int> scope;
  for (int member : members)
    for (int other : functions[member].scope)
      if (other != variable &&
          std::find(scope.begin(), scope.end(), other) == scope.end())
        scope.push_back(other);
  return scope;
}

/// All that the result of a step depends on.
std::vector<int64_t> Elimination::stepOf(int variable,
                                         const std::vector<int> &members,
                                         const std::vector<int> &scope) const {
  std::vector<int64_t> step{unaryOf[variable]};
  for (int member : members) {
    step.push_back(reinterpret_cast<intptr_t>(functions[member].data));
    for (int other : functions[member].scope)
      step.push_back(other == variable
                         ? -1
                         : std::find(scope.begin(), scope.end(), other) -
                               scope.begin());
  }
  return step;
}

/// More entries than any limit lets through.
static constexpr int64_t tooMuchWork = int64_t(1) << 40;

/// Entries visited to eliminate `variable`. It looks no further than what is
/// too much, for it is asked after every step beside the variable.
int64_t Elimination::workNow(int variable) {
  marks[variable] = ++mark;
  int64_t entries = sizeOf(variable);
  for (int member : functionsOf[variable]) {
    if (ended[member])
      continue;
    for (int other : functions[member].scope) {
      if (marks[other] == mark)
        continue;
      marks[other] = mark;
      entries *= sizeOf(other);
      if (entries > tooMuchWork)
        return tooMuchWork;
    }
  }
  return entries;
}

void Elimination::schedule(int variable) {
  if (done[variable])
    return;
  if (functionsOf[variable].size() > 2 * numLive[variable] + 8)
    membersOf(variable);
  int64_t next = workNow(variable);
  if (next == priority[variable])
    return;
  if (priority[variable] >= 0)
    queue.erase({priority[variable], variable});
  priority[variable] = next;
  queue.insert({next, variable});
}

std::vector<int64_t> Elimination::project(int variable,
                                          const std::vector<int> &members,
                                          const std::vector<int> &scope) const {
  std::vector<const int64_t *> bases;
  std::vector<int64_t> inner; // strides of the eliminated variable
  std::vector<std::vector<int64_t>> outer(scope.size());
  for (int member : members) {
    const Function &function = functions[member];
    bases.push_back(function.data);
    inner.push_back(function.strideOf(variable));
    for (size_t i = 0; i < scope.size(); ++i)
      outer[i].push_back(function.strideOf(scope[i]));
  }
  int64_t entries = 1;
  for (int other : scope)
    entries *= sizeOf(other);
  const std::vector<int64_t> &unary = problem.unary[variable];
  size_t values = unary.size();

  std::vector<int64_t> result(entries);
  std::vector<int64_t> index(scope.size(), 0);
  size_t count = bases.size();
  for (int64_t entry = 0; entry < entries; ++entry) {
    int64_t best = forbidden;
    for (size_t value = 0; value < values; ++value) {
      int64_t sum = unary[value];
      for (size_t m = 0; m < count && sum < best; ++m)
        sum += bases[m][static_cast<int64_t>(value) * inner[m]];
      best = std::min(best, sum);
    }
    result[entry] = best;
    for (size_t i = scope.size(); i-- > 0;) {
      int64_t size = sizeOf(scope[i]);
      if (++index[i] < size) {
        for (size_t m = 0; m < count; ++m)
          bases[m] += outer[i][m];
        break;
      }
      index[i] = 0;
      for (size_t m = 0; m < count; ++m)
        bases[m] -= outer[i][m] * (size - 1);
    }
  }
  return result;
}

void Elimination::eliminate(int variable) {
  const std::vector<int> members = membersOf(variable);
  std::vector<int> scope = scopeOf(variable, members);
  for (int member : members) {
    ended[member] = 1;
    for (int other : functions[member].scope)
      --numLive[other];
  }
  order.push_back({variable, members});
  done[variable] = 1;
  queue.erase({priority[variable], variable});
  if (scope.empty())
    return;
  auto [it, isNew] = made.try_emplace(stepOf(variable, members, scope));
  if (isNew)
    it->second = project(variable, members, scope);
  Function function{scope, std::vector<int64_t>(scope.size(), 1),
                    it->second.data()};
  for (size_t i = scope.size() - 1; i-- > 0;)
    function.strides[i] = function.strides[i + 1] * sizeOf(scope[i + 1]);
  add(std::move(function));
  for (int other : scope)
    schedule(other);
}

bool Elimination::run() {
  for (size_t variable = 0; variable < done.size(); ++variable)
    schedule(static_cast<int>(variable));
  while (!queue.empty()) {
    auto [entries, variable] = *queue.begin();
    if (entries > limit)
      return false;
    eliminate(variable);
  }
  return true;
}

std::vector<int> Elimination::values() const {
  std::vector<int> values(problem.unary.size(), 0);
  for (size_t i = order.size(); i-- > 0;) {
    int variable = order[i].variable;
    int64_t best = std::numeric_limits<int64_t>::max();
    for (size_t value = 0; value < problem.unary[variable].size(); ++value) {
      int64_t sum = problem.unary[variable][value];
      for (int member : order[i].functions) {
        const Function &function = functions[member];
        int64_t offset = 0;
        for (size_t j = 0; j < function.scope.size(); ++j) {
          int other = function.scope[j];
          offset +=
              function.strides[j] *
              (other == variable ? static_cast<int64_t>(value) : values[other]);
        }
        sum = addPrices(sum, function.data[offset]);
      }
      if (sum < best) {
        best = sum;
        values[variable] = static_cast<int>(value);
      }
    }
  }
  return values;
}

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

static Solution search(const Problem &problem, const SolverOptions &options) {
  static_assert(forbidden == solve::infinity);
  solve::Options search;
  search.rounds = std::max<int64_t>(options.rounds, 1);
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

/// Exactly, if no step of elimination visits more than `limit` entries.
static std::optional<Solution> eliminated(const Problem &problem,
                                          int64_t limit) {
  Elimination elimination(problem, limit);
  if (!elimination.run())
    return std::nullopt;
  Solution solution;
  solution.values = elimination.values();
  solution.price = priceOf(problem, solution.values);
  solution.bound = solution.price;
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
  const int64_t limit = std::min(options.bucketLimit, 4 * options.easyLimit);
  int64_t slack = dual.bound / 512;
  for (int i = 1; i <= maxTries && !tryWithin(dual, slack, limit); ++i)
    slack = i + 1 < maxTries ? slack / 4 : 0;
  // Too little slack may leave nothing that fits together.
  for (int i = 0; i < maxTries && best.price >= forbidden; ++i) {
    slack = 4 * slack + dual.bound / 4096 + 1;
    if (!tryWithin(dual, slack, options.bucketLimit))
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
  for (int round = 0; round < maxRounds; ++round) {
    DualBound dual = boundByMessages(left.problem, options.worth);
    int64_t before = best.price - best.bound;
    raise(dual.bound);
    if (best.price >= forbidden)
      findAssignment(dual);
    int64_t missing = best.price - best.bound;
    if (missing <= 0 || best.price >= forbidden || !options.prove ||
        options.isInterrupted() ||
        tryWithin(dual, best.price - dual.bound, options.bucketLimit) ||
        (round > 0 && missing > before / 4 * 3))
      break;
    Reduction smaller = within(left.problem, dual, best.price - dual.bound);
    left.toOriginal(smaller);
    left = std::move(smaller);
  }
  // A search of many values is only worth a large gap.
  const int64_t small = options.worth > 1e-4 ? 20 : 50;
  constexpr size_t few = 1 << 12;
  size_t values = 0;
  for (const std::vector<int64_t> &domain : left.problem.unary)
    values += domain.size();
  bool isEnough = best.price < forbidden && options.isInterrupted();
  if (!isEnough &&
      best.price - best.bound >
          (values > few || !options.prove ? best.price / small : 0))
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
  std::optional<Solution> exact = eliminated(
      reduction.problem, std::min(options.bucketLimit, options.easyLimit));
  Solution solution =
      exact ? std::move(*exact) : SlackSearch(reduction.problem, options).run();
  solution.proved = solution.bound == solution.price;
  reduction.toOriginal(solution.values);
  return solution;
}
