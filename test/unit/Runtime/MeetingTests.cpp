//===- MeetingTests.cpp - Who takes part in a job -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ProcessWorlds.h"

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
