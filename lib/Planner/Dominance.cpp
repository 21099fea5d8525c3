//===- Dominance.cpp - Values that no solution needs ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dominance.h"
#include "Classes.h"
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

using namespace partita;
using namespace partita::planner;

namespace {

/// An edge as one of its ends sees it.
struct Side {
  const PriceTable *table;
  bool isRow;
  int other;
  int64_t at(int mine, int theirs) const {
    return isRow ? table->at(mine, theirs) : table->at(theirs, mine);
  }
};

class Remover {
public:
  explicit Remover(const Problem &problem);
  Reduction run();

private:
  bool reduce(int variable);
  std::vector<int> withoutDominated(int variable);
  bool dominates(int variable, int p, int q) const;
  void findCheapest(int variable);

  const Problem &problem;
  std::vector<std::vector<Side>> sides;
  std::vector<std::vector<int>> left;
  /// Variables of repeated layers see the same prices, values and neighbours,
  /// so the same of their values go: each such look is made once.
  Classes<std::vector<int64_t>> unaries;
  Classes<std::vector<int>> lists;
  std::vector<int> unaryOf, listOf; // by variable
  std::map<std::vector<int64_t>, int> known;
  /// Of the variable at hand, by side and value: where the neighbour makes the
  /// edge cheapest. Such places tell most pairs apart at once.
  std::vector<std::vector<int>> cheapest;
};

} // namespace

Remover::Remover(const Problem &problem)
    : problem(problem), sides(problem.unary.size()) {
  for (const PriceEdge &edge : problem.edges) {
    sides[edge.first].push_back({edge.table.get(), true, edge.second});
    sides[edge.second].push_back({edge.table.get(), false, edge.first});
  }
  for (const std::vector<int64_t> &domain : problem.unary) {
    // With what is forbidden, no assignment is better than any without.
    bool any = *std::min_element(domain.begin(), domain.end()) < forbidden;
    left.emplace_back();
    for (size_t value = 0; value < domain.size(); ++value)
      if (!any || domain[value] < forbidden)
        left.back().push_back(static_cast<int>(value));
    unaryOf.push_back(unaries.of(domain));
    listOf.push_back(lists.of(left.back()));
  }
}

void Remover::findCheapest(int variable) {
  cheapest.clear();
  for (const Side &side : sides[variable]) {
    std::vector<int> places(problem.unary[variable].size(), 0);
    for (int value : left[variable]) {
      int place = left[side.other][0];
      for (int theirs : left[side.other])
        if (side.at(value, theirs) < side.at(value, place))
          place = theirs;
      places[value] = place;
    }
    cheapest.push_back(std::move(places));
  }
}

bool Remover::dominates(int variable, int p, int q) const {
  // Savings where q is forbidden do not pay for losses elsewhere.
  constexpr int64_t most = forbidden / 64;
  const int64_t limit = problem.unary[variable][q] - problem.unary[variable][p];
  // The loss at one place of each edge bounds the greatest losses from below,
  // and rises to them.
  int64_t loss = 0;
  auto lossAt = [&](const Side &side, int place) {
    return std::clamp(side.at(p, place) - side.at(q, place), -most, most);
  };
  for (size_t s = 0; s < sides[variable].size(); ++s)
    loss += lossAt(sides[variable][s], cheapest[s][q]);
  for (size_t s = 0; loss <= limit && s < sides[variable].size(); ++s) {
    const Side &side = sides[variable][s];
    int64_t greatest = lossAt(side, cheapest[s][q]);
    for (int theirs : left[side.other]) {
      int64_t here = lossAt(side, theirs);
      if (here <= greatest)
        continue;
      loss += here - greatest;
      greatest = here;
      if (loss > limit)
        return false;
    }
  }
  return loss <= limit;
}

std::vector<int> Remover::withoutDominated(int variable) {
  std::vector<int> values = left[variable];
  findCheapest(variable);
  // Candidates to stay are tried cheapest first: they dominate most.
  std::vector<int> order = values;
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return std::make_pair(problem.unary[variable][a], a) <
           std::make_pair(problem.unary[variable][b], b);
  });
  std::vector<char> gone(problem.unary[variable].size(), 0);
  for (int p : order) {
    if (gone[p])
      continue;
    for (int q : order)
      if (q != p && !gone[q] && dominates(variable, p, q))
        gone[q] = 1;
  }
  std::erase_if(values, [&](int value) { return gone[value] != 0; });
  return values;
}

/// Removes what is dominated among the values of `variable`; whether anything
/// was.
bool Remover::reduce(int variable) {
  if (left[variable].size() < 2)
    return false;
  std::vector<int64_t> seen{unaryOf[variable], listOf[variable]};
  for (const Side &side : sides[variable]) {
    seen.push_back(reinterpret_cast<intptr_t>(side.table));
    seen.push_back(side.isRow);
    seen.push_back(listOf[side.other]);
  }
  auto [it, isNew] = known.try_emplace(std::move(seen), 0);
  if (isNew)
    it->second = lists.of(withoutDominated(variable));
  if (it->second == listOf[variable])
    return false;
  listOf[variable] = it->second;
  left[variable] = lists[it->second];
  return true;
}

Reduction Remover::run() {
  // Domains only shrink, and a smaller domain can only make its neighbours'
  // smaller: a few sweeps reach most of it.
  constexpr int maxSweeps = 4;
  // Only a variable that changed, or whose neighbour did, is worth a look.
  std::vector<char> open(left.size(), 1);
  for (int sweep = 0; sweep < maxSweeps; ++sweep) {
    bool changed = false;
    for (size_t variable = 0; variable < left.size(); ++variable) {
      if (!std::exchange(open[variable], 0) ||
          !reduce(static_cast<int>(variable)))
        continue;
      changed = true;
      open[variable] = 1;
      for (const Side &side : sides[variable])
        open[side.other] = 1;
    }
    if (!changed)
      break;
  }
  return restrictTo(problem, std::move(left));
}

/// What a variable with one value has to do with others is a price of theirs.
static void foldSettled(Problem &problem) {
  auto isSettled = [&](int variable) {
    return problem.unary[variable].size() == 1;
  };
  std::erase_if(problem.edges, [&](const PriceEdge &edge) {
    const PriceTable &table = *edge.table;
    if (isSettled(edge.first))
      for (int value = 0; value < table.columns; ++value) {
        int64_t &price = problem.unary[edge.second][value];
        price = addPrices(price, table.at(0, value));
      }
    else if (isSettled(edge.second))
      for (int value = 0; value < table.rows; ++value) {
        int64_t &price = problem.unary[edge.first][value];
        price = addPrices(price, table.at(value, 0));
      }
    return isSettled(edge.first) || isSettled(edge.second);
  });
}

Reduction planner::removeDominated(const Problem &problem) {
  Reduction reduction = Remover(problem).run();
  foldSettled(reduction.problem);
  return reduction;
}
