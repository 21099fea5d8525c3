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
#include "Fit.h"
#include "Meshes.h"
#include "Model.h"
#include "Pins.h"
#include "partita/Support/Names.h"
#include "partita/Topology/Units.h"
#include <algorithm>
#include <map>
#include <random>

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
      : graph(graph), options(options), classes(analyseDims(graph)) {}
  Result<PlanResult> run();

private:
  /// A mesh whose operations are listed and priced, and the least time that the
  /// operations alone take on it.
  struct Leaf {
    Mesh mesh;
    std::unique_ptr<ModelBuilder> builder;
    int64_t bound = 0;
    /// In the order of the meshes.
    size_t number = 0;
  };
  Result<Leaf> open(const Mesh &mesh) const;
  bool isStopped();
  Result<std::optional<PlanResult>> solve(Leaf leaf, int64_t toBeat);
  Result<PlanResult> searchMeshes();
  std::string restOfSpace() const;
  Error noRoom(const std::string &place, int64_t least,
               const std::string &proof);
  std::string proofText(const Mesh &mesh, const MemoryRows &rows) const;
  Result<bool> choose(const ModelBuilder &builder, int64_t toBeat,
                      PlanResult &result);
  void chooseRandomly(const Model &model, PlanResult &result) const;
  void finish(PlanResult &result) const;
  int64_t residentBytes(const PlanResult &result) const;
  void nameAxes(PlanResult &result) const;
  uint8_t kindsSplitBy(const PlanResult &result, int axis, bool &used) const;

  const Graph &graph;
  const PlanOptions &options;
  DimClasses classes;
  /// Of the mesh, without room, that needs least: what it needs, and why.
  int64_t leastBytes = INT64_MAX;
  std::string leastProof;
  /// By whoever asked.
  std::optional<StoppedBy> stopped;
};
} // namespace

//===----------------------------------------------------------------------===//
// One mesh
//===----------------------------------------------------------------------===//

static int64_t cheapestTimes(const Model &model, size_t ops) {
  int64_t sum = 0;
  for (size_t o = 0; o < ops; ++o)
    sum += *std::min_element(model.time.unary[o].begin(),
                             model.time.unary[o].end());
  return sum;
}

static std::string bytesText(int64_t bytes) {
  return formatQuantity(static_cast<double>(bytes), Dimension::Bytes);
}

/// What every plan on a mesh holds when it holds most: where, and what.
std::string PlanSearch::proofText(const Mesh &mesh,
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
  std::string text = "\n  at '" + graph.ops[held.row].id + "' a rank (" +
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
Result<bool> PlanSearch::choose(const ModelBuilder &builder, int64_t toBeat,
                                PlanResult &result) {
  const Model &model = builder.model;
  SolverOptions solver;
  solver.rounds = options.effort;
  solver.seed = options.seed;
  solver.interrupted = [this] { return isStopped(); };
  std::optional<MemoryRows> rows;
  if (options.memoryLimit > 0)
    rows = builder.memory();
  PARTITA_TRY(Fitted fitted, solveWithin(model, rows ? &*rows : nullptr,
                                         options.memoryLimit, toBeat, solver));
  result.bound = fitted.bound;
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
                  proofText(result.mesh, *rows));
  if (!fitted.fits)
    return noRoom("--mesh " + result.mesh.str(), 0, "");
  for (size_t o = 0; o < graph.ops.size(); ++o)
    result.strategies.push_back(
        model.candidates[o]->candidates[solution.values[o]].strategy);
  result.proved = solution.proved;
  result.leastPeakBytes = fitted.bytes;
  return true;
}

void PlanSearch::chooseRandomly(const Model &model, PlanResult &result) const {
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

int64_t PlanSearch::residentBytes(const PlanResult &result) const {
  std::vector<char> usedInStep(graph.values.size(), 0);
  for (const GraphOp &op : graph.ops)
    if (!op.atLoad)
      for (int value : op.operands)
        usedInStep[value] = 1;
  int64_t bytes = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
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
  return bytes;
}

bool PlanSearch::isStopped() {
  if (!stopped && options.stop)
    stopped = options.stop();
  return stopped.has_value();
}

/// What follows from the strategies.
void PlanSearch::finish(PlanResult &result) const {
  result.setBound(result.bound);
  result.proved &= !stopped || result.gap == 0;
  result.stoppedBy = stopped           ? *stopped
                     : result.proved   ? StoppedBy::Exhausted
                     : result.gap == 0 ? StoppedBy::Gap
                                       : StoppedBy::Work;
  result.residentBytes = residentBytes(result);
  for (int axis = 0; axis < result.mesh.numAxes(); ++axis) {
    bool used = false;
    kindsSplitBy(result, axis, used);
    if (!used && result.mesh.axisSizes[axis] > 1)
      result.notes.push_back(
          "axis '" + result.mesh.axisNames[axis] +
          "' splits nothing: its ranks compute the same thing");
  }
}

Result<PlanSearch::Leaf> PlanSearch::open(const Mesh &mesh) const {
  PARTITA_CHECK(checkAxes(mesh));
  PARTITA_TRY(auto pins, resolvePins(graph, mesh, options.pins));
  Leaf leaf;
  leaf.mesh = mesh;
  leaf.builder =
      std::make_unique<ModelBuilder>(graph, classes, mesh, options.topology);
  PARTITA_CHECK(leaf.builder->addOperations(pins));
  leaf.bound = cheapestTimes(leaf.builder->model, graph.ops.size());
  return leaf;
}

/// What else all plans of the search have in common.
std::string PlanSearch::restOfSpace() const {
  std::string text =
      ", one strategy per operation, one shared layout per value, no overlap";
  if (!options.pins.empty())
    text += ", " + std::to_string(options.pins.size()) + " pins";
  if (options.memoryLimit > 0)
    text += ", at most " + bytesText(options.memoryLimit) + " a rank";
  return text;
}

/// The best plan of a mesh, unless its step is no shorter than `toBeat`.
Result<std::optional<PlanResult>> PlanSearch::solve(Leaf leaf, int64_t toBeat) {
  PlanResult result;
  result.mesh = leaf.mesh;
  if (options.randomStrategies) {
    chooseRandomly(leaf.builder->model, result);
  } else {
    leaf.builder->addValues();
    PARTITA_TRY(bool better, choose(*leaf.builder, toBeat, result));
    if (!better)
      return std::optional<PlanResult>();
  }
  result.bound = std::max(result.bound, leaf.bound);
  PARTITA_TRY(result.cost, evaluate(graph, options.topology, result.mesh,
                                    result.strategies));
  result.boundSpace = "mesh " + result.mesh.str() + restOfSpace();
  return std::optional(std::move(result));
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

/// The kinds of all that `axis` splits; `used` tells whether there is anything.
uint8_t PlanSearch::kindsSplitBy(const PlanResult &result, int axis,
                                 bool &used) const {
  uint8_t allowed = 7; // bits: may be dp, sp, tp
  used = false;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t f = 0; f < result.strategies[o].factors.size(); ++f) {
      if (graph.ops[o].rule.factors[f].kind == FactorKind::Linear)
        continue;
      const std::vector<Piece> &pieces = classes.factors[o][f];
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
void PlanSearch::nameAxes(PlanResult &result) const {
  for (int axis = 0; axis < result.mesh.numAxes(); ++axis) {
    bool used = false;
    uint8_t allowed = kindsSplitBy(result, axis, used);
    std::string name = !used         ? ""
                       : allowed & 1 ? "dp"
                       : allowed & 2 ? "sp"
                       : allowed & 4 ? "tp"
                                     : "";
    if (!name.empty() && result.mesh.axis(name) < 0)
      result.mesh.axisNames[axis] = name;
  }
}

/// The best plan of all meshes. Those whose operations alone take longer than a
/// plan that is there are not solved: their bound is above its time. Whoever
/// stops this gets the best of those that were looked at until there was one.
Result<PlanResult> PlanSearch::searchMeshes() {
  std::vector<Mesh> meshes = meshesOf(options.topology, options.maxAxes);
  size_t number = meshes.size();
  if (options.randomStrategies)
    meshes = {meshes[options.seed % number]};
  const DeviceType device = options.topology.commonDevice();
  auto rank = [&](const PlanResult &plan) {
    return plan.cost.step() + residentPrice(device, plan.residentBytes);
  };
  std::optional<PlanResult> best;
  int64_t bound = INT64_MAX;
  bool someUnknown = false;
  for (size_t next = 0; !best && next < meshes.size();) {
    std::vector<Leaf> leaves;
    while (next < meshes.size() && (leaves.empty() || !isStopped())) {
      PARTITA_TRY(Leaf leaf, open(meshes[next]));
      leaf.number = next++;
      leaves.push_back(std::move(leaf));
    }
    std::sort(leaves.begin(), leaves.end(), [](const Leaf &a, const Leaf &b) {
      return std::pair(a.bound, a.number) < std::pair(b.bound, b.number);
    });
    for (Leaf &leaf : leaves) {
      int64_t least = leaf.bound;
      if (best && (least >= best->cost.step() || isStopped())) {
        bound = std::min(bound, least);
        break;
      }
      auto solved =
          solve(std::move(leaf), best ? best->cost.step() : INT64_MAX);
      if (!solved) {
        // Other meshes may have room.
        Error error = solved.takeError();
        if (error.code != memoryCode && error.code != noneFoundCode)
          return error;
        if (error.code == noneFoundCode) {
          bound = std::min(bound, least);
          someUnknown = true;
        }
        continue;
      }
      if (!*solved)
        continue;
      PlanResult &result = **solved;
      bound = std::min(bound, result.bound);
      result.residentBytes = residentBytes(result);
      if (!best || rank(result) < rank(*best))
        best = std::move(result);
    }
    if (next < meshes.size())
      bound = 0; // Of those that were not looked at.
  }
  if (!best)
    return noRoom("--topology " + options.topology.text,
                  someUnknown ? 0 : leastBytes, leastProof);
  best->bound = bound;
  best->boundSpace = std::to_string(number) + " meshes of up to " +
                     std::to_string(options.maxAxes) + " axes" + restOfSpace();
  nameAxes(*best);
  return std::move(*best);
}

Result<PlanResult> PlanSearch::run() {
  PlanResult result;
  if (options.mesh) {
    if (options.mesh->numRanks() != options.topology.numRanks())
      return makeError(
          ExitCode::Usage, "plan.mesh-size", "--mesh " + options.mesh->str(),
          "the mesh has " + std::to_string(options.mesh->numRanks()) +
              " ranks, the topology " + options.topology.text + " has " +
              std::to_string(options.topology.numRanks()),
          "the sizes of the axes multiply to the number of ranks");
    PARTITA_TRY(Leaf leaf, open(*options.mesh));
    PARTITA_TRY(auto solved, solve(std::move(leaf), INT64_MAX));
    result = std::move(*solved);
  } else {
    PARTITA_TRY(result, searchMeshes());
  }
  finish(result);
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
