//===- Elimination.cpp - Exact solving, one variable at a time ------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Elimination.h"
#include "Classes.h"
#include "LeastSums.h"
#include <algorithm>
#include <limits>
#include <set>

using namespace partita;
using namespace partita::planner;

namespace {

/// A function of a few variables, dense, the last variable fastest. Functions
/// with the same data, which may still have to be computed, are the same but
/// for the names of their variables.
struct Function {
  std::vector<int> scope;
  std::vector<int64_t> strides;
  const std::vector<int64_t> *data = nullptr;

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

  /// Finds an order in which everything is eliminated. False as soon as it is
  /// known to be too much.
  bool schedule();

  /// Computes what different steps make.
  void run();

  /// Values in reverse order of elimination, each the best given those after.
  std::vector<int> values() const;

private:
  /// Entries that are kept of all steps: half a gigabyte.
  static constexpr int64_t maxEntries = int64_t(1) << 26;

  struct Step {
    int variable;
    std::vector<int> members; // functions that mention it
    std::vector<int> scope;   // their other variables
    /// Where the result goes; null if an equal step makes it.
    std::vector<int64_t> *result;
  };

  int64_t sizeOf(int variable) const {
    return static_cast<int64_t>(problem.unary[variable].size());
  }
  std::vector<int> scopeOf(int variable, const std::vector<int> &members) const;
  std::vector<int64_t> keyOf(int variable, const std::vector<int> &members,
                             const std::vector<int> &scope) const;
  int64_t workNow(int variable);
  void enqueue(int variable);
  void add(Function function);
  const std::vector<int> &membersOf(int variable);
  void eliminate(int variable);

  const Problem &problem;
  int64_t limit;
  /// Of different steps so far: entries visited, and kept.
  int64_t work = 0, entries = 0;
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
  std::vector<Step> order;
};

} // namespace

Elimination::Elimination(const Problem &problem, int64_t limit)
    : problem(problem), limit(limit), functionsOf(problem.unary.size()),
      numLive(problem.unary.size(), 0), marks(problem.unary.size(), 0),
      done(problem.unary.size(), 0), priority(problem.unary.size(), -1) {
  functions.reserve(problem.edges.size() + problem.unary.size());
  // Variables of one value, which nothing has to be found for, are in no
  // function: where little slack is left they are the most, and some of them
  // are read by thousands.
  for (const PriceEdge &edge : problem.edges) {
    Function function{{}, {}, &edge.table->prices};
    for (auto [variable, stride] : {std::pair(edge.first, edge.table->columns),
                                    std::pair(edge.second, 1)})
      if (sizeOf(variable) > 1) {
        function.scope.push_back(variable);
        function.strides.push_back(stride);
      }
    if (!function.scope.empty())
      add(std::move(function));
  }
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

/// The other variables of some functions, in an order that does not depend on
/// what they are called.
std::vector<int> Elimination::scopeOf(int variable,
                                      const std::vector<int> &members) const {
  std::vector<int> scope;
  for (int member : members)
    for (int other : functions[member].scope)
      if (other != variable &&
          std::find(scope.begin(), scope.end(), other) == scope.end())
        scope.push_back(other);
  // The last is what vectors run along.
  auto most = std::max_element(scope.begin(), scope.end(), [&](int a, int b) {
    return sizeOf(a) < sizeOf(b);
  });
  if (most != scope.end())
    std::iter_swap(most, std::prev(scope.end()));
  return scope;
}

/// All that the result of a step depends on.
std::vector<int64_t> Elimination::keyOf(int variable,
                                        const std::vector<int> &members,
                                        const std::vector<int> &scope) const {
  std::vector<int64_t> key{unaryOf[variable]};
  for (int member : members) {
    key.push_back(reinterpret_cast<intptr_t>(functions[member].data));
    for (int other : functions[member].scope)
      key.push_back(other == variable
                        ? -1
                        : std::find(scope.begin(), scope.end(), other) -
                              scope.begin());
  }
  return key;
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

void Elimination::enqueue(int variable) {
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

void Elimination::eliminate(int variable) {
  const std::vector<int> members = membersOf(variable);
  std::vector<int> scope = scopeOf(variable, members);
  for (int member : members) {
    ended[member] = 1;
    for (int other : functions[member].scope)
      --numLive[other];
  }
  done[variable] = 1;
  queue.erase({priority[variable], variable});
  order.push_back({variable, members, scope, nullptr});
  if (scope.empty())
    return;
  auto [it, isNew] = made.try_emplace(keyOf(variable, members, scope));
  if (isNew) {
    order.back().result = &it->second;
    work += priority[variable];
    entries += priority[variable] / sizeOf(variable);
  }
  Function function{scope, std::vector<int64_t>(scope.size(), 1), &it->second};
  for (size_t i = scope.size() - 1; i-- > 0;)
    function.strides[i] = function.strides[i + 1] * sizeOf(scope[i + 1]);
  add(std::move(function));
  for (int other : scope)
    enqueue(other);
}

bool Elimination::schedule() {
  for (size_t variable = 0; variable < done.size(); ++variable)
    if (sizeOf(static_cast<int>(variable)) > 1)
      enqueue(static_cast<int>(variable));
  while (!queue.empty()) {
    auto [next, variable] = *queue.begin();
    if (next > limit)
      return false;
    eliminate(variable);
    if (work > limit || entries > maxEntries)
      return false;
  }
  return true;
}

void Elimination::run() {
  for (const Step &step : order) {
    if (!step.result)
      continue;
    std::vector<SumTerm> terms;
    for (int member : step.members) {
      const Function &function = functions[member];
      SumTerm &term = terms.emplace_back(
          SumTerm{function.data->data(), function.strideOf(step.variable), {}});
      for (int other : step.scope)
        term.outer.push_back(function.strideOf(other));
    }
    std::vector<int64_t> sizes;
    for (int other : step.scope)
      sizes.push_back(sizeOf(other));
    *step.result = leastSums(problem.unary[step.variable], sizes, terms);
  }
}

std::vector<int> Elimination::values() const {
  std::vector<int> values(problem.unary.size(), 0);
  for (size_t i = order.size(); i-- > 0;) {
    int variable = order[i].variable;
    int64_t best = std::numeric_limits<int64_t>::max();
    for (size_t value = 0; value < problem.unary[variable].size(); ++value) {
      int64_t sum = problem.unary[variable][value];
      for (int member : order[i].members) {
        const Function &function = functions[member];
        int64_t offset = 0;
        for (size_t j = 0; j < function.scope.size(); ++j) {
          int other = function.scope[j];
          offset +=
              function.strides[j] *
              (other == variable ? static_cast<int64_t>(value) : values[other]);
        }
        sum = addPrices(sum, (*function.data)[offset]);
      }
      if (sum < best) {
        best = sum;
        values[variable] = static_cast<int>(value);
      }
    }
  }
  return values;
}

std::optional<Solution> planner::eliminated(const Problem &problem,
                                            int64_t limit) {
  Elimination elimination(problem, limit);
  if (!elimination.schedule())
    return std::nullopt;
  elimination.run();
  Solution solution;
  solution.values = elimination.values();
  solution.price = priceOf(problem, solution.values);
  solution.bound = solution.price;
  return solution;
}
