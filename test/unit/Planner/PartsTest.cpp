//===- PartsTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Chain.h"
#include "lib/Planner/Leaves.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace partita;
using namespace partita::planner;
using test::transformer;

namespace {
/// A window of which all strategies are known: what each place takes.
class SmallWindow {
public:
  explicit SmallWindow(std::mt19937_64 &random) : random(random) {
    size_t count = 1 + random() % 4;
    places = 1 + random() % 3;
    for (size_t s = 0; s < count; ++s)
      strategies.push_back(numbers(100));
  }
  std::vector<ByPhase> numbers(int64_t below) {
    std::vector<ByPhase> list;
    auto number = [&] { return static_cast<int64_t>(random() % below); };
    for (size_t place = 0; place < places; ++place)
      list.push_back({number(), number(), number(), number()});
    return list;
  }
  /// g(counts), of micro-batches that take `smaller` of the time.
  double least(const Counts &counts, double smaller = 1) const {
    double best = 1e300;
    for (const std::vector<ByPhase> &times : strategies) {
      double sum = 0;
      for (size_t p = 0; p < places; ++p)
        sum += smaller *
                   static_cast<double>(counts[p].forward * times[p].forward +
                                       counts[p].backward * times[p].backward +
                                       counts[p].weight * times[p].weight) +
               static_cast<double>(counts[p].once * times[p].once);
      best = std::min(best, sum);
    }
    return best;
  }
  Part part() const {
    Part part;
    part.least = strategies[0];
    for (const std::vector<ByPhase> &times : strategies)
      for (size_t p = 0; p < places; ++p) {
        ByPhase &least = part.least[p];
        least.forward = std::min(least.forward, times[p].forward);
        least.backward = std::min(least.backward, times[p].backward);
        least.weight = std::min(least.weight, times[p].weight);
        least.once = std::min(least.once, times[p].once);
      }
    return part;
  }

private:
  std::mt19937_64 &random;
  size_t places;
  std::vector<std::vector<ByPhase>> strategies;
};
} // namespace

TEST_CASE("no copy takes less than its part says", "[planner]") {
  std::mt19937_64 random(1);
  int equal = 0;
  for (int round = 0; round < 2000; ++round) {
    INFO("round " << round);
    SmallWindow window(random);
    Part part = window.part();
    std::vector<CountsOfCopies> copies;
    for (int i = 0; i < 5; ++i)
      copies.push_back({window.numbers(4), 1 + static_cast<int>(random() % 3)});
    for (const Counts &counts : part.worthKnowing(copies))
      part.known.push_back(
          {counts, static_cast<int64_t>(window.least(counts))});
    CHECK(!part.known.empty());
    CHECK(part.known.size() <= 5);
    for (const auto &[counts, times] : copies) {
      CHECK(part.bound(counts) <= window.least(counts));
      CHECK(part.bound(counts, 0.5) <= window.least(counts, 0.5));
      equal += part.bound(counts) >= window.least(counts) * (1 - 1e-6);
    }
    // Half and twice as much of what is known is known, too.
    Counts twice = part.known[0].counts;
    for (ByPhase &count : twice)
      count += count;
    CHECK(part.bound(twice) >=
          2 * static_cast<double>(part.known[0].bound) * (1 - 1e-6));
  }
  CHECK(equal > 5000);
}

/// The bound of a leaf, if layers are `named` so that none is like another.
static int64_t boundOf(Graph graph, bool named, Leaf leaf) {
  for (size_t o = 0; named && o < graph.ops.size(); ++o)
    graph.ops[o].kind += std::to_string(o);
  Steps steps(graph);
  const Topology topology = *Topology::parse("l40sx8");
  ReshardPool reshards(topology);
  REQUIRE(Prober(topology, steps, reshards).probe(leaf));
  CHECK((leaf.outline->windows.all.size() > 1) == !named);
  return leaf.bound;
}

/// A training step of equal layers.
static Graph equalLayers() {
  Graph graph = test::Chain(3, 26, 256, 16384).maker.graph;
  for (GraphOp &op : graph.ops)
    for (std::string name : {"gradient", "backward"})
      if (op.id.rfind(name, 0) == 0)
        op.id = "forward" + op.id.substr(name.size()) + "/grad." + name;
  return graph;
}

TEST_CASE("layers that repeat take no more than if they did not", "[planner]") {
  const Graph inference = transformer({16, 64, 768, 12, 12, 1021, 13, true}),
              training = equalLayers();
  int equal = 0, count = 0;
  for (const char *mesh : {"pp=2,x=4", "pp=4,x=2"})
    for (int64_t m : {2, 4, 8})
      for (const char *schedule :
           {"", "1f1b", "interleaved:2", "interleaved:4", "zb-h1", "zb-v"}) {
        const bool trains = *schedule != 0;
        Leaf leaf;
        leaf.mesh = *Mesh::parse(mesh);
        leaf.execution.stages = leaf.mesh.numStages();
        leaf.execution.microBatches = m;
        if (trains)
          leaf.execution.schedule = *ScheduleChoice::parse(schedule);
        if (!checkShape(shapeOf(leaf.execution, trains)))
          continue;
        INFO(mesh << ", " << m << " micro-batches, " << schedule);
        const Graph &graph = trains ? training : inference;
        const int64_t different = boundOf(graph, true, leaf),
                      alike = boundOf(graph, false, leaf);
        // At its edge a window says a little more than inside, where uses may
        // be in another stage.
        CHECK(static_cast<double>(alike) <=
              1.1 * static_cast<double>(different));
        equal +=
            static_cast<double>(alike) >= 0.8 * static_cast<double>(different);
        ++count;
      }
  CHECK(count > 20);
  CHECK(equal > count / 2);
}
