//===- Model.h - A graph on a mesh as a problem -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every operation is a variable whose values are its strategies. Every value
// with several uses is a variable too: the layout that it is brought to once
// and from which all uses start (ReshardPlanner::sharedLayout). Edges carry the
// prices of reshards.
//
// Two problems with the same variables come of it:
//
//   objective  the step's time, plus small prices that decide what time alone
//              leaves open: resident bytes, and what runs once at load
//   time       a lower bound of the step's time, for every plan
//
// They differ in one more way. Where three or more uses do not all want the
// shared layout, equal ones share a reshard, which no pairwise price can say:
// the objective charges each use, the bound charges each use its share.
// Sharing.h closes the difference where it matters.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_MODEL_H
#define PARTITA_LIB_PLANNER_MODEL_H

#include "Costing.h"
#include "Memory.h"
#include "Strategies.h"
#include "partita/Planner/Problem.h"
#include <deque>

namespace partita::planner {

/// What bytes of parameters cost on every rank, in picoseconds a step: a tenth
/// of reading them from memory. A weight that need not be replicated is
/// therefore split, unless that costs time worth mentioning.
int64_t residentPrice(const DeviceType &device, int64_t bytes);
/// Bytes that cost a picosecond where a parameter is only read at load. Less
/// than a collective costs at load: a rank reads what it needs itself.
inline constexpr int64_t loadedBytesPerPrice = 16;
/// Steps over which kernels that run at load are spread. Moves at load are not
/// spread: nothing that they save is worth a collective over whole weights.
inline constexpr int64_t stepsPerLoad = 100;

/// A value with several uses in the step. Those of a group that want the same
/// layout share the reshard from the shared layout to it.
struct SharedValue {
  struct Use {
    int op;
    /// The edge between variable and operation, in each problem.
    size_t inObjective, inTime;
    /// The layout that each strategy of the operation reads.
    const std::vector<int> *wanted;
    /// Negative: shares with no other use.
    int group;
  };
  /// Whose values are these layouts.
  int variable;
  const std::vector<int> *layouts;
  std::vector<Use> uses;
};

struct Model {
  /// Of the first graph.ops.size() variables.
  std::vector<const CandidateSet *> candidates;
  Problem objective, time;
  std::vector<SharedValue> shared;
};

class ModelBuilder {
public:
  ModelBuilder(const Graph &graph, const DimClasses &classes, const Mesh &mesh,
               const Topology &topology, Costing costing);

  /// The variables. Errors: `plan.pins-conflict` (4) naming the operation if
  /// its pins leave it no strategy; `plan.infeasible` (4) if nothing but its
  /// axes do.
  Status addOperations(const std::vector<std::vector<const Pin *>> &pinsOfOp);
  /// Deals the operations to chunks of stages; before the prices.
  void setChunks(std::vector<int> chunkOf) {
    costing.execution.chunkOf = std::move(chunkOf);
  }
  /// How often what each operation does counts; before the prices.
  void setTimes(std::vector<int64_t> forward, std::vector<int64_t> backward,
                std::vector<int64_t> once) {
    costing.timesForward = std::move(forward);
    costing.timesBackward = std::move(backward);
    costing.timesOnce = std::move(once);
  }
  const Execution &execution() const { return costing.execution; }
  /// Those of strategies, and the edges; after the operations. Who only asks
  /// for a bound needs no edges of the objective.
  void price(bool onlyTime = false);
  /// What the operations need; after them.
  MemoryRows memory() const {
    return MemoryRows(graph, model.candidates, reshard, mesh, costing);
  }
  /// The least time that each operation takes when it runs.
  std::vector<int64_t> leastTimes() const;

  Model model;

private:
  Result<std::vector<const Pin *>> conflictAmong(int op,
                                                 std::vector<const Pin *> pins);
  void addPricesOf(int op);
  void addValue(int value);
  /// A reshard on an edge, what it counts, and whether the value also goes
  /// from one stage to another, of which it takes a part.
  struct Traffic {
    DType dtype;
    Share share;
    bool atLoad = false;
    /// Uses that share one transfer between stages; zero: there is none.
    int64_t transfers = 0;
  };
  void addEdge(int first, int second, int fromList, int toList,
               const Traffic &traffic, int64_t shareOf);
  std::shared_ptr<const PriceTable>
  table(int fromList, int toList, const Traffic &traffic, int64_t divisor);
  int64_t transfersOf(int value, int op) const;
  /// Equal for operations that use a value in the step and share its reshards;
  /// negative in another stage, where transfers take part.
  int groupOf(int value, int op) const;
  int64_t transferTime(int64_t bytes) const;
  int listOf(std::vector<int> layouts);
  int operandList(const CandidateSet *set, size_t operand);
  int resultList(const CandidateSet *set, size_t result);
  int64_t keepingPrice(const GraphOp &op, const Candidate &candidate) const;

  struct Use {
    int op;
    size_t operand;
  };
  uint32_t axesOf(size_t op) const;
  const Graph &graph;
  /// All stages, and one that has all axes.
  const Mesh whole, mesh;
  Costing costing;
  bool onlyTime = false;
  const DeviceType device;
  CollectiveCost collectives, betweenStages;
  KernelCost kernels;
  ReshardPlanner reshard;
  StrategyEnumerator enumerator;
  std::vector<std::pair<int, size_t>> producer; // by value: op, result
  std::vector<std::vector<Use>> uses;           // by value
  /// A deque: models refer to them.
  std::deque<std::vector<int>> lists;
  std::map<std::vector<int>, int> listNumbers;
  std::map<std::tuple<const CandidateSet *, int, size_t>, int> listsOfSets;
  std::map<std::tuple<int, int, size_t, Share, int64_t, int64_t>,
           std::shared_ptr<const PriceTable>>
      tables;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_MODEL_H
