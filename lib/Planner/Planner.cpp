//===- Planner.cpp - From a graph to a plan -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Solves the problem of one mesh, or of each mesh of the topology, and turns
// the solution into a plan. The problem's price is not the plan's cost: the
// cost comes from evaluate(), which knows nothing of the problem.
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Planner.h"
#include "Dominance.h"
#include "Dual.h"
#include "Fit.h"
#include "Meshes.h"
#include "Model.h"
#include "Pins.h"
#include "Segments.h"
#include "partita/Support/Names.h"
#include "partita/Topology/Units.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

using namespace partita;
using namespace partita::planner;

/// Of the errors that say that nothing fits, and that nothing was found.
static const char *const memoryCode = "plan.memory";
static const char *const noneFoundCode = "plan.memory-search";

namespace {
/// Plans for one graph on one topology.
class PlanSearch {
public:
  PlanSearch(const Graph &graph, const PlanOptions &options)
      : whole(graph), options(options) {}
  Result<PlanResult> run();

private:
  /// What one micro-batch runs.
  struct Step {
    Graph graph;
    DimClasses classes;
    std::vector<OpPhase> phases;
    std::unique_ptr<Segments> segments;
    Windows windows;
  };
  /// A mesh and a way to execute, and the least time that is known of it.
  struct Leaf {
    Mesh mesh;
    Execution execution;
    const Step *step = nullptr;
    int64_t bound = 0;
    /// Whether that comes from the leaf itself.
    bool probed = false;
    /// What its forward pass takes at least, in the price of a step.
    int64_t forward = 0;
    /// In the order in which they are listed.
    size_t number = 0;
  };
  Result<const Step *> stepOf(int64_t microBatches);
  Result<std::unique_ptr<ModelBuilder>> open(Leaf &leaf) const;
  Result<std::optional<PlanResult>> solve(Leaf leaf, int64_t toBeat);
  Result<std::vector<Leaf>> leavesOf(int64_t stages);
  Status probe(Leaf &leaf) const;
  int64_t inherited(const Leaf &probed, const Execution &execution) const;
  double partOfPrice(const Execution &execution) const;
  int64_t boundOf(const Execution &execution, int64_t price) const {
    if (execution.stages == 1)
      return price;
    return static_cast<int64_t>(static_cast<double>(price) *
                                partOfPrice(execution));
  }
  Result<PlanResult> searchLeaves(std::vector<Leaf> leaves);
  Result<PlanResult> searchMeshes();
  Result<PlanResult> takeMesh();
  std::string restOfSpace() const;
  Error noRoom(const std::string &place, int64_t least,
               const std::string &proof);
  std::string proofText(const Graph &graph, const Mesh &mesh,
                        const MemoryRows &rows) const;
  bool isStopped();
  Result<bool> choose(const Step &step, const ModelBuilder &builder,
                      int64_t toBeat, PlanResult &result);
  void chooseRandomly(const Step &step, const Model &model,
                      PlanResult &result) const;
  void finish(const Step &step, PlanResult &result) const;
  int64_t residentBytes(const Step &step, const PlanResult &result) const;
  void nameAxes(const Step &step, PlanResult &result) const;
  uint8_t kindsSplitBy(const Step &step, const PlanResult &result, int axis,
                       bool &used) const;

  const Graph &whole;
  const PlanOptions &options;
  /// By the number of micro-batches.
  std::map<int64_t, std::unique_ptr<Step>> steps;
  bool isTraining = false;
  /// Of the leaf, without room, that needs least: what it needs, and why.
  int64_t leastBytes = INT64_MAX;
  std::string leastProof;
  /// By whoever asked.
  std::optional<StoppedBy> stopped;
};
} // namespace

//===----------------------------------------------------------------------===//
// One mesh
//===----------------------------------------------------------------------===//

static std::string bytesText(int64_t bytes) {
  return formatQuantity(static_cast<double>(bytes), Dimension::Bytes);
}

/// What every plan on a mesh holds when it holds most: where, and what.
std::string PlanSearch::proofText(const Graph &graph, const Mesh &mesh,
                                  const MemoryRows &rows) const {
  constexpr size_t maxLines = 6;
  struct Group {
    std::vector<std::string> ids;
    int64_t bytes = 0;
  };
  MemoryRows::Held held = rows.leastHeld();
  std::map<std::string, Group> byName;
  for (auto [op, bytes] : held.byOp) {
    Group &group = byName[namePattern(graph.ops[op].id)];
    group.ids.push_back(graph.ops[op].id);
    group.bytes += bytes;
  }
  std::vector<Group> groups;
  for (auto &[name, group] : byName)
    groups.push_back(std::move(group));
  std::sort(groups.begin(), groups.end(), [](const Group &a, const Group &b) {
    return std::tuple(-a.bytes, a.ids) < std::tuple(-b.bytes, b.ids);
  });
  std::string text = "\n  at '" + graph.ops[held.op].id + "' a rank (" +
                     options.topology.commonDevice().name + ", mesh " +
                     mesh.str() + ") holds at least " + bytesText(held.bytes) +
                     ":";
  int64_t rest = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const Group &group = groups[i];
    if (i >= maxLines) {
      rest += group.bytes;
      continue;
    }
    text += "\n    " + bytesText(group.bytes) + "  " + commonName(group.ids);
    if (group.ids.size() > 1)
      text += " (" + std::to_string(group.ids.size()) + ")";
  }
  if (rest > 0)
    text += "\n    " + bytesText(rest) + "  others";
  return text;
}

/// `least` is what every plan needs at least; zero if it is within the limit.
Error PlanSearch::noRoom(const std::string &place, int64_t least,
                         const std::string &proof) {
  if (least > 0 && least < leastBytes) {
    leastBytes = least;
    leastProof = proof;
  }
  return makeError(
      ExitCode::Infeasible, least ? memoryCode : noneFoundCode, place,
      least ? "every plan needs at least " + bytesText(least) + " a rank, of " +
                  bytesText(options.memoryLimit) + proof
            : "no plan was found that needs at most " +
                  bytesText(options.memoryLimit) + " a rank",
      "give more ranks, another mesh, smaller dimensions or a narrower type");
}

/// Fills in strategies and bound. False: no plan is better than `toBeat`, the
/// step of another.
Result<bool> PlanSearch::choose(const Step &step, const ModelBuilder &builder,
                                int64_t toBeat, PlanResult &result) {
  const Graph &graph = step.graph;
  const Model &model = builder.model;
  SolverOptions solver;
  solver.rounds = options.effort;
  solver.seed = options.seed;
  solver.interrupted = [this] { return isStopped(); };
  std::optional<MemoryRows> rows;
  if (options.memoryLimit > 0)
    rows = builder.memory();
  // The price from which on the step is no shorter.
  if (toBeat < INT64_MAX)
    toBeat = static_cast<int64_t>(static_cast<double>(toBeat) /
                                  partOfPrice(builder.execution()));
  PARTITA_TRY(Fitted fitted, solveWithin(model, rows ? &*rows : nullptr,
                                         options.memoryLimit, toBeat, solver));
  result.bound = boundOf(builder.execution(), fitted.bound);
  if (fitted.beaten)
    return false;
  const Solution &solution = fitted.solution;
  if (solution.price >= forbidden)
    return makeError(ExitCode::Infeasible, "plan.infeasible",
                     "--mesh " + result.mesh.str(),
                     "no combination of strategies is connected by reshards",
                     "remove pins, or give more --effort");
  if (!fitted.fits && fitted.leastBytes > options.memoryLimit)
    return noRoom("--mesh " + result.mesh.str(), fitted.leastBytes,
                  proofText(graph, result.mesh, *rows));
  if (!fitted.fits)
    return noRoom("--mesh " + result.mesh.str(), 0, "");
  for (size_t o = 0; o < graph.ops.size(); ++o)
    result.strategies.push_back(
        model.candidates[o]->candidates[solution.values[o]].strategy);
  result.proved = solution.proved && result.execution.stages == 1;
  result.leastPeakBytes = fitted.bytes;
  return true;
}

void PlanSearch::chooseRandomly(const Step &step, const Model &model,
                                PlanResult &result) const {
  const Graph &graph = step.graph;
  std::mt19937_64 random(options.seed);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const Strategy whole = Strategy::replicated(graph.ops[o].rule);
    std::vector<const Strategy *> all, split;
    for (const Candidate &candidate : model.candidates[o]->candidates) {
      all.push_back(&candidate.strategy);
      if (candidate.strategy != whole)
        split.push_back(&candidate.strategy);
    }
    const auto &list = options.splitAll && !split.empty() ? split : all;
    result.strategies.push_back(*list[random() % list.size()]);
  }
}

int64_t PlanSearch::residentBytes(const Step &step,
                                  const PlanResult &result) const {
  const Graph &graph = step.graph;
  std::vector<char> usedInStep(graph.values.size(), 0);
  for (const GraphOp &op : graph.ops)
    if (!op.atLoad)
      for (int value : op.operands)
        usedInStep[value] = 1;
  // Of the stage that has most.
  std::vector<int64_t> bytesOfStage(result.execution.stages, 0);
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    int64_t &bytes = bytesOfStage[result.execution.stage(o)];
    if (!isResident(op))
      continue;
    const Strategy &strategy = result.strategies[o];
    auto operandBytes = [&](size_t i) {
      return maxLocalBytes(operandSharding(op.rule, strategy, i), result.mesh,
                           graph.values[op.operands[i]].dtype);
    };
    auto resultBytes = [&](size_t i) {
      return maxLocalBytes(resultSharding(op.rule, strategy, i), result.mesh,
                           graph.values[op.results[i]].dtype);
    };
    for (size_t i = 0; i < op.results.size(); ++i)
      if (usedInStep[op.results[i]])
        bytes += keptBytes(op, i, operandBytes, resultBytes);
  }
  return *std::max_element(bytesOfStage.begin(), bytesOfStage.end());
}

bool PlanSearch::isStopped() {
  if (!stopped && options.stop)
    stopped = options.stop();
  return stopped.has_value();
}

/// What follows from the strategies.
void PlanSearch::finish(const Step &step, PlanResult &result) const {
  result.setBound(result.bound);
  result.proved &= !stopped || result.gap == 0;
  result.stoppedBy = stopped           ? *stopped
                     : result.proved   ? StoppedBy::Exhausted
                     : result.gap == 0 ? StoppedBy::Gap
                                       : StoppedBy::Work;
  result.residentBytes = residentBytes(step, result);
  for (int axis = 0; axis < result.mesh.numAxes(); ++axis) {
    if (result.mesh.axisNames[axis] == stageAxis)
      continue;
    bool used = false;
    kindsSplitBy(step, result, axis, used);
    if (!used && result.mesh.axisSizes[axis] > 1)
      result.notes.push_back(
          "axis '" + result.mesh.axisNames[axis] +
          "' splits nothing: its ranks compute the same thing");
  }
}

/// The operations of a leaf, dealt to its stages.
Result<std::unique_ptr<ModelBuilder>> PlanSearch::open(Leaf &leaf) const {
  const Step &step = *leaf.step;
  PARTITA_TRY(auto pins, resolvePins(step.graph, leaf.mesh, options.pins));
  auto builder = std::make_unique<ModelBuilder>(
      step.graph, step.classes, leaf.mesh, options.topology,
      Costing(step.graph, leaf.execution));
  PARTITA_CHECK(builder->addOperations(pins));
  if (leaf.execution.stages > 1) {
    leaf.execution.stageOf =
        step.segments->dealt(leaf.execution.stages, builder->leastTimes());
    if (leaf.execution.stageOf.empty())
      return makeError(
          ExitCode::Usage, "plan.stages", "--mesh " + leaf.mesh.str(),
          "the model falls into " + std::to_string(step.segments->count()) +
              " segments, and there are " +
              std::to_string(leaf.execution.stages) + " stages",
          "fewer stages");
    builder->setStages(leaf.execution.stageOf);
  }
  return builder;
}

/// What else all plans of the search have in common.
std::string PlanSearch::restOfSpace() const {
  std::string text =
      ", one strategy per operation, one shared layout per value, no overlap";
  if (steps.size() > 1 || steps.begin()->first > 1)
    text += ", equal micro-batches in the numbers that were tried";
  if (options.maxStages > 1 ||
      (options.mesh && options.mesh->axis(stageAxis) >= 0))
    text += ", equal stages on equal parts of the machine, cut where work is "
            "most even, 1F1B";
  if (!options.pins.empty())
    text += ", " + std::to_string(options.pins.size()) + " pins";
  if (options.memoryLimit > 0)
    text += ", at most " + bytesText(options.memoryLimit) + " a rank";
  return text;
}

/// No step is shorter than this part of its price. A price counts equal stages.
/// Let the stages take S in all for a micro-batch and O once a step. Unequal
/// ones, with a backward pass, satisfy T >= c S where c is
/// 1 / (1 - (1 - 1/m)^p), as a stage waits for all that come before it, and
/// they have T >= (m S + O) / p; a mean of both is a part of (m + p - 1) S / p
/// + O / p.
double PlanSearch::partOfPrice(const Execution &execution) const {
  if (execution.stages == 1 || !isTraining)
    return 1;
  auto p = static_cast<double>(execution.stages),
       m = static_cast<double>(execution.microBatches);
  double c = 1 / (1 - std::pow(1 - 1 / m, p));
  return c / (c + (p - 1) / p) * (1 - 1e-9);
}

/// The best plan of a leaf, unless its step is no shorter than `toBeat`.
Result<std::optional<PlanResult>> PlanSearch::solve(Leaf leaf, int64_t toBeat) {
  PlanResult result;
  result.mesh = leaf.mesh;
  PARTITA_TRY(std::unique_ptr<ModelBuilder> builder, open(leaf));
  result.execution = leaf.execution;
  const Step &step = *leaf.step;
  if (options.randomStrategies) {
    chooseRandomly(step, builder->model, result);
  } else {
    builder->addValues();
    PARTITA_TRY(bool better, choose(step, *builder, toBeat, result));
    if (!better)
      return std::optional<PlanResult>();
  }
  result.bound = std::max(result.bound, leaf.bound);
  PARTITA_TRY(result.cost,
              evaluate(step.graph, options.topology, result.mesh,
                       result.strategies, result.execution, &result.stages));
  result.boundSpace = "mesh " + result.mesh.str() + restOfSpace();
  return std::optional(std::move(result));
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

/// The kinds of all that `axis` splits; `used` tells whether there is anything.
uint8_t PlanSearch::kindsSplitBy(const Step &step, const PlanResult &result,
                                 int axis, bool &used) const {
  const Graph &graph = step.graph;
  uint8_t allowed = 7; // bits: may be dp, sp, tp
  used = false;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t f = 0; f < result.strategies[o].factors.size(); ++f) {
      if (graph.ops[o].rule.factors[f].kind == FactorKind::Linear)
        continue;
      const std::vector<Piece> &pieces = step.classes.factors[o][f];
      size_t next = 0;
      for (const FactorSharding &part :
           result.strategies[o].factors[f].factors) {
        std::vector<Piece> run;
        for (int64_t size = 1; next < pieces.size() && size < part.size;)
          size *= pieces[next].size, run.push_back(pieces[next++]);
        if (std::find(part.axes.begin(), part.axes.end(), axis) ==
            part.axes.end())
          continue;
        used = true;
        allowed &= static_cast<uint8_t>((axisAllows("dp", run) ? 1 : 0) |
                                        (axisAllows("sp", run) ? 2 : 0) |
                                        (axisAllows("tp", run) ? 4 : 0));
      }
    }
  return allowed;
}

/// Names the axes of a searched mesh by what they split, where that is one
/// kind; the plan then stays legal when it is asked for by those names.
void PlanSearch::nameAxes(const Step &step, PlanResult &result) const {
  for (int axis = 0; axis < result.mesh.numAxes(); ++axis) {
    bool used = false;
    if (result.mesh.axisNames[axis] == stageAxis)
      continue;
    uint8_t allowed = kindsSplitBy(step, result, axis, used);
    std::string name = !used         ? ""
                       : allowed & 1 ? "dp"
                       : allowed & 2 ? "sp"
                       : allowed & 4 ? "tp"
                                     : "";
    if (!name.empty() && result.mesh.axis(name) < 0)
      result.mesh.axisNames[axis] = name;
  }
}

/// The graph of a micro-batch if the batch falls into so many.
Result<const PlanSearch::Step *> PlanSearch::stepOf(int64_t microBatches) {
  std::unique_ptr<Step> &step = steps[microBatches];
  if (!step) {
    auto graph = microBatched(whole, microBatches);
    if (!graph) {
      steps.erase(microBatches);
      return graph.takeError();
    }
    step = std::make_unique<Step>();
    step->graph = std::move(*graph);
    step->classes = analyseDims(step->graph);
    step->phases = phasesOf(step->graph);
    step->segments = std::make_unique<Segments>(step->graph, step->phases);
    step->windows = step->segments->windows(step->classes);
  }
  return static_cast<const Step *>(step.get());
}

/// No plan of a leaf is shorter: parts of the model are solved by themselves,
/// equal ones once.
Status PlanSearch::probe(Leaf &leaf) const {
  const Windows &windows = leaf.step->windows;
  Costing costing(windows.graph, leaf.execution);
  costing.copies = windows.copies;
  costing.phases = windows.phases;
  ModelBuilder builder(windows.graph, windows.classes, leaf.mesh,
                       options.topology, costing);
  PARTITA_CHECK(builder.addOperations(
      std::vector<std::vector<const Pin *>>(windows.graph.ops.size())));
  builder.addValues();
  int64_t least =
      boundByMessages(removeDominated(builder.model.time).problem).bound;
  leaf.bound = std::max(leaf.bound, boundOf(leaf.execution, least));
  leaf.probed = true;
  std::vector<int64_t> times = builder.leastTimes();
  for (size_t o = 0; o < times.size(); ++o)
    if (windows.phases[o] == OpPhase::Forward)
      leaf.forward = addPrices(leaf.forward, times[o]);
  return ok();
}

/// What a leaf that was probed says of one of the same mesh with more
/// micro-batches, or one that recomputes.
int64_t PlanSearch::inherited(const Leaf &probed,
                              const Execution &execution) const {
  auto p = static_cast<double>(execution.stages),
       before = static_cast<double>(probed.execution.microBatches),
       m = static_cast<double>(execution.microBatches);
  if (m < before)
    return 0;
  double share = (m + p - 1) / (before + p - 1) * before / m;
  // Forward passes that run again.
  double again = execution.recompute && !probed.execution.recompute
                     ? static_cast<double>(probed.forward)
                     : 0;
  double price =
      static_cast<double>(probed.bound) / partOfPrice(probed.execution);
  return static_cast<int64_t>((price + again) * share * partOfPrice(execution) *
                              (1 - 1e-9));
}

/// Of a number of stages, all meshes and micro-batches that are tried.
Result<std::vector<PlanSearch::Leaf>> PlanSearch::leavesOf(int64_t stages) {
  std::vector<Leaf> leaves;
  std::vector<int64_t> counts;
  // Up to where the pipeline is full most of the time.
  const int64_t most = isTraining || stages > 1 ? 16 * stages : 1;
  if (options.microBatches > 0)
    counts = {options.microBatches};
  else
    for (int64_t m = stages; m <= most && stepOf(m); m *= 4)
      counts.push_back(m);
  for (int64_t m : counts) {
    PARTITA_TRY(const Step *step, stepOf(m));
    if (stages > step->segments->count())
      continue;
    for (const Mesh &mesh :
         options.mesh ? std::vector<Mesh>{*options.mesh}
                      : meshesOf(options.topology, options.maxAxes, stages))
      for (bool recompute : {false, true}) {
        if (options.recompute ? recompute != *options.recompute
                              : recompute && !isTraining)
          continue;
        leaves.push_back({mesh, {stages, m, recompute, {}}, step});
      }
  }
  return leaves;
}

/// The best plan of all leaves, by the least that is known of them. The first
/// leaf of a mesh is probed before the search: of more micro-batches, each
/// takes at least its part of the larger one's time (times of kernels and
/// collectives grow no faster than their size), so it says something of the
/// others, which are probed themselves when it is their turn.
Result<PlanResult> PlanSearch::searchLeaves(std::vector<Leaf> leaves) {
  auto less = [](const Leaf *a, const Leaf *b) {
    return std::tuple(a->bound, a->execution.recompute, a->number) <
           std::tuple(b->bound, b->execution.recompute, b->number);
  };
  std::set<Leaf *, decltype(less)> open(less);
  using Kind = std::pair<std::vector<int64_t>, int64_t>;
  std::map<std::vector<int64_t>, const Leaf *> firstOf;
  std::map<Kind, Leaf *> recomputing;
  for (Leaf &leaf : leaves) {
    leaf.number = &leaf - leaves.data();
    const Leaf *&first = firstOf[leaf.mesh.axisSizes];
    if (!first && !isStopped()) {
      PARTITA_CHECK(probe(leaf));
      first = &leaf;
    } else if (first) {
      leaf.bound = inherited(*first, leaf.execution);
    }
    if (leaf.execution.recompute)
      recomputing[{leaf.mesh.axisSizes, leaf.execution.microBatches}] = &leaf;
    open.insert(&leaf);
  }
  const DeviceType device = options.topology.commonDevice();
  std::optional<PlanResult> best;
  int64_t bound = INT64_MAX; // of the leaves that are done
  bool someUnknown = false, allProved = true;
  auto rank = [&](const PlanResult &plan) {
    return plan.cost.step() + residentPrice(device, plan.residentBytes);
  };
  // Steps of several micro-batches and stages take longer to solve.
  const int64_t most = options.microBatches == 0
                           ? std::max<int64_t>(options.effort / 4, 1)
                           : options.effort;
  for (int64_t work = 0; !open.empty();) {
    Leaf *leaf = *open.begin();
    if (best &&
        (leaf->bound >= best->cost.step() || work >= most || isStopped()))
      break;
    open.erase(open.begin());
    if (!leaf->probed && !isStopped()) {
      PARTITA_CHECK(probe(*leaf));
      open.insert(leaf);
      auto other = recomputing.find(
          {leaf->mesh.axisSizes, leaf->execution.microBatches});
      if (other != recomputing.end() && open.erase(other->second)) {
        int64_t least = inherited(*leaf, other->second->execution);
        other->second->bound = std::max(other->second->bound, least);
        open.insert(other->second);
      }
      continue;
    }
    ++work;
    auto solved = solve(*leaf, best ? best->cost.step() : INT64_MAX);
    if (!solved) {
      // Others may have room.
      Error error = solved.takeError();
      if (error.code != memoryCode && error.code != noneFoundCode)
        return error;
      if (error.code == noneFoundCode) {
        bound = std::min(bound, leaf->bound);
        someUnknown = true;
      }
      continue;
    }
    if (!*solved)
      continue;
    PlanResult &result = **solved;
    bound = std::min(bound, result.bound);
    allProved &= result.proved;
    result.residentBytes = residentBytes(*leaf->step, result);
    if (!best || rank(result) < rank(*best))
      best = std::move(result);
  }
  if (!best)
    return noRoom("--topology " + options.topology.text,
                  someUnknown ? 0 : leastBytes, leastProof);
  best->bound = open.empty() ? bound : std::min(bound, (*open.begin())->bound);
  // Nothing that was left open, or was not solved to its end, may be better.
  best->proved = allProved && !someUnknown &&
                 (open.empty() || (*open.begin())->bound >= best->cost.step());
  return std::move(*best);
}

Result<PlanResult> PlanSearch::searchMeshes() {
  std::vector<Leaf> leaves;
  for (int64_t stages = 1; stages <= std::max<int64_t>(options.maxStages, 1) &&
                           options.topology.numRanks() % stages == 0;
       stages *= 2) {
    PARTITA_TRY(std::vector<Leaf> more, leavesOf(stages));
    leaves.insert(leaves.end(), more.begin(), more.end());
  }
  size_t number = leaves.size();
  if (options.randomStrategies)
    leaves = {leaves[options.seed % number]};
  PARTITA_TRY(PlanResult best, searchLeaves(std::move(leaves)));
  best.boundSpace =
      std::to_string(number) +
      (options.microBatches == 0 ? " pairs of a way to execute and a mesh"
                                 : " meshes") +
      " of up to " + std::to_string(options.maxAxes) + " axes" + restOfSpace();
  nameAxes(*steps[best.execution.microBatches], best);
  return best;
}

Result<PlanResult> PlanSearch::takeMesh() {
  if (options.mesh->numRanks() != options.topology.numRanks())
    return makeError(
        ExitCode::Usage, "plan.mesh-size", "--mesh " + options.mesh->str(),
        "the mesh has " + std::to_string(options.mesh->numRanks()) +
            " ranks, the topology " + options.topology.text + " has " +
            std::to_string(options.topology.numRanks()),
        "the sizes of the axes multiply to the number of ranks");
  int axis = options.mesh->axis(stageAxis);
  int64_t stages = axis < 0 ? 1 : options.mesh->axisSizes[axis];
  PARTITA_TRY(std::vector<Leaf> leaves, leavesOf(stages));
  if (leaves.size() > 1) {
    PARTITA_TRY(PlanResult best, searchLeaves(std::move(leaves)));
    return best;
  }
  if (leaves.empty()) {
    PARTITA_TRY(const Step *step,
                stepOf(std::max<int64_t>(options.microBatches, 1)));
    leaves.push_back({*options.mesh, {stages, 1, false, {}}, step});
  }
  PARTITA_TRY(auto solved, solve(leaves[0], INT64_MAX));
  return std::move(*solved);
}

Result<PlanResult> PlanSearch::run() {
  for (OpPhase phase : phasesOf(whole))
    isTraining |= phase == OpPhase::Backward;
  PARTITA_TRY(PlanResult result, options.mesh ? takeMesh() : searchMeshes());
  finish(*steps[result.execution.microBatches], result);
  return result;
}

static constexpr std::pair<StoppedBy, const char *> stopNames[] = {
    {StoppedBy::Exhausted, "exhausted"},
    {StoppedBy::Gap, "gap"},
    {StoppedBy::Work, "work"},
    {StoppedBy::Time, "time"},
    {StoppedBy::User, "user"}};

const char *partita::stoppedByName(StoppedBy reason) {
  for (auto [known, name] : stopNames)
    if (known == reason)
      return name;
  return "";
}

std::optional<StoppedBy> partita::parseStoppedBy(const std::string &text) {
  for (auto [known, name] : stopNames)
    if (text == name)
      return known;
  return std::nullopt;
}

void PlanResult::setBound(int64_t picoseconds) {
  bound = std::min(picoseconds, cost.step());
  gap = cost.step() > 0 ? static_cast<double>(cost.step() - bound) /
                              static_cast<double>(cost.step())
                        : 0;
}

Result<PlanResult> partita::plan(const Graph &graph,
                                 const PlanOptions &options) {
  PARTITA_CHECK(checkGraph(graph));
  return PlanSearch(graph, options).run();
}
