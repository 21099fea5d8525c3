//===- ProcessWorlds.h - A job within one process --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A ProcessWorld for each process of a job, made in threads of the test: they
// meet at a hub on loopback as real ones do. A process has only one place in
// MPI: there the test itself is started once for each process, and makes one.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_RUNTIME_PROCESSWORLDS_H
#define PARTITA_TEST_UNIT_RUNTIME_PROCESSWORLDS_H

#include "lib/Runtime/ProcessWorld.h"
#include <catch2/catch.hpp>
#include <thread>

namespace partita::test {

using namespace partita::runtime;

/// A port that nothing listens on now.
inline int64_t freePort() { return portOf(*listenOn("127.0.0.1", 0)); }

/// What PARTITA_TEST_COMMUNICATOR names, if a launcher started the test.
inline std::optional<Job> launchedJob() {
  const char *name = std::getenv("PARTITA_TEST_COMMUNICATOR");
  if (!name)
    return std::nullopt;
  auto variable = [](const std::string &name) -> std::optional<std::string> {
    const char *value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  LaunchOptions options;
  options.communicator = name;
  int64_t processes = std::stoll(variable("OMPI_COMM_WORLD_SIZE").value());
  return planLaunch(options, processes, variable)->job;
}

/// The process of a job that this test is.
class OwnWorld {
public:
  OwnWorld(Job own, const Mesh &mesh) : job(std::move(own)) {
    static int64_t made = 0;
    // Whoever comes late to an earlier meeting does not find this one.
    job.port += made++;
    job.ranksPerProcess = mesh.numRanks() / job.processes;
    job.timeoutSeconds = 20;
    recorder = std::move(*FlightRecorder::create(job.ranksPerProcess, true));
    auto created = ProcessWorld::create(
        job, mesh, {"plan", "program", "weights"}, recorder,
        [](int64_t, CommandNumber) { return std::string("a command"); });
    REQUIRE((created ? "" : created.error().str()) == "");
    world = std::move(*created);
    world->watch([] { return std::vector<RankState>(); }, [] {});
  }
  ~OwnWorld() {
    // The first one hosts the hub, and others may still be computing.
    (void)world->finish();
    world->unwatch();
  }
  ProcessWorld &operator*() { return *world; }
  Interval ranks() const { return job.ranksOf(job.process); }

private:
  Job job;
  FlightRecorder recorder;
  std::unique_ptr<ProcessWorld> world;
};

class ProcessWorlds {
public:
  /// Whether Partita was built with a communicator for processes.
  static bool available() {
    Result<std::unique_ptr<Fabric>> fabric = makeFabric("gloo", {});
    return fabric || fabric.error().exit != ExitCode::Unsupported;
  }

  ProcessWorlds(const Mesh &mesh, int64_t ranksPerProcess,
                double timeoutSeconds = 20) {
    Job job;
    job.ranksPerProcess = ranksPerProcess;
    job.processes = mesh.numRanks() / ranksPerProcess;
    job.hostsHub = true;
    job.port = freePort();
    job.token = "test";
    job.timeoutSeconds = timeoutSeconds;
    worlds.resize(job.processes);
    recorders.resize(job.processes);
    std::vector<std::string> errors(job.processes);
    std::vector<std::thread> threads;
    for (int64_t p = 0; p < job.processes; ++p)
      threads.emplace_back([&, p] {
        Job own = job;
        own.process = p;
        recorders[p] =
            std::move(*FlightRecorder::create(ranksPerProcess, true));
        auto made = ProcessWorld::create(
            own, mesh, {"plan", "program", "weights"}, recorders[p],
            [](int64_t, CommandNumber) { return std::string("a command"); });
        if (!made) {
          errors[p] = made.error().str();
          return;
        }
        worlds[p] = std::move(*made);
        ProcessWorld *world = worlds[p].get();
        worlds[p]->watch([=] { return statesOf(*world, own); }, [] {});
      });
    for (std::thread &thread : threads)
      thread.join();
    for (const std::string &error : errors)
      REQUIRE(error == "");
    perProcess = ranksPerProcess;
  }
  ~ProcessWorlds() {
    // The first one hosts the hub.
    while (!worlds.empty())
      worlds.pop_back();
  }

  ProcessWorld &of(int64_t rank) { return *worlds[rank / perProcess]; }
  void abort() {
    for (auto &world : worlds)
      world->abort();
  }

private:
  static std::vector<RankState> statesOf(const ProcessWorld &world,
                                         const Job &job) {
    std::vector<RankState> states;
    Interval local = job.ranksOf(job.process);
    for (int64_t r = local.begin; r < local.end; ++r) {
      RankState state;
      state.rank = r;
      state.waitsFor = world.waitState(r).missing;
      state.kind = state.waitsFor.empty() ? RankState::Kind::Idle
                                          : RankState::Kind::Waiting;
      states.push_back(std::move(state));
    }
    return states;
  }

  std::vector<std::unique_ptr<ProcessWorld>> worlds;
  std::vector<FlightRecorder> recorders;
  int64_t perProcess = 1;
};

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_RUNTIME_PROCESSWORLDS_H
