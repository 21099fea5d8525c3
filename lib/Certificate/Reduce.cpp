//===- Reduce.cpp - What is left of a problem to choose -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reduce.h"
#include <algorithm>
#include <map>
#include <numeric>

using namespace partita;
using namespace partita::certificate;

/// Of costs, at most infinity.
static int64_t plus(int64_t a, int64_t b) { return std::min(a + b, infinity); }

namespace {

class Reducer {
public:
  explicit Reducer(const Problem &problem);
  /// False if no choice is left.
  bool run();
  Reduced finish() const;

private:
  struct Group {
    std::vector<int> nodes;
    int count = 0; ///< of values
  };
  int64_t cost(const Problem::Edge &edge, int k, int l) const {
    return edge.costs[size_t(valueOf[edge.first][k]) *
                          problem.nodes[edge.second].costs.size() +
                      valueOf[edge.second][l]];
  }
  bool isInner(const Problem::Edge &edge) const {
    return groupOf[edge.first] == groupOf[edge.second];
  }
  std::vector<std::vector<int64_t>> ownCosts() const;
  bool keep(const std::vector<std::vector<char>> &kept, bool &changed);
  bool dropInfinite(bool &changed);
  bool dropOverflowing(bool &changed);
  bool pairUp(const Problem::Edge &edge, std::vector<int> &partner) const;
  bool join();

  /// Calls visit(from, to, usage by value) for each interval, in numbers of
  /// moments, in which the same nodes of a group are alive.
  template <typename Visit>
  void eachInterval(const Group &group, const Visit &visit) const;
  int moment(int64_t time) const {
    return static_cast<int>(
        std::lower_bound(moments.begin(), moments.end(), time) -
        moments.begin());
  }

  const Problem &problem;
  std::vector<int> groupOf;
  std::vector<Group> groups;
  /// By node: its value for each value of its group.
  std::vector<std::vector<int>> valueOf;
  /// At which any node begins or ends to be alive.
  std::vector<int64_t> moments;
};

} // namespace

Reducer::Reducer(const Problem &problem) : problem(problem) {
  int n = static_cast<int>(problem.nodes.size());
  for (int i = 0; i < n; ++i) {
    const Problem::Node &node = problem.nodes[i];
    groupOf.push_back(i);
    groups.push_back({{i}, static_cast<int>(node.costs.size())});
    valueOf.emplace_back(node.costs.size());
    std::iota(valueOf[i].begin(), valueOf[i].end(), 0);
    if (node.begin < node.end) {
      moments.push_back(node.begin);
      moments.push_back(node.end);
    }
  }
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
}

/// By group and value: of its nodes and the edges between them.
std::vector<std::vector<int64_t>> Reducer::ownCosts() const {
  std::vector<std::vector<int64_t>> costs(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    costs[g].assign(groups[g].count, 0);
    for (int node : groups[g].nodes)
      for (int k = 0; k < groups[g].count; ++k)
        costs[g][k] =
            plus(costs[g][k], problem.nodes[node].costs[valueOf[node][k]]);
  }
  for (const Problem::Edge &edge : problem.edges)
    if (isInner(edge)) {
      int g = groupOf[edge.first];
      for (int k = 0; k < groups[g].count; ++k)
        costs[g][k] = plus(costs[g][k], cost(edge, k, k));
    }
  return costs;
}

/// False if nothing is left of a group.
bool Reducer::keep(const std::vector<std::vector<char>> &kept, bool &changed) {
  for (size_t g = 0; g < groups.size(); ++g) {
    Group &group = groups[g];
    auto left = static_cast<int>(std::count(kept[g].begin(), kept[g].end(), 1));
    if (left == group.count)
      continue;
    if (left == 0)
      return false;
    changed = true;
    for (int node : group.nodes) {
      std::vector<int> values;
      for (int k = 0; k < group.count; ++k)
        if (kept[g][k])
          values.push_back(valueOf[node][k]);
      valueOf[node] = std::move(values);
    }
    group.count = left;
  }
  return true;
}

bool Reducer::dropInfinite(bool &changed) {
  std::vector<std::vector<char>> kept;
  for (const std::vector<int64_t> &costs : ownCosts()) {
    kept.emplace_back();
    for (int64_t cost : costs)
      kept.back().push_back(cost < infinity);
  }
  std::vector<char> rows, columns;
  for (const Problem::Edge &edge : problem.edges) {
    if (isInner(edge))
      continue;
    std::vector<char> &a = kept[groupOf[edge.first]];
    std::vector<char> &b = kept[groupOf[edge.second]];
    rows.assign(a.size(), 0);
    columns.assign(b.size(), 0);
    for (size_t k = 0; k < a.size(); ++k)
      for (size_t l = 0; l < b.size(); ++l)
        if (cost(edge, static_cast<int>(k), static_cast<int>(l)) < infinity)
          rows[k] = columns[l] = 1;
    for (size_t k = 0; k < a.size(); ++k)
      a[k] = a[k] && rows[k];
    for (size_t l = 0; l < b.size(); ++l)
      b[l] = b[l] && columns[l];
  }
  return keep(kept, changed);
}

/// Whether the edge leaves each value of its first end one partner, another one
/// each.
bool Reducer::pairUp(const Problem::Edge &edge,
                     std::vector<int> &partner) const {
  int count = groups[groupOf[edge.first]].count;
  if (count != groups[groupOf[edge.second]].count)
    return false;
  partner.assign(count, -1);
  std::vector<char> taken(count, 0);
  for (int k = 0; k < count; ++k)
    for (int l = 0; l < count; ++l) {
      if (cost(edge, k, l) >= infinity)
        continue;
      if (partner[k] >= 0 || taken[l])
        return false;
      partner[k] = l;
      taken[l] = 1;
    }
  return std::count(partner.begin(), partner.end(), -1) == 0;
}

/// The smaller group becomes part of the larger one.
bool Reducer::join() {
  bool any = false;
  std::vector<int> partner;
  for (const Problem::Edge &edge : problem.edges) {
    if (isInner(edge) || !pairUp(edge, partner))
      continue;
    any = true;
    int into = groupOf[edge.first], from = groupOf[edge.second];
    if (groups[into].nodes.size() < groups[from].nodes.size()) {
      std::swap(into, from);
      std::vector<int> back(partner.size());
      for (size_t k = 0; k < partner.size(); ++k)
        back[partner[k]] = static_cast<int>(k);
      partner = std::move(back);
    }
    for (int node : groups[from].nodes) {
      std::vector<int> values;
      for (int k : partner)
        values.push_back(valueOf[node][k]);
      valueOf[node] = std::move(values);
      groupOf[node] = into;
      groups[into].nodes.push_back(node);
    }
    groups[from] = {};
  }
  return any;
}

template <typename Visit>
void Reducer::eachInterval(const Group &group, const Visit &visit) const {
  std::map<int, std::vector<std::pair<int, int64_t>>> changes;
  for (int node : group.nodes) {
    const Problem::Node &data = problem.nodes[node];
    if (data.begin >= data.end)
      continue;
    changes[moment(data.begin)].push_back({node, 1});
    changes[moment(data.end)].push_back({node, -1});
  }
  std::vector<int64_t> usage(group.count, 0);
  for (auto it = changes.begin(); it != changes.end(); ++it) {
    for (auto [node, sign] : it->second)
      for (int k = 0; k < group.count; ++k)
        usage[k] += sign * problem.nodes[node].usages[valueOf[node][k]];
    if (auto next = std::next(it); next != changes.end())
      visit(it->first, next->first, usage);
  }
}

bool Reducer::dropOverflowing(bool &changed) {
  // By moment: what is used until the next one at least.
  std::vector<int64_t> least(moments.size() + 1, 0);
  for (const Group &group : groups)
    eachInterval(group, [&](int from, int to, const std::vector<int64_t> &use) {
      int64_t smallest = *std::min_element(use.begin(), use.end());
      least[from] += smallest;
      least[to] -= smallest;
    });
  // Greatest values over intervals, in a tree.
  size_t leaves = 1;
  while (leaves < moments.size() + 1)
    leaves *= 2;
  std::vector<int64_t> tree(2 * leaves, 0);
  int64_t sum = 0;
  for (size_t i = 0; i < moments.size(); ++i)
    tree[leaves + i] = sum += least[i];
  for (size_t i = leaves; i-- > 1;)
    tree[i] = std::max(tree[2 * i], tree[2 * i + 1]);
  auto greatest = [&](size_t from, size_t to) {
    int64_t most = 0;
    for (from += leaves, to += leaves; from < to; from /= 2, to /= 2) {
      if (from & 1)
        most = std::max(most, tree[from++]);
      if (to & 1)
        most = std::max(most, tree[--to]);
    }
    return most;
  };
  std::vector<std::vector<char>> kept;
  for (const Group &group : groups) {
    std::vector<char> &mine = kept.emplace_back(group.count, 1);
    eachInterval(group, [&](int from, int to, const std::vector<int64_t> &use) {
      int64_t smallest = *std::min_element(use.begin(), use.end());
      int64_t others = greatest(from, to) - smallest;
      for (int k = 0; k < group.count; ++k)
        mine[k] = mine[k] && others + use[k] <= problem.limit;
    });
  }
  return keep(kept, changed);
}

bool Reducer::run() {
  for (bool changed = true; changed;) {
    changed = false;
    if (!dropInfinite(changed))
      return false;
    changed |= join();
    if (!dropOverflowing(changed))
      return false;
  }
  return true;
}

Reduced Reducer::finish() const {
  Reduced result;
  std::vector<std::vector<int64_t>> costs = ownCosts();
  std::vector<int> number(groups.size(), -1);
  for (size_t node = 0; node < groupOf.size(); ++node) {
    int g = groupOf[node];
    if (number[g] < 0) {
      number[g] = static_cast<int>(result.variables.size());
      result.variables.push_back(
          {static_cast<int>(node), valueOf[node], std::move(costs[g]), {}});
    }
    const Problem::Node &data = problem.nodes[node];
    Reduced::Use use{data.begin, data.end, {}};
    for (int value : valueOf[node])
      use.usages.push_back(data.usages[value]);
    if (data.begin < data.end)
      result.variables[number[g]].uses.push_back(std::move(use));
  }
  std::map<std::pair<int, int>, Reduced::Table> tables;
  for (const Problem::Edge &edge : problem.edges) {
    if (isInner(edge))
      continue;
    int ga = groupOf[edge.first], gb = groupOf[edge.second];
    int a = number[ga], b = number[gb];
    int rows = groups[ga].count, columns = groups[gb].count;
    Reduced::Table &table = tables[{std::min(a, b), std::max(a, b)}];
    table.first = std::min(a, b);
    table.second = std::max(a, b);
    table.costs.resize(size_t(rows) * columns, 0);
    for (int k = 0; k < rows; ++k)
      for (int l = 0; l < columns; ++l) {
        int64_t &sum = a < b ? table.costs[size_t(k) * columns + l]
                             : table.costs[size_t(l) * rows + k];
        sum = plus(sum, cost(edge, k, l));
      }
  }
  // A table of a variable without choice is a cost of the other's values.
  for (auto &[ends, table] : tables) {
    Reduced::Variable &a = result.variables[table.first];
    Reduced::Variable &b = result.variables[table.second];
    if (a.values.size() > 1 && b.values.size() > 1) {
      result.tables.push_back(std::move(table));
      continue;
    }
    Reduced::Variable &into = a.values.size() > 1 ? a : b;
    for (size_t k = 0; k < into.values.size(); ++k)
      into.costs[k] = plus(into.costs[k], table.costs[k]);
  }
  return result;
}

std::optional<Reduced> certificate::reduce(const Problem &problem) {
  Reducer reducer(problem);
  if (!reducer.run())
    return std::nullopt;
  return reducer.finish();
}
