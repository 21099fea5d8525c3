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
#include <numeric>
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
};

/// The prices of a side, of the values that are left: by value of the variable
/// at hand, then by value of its neighbour.
struct Prices {
  size_t columns;
  std::vector<int64_t> all;
  /// By value: where the neighbour makes the edge cheapest, and that price.
  /// Such places tell most pairs apart at once.
  std::vector<int64_t> cheapest;
  std::vector<int64_t> least;
  const int64_t *of(size_t value) const { return &all[value * columns]; }
};

/// The greatest a[x] - b[x] for x < count: where the time goes.
__attribute__((target_clones("default", "avx2", "avx512f"))) int64_t
greatestLoss(const int64_t *a, const int64_t *b, size_t count) {
  int64_t greatest = INT64_MIN;
  for (size_t x = 0; x < count; ++x) {
    int64_t loss = a[x] - b[x];
    greatest = loss > greatest ? loss : greatest;
  }
  return greatest;
}

/// Savings where a value is forbidden do not pay for losses elsewhere.
constexpr int64_t mostLoss = forbidden / 64;

/// into[q] += a[places[q]] - b[q] for q < count, cut down.
__attribute__((target_clones("default", "avx2", "avx512f"))) void
addLosses(const int64_t *a, const int64_t *places, const int64_t *b,
          size_t count, int64_t *into) {
  for (size_t q = 0; q < count; ++q) {
    int64_t loss = a[places[q]] - b[q];
    loss = loss > mostLoss ? mostLoss : loss;
    into[q] += loss < -mostLoss ? -mostLoss : loss;
  }
}

class Remover {
public:
  explicit Remover(const Problem &problem);
  Reduction run();

private:
  bool reduce(int variable);
  std::vector<int> withoutDominated(int variable);
  void findLeastLosses(size_t p);
  bool dominates(size_t p, size_t q) const;
  void findPrices(int variable);

  const Problem &problem;
  std::vector<std::vector<Side>> sides;
  std::vector<std::vector<int>> left;
  /// Variables of repeated layers see the same prices, values and neighbours,
  /// so the same of their values go: each such look is made once.
  Classes<std::vector<int64_t>> unaries;
  Classes<std::vector<int>> lists;
  std::vector<int> unaryOf, listOf; // by variable
  std::map<std::vector<int64_t>, int> known;
  /// Of the variable at hand, by value that is left, and by side.
  std::vector<int64_t> own;
  std::vector<Prices> prices;
  /// By value: what another loses at least in its place.
  std::vector<int64_t> leastLoss;
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

void Remover::findPrices(int variable) {
  own.clear();
  for (int value : left[variable])
    own.push_back(problem.unary[variable][value]);
  prices.clear();
  for (const Side &side : sides[variable]) {
    const std::vector<int> &theirs = left[side.other];
    const int64_t *table = side.table->prices.data();
    const auto columns = static_cast<size_t>(side.table->columns);
    Prices &dense = prices.emplace_back();
    dense.columns = theirs.size();
    const std::vector<int> &mine = left[variable];
    dense.all.resize(mine.size() * theirs.size());
    // A few rows at a time: their lines of the table stay at hand.
    constexpr size_t together = 8;
    for (size_t first = 0; first < mine.size(); first += together) {
      const size_t end = std::min(first + together, mine.size());
      if (side.isRow)
        for (size_t m = first; m < end; ++m)
          for (size_t o = 0; o < theirs.size(); ++o)
            dense.all[m * theirs.size() + o] =
                table[mine[m] * columns + theirs[o]];
      else
        for (size_t o = 0; o < theirs.size(); ++o)
          for (size_t m = first; m < end; ++m)
            dense.all[m * theirs.size() + o] =
                table[theirs[o] * columns + mine[m]];
    }
    for (size_t m = 0; m < mine.size(); ++m) {
      const int64_t *row = dense.of(m);
      const int64_t *least = std::min_element(row, row + theirs.size());
      dense.cheapest.push_back(least - row);
      dense.least.push_back(*least);
    }
  }
}

/// What p in the place of others loses at least: at one place of each edge.
void Remover::findLeastLosses(size_t p) {
  leastLoss.resize(own.size());
  for (size_t q = 0; q < own.size(); ++q)
    leastLoss[q] = own[p] - own[q];
  for (const Prices &side : prices)
    addLosses(side.of(p), side.cheapest.data(), side.least.data(), own.size(),
              leastLoss.data());
}

/// Of values by their number among those that are left; after the least losses
/// of p.
bool Remover::dominates(size_t p, size_t q) const {
  // It rises to the greatest losses.
  int64_t loss = leastLoss[q];
  for (size_t s = 0; loss <= 0 && s < prices.size(); ++s) {
    const Prices &side = prices[s];
    int64_t greatest = greatestLoss(side.of(p), side.of(q), side.columns);
    int64_t atOne = side.of(p)[side.cheapest[q]] - side.least[q];
    loss += std::clamp(greatest, -mostLoss, mostLoss) -
            std::clamp(atOne, -mostLoss, mostLoss);
  }
  return loss <= 0;
}

std::vector<int> Remover::withoutDominated(int variable) {
  const std::vector<int> &values = left[variable];
  findPrices(variable);
  // Candidates to stay are tried cheapest first: they dominate most.
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(own[a], a) < std::pair(own[b], b);
  });
  std::vector<char> gone(values.size(), 0);
  for (size_t p : order) {
    if (gone[p])
      continue;
    findLeastLosses(p);
    for (size_t q : order)
      if (q != p && !gone[q] && dominates(p, q))
        gone[q] = 1;
  }
  std::vector<int> stay;
  for (size_t v = 0; v < values.size(); ++v)
    if (!gone[v])
      stay.push_back(values[v]);
  return stay;
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
