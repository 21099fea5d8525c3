//===- MeetingTests.cpp - Who takes part in a job -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ProcessWorlds.h"
#include <csignal>

using namespace partita;
using namespace partita::test;

TEST_CASE("processes that have other things do not compute together",
          "[meeting]") {
  if (!ProcessWorlds::available())
    return;
  Identity usual{"plan", "program", "weights"};
  auto [what, other] = GENERATE_COPY(
      table<std::string, Identity>({{"plan", {"x", "program", "weights"}},
                                    {"program", {"plan", "x", "weights"}},
                                    {"weights", {"plan", "program", "x"}}}));
  Job job;
  job.processes = 2;
  job.hostsHub = true;
  job.port = freePort();
  job.token = "test";
  job.timeoutSeconds = 10;
  std::optional<Error> errors[2];
  std::vector<std::thread> threads;
  for (int64_t p = 0; p < 2; ++p)
    threads.emplace_back([&, p, identity = p ? other : usual] {
      Job own = job;
      own.process = p;
      FlightRecorder recorder = std::move(*FlightRecorder::create(1, true));
      auto made = ProcessWorld::create(
          own, *Mesh::parse("tp=2"), identity, recorder,
          [](int64_t, CommandNumber) { return std::string("a command"); });
      if (!made)
        errors[p] = made.error();
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::optional<Error> &error : errors) {
    REQUIRE(error);
    CHECK(error->code == "launch." + what);
    CHECK(error->exit == ExitCode::InvalidInput);
    CHECK_THAT(error->message, Catch::Contains("another " + what));
    CHECK(error->hint != "");
  }
}

TEST_CASE("who has not come yet when another dies is not dead", "[meeting]") {
  Job job;
  job.processes = job.localProcesses = 3;
  job.token = "test";
  Descriptor listener = std::move(*listenOn("127.0.0.1", 0));
  int64_t port = portOf(listener);
  Hub hub(std::move(listener), job, [](int64_t, CommandNumber) { return ""; });
  auto later = [](int milliseconds) {
    return Clock::now() + std::chrono::milliseconds(milliseconds);
  };
  Channel first = std::move(*Channel::connect("127.0.0.1", port, later(5000)));
  REQUIRE(first.send({{"type", "hello"},
                      {"token", "test"},
                      {"process", 1},
                      {"processes", 3},
                      {"ranks_per_process", 1},
                      {"plan", ""},
                      {"program", ""},
                      {"weights", ""},
                      {"addresses", {"", "", ""}},
                      {"pid", 1},
                      {"machine", "elsewhere"},
                      {"recorder", -1}}));
  for (int i = 0; i < 5; ++i)
    hub.step(-1, later(20));
  REQUIRE_FALSE(hub.verdict());
  first = Channel();
  hub.noteEnd(1, SIGKILL);
  for (int i = 0; i < 100 && !hub.verdict(); ++i)
    hub.step(-1, later(20));
  REQUIRE(hub.verdict());
  CHECK(hub.verdict()->code == "run.rank-died");
  CHECK(hub.verdict()->place == "rank 1");
}
