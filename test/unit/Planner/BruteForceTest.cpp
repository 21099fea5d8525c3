//===- BruteForceTest.cpp -------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small training steps against everything that can be done with them: all
// meshes, cuts into stages, schedules, recomputation, and strategies of the
// operations that are not pinned. What a plan costs is said by evaluate().
//
//===----------------------------------------------------------------------===//

#include "Chain.h"
#include "lib/Planner/Fit.h"
#include "lib/Planner/Pins.h"
#include "lib/Planner/Resident.h"
#include "lib/Planner/Segments.h"
#include "lib/Planner/Sharing.h"
#include "partita/Planner/Planner.h"
#include "partita/Topology/Presets.h"
#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace partita;
using namespace partita::planner;
using namespace partita::test;

namespace {
/// The shortest step, and the least of what plans are chosen by.
struct Least {
  int64_t step = INT64_MAX, rank = INT64_MAX;
  void take(const Least &other) {
    step = std::min(step, other.step);
    rank = std::min(rank, other.rank);
  }
};

/// All plans of a chain on some ranks, most of its operations pinned to be
/// whole.
class Everything {
public:
  Everything(const Chain &chain, uint64_t seed);
  Least cheapest();

  PlanOptions options;
  int64_t plans = 0;

private:
  struct Way {
    Execution execution;
    /// Where there is a limit.
    std::optional<MemoryRows> rows;
    /// Whether a plan with the numbers of these strategies does.
    bool holds(const std::vector<int> &values, int64_t limit) const {
      if (!rows)
        return true;
      std::vector<int64_t> usage = rows->usage(values);
      return *std::max_element(usage.begin(), usage.end()) <= limit;
    }
  };
  Way wayTo(const Mesh &mesh, Execution execution) const;
  void addPins(std::mt19937_64 random);
  std::vector<Mesh> meshes() const;
  std::set<std::vector<int>> cuts(int64_t chunks) const;
  std::vector<std::vector<Strategy>> strategies(const Mesh &mesh) const;
  Least cheapestOf(const Mesh &mesh, const ScheduleChoice &schedule,
                   const std::vector<std::vector<Strategy>> &lists);

  const Chain &chain;
  Graph step;
  int ranks;
};
} // namespace

Everything::Everything(const Chain &chain, uint64_t seed) : chain(chain) {
  std::mt19937_64 random(seed);
  ranks = random() % 2 ? 2 : 4;
  options.topology =
      random() % 2 ? *Topology::parse("cpu:" + std::to_string(ranks))
                   : *Topology::read("partita_topology: 1\ndevice: l40s\n"
                                     "hierarchy:\n- {level: node, size: " +
                                         std::to_string(ranks) +
                                         ", link: {kind: pcie, latency: 0.2 "
                                         "us, bandwidth: 30 GB/s}}\n",
                                     "t.yaml");
  options.maxStages = ranks;
  options.microBatches = int64_t(1) << (random() % 3);
  options.recompute = std::nullopt;
  options.schedule = std::nullopt;
  step = *microBatched(chain.maker.graph, options.microBatches);
  addPins(random);
}

/// A product of a layer is free, and its weight; of some, where its update is
/// made, as for an optimizer whose state is split.
void Everything::addPins(std::mt19937_64 random) {
  const Graph &graph = chain.maker.graph;
  std::string layer = std::to_string(random() % chain.layers);
  std::set<std::string> free{(random() % 2 ? "forward" : "gradient") + layer,
                             "input:w" + layer};
  if (random() % (ranks == 2 ? 4 : 24) == 0)
    free.insert("update" + layer);
  for (const GraphOp &op : graph.ops)
    if (!free.count(op.id))
      options.pins.push_back(*Pin::parse(op.id + ":replicated"));
}

std::vector<Mesh> Everything::meshes() const {
  std::vector<std::string> texts{"x=" + std::to_string(ranks)};
  if (ranks == 4)
    texts.insert(texts.end(), {"x=2,y=2", "pp=2,x=2", "pp=4,x=1"});
  else
    texts.push_back("pp=2,x=1");
  std::vector<Mesh> list;
  for (const std::string &text : texts)
    list.push_back(*Mesh::parse(text));
  return list;
}

/// The chunk of each operation, for all ways to cut between segments.
std::set<std::vector<int>> Everything::cuts(int64_t chunks) const {
  std::set<std::vector<int>> list;
  const std::vector<OpPhase> phases = phasesOf(step);
  const Segments segments(step, phases);
  const int count = segments.count();
  for (uint32_t begins = 0; begins < uint32_t(1) << count; begins += 2) {
    std::vector<int> chunkOf;
    int chunk = 0;
    for (int s = 0; s < count; ++s)
      chunkOf.push_back(chunk += (begins >> s) & 1);
    if (chunk + 1 == chunks)
      list.insert(segments.byOp(chunkOf));
  }
  return list;
}

/// By operation, on one mesh.
std::vector<std::vector<Strategy>>
Everything::strategies(const Mesh &mesh) const {
  const DimClasses classes = analyseDims(step);
  auto pins = resolvePins(step, classes, mesh, options.pins);
  REQUIRE(pins);
  ModelBuilder builder(step, classes, mesh, options.topology, Costing(step));
  REQUIRE(builder.addOperations(*pins));
  std::vector<std::vector<Strategy>> lists;
  for (const CandidateSet *set : builder.model.candidates) {
    lists.emplace_back();
    for (const Candidate &candidate : set->candidates)
      lists.back().push_back(candidate.strategy);
  }
  return lists;
}

Everything::Way Everything::wayTo(const Mesh &mesh, Execution execution) const {
  Way way{std::move(execution), std::nullopt};
  if (options.memoryLimit == 0)
    return way;
  const DimClasses classes = analyseDims(step);
  auto pins = resolvePins(step, classes, mesh, options.pins);
  REQUIRE(pins);
  ModelBuilder builder(step, classes, mesh, options.topology,
                       Costing(step, way.execution));
  REQUIRE(builder.addOperations(*pins));
  way.rows = builder.memory();
  return way;
}

Least Everything::cheapestOf(const Mesh &mesh, const ScheduleChoice &schedule,
                             const std::vector<std::vector<Strategy>> &lists) {
  const int axis = mesh.axis(stageAxis);
  const int64_t stages = axis < 0 ? 1 : mesh.axisSizes[axis];
  const Resident resident(step, mesh);
  std::vector<Way> ways;
  for (const std::vector<int> &chunkOf : cuts(stages * schedule.chunksPerLane))
    for (bool recompute : {false, true})
      ways.push_back(wayTo(
          mesh, {stages, options.microBatches, recompute, chunkOf, schedule}));
  Least best;
  std::vector<int> digits(lists.size(), 0);
  for (size_t o = 0; o < digits.size();) {
    std::vector<Strategy> chosen;
    for (size_t i = 0; i < lists.size(); ++i)
      chosen.push_back(lists[i][digits[i]]);
    for (const Way &way : ways) {
      ++plans;
      if (!way.holds(digits, options.memoryLimit))
        continue;
      auto cost = evaluate(step, options.topology, mesh, chosen, way.execution);
      if (!cost)
        FAIL(cost.error().str());
      PlanResult plan;
      plan.cost = *cost;
      plan.residentBytes = resident.most(chosen, way.execution);
      best.take({cost->step(), rankOf(options.topology, plan)});
    }
    for (o = 0;
         o < digits.size() && ++digits[o] == static_cast<int>(lists[o].size());
         ++o)
      digits[o] = 0;
  }
  return best;
}

Least Everything::cheapest() {
  Least best;
  for (const Mesh &mesh : meshes()) {
    const std::vector<std::vector<Strategy>> lists = strategies(mesh);
    for (const char *name : {"1f1b", "gpipe", "interleaved:2", "interleaved:3",
                             "interleaved:4", "zb-h1", "zb-h2", "zb-v"}) {
      const ScheduleChoice schedule = *ScheduleChoice::parse(name);
      const int axis = mesh.axis(stageAxis);
      const int64_t stages = axis < 0 ? 1 : mesh.axisSizes[axis];
      const Execution execution{
          stages, options.microBatches, false, {}, schedule};
      if (checkShape(shapeOf(execution, true)))
        best.take(cheapestOf(mesh, schedule, lists));
      // One stage has one order.
      if (axis < 0)
        break;
    }
  }
  return best;
}

TEST_CASE("bounds of small pipelines against everything that can be done",
          "[planner]") {
  int64_t plans = 0;
  int shortest = 0, best = 0, proved = 0, count = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    Chain chain(seed);
    Everything everything(chain, seed);
    auto plan = partita::plan(chain.maker.graph, everything.options);
    if (!plan)
      FAIL(plan.error().str());
    Least least = everything.cheapest();
    CHECK(plan->bound <= least.step);
    CHECK(plan->bound <= plan->cost.step());
    plans += everything.plans;
    ++count;
    proved += plan->proved && plan->bound == least.step;
    best += rankOf(everything.options.topology, *plan) <= least.rank;
    shortest += plan->cost.step() <= least.step;
    CHECK(plan->boundSpace.find("anywhere") != std::string::npos);
  }
  WARN(plans << " plans: of " << count << " searches " << best
             << " found the best of them, " << shortest
             << " the shortest step, " << proved << " proved both");
  CHECK(best == count);
  CHECK(proved == count);
  CHECK(plans > 20 * count);
}

TEST_CASE("small pipelines within limits against all of their plans",
          "[planner]") {
  int best = 0, infeasible = 0, count = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    Chain chain(seed);
    Everything everything(chain, seed);
    everything.options.memoryLimit = int64_t(1) << 40;
    auto roomy = partita::plan(chain.maker.graph, everything.options);
    REQUIRE(roomy);
    everything.options.memoryLimit = roomy->leastPeakBytes * 9 / 10;
    auto plan = partita::plan(chain.maker.graph, everything.options);
    const Least least = everything.cheapest();
    ++count;
    if (least.step == INT64_MAX) {
      REQUIRE(!plan);
      CHECK(plan.error().exit == ExitCode::Infeasible);
      ++infeasible;
      continue;
    }
    if (!plan)
      FAIL(plan.error().str());
    CHECK(plan->leastPeakBytes <= everything.options.memoryLimit);
    CHECK(plan->bound <= least.step);
    best += rankOf(everything.options.topology, *plan) <= least.rank &&
            plan->proved && plan->bound == least.step;
  }
  WARN("of " << count << " searches " << infeasible << " have no plan, " << best
             << " found the best and proved it");
  CHECK(best + infeasible == count);
  CHECK(infeasible < count / 2);
}

//===----------------------------------------------------------------------===//
// Limits of memory
//===----------------------------------------------------------------------===//

/// Two products of one tensor, one of what they make.
static Graph smallStep(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto size = [&] { return int64_t(8) << (random() % 5); };
  const int64_t batch = size(), in = size(), inner = size(), out = size();
  GraphMaker g;
  int x = g.input("x", {batch, in}, {"batch", ""});
  int a = g.matmul("a", x, g.parameter("wa", {in, inner}));
  if (random() % 2)
    a = g.binary("both", a, g.matmul("b", x, g.parameter("wb", {in, inner})),
                 random() % 2);
  g.output(g.matmul("c", a, g.parameter("wc", {inner, out})));
  return g.graph;
}

TEST_CASE("steps within limits against all of their plans", "[planner]") {
  int limits = 0, infeasible = 0, equal = 0;
  for (uint64_t seed = 0; limits < 500; ++seed) {
    Graph graph = smallStep(seed);
    DimClasses classes = analyseDims(graph);
    ModelBuilder builder(graph, classes, *Mesh::parse("x=2"),
                         *Topology::parse("cpu:2"), Costing(graph));
    REQUIRE(builder.addOperations(
        std::vector<std::vector<const Pin *>>(graph.ops.size())));
    builder.price();
    const Model &model = builder.model;
    MemoryRows rows = builder.memory();
    // The least time for each number of bytes.
    std::map<int64_t, int64_t> timeOf;
    std::vector<int> values(model.time.unary.size(), 0);
    for (size_t v = 0; v < values.size();) {
      std::vector<int64_t> usage = rows.usage(values);
      int64_t bytes = *std::max_element(usage.begin(), usage.end());
      int64_t time = priceShared(model, model.time, values);
      int64_t &least = timeOf.try_emplace(bytes, time).first->second;
      least = std::min(least, time);
      for (v = 0; v < values.size() &&
                  ++values[v] == static_cast<int>(model.time.unary[v].size());
           ++v)
        values[v] = 0;
    }
    std::set<int64_t> tried{timeOf.begin()->first - 1};
    for (auto [bytes, time] : timeOf)
      tried.insert(bytes);
    int64_t best = INT64_MAX;
    for (int64_t limit : tried) {
      INFO("seed " << seed << ", limit " << limit);
      if (auto it = timeOf.find(limit); it != timeOf.end())
        best = std::min(best, it->second);
      auto fitted = solveWithin(model, &rows, limit, INT64_MAX, {});
      REQUIRE(fitted);
      ++limits;
      if (best == INT64_MAX) {
        CHECK(!fitted->fits);
        ++infeasible;
        continue;
      }
      CHECK(fitted->leastBytes <= limit);
      CHECK(fitted->bound <= best);
      if (!fitted->fits)
        continue;
      CHECK(fitted->bytes <= limit);
      int64_t time = priceShared(model, model.time, fitted->solution.values);
      CHECK(time >= best);
      equal += time == best;
    }
  }
  WARN("of " << limits << " limits, " << infeasible
             << " of which leave nothing, " << equal
             << " plans have the shortest step");
  CHECK(equal > limits / 2);
}
