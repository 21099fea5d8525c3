//===- Solver.cpp - Elimination, exact or bounded -------------------------===//
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
// to pieces of a few variables and depth costs linearly.
//
// Where a step is too large there are two ways on, and both are taken:
//   - *relaxed*: the functions are put into groups that fit, each with a least
//     value of its own. The sum of the groups is at most the function, so what
//     remains is a lower bound.
//   - *conditioned*: a variable of the step keeps the value that it has in the
//     best assignment so far, and the rest is eliminated exactly. That never
//     loses, and often improves; rounds differ in which variables are kept.
//
//===----------------------------------------------------------------------===//

#include "Dominance.h"
#include "partita/Planner/Problem.h"
#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <set>

using namespace partita;
using namespace partita::planner;

namespace {

/// A function of a few variables, dense, the last variable fastest.
struct Function {
  std::vector<int> scope;
  std::vector<int64_t> strides;
  const int64_t *data = nullptr;
  /// Functions made here own their values; the problem's tables are shared.
  std::shared_ptr<const std::vector<int64_t>> owned;

  int64_t strideOf(int variable) const {
    for (size_t i = 0; i < scope.size(); ++i)
      if (scope[i] == variable)
        return strides[i];
    return 0;
  }
};

/// One pass of elimination over a problem, optionally with some variables kept
/// at given values.
class Elimination {
public:
  Elimination(const Problem &problem, int64_t limit);

  /// Keeps `variable` at `value`. Before run() only.
  void keep(int variable, int value) { kept[variable] = value; }

  /// Eliminates everything; where a step does not fit, relaxes it, or keeps
  /// variables at their values in `*incumbent` if that is given.
  void run(const std::vector<int> *incumbent, std::mt19937_64 *random);

  /// The constant that remains: the least price if exact(), else a bound.
  int64_t constant() const { return rest; }
  bool exact() const { return wasExact; }
  /// Values in reverse order of elimination, each the best given those after.
  std::vector<int> values() const;

private:
  struct Bucket {
    int variable;
    std::vector<int> functions;
  };

  int64_t sizeOf(int variable) const {
    return kept[variable] >= 0
               ? 1
               : static_cast<int64_t>(problem.unary[variable].size());
  }
  std::vector<int> scopeOf(int variable,
                           const std::vector<int> &functions) const;
  int64_t work(int variable, const std::vector<int> &scope) const;
  int64_t workNow(int variable);
  void schedule(int variable);
  void add(Function function);
  const std::vector<int> &membersOf(int variable);
  void eliminate(int variable);
  void condition(int variable, const std::vector<int> &incumbent,
                 std::mt19937_64 *random);
  /// The least sum of `members` (and the unary prices) over `variable`.
  void project(int variable, const std::vector<int> &members, bool withUnary,
               std::vector<int> scope);
  std::vector<std::vector<int>> groups(int variable,
                                       std::vector<int> members) const;

  const Problem &problem;
  int64_t limit;
  std::vector<int> kept;
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
  int64_t rest = 0;
  bool wasExact = true;
};

} // namespace

Elimination::Elimination(const Problem &problem, int64_t limit)
    : problem(problem), limit(limit), kept(problem.unary.size(), -1),
      functionsOf(problem.unary.size()), numLive(problem.unary.size(), 0),
      marks(problem.unary.size(), 0), done(problem.unary.size(), 0),
      priority(problem.unary.size(), -1) {
  functions.reserve(problem.edges.size() + problem.unary.size());
  for (const PriceEdge &edge : problem.edges)
    add({{edge.first, edge.second},
         {edge.table->columns, 1},
         edge.table->prices.data(),
         nullptr});
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

/// The other variables of some functions, ascending.
std::vector<int> Elimination::scopeOf(int variable,
                                      const std::vector<int> &members) const {
  std::vector<int> scope;
  for (int member : members)
    for (int other : functions[member].scope)
      if (other != variable)
        scope.push_back(other);
  std::sort(scope.begin(), scope.end());
  scope.erase(std::unique(scope.begin(), scope.end()), scope.end());
  return scope;
}

/// More entries than any limit lets through.
static constexpr int64_t tooMuchWork = int64_t(1) << 40;

/// Entries visited to eliminate `variable` into `scope`.
int64_t Elimination::work(int variable, const std::vector<int> &scope) const {
  int64_t entries = sizeOf(variable);
  for (int other : scope) {
    entries *= sizeOf(other);
    if (entries > tooMuchWork)
      return tooMuchWork;
  }
  return entries;
}

/// The same for its present functions. It looks no further than what is too
/// much, for it is asked after every step beside the variable.
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

/// Members in groups whose steps fit, large scopes first, each into the first
/// group that has room.
std::vector<std::vector<int>>
Elimination::groups(int variable, std::vector<int> members) const {
  std::sort(members.begin(), members.end(), [&](int a, int b) {
    int64_t workA = work(variable, functions[a].scope);
    int64_t workB = work(variable, functions[b].scope);
    return workA != workB ? workA > workB : a < b;
  });
  std::vector<std::vector<int>> groups;
  for (int member : members) {
    bool placed = false;
    for (std::vector<int> &group : groups) {
      group.push_back(member);
      if (work(variable, scopeOf(variable, group)) <= limit) {
        placed = true;
        break;
      }
      group.pop_back();
    }
    if (!placed)
      groups.push_back({member});
  }
  return groups;
}

void Elimination::project(int variable, const std::vector<int> &members,
                          bool withUnary, std::vector<int> scope) {
  // Kept variables are constants: they enter by offsets and not by scope.
  std::erase_if(scope, [&](int other) { return kept[other] >= 0; });
  std::vector<const int64_t *> bases;
  std::vector<int64_t> inner; // strides of the eliminated variable
  std::vector<std::vector<int64_t>> outer(scope.size());
  for (int member : members) {
    const Function &function = functions[member];
    const int64_t *base = function.data;
    for (size_t i = 0; i < function.scope.size(); ++i)
      if (kept[function.scope[i]] >= 0)
        base += function.strides[i] * kept[function.scope[i]];
    bases.push_back(base);
    inner.push_back(kept[variable] >= 0 ? 0 : function.strideOf(variable));
    for (size_t i = 0; i < scope.size(); ++i)
      outer[i].push_back(function.strideOf(scope[i]));
  }
  int64_t entries = 1;
  for (int other : scope)
    entries *= sizeOf(other);
  size_t first = kept[variable] >= 0 ? kept[variable] : 0;
  size_t values = static_cast<size_t>(sizeOf(variable));
  std::vector<int64_t> none(values, 0);
  const int64_t *unary =
      withUnary ? problem.unary[variable].data() + first : none.data();

  auto result = std::make_shared<std::vector<int64_t>>(entries);
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
    (*result)[entry] = best;
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
  if (scope.empty()) {
    rest = addPrices(rest, (*result)[0]);
    return;
  }
  Function function{scope, std::vector<int64_t>(scope.size(), 1),
                    result->data(), result};
  for (size_t i = scope.size() - 1; i-- > 0;)
    function.strides[i] = function.strides[i + 1] * sizeOf(scope[i + 1]);
  add(std::move(function));
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
  if (work(variable, scope) <= limit) {
    project(variable, members, true, scope);
  } else {
    wasExact = false;
    bool first = true;
    for (const std::vector<int> &group : groups(variable, members)) {
      project(variable, group, first, scopeOf(variable, group));
      first = false;
    }
  }
  for (int other : scope)
    schedule(other);
}

/// Keeps the widest variable around an elimination that does not fit at its
/// present value, so that its neighbours become independent of it.
void Elimination::condition(int variable, const std::vector<int> &incumbent,
                            std::mt19937_64 *random) {
  std::vector<int> scope = scopeOf(variable, membersOf(variable));
  std::erase_if(scope, [&](int other) { return kept[other] >= 0; });
  if (kept[variable] < 0)
    scope.push_back(variable);
  int chosen = scope[0];
  if (random && (*random)() % 2) {
    chosen = scope[(*random)() % scope.size()];
  } else {
    auto weight = [&](int candidate) {
      return std::make_pair(numLive[candidate], sizeOf(candidate));
    };
    for (int candidate : scope)
      if (weight(candidate) > weight(chosen))
        chosen = candidate;
  }
  kept[chosen] = incumbent[chosen];
  wasExact = false;
  for (int other : scopeOf(chosen, membersOf(chosen)))
    schedule(other);
  schedule(chosen);
}

void Elimination::run(const std::vector<int> *incumbent,
                      std::mt19937_64 *random) {
  for (size_t variable = 0; variable < done.size(); ++variable)
    schedule(static_cast<int>(variable));
  while (!queue.empty()) {
    auto [entries, variable] = *queue.begin();
    if (incumbent && entries > limit)
      condition(variable, *incumbent, random);
    else
      eliminate(variable);
  }
}

std::vector<int> Elimination::values() const {
  std::vector<int> values(problem.unary.size(), 0);
  for (size_t i = order.size(); i-- > 0;) {
    int variable = order[i].variable;
    if (kept[variable] >= 0) {
      values[variable] = kept[variable];
      continue;
    }
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

static int64_t priceOf(const Problem &problem, const std::vector<int> &values) {
  int64_t price = 0;
  for (size_t v = 0; v < values.size(); ++v)
    price = addPrices(price, problem.unary[v][values[v]]);
  for (const PriceEdge &edge : problem.edges)
    price = addPrices(price,
                      edge.table->at(values[edge.first], values[edge.second]));
  return price;
}

/// Solves a problem without presolve.
static Solution solveReduced(const Problem &problem,
                             const SolverOptions &options) {
  Solution solution;
  Elimination pass(problem, options.bucketLimit);
  pass.run(nullptr, nullptr);
  solution.values = pass.values();
  solution.price = priceOf(problem, solution.values);
  solution.bound = pass.constant();
  std::mt19937_64 random(options.seed);
  for (int64_t round = 0;
       round < options.rounds && solution.bound < solution.price; ++round) {
    Elimination conditioned(problem, options.bucketLimit / 4);
    // All but the first round keep a random part of the variables, so that
    // different ones get the limited room.
    if (round > 0)
      for (size_t v = 0; v < solution.values.size(); ++v)
        if (random() % 4 == 0)
          conditioned.keep(static_cast<int>(v), solution.values[v]);
    conditioned.run(&solution.values, round ? &random : nullptr);
    std::vector<int> values = conditioned.values();
    int64_t price = priceOf(problem, values);
    if (price < solution.price) {
      solution.price = price;
      solution.values = std::move(values);
    }
  }
  solution.bound = std::min(solution.bound, solution.price);
  solution.proved = solution.bound == solution.price;
  return solution;
}

Solution partita::solve(const Problem &problem, const SolverOptions &options) {
  for (const std::vector<int64_t> &domain : problem.unary)
    if (domain.empty())
      return {std::vector<int>(problem.unary.size(), 0), forbidden, forbidden,
              false};
  Reduction reduction = removeDominated(problem);
  Solution solution = solveReduced(reduction.problem, options);
  for (size_t v = 0; v < solution.values.size(); ++v)
    solution.values[v] = reduction.values[v][solution.values[v]];
  return solution;
}
