//===- ExpertTest.cpp - Plans as experts write them -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Expert.h"
#include "Graphs.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static Graph model() { return transformer({8, 16, 96, 6, 6, 1024, 2, true}); }

static std::vector<std::string> textsOf(const std::string &expert,
                                        int64_t ranks, const Graph &graph) {
  std::vector<std::string> texts;
  auto pins = Expert::parse(expert, ranks)->pins(graph);
  REQUIRE(pins);
  for (const Pin &pin : *pins)
    texts.push_back(pin.text);
  return texts;
}

TEST_CASE("products are cut by columns, then by rows") {
  // Heads and the MLP's inside stay in parts; residuals are whole.
  CHECK(textsOf("megatron:tp=2,dp=4", 8, model()) ==
        std::vector<std::string>{
            "*:batch=data", "layer0.qkv:n=tp", "layer0.out:k=tp",
            "layer0.fc1:n=tp", "layer0.fc2:k=tp", "layer1.qkv:n=tp",
            "layer1.out:k=tp", "layer1.fc1:n=tp", "layer1.fc2:k=tp"});
}

TEST_CASE("layers that differ in numbers only have one pin") {
  Graph graph = model();
  for (GraphOp &op : graph.ops)
    if (op.id.starts_with("layer"))
      op.id.insert(5, ".");
  CHECK(textsOf("megatron:tp=2,sp", 2, graph) ==
        std::vector<std::string>{"embed.norm:sequence=tensor",
                                 "layer.*.qkv:n=tensor", "layer.*.out:k=tensor",
                                 "layer.*.norm1:sequence=tensor",
                                 "layer.*.fc1:n=tensor", "layer.*.fc2:k=tensor",
                                 "layer.*.norm2:sequence=tensor"});
}

TEST_CASE("an expert's plan is a plan of its pins") {
  Graph graph = model();
  PlanOptions options;
  options.topology = *Topology::parse("dgx-h100");
  for (const char *text : {"megatron:tp=4", "megatron:tp=4,sp",
                           "megatron:tp=8,dp=1,sp", "megatron:dp=8"}) {
    Expert expert = *Expert::parse(text, 8);
    options.mesh = expert.mesh();
    options.pins = {};
    PlanResult free = *plan(graph, options);
    options.pins = *expert.pins(graph);
    auto pinned = plan(graph, options);
    REQUIRE(pinned);
    CHECK(pinned->cost.step() >= free.bound);
    int data = pinned->mesh.axis("data");
    int tensor = pinned->mesh.axis(expert.sequenceParallel ? "tensor" : "tp");
    CHECK((data >= 0) == (expert.data > 1));
    CHECK((tensor >= 0) == (expert.tensor > 1));
    auto takes = [&](const std::string &id, unsigned factor, int axis) {
      for (size_t o = 0; o < graph.ops.size(); ++o)
        if (graph.ops[o].id == id)
          for (auto &part : pinned->strategies[o].factors[factor].factors)
            for (int other : part.axes)
              if (other == axis)
                return true;
      return false;
    };
    // b0, m, n, k of products; d0, d1 of norms.
    CHECK(takes("layer1.fc1", 0, data) == (data >= 0));
    CHECK(takes("layer1.fc1", 2, tensor) == (tensor >= 0));
    CHECK(takes("layer1.fc2", 3, tensor) == (tensor >= 0));
    CHECK(takes("layer1.norm1", 1, tensor) == expert.sequenceParallel);
  }
}

TEST_CASE("sizes of an expert's plan") {
  Expert expert = *Expert::parse("megatron:tp=8,pp=4", 128);
  CHECK(expert.data == 4);
  CHECK(expert.mesh().str() == "pp=4,data=4,tp=8");
  CHECK(Expert::parse("megatron:sp,tp=8,dp=16", 128)->mesh().str() ==
        "data=16,tensor=8");
  CHECK(Expert::parse("megatron:tp=1", 1)->mesh().numRanks() == 1);
  for (const char *text :
       {"", "megatron", "megatron:", "alpa:tp=2", "megatron:tp",
        "megatron:tp=", "megatron:tp=0", "megatron:tp=-2", "megatron:tp=2x",
        "megatron:tp=256", "megatron:tp=2,tp=2", "megatron:zz=2",
        "megatron:tp=3", "megatron:tp=8,pp=4,dp=8", "megatron:tp=128,pp=128",
        "megatron:tp=99999999999999999999"}) {
    auto expert = Expert::parse(text, 128);
    REQUIRE(!expert);
    CHECK(expert.error().code == "plan.expert");
    CHECK(expert.error().exit == ExitCode::Usage);
  }
}

TEST_CASE("a model without products has no expert") {
  GraphMaker m;
  m.output(m.unary("u", m.input("x", {8, 16}, {"batch", ""})));
  auto pins = Expert::parse("megatron:tp=2,dp=2", 4)->pins(m.graph);
  REQUIRE(!pins);
  CHECK(pins.error().code == "plan.expert");
  CHECK(Expert::parse("megatron:dp=4", 4)->pins(m.graph)->size() == 1);
}
