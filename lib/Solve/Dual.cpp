//===- Dual.cpp - Lower bounds by messages and memory prices --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dual.h"
#include <algorithm>
#include <cmath>
#include <limits>

using namespace partita;
using namespace partita::solve;

/// What is forbidden or infinite costs this, which no sum of prices reaches and
/// sums of which stay exact enough.
static constexpr double never = 1e18;
static constexpr double huge = never / 4;

DualTables::DualTables(const Model &model) : model(model) {
  for (const Table &table : model.tables) {
    int rows = model.size(table.first), columns = model.size(table.second);
    prices.emplace_back(table.prices.begin(), table.prices.end());
    std::vector<double> &back = transposed.emplace_back(table.prices.size());
    for (int k = 0; k < rows; ++k)
      for (int l = 0; l < columns; ++l)
        back[size_t(l) * rows + k] =
            double(table.prices[size_t(k) * columns + l]);
  }
  for (int v = 0; v < model.numVariables(); ++v) {
    int before = 0, after = 0;
    for (int e : model.tablesOf[v])
      ++(model.tables[e].first == v ? after : before);
    share.push_back(1.0 / std::max({before, after, 1}));
  }
}

Dual::Dual(std::shared_ptr<const DualTables> tables)
    : shared(std::move(tables)), limit(huge), most(never) {
  const Model &m = model();
  for (int v = 0; v < m.numVariables(); ++v) {
    alive.emplace_back(m.size(v), 1);
    aliveCount.push_back(m.size(v));
  }
  for (const Table &table : m.tables)
    messages.emplace_back(m.size(table.first), 0.0);
  unary.resize(m.numVariables());
  chosen.assign(m.numVariables(), 0);
  over.assign(m.numRows(), 0);
  lastBound = bestBound = -never;
}

int64_t Dual::passWork() const {
  int64_t entries = 2000 + model().numRows() + 10 * model().numVariables();
  for (const Table &table : model().tables)
    entries += 2 * static_cast<int64_t>(table.prices.size());
  return entries + 2 * static_cast<int64_t>(model().usages.size());
}

void Dual::forbid(int variable, int value) {
  if (!alive[variable][value])
    return;
  alive[variable][value] = 0;
  if (!unary[variable].empty())
    unary[variable][value] = never;
  isEmpty |= --aliveCount[variable] == 0;
}

/// The unary prices under the present prices of memory.
void Dual::price() {
  const Model &m = model();
  std::vector<double> until(m.numRows() + 1, 0);
  for (auto [row, value] : prices)
    until[row + 1] = value;
  for (int row = 0; row < m.numRows(); ++row)
    until[row + 1] += until[row];
  for (int v = 0; v < m.numVariables(); ++v) {
    unary[v].assign(m.unary[v].begin(), m.unary[v].end());
    for (const Item &item : m.itemsOf(v)) {
      double each = until[item.end] - until[item.begin];
      if (each > 0)
        for (int k = 0; k < m.size(v); ++k)
          unary[v][k] += each * double(m.use(item, k));
    }
    for (int k = 0; k < m.size(v); ++k)
      if (!alive[v][k])
        unary[v][k] = never;
  }
  unpriced = false;
}

/// to[j] = min over i of from[i] + table[i][j]; what is `never` from the start
/// is passed over.
__attribute__((target_clones("default", "avx2", "avx512f"))) static void
minPlus(const double *from, int rows, const double *table, int columns,
        double *to) {
  for (int j = 0; j < columns; ++j)
    to[j] = 2 * never;
  for (int i = 0; i < rows; ++i, table += columns) {
    double h = from[i];
    if (h >= huge)
      continue;
    for (int j = 0; j < columns; ++j) {
      double sum = h + table[j];
      to[j] = sum < to[j] ? sum : to[j];
    }
  }
}

/// What is cheapest given the values of later variables and what the messages
/// say of earlier ones.
void Dual::choose(int v) {
  int size = model().size(v);
  std::vector<double> &sum = scratch;
  sum.assign(unary[v].begin(), unary[v].end());
  for (int e : model().tablesOf[v]) {
    const Table &table = model().tables[e];
    const double *add =
        table.first == v
            ? shared->transposed[e].data() + size_t(chosen[table.second]) * size
            : messages[e].data();
    for (int k = 0; k < size; ++k)
      sum[k] += add[k];
  }
  chosen[v] =
      static_cast<int>(std::min_element(sum.begin(), sum.end()) - sum.begin());
}

/// Sends the message of table `e` from `v`, whose prices and messages make
/// `sum`. Returns what it normalises away.
double Dual::send(int e, int v, const std::vector<double> &sum) {
  const Table &table = model().tables[e];
  bool forward = table.first == v;
  int other = forward ? table.second : table.first;
  int size = model().size(v), columns = model().size(other);
  std::vector<double> &message = messages[e], &from = scratch;
  from.resize(size);
  for (int k = 0; k < size; ++k)
    from[k] = alive[v][k] ? shared->share[v] * sum[k] - message[k] : never;
  message.resize(columns);
  minPlus(from.data(), size,
          (forward ? shared->prices : shared->transposed)[e].data(), columns,
          message.data());
  double least = 2 * never;
  for (int j = 0; j < columns; ++j)
    if (alive[other][j])
      least = std::min(least, message[j]);
  for (int j = 0; j < columns; ++j)
    message[j] = std::clamp(message[j] - least, -most, most);
  return least;
}

/// One way through all variables; what it normalises away is the bound.
double Dual::sweep(bool forward, Spread *spread) {
  const Model &m = model();
  double bound = 0;
  for (auto [row, price] : prices)
    bound -= price * double(m.capacity[row]);
  std::vector<double> sum;
  for (int step = 0, n = m.numVariables(); step < n; ++step) {
    int v = forward ? step : n - 1 - step, size = m.size(v);
    sum.assign(unary[v].begin(), unary[v].end());
    for (int e : m.tablesOf[v])
      for (int k = 0; k < size; ++k)
        sum[k] += messages[e][k];
    double least = *std::min_element(sum.begin(), sum.end());
    if (least >= huge)
      isEmpty = true;
    for (int k = 0; k < size; ++k) {
      sum[k] -= least;
      if (lastBound + sum[k] > limit)
        forbid(v, k);
    }
    bound += least;
    if (!forward)
      choose(v);
    for (int e : m.tablesOf[v])
      if ((m.tables[e].first == v) == forward && !isEmpty) {
        if (spread) {
          spread->first[e] = messages[e];
          for (int k = 0; k < size; ++k)
            spread->first[e][k] -=
                std::min(shared->share[v] * sum[k], 2 * most);
        }
        double part = send(e, v, sum);
        if (spread)
          spread->second[e] = messages[e];
        isEmpty |= part >= huge;
        bound += part;
      }
    if (isEmpty)
      return never;
  }
  return bound;
}

void Dual::useOf(const std::vector<int> &values) {
  const Model &m = model();
  std::vector<int64_t> change(m.numRows() + 1, 0);
  for (const Item &item : m.items) {
    int64_t use = m.use(item, values[item.variable]);
    change[item.begin] += use;
    change[item.end] -= use;
  }
  int64_t use = 0;
  worst = 0;
  for (int row = 0; row < m.numRows(); ++row) {
    use += change[row];
    over[row] = use - m.capacity[row];
    worst = std::max(worst, over[row]);
  }
}

void Dual::pass() {
  // Where nothing is left, messages stay as they are, some of them half way.
  if (isEmpty) {
    lastBound = bestBound = never;
    return;
  }
  if (unpriced)
    price();
  // Values are taken away by what the pass there proves under these prices; on
  // the way there nothing is known yet.
  lastBound = -never;
  lastBound = sweep(/*forward=*/true);
  if (!isEmpty)
    lastBound = std::max(lastBound, sweep(/*forward=*/false));
  useOf(chosen);
  if (lastBound > bestBound) {
    bestBound = lastBound;
    bestPrices = prices;
  }
}

void Dual::spread(std::vector<std::vector<double>> &first,
                  std::vector<std::vector<double>> &second) {
  if (unpriced)
    price();
  Spread into{first, second};
  first.resize(messages.size());
  second.resize(messages.size());
  if (isEmpty)
    return;
  auto before = messages;
  double bound = lastBound;
  lastBound = -never; // It forbids nothing.
  sweep(/*forward=*/true, &into);
  lastBound = bound;
  messages = std::move(before);
}

void Dual::setRowPrices(RowPrices values) {
  prices = std::move(values);
  unpriced = true;
}

void Dual::restoreBest() {
  prices = bestPrices;
  unpriced = true;
}

/// Rows where the use is above the capacity and greater than beside them.
void Dual::addPeaks() {
  for (int row = 0, n = model().numRows(); row < n;) {
    if (over[row] <= 0) {
      ++row;
      continue;
    }
    int peak = row;
    for (; row < n && over[row] > 0; ++row)
      if (over[row] > over[peak])
        peak = row;
    auto it =
        std::lower_bound(prices.begin(), prices.end(), std::pair(peak, -1.0));
    if (it == prices.end() || it->first != peak)
      prices.insert(it, {peak, 0.0});
  }
}

void Dual::movePrices(double target) {
  addPeaks();
  double norm = 0;
  for (auto [row, price] : prices) {
    double g = double(over[row]);
    if (g > 0 || price > 0)
      norm += g * g;
  }
  if (norm == 0)
    return;
  double step = (target - lastBound) / norm;
  for (auto &[row, price] : prices)
    price = std::max(0.0, price + step * double(over[row]));
  std::erase_if(prices, [](const auto &entry) { return entry.second == 0; });
  unpriced = true;
}

void Ascent::move(Dual &dual) {
  constexpr int window = 5, longWindow = 25, patience = 6;
  if (count == 0) {
    delta = std::max(1.0, std::abs(dual.bound()) * 0.01);
    windowStart = longWindowStart = dual.best();
  }
  if (++count % window == 0) {
    double gained = dual.best() - windowStart;
    windowStart = dual.best();
    if (gained < delta * 0.1)
      delta *= 0.85;
    else if (gained > delta * 0.5)
      delta *= 1.5;
  }
  if (count % longWindow == 0) {
    double gained = dual.best() - longWindowStart;
    longWindowStart = dual.best();
    poorWindows = gained <= 2e-5 * std::abs(dual.best()) ? poorWindows + 1 : 0;
    isSettled = poorWindows >= patience;
  }
  if (dual.bound() < dual.best() - 3 * delta)
    dual.restoreBest();
  else
    dual.movePrices(dual.best() + delta);
}
