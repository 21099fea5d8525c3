//===- LeakTests.cpp - Sessions leave nothing behind ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A program that holds sessions runs for weeks: after some cycles of start and
// stop, more of them need no more descriptors, shared memory, threads or pages.
//
//===----------------------------------------------------------------------===//

#include "ProcessWorlds.h"
#include "SampleModel.h"
#include "lib/Runtime/Session.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace partita;
using namespace partita::test;

namespace {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
/// They keep what was freed, to notice its use.
constexpr bool countsPages = false;
#else
constexpr bool countsPages = true;
#endif
constexpr int64_t mostKilobytes = 1024;

int64_t entriesOf(const char *folder) {
  int64_t count = 0;
  for ([[maybe_unused]] const auto &entry :
       std::filesystem::directory_iterator(folder))
    ++count;
  return count;
}

/// What this process has of the system.
struct Usage {
  int64_t descriptors = entriesOf("/proc/self/fd");
  int64_t threads = entriesOf("/proc/self/task");
  int64_t sharedMappings = 0, residentKilobytes = 0;

  Usage() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
      sharedMappings += line.size() > 24 && line.find("s ") < 40;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.rfind("VmRSS:", 0) == 0)
        residentKilobytes = std::stoll(line.substr(6));
  }
};

/// As much is in use after all cycles as after a quarter of them.
template <typename Fn> void checkFlat(int cycles, Fn cycle) {
  std::optional<Usage> before;
  for (int i = 0; i < cycles; ++i) {
    if (i == cycles / 4)
      before.emplace();
    cycle();
  }
  Usage after;
  CHECK(after.descriptors == before->descriptors);
  CHECK(after.threads == before->threads);
  CHECK(after.sharedMappings == before->sharedMappings);
  if (countsPages)
    CHECK(after.residentKilobytes - before->residentKilobytes < mostKilobytes);
}

/// Runs a step of the sample on the ranks of a process.
Status runOnce(const SampleModel &model, const SessionOptions &options) {
  PARTITA_TRY(std::unique_ptr<Session> session,
              Session::create(model.module, options));
  HostTensor x(DType::F32, {4, 8}), y(DType::F32, {4, 6}),
      z(DType::I64, {model.program.mesh.numRanks()});
  std::vector<NamedTensor> in = {{"x", DType::F32, x.shape(), x.data()}};
  std::vector<NamedTensor> out = {{"y", DType::F32, y.shape(), y.data()},
                                  {"z", DType::I64, z.shape(), z.data()}};
  PARTITA_CHECK(session->run("step", in, out));
  return session->finish(out);
}

} // namespace

TEST_CASE("sessions of threads leave nothing behind", "[session][leaks]") {
  SampleModel model(4);
  checkFlat(1000, [&] { REQUIRE(runOnce(model, {})); });
}

TEST_CASE("sessions that fail leave nothing behind", "[session][leaks]") {
  SampleModel model(2);
  model.program.parameters[0].offset = 1 << 20;
  model.seal();
  SessionOptions options;
  options.skipWeightCheck = true;
  checkFlat(1000,
            [&] { REQUIRE_FALSE(Session::create(model.module, options)); });
}

TEST_CASE("sessions of processes leave nothing behind", "[session][leaks]") {
  if (!ProcessWorlds::available())
    return;
  SampleModel model(2);
  // Connections take most of the time.
  const char *chosen = std::getenv("PARTITA_CYCLES");
  checkFlat(chosen ? std::atoi(chosen) : 200, [&] {
    SessionOptions options;
    options.timeoutSeconds = 10;
    options.job.emplace();
    options.job->processes = 2;
    options.job->hostsHub = true;
    options.job->port = freePort();
    options.job->token = "test";
    // Catch counts in one thread only.
    bool well[2] = {};
    std::vector<std::thread> processes;
    for (int64_t p = 0; p < 2; ++p)
      processes.emplace_back([&, options, p]() mutable {
        options.job->process = p;
        well[p] = static_cast<bool>(runOnce(model, options));
      });
    for (std::thread &process : processes)
      process.join();
    REQUIRE((well[0] && well[1]));
  });
}
