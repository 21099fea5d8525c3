//===- DiagnosisTests.cpp - Which rank is to blame ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Diagnosis.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::runtime;
using Kind = RankState::Kind;

namespace {

RankState state(int64_t rank, Kind kind, std::vector<int64_t> waitsFor = {}) {
  RankState made;
  made.rank = rank;
  made.kind = kind;
  made.waitsFor = std::move(waitsFor);
  made.doing = kind == Kind::Idle ? "" : "command 4, all_reduce @y (nodes Y)";
  made.last = "command 3, kernel @x (nodes X)";
  if (kind == Kind::Failed)
    made.error = makeError(ExitCode::InvalidInput, "weights.missing",
                           "rank " + std::to_string(rank), "gone", "look");
  return made;
}

} // namespace

TEST_CASE("the one who waits for nobody is late", "[diagnosis]") {
  // 0 noticed, 1 waits too; 2 keeps 1 waiting.
  Error error = diagnose({state(0, Kind::Waiting, {1}),
                          state(1, Kind::Waiting, {2}), state(2, Kind::Busy)},
                         5);
  CHECK(error.code == "run.timeout");
  CHECK(error.place == "rank 2");
  CHECK(error.exit == ExitCode::DistributedFault);
  CHECK_THAT(error.message, Catch::Contains("within 5 s"));
  CHECK_THAT(error.message, Catch::Contains("last completed: command 3"));
  CHECK_THAT(error.message, Catch::Contains("rank 0: waited for rank 1 in"));
  CHECK_THAT(error.message, Catch::Contains("rank 1: waited for rank 2 in"));
  // Idle counts as well: its caller has not asked it for anything.
  error = diagnose({state(0, Kind::Waiting, {1}), state(1, Kind::Idle)}, 5);
  CHECK(error.place == "rank 1");
  // Others may be done already.
  error = diagnose({state(0, Kind::Idle), state(1, Kind::Busy)}, 5);
  CHECK(error.place == "rank 1");
}

TEST_CASE("worse things come first", "[diagnosis]") {
  std::vector<RankState> states = {state(0, Kind::Waiting, {3}),
                                   state(1, Kind::Busy), state(2, Kind::Silent),
                                   state(3, Kind::Waiting, {1, 2})};
  CHECK(diagnose(states, 1).code == "run.rank-silent");
  CHECK(diagnose(states, 1).place == "rank 2");
  states[1] = state(1, Kind::Failed);
  Error failed = diagnose(states, 1);
  CHECK(failed.code == "weights.missing");
  CHECK(failed.exit == ExitCode::InvalidInput);
  CHECK(failed.place == "rank 1");
  CHECK_THAT(failed.message, Catch::Contains("rank 2: does not answer"));
  states[3] = state(3, Kind::Died);
  states[3].how = "was ended by signal 9 (SIGKILL)";
  Error died = diagnose(states, 1);
  CHECK(died.code == "run.rank-died");
  CHECK(died.place == "rank 3");
  CHECK_THAT(died.message, Catch::Contains("signal 9"));
  CHECK_THAT(died.message, Catch::Contains("rank 1: failed too: gone"));
}

TEST_CASE("ranks of one process are named together", "[diagnosis]") {
  Error error = diagnose({state(0, Kind::Waiting, {2}), state(1, Kind::Idle),
                          state(2, Kind::Silent), state(3, Kind::Silent)},
                         1);
  CHECK(error.place == "ranks 2, 3");
  CHECK_THAT(error.message, Catch::Contains("rank 3:\n    in command 4"));
}

TEST_CASE("a circle of waits is nobody's fault", "[diagnosis]") {
  Error error =
      diagnose({state(0, Kind::Waiting, {1}), state(1, Kind::Waiting, {0})}, 1);
  CHECK(error.code == "run.timeout");
  CHECK(error.place == "ranks 0, 1");
  CHECK_THAT(error.message, Catch::Contains("messages were lost"));
  CHECK(diagnose({}, 1).exit == ExitCode::DistributedFault);
}

TEST_CASE("states and errors travel as JSON", "[diagnosis]") {
  RankState before = state(7, Kind::Failed, {1, 2});
  std::optional<RankState> after = RankState::fromJson(before.toJson());
  REQUIRE(after);
  CHECK(after->rank == 7);
  CHECK(after->kind == Kind::Failed);
  CHECK(after->waitsFor == before.waitsFor);
  CHECK(after->doing == before.doing);
  CHECK(after->error->str() == before.error->str());
  for (
      const char *bad :
      {"null", "[]", "{}", R"({"rank": "x"})",
       R"({"rank":1,"state":"odd","doing":"","last":"","waits_for":[],"how":""})",
       R"({"rank":1,"state":"failed","doing":"","last":"","waits_for":[],"how":""})",
       R"({"rank":1,"state":"idle","doing":[],"last":"","waits_for":3,"how":""})"})
    CHECK_FALSE(RankState::fromJson(nlohmann::json::parse(bad)));
  for (const char *bad : {"{}", R"({"exit":0})", R"({"exit":6,"code":1})"})
    CHECK_FALSE(errorFromJson(nlohmann::json::parse(bad)));
}
