//===- State.cpp - An assignment, its price and its memory ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "State.h"
#include <algorithm>

using namespace partita;
using namespace partita::solve;

//===----------------------------------------------------------------------===//
// RangeTree
//===----------------------------------------------------------------------===//

void RangeTree::reset(const std::vector<int64_t> &values) {
  size = static_cast<int>(values.size());
  leaves = 1;
  while (leaves < size)
    leaves *= 2;
  best.assign(2 * leaves, INT64_MIN / 4);
  lazy.assign(2 * leaves, 0);
  std::copy(values.begin(), values.end(), best.begin() + leaves);
  for (int node = leaves - 1; node > 0; --node)
    pull(node);
}

void RangeTree::add(int begin, int end, int64_t amount) {
  int l = begin + leaves, r = end + leaves, l0 = l, r0 = r - 1;
  if (l >= r)
    return;
  for (; l < r; l /= 2, r /= 2) {
    if (l & 1) {
      best[l] += amount;
      lazy[l++] += amount;
    }
    if (r & 1) {
      best[--r] += amount;
      lazy[r] += amount;
    }
  }
  for (int node = l0 / 2; node > 0; node /= 2)
    pull(node);
  for (int node = r0 / 2; node > 0; node /= 2)
    pull(node);
}

int RangeTree::whereGreatest() const {
  int node = 1;
  while (node < leaves)
    node = best[2 * node] >= best[2 * node + 1] ? 2 * node : 2 * node + 1;
  return node - leaves;
}

int64_t RangeTree::at(int row) const {
  int node = row + leaves;
  int64_t sum = best[node];
  while (node /= 2)
    sum += lazy[node];
  return sum;
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

State::State(const Model &model) : model(model) {}

void State::set(const std::vector<int> &values) {
  visited +=
      4 * static_cast<int64_t>(model.items.size() + model.tables.size()) +
      8 * model.numRows();
  chosen = values;
  total = {};
  for (int v = 0; v < model.numVariables(); ++v)
    total.add(model.unary[v][chosen[v]], 1);
  for (const Table &table : model.tables)
    total.add(
        table.prices[size_t(chosen[table.first]) * model.size(table.second) +
                     chosen[table.second]],
        1);
  std::vector<int64_t> changes(model.numRows() + 1, 0);
  for (const Item &item : model.items) {
    int64_t use = model.use(item, chosen[item.variable]);
    changes[item.begin] += use;
    changes[item.end] -= use;
  }
  std::vector<int64_t> over(model.numRows());
  int64_t use = 0;
  for (int row = 0; row < model.numRows(); ++row)
    over[row] = (use += changes[row]) - model.capacity[row];
  tree.reset(over);
}

State::Change State::change(int v, int value) const {
  int old = chosen[v];
  visited += 8 + 8 * static_cast<int64_t>(model.tablesOf[v].size());
  Change sum;
  sum.add(model.unary[v][value], 1);
  sum.add(model.unary[v][old], -1);
  for (int e : model.tablesOf[v]) {
    const Table &table = model.tables[e];
    size_t columns = model.size(table.second);
    bool isFirst = table.first == v;
    size_t fixed = chosen[isFirst ? table.second : table.first];
    auto at = [&](size_t k) {
      return table.prices[isFirst ? k * columns + fixed : fixed * columns + k];
    };
    sum.add(at(value), 1);
    sum.add(at(old), -1);
  }
  return sum;
}

void State::use(int v, int from, int to) {
  visited += 40 * static_cast<int64_t>(model.itemsOf(v).size());
  for (const Item &item : model.itemsOf(v)) {
    int64_t change = model.use(item, to) - model.use(item, from);
    if (change)
      tree.add(item.begin, item.end, change);
  }
}

void State::assign(int v, int value) {
  if (value == chosen[v])
    return;
  total.add(change(v, value));
  use(v, chosen[v], value);
  chosen[v] = value;
}

bool State::tryAssign(int v, int value, int64_t limit) {
  int old = chosen[v];
  use(v, old, value);
  if (excess() > limit) {
    use(v, value, old);
    return false;
  }
  total.add(change(v, value));
  chosen[v] = value;
  return true;
}

/// Moves that lower the use at a row, best first.
void State::relief(int row, std::vector<Move> &moves) {
  moves.clear();
  std::vector<int64_t> &atRow = buffer;
  int64_t over = excessAt(row);
  visited += 2 * static_cast<int64_t>(model.items.size());
  for (size_t i = 0; i < model.items.size();) {
    int v = model.items[i].variable;
    bool any = false;
    for (; i < model.items.size() && model.items[i].variable == v; ++i) {
      const Item &item = model.items[i];
      if (item.begin > row || item.end <= row)
        continue;
      if (!any)
        atRow.assign(model.size(v), 0);
      any = true;
      for (int k = 0; k < model.size(v); ++k)
        atRow[k] += model.use(item, k);
    }
    if (!any)
      continue;
    Move best{1e300, v, -1};
    for (int k = 0; k < model.size(v); ++k) {
      int64_t saved = atRow[chosen[v]] - atRow[k];
      if (saved <= 0)
        continue;
      int64_t price = difference(v, k);
      if (price >= infinity / 2)
        continue;
      double rate = price <= 0 ? double(price)
                               : double(price) / double(std::min(saved, over));
      if (rate < best.rate)
        best = {rate, v, k};
    }
    if (best.value >= 0)
      moves.push_back(best);
  }
  std::sort(moves.begin(), moves.end());
}

bool State::repair(int most) {
  // A dozen moves for each look at all items: prices of the later ones may have
  // changed by the earlier ones, but not often.
  constexpr int batch = 12;
  std::vector<Move> moves;
  for (int made = 0; made < most && !fits();) {
    int row = worstRow();
    relief(row, moves);
    if (moves.empty())
      return false;
    for (int i = 0;
         i < batch && i < static_cast<int>(moves.size()) && excessAt(row) > 0;
         ++i, ++made)
      assign(moves[i].variable, moves[i].value);
  }
  return fits();
}

void State::setLeast() {
  std::vector<int> values(model.numVariables(), 0);
  for (int v = 0; v < model.numVariables(); ++v) {
    // Use times rows, and the price where that is equal.
    std::vector<double> area(model.size(v), 0);
    for (const Item &item : model.itemsOf(v))
      for (int k = 0; k < model.size(v); ++k)
        area[k] += double(model.use(item, k)) * (item.end - item.begin);
    for (int k = 1; k < model.size(v); ++k)
      if (std::pair(area[k], model.unary[v][k]) <
          std::pair(area[values[v]], model.unary[v][values[v]]))
        values[v] = k;
  }
  set(values);
}

void State::descend() {
  bool improved = true;
  std::vector<std::pair<int64_t, int>> moves;
  for (int round = 0; improved && round < 50; ++round) {
    improved = false;
    for (int v = 0; v < model.numVariables(); ++v) {
      moves.clear();
      for (int k = 0; k < model.size(v); ++k)
        if (k != chosen[v]) {
          int64_t change = difference(v, k);
          if (change < 0)
            moves.push_back({change, k});
        }
      std::sort(moves.begin(), moves.end());
      for (auto [change, k] : moves)
        if (tryAssign(v, k)) {
          improved = true;
          break;
        }
    }
  }
}
