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
                           Costing costing,
                           std::shared_ptr<ReshardSpaces> spaces)
    : graph(graph), whole(mesh), mesh(stageOf(mesh)),
      costing(std::move(costing)), device(topology.commonDevice()),
      collectives(topology, this->mesh),
      betweenStages(topology, evenStages(mesh)), kernels(topology),
      reshard(spaces ? ReshardPlanner(std::move(spaces))
                     : ReshardPlanner(this->mesh, collectives)),
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
  model.objective = model.time = {};
  model.shared.clear();
  tables.clear(); // Other times, other tables.
  for (size_t o = 0; o < graph.ops.size(); ++o)
    addPricesOf(static_cast<int>(o));
  for (size_t value = 0; value < graph.values.size(); ++value)
    if (counts(static_cast<int>(value)))
      addValue(static_cast<int>(value));
  // The next step finds a state where this one found it.
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (op.nextState >= 0 && !costing.isNever(o))
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
    if (!onlyTime)
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
      tables[{TableKind::Reshard, fromList, toList, dtypeSize(traffic.dtype),
              traffic.share, traffic.atMaker, traffic.mayCross, divisor}];
  if (known)
    return known;
  auto made = std::make_shared<PriceTable>();
  const std::vector<int> &rows = lists[fromList], &columns = lists[toList];
  made->rows = static_cast<int>(rows.size());
  made->columns = static_cast<int>(columns.size());
  made->prices = reshard.picoseconds(traffic.dtype, rows, columns);
  if (traffic.mayCross > 0)
    lower(*made, rows, columns, traffic, divisor);
  else
    for (int64_t &price : made->prices)
      price = price >= ReshardPlanner::unreachable
                  ? forbidden
                  : traffic.share(price / divisor);
  known = std::move(made);
  return known;
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

/// As what a use has a value brought to it.
OpPhase ModelBuilder::phaseOf(int value, const Use &use) const {
  const int from = producer[value].first;
  bool inLoop = costing.isInLoop(use.op) &&
                (costing.isInLoop(from) || isResident(graph.ops[from]));
  return inLoop ? costing.phases[use.op] : OpPhase::Update;
}

/// What the first of the uses counts, if it were at `at`.
Share ModelBuilder::firstShare(int value, const Uses &uses, int at) const {
  const Use &first = *std::min_element(
      uses.begin(), uses.end(), [&](const Use &a, const Use &b) {
        return phaseOf(value, a) < phaseOf(value, b);
      });
  return costing.shareOf(graph, producer[value].first, first.op, at);
}

/// Of a use among `uses`, those in one stage or all of a window.
ModelBuilder::Traffic ModelBuilder::trafficOf(int value, const Use &use,
                                              const Uses &uses) const {
  const int from = producer[value].first;
  const GraphOp &maker = graph.ops[from];
  Traffic traffic{graph.values[value].dtype,
                  costing.shareOf(graph, from, use.op),
                  maker.atLoad && graph.ops[use.op].atLoad};
  if (costing.placeOf.empty())
    return traffic;
  // What comes from elsewhere is in the stage of some of its uses.
  auto isElsewhere = [&](const Use &other) {
    return costing.placeOf[other.op] != costing.placeOf[use.op];
  };
  bool mayCross = costing.placeOf[from] < 0
                      ? std::any_of(uses.begin(), uses.end(), isElsewhere)
                      : !isEverywhere(maker) && isElsewhere({from, 0});
  if (!mayCross)
    return traffic;
  traffic.mayCross = static_cast<int64_t>(uses.size());
  // Chunks of one stage count by different numbers, so that less is known; and
  // a transfer counts for the first of its uses.
  const OpPhase phase = phaseOf(value, use);
  if (std::any_of(uses.begin(), uses.end(), [&](const Use &other) {
        return phaseOf(value, other) < phase;
      }))
    traffic.mayCross = INT64_MAX;
  else if (costing.execution.chunks() == costing.execution.stages)
    traffic.atMaker = costing.shareOf(graph, from, use.op, from);
  else if (isBackward(costing.phases[use.op]) && uses.size() > 1)
    traffic.mayCross = INT64_MAX;
  return traffic;
}

/// Whether anything that has to do with a value does.
bool ModelBuilder::counts(int value) const {
  return (producer[value].first >= 0 &&
          !costing.isNever(producer[value].first)) ||
         std::any_of(uses[value].begin(), uses[value].end(),
                     [&](const Use &use) { return !costing.isNever(use.op); });
}

/// Of each stage that uses the value; of windows, of which nobody knows where
/// they are cut, of all.
void ModelBuilder::addValue(int number) {
  const int from = producer[number].first;
  if (uses[number].empty() || from < 0)
    return;
  std::map<int, Uses> byStage;
  for (const Use &use : uses[number])
    byStage[costing.execution.stage(use.op)].push_back(use);
  const int home = costing.execution.stage(from);
  const int fromList =
      resultList(model.candidates[from], producer[number].second);
  std::vector<const Uses *> others;
  for (const auto &[stage, group] : byStage)
    if (stage != home && isEverywhere(graph.ops[from]))
      addUses(number, group, nullptr);
    else if (stage != home)
      others.push_back(&group);
  // What is whole leaves from where it is made.
  const Uses *leaving =
      others.empty() || !isPending(fromList) ? nullptr : others[0];
  Source source{from, fromList};
  if (auto it = byStage.find(home); it != byStage.end()) {
    Source found = addUses(number, it->second, leaving);
    if (leaving)
      source = found;
  }
  if (!others.empty())
    addTransfers(number, source, others);
}

int ModelBuilder::addVariable(int like, size_t layouts) {
  for (Problem *problem : {&model.objective, &model.time}) {
    problem->positions.push_back(problem->positions[like]);
    problem->unary.emplace_back(layouts, 0);
  }
  return static_cast<int>(model.objective.unary.size()) - 1;
}

/// Uses in the stage where the value is, and where it is found by others. If it
/// is `leaving` for these, that is one more use.
ModelBuilder::Source ModelBuilder::addUses(int number, const Uses &users,
                                           const Uses *leaving) {
  auto [from, result] = producer[number];
  int fromList = resultList(model.candidates[from], result);
  if (users.size() == 1 && !leaving) {
    const Use &use = users[0];
    addEdge(from, use.op, fromList,
            operandList(model.candidates[use.op], use.operand),
            trafficOf(number, use, users), 1);
    return {from, fromList};
  }
  // A variable for the layout in which the uses find the value.
  std::vector<int> layouts = lists[fromList];
  auto wantedBy = [&](const Use &use) -> const std::vector<int> & {
    return lists[operandList(model.candidates[use.op], use.operand)];
  };
  bool allAtLoad = true, mayCross = false;
  for (const Use &use : users) {
    const std::vector<int> &wanted = wantedBy(use);
    layouts.insert(layouts.end(), wanted.begin(), wanted.end());
    Traffic traffic = trafficOf(number, use, users);
    allAtLoad &= traffic.atLoad;
    mayCross |= traffic.mayCross > 0;
  }
  // It may be brought to where it leaves.
  for (const Use &use : leaving ? *leaving : mayCross ? users : Uses())
    for (int layout : arrivedAll(wantedBy(use)))
      layouts.push_back(left(layout));
  if (auto whole =
          reshard.intern(Sharding::replicated(graph.values[number].shape)))
    layouts.push_back(*whole);
  std::sort(layouts.begin(), layouts.end());
  layouts.erase(std::unique(layouts.begin(), layouts.end()), layouts.end());
  int shared = addVariable(from, layouts.size());
  int sharedList = listOf(std::move(layouts));
  // For the first of them, where the value is made.
  Uses all = users;
  if (leaving)
    all.insert(all.end(), leaving->begin(), leaving->end());
  const Share first = firstShare(number, all, from);
  addEdge(from, shared, fromList, sharedList,
          {graph.values[number].dtype, first, allAtLoad}, 1);
  const auto count = static_cast<int64_t>(users.size());
  const int64_t shareOf = leaving ? count : std::max<int64_t>(1, count - 1);
  SharedValue sharing{shared, &lists[sharedList], {}};
  for (const Use &use : users) {
    int wanted = operandList(model.candidates[use.op], use.operand);
    Traffic traffic = trafficOf(number, use, users);
    sharing.uses.push_back({use.op, model.objective.edges.size(),
                            model.time.edges.size(), &lists[wanted],
                            traffic.atLoad ? -1 : groupOf(number, use.op)});
    addEdge(shared, use.op, sharedList, wanted, traffic, shareOf);
  }
  // With what leaves, no group of uses is by itself.
  if (!allAtLoad && !leaving)
    model.shared.push_back(std::move(sharing));
  return {shared, sharedList, shareOf};
}

int ModelBuilder::groupOf(int value, int op) const {
  int from = producer[value].first;
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
