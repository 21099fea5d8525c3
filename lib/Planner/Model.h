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
// A value that other stages use has a transfer to each (Transfers.cpp).
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
  /// `spaces`, if there are any, are of a stage of the mesh.
  ModelBuilder(const Graph &graph, const DimClasses &classes, const Mesh &mesh,
               const Topology &topology, Costing costing,
               std::shared_ptr<ReshardSpaces> spaces = nullptr);

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
  /// Those of strategies, and the edges; after the operations, and again after
  /// other times. Who only asks
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
  bool counts(int value) const;
  void addValue(int value);
  struct Use {
    int op;
    size_t operand;
  };
  using Uses = std::vector<Use>;
  /// A reshard on an edge, and what it counts.
  struct Traffic {
    DType dtype;
    Share share;
    bool atLoad = false;
    /// Of the uses of a value, which may be in other stages than it (Costing):
    /// the use may get its part of a transfer instead. Zero: it may not.
    int64_t mayCross = 0;
    /// What is done as often, but where the value is made.
    Share atMaker = {0, 1};
  };
  /// Where a value is found: the layouts of a variable; and the number of uses
  /// among which equal reshards from there may be shared.
  struct Source {
    int variable, list;
    int64_t shareOf = 1;
  };
  /// A value on its way to another stage, in which it arrives as it is wanted
  /// there (one layout of `arrivals`), and what that counts; if it leaves
  /// pending, it is combined before, which counts where it is made.
  struct Transfer {
    DType dtype;
    Share share, leaves;
    int64_t shareOf;
    /// -1: as each of the layouts at the end of the edge.
    int arrivals = -1;
  };
  Traffic trafficOf(int value, const Use &use, const Uses &uses) const;
  void addEdge(int first, int second, int fromList, int toList,
               const Traffic &traffic, int64_t shareOf);
  std::shared_ptr<const PriceTable>
  table(int fromList, int toList, const Traffic &traffic, int64_t divisor);
  void lower(PriceTable &table, const std::vector<int> &rows,
             const std::vector<int> &columns, const Traffic &traffic,
             int64_t divisor);
  Source addUses(int value, const Uses &uses, const Uses *leaving);
  int addVariable(int like, size_t layouts);
  void addTransfers(int value, const Source &source,
                    const std::vector<const Uses *> &groups);
  void addTransfersOf(int value, const Source &source, const Uses &uses,
                      Share leaves);
  std::shared_ptr<const PriceTable> transferTable(int fromList, int toList,
                                                  const Transfer &transfer);
  std::shared_ptr<const PriceTable> readTable(int fromList, int toList,
                                              const Transfer &transfer);
  std::vector<int64_t> arrivalTimes(const std::vector<int> &layouts,
                                    const Transfer &transfer);
  int arrived(int layout);
  int left(int layout);
  std::vector<int> arrivedAll(const std::vector<int> &layouts);
  bool isPending(int list) const;
  OpPhase phaseOf(int value, const Use &use) const;
  Share firstShare(int value, const Uses &uses, int at) const;
  /// Equal for operations that use a value in the step and share its reshards.
  int groupOf(int value, int op) const;
  int64_t transferTime(int layout, DType dtype) const;
  int listOf(std::vector<int> layouts);
  int operandList(const CandidateSet *set, size_t operand);
  int resultList(const CandidateSet *set, size_t result);
  int64_t keepingPrice(const GraphOp &op, const Candidate &candidate) const;

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
  std::vector<Uses> uses;                       // by value
  /// A deque: models refer to them.
  std::deque<std::vector<int>> lists;
  std::map<std::vector<int>, int> listNumbers;
  std::map<std::tuple<const CandidateSet *, int, size_t>, int> listsOfSets;
  /// What an edge is for, its lists, the size of an element, and the rest.
  enum class TableKind { Reshard, Transfer, Read };
  using TableKey =
      std::tuple<TableKind, int, int, size_t, Share, Share, int64_t, int64_t>;
  std::map<TableKey, std::shared_ptr<const PriceTable>> tables;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_MODEL_H
