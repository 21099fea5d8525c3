//===- Region.cpp - Large neighbourhoods ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Region.h"
#include <algorithm>

using namespace partita;
using namespace partita::solve;

Region::Region(const Model &model, uint64_t seed)
    : model(model), random(seed), place(model.numVariables(), -1) {}

/// Members are neighbours of members, the oldest of those first or nearly so.
void Region::grow(int count) {
  constexpr size_t window = 8;
  for (int v : members)
    place[v] = -1;
  members.clear();
  std::vector<int> border;
  size_t next = 0;
  auto add = [&](int v) {
    place[v] = static_cast<int>(members.size());
    members.push_back(v);
    for (int e : model.tablesOf[v]) {
      const Table &table = model.tables[e];
      int other = table.first == v ? table.second : table.first;
      if (place[other] < 0)
        border.push_back(other);
    }
  };
  count = std::min(count, model.numVariables());
  while (static_cast<int>(members.size()) < count) {
    int v = static_cast<int>(random() % model.numVariables());
    if (next < border.size()) {
      size_t at = next + random() % std::min(border.size() - next, window);
      std::swap(border[next], border[at]);
      v = border[next++];
    }
    if (place[v] < 0)
      add(v);
  }
}

/// Cuts the region out: tables to the outside become prices of members' values.
void Region::cut(const State &state) {
  functions.clear();
  unary.clear();
  current.clear();
  for (int v : members) {
    current.push_back(state.values()[v]);
    unary.emplace_back(model.unary[v].begin(), model.unary[v].end());
  }
  for (size_t i = 0; i < members.size(); ++i)
    for (int e : model.tablesOf[members[i]]) {
      const Table &table = model.tables[e];
      bool isFirst = table.first == members[i];
      int other = isFirst ? table.second : table.first;
      int columns = model.size(table.second);
      visited += static_cast<int64_t>(table.prices.size());
      if (place[other] >= 0) {
        if (isFirst)
          functions.push_back({{static_cast<int>(i), place[other]},
                               {table.prices.begin(), table.prices.end()}});
        continue;
      }
      int fixed = state.values()[other];
      for (size_t k = 0; k < unary[i].size(); ++k)
        unary[i][k] +=
            double(isFirst ? table.prices[k * columns + fixed]
                           : table.prices[size_t(fixed) * columns + k]);
    }
}

double Region::priceOf(const std::vector<int> &values) const {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum += unary[i][values[i]];
  for (const Elimination::Function &function : functions)
    sum +=
        function
            .data[values[function.scope[0]] * unary[function.scope[1]].size() +
                  values[function.scope[1]]];
  return sum;
}

std::vector<std::vector<double>> Region::pricedUnary() const {
  std::vector<std::vector<double>> result = unary;
  for (size_t i = 0; i < members.size(); ++i)
    for (const Item &item : model.itemsOf(members[i])) {
      double each = 0;
      for (auto it = std::lower_bound(rows.begin(), rows.end(),
                                      std::pair(item.begin, -1.0));
           it != rows.end() && it->first < item.end; ++it)
        each += it->second;
      if (each > 0)
        for (size_t k = 0; k < result[i].size(); ++k)
          result[i][k] += each * double(model.use(item, static_cast<int>(k)));
    }
  return result;
}

void Region::put(State &state, const std::vector<int> &values) const {
  for (size_t i = 0; i < members.size(); ++i)
    state.assign(members[i], values[i]);
}

/// A few moves that make cheaper values fit. Restores them if that fails.
bool Region::mend(State &state, int64_t before) {
  constexpr int moves = 12;
  std::vector<int> tried = state.values();
  if (state.repair(moves)) {
    state.descend();
    if (state.price() < before)
      return true;
  }
  for (int v = 0; v < model.numVariables(); ++v)
    state.assign(v, tried[v]);
  return false;
}

std::vector<double> Region::excessOfRows(const State &state) const {
  std::vector<double> result;
  for (const auto &[row, price] : rows)
    result.push_back(double(state.excessAt(row)));
  return result;
}

/// What the found values pay for memory less what the room for the region is
/// worth: subtracted from the least priced sum it leaves a bound.
double Region::paymentFor(const std::vector<double> &excess) const {
  double paid = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    double use = 0;
    for (size_t i = 0; i < members.size(); ++i)
      for (const Item &item : model.itemsOf(members[i]))
        if (item.begin <= rows[r].first && rows[r].first < item.end)
          use += double(model.use(item, found[i]));
    paid += rows[r].second * (use - excess[r]);
  }
  return paid;
}

/// Along the excess, towards a bound that is better by `gap`.
bool Region::movePrices(std::vector<double> excess, double gap) {
  double norm = 0;
  for (size_t r = 0; r < rows.size(); ++r)
    if (excess[r] > 0 || rows[r].second > 0)
      norm += excess[r] * excess[r];
  if (norm == 0)
    return false;
  for (size_t r = 0; r < rows.size(); ++r)
    rows[r].second = std::max(0.0, rows[r].second + gap / norm * excess[r]);
  return true;
}

bool Region::improve(State &state, const RowPrices &prices,
                     const Options &options) {
  visited = 20000;
  int64_t workBefore = state.work();
  grow(options.variables);
  cut(state);
  double scale = 0.3 + 0.9 * double(random() % 1000) / 1000;
  rows = prices;
  for (auto &row : rows)
    row.second *= scale;
  int64_t before = state.price();
  double ours = priceOf(current);
  bool better = false;
  for (int step = 0; step < options.priceSteps && visited < options.budget;
       ++step) {
    Elimination elimination(pricedUnary(), functions);
    double least = elimination.run(current, options.tableLimit,
                                   options.budget - visited, random);
    visited += elimination.work();
    found = elimination.values();
    put(state, found);
    if (state.price() < before &&
        (state.fits() ? (state.descend(), true) : mend(state, before))) {
      better = true;
      break;
    }
    bool overflows = !state.fits();
    int worst = overflows ? state.worstRow() : -1;
    auto at =
        std::lower_bound(rows.begin(), rows.end(), std::pair(worst, -1.0));
    if (overflows && (at == rows.end() || at->first != worst))
      rows.insert(at, {worst, 0.0});
    std::vector<double> excess = excessOfRows(state);
    double bound = least - paymentFor(excess);
    put(state, current);
    if (bound >= ours - 0.5 || !movePrices(std::move(excess), ours - bound))
      break;
  }
  visited += state.work() - workBefore;
  return better;
}
