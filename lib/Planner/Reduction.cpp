//===- Reduction.cpp - Problems of fewer values ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reduction.h"
#include "Classes.h"

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
