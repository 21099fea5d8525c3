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
#include "AxisNames.h"
#include "Fit.h"
#include "Leaves.h"
#include "MemoryProof.h"
#include "Meshes.h"
#include "Model.h"
#include "Parallel.h"
#include "Pins.h"
#include "Resident.h"
#include "Resume.h"
#include "Small.h"
#include "Ways.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
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
      : options(options), steps(graph, options.microBatch),
        reshards(options.topology), prober(options.topology, steps, reshards) {}
  Result<PlanResult> run();

private:
  Result<std::unique_ptr<ModelBuilder>> open(Leaf &leaf,
                                             const Step &step) const;
  Result<std::optional<PlanResult>> solve(Leaf leaf, int64_t toBeat, Care care,
                                          Fitted *known = nullptr);
  std::vector<ScheduleChoice> schedulesOf(int64_t stages) const;
  std::vector<Leaf> leavesOf(int64_t stages, Error &refusal);
  /// What came of the leaves that are done.
  struct Found {
    std::optional<PlanResult> best;
    int64_t bound = INT64_MAX;
    /// By number: of leaves whose plan and bound are apart, and which are still
    /// open.
    std::map<size_t, Fitted> unsettled;
    bool someUnknown = false, allProved = true;
    /// Of those that have no room however they are split, the one that needs
    /// least.
    const Leaf *leastFull = nullptr;
    int64_t leastOfFull = INT64_MAX;
    /// Those of which there is a plan, with its step.
    std::vector<LeafQueue::Solved> solved;
    int64_t toBeat() const { return best ? best->cost.step() : INT64_MAX; }
    /// Of steps to the bounds that leaves had, the least.
    double leastRatio = INFINITY;
    /// More leaves, of several schedules, than can be looked at.
    bool hasMany = false;
    /// All plans that may be better were looked at.
    bool isExhausted = false;
    /// Whether a leaf is not better if its step is so far from its bound.
    bool isUnlikely(const Leaf &leaf, double ratio) const {
      return best && ratio < INFINITY &&
             static_cast<double>(leaf.bound) * ratio >=
                 static_cast<double>(best->cost.step());
    }
  };
  Status probe(const std::vector<Leaf *> &leaves, LeafQueue &queue,
               size_t least = SIZE_MAX);
  bool isFull(const Leaf &leaf, Found &found) const;
  using Solved = Result<std::optional<PlanResult>>;
  Result<bool> take(Leaf &leaf, Solved solved, Found &found);
  Status tryLeaves(const std::vector<Leaf *> &leaves, LeafQueue &queue,
                   Found &found, Care care,
                   const std::vector<Leaf *> &meanwhile = {});
  Status workThrough(LeafQueue &queue, Found &found);
  Status tryUsual(LeafQueue &queue, Found &found);
  Status tryOtherSchedules(LeafQueue &queue, Found &found);
  Status exhaust(const std::vector<Leaf> &leaves, Found &found);
  /// Leaves: steps of several micro-batches and stages take longer to solve.
  int64_t mostSolves() const {
    return options.microBatches == 0 ? std::max<int64_t>(options.effort / 4, 1)
                                     : options.effort;
  }
  double partOfPrice(const Execution &execution) const {
    return planner::partOfPrice(execution, steps.hasBackward());
  }
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
  std::string spaceOfMeshes(size_t leaves) const;
  void begin(std::vector<Leaf> &leaves,
             const std::function<std::string()> &space);
  Status goOn(std::vector<Leaf> &leaves, LeafQueue &queue, Found &found);
  Error noRoom(const std::string &place, int64_t least,
               const std::string &proof);
  bool isStopped();
  Result<bool> choose(const Step &step, const ModelBuilder &builder,
                      int64_t toBeat, Care care, Fitted &fitted,
                      PlanResult &result);
  void chooseRandomly(const Step &step, const Model &model,
                      PlanResult &result) const;
  void finish(const Step &step, PlanResult &result) const;

  const PlanOptions &options;
  Steps steps;
  mutable ReshardPool reshards;
  Prober prober;
  /// Whether any plan runs in several micro-batches.
  bool isCut = false;
  /// The plan to begin with.
  std::optional<PlanResult> resumed;
  /// Stages may begin with any segment; else they are even.
  bool cutAnywhere = false;
  /// Of the leaf, without room, that needs least: what it needs, and why.
  int64_t leastBytes = INT64_MAX;
  std::string leastProof;
  /// By whoever asked.
  std::optional<StoppedBy> stopped;
  /// Guards what leaves that are solved side by side have in common: the above
  /// from `leastBytes` on.
  std::mutex common;
};
} // namespace

//===----------------------------------------------------------------------===//
// One mesh
//===----------------------------------------------------------------------===//

/// `least` is what every plan needs at least; zero if it is within the limit.
Error PlanSearch::noRoom(const std::string &place, int64_t least,
                         const std::string &proof) {
  std::lock_guard lock(common);
  if (least > 0 && std::tie(least, proof) < std::tie(leastBytes, leastProof)) {
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

/// Fills in strategies and bound. `fitted` is what is known, or empty. False:
/// no plan is better than `toBeat`, the step of another.
Result<bool> PlanSearch::choose(const Step &step, const ModelBuilder &builder,
                                int64_t toBeat, Care care, Fitted &fitted,
                                PlanResult &result) {
  const Graph &graph = step.graph;
  const Model &model = builder.model;
  SolverOptions solver;
  solver.rounds = options.effort;
  solver.seed = options.seed;
  solver.interrupted = [this] { return isStopped(); };
  std::optional<MemoryRows> rows;
  if (options.memoryLimit > 0)
    rows = builder.memory();
  // The price from which on the step is no shorter; roughly, it is the step.
  if (toBeat < INT64_MAX && !isRough(care))
    toBeat = static_cast<int64_t>(static_cast<double>(toBeat) /
                                  partOfPrice(builder.execution()));
  const MemoryRows *limited = rows ? &*rows : nullptr;
  if (fitted.solution.values.empty()) {
    PARTITA_TRY(fitted, solveWithin(model, limited, options.memoryLimit, toBeat,
                                    solver, care));
  } else {
    PARTITA_CHECK(
        refine(model, limited, options.memoryLimit, toBeat, solver, fitted));
  }
  result.bound = boundOf(builder.execution(), fitted.bound);
  if (fitted.beaten || (care == Care::Look && !fitted.fits))
    return false;
  const Solution &solution = fitted.solution;
  if (solution.price >= forbidden)
    return makeError(ExitCode::Infeasible, "plan.infeasible",
                     "--mesh " + result.mesh.str(),
                     "no combination of strategies is connected by reshards",
                     "remove pins, or give more --effort");
  if (!fitted.fits && fitted.leastBytes > options.memoryLimit)
    return noRoom("--mesh " + result.mesh.str(), fitted.leastBytes,
                  proofText(graph, options.topology, result.mesh, *rows));
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

bool PlanSearch::isStopped() {
  std::lock_guard lock(common);
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
Result<std::unique_ptr<ModelBuilder>> PlanSearch::open(Leaf &leaf,
                                                       const Step &step) const {
  PARTITA_TRY(auto pins,
              resolvePins(step.graph, step.classes, leaf.mesh, options.pins));
  if (leaf.execution.stages > 1 && leaf.execution.chunkOf.empty())
    PARTITA_CHECK(prober.deal(leaf));
  auto builder = std::make_unique<ModelBuilder>(
      step.graph, step.classes, leaf.mesh, options.topology,
      Costing(step.graph, leaf.execution), reshards.lend(leaf.mesh));
  PARTITA_CHECK(builder->addOperations(pins));
  return builder;
}

/// What else all plans of the search have in common.
std::string PlanSearch::restOfSpace() const {
  std::string text =
      ", one strategy per operation, one shared layout per value, no overlap";
  if (isCut)
    text += ", equal micro-batches in the numbers that were tried";
  if (options.maxStages > 1 ||
      (options.mesh && options.mesh->axis(stageAxis) >= 0)) {
    text += std::string(options.mesh && !options.mesh->stageAxes.empty()
                            ? ", stages as given"
                            : ", equal stages on equal parts of the machine") +
            (cutAnywhere ? ", cut anywhere between layers"
                         : ", cut where work is most even");
    std::string separator = ", ";
    for (const ScheduleChoice &choice : schedulesOf(2)) {
      text += separator + choice.str();
      separator = " or ";
    }
  }
  if (!options.pins.empty())
    text += ", " + std::to_string(options.pins.size()) + " pins";
  if (options.memoryLimit > 0)
    text += ", at most " + bytesText(options.memoryLimit) + " a rank";
  return text;
}

/// The best plan of a leaf, unless its step is no shorter than `toBeat`.
/// Begins with what is known, if that is not empty, and adds what it finds.
Result<std::optional<PlanResult>> PlanSearch::solve(Leaf leaf, int64_t toBeat,
                                                    Care care, Fitted *known) {
  PlanResult result;
  result.mesh = leaf.mesh;
  PARTITA_TRY(std::shared_ptr<const Step> made,
              steps.of(leaf.execution.microBatches));
  const Step &step = *made;
  PARTITA_TRY(std::unique_ptr<ModelBuilder> builder, open(leaf, step));
  result.execution = leaf.execution;
  if (options.randomStrategies) {
    chooseRandomly(step, builder->model, result);
  } else {
    builder->price();
    Fitted own;
    PARTITA_TRY(bool better, choose(step, *builder, toBeat, care,
                                    known ? *known : own, result));
    if (!better)
      return std::optional<PlanResult>();
  }
  result.bound = std::max(result.bound, leaf.bound);
  PARTITA_TRY(result.cost,
              evaluate(step.graph, options.topology, result.mesh,
                       result.strategies, result.execution, &result.chunks));
  result.residentBytes = Resident(step.graph, result.mesh)
                             .most(result.strategies, result.execution);
  result.boundSpace = "mesh " + result.mesh.str() + restOfSpace();
  return std::optional(std::move(result));
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

/// In which order as many stages may work.
std::vector<ScheduleChoice> PlanSearch::schedulesOf(int64_t stages) const {
  using Kind = ScheduleKind;
  if (stages == 1)
    return {{}};
  if (options.schedule)
    return {*options.schedule};
  if (!steps.hasBackward())
    return {{Kind::OneForwardOneBackward, 1}};
  return {{Kind::OneForwardOneBackward, 1}, {Kind::Interleaved, 2},
          {Kind::Interleaved, 3},           {Kind::Interleaved, 4},
          {Kind::ZeroBubbleV, 2},           {Kind::ZeroBubbleH1, 1},
          {Kind::ZeroBubbleH2, 1},          {Kind::GPipe, 1}};
}

/// Of a number of stages, all meshes, micro-batches and schedules that are
/// tried, and that there are; `refusal` says of one why there is none.
std::vector<Leaf> PlanSearch::leavesOf(int64_t stages, Error &refusal) {
  std::vector<Leaf> leaves;
  const std::vector<ScheduleChoice> schedules = schedulesOf(stages);
  for (const Mesh &mesh :
       options.mesh ? std::vector<Mesh>{*options.mesh}
                    : meshesOf(options.topology, options.maxAxes, stages))
    for (int64_t m : microBatchesTried(steps, options, stages))
      for (bool recompute : {false, true}) {
        if (options.recompute ? recompute != *options.recompute
                              : recompute && !steps.hasBackward())
          continue;
        for (const ScheduleChoice &schedule : schedules) {
          Leaf leaf;
          leaf.mesh = mesh;
          leaf.execution = {stages, m, recompute, {}, schedule};
          Status there = checkShape(shapeOf(leaf.execution, true));
          if (!there)
            refusal = there.takeError();
          else if ((options.mesh && schedule == schedules[0]) ||
                   leaf.execution.chunks() <= steps.segments().count())
            leaves.push_back(std::move(leaf));
        }
      }
  return leaves;
}

/// Bounds different leaves, and those that this says something of; after the
/// first `least` of them none if the search was stopped.
Status PlanSearch::probe(const std::vector<Leaf *> &leaves, LeafQueue &queue,
                         size_t least) {
  // What micro-batches run is made first, so that nobody waits for it long.
  std::vector<int64_t> counts;
  for (const Leaf *leaf : leaves)
    if (int64_t m = leaf->execution.microBatches;
        std::find(counts.begin(), counts.end(), m) == counts.end())
      counts.push_back(m);
  const size_t prepared = counts.size();
  std::vector<Status> done(leaves.size(), ok());
  forAll(prepared + leaves.size(), [&](size_t i) {
    if (i < prepared)
      (void)steps.outline(counts[i]); // says its error again
    else if (i < prepared + least || !isStopped())
      done[i - prepared] = prober.probe(*leaves[i - prepared]);
  });
  for (Status &status : done)
    PARTITA_CHECK(std::move(status));
  for (const Leaf *leaf : leaves)
    if (leaf->probed)
      queue.tell(*leaf, prober);
  return ok();
}

/// Whether a leaf has no room however it is split.
bool PlanSearch::isFull(const Leaf &leaf, Found &found) const {
  if (!leaf.probed || options.memoryLimit == 0)
    return false;
  int64_t least = prober.leastBytes(leaf);
  if (least <= options.memoryLimit)
    return false;
  if (least < found.leastOfFull) {
    found.leastFull = &leaf;
    found.leastOfFull = least;
  }
  return true;
}

/// Keeps the plan of a leaf if that is the best; whether the leaf is settled.
/// Without cuts, one whose plan and bound are apart is not: others are tried
/// before it is looked at again.
Result<bool> PlanSearch::take(Leaf &leaf, Solved solved, Found &found) {
  auto settle = [&](int64_t bound) {
    found.bound = std::min(found.bound, bound);
    found.unsettled.erase(leaf.number);
    return true;
  };
  if (!solved) {
    // Others may have room.
    Error error = solved.takeError();
    if (error.code != memoryCode && error.code != noneFoundCode)
      return error;
    found.someUnknown |= error.code == noneFoundCode;
    return settle(error.code == noneFoundCode ? leaf.bound : INT64_MAX);
  }
  if (!*solved)
    return settle(
        isCut ? leaf.bound
              : std::max(leaf.bound, found.unsettled[leaf.number].bound));
  PlanResult &result = **solved;
  const int64_t bound = result.bound, step = result.cost.step();
  found.leastRatio =
      std::min(found.leastRatio,
               static_cast<double>(step) /
                   static_cast<double>(std::max<int64_t>(leaf.bound, 1)));
  const bool again = leaf.solved;
  // Each leaf once: what is done with them is done side by side.
  if (again)
    std::erase_if(found.solved, [&](const LeafQueue::Solved &one) {
      return one.leaf == &leaf;
    });
  found.solved.push_back({step, result.leastPeakBytes, &leaf});
  leaf.solved =
      !isCut && step - bound > closeEnough(step, found.unsettled[leaf.number]);
  const bool isSettled = again || !leaf.solved;
  found.allProved &= result.proved || !isSettled;
  if (!found.best ||
      rankOf(options.topology, result) < rankOf(options.topology, *found.best))
    found.best = std::move(result);
  leaf.bound = bound;
  return isSettled && settle(bound);
}

/// Solves leaves, side by side, and bounds others meanwhile. A first look
/// leaves those open whose plans do not fit.
Status PlanSearch::tryLeaves(const std::vector<Leaf *> &leaves,
                             LeafQueue &queue, Found &found, Care care,
                             const std::vector<Leaf *> &meanwhile) {
  const int64_t toBeat = found.toBeat();
  std::vector<Fitted> fresh(leaves.size());
  std::vector<Fitted *> known;
  for (const Leaf *leaf : leaves)
    known.push_back(isCut ? &fresh[known.size()]
                          : &found.unsettled[leaf->number]);
  std::vector<Solved> all(leaves.size(), std::optional<PlanResult>());
  std::vector<Status> bounded(meanwhile.size(), ok());
  forAll(leaves.size() + meanwhile.size(), [&](size_t i) {
    if (i >= leaves.size()) {
      bounded[i - leaves.size()] = prober.probe(*meanwhile[i - leaves.size()]);
      return;
    }
    // What is not worth another look is settled as it is.
    if (leaves[i]->solved &&
        leaves[i]->bound + closeEnough(toBeat, *known[i]) >= toBeat)
      return;
    all[i] = solve(*leaves[i], toBeat, care, known[i]);
  });
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (care == Care::Look && all[i] && !*all[i] && !known[i]->beaten) {
      // Zero says that it was not looked at.
      leaves[i]->tightPrice = std::max<int64_t>(known[i]->solution.price, 1);
      continue;
    }
    PARTITA_TRY(bool settled, take(*leaves[i], std::move(all[i]), found));
    if (settled)
      queue.remove(leaves[i]);
  }
  for (size_t i = 0; i < meanwhile.size(); ++i) {
    PARTITA_CHECK(std::move(bounded[i]));
    queue.tell(*meanwhile[i], prober);
  }
  return ok();
}

/// The first leaf of each mesh is bounded; then a few more, until one is worth
/// solving, as a plan to beat is worth more than to know which leaf is the
/// best; then leaves are bounded and solved until none may be better, or that
/// was enough work. Those whose plans do not fit are left for later: to make
/// room takes ten times as long as to see that there is none.
Status PlanSearch::workThrough(LeafQueue &queue, Found &found) {
  constexpr size_t probedTogether = 8, solvedTogether = 2;
  constexpr double usualRatio = 1.06; // of steps to bounds, about
  // Some at least where most leaves are worth nothing.
  PARTITA_CHECK(
      probe(queue.firstOfMeshes(), queue, isCut ? probedTogether : 0));
  const int64_t solves = mostSolves();
  // Where many other schedules follow, they decide how good the bound is.
  const int64_t probesToFirst = 16;
  const int64_t probes = options.effort * (found.hasMany ? 1 : 3);
  for (int64_t probed = 0, work = 0; !queue.empty();) {
    const int64_t toBeat = found.toBeat();
    if (found.best && (work >= solves || isStopped()))
      break;
    Leaf *leaf = queue.leastLoose();
    if (found.best && leaf && leaf->bound >= toBeat)
      leaf = nullptr;
    bool goesOn = probed < (found.best ? probes : probesToFirst);
    if (leaf && !leaf->probed && goesOn && !isStopped()) {
      std::vector<Leaf *> next = queue.unprobed(probedTogether, toBeat);
      probed += static_cast<int64_t>(next.size());
      PARTITA_CHECK(probe(next, queue));
      continue;
    }
    Care care = isCut ? Care::Look : Care::Good;
    std::vector<Leaf *> next;
    if (isCut && !found.best && isStopped()) {
      next = {queue.roomiest()};
      care = Care::Rough;
    } else if (leaf && (found.best || work < solves / 2 || !queue.hasTight())) {
      next = queue.leastProbed(solvedTogether, toBeat);
      if (next.empty() && !found.best)
        next = {leaf};
      // What need not be proved is solved if it is likely to be better.
      if (found.hasMany)
        std::erase_if(next, [&](const Leaf *leaf) {
          return found.isUnlikely(*leaf, usualRatio);
        });
    }
    if (next.empty()) {
      next = queue.leastTight(solvedTogether, toBeat);
      care = Care::Rough;
    }
    if (next.empty())
      break;
    for (Leaf *full : std::exchange(next, {}))
      if (isFull(*full, found))
        queue.remove(full);
      else
        next.push_back(full);
    work += static_cast<int64_t>(next.size());
    // Solutions take unequally long: others are bounded on idle cores.
    std::vector<Leaf *> meanwhile;
    if (isCut && probed < probes && !isStopped())
      meanwhile = queue.unprobed(probedTogether, toBeat);
    probed += static_cast<int64_t>(meanwhile.size());
    PARTITA_CHECK(tryLeaves(next, queue, found, care, meanwhile));
  }
  return ok();
}

/// Where a search among many leaves ends far from its bound, these say little:
/// what people choose may be better.
Status PlanSearch::tryUsual(LeafQueue &queue, Found &found) {
  constexpr size_t together = 2;
  if (!found.hasMany || queue.empty() || isStopped() ||
      found.toBeat() / 2 < queue.least()->bound)
    return ok();
  std::vector<Leaf *> usual = queue.usual(options.topology.levels[0].size);
  PARTITA_CHECK(probe(usual, queue));
  std::sort(usual.begin(), usual.end(), [](const Leaf *a, const Leaf *b) {
    return std::pair(a->bound, a->number) < std::pair(b->bound, b->number);
  });
  for (size_t i = 0; i < usual.size() && !isStopped(); i += together) {
    std::vector<Leaf *> next;
    for (size_t j = i; j < std::min(i + together, usual.size()); ++j)
      if (usual[j]->bound < found.toBeat() && !isFull(*usual[j], found))
        next.push_back(usual[j]);
    PARTITA_CHECK(tryLeaves(next, queue, found, Care::Rough));
  }
  return ok();
}

/// Schedules other than the first are tried where that one gave the best plans.
Status PlanSearch::tryOtherSchedules(LeafQueue &queue, Found &found) {
  constexpr size_t together = 3;
  const int64_t solves = std::max<int64_t>(mostSolves() / 2, 1);
  found.someUnknown |= !found.best && queue.hasOthers();
  queue.admitOthers();
  std::sort(found.solved.begin(), found.solved.end());
  found.solved.resize(
      std::min(found.solved.size(),
               static_cast<size_t>(std::max<int64_t>(solves / 4, 1))));
  std::vector<Leaf *> others = queue.otherSchedulesOf(found.solved);
  std::erase_if(others, [&](const Leaf *leaf) {
    return leaf->probed || leaf->bound >= found.toBeat();
  });
  if (!isStopped())
    PARTITA_CHECK(probe(others, queue));
  others = queue.likelyFirst(found.solved, prober, options.memoryLimit,
                             found.toBeat());
  found.leastRatio = INFINITY; // theirs are larger
  auto it = others.begin();
  for (int64_t work = 0; it != others.end() && work < solves && !isStopped();) {
    std::vector<Leaf *> next;
    for (; it != others.end() && next.size() < together; ++it)
      if ((*it)->bound < found.toBeat() &&
          !(found.hasMany && found.isUnlikely(**it, found.leastRatio))) {
        if (isFull(**it, found))
          queue.remove(*it);
        else
          next.push_back(*it);
      }
    work += static_cast<int64_t>(next.size());
    PARTITA_CHECK(
        tryLeaves(next, queue, found, found.best ? Care::Look : Care::Rough));
  }
  return ok();
}

/// What the plan to begin with knows of all plans of the same space.
void PlanSearch::begin(std::vector<Leaf> &leaves,
                       const std::function<std::string()> &space) {
  for (bool anywhere : {true, false}) {
    cutAnywhere = anywhere;
    if (resumed && resumed->boundSpace == space())
      for (Leaf &leaf : leaves)
        leaf.bound = std::max(leaf.bound, resumed->bound);
  }
}

/// Begins with a plan. Other schedules are tried as if it had been found.
Status PlanSearch::goOn(std::vector<Leaf> &leaves, LeafQueue &queue,
                        Found &found) {
  if (!resumed)
    return ok();
  found.best = resumed;
  if (Leaf *leaf = leafOf(*resumed, leaves)) {
    PARTITA_CHECK(probe({leaf}, queue));
    found.solved.push_back(
        {resumed->cost.step(), resumed->leastPeakBytes, leaf});
  }
  return ok();
}

/// All plans of small steps.
Status PlanSearch::exhaust(const std::vector<Leaf> &leaves, Found &found) {
  SmallSearch small(options, steps, prober, [this] { return isStopped(); });
  if (found.hasMany || !small.isSmall(leaves))
    return ok();
  small.best = std::move(found.best);
  PARTITA_CHECK(small.run(leaves));
  found.best = std::move(small.best);
  found.isExhausted = small.isExhausted;
  cutAnywhere = small.cutAnywhere;
  if (small.isExhausted)
    found.bound = small.bound;
  return ok();
}

/// The best plan of all leaves, by the least that is known of them.
Result<PlanResult> PlanSearch::searchLeaves(std::vector<Leaf> leaves) {
  LeafQueue queue(leaves);
  Found found;
  constexpr size_t many = 32;
  found.hasMany = queue.hasOthers() && leaves.size() > many * options.effort;
  PARTITA_CHECK(goOn(leaves, queue, found));
  PARTITA_CHECK(workThrough(queue, found));
  PARTITA_CHECK(tryUsual(queue, found));
  PARTITA_CHECK(tryOtherSchedules(queue, found));
  PARTITA_CHECK(exhaust(leaves, found));
  if (!found.best && found.leastFull && leastBytes == INT64_MAX &&
      !found.someUnknown) {
    // Says what it is full of.
    auto none = solve(*found.leastFull, INT64_MAX, Care::Rough);
    if (!none && none.error().code != memoryCode)
      return none.takeError();
  }
  if (!found.best)
    return noRoom("--topology " + options.topology.text,
                  found.someUnknown ? 0 : leastBytes, leastProof);
  PlanResult best = std::move(*found.best);
  int64_t open =
      queue.empty() || found.isExhausted ? INT64_MAX : queue.least()->bound;
  best.bound = std::min(found.bound, open);
  // Nothing that was left open, or was not solved to its end, may be better.
  best.proved = found.isExhausted || (found.allProved && !found.someUnknown &&
                                      open >= best.cost.step());
  return best;
}

std::string PlanSearch::spaceOfMeshes(size_t leaves) const {
  return std::to_string(leaves) +
         (options.microBatches == 0 ? " pairs of a way to execute and a mesh"
                                    : " meshes") +
         " of up to " + std::to_string(options.maxAxes) + " axes" +
         restOfSpace();
}

Result<PlanResult> PlanSearch::searchMeshes() {
  std::vector<Leaf> leaves;
  Error refusal;
  for (int64_t stages : stagesTried(steps, options)) {
    std::vector<Leaf> more = leavesOf(stages, refusal);
    leaves.insert(leaves.end(), more.begin(), more.end());
  }
  if (leaves.empty())
    return refusal;
  isCut = options.microBatches != 1;
  size_t number = leaves.size();
  if (options.randomStrategies)
    leaves = {leaves[options.seed % number]};
  begin(leaves, [&] { return spaceOfMeshes(number); });
  PARTITA_TRY(PlanResult best, searchLeaves(std::move(leaves)));
  best.boundSpace = spaceOfMeshes(number);
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
  int64_t stages = options.mesh->numStages();
  Error refusal;
  std::vector<Leaf> leaves = leavesOf(stages, refusal);
  if (leaves.empty())
    return refusal;
  isCut = leaves.size() > 1 || leaves[0].execution.microBatches > 1;
  auto space = [&] { return "mesh " + options.mesh->str() + restOfSpace(); };
  begin(leaves, space);
  if (leaves.size() > 1) {
    PARTITA_TRY(PlanResult best, searchLeaves(std::move(leaves)));
    best.boundSpace = space();
    return best;
  }
  Leaf &leaf = leaves[0];
  if (stages > 1 && !options.randomStrategies)
    PARTITA_CHECK(prober.probe(leaf));
  PARTITA_TRY(auto solved,
              solve(leaf, INT64_MAX,
                    isCut || steps.hasBackward() ? Care::Good : Care::Best));
  if (resumed &&
      rankOf(options.topology, *resumed) <= rankOf(options.topology, *solved)) {
    resumed->bound = solved->bound;
    resumed->boundSpace = solved->boundSpace;
    resumed->proved = solved->proved;
    return std::move(*resumed);
  }
  return std::move(*solved);
}

Result<PlanResult> PlanSearch::run() {
  PARTITA_TRY(resumed, resumedPlan(steps, options));
  PARTITA_TRY(PlanResult result, options.mesh ? takeMesh() : searchMeshes());
  PARTITA_TRY(std::shared_ptr<const Step> step,
              steps.of(result.execution.microBatches));
  if (!options.mesh)
    nameAxes(*step, result);
  finish(*step, result);
  return result;
}

Result<PlanResult> partita::plan(const Graph &graph,
                                 const PlanOptions &options) {
  PARTITA_CHECK(checkGraph(graph));
  return PlanSearch(graph, options).run();
}
