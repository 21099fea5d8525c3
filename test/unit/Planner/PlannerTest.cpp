//===- PlannerTest.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plans of models whose good plans are known, and promises about every plan.
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Planner.h"
#include "Graphs.h"
#include "lib/Planner/Fit.h"
#include "lib/Planner/Meshes.h"
#include "partita/Reshard/Reshard.h"
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <set>

using namespace partita;
using namespace partita::test;

static PlanOptions onRanks(const std::string &topology,
                           const std::string &mesh = "") {
  PlanOptions options;
  options.topology = *Topology::parse(topology);
  if (!mesh.empty())
    options.mesh = *Mesh::parse(mesh);
  return options;
}

static PlanResult planned(const Graph &graph, const PlanOptions &options) {
  auto result = plan(graph, options);
  if (!result)
    FAIL(result.error().str());
  return *result;
}

/// Share of the products' flops that rank 0 computes.
static double matmulShare(const Graph &graph, const PlanResult &plan) {
  double all = 0, mine = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (op.kernelClass != KernelClass::Gemm)
      continue;
    double share = 1;
    for (size_t f = 0; f < op.rule.factors.size(); ++f)
      for (const FactorSharding &part : plan.strategies[o].factors[f].factors)
        if (op.rule.factors[f].kind != FactorKind::Linear)
          share *= static_cast<double>(
                       shardInterval(
                           part.size, part.axes, plan.mesh,
                           std::vector<int64_t>(plan.mesh.axisSizes.size(), 0))
                           .size()) /
                   static_cast<double>(part.size);
    all += static_cast<double>(op.flops);
    mine += static_cast<double>(op.flops) * share;
  }
  return mine / all;
}

static double weightShare(const Graph &graph, const PlanResult &plan) {
  double all = 0, mine = 0;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    if (graph.ops[o].role == OpRole::Parameter) {
      Sharding sharding =
          resultSharding(graph.ops[o].rule, plan.strategies[o], 0);
      all += static_cast<double>(GraphMaker::count(sharding.globalShape()));
      mine +=
          static_cast<double>(maxLocalBytes(sharding, plan.mesh, DType::U8));
    }
  return mine / all;
}

/// How often each kind of collective occurs in the plan.
static std::map<std::string, int> moves(const Graph &graph,
                                        const PlanResult &plan) {
  std::map<std::string, int> counts;
  Topology topology =
      *Topology::parse("cpu:" + std::to_string(plan.mesh.numRanks()));
  ReshardPlanner reshard(plan.mesh, CollectiveCost(topology, plan.mesh));
  auto go = [&](DType dtype, const Sharding &from, const Sharding &to) {
    auto path = reshard.path(dtype, from, to);
    REQUIRE(path);
    for (const Move &move : path->moves)
      ++counts[moveKindName(move.kind)];
  };
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (size_t r = 0; r < graph.ops[o].results.size(); ++r) {
      int value = graph.ops[o].results[r];
      DType dtype = graph.values[value].dtype;
      Sharding have = resultSharding(graph.ops[o].rule, plan.strategies[o], r);
      std::vector<Sharding> demands;
      for (size_t u = 0; u < graph.ops.size(); ++u)
        for (size_t i = 0; i < graph.ops[u].operands.size(); ++i)
          if (graph.ops[u].operands[i] == value) {
            Sharding wanted = canonical(
                operandSharding(graph.ops[u].rule, plan.strategies[u], i),
                plan.mesh);
            if (std::find(demands.begin(), demands.end(), wanted) ==
                demands.end())
              demands.push_back(wanted);
          }
      Sharding shared = *reshard.sharedLayout(dtype, have, demands);
      if (demands.size() == 1)
        shared = have;
      go(dtype, have, shared);
      for (const Sharding &demand : demands)
        go(dtype, shared, demand);
    }
  return counts;
}

static int count(const std::map<std::string, int> &counts,
                 const std::string &kind) {
  auto it = counts.find(kind);
  return it == counts.end() ? 0 : it->second;
}

static std::string describe(const Graph &graph, const PlanResult &plan) {
  std::string text;
  for (size_t o = 0; o < graph.ops.size(); ++o)
    text += graph.ops[o].id + ": " +
            plan.strategies[o].str(graph.ops[o].rule, plan.mesh) + "\n";
  return text;
}

TEST_CASE("bert over tensor parallel ranks") {
  Graph graph = transformer({1, 128, 768, 12, 12, 30522, 2});
  for (int ranks : {2, 3, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(plan.proved);
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
    CHECK(weightShare(graph, plan) <= 1.1 / ranks);
    auto counts = moves(graph, plan);
    CHECK(count(counts, "all_to_all") == 0);
    CHECK(count(counts, "permute") == 0);
    // Two reductions a layer, whole or in halves, and the gather of the
    // embedding's columns.
    CHECK(count(counts, "all_reduce") + count(counts, "reduce_scatter") == 4);
    CHECK(count(counts, "all_gather") == count(counts, "reduce_scatter") + 1);
    CHECK(plan.bound <= plan.cost.step());
    CHECK(plan.gap < 0.02);
  }
}

TEST_CASE("a fused projection is split by heads") {
  Graph graph = transformer({1, 128, 768, 12, 12, 50257, 2, true});
  for (int ranks : {2, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(count(moves(graph, plan), "all_to_all") == 0);
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
    CHECK(weightShare(graph, plan) <= 1.1 / ranks);
  }
}

TEST_CASE("grouped queries") {
  Graph graph = transformer({1, 128, 768, 12, 4, 32000, 2});
  for (int ranks : {2, 4}) {
    std::string n = std::to_string(ranks);
    PlanResult plan = planned(graph, onRanks("cpu:" + n, "tp=" + n));
    INFO(describe(graph, plan));
    CHECK(matmulShare(graph, plan) <= 1.05 / ranks);
  }
}

TEST_CASE("a batch is split without a collective") {
  Graph graph = transformer({8, 64, 256, 4, 4, 1021, 1});
  PlanResult plan = planned(graph, onRanks("cpu:2", "dp=2"));
  INFO(describe(graph, plan));
  auto counts = moves(graph, plan);
  CHECK(counts.empty());
  CHECK(matmulShare(graph, plan) == 0.5);
  CHECK(weightShare(graph, plan) == 1);
}

TEST_CASE("two axes") {
  Graph graph = transformer({4, 64, 384, 6, 6, 1021, 2});
  PlanResult plan = planned(graph, onRanks("cpu:4", "dp=2,tp=2"));
  INFO(describe(graph, plan));
  CHECK(plan.proved);
  CHECK(matmulShare(graph, plan) == Approx(0.25));
  CHECK(count(moves(graph, plan), "all_to_all") == 0);
}

TEST_CASE("without a mesh one is found and named") {
  Graph graph = transformer({8, 64, 256, 4, 4, 1021, 2});
  for (std::string topology : {"cpu:1", "cpu:2", "cpu:3", "cpu:4"}) {
    PlanResult plan = planned(graph, onRanks(topology));
    CHECK(plan.proved);
    CHECK(plan.mesh.numRanks() == onRanks(topology).topology.numRanks());
    CHECK(plan.bound <= plan.cost.step());
    // The same by name.
    PlanResult again = planned(graph, onRanks(topology, plan.mesh.str()));
    CHECK(again.cost.step() <= plan.cost.step() * 1.001);
  }
}

TEST_CASE("depth is cheap") {
  Graph graph = transformer({1, 128, 768, 12, 12, 30522, 96});
  auto start = std::chrono::steady_clock::now();
  PlanResult plan = planned(graph, onRanks("cpu:2", "tp=2"));
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  INFO(graph.ops.size() << " operations in " << seconds << " s");
  CHECK(graph.ops.size() > 4000);
  // A tenth of it is usual; a loaded machine takes longer.
  CHECK(seconds < 5);
  CHECK(plan.proved);
  CHECK(plan.gap < 0.01);
}

//===----------------------------------------------------------------------===//
// Promises about every plan
//===----------------------------------------------------------------------===//

static Graph perceptron(int64_t batch, int64_t width) {
  GraphMaker g;
  int x = g.input("x", {batch, width}, {"batch", ""});
  int h = g.matmul("fc1", x, g.parameter("w1", {width, 2 * width}));
  h = g.binary("add", h, g.parameter("b1", {2 * width}), true);
  h = g.unary("gelu", h);
  int y = g.matmul("fc2", h, g.parameter("w2", {2 * width, width}));
  g.output(g.binary("residual", y, x, true));
  return g.graph;
}

TEST_CASE("no random plan is below the bound") {
  std::vector<Graph> graphs{perceptron(6, 12), perceptron(64, 512),
                            transformer({6, 10, 96, 6, 2, 1021, 1})};
  for (const Graph &graph : graphs)
    for (std::string mesh : {"x=2", "x=3", "dp=2,tp=2", "x=2,y=3"}) {
      Mesh parsed = *Mesh::parse(mesh);
      std::string topology = "cpu:" + std::to_string(parsed.numRanks());
      PlanOptions options = onRanks(topology, mesh);
      PlanResult best = planned(graph, options);
      CHECK(best.bound <= best.cost.step());
      CHECK(best.gap < 0.1);
      options.randomStrategies = true;
      std::set<std::vector<Strategy>> different;
      for (options.seed = 0; options.seed < 30; ++options.seed) {
        PlanResult random = planned(graph, options);
        different.insert(random.strategies);
        CHECK(random.cost.step() >= best.bound);
        for (size_t o = 0; o < graph.ops.size(); ++o)
          REQUIRE(checkStrategy(graph.ops[o].rule, random.strategies[o], parsed,
                                ""));
      }
      CHECK(different.size() == 30);
    }
}

TEST_CASE("no other plan of a small model is better") {
  Graph graph = perceptron(64, 512);
  for (std::string mesh : {"tp=2", "dp=2", "x=2"}) {
    PlanResult best = planned(graph, onRanks("cpu:2", mesh));
    INFO(describe(graph, best));
    // Every single change, and every pair of changes, of all that random plans
    // ever do.
    std::vector<std::set<Strategy>> seen(graph.ops.size());
    PlanOptions options = onRanks("cpu:2", mesh);
    options.randomStrategies = true;
    for (options.seed = 0; options.seed < 100; ++options.seed) {
      PlanResult random = planned(graph, options);
      for (size_t o = 0; o < graph.ops.size(); ++o)
        seen[o].insert(random.strategies[o]);
    }
    for (size_t a = 0; a < seen.size(); ++a)
      for (const Strategy &first : seen[a])
        for (size_t b = a; b < seen.size(); ++b)
          for (const Strategy &second : seen[b]) {
            std::vector<Strategy> strategies = best.strategies;
            strategies[a] = first;
            strategies[b] = second;
            auto cost =
                evaluate(graph, options.topology, *options.mesh, strategies);
            REQUIRE(cost);
            REQUIRE(cost->step() >= best.bound);
          }
  }
}

TEST_CASE("what operations cost sums to what the plan does") {
  Graph graph = transformer({4, 16, 96, 6, 2, 1021, 2});
  PlanOptions options = onRanks("cpu:4", "x=2,y=2");
  options.randomStrategies = true;
  for (options.seed = 0; options.seed < 20; ++options.seed) {
    PlanResult random = planned(graph, options);
    auto parts =
        evaluateParts(graph, options.topology, random.mesh, random.strategies);
    REQUIRE(parts);
    REQUIRE(parts->size() == graph.ops.size());
    PlanCost sum;
    for (const PlanCost &part : *parts)
      sum += part;
    CHECK(sum == random.cost);
  }
}

TEST_CASE("the same plan every time") {
  Graph graph = transformer({4, 16, 96, 6, 2, 1021, 2});
  for (std::string mesh : {"", "x=2,y=2"}) {
    PlanResult first = planned(graph, onRanks("cpu:4", mesh));
    PlanResult second = planned(graph, onRanks("cpu:4", mesh));
    CHECK(first.strategies == second.strategies);
    CHECK(first.mesh == second.mesh);
    CHECK(first.bound == second.bound);
  }
}

//===----------------------------------------------------------------------===//
// Axis names and pins
//===----------------------------------------------------------------------===//

static const Strategy &strategyOf(const Graph &graph, const PlanResult &plan,
                                  const std::string &id) {
  for (size_t o = 0; o < graph.ops.size(); ++o)
    if (graph.ops[o].id == id)
      return plan.strategies[o];
  FAIL("no operation " + id);
  return plan.strategies[0];
}

TEST_CASE("reserved axes split only what they may") {
  Graph graph = transformer({6, 12, 96, 6, 6, 1021, 1});
  PlanOptions options = onRanks("cpu:12", "dp=2,sp=2,tp=3");
  options.randomStrategies = true;
  auto axisOf = [&](const PlanResult &plan, const std::string &id, size_t f) {
    std::string text;
    for (auto &part : strategyOf(graph, plan, id).factors[f].factors)
      for (int axis : part.axes)
        text += plan.mesh.axisNames[axis];
    return text;
  };
  std::set<std::string> batch, sequence, columns, rows;
  for (options.seed = 0; options.seed < 40; ++options.seed) {
    PlanResult plan = planned(graph, options);
    batch.insert(axisOf(plan, "layer0.fc1", 0));
    sequence.insert(axisOf(plan, "layer0.fc1", 1));
    columns.insert(axisOf(plan, "layer0.fc1", 2));
    rows.insert(axisOf(plan, "layer0.fc1", 3));
  }
  CHECK(batch == std::set<std::string>{"", "dp"});
  CHECK(sequence == std::set<std::string>{"", "sp"});
  CHECK(columns == std::set<std::string>{"", "tp"});
  CHECK(rows == std::set<std::string>{"", "tp"});
  // An axis that nothing may use is legal and reported.
  PlanResult idle = planned(graph, onRanks("cpu:2", "ep=2"));
  REQUIRE(idle.notes.size() == 1);
  CHECK(idle.notes[0].find("'ep'") != std::string::npos);
}

TEST_CASE("what attention sums over is a sequence, whatever its name") {
  Graph graph = transformer({6, 12, 96, 6, 6, 1021, 1});
  for (GraphValue &value : graph.values)
    if (value.dimNames.size() > 1)
      value.dimNames[1] = "target";
  PlanOptions options = onRanks("cpu:2", "tp=2");
  options.randomStrategies = true;
  for (options.seed = 0; options.seed < 20; ++options.seed) {
    PlanResult plan = planned(graph, options);
    for (auto &part : strategyOf(graph, plan, "layer0.fc1").factors[1].factors)
      CHECK(part.axes.empty());
  }
}

TEST_CASE("stacks of weights are experts") {
  GraphMaker g;
  int x = g.input("x", {4, 60, 96}, {"copies", "tokens", "width"});
  g.output(g.matmul("experts", x, g.parameter("w", {4, 96, 384})));
  PlanResult plan = planned(g.graph, onRanks("cpu:2", "ep=2"));
  CHECK(plan.notes.empty());
  const Strategy &strategy = strategyOf(g.graph, plan, "experts");
  CHECK(strategy.factors[0].factors[0].axes.size() == 1);
}

TEST_CASE("merged batch and sequence keep both classes") {
  GraphMaker g;
  int x = g.input("x", {4, 6, 16}, {"batch", "sequence", ""});
  int flat = g.reshape("flat", x, {24, 16});
  int y = g.matmul("fc", flat, g.parameter("w", {16, 16}));
  g.output(g.reshape("back", y, {4, 6, 16}));
  PlanResult plan = planned(g.graph, onRanks("cpu:2", "dp=2"));
  CHECK(strategyOf(g.graph, plan, "fc").factors[0] ==
        DimSharding{{{4, {0}}, {6, {}}}});
  plan = planned(g.graph, onRanks("cpu:2", "sp=2"));
  CHECK(strategyOf(g.graph, plan, "fc").factors[0] ==
        DimSharding{{{4, {}}, {6, {0}}}});
  CHECK(moves(g.graph, plan).empty());
}

TEST_CASE("pins bind") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 1, true});
  auto pinned = [&](std::vector<std::string> texts) {
    PlanOptions options = onRanks("cpu:2", "tp=2");
    for (const std::string &text : texts)
      options.pins.push_back(*Pin::parse(text));
    return plan(graph, options);
  };
  auto result = pinned({"layer0.fc1:k=tp"});
  REQUIRE(result);
  CHECK(strategyOf(graph, *result, "layer0.fc1").factors[3].factors[0].axes ==
        std::vector<int>{0});
  CHECK(result->boundSpace.find("1 pins") != std::string::npos);
  result = pinned({"/layer0.qkv:n.1=tp"});
  REQUIRE(result);
  CHECK(strategyOf(graph, *result, "layer0.qkv").factors[2] ==
        DimSharding{{{3, {}}, {6, {0}}, {16, {}}}});
  result = pinned({"*fc?:replicated"});
  REQUIRE(result);
  for (const DimSharding &factor :
       strategyOf(graph, *result, "layer0.fc1").factors)
    CHECK(factor.isReplicated());

  auto code = [&](std::vector<std::string> texts) {
    auto result = pinned(texts);
    REQUIRE(!result);
    return result.error().code + " " +
           std::to_string(static_cast<int>(result.error().exit));
  };
  CHECK(code({"nothing*:k=tp"}) == "plan.pin 1");
  CHECK(code({"*fc1:zz=tp"}) == "plan.pin 1");
  CHECK(code({"*fc1:k=dp"}) == "plan.pin 1");
  CHECK(code({"*fc1:k=tp", "*fc1:n=tp"}) == "plan.pins-conflict 4");
  CHECK(code({"*fc1:b0=tp"}) == "plan.pins-conflict 4");
  for (std::string text : {"", "x", ":k=tp", "a:", "a:k", "a:=tp", "a:k="}) {
    auto pin = Pin::parse(text);
    REQUIRE(!pin);
    CHECK(pin.error().exit == ExitCode::Usage);
  }
}

TEST_CASE("pins of what dimensions are") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 1, true});
  PlanOptions options = onRanks("cpu:4", "x=2,y=2");
  for (const char *text : {"*:batch=x", "*norm?:sequence=y"})
    options.pins.push_back(*Pin::parse(text));
  PlanResult plan = planned(graph, options);
  for (const char *id : {"layer0.fc1", "layer0.norm1", "layer0.attention"})
    CHECK(strategyOf(graph, plan, id).factors[0].factors[0].axes ==
          std::vector<int>{0});
  CHECK(strategyOf(graph, plan, "layer0.norm2").factors[1].factors[0].axes ==
        std::vector<int>{1});
  options.pins = {*Pin::parse("*:experts=x")};
  auto none = partita::plan(graph, options);
  REQUIRE(!none);
  CHECK(none.error().code == "plan.pin");
}

TEST_CASE("weights that are states have no batch") {
  GraphMaker m;
  int x = m.input("x", {8, 32}, {"batch", ""}), w = m.input("w", {32, 64}, {});
  size_t state = m.graph.ops.size() - 1;
  m.output(m.matmul("product", x, w));
  m.output(m.unary("update", w));
  m.graph.ops[state].nextState = static_cast<int>(m.graph.ops.size()) - 1;
  PlanOptions options = onRanks("cpu:2", "dp=2");
  options.randomStrategies = true;
  for (options.seed = 0; options.seed < 20; ++options.seed) {
    PlanResult plan = planned(m.graph, options);
    for (const DimSharding &factor :
         strategyOf(m.graph, plan, "input:w").factors)
      CHECK(factor.isReplicated());
  }
}

TEST_CASE("what cannot be planned") {
  Graph graph = perceptron(6, 12);
  auto wrong = plan(graph, onRanks("cpu:4", "tp=2"));
  REQUIRE(!wrong);
  CHECK(wrong.error().code == "plan.mesh-size");
  CHECK(wrong.error().exit == ExitCode::Usage);
  Graph broken = graph;
  broken.ops.back().operands[0] = 99;
  wrong = plan(broken, onRanks("cpu:2"));
  REQUIRE(!wrong);
  CHECK(wrong.error().code == "plan.graph");
  auto illegal =
      evaluate(graph, *Topology::parse("cpu:2"), *Mesh::parse("tp=2"), {});
  REQUIRE(!illegal);
  CHECK(illegal.error().code == "plan.illegal");
}

TEST_CASE("an empty graph") {
  PlanResult result = planned({}, onRanks("cpu:2"));
  CHECK(result.strategies.empty());
  CHECK(result.gap == 0);
}

TEST_CASE("meshes of machines with levels", "[planner]") {
  auto texts = [](const char *machine, int axes) {
    std::vector<std::string> list;
    for (const Mesh &mesh : planner::meshesOf(*Topology::parse(machine), axes))
      list.push_back(mesh.str());
    return list;
  };
  using Texts = std::vector<std::string>;
  CHECK(texts("cpu:1", 2) == Texts{"x=1"});
  CHECK(texts("cpu:7", 3) == Texts{"x=7"});
  // Threads are all alike: the order of axes says nothing.
  CHECK(texts("cpu:8", 2) == Texts{"x=8", "x=2,y=4"});
  CHECK(texts("cpu:8", 3) == Texts{"x=8", "x=2,y=4", "x=2,y=2,z=2"});
  // Between machines and within them are different links.
  CHECK(texts("dgx-h100x2", 2) ==
        Texts{"x=16", "x=2,y=8", "x=4,y=4", "x=8,y=2"});
}

TEST_CASE("plans keep to the memory there is", "[planner]") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 3, true});
  PlanOptions options = onRanks("cpu:4", "x=2,y=2");
  options.memoryLimit = int64_t(1) << 40;
  auto roomy = plan(graph, options);
  REQUIRE(roomy);
  CHECK(roomy->leastPeakBytes > 0);
  int64_t least = 0, before = roomy->cost.step();
  for (int64_t limit = roomy->leastPeakBytes; limit > 0;
       limit = limit * 9 / 10) {
    options.memoryLimit = limit;
    auto tight = plan(graph, options);
    if (!tight) {
      CHECK(tight.error().exit == ExitCode::Infeasible);
      least = limit;
      break;
    }
    CHECK(tight->leastPeakBytes <= limit);
    CHECK(tight->bound <= tight->cost.step());
    // What fits into less fits into more: no bound is above a better plan.
    CHECK(roomy->bound <= tight->cost.step());
    CHECK(tight->cost.step() >= roomy->cost.step());
    before = tight->cost.step();
  }
  CHECK(least > 0);
  CHECK(before > roomy->cost.step());
  // A quarter of the weights must be somewhere.
  CHECK(least * 4 > roomy->residentBytes / 4);
}

TEST_CASE("states come back to where the next step reads them", "[planner]") {
  // w' = w + gradient, which has been summed into shards.
  auto stepOf = [](bool isState) {
    GraphMaker g;
    int w = g.input("w", {96, 96}, {"", ""});
    int x = g.input("x", {96, 96}, {"", ""});
    g.output(g.binary("update", w, x, false));
    if (isState)
      g.graph.ops[0].nextState = static_cast<int>(g.graph.ops.size()) - 1;
    return g.graph;
  };
  Graph graph = stepOf(true), apart = stepOf(false);
  PlanOptions options = onRanks("cpu:2", "x=2");
  options.memoryLimit = int64_t(1) << 40;
  // Read whole and left in shards: only a state pays for it.
  for (const char *pin : {"input:w:replicated", "output*:d0=x"})
    options.pins.push_back(*Pin::parse(pin));
  auto state = plan(graph, options), free = plan(apart, options);
  REQUIRE(state);
  REQUIRE(free);
  CHECK(state->cost.communication > free->cost.communication);
  CHECK(state->cost ==
        *evaluate(graph, options.topology, state->mesh, state->strategies));
  // And it is there all the time.
  CHECK(state->residentBytes == 96 * 96 * 4);
  CHECK(free->residentBytes == 0);
  // Nothing else is.
  graph.ops[0].nextState = 1;
  CHECK(plan(graph, options).error().code == "plan.graph");
}

TEST_CASE("bounds under a memory limit hold for every plan that fits",
          "[planner]") {
  using namespace partita::planner;
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 2, true});
  DimClasses classes = analyseDims(graph);
  for (const char *text : {"x=2", "x=2,y=2"}) {
    Mesh mesh = *Mesh::parse(text);
    Topology machine =
        *Topology::parse("cpu:" + std::to_string(mesh.numRanks()));
    ModelBuilder builder(graph, classes, mesh, machine, Costing(graph));
    REQUIRE(builder.addOperations(
        std::vector<std::vector<const Pin *>>(graph.ops.size())));
    builder.price();
    MemoryRows rows = builder.memory();
    auto within = [&](int64_t limit) {
      return *solveWithin(builder.model, &rows, limit, INT64_MAX, {});
    };
    Fitted roomy = within(int64_t(1) << 40);
    int64_t below = roomy.bytes;
    for (int step = 0; step < 12; ++step, below = below * 19 / 20) {
      Fitted fitted = within(below);
      if (!fitted.fits)
        break;
      CHECK(fitted.bytes <= below);
      CHECK(fitted.bound >= roomy.bound);
      CHECK(fitted.bound <=
            priceOf(builder.model.time, fitted.solution.values));
      std::vector<int64_t> usage = rows.usage(fitted.solution.values);
      CHECK(fitted.bytes == *std::max_element(usage.begin(), usage.end()));
    }
    CHECK(below < roomy.bytes);
  }
}
