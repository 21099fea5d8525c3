//===- Reduction.cpp - Problems of fewer values ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reduction.h"
#include "Classes.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

static std::shared_ptr<const PriceTable>
smallerTable(const PriceTable &table, const std::vector<int> &rows,
             const std::vector<int> &columns) {
  auto smaller = std::make_shared<PriceTable>();
  smaller->rows = static_cast<int>(rows.size());
  smaller->columns = static_cast<int>(columns.size());
  smaller->prices.reserve(rows.size() * columns.size());
  for (int row : rows)
    for (int column : columns)
      smaller->prices.push_back(table.at(row, column));
  return smaller;
}

Reduction planner::restrictTo(const Problem &problem,
                              std::vector<std::vector<int>> values) {
  Reduction reduction;
  Classes<std::vector<int>> lists;
  std::vector<int> listOf;
  for (size_t v = 0; v < values.size(); ++v) {
    listOf.push_back(lists.of(values[v]));
    std::vector<int64_t> &unary = reduction.problem.unary.emplace_back();
    for (int value : values[v])
      unary.push_back(problem.unary[v][value]);
  }
  // Equal layers have equal tables and equal remaining values.
  std::map<std::tuple<const PriceTable *, int, int>,
           std::shared_ptr<const PriceTable>>
      tables;
  for (const PriceEdge &edge : problem.edges) {
    std::shared_ptr<const PriceTable> &table =
        tables[{edge.table.get(), listOf[edge.first], listOf[edge.second]}];
    if (!table)
      table =
          smallerTable(*edge.table, values[edge.first], values[edge.second]);
    reduction.problem.edges.push_back({edge.first, edge.second, table});
  }
  reduction.problem.positions = problem.positions;
  reduction.values = std::move(values);
  return reduction;
}

namespace {
/// Takes variables off the ends of a problem.
class Trimmer {
public:
  explicit Trimmer(const Problem &problem);
  Problem run();

private:
  void takeOff(int variable);

  const Problem &problem;
  std::vector<std::vector<int64_t>> unary;
  std::vector<std::vector<int>> edgesOf; // by variable
  std::vector<int> degree;               // of those that are left
  std::vector<char> isGone;              // by edge
  std::vector<int> place;                // by variable; -1: taken off
};
} // namespace

Trimmer::Trimmer(const Problem &problem)
    : problem(problem), unary(problem.unary), edgesOf(unary.size()),
      degree(unary.size(), 0), isGone(problem.edges.size(), 0),
      place(unary.size(), 0) {
  for (size_t e = 0; e < problem.edges.size(); ++e)
    for (int end : {problem.edges[e].first, problem.edges[e].second}) {
      edgesOf[end].push_back(static_cast<int>(e));
      ++degree[end];
    }
}

void Trimmer::takeOff(int variable) {
  const int number =
      *std::find_if(edgesOf[variable].begin(), edgesOf[variable].end(),
                    [&](int edge) { return !isGone[edge]; });
  const PriceEdge &edge = problem.edges[number];
  const bool isRow = edge.first == variable;
  const int other = isRow ? edge.second : edge.first;
  const std::vector<int64_t> &mine = unary[variable];
  std::vector<int64_t> &theirs = unary[other];
  for (size_t x = 0; x < theirs.size(); ++x) {
    int64_t least = forbidden;
    for (size_t y = 0; y < mine.size(); ++y) {
      const auto row = static_cast<int>(isRow ? y : x),
                 column = static_cast<int>(isRow ? x : y);
      least = std::min(least, mine[y] + edge.table->at(row, column));
    }
    theirs[x] = addPrices(theirs[x], least);
  }
  isGone[number] = 1;
  place[variable] = -1;
  --degree[other];
}

Problem Trimmer::run() {
  std::vector<int> ends;
  auto look = [&](int variable) {
    if (degree[variable] == 1)
      ends.push_back(variable);
  };
  for (size_t v = 0; v < unary.size(); ++v)
    look(static_cast<int>(v));
  while (!ends.empty()) {
    const int end = ends.back();
    ends.pop_back();
    if (degree[end] != 1)
      continue; // its neighbour was one too
    degree[end] = 0;
    takeOff(end);
    for (int edge : edgesOf[end])
      for (int other : {problem.edges[edge].first, problem.edges[edge].second})
        if (other != end)
          look(other);
  }
  Problem left;
  for (size_t v = 0; v < unary.size(); ++v) {
    if (place[v] < 0)
      continue;
    place[v] = static_cast<int>(left.unary.size());
    left.unary.push_back(std::move(unary[v]));
    if (!problem.positions.empty())
      left.positions.push_back(problem.positions[v]);
  }
  for (size_t e = 0; e < problem.edges.size(); ++e)
    if (const PriceEdge &edge = problem.edges[e]; !isGone[e])
      left.edges.push_back({place[edge.first], place[edge.second], edge.table});
  return left;
}

Problem planner::withoutEnds(const Problem &problem) {
  return Trimmer(problem).run();
}
