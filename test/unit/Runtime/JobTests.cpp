//===- JobTests.cpp - Who starts how many processes -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Runtime/Hosts.h"
#include <catch2/catch.hpp>
#include <map>

using namespace partita;
using namespace partita::runtime;

namespace {

using Environment = std::map<std::string, std::string>;

Result<Launch> plan(LaunchOptions options, int64_t ranks,
                    const Environment &environment = {}) {
  return planLaunch(options, ranks,
                    [&](const std::string &name) -> std::optional<std::string> {
                      auto found = environment.find(name);
                      if (found == environment.end())
                        return std::nullopt;
                      return found->second;
                    });
}

LaunchOptions processes(int64_t count, int64_t ranksEach = 0) {
  LaunchOptions options;
  options.processes = count;
  if (ranksEach)
    options.ranksPerProcess = ranksEach;
  return options;
}

void refused(Result<Launch> launch, const char *code, const char *one,
             const char *other) {
  REQUIRE_FALSE(launch);
  CHECK(launch.error().exit == ExitCode::Usage);
  CHECK(launch.error().code == code);
  CHECK_THAT(launch.error().str(), Catch::Contains(one));
  CHECK_THAT(launch.error().str(), Catch::Contains(other));
  CHECK(launch.error().hint != "");
}

} // namespace

TEST_CASE("without a word ranks are threads", "[job]") {
  CHECK(plan({}, 4)->kind == Launch::Kind::Threads);
  CHECK(plan(processes(1), 4)->kind == Launch::Kind::Threads);
  CHECK(plan(processes(1, 4), 4)->kind == Launch::Kind::Threads);
  LaunchOptions threads;
  threads.communicator = "threads";
  CHECK(plan(threads, 4)->kind == Launch::Kind::Threads);
}

TEST_CASE("an executable starts its processes", "[job]") {
  Result<Launch> launch = plan(processes(2, 2), 4);
  REQUIRE(launch);
  CHECK(launch->kind == Launch::Kind::Start);
  CHECK(launch->job.processes == 2);
  CHECK(launch->job.ranksOf(1) == Interval{2, 4});
  CHECK(launch->job.host == "127.0.0.1");
  CHECK_FALSE(launch->job.hostsHub);
  LaunchOptions gloo;
  gloo.communicator = "gloo";
  CHECK(plan(gloo, 3)->job.processes == 3);
  gloo.ranksPerProcess = 2;
  CHECK(plan(gloo, 6)->job.processes == 3);
  refused(plan(gloo, 3), "launch.world", "2", "3");
  refused(plan(processes(3), 4), "launch.world", "--processes 3", "4");
  refused(plan(processes(2), 4), "launch.world", "--processes 2",
          "--ranks-per-process 2");
  LaunchOptions both = processes(2);
  both.communicator = "threads";
  refused(plan(both, 2), "launch.contradiction", "--processes 2", "threads");
}

TEST_CASE("launchers say where to meet", "[job]") {
  Environment torchrun = {
      {"RANK", "3"},          {"WORLD_SIZE", "4"},   {"LOCAL_RANK", "1"},
      {"MASTER_ADDR", "n1"},  {"MASTER_PORT", "29"}, {"LOCAL_WORLD_SIZE", "4"},
      {"PMI_RANK", "0"},      {"PMI_SIZE", "7"},     {"SLURM_PROCID", "0"},
      {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "9"}};
  Result<Launch> launch = plan({}, 4, torchrun);
  REQUIRE(launch);
  CHECK(launch->kind == Launch::Kind::Join);
  CHECK(launch->job.process == 3);
  CHECK(launch->job.localProcess == 1);
  CHECK(launch->job.port == 29);
  // All on one machine: by loopback, whatever the machine is called.
  CHECK(launch->job.host == "127.0.0.1");
  CHECK_THAT(launch->source, Catch::Contains("torchrun"));
  CHECK(launch->job.token == "torchrun/n1:29");
  torchrun["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  CHECK(plan({}, 4, torchrun)->job.port == 30);
  LaunchOptions port;
  port.port = 77;
  CHECK(plan(port, 4, torchrun)->job.port == 77);

  torchrun["LOCAL_WORLD_SIZE"] = "2";
  refused(plan({}, 4, torchrun), "launch.bind", "WORLD_SIZE=4", "loopback");
  LaunchOptions bound;
  bound.bind = "10.1.2.3";
  CHECK(plan(bound, 4, torchrun)->job.host == "n1");
  CHECK(plan(bound, 4, torchrun)->job.bind == "10.1.2.3");
  bound.bind = "lo";
  CHECK(plan(bound, 4, torchrun)->job.bind == "127.0.0.1");
  bound.bind = "nowhere0";
  refused(plan(bound, 4, torchrun), "launch.bind", "nowhere0", "interface");

  Environment slurm = {{"SLURM_PROCID", "2"},
                       {"SLURM_NTASKS", "4"},
                       {"SLURM_JOB_ID", "815"},
                       {"SLURM_STEP_NODELIST", "gpu[07-09,11],login"},
                       {"SLURM_STEP_NUM_NODES", "4"}};
  // A script of a batch job is no step.
  CHECK(plan({}, 4, slurm)->kind == Launch::Kind::Threads);
  slurm["SLURM_STEP_ID"] = "0";
  bound.bind = "10.1.2.3";
  launch = plan(bound, 4, slurm);
  REQUIRE(launch);
  CHECK(launch->job.host == "gpu07");
  CHECK(launch->job.token == "Slurm/815/0");
  CHECK(launch->job.port >= 20000);
  CHECK(launch->job.port < 30000);
  slurm["SLURM_STEP_ID"] = "1";
  CHECK(plan(bound, 4, slurm)->job.token != launch->job.token);

  Environment mpi = {{"OMPI_COMM_WORLD_RANK", "0"},
                     {"OMPI_COMM_WORLD_SIZE", "2"},
                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}};
  refused(plan({}, 2, mpi), "launch.address", "Open MPI", "MASTER_ADDR");
}

TEST_CASE("contradictions name both", "[job]") {
  Environment env = {{"RANK", "1"},
                     {"WORLD_SIZE", "2"},
                     {"MASTER_ADDR", "localhost"},
                     {"MASTER_PORT", "29"}};
  CHECK(plan({}, 2, env));
  CHECK(plan(processes(2), 2, env));
  refused(plan(processes(4), 4, env), "launch.contradiction", "--processes 4",
          "WORLD_SIZE=2");
  refused(plan({}, 4, env), "launch.world", "WORLD_SIZE=2", "4");
  LaunchOptions threads;
  threads.communicator = "threads";
  refused(plan(threads, 2, env), "launch.contradiction", "WORLD_SIZE=2",
          "threads");
  for (const char *bad :
       {"", "-1", "x", "1x", "99999999999999999999", "65537"}) {
    Environment other = env;
    other["RANK"] = bad;
    refused(plan({}, 2, other), "launch.variable", "RANK", "65536");
  }
  env["RANK"] = "2";
  refused(plan({}, 2, env), "launch.world", "RANK=2", "WORLD_SIZE=2");
}

TEST_CASE("hosts take ranks as they are told, or evenly", "[job][hosts]") {
  auto hosts = parseHosts("a,me@b:2,[fe80::1%eth1]:4,c", 8, 1);
  REQUIRE(hosts);
  REQUIRE(hosts->size() == 4);
  CHECK((*hosts)[0].processes == 1);
  CHECK((*hosts)[1].destination == "me@b");
  CHECK((*hosts)[1].address == "b");
  CHECK((*hosts)[1].first == 1);
  CHECK((*hosts)[2].destination == "fe80::1%eth1");
  CHECK((*hosts)[2].processes == 4);
  CHECK((*hosts)[3].first == 7);
  CHECK(parseHosts("a,b", 8, 2)->back().first == 2);
  for (const char *bad : {"",
                          ",",
                          "a,",
                          "-a",
                          "a,-b",
                          "@a",
                          "-u@a",
                          "a b",
                          "a;b",
                          "a\nb",
                          "$a",
                          "a:",
                          "a:0",
                          "a:-1",
                          "a:x",
                          "a:1x",
                          "[a",
                          "[a]b",
                          "[]",
                          "a@b@c",
                          "a'b",
                          "a:9223372036854775807,b",
                          "a:99999999999999999999",
                          "a:8,b",
                          "a:3"}) {
    INFO(bad);
    auto refused = parseHosts(bad, 8, 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "launch.hosts");
    CHECK(refused.error().exit == ExitCode::Usage);
  }
}

TEST_CASE("a host is told its part", "[job][hosts]") {
  LaunchOptions options;
  options.hosts = "a:1,b:3";
  options.port = 29;
  Result<Launch> launch = plan(options, 4);
  REQUIRE(launch);
  CHECK(launch->kind == Launch::Kind::Hosts);
  CHECK(launch->ssh[0] == "ssh");
  CHECK(launch->job.host == "a");
  CHECK(launch->job.token != plan(options, 4)->job.token);
  CHECK(plan(options, 4, {{"PARTITA_SSH", " my  ssh "}})->ssh ==
        std::vector<std::string>{"my", "ssh"});

  HostPart part{1, 3, 4, 29, "a", "token"};
  LaunchOptions there;
  there.hostPart = part.str();
  Environment ssh = {{"SSH_CONNECTION", "10.0.0.9 1022 10.0.0.2 22"}};
  launch = plan(there, 4, ssh);
  REQUIRE(launch);
  CHECK(launch->kind == Launch::Kind::Start);
  CHECK(launch->job.remote);
  CHECK(launch->job.process == 1);
  CHECK(launch->job.localProcesses == 3);
  CHECK(launch->job.processes == 4);
  CHECK(launch->job.host == "a");
  CHECK(launch->job.bind == "10.0.0.2");
  CHECK(launch->job.port == 29);
  CHECK(launch->job.token == "token");
  there.hostPart = HostPart{0, 1, 4, 29, "a", "token"}.str();
  CHECK(plan(there, 4, ssh)->job.host == "10.0.0.2");
  CHECK(plan(there, 3, ssh).error().code == "launch.program");
  refused(plan(there, 4), "launch.bind", "SSH_CONNECTION", "--bind");
  for (const char *bad : {"", "x", "0,1,2,3", "0,1,4,29,a,b,c", "4,1,4,29,a,t",
                          "-1,1,4,29,a,t", "0,1,4,0,a,t", "0,5,4,29,a,t"}) {
    INFO(bad);
    CHECK_FALSE(HostPart::parse(bad));
  }
}

TEST_CASE("mpirun starts the processes of MPI", "[job]") {
  LaunchOptions options;
  options.communicator = "mpi";
  Result<Launch> launch = plan(options, 4);
  REQUIRE(launch);
  CHECK(launch->kind == Launch::Kind::Mpi);
  CHECK(launch->job.processes == 4);
  CHECK(launch->mpirun == std::vector<std::string>{"mpirun"});
  CHECK(plan(options, 1)->kind == Launch::Kind::Threads);
  CHECK(plan(options, 4, {{"PARTITA_MPIRUN", "a b"}})->mpirun ==
        std::vector<std::string>{"a", "b"});
  options.mpirun = "mpiexec -v";
  options.ranksPerProcess = 2;
  launch = plan(options, 4, {{"PARTITA_MPIRUN", "a b"}});
  CHECK(launch->job.processes == 2);
  CHECK(launch->mpirun == std::vector<std::string>{"mpiexec", "-v"});

  options.ranksPerProcess = 1;
  Environment started = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  launch = plan(options, 4, started);
  CHECK(launch->kind == Launch::Kind::Join);
  CHECK(launch->job.communicator == "mpi");
  CHECK(launch->job.hostsHub);
  started["PARTITA_HUB"] = "parent";
  CHECK_FALSE(plan(options, 4, started)->job.hostsHub);
  // Nothing starts a launcher within a launcher.
  started["OMPI_COMM_WORLD_RANK"] = "0";
  started["OMPI_COMM_WORLD_SIZE"] = "1";
  refused(plan(options, 4, started), "launch.world", "4", "only one");
  refused(plan(options, 4, {{"PARTITA_HUB", "parent"}}), "launch.world",
          "mpirun does not say", "Slurm");
  options.hosts = "a,b";
  refused(plan(options, 4), "launch.contradiction", "mpi", "--hosts");
}

TEST_CASE("words survive a shell", "[job][hosts]") {
  CHECK(quoteForShell("") == "''");
  CHECK(quoteForShell("it's $(x)") == "'it'\\''s $(x)'");
  CHECK(wordsForHosts({"--hosts", "a", "--input", "x=--hosts", "--ssh=x y",
                       "--port=1", "--hosts-dir", "--repeat", "3"}) ==
        std::vector<std::string>{"--input", "x=--hosts", "--hosts-dir",
                                 "--repeat", "3"});
}
