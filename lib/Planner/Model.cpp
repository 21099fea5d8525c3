//===- Model.cpp - A graph on a mesh as a problem -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

ModelBuilder::ModelBuilder(const Graph &graph, const DimClasses &classes,
                           const Mesh &mesh, const Topology &topology,
                           Costing costing)
    : graph(graph), whole(mesh), mesh(stageOf(mesh)),
      costing(std::move(costing)), device(topology.commonDevice()),
      collectives(topology, this->mesh),
      betweenStages(topology, evenStages(mesh)), kernels(topology),
      reshard(this->mesh, collectives),
      enumerator(graph, classes, this->mesh, kernels, reshard),
      producer(graph.values.size(), {-1, 0}), uses(graph.values.size()) {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    for (size_t i = 0; i < op.results.size(); ++i)
      producer[op.results[i]] = {static_cast<int>(o), i};
    for (size_t i = 0; i < op.operands.size(); ++i)
      uses[op.operands[i]].push_back({static_cast<int>(o), i});
  }
}

static std::string pinsText(const std::vector<const Pin *> &pins) {
  std::string text;
  for (const Pin *pin : pins)
    text += (text.empty() ? "" : "', '") + pin->text;
  return "'" + text + "'";
}

/// Of pins that leave an operation nothing, some of which none is needless:
/// what leaves nothing without a pin too does not need it.
Result<std::vector<const Pin *>>
ModelBuilder::conflictAmong(int op, std::vector<const Pin *> pins) {
  for (size_t i = 0; i < pins.size();) {
    std::vector<const Pin *> fewer = pins;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    PARTITA_TRY(const CandidateSet *set,
                enumerator.enumerate(op, fewer, axesOf(op)));
    if (set->candidates.empty())
      pins = std::move(fewer);
    else
      ++i;
  }
  return pins;
}

/// The axes that the stage of an operation has, where that is known.
uint32_t ModelBuilder::axesOf(size_t op) const {
  if (whole.stageAxes.empty() || costing.execution.chunkOf.empty())
    return ~uint32_t(0);
  return whole.stageAxes[costing.execution.stage(op)];
}

Status ModelBuilder::addOperations(
    const std::vector<std::vector<const Pin *>> &pinsOfOp) {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    PARTITA_TRY(
        const CandidateSet *set,
        enumerator.enumerate(static_cast<int>(o), pinsOfOp[o], axesOf(o)));
    if (!set->candidates.empty()) {
      model.candidates.push_back(set);
      continue;
    }
    PARTITA_TRY(std::vector<const Pin *> conflict,
                conflictAmong(static_cast<int>(o), pinsOfOp[o]));
    return makeError(
        ExitCode::Infeasible,
        conflict.empty() ? "plan.infeasible" : "plan.pins-conflict", op.id,
        "no strategy of the rule " + op.rule.str() + " on " + mesh.str() +
            (conflict.empty() ? std::string(" is legal")
                              : " satisfies --pin " + pinsText(conflict)),
        "an axis takes one factor of an operation, at least as large as the "
        "axis; dp splits batch only, sp and cp sequence, tp what is neither");
  }
  return ok();
}

void ModelBuilder::price(bool forBound) {
  onlyTime = forBound;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    addPricesOf(static_cast<int>(o));
  for (size_t value = 0; value < graph.values.size(); ++value)
    addValue(static_cast<int>(value));
  // The next step finds a state where this one found it.
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (op.nextState >= 0)
      addEdge(op.nextState, static_cast<int>(o),
              operandList(model.candidates[op.nextState], 0),
              resultList(model.candidates[o], 0),
              {graph.values[op.results[0]].dtype, costing.onceOf(o)}, 1);
  }
}

//===----------------------------------------------------------------------===//
// Variables
//===----------------------------------------------------------------------===//

int64_t planner::residentPrice(const DeviceType &device, int64_t bytes) {
  double seconds = static_cast<double>(bytes) / device.memoryBandwidth / 10;
  return static_cast<int64_t>(
      std::min(seconds * picosPerSecond, static_cast<double>(forbidden)));
}

int64_t ModelBuilder::keepingPrice(const GraphOp &op,
                                   const Candidate &candidate) const {
  if (!isResident(op))
    return 0;
  auto bytesOf = [&](int layout, int value) {
    return std::min(
        maxLocalBytes(reshard.layout(layout), mesh, graph.values[value].dtype),
        forbidden / 64);
  };
  auto operandBytes = [&](size_t i) {
    return bytesOf(candidate.operands[i], op.operands[i]);
  };
  auto resultBytes = [&](size_t i) {
    return bytesOf(candidate.results[i], op.results[i]);
  };
  int64_t price = 0;
  for (size_t i = 0; i < op.results.size(); ++i) {
    bool stays = false;
    for (const Use &use : uses[op.results[i]])
      stays |= !graph.ops[use.op].atLoad;
    int64_t bytes = keptBytes(op, i, operandBytes, resultBytes);
    if (stays)
      price += residentPrice(device, bytes);
    else if (op.role == OpRole::Parameter)
      price += bytes / loadedBytesPerPrice;
  }
  return price;
}

void ModelBuilder::addPricesOf(int number) {
  const GraphOp &op = graph.ops[number];
  std::vector<int64_t> objective, time;
  for (const Candidate &candidate : model.candidates[number]->candidates) {
    int64_t inStep = costing.shareOf(number)(candidate.time);
    time.push_back(op.atLoad ? 0 : inStep);
    objective.push_back(
        addPrices(keepingPrice(op, candidate),
                  op.atLoad ? candidate.time / stepsPerLoad : inStep));
  }
  for (Problem *problem : {&model.objective, &model.time})
    problem->positions.push_back(number);
  model.objective.unary.push_back(std::move(objective));
  model.time.unary.push_back(std::move(time));
}

//===----------------------------------------------------------------------===//
// Edges
//===----------------------------------------------------------------------===//

int ModelBuilder::listOf(std::vector<int> layouts) {
  auto [it, added] =
      listNumbers.try_emplace(layouts, static_cast<int>(lists.size()));
  if (added)
    lists.push_back(std::move(layouts));
  return it->second;
}

int ModelBuilder::operandList(const CandidateSet *set, size_t operand) {
  auto [it, added] = listsOfSets.try_emplace({set, 0, operand}, 0);
  if (added) {
    std::vector<int> layouts;
    for (const Candidate &candidate : set->candidates)
      layouts.push_back(candidate.operands[operand]);
    it->second = listOf(std::move(layouts));
  }
  return it->second;
}

int ModelBuilder::resultList(const CandidateSet *set, size_t result) {
  auto [it, added] = listsOfSets.try_emplace({set, 1, result}, 0);
  if (added) {
    std::vector<int> layouts;
    for (const Candidate &candidate : set->candidates)
      layouts.push_back(candidate.results[result]);
    it->second = listOf(std::move(layouts));
  }
  return it->second;
}

std::shared_ptr<const PriceTable> ModelBuilder::table(int fromList, int toList,
                                                      const Traffic &traffic,
                                                      int64_t divisor) {
  std::shared_ptr<const PriceTable> &known =
      tables[{fromList, toList, dtypeSize(traffic.dtype), traffic.share,
              traffic.transfers, divisor}];
  if (known)
    return known;
  auto made = std::make_shared<PriceTable>();
  const std::vector<int> &rows = lists[fromList], &columns = lists[toList];
  made->rows = static_cast<int>(rows.size());
  made->columns = static_cast<int>(columns.size());
  made->prices = reshard.picoseconds(traffic.dtype, rows, columns);
  std::vector<int64_t> transfers(columns.size(), 0);
  for (size_t c = 0; traffic.transfers && c < columns.size(); ++c)
    transfers[c] = transferTime(maxLocalBytes(reshard.layout(columns[c]), mesh,
                                              traffic.dtype)) /
                   traffic.transfers;
  for (size_t i = 0; i < made->prices.size(); ++i) {
    int64_t &price = made->prices[i];
    price = price >= ReshardPlanner::unreachable
                ? forbidden
                : traffic.share(addPrices(price / divisor,
                                          transfers[i % columns.size()]));
  }
  known = std::move(made);
  return known;
}

int64_t ModelBuilder::transferTime(int64_t bytes) const {
  return betweenStages.picoseconds(MoveKind::Permute,
                                   uint32_t(1) << mesh.axis(stageAxis),
                                   {bytes, bytes, 0, 0});
}

/// Only tells what is forbidden: at load, time does not count.
static std::shared_ptr<const PriceTable>
withoutPrices(const std::shared_ptr<const PriceTable> &table) {
  auto free = std::make_shared<PriceTable>(*table);
  bool any = false;
  for (int64_t &price : free->prices) {
    any |= price == forbidden;
    price = price == forbidden ? forbidden : 0;
  }
  return any ? free : nullptr;
}

/// `shareOf` is the number of uses among which equal reshards may be shared.
void ModelBuilder::addEdge(int first, int second, int fromList, int toList,
                           const Traffic &traffic, int64_t shareOf) {
  if (traffic.atLoad) {
    auto load = table(fromList, toList, {traffic.dtype, {}}, 1);
    model.objective.edges.push_back({first, second, load});
    if (auto free = withoutPrices(load))
      model.time.edges.push_back({first, second, free});
    return;
  }
  if (!onlyTime)
    model.objective.edges.push_back(
        {first, second, table(fromList, toList, traffic, 1)});
  model.time.edges.push_back(
      {first, second, table(fromList, toList, traffic, shareOf)});
}

/// The uses of a value in the stage of `op`, if it comes from another.
int64_t ModelBuilder::transfersOf(int value, int op) const {
  const Execution &execution = costing.execution;
  int stage = execution.stage(op);
  if (execution.stage(producer[value].first) == stage)
    return 0;
  return std::count_if(
      uses[value].begin(), uses[value].end(),
      [&](const Use &use) { return execution.stage(use.op) == stage; });
}

void ModelBuilder::addValue(int number) {
  const GraphValue &value = graph.values[number];
  const std::vector<Use> &users = uses[number];
  auto [from, result] = producer[number];
  if (users.empty() || from < 0)
    return;
  int fromList = resultList(model.candidates[from], result);
  bool produced = graph.ops[from].atLoad;
  auto usedAtLoad = [&](const Use &use) {
    return produced && graph.ops[use.op].atLoad;
  };
  if (users.size() == 1) {
    const Use &use = users[0];
    addEdge(from, use.op, fromList,
            operandList(model.candidates[use.op], use.operand),
            {value.dtype, costing.shareOf(graph, from, use.op), usedAtLoad(use),
             transfersOf(number, use.op)},
            1);
    return;
  }
  // A variable for the layout in which the uses find the value.
  std::vector<int> layouts = lists[fromList];
  bool allAtLoad = true;
  for (const Use &use : users) {
    const std::vector<int> &wanted =
        lists[operandList(model.candidates[use.op], use.operand)];
    layouts.insert(layouts.end(), wanted.begin(), wanted.end());
    allAtLoad &= usedAtLoad(use);
  }
  if (auto whole = reshard.intern(Sharding::replicated(value.shape)))
    layouts.push_back(*whole);
  std::sort(layouts.begin(), layouts.end());
  layouts.erase(std::unique(layouts.begin(), layouts.end()), layouts.end());
  int shared = static_cast<int>(model.objective.unary.size());
  for (Problem *problem : {&model.objective, &model.time})
    problem->positions.push_back(model.objective.positions[from]);
  model.objective.unary.emplace_back(layouts.size(), 0);
  model.time.unary.emplace_back(layouts.size(), 0);
  int sharedList = listOf(std::move(layouts));
  // As often as by the use that asks most often, where the value is made.
  Share most = costing.onceOf(from);
  for (const Use &use : users) {
    Share share = costing.shareOf(graph, from, use.op, from);
    if (share.number * most.of > most.number * share.of)
      most = share;
  }
  addEdge(from, shared, fromList, sharedList, {value.dtype, most, allAtLoad},
          1);
  int64_t shareOf =
      std::max<int64_t>(1, static_cast<int64_t>(users.size()) - 1);
  SharedValue sharing{shared, &lists[sharedList], {}};
  for (const Use &use : users) {
    int wanted = operandList(model.candidates[use.op], use.operand);
    sharing.uses.push_back({use.op, model.objective.edges.size(),
                            model.time.edges.size(), &lists[wanted],
                            usedAtLoad(use) ? -1 : groupOf(number, use.op)});
    addEdge(shared, use.op, sharedList, wanted,
            {value.dtype, costing.shareOf(graph, from, use.op), usedAtLoad(use),
             transfersOf(number, use.op)},
            shareOf);
  }
  if (!allAtLoad)
    model.shared.push_back(std::move(sharing));
}

int ModelBuilder::groupOf(int value, int op) const {
  int from = producer[value].first;
  if (transfersOf(value, op) > 0)
    return -1;
  // What is computed once a step is brought once, unless it is only stored.
  bool once = !costing.isInLoop(from) &&
              !(costing.isInLoop(op) && isResident(graph.ops[from]));
  return static_cast<int>(costing.phases[once ? from : op]);
}

std::vector<int64_t> ModelBuilder::leastTimes() const {
  std::vector<int64_t> times;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    int64_t least = forbidden;
    for (const Candidate &candidate : model.candidates[o]->candidates)
      least = std::min(least, candidate.time);
    times.push_back(graph.ops[o].atLoad ? 0 : least);
  }
  return times;
}
