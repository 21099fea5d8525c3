//===- Dual.cpp - A lower bound, and what each value costs more -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dual.h"
#include "Classes.h"
#include "LeastSums.h"
#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

using namespace partita;
using namespace partita::planner;

namespace {

/// Steps from a table to what decides which others share its messages: a few
/// layers.
constexpr int radius = 16;

class Messages {
public:
  explicit Messages(const Problem &problem);
  /// The bound that is reached.
  int64_t improve(double worth, int64_t enough = 0);
  DualBound measure(int64_t bound);

private:
  /// A variable's end of some equal tables: there may be several of them.
  struct End {
    int table;
    int side; // 0: rows
    int64_t count;
  };
  /// Variables with equal prices and equal tables.
  struct Node {
    int64_t copies = 0;
    std::vector<int64_t> prices; // with what came from tables
    std::vector<End> ends;
    /// Tables towards later and towards earlier variables.
    int64_t later = 0, earlier = 0;
    int position = 0;
  };
  /// Equal tables with one pair of messages.
  struct Table {
    int64_t copies = 0;
    /// Prices by column then row, and by row then column.
    const std::vector<int64_t> *byColumn, *byRow;
    bool rowsFirst = true; // the variable of the rows is the earlier
    std::vector<int64_t> messages[2];
    /// Of each side: the nodes there, and how many of the tables each has.
    std::vector<std::pair<int, int64_t>> nodes[2];
  };
  using Transposed = std::pair<std::vector<int64_t>, std::vector<int64_t>>;

  std::vector<uint64_t> coloursOf() const;
  void makeTables(const std::vector<uint64_t> &colours);
  void makeNodes();
  int positionOf(int variable) const {
    return problem.positions.empty() ? variable : problem.positions[variable];
  }
  bool isLater(const Node &, const End &end) const {
    return tables[end.table].rowsFirst == (end.side == 0);
  }
  void collect(int table, int side);
  void give(Node &node, const End &end, const std::vector<int64_t> &parts);
  void pass(bool forward, std::vector<std::vector<int64_t>> *excess);
  int64_t bound() const;

  const Problem &problem;
  /// What prices are cut down to, so that no sum overflows.
  int64_t most = 0;
  std::vector<int> tableOf; // by edge
  std::vector<int> nodeOf;  // by variable
  std::vector<int> unaryOf; // by variable
  std::vector<Node> nodes;
  std::vector<int> order; // of nodes
  std::vector<Table> tables;
  std::map<const PriceTable *, Transposed> cut;
  std::vector<int64_t> room, given;
};

__attribute__((target_clones("default", "avx2", "avx512f"))) int64_t
leastOf(const std::vector<int64_t> &prices) {
  int64_t least = INT64_MAX;
  for (int64_t price : prices)
    least = price < least ? price : least;
  return least;
}

/// into[x] += times * from[x] for x < count.
__attribute__((target_clones("default", "avx2", "avx512f"))) void
addTimes(int64_t times, const int64_t *from, size_t count, int64_t *into) {
  for (size_t x = 0; x < count; ++x)
    into[x] += times * from[x];
}

/// parts[x] = min(parts[x], (prices[x] - least) / shares) for x < count, where
/// nothing is less than `least`. Divisions take most of the time: a little less
/// is as good.
__attribute__((target_clones("default", "avx2", "avx512f"))) void
takeParts(const int64_t *prices, int64_t least, int64_t shares, size_t count,
          int64_t *parts) {
  const int shift = std::bit_width(static_cast<uint64_t>(shares - 1));
  if (int64_t(1) << shift == shares) {
    for (size_t x = 0; x < count; ++x) {
      int64_t part = (prices[x] - least) >> shift;
      parts[x] = part < parts[x] ? part : parts[x];
    }
    return;
  }
  const double each = (1 - 1e-12) / static_cast<double>(shares);
  for (size_t x = 0; x < count; ++x) {
    auto part =
        static_cast<int64_t>(static_cast<double>(prices[x] - least) * each);
    parts[x] = part < parts[x] ? part : parts[x];
  }
}

/// The prices by column then row, and by row then column, cut down to `most`.
std::pair<std::vector<int64_t>, std::vector<int64_t>>
transposedAndNot(const PriceTable &table, int64_t most) {
  const auto rows = static_cast<size_t>(table.rows),
             columns = static_cast<size_t>(table.columns);
  std::vector<int64_t> byColumn(rows * columns), byRow(rows * columns);
  for (size_t i = 0; i < byRow.size(); ++i)
    byRow[i] = std::min(table.prices[i], most);
  for (size_t row = 0; row < rows; ++row)
    for (size_t column = 0; column < columns; ++column)
      byColumn[column * rows + row] = byRow[row * columns + column];
  return {std::move(byColumn), std::move(byRow)};
}

uint64_t mixed(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15u + b;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

} // namespace

//===----------------------------------------------------------------------===//
// What is alike
//===----------------------------------------------------------------------===//

/// Numbers that are equal for variables that look alike within the radius.
std::vector<uint64_t> Messages::coloursOf() const {
  std::map<const PriceTable *, uint64_t> numbers;
  std::vector<uint64_t> numberOf;
  for (const PriceEdge &edge : problem.edges)
    numberOf.push_back(
        numbers.try_emplace(edge.table.get(), numbers.size()).first->second);
  std::vector<uint64_t> colours(unaryOf.begin(), unaryOf.end());
  for (int round = 0; round < radius; ++round) {
    std::vector<uint64_t> sums(colours.size(), 0);
    for (size_t e = 0; e < problem.edges.size(); ++e) {
      const PriceEdge &edge = problem.edges[e];
      sums[edge.first] += mixed(2 * numberOf[e], colours[edge.second]);
      sums[edge.second] += mixed(2 * numberOf[e] + 1, colours[edge.first]);
    }
    for (size_t v = 0; v < colours.size(); ++v)
      colours[v] = mixed(colours[v], sums[v]);
  }
  return colours;
}

void Messages::makeTables(const std::vector<uint64_t> &colours) {
  std::map<std::tuple<const PriceTable *, uint64_t, uint64_t, bool>, int> known;
  for (const PriceEdge &edge : problem.edges) {
    bool rowsFirst = positionOf(edge.first) <= positionOf(edge.second);
    auto [it, isNew] = known.try_emplace({edge.table.get(), colours[edge.first],
                                          colours[edge.second], rowsFirst},
                                         static_cast<int>(tables.size()));
    tableOf.push_back(it->second);
    if (isNew) {
      const PriceTable &prices = *edge.table;
      auto [place, isFirst] = cut.try_emplace(edge.table.get());
      Transposed &both = place->second;
      if (isFirst)
        both = transposedAndNot(prices, most);
      Table &table = tables.emplace_back();
      table.byColumn = &both.first;
      table.byRow = &both.second;
      table.rowsFirst = rowsFirst;
      table.messages[0].assign(prices.rows, 0);
      table.messages[1].assign(prices.columns, 0);
    }
    ++tables[it->second].copies;
  }
}

void Messages::makeNodes() {
  std::vector<std::vector<int>> endsOf(problem.unary.size());
  for (size_t e = 0; e < problem.edges.size(); ++e) {
    endsOf[problem.edges[e].first].push_back(2 * tableOf[e]);
    endsOf[problem.edges[e].second].push_back(2 * tableOf[e] + 1);
  }
  Classes<std::pair<int, std::vector<int>>> classes;
  for (size_t v = 0; v < endsOf.size(); ++v) {
    std::sort(endsOf[v].begin(), endsOf[v].end());
    int number = classes.of({unaryOf[v], endsOf[v]});
    nodeOf.push_back(number);
    if (number == static_cast<int>(nodes.size())) {
      Node &node = nodes.emplace_back();
      node.position = positionOf(static_cast<int>(v));
      for (int64_t price : problem.unary[v])
        node.prices.push_back(std::min(price, most));
      for (size_t i = 0; i < endsOf[v].size(); ++i) {
        int end = endsOf[v][i];
        if (i == 0 || end != endsOf[v][i - 1])
          node.ends.push_back({end / 2, end % 2, 0});
        ++node.ends.back().count;
      }
      for (const End &end : node.ends) {
        (isLater(node, end) ? node.later : node.earlier) += end.count;
        tables[end.table].nodes[end.side].push_back({number, end.count});
      }
    }
    ++nodes[number].copies;
  }
  order.resize(nodes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return std::pair(nodes[a].position, a) < std::pair(nodes[b].position, b);
  });
}

Messages::Messages(const Problem &problem) : problem(problem) {
  Classes<std::vector<int64_t>> unaries;
  std::vector<int64_t> degree(problem.unary.size(), 0);
  for (const std::vector<int64_t> &prices : problem.unary)
    unaryOf.push_back(unaries.of(prices));
  for (const PriceEdge &edge : problem.edges)
    ++degree[edge.first], ++degree[edge.second];
  most = (int64_t(1) << 57) /
         (2 + *std::max_element(degree.begin(), degree.end()));
  makeTables(coloursOf());
  makeNodes();
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

/// All that the tables hold goes to the variables of `side`: nothing can be
/// taken from any value of theirs then.
void Messages::collect(int number, int side) {
  Table &table = tables[number];
  std::vector<int64_t> &mine = table.messages[side];
  const std::vector<int64_t> &theirs = table.messages[1 - side];
  const int64_t *prices = (side == 0 ? table.byColumn : table.byRow)->data();
  size_t count = mine.size();
  room.assign(count, INT64_MAX);
  for (size_t y = 0; y < theirs.size(); ++y, prices += count)
    takeSums(-theirs[y], prices, static_cast<int64_t>(count), room.data());
  for (size_t x = 0; x < count; ++x)
    std::swap(mine[x], room[x]), room[x] = mine[x] - room[x];
  for (auto [node, times] : table.nodes[side])
    addTimes(times, room.data(), count, nodes[node].prices.data());
}

/// Gives a table `parts`, as far as the other variables can that share its
/// messages.
void Messages::give(Node &node, const End &end,
                    const std::vector<int64_t> &parts) {
  Table &table = tables[end.table];
  const auto &sharers = table.nodes[end.side];
  given.assign(parts.begin(), parts.end());
  for (auto [number, times] : sharers) {
    const Node &other = nodes[number];
    if (&other == &node)
      continue;
    int64_t least = leastOf(other.prices);
    takeParts(other.prices.data(), least, std::max(other.later, other.earlier),
              given.size(), given.data());
  }
  addTimes(-1, given.data(), given.size(), table.messages[end.side].data());
  for (auto [number, times] : sharers)
    addTimes(-times, given.data(), given.size(), nodes[number].prices.data());
}

/// With `excess`, everything is collected, and what values have above the least
/// is noted.
void Messages::pass(bool forward, std::vector<std::vector<int64_t>> *excess) {
  std::vector<int64_t> parts;
  for (size_t i = 0; i < order.size(); ++i) {
    int number = order[forward ? i : order.size() - 1 - i];
    Node &node = nodes[number];
    for (const End &end : node.ends)
      if (excess || isLater(node, end) != forward)
        collect(end.table, end.side);
    int64_t least = leastOf(node.prices);
    if (excess) {
      parts.assign(node.prices.size(), INT64_MAX);
      takeParts(node.prices.data(), least, 1, parts.size(), parts.data());
      (*excess)[number] = parts;
    }
    if (node.ends.empty())
      continue;
    parts.assign(node.prices.size(), INT64_MAX);
    takeParts(node.prices.data(), least, std::max(node.later, node.earlier),
              parts.size(), parts.data());
    for (const End &end : node.ends)
      if (isLater(node, end) == forward)
        give(node, end, parts);
  }
}

int64_t Messages::bound() const {
  __int128 sum = 0;
  for (const Node &node : nodes)
    sum += static_cast<__int128>(node.copies) * leastOf(node.prices);
  for (const Table &table : tables) {
    const std::vector<int64_t> &columns = table.messages[1];
    std::vector<int64_t> sums(columns.size(), INT64_MAX);
    const int64_t *prices = table.byRow->data();
    for (int64_t row : table.messages[0]) {
      takeSums(-row, prices, static_cast<int64_t>(columns.size()), sums.data());
      prices += columns.size();
    }
    int64_t least = INT64_MAX;
    for (size_t x = 0; x < columns.size(); ++x)
      least = std::min(least, sums[x] - columns[x]);
    sum += static_cast<__int128>(table.copies) * least;
  }
  return static_cast<int64_t>(
      std::clamp<__int128>(sum, 0, static_cast<__int128>(forbidden)));
}

/// Until some passes raise the bound by no more than a part of it, or by no
/// more than `enough`.
int64_t Messages::improve(double worth, int64_t enough) {
  constexpr int maxRounds = 100;
  const int look = enough > 0 || worth > 1e-4 ? 2 : 5;
  int64_t before = bound();
  for (int round = 1; round <= maxRounds; ++round) {
    pass(true, nullptr);
    pass(false, nullptr);
    if (round % look)
      continue;
    const int64_t last = std::exchange(before, bound());
    if (before - last <= enough || static_cast<double>(before - last) <=
                                       worth * static_cast<double>(before))
      break;
  }
  return before;
}

DualBound Messages::measure(int64_t bound) {
  DualBound result;
  result.bound = bound;
  result.classOf = nodeOf;
  result.excess.resize(nodes.size());
  pass(true, &result.excess);
  return result;
}

DualBound planner::boundByMessages(const Problem &problem, double worth) {
  if (problem.unary.empty())
    return {};
  Messages messages(problem);
  return messages.measure(messages.improve(worth));
}

int64_t planner::leastByMessages(const Problem &problem, int64_t enough) {
  return problem.unary.empty() ? 0 : Messages(problem).improve(0, enough);
}
