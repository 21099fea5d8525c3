//===- Memory.cpp - What plans need at the time of each operation ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Memory.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

/// Makes the items, once for all operations that are alike.
class MemoryRows::Builder {
public:
  Builder(const Graph &graph,
          const std::vector<const CandidateSet *> &candidates,
          const ReshardPlanner &reshard, const Mesh &mesh)
      : graph(graph), candidates(candidates), reshard(reshard), mesh(mesh),
        producer(graph.values.size(), -1), lastUse(graph.values.size(), -1) {
    for (size_t o = 0; o < graph.ops.size(); ++o) {
      for (int value : graph.ops[o].results)
        producer[value] = static_cast<int>(o);
      // What only runs at load keeps nothing for the step.
      if (!graph.ops[o].atLoad)
        for (int value : graph.ops[o].operands)
          lastUse[value] = static_cast<int>(o);
    }
  }

  std::vector<Item> run() {
    for (size_t o = 0; o < graph.ops.size(); ++o) {
      const GraphOp &op = graph.ops[o];
      if (isResident(op))
        addResident(static_cast<int>(o));
      else if (isWhole(op))
        addWhole(static_cast<int>(o));
    }
    return std::move(items);
  }

private:
  /// Does not take part in fusions: reads and writes buffers.
  static bool isWhole(const GraphOp &op) {
    return op.role == OpRole::Compute && !op.atLoad &&
           op.kernelClass >= KernelClass::Gemm;
  }

  void addResident(int number) {
    std::vector<int> results;
    const GraphOp &op = graph.ops[number];
    for (size_t i = 0; i < op.results.size(); ++i)
      if (lastUse[op.results[i]] >= 0)
        results.push_back(static_cast<int>(i));
    add(number, 0, static_cast<int>(graph.ops.size()) - 1, {}, results);
  }

  void addWhole(int number) {
    const GraphOp &op = graph.ops[number];
    for (size_t i = 0; i < op.results.size(); ++i)
      add(number, number, std::max(number, lastUse[op.results[i]]), {},
          {static_cast<int>(i)});
    // What such an operation made is counted with that.
    std::vector<int> operands, seen;
    for (size_t i = 0; i < op.operands.size(); ++i) {
      int value = op.operands[i];
      const GraphOp &from = graph.ops[producer[value]];
      if (isResident(from) || isWhole(from) || from.role == OpRole::Input ||
          std::find(seen.begin(), seen.end(), value) != seen.end())
        continue;
      seen.push_back(value);
      operands.push_back(static_cast<int>(i));
    }
    add(number, number, number, operands, {});
  }

  /// An item of the bytes of these operands and results, or of what they look
  /// at.
  void add(int number, int begin, int end, const std::vector<int> &operands,
           const std::vector<int> &results) {
    if (operands.empty() && results.empty())
      return;
    const CandidateSet *set = candidates[number];
    auto &bytes = known[{set, operands, results}];
    if (!bytes) {
      auto made = std::make_shared<std::vector<int64_t>>();
      const GraphOp &op = graph.ops[number];
      for (const Candidate &candidate : set->candidates) {
        auto operandBytes = [&](size_t i) {
          return bytesOf(candidate.operands[i], op.operands[i]);
        };
        auto resultBytes = [&](size_t i) {
          return bytesOf(candidate.results[i], op.results[i]);
        };
        int64_t sum = 0;
        for (int i : operands)
          sum += operandBytes(i);
        for (int i : results)
          sum += isResident(op) ? keptBytes(op, i, operandBytes, resultBytes)
                                : resultBytes(i);
        made->push_back(std::min(sum, forbidden));
      }
      bytes = std::move(made);
    }
    items.push_back({number, begin, end, bytes});
  }

  int64_t bytesOf(int layout, int value) const {
    return std::min(
        maxLocalBytes(reshard.layout(layout), mesh, graph.values[value].dtype),
        forbidden / 1024);
  }

  const Graph &graph;
  const std::vector<const CandidateSet *> &candidates;
  const ReshardPlanner &reshard;
  const Mesh &mesh;
  std::vector<int> producer, lastUse; // by value
  std::map<std::tuple<const CandidateSet *, std::vector<int>, std::vector<int>>,
           std::shared_ptr<const std::vector<int64_t>>>
      known;
  std::vector<Item> items;
};

MemoryRows::MemoryRows(const Graph &graph,
                       const std::vector<const CandidateSet *> &candidates,
                       const ReshardPlanner &reshard, const Mesh &mesh)
    : numRows(graph.ops.size()),
      items(Builder(graph, candidates, reshard, mesh).run()) {}

std::vector<int64_t> MemoryRows::usage(const std::vector<int> &values) const {
  std::vector<int64_t> rows(numRows + 1, 0);
  for (const Item &item : items) {
    int64_t bytes = (*item.bytes)[values[item.op]];
    rows[item.begin] += bytes;
    rows[item.end + 1] -= bytes;
  }
  for (size_t row = 1; row <= numRows; ++row)
    rows[row] += rows[row - 1];
  rows.pop_back();
  return rows;
}

MemoryRows::Held MemoryRows::leastHeld() const {
  std::vector<int64_t> rows(numRows + 1, 0);
  for (const Item &item : items) {
    int64_t least = *std::min_element(item.bytes->begin(), item.bytes->end());
    rows[item.begin] += least;
    rows[item.end + 1] -= least;
  }
  for (size_t row = 1; row <= numRows; ++row)
    rows[row] += rows[row - 1];
  Held held;
  held.row = static_cast<int>(std::max_element(rows.begin(), rows.end()) -
                              rows.begin());
  // An operation uses the least of all its items together.
  std::map<int, std::vector<int64_t>> byOp;
  for (const Item &item : items) {
    if (item.begin > held.row || item.end < held.row)
      continue;
    std::vector<int64_t> &sums = byOp[item.op];
    sums.resize(item.bytes->size(), 0);
    for (size_t k = 0; k < sums.size(); ++k)
      sums[k] += (*item.bytes)[k];
  }
  for (const auto &[op, sums] : byOp) {
    held.byOp.push_back({op, *std::min_element(sums.begin(), sums.end())});
    held.bytes += held.byOp.back().second;
  }
  return held;
}

void MemoryRows::addPrices(const std::map<int, double> &prices,
                           Problem &problem, double tilt) const {
  // More than the sums of prices are off by.
  constexpr double rounding = 1e-12;
  std::vector<double> before(numRows + 1, 0);
  for (auto [row, price] : prices)
    before[row + 1] += price;
  for (size_t row = 1; row <= numRows; ++row)
    before[row] += before[row - 1];
  for (const Item &item : items) {
    double price = before[item.end + 1] - before[item.begin];
    if (price <= 0)
      continue;
    price *= 1 + tilt * item.op / static_cast<double>(numRows);
    std::vector<int64_t> &unary = problem.unary[item.op];
    for (size_t value = 0; value < unary.size(); ++value) {
      double sum =
          price * static_cast<double>((*item.bytes)[value]) * (1 - rounding);
      unary[value] = partita::addPrices(
          unary[value],
          static_cast<int64_t>(std::min(sum, static_cast<double>(forbidden))));
    }
  }
}
