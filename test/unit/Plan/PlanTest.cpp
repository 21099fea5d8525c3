//===- PlanTest.cpp -------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plans go to a file and come back; files that are not plans are refused with
// the place of what is wrong.
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Plan.h"
#include "test/unit/Planner/Graphs.h"
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>

using namespace partita;
using namespace partita::test;
using Json = nlohmann::ordered_json;

namespace {
struct Planned {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 1, true});
  PlanOptions options;
  PlanResult result;
  Plan plan;
  Planned() {
    graph.modelName = "small \"model\"\n";
    options.topology = *Topology::parse("cpu:4");
    options.mesh = *Mesh::parse("tp=2,dp=2");
    options.pins = {*Pin::parse("*fc1:n=tp")};
    options.seed = UINT64_MAX;
    result = *partita::plan(graph, options);
    plan = makePlan(graph, options, result);
    plan.peakBytes = {1, 2, 3, 4};
    plan.run = PlanRun{0.25, "here"};
  }
};
} // namespace

static std::string codeOf(const std::string &text) {
  auto plan = readPlan(text, "plan.json");
  REQUIRE(!plan);
  CHECK(plan.error().exit == ExitCode::InvalidInput);
  CHECK(plan.error().place.rfind("plan.json", 0) == 0);
  return plan.error().code;
}

TEST_CASE("a plan comes back as it was") {
  Planned planned;
  std::string text = writePlan(planned.plan);
  auto plan = readPlan(text, "plan.json");
  if (!plan)
    FAIL(plan.error().str());
  CHECK(*plan == planned.plan);
  CHECK(writePlan(*plan) == text);
  auto strategies = strategiesFor(*plan, planned.graph, "plan.json");
  REQUIRE(strategies);
  CHECK(*strategies == planned.result.strategies);
}

TEST_CASE("stages and micro-batches come back too") {
  Plan plan = Planned().plan;
  plan.microBatches = 4;
  plan.recompute = true;
  plan.cost.idle = 7'000'000;
  plan.schedule = {ScheduleKind::Interleaved, 2};
  plan.ops[3].stage = 1;
  plan.ops[4].chunk = 1;
  plan.chunks.resize(2);
  plan.chunks[0].forward = {3'000'000, 4'000'000};
  plan.chunks[1].backward = {5'000'000, 0};
  plan.chunks[1].once = {0, 6'000'000};
  auto read = readPlan(writePlan(plan), "plan.json");
  if (!read)
    FAIL(read.error().str());
  CHECK(*read == plan);
}

TEST_CASE("what others read in it") {
  Planned planned;
  Json json = Json::parse(writePlan(planned.plan));
  CHECK(json["mesh"].dump() == R"({"tp":2,"dp":2})");
  CHECK(json["predicted"]["step_seconds"].get<double>() > 0);
  CHECK(json["predicted"]["peak_bytes"].size() == 4);
  CHECK(json["bound"]["step_seconds"].get<double>() <=
        json["predicted"]["step_seconds"].get<double>());
  CHECK(json["gap"].get<double>() >= 0);
  CHECK(json["strategies"]["layer0.fc1"]["nodes"][0] == "/layer0.fc1");
  CHECK(json["strategies"]["layer0.fc1"]["factors"]["n"].dump() ==
        R"([{"size":384,"axes":["tp"]}])");
  CHECK(json["run"]["seconds"] == 0.25);
}

TEST_CASE("a plan for another model") {
  Planned planned;
  auto code = [&](const Plan &plan, const Graph &graph) {
    auto strategies = strategiesFor(plan, graph, "plan.json");
    REQUIRE(!strategies);
    CHECK(strategies.error().exit == ExitCode::InvalidInput);
    return strategies.error().code;
  };
  Graph deeper = transformer({4, 16, 96, 6, 6, 1021, 2, true});
  CHECK(code(planned.plan, deeper) == "plan.other-model");
  Plan missing = planned.plan;
  missing.ops.pop_back();
  CHECK(code(missing, planned.graph) == "plan.other-model");
  Plan extra = planned.plan;
  extra.ops.push_back({"ghost", "nn.add", {}, {}});
  CHECK(code(extra, planned.graph) == "plan.other-model");
  // The same operations with other sizes.
  Graph wider = transformer({4, 16, 192, 6, 6, 1021, 1, true});
  CHECK(code(planned.plan, wider) == "plan.illegal");
  CHECK(modelIdentity(wider) != modelIdentity(planned.graph));
  CHECK(modelIdentity(planned.graph) == planned.plan.modelIdentity);
}

TEST_CASE("strategies that the rule does not allow") {
  Planned planned;
  auto check = [&](auto change) {
    Plan plan = planned.plan;
    auto it = std::find_if(plan.ops.begin(), plan.ops.end(),
                           [](auto &op) { return op.id == "layer0.fc1"; });
    REQUIRE(it != plan.ops.end());
    change(*it);
    auto strategies = strategiesFor(plan, planned.graph, "plan.json");
    REQUIRE(!strategies);
    CHECK(strategies.error().code == "plan.illegal");
    CHECK(strategies.error().place.find("layer0.fc1") != std::string::npos);
  };
  check([](PlannedOp &op) { op.factors.push_back({"zz", {{{4, {0}}}}}); });
  check([](PlannedOp &op) { op.factors = {{"n", {{{385, {0}}}}}}; });
  check([](PlannedOp &op) { op.factors = {{"n", {{{384, {0, 0}}}}}}; });
  check([](PlannedOp &op) { op.factors = {{"n", {{{384, {7}}}}}}; });
  check([](PlannedOp &op) { op.factors = {{"n", {}}}; });
  check([](PlannedOp &op) {
    op.factors = {{"n", {{{384, {0}}}}}, {"k", {{{96, {0}}}}}};
  });
}

TEST_CASE("hostile files") {
  Planned planned;
  std::string text = writePlan(planned.plan);
  CHECK(codeOf("") == "plan.syntax");
  CHECK(codeOf("[]") == "plan.field");
  CHECK(codeOf("null") == "plan.field");
  CHECK(codeOf(text + "x") == "plan.syntax");
  CHECK(codeOf(std::string(1 << 20, '[')) == "plan.syntax");
  CHECK(codeOf(std::string(100, '[') + std::string(100, ']')) == "plan.syntax");
  CHECK(codeOf(R"({"format": "partita-plan", "format": 1})") == "plan.syntax");
  CHECK(codeOf(R"({"format": "other"})") == "plan.field");
  CHECK(codeOf(R"({"format": "partita-plan", "version": 2})") == "plan.field");
  auto changed = [&](auto change) {
    Json json = Json::parse(text);
    change(json);
    return codeOf(json.dump());
  };
  CHECK(changed([](Json &j) { j.erase("mesh"); }) == "plan.field");
  CHECK(changed([](Json &j) { j["mesh"]["tp"] = 0; }) == "plan.field");
  CHECK(changed([](Json &j) { j["mesh"]["tp"] = 1e300; }) == "plan.field");
  CHECK(changed([](Json &j) { j["mesh"]["a b"] = 2; }) == "plan.field");
  CHECK(changed([](Json &j) { j["mesh"] = Json::array(); }) == "plan.field");
  CHECK(changed([](Json &j) { j["gap"] = -1; }) == "plan.field");
  CHECK(changed([](Json &j) { j["gap"] = "0"; }) == "plan.field");
  CHECK(changed([](Json &j) { j["seed"] = -1; }) == "plan.field");
  CHECK(changed([](Json &j) { j["extra"] = 1; }) == "plan.field");
  CHECK(changed([](Json &j) { j["predicted"]["step_seconds"] = 1e7; }) ==
        "plan.field");
  CHECK(changed([](Json &j) { j["predicted"]["step_seconds"] = 5; }) ==
        "plan.field");
  CHECK(changed([](Json &j) { j["predicted"]["peak_bytes"][0] = -4; }) ==
        "plan.field");
  auto factor = [&](Json value) {
    return changed([&](Json &j) {
      j["strategies"]["layer0.fc1"]["factors"]["n"] = value;
    });
  };
  CHECK(factor(3) == "plan.field");
  CHECK(factor({{{"size", 0}}}) == "plan.field");
  CHECK(factor({{{"size", -5}}}) == "plan.field");
  CHECK(factor({{{"size", UINT64_MAX}}}) == "plan.field");
  CHECK(factor({{{"size", INT64_MAX}}, {{"size", INT64_MAX}}}) == "plan.field");
  CHECK(factor({{{"size", 4}, {"axes", {"zz"}}}}) == "plan.field");
  CHECK(factor({{{"size", 4}, {"axes", "tp"}}}) == "plan.field");
}

TEST_CASE("damaged files never crash") {
  Planned planned;
  std::string text = writePlan(planned.plan);
  std::mt19937_64 random(1);
  for (size_t length = 0; length < text.size(); length += 97)
    CHECK(!readPlan(text.substr(0, length), "plan.json"));
  for (int round = 0; round < 500; ++round) {
    std::string damaged = text;
    for (int i = 0; i < 3; ++i)
      damaged[random() % damaged.size()] = static_cast<char>(random());
    auto plan = readPlan(damaged, "plan.json");
    if (plan) { // A digit or a name: then the model decides.
      auto strategies = strategiesFor(*plan, planned.graph, "plan.json");
      CHECK((!strategies || strategies->size() == planned.graph.ops.size()));
    }
  }
}

TEST_CASE("names that are not text do not throw") {
  Planned planned;
  planned.plan.ops[0].id = "\xff\xfe";
  CHECK(!writePlan(planned.plan).empty());
}
