//===- Presolve.cpp - From an instance to what is left to choose ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rounds of exact steps, until none finds anything:
//
//   values     those that are infinite by themselves, have no finite partner
//              over some edge, or use so much that with the least of everything
//              else a row overflows
//   merging    edges that allow every value of one end exactly one of the other
//              make one variable of both
//   draining   what a whole row or column of a table pays is a price of that
//              value, and what all values pay is no choice
//
// All of it works on one form: a list of groups of nodes (at first one each)
// with the values that are left, and the instance's tables, which are never
// copied before the groups are final. Each round costs one look at every entry
// that is left.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include <algorithm>
#include <map>
#include <numeric>

using namespace partita;
using namespace partita::solve;

void Model::index() {
  tablesOf.assign(unary.size(), {});
  firstItem.assign(unary.size() + 1, 0);
  for (size_t e = 0; e < tables.size(); ++e) {
    tablesOf[tables[e].first].push_back(static_cast<int>(e));
    tablesOf[tables[e].second].push_back(static_cast<int>(e));
  }
  for (const Item &item : items)
    ++firstItem[item.variable + 1];
  for (size_t v = 0; v < unary.size(); ++v)
    firstItem[v + 1] += firstItem[v];
}

std::vector<int> Presolved::assignment(const std::vector<int> &values) const {
  std::vector<int> result(variable.size());
  for (size_t i = 0; i < variable.size(); ++i)
    result[i] = variable[i] < 0 ? value[i][0] : value[i][values[variable[i]]];
  return result;
}

namespace {

class Presolver {
public:
  explicit Presolver(const Instance &instance);
  Presolved run();

private:
  int64_t entry(int edge, int k, int l) const;
  int numValues(int g) const { return static_cast<int>(unary[g].size()); }

  void makeRows();
  bool dropInfinite();
  bool dropOverflowing();
  bool merge();
  void keepValues(int g, const std::vector<char> &keep);
  bool partners(int edge, std::vector<int> &of) const;
  bool absorbInner();
  Presolved finish();
  void fillItems(Presolved &result);

  const Instance &instance;
  /// By node: its group, and its value for each of the group's.
  std::vector<int> group;
  std::vector<std::vector<int>> valueOf;
  /// By group: nodes, prices by value.
  std::vector<std::vector<int>> members;
  std::vector<std::vector<int64_t>> unary;
  std::vector<int> edges; ///< between different groups
  std::vector<int> inner; ///< within a group, not yet in its prices
  /// By node, of rows; empty if the node uses no memory.
  std::vector<int> rowBegin, rowEnd;
  int numRows = 0;
  /// By row: a time at which exactly its nodes are alive.
  std::vector<int64_t> rowTime;
};

} // namespace

Presolver::Presolver(const Instance &instance) : instance(instance) {
  int n = instance.numNodes();
  group.resize(n);
  std::iota(group.begin(), group.end(), 0);
  valueOf.resize(n);
  members.resize(n);
  unary.resize(n);
  for (int i = 0; i < n; ++i) {
    valueOf[i].resize(instance.numValues(i));
    std::iota(valueOf[i].begin(), valueOf[i].end(), 0);
    members[i] = {i};
    auto costs = instance.costsOf(i);
    unary[i].assign(costs.begin(), costs.end());
  }
  for (int e = 0; e < static_cast<int>(instance.edges.size()); ++e) {
    const Instance::Edge &edge = instance.edges[e];
    (edge.first == edge.second ? inner : edges).push_back(e);
  }
  makeRows();
}

/// The price of an edge for values of the groups of its ends.
int64_t Presolver::entry(int e, int k, int l) const {
  const Instance::Edge &edge = instance.edges[e];
  return instance.tables[edge.table +
                         int64_t(valueOf[edge.first][k]) *
                             instance.numValues(edge.second) +
                         valueOf[edge.second][l]];
}

/// A row where, in order of time, nodes begin to end after some began: what is
/// alive at any other time is alive at one of these.
void Presolver::makeRows() {
  int n = instance.numNodes();
  rowBegin.assign(n, 0);
  rowEnd.assign(n, 0);
  struct Event {
    int64_t time;
    bool begins;
    int node;
  };
  std::vector<Event> events;
  for (int i = 0; i < n; ++i) {
    auto usages = instance.usagesOf(i);
    if (instance.begins[i] >= instance.ends[i] ||
        std::all_of(usages.begin(), usages.end(),
                    [](int64_t u) { return u == 0; }))
      continue;
    events.push_back({instance.begins[i], true, i});
    events.push_back({instance.ends[i], false, i});
  }
  // At the same time ends come before beginnings.
  std::sort(events.begin(), events.end(), [](const Event &a, const Event &b) {
    return std::tuple(a.time, a.begins, a.node) <
           std::tuple(b.time, b.begins, b.node);
  });
  bool open = false;
  int64_t lastBegin = 0;
  for (const Event &event : events) {
    if (event.begins) {
      rowBegin[event.node] = numRows;
      lastBegin = event.time;
      open = true;
      continue;
    }
    if (open)
      rowTime.push_back(lastBegin);
    numRows += open;
    open = false;
    rowEnd[event.node] = numRows;
  }
}

/// Takes away the values that are not to be kept, never all.
void Presolver::keepValues(int g, const std::vector<char> &keep) {
  auto filter = [&](auto &values) {
    size_t to = 0;
    for (size_t k = 0; k < values.size(); ++k)
      if (keep[k])
        values[to++] = values[k];
    values.resize(to);
  };
  filter(unary[g]);
  for (int node : members[g])
    filter(valueOf[node]);
}

bool Presolver::dropInfinite() {
  std::vector<std::vector<char>> keep(unary.size());
  for (size_t g = 0; g < unary.size(); ++g) {
    keep[g].resize(unary[g].size());
    for (size_t k = 0; k < unary[g].size(); ++k)
      keep[g][k] = unary[g][k] < infinity;
  }
  for (int e : edges) {
    int a = group[instance.edges[e].first], b = group[instance.edges[e].second];
    std::vector<char> rows(numValues(a), 0), columns(numValues(b), 0);
    for (int k = 0; k < numValues(a); ++k)
      for (int l = 0; l < numValues(b); ++l)
        if (entry(e, k, l) < infinity)
          rows[k] = columns[l] = 1;
    for (int k = 0; k < numValues(a); ++k)
      keep[a][k] &= rows[k];
    for (int l = 0; l < numValues(b); ++l)
      keep[b][l] &= columns[l];
  }
  bool changed = false;
  for (size_t g = 0; g < unary.size(); ++g) {
    size_t left = std::count(keep[g].begin(), keep[g].end(), 1);
    if (left == keep[g].size() || left == 0)
      continue;
    keepValues(static_cast<int>(g), keep[g]);
    changed = true;
  }
  return changed;
}

/// With the least of everything else a row overflows.
bool Presolver::dropOverflowing() {
  // What every group uses at least, in each row. Groups with several nodes use
  // the least of the sum of those that are alive.
  std::vector<int64_t> least(numRows + 1, 0);
  struct Step {
    int row;
    int node;
    bool begins;
  };
  // By group: the rows where what is alive of it changes.
  auto profile = [&](int g, auto &&visit) {
    std::vector<Step> steps;
    for (int node : members[g])
      if (rowBegin[node] < rowEnd[node]) {
        steps.push_back({rowBegin[node], node, true});
        steps.push_back({rowEnd[node], node, false});
      }
    std::sort(steps.begin(), steps.end(),
              [](const Step &a, const Step &b) { return a.row < b.row; });
    std::vector<int64_t> usage(numValues(g), 0);
    for (size_t i = 0; i < steps.size();) {
      int row = steps[i].row;
      for (; i < steps.size() && steps[i].row == row; ++i) {
        auto usages = instance.usagesOf(steps[i].node);
        for (int k = 0; k < numValues(g); ++k)
          usage[k] += steps[i].begins ? usages[valueOf[steps[i].node][k]]
                                      : -usages[valueOf[steps[i].node][k]];
      }
      if (i < steps.size())
        visit(row, steps[i].row, usage);
    }
  };
  for (size_t g = 0; g < unary.size(); ++g)
    profile(static_cast<int>(g),
            [&](int from, int to, const std::vector<int64_t> &usage) {
              int64_t smallest = *std::min_element(usage.begin(), usage.end());
              least[from] += smallest;
              least[to] -= smallest;
            });
  std::vector<int64_t> room(numRows);
  int64_t sum = 0;
  for (int row = 0; row < numRows; ++row) {
    sum += least[row];
    room[row] = instance.usageLimit - sum;
  }
  // The least room over an interval, by doubling.
  std::vector<std::vector<int64_t>> levels = {room};
  for (int width = 1; 2 * width <= numRows; width *= 2) {
    const std::vector<int64_t> &last = levels.back();
    std::vector<int64_t> next(numRows - 2 * width + 1);
    for (size_t i = 0; i < next.size(); ++i)
      next[i] = std::min(last[i], last[i + width]);
    levels.push_back(std::move(next));
  }
  auto leastRoom = [&](int from, int to) {
    int level = 31 - __builtin_clz(static_cast<unsigned>(to - from));
    return std::min(levels[level][from], levels[level][to - (1 << level)]);
  };
  bool changed = false;
  for (size_t g = 0; g < unary.size(); ++g) {
    if (numValues(g) == 1)
      continue;
    std::vector<char> keep(numValues(g), 1);
    profile(static_cast<int>(g),
            [&](int from, int to, const std::vector<int64_t> &usage) {
              int64_t smallest = *std::min_element(usage.begin(), usage.end());
              int64_t most = leastRoom(from, to) + smallest;
              for (size_t k = 0; k < usage.size(); ++k)
                keep[k] &= usage[k] <= most;
            });
    size_t left = std::count(keep.begin(), keep.end(), 1);
    if (left == keep.size() || left == 0)
      continue;
    keepValues(static_cast<int>(g), keep);
    changed = true;
  }
  return changed;
}

/// Whether every value of the first end has exactly one finite partner, and
/// those are all different; of[k] is the partner of k.
bool Presolver::partners(int e, std::vector<int> &of) const {
  int a = group[instance.edges[e].first], b = group[instance.edges[e].second];
  if (numValues(a) != numValues(b))
    return false;
  of.assign(numValues(a), -1);
  std::vector<char> taken(numValues(b), 0);
  for (int k = 0; k < numValues(a); ++k) {
    for (int l = 0; l < numValues(b); ++l) {
      if (entry(e, k, l) >= infinity)
        continue;
      if (of[k] >= 0 || taken[l])
        return false;
      of[k] = l;
      taken[l] = 1;
    }
    if (of[k] < 0)
      return false;
  }
  return true;
}

/// Makes one group of all that one-to-one edges connect. The map of a node's
/// values goes from the component's root, along a tree; edges that close a
/// cycle become prices.
bool Presolver::merge() {
  struct Link {
    int other;
    std::vector<int> to; ///< by value here, the other's
  };
  std::vector<std::vector<Link>> links(unary.size());
  std::vector<int> of;
  bool any = false;
  for (int e : edges) {
    if (!partners(e, of))
      continue;
    any = true;
    int a = group[instance.edges[e].first], b = group[instance.edges[e].second];
    std::vector<int> back(of.size());
    for (size_t k = 0; k < of.size(); ++k)
      back[of[k]] = static_cast<int>(k);
    links[a].push_back({b, of});
    links[b].push_back({a, std::move(back)});
  }
  if (!any)
    return false;
  std::vector<char> seen(unary.size(), 0);
  std::vector<std::pair<int, std::vector<int>>> stack;
  for (size_t root = 0; root < unary.size(); ++root) {
    if (seen[root] || links[root].empty())
      continue;
    seen[root] = 1;
    std::vector<int> same(numValues(root));
    std::iota(same.begin(), same.end(), 0);
    stack.push_back({static_cast<int>(root), same});
    while (!stack.empty()) {
      auto [g, map] = std::move(stack.back());
      stack.pop_back();
      for (const Link &link : links[g]) {
        if (seen[link.other])
          continue;
        seen[link.other] = 1;
        std::vector<int> composed(map.size());
        for (size_t k = 0; k < map.size(); ++k)
          composed[k] = link.to[map[k]];
        for (int node : members[link.other]) {
          std::vector<int> values(composed.size());
          for (size_t k = 0; k < composed.size(); ++k)
            values[k] = valueOf[node][composed[k]];
          valueOf[node] = std::move(values);
          group[node] = static_cast<int>(root);
        }
        for (size_t k = 0; k < composed.size(); ++k)
          unary[root][k] =
              addPrices(unary[root][k], unary[link.other][composed[k]]);
        members[root].insert(members[root].end(), members[link.other].begin(),
                             members[link.other].end());
        members[link.other].clear();
        unary[link.other].assign(1, 0);
        stack.push_back({link.other, std::move(composed)});
      }
    }
  }
  std::vector<int> between;
  for (int e : edges)
    (group[instance.edges[e].first] == group[instance.edges[e].second]
         ? inner
         : between)
        .push_back(e);
  edges = std::move(between);
  return true;
}

/// Edges within a group are prices of its values. False if there are none.
bool Presolver::absorbInner() {
  bool any = !inner.empty();
  for (int e : inner) {
    int g = group[instance.edges[e].first];
    for (int k = 0; k < numValues(g); ++k)
      unary[g][k] = addPrices(unary[g][k], entry(e, k, k));
  }
  inner.clear();
  return any;
}

/// Takes from a table what a whole row or column pays, and gives it to the
/// unary prices. True if nothing is left in it.
static bool drain(Model &model, Table &table, Drained &drained) {
  int rows = model.size(table.first), columns = model.size(table.second);
  drained.first = table.first;
  drained.second = table.second;
  drained.rows.assign(rows, 0);
  drained.columns.assign(columns, 0);
  auto at = [&](int k, int l) -> int64_t & {
    return table.prices[size_t(k) * columns + l];
  };
  auto take = [&](int64_t &price, int64_t amount) {
    if (price < infinity)
      price -= amount;
  };
  for (int k = 0; k < rows; ++k) {
    int64_t least = *std::min_element(&at(k, 0), &at(k, 0) + columns);
    if (least >= infinity)
      continue;
    for (int l = 0; l < columns; ++l)
      take(at(k, l), least);
    drained.rows[k] = least;
    model.unary[table.first][k] = addPrices(model.unary[table.first][k], least);
  }
  for (int l = 0; l < columns; ++l) {
    int64_t least = infinity;
    for (int k = 0; k < rows; ++k)
      least = std::min(least, at(k, l));
    if (least >= infinity)
      continue;
    for (int k = 0; k < rows; ++k)
      take(at(k, l), least);
    drained.columns[l] = least;
    model.unary[table.second][l] =
        addPrices(model.unary[table.second][l], least);
  }
  return std::all_of(table.prices.begin(), table.prices.end(),
                     [](int64_t price) { return price == 0; });
}

/// Items of equal rows and variable together, without what every value uses,
/// and only rows that can overflow.
void Presolver::fillItems(Presolved &result) {
  Model &model = result.model;
  std::vector<int64_t> fixed(numRows + 1, 0), most(numRows + 1, 0);
  std::map<std::tuple<int, int, int>, std::vector<int64_t>> byPlace;
  for (int node = 0; node < instance.numNodes(); ++node) {
    int begin = rowBegin[node], end = rowEnd[node];
    if (begin >= end)
      continue;
    auto usages = instance.usagesOf(node);
    int v = result.variable[node];
    std::vector<int64_t> usage;
    for (int value : result.value[node])
      usage.push_back(usages[value]);
    int64_t least = *std::min_element(usage.begin(), usage.end());
    int64_t greatest = *std::max_element(usage.begin(), usage.end());
    fixed[begin] += least;
    fixed[end] -= least;
    if (least == greatest)
      continue;
    std::vector<int64_t> &sum = byPlace[{v, begin, end}];
    sum.resize(usage.size());
    for (size_t k = 0; k < usage.size(); ++k)
      sum[k] += usage[k] - least;
  }
  for (auto &[place, usage] : byPlace) {
    auto [v, begin, end] = place;
    int64_t least = *std::min_element(usage.begin(), usage.end());
    for (int64_t &u : usage)
      u -= least;
    fixed[begin] += least;
    fixed[end] -= least;
    int64_t greatest = *std::max_element(usage.begin(), usage.end());
    most[begin] += greatest;
    most[end] -= greatest;
  }
  std::vector<int> newRow(numRows + 1);
  int64_t use = 0, top = 0;
  for (int row = 0; row < numRows; ++row) {
    use += fixed[row];
    top += most[row];
    newRow[row] = model.numRows();
    if (use + top <= instance.usageLimit)
      continue;
    model.capacity.push_back(instance.usageLimit - use);
    result.times.push_back(rowTime[row]);
  }
  newRow[numRows] = model.numRows();
  for (auto &[place, usage] : byPlace) {
    auto [v, begin, end] = place;
    begin = newRow[begin];
    end = newRow[end];
    if (begin >= end || *std::max_element(usage.begin(), usage.end()) == 0)
      continue;
    model.items.push_back(
        {v, begin, end, static_cast<int64_t>(model.usages.size())});
    model.usages.insert(model.usages.end(), usage.begin(), usage.end());
  }
}

Presolved Presolver::finish() {
  Presolved result;
  Model &model = result.model;
  std::vector<int> number(unary.size(), -1);
  // In order of the first node, which is about that of time.
  for (size_t g = 0; g < unary.size(); ++g) {
    if (members[g].empty())
      continue;
    if (numValues(g) == 1) {
      result.constant = addPrices(result.constant, unary[g][0]);
      continue;
    }
    number[g] = model.numVariables();
    model.unary.push_back(unary[g]);
  }
  for (int node = 0; node < instance.numNodes(); ++node) {
    result.variable.push_back(number[group[node]]);
    result.value.push_back(valueOf[node]);
  }
  std::map<std::pair<int, int>, Table> byEnds;
  for (int e : edges) {
    int ga = group[instance.edges[e].first],
        gb = group[instance.edges[e].second];
    int a = number[ga], b = number[gb];
    if (a < 0 && b < 0) {
      result.constant = addPrices(result.constant, entry(e, 0, 0));
    } else if (a < 0) {
      for (int l = 0; l < numValues(gb); ++l)
        model.unary[b][l] = addPrices(model.unary[b][l], entry(e, 0, l));
    } else if (b < 0) {
      for (int k = 0; k < numValues(ga); ++k)
        model.unary[a][k] = addPrices(model.unary[a][k], entry(e, k, 0));
    } else {
      Table &table = byEnds[{std::min(a, b), std::max(a, b)}];
      table.first = std::min(a, b);
      table.second = std::max(a, b);
      table.prices.resize(size_t(model.size(a)) * model.size(b), 0);
      for (int k = 0; k < numValues(ga); ++k)
        for (int l = 0; l < numValues(gb); ++l) {
          int64_t &price = a < b ? table.prices[int64_t(k) * numValues(gb) + l]
                                 : table.prices[int64_t(l) * numValues(ga) + k];
          price = addPrices(price, entry(e, k, l));
        }
    }
  }
  for (auto &[ends, table] : byEnds) {
    Drained &drained = result.drained.emplace_back();
    if (drain(model, table, drained))
      continue;
    drained.table = static_cast<int>(model.tables.size());
    model.tables.push_back(std::move(table));
  }
  for (std::vector<int64_t> &prices : model.unary) {
    int64_t least = *std::min_element(prices.begin(), prices.end());
    result.constant = addPrices(result.constant, least);
    for (int64_t &price : prices)
      if (price < infinity)
        price -= least;
  }
  fillItems(result);
  model.index();
  return result;
}

Presolved Presolver::run() {
  for (bool changed = true; changed;) {
    changed = dropInfinite();
    changed |= merge();
    // Values may have become infinite by it.
    changed |= absorbInner();
    changed |= dropOverflowing();
  }
  return finish();
}

Presolved solve::presolve(const Instance &instance) {
  return Presolver(instance).run();
}
