//===- Memory.cpp - What plans need at the time of each operation ---------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Memory.h"
#include "Segments.h"
#include <algorithm>
#include <climits>
#include <numeric>

using namespace partita;
using namespace partita::planner;

/// Makes the items, once for all operations that are alike.
class MemoryRows::Builder {
public:
  Builder(const Graph &graph,
          const std::vector<const CandidateSet *> &candidates,
          const ReshardPlanner &reshard, const Mesh &mesh,
          const Costing &costing);
  std::vector<Item> run();

  std::vector<int> row, firstRow; // by operation; by stage, and the end

private:
  using Numbers = std::vector<int>;
  /// Does not take part in fusions: reads and writes buffers.
  static bool isWhole(const GraphOp &op) {
    return op.role == OpRole::Compute && !op.atLoad &&
           op.kernelClass >= KernelClass::Gemm;
  }
  bool is(size_t op, OpPhase phase) const {
    return costing.phases[op] == phase;
  }
  int stageOf(size_t op) const { return costing.execution.stage(op); }
  void orderRows();
  void findUses();
  void addResident(int op);
  void addRead(int op);
  void addMade(int op, size_t result);
  void addKept(int op, size_t result);
  int64_t othersKept(int op, int value, bool again) const;
  void addReceived(int value);
  void add(int op, std::pair<int, int> rows, const Numbers &operands,
           const Numbers &results, int64_t copies = 1);
  /// All rows of a stage.
  std::pair<int, int> allOf(int stage) const {
    return {firstRow[stage], firstRow[stage + 1] - 1};
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
  const Costing &costing;
  Numbers producer;                                      // by value
  std::vector<std::vector<std::pair<int, size_t>>> uses; // by value
  /// By value: the last row of its own stage and phase that reads it, or reads
  /// what looks at it; of values that the backward pass reads, also there.
  Numbers lastUse, lastBackward, firstBackward;
  std::vector<char> boundary;   // by value
  const std::vector<Kept> kept; // by chunk
  /// By value: gradients of weights that are split off read it, or what looks
  /// at it.
  std::vector<char> forWeight;
  Numbers segmentOf, returnsAt; // by operation; by segment: first backward row
  std::map<std::tuple<const CandidateSet *, Numbers, Numbers>,
           std::shared_ptr<const std::vector<int64_t>>>
      known;
  std::vector<Item> items;
};

MemoryRows::Builder::Builder(
    const Graph &graph, const std::vector<const CandidateSet *> &candidates,
    const ReshardPlanner &reshard, const Mesh &mesh, const Costing &costing)
    : graph(graph), candidates(candidates), reshard(reshard), mesh(mesh),
      costing(costing), producer(graph.values.size(), -1),
      uses(graph.values.size()), lastUse(graph.values.size(), -1),
      lastBackward(graph.values.size(), -1),
      firstBackward(graph.values.size(), INT_MAX),
      kept(keptMost(costing.execution)), forWeight(graph.values.size(), 0) {
  orderRows();
  findUses();
  if (costing.execution.recompute) {
    Segments segments(graph, costing.phases);
    segmentOf = segments.segmentOf();
    boundary = segments.crossing();
    returnsAt.assign(segments.count(), INT_MAX);
    for (size_t o = 0; o < graph.ops.size(); ++o)
      if (isBackward(costing.phases[o]))
        returnsAt[segmentOf[o]] = std::min(returnsAt[segmentOf[o]], row[o]);
  }
}

/// Stages one after the other, each in the order of the graph.
void MemoryRows::Builder::orderRows() {
  std::vector<int> next(costing.execution.stages + 1, 0);
  for (size_t o = 0; o < graph.ops.size(); ++o)
    ++next[stageOf(o) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  firstRow = next;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    row.push_back(next[stageOf(o)]++);
}

void MemoryRows::Builder::findUses() {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    for (int value : graph.ops[o].results)
      producer[value] = static_cast<int>(o);
    for (size_t i = 0; i < graph.ops[o].operands.size(); ++i)
      uses[graph.ops[o].operands[i]].push_back({static_cast<int>(o), i});
  }
  for (size_t value = graph.values.size(); value-- > 0;) {
    int from = producer[value];
    for (auto [op, operand] : uses[value]) {
      // What only runs at load keeps nothing for the step.
      if (graph.ops[op].atLoad || stageOf(op) != stageOf(from))
        continue;
      int last = row[op];
      const GraphOp &user = graph.ops[op];
      bool isView = costing.isInLoop(op) && user.role == OpRole::Compute &&
                    user.kernelClass == KernelClass::Free;
      bool returns =
          isBackward(costing.phases[op]) && is(from, OpPhase::Forward);
      forWeight[value] |= is(op, OpPhase::Weight);
      if (returns) {
        lastBackward[value] = std::max(lastBackward[value], last);
        firstBackward[value] = std::min(firstBackward[value], last);
      } else {
        lastUse[value] = std::max(lastUse[value], last);
      }
      for (size_t i = 0; isView && i < user.results.size(); ++i) {
        int seen = user.results[i];
        forWeight[value] |= forWeight[seen];
        int &mine = returns ? lastBackward[value] : lastUse[value];
        mine = std::max(mine, lastUse[seen]);
        lastBackward[value] = std::max(lastBackward[value], lastBackward[seen]);
        firstBackward[value] =
            std::min(firstBackward[value], firstBackward[seen]);
      }
    }
  }
}

std::vector<MemoryRows::Item> MemoryRows::Builder::run() {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (isResident(op)) {
      addResident(static_cast<int>(o));
      continue;
    }
    for (size_t i = 0; i < op.results.size(); ++i) {
      if (isWhole(op))
        addMade(static_cast<int>(o), i);
      addKept(static_cast<int>(o), i);
    }
    if (isWhole(op))
      addRead(static_cast<int>(o));
  }
  if (!costing.execution.isPlain())
    for (size_t value = 0; value < graph.values.size(); ++value)
      addReceived(static_cast<int>(value));
  return std::move(items);
}

void MemoryRows::Builder::addResident(int number) {
  Numbers results;
  const GraphOp &op = graph.ops[number];
  for (size_t i = 0; i < op.results.size(); ++i) {
    bool used = false;
    for (auto [user, operand] : uses[op.results[i]])
      used |= !graph.ops[user].atLoad;
    if (used)
      results.push_back(static_cast<int>(i));
  }
  add(number, allOf(stageOf(number)), {}, results);
}

/// While it is made and used in its own phase.
void MemoryRows::Builder::addMade(int number, size_t result) {
  int value = graph.ops[number].results[result];
  add(number, {row[number], std::max(row[number], lastUse[value])}, {},
      {static_cast<int>(result)});
}

/// Of how many other micro-batches a value of the forward pass is kept, when
/// the stage keeps most: what gradients of weights read waits for these, what
/// is computed `again` only from then on.
int64_t MemoryRows::Builder::othersKept(int number, int value,
                                        bool again) const {
  const Kept &ofChunk = kept[costing.execution.chunk(number)];
  if (again)
    return forWeight[value] ? ofChunk.forWeight : 0;
  return ofChunk.all - (forWeight[value] ? 0 : ofChunk.forWeight) - 1;
}

/// From the forward pass to the backward pass, and from micro-batch to
/// micro-batch.
void MemoryRows::Builder::addKept(int number, size_t result) {
  const GraphOp &op = graph.ops[number];
  const Execution &execution = costing.execution;
  int value = op.results[result];
  Numbers it{static_cast<int>(result)};
  bool isView = op.kernelClass == KernelClass::Free;
  if (is(number, OpPhase::Forward) && lastBackward[value] >= 0 && !isView &&
      op.role == OpRole::Compute) {
    // With what is counted as made there is no overlap.
    int from =
        isWhole(op) ? std::max(row[number], lastUse[value]) + 1 : row[number];
    bool again = execution.recompute && !boundary[value];
    if (again)
      from = std::min(firstBackward[value], returnsAt[segmentOf[number]]);
    if (from <= lastBackward[value])
      add(number, {from, lastBackward[value]}, {}, it);
    int64_t others = othersKept(number, value, again);
    if (others > 0)
      add(number, allOf(stageOf(number)), {}, it, others);
  }
  // What backward passes make waits for gradients of weights.
  int64_t waiting = kept[execution.chunk(number)].forWeight;
  if (is(number, OpPhase::Backward) && forWeight[value] && !isView &&
      op.role == OpRole::Compute && waiting > 0)
    add(number, allOf(stageOf(number)), {}, it, waiting);
  if (execution.microBatches == 1 || !costing.isInLoop(number))
    return;
  for (auto [user, operand] : uses[value])
    if (is(user, OpPhase::Update) && graph.ops[user].role == OpRole::Compute) {
      add(number, allOf(stageOf(number)), {}, it);
      break;
    }
}

/// While it is read; what such an operation made is counted with that.
void MemoryRows::Builder::addRead(int number) {
  const GraphOp &op = graph.ops[number];
  Numbers operands, seen;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    int value = op.operands[i], from = producer[value];
    const GraphOp &maker = graph.ops[from];
    bool isKept = is(from, OpPhase::Forward) &&
                  isBackward(costing.phases[number]) &&
                  maker.kernelClass != KernelClass::Free;
    if (isResident(maker) || isWhole(maker) || isKept ||
        maker.role == OpRole::Input || stageOf(from) != stageOf(number) ||
        std::find(seen.begin(), seen.end(), value) != seen.end())
      continue;
    seen.push_back(value);
    operands.push_back(static_cast<int>(i));
  }
  add(number, {row[number], row[number]}, operands, {});
}

/// What a stage gets from another, from the first to the last use; copies of
/// weights that are brought once a step. They are as the first use reads them.
void MemoryRows::Builder::addReceived(int value) {
  int from = producer[value];
  std::map<int, std::pair<int, int>> rows; // by stage
  std::map<int, std::pair<int, size_t>> first;
  bool once = is(from, OpPhase::Once) && !isResident(graph.ops[from]) &&
              graph.ops[from].role == OpRole::Compute;
  for (auto [op, operand] : uses[value]) {
    int stage = stageOf(op);
    bool isHere = stage == stageOf(from);
    if (isHere ? !(once && costing.isInLoop(op)) : graph.ops[op].atLoad)
      continue;
    auto [it, isNew] = rows.try_emplace(stage, row[op], row[op]);
    if (isNew)
      first[stage] = {op, operand};
    it->second.first = std::min(it->second.first, row[op]);
    it->second.second = std::max(it->second.second, row[op]);
  }
  for (auto [stage, range] : rows) {
    auto [op, operand] = first[stage];
    bool stays = !costing.isInLoop(from);
    add(op, stays ? allOf(stage) : range, {static_cast<int>(operand)}, {});
    bool returns = is(op, OpPhase::Forward) && !stays &&
                   range.second >= row[op] &&
                   costing.phases[from] == OpPhase::Forward;
    int64_t others = kept[costing.execution.chunk(op)].all - 1;
    if (returns && others > 0)
      add(op, allOf(stage), {static_cast<int>(operand)}, {}, others);
  }
}

/// An item of the bytes of these operands and results, or of what they look
/// at.
void MemoryRows::Builder::add(int number, std::pair<int, int> rows,
                              const Numbers &operands, const Numbers &results,
                              int64_t copies) {
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
  items.push_back({number, rows.first, rows.second, copies, bytes});
}

MemoryRows::MemoryRows(const Graph &graph,
                       const std::vector<const CandidateSet *> &candidates,
                       const ReshardPlanner &reshard, const Mesh &mesh,
                       const Costing &costing)
    : numRows(graph.ops.size()) {
  Builder builder(graph, candidates, reshard, mesh, costing);
  items = builder.run();
  firstRow = builder.firstRow;
  opOfRow.resize(numRows);
  for (size_t o = 0; o < numRows; ++o)
    opOfRow[builder.row[o]] = static_cast<int>(o);
}

std::vector<int64_t> MemoryRows::usage(const std::vector<int> &values) const {
  std::vector<int64_t> rows(numRows + 1, 0);
  for (const Item &item : items) {
    int64_t bytes = item.copies * (*item.bytes)[values[item.op]];
    rows[item.begin] += bytes;
    rows[item.end + 1] -= bytes;
  }
  for (size_t row = 1; row <= numRows; ++row)
    rows[row] += rows[row - 1];
  rows.pop_back();
  return rows;
}

std::vector<int> MemoryRows::peaks(const std::vector<int64_t> &usage) const {
  std::vector<int> peaks;
  for (size_t stage = 0; stage + 1 < firstRow.size(); ++stage) {
    auto begin = usage.begin() + firstRow[stage],
         end = usage.begin() + firstRow[stage + 1];
    if (begin != end)
      peaks.push_back(
          static_cast<int>(std::max_element(begin, end) - usage.begin()));
  }
  return peaks;
}

MemoryRows::Held MemoryRows::leastHeld() const {
  std::vector<int64_t> rows(numRows + 1, 0);
  for (const Item &item : items) {
    int64_t least = *std::min_element(item.bytes->begin(), item.bytes->end());
    rows[item.begin] += item.copies * least;
    rows[item.end + 1] -= item.copies * least;
  }
  for (size_t row = 1; row <= numRows; ++row)
    rows[row] += rows[row - 1];
  Held held;
  held.row = static_cast<int>(std::max_element(rows.begin(), rows.end()) -
                              rows.begin());
  held.op = opOfRow[held.row];
  // An operation uses the least of all its items together.
  std::map<int, std::vector<int64_t>> byOp;
  for (const Item &item : items) {
    if (item.begin > held.row || item.end < held.row)
      continue;
    std::vector<int64_t> &sums = byOp[item.op];
    sums.resize(item.bytes->size(), 0);
    for (size_t k = 0; k < sums.size(); ++k)
      sums[k] += item.copies * (*item.bytes)[k];
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
    double price = static_cast<double>(item.copies) *
                   (before[item.end + 1] - before[item.begin]);
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
