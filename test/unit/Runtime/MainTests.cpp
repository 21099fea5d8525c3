//===- MainTests.cpp - The command line of an executable ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// partita_main in a child process, with its output in files.
//
//===----------------------------------------------------------------------===//

#include "SampleModel.h"
#include "partita/Support/HostTensor.h"
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::test;
namespace fs = std::filesystem;

namespace {

struct Ran {
  int code = -1;
  std::string out, err;
  double seconds = 0;
};

std::string slurp(const std::string &path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs in a child; `before` is called there first.
Ran runMain(
    const SampleModel &model, std::vector<std::string> arguments,
    const std::function<void()> &before = [] {}, std::string outPath = "") {
  TempDirectory directory;
  if (outPath.empty())
    outPath = directory / "out";
  arguments.insert(arguments.begin(), "sample");
  std::vector<char *> argv;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  auto begin = std::chrono::steady_clock::now();
  // Or the child would write what is still buffered once more.
  std::cout.flush();
  std::fflush(nullptr);
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open(outPath.c_str(), O_WRONLY | O_CREAT, 0600), 1);
    ::dup2(::open((directory / "err").c_str(), O_WRONLY | O_CREAT, 0600), 2);
    before();
    int code = partita_main(static_cast<int>(argv.size()) - 1, argv.data(),
                            &model.module);
    std::fflush(nullptr);
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  Ran ran;
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  if (outPath != "/dev/full")
    ran.out = slurp(outPath);
  ran.err = slurp(directory / "err");
  ran.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
          .count();
  return ran;
}

/// Writes a valid x.npy and gives the argument for it.
std::string sampleInput(const SampleModel &model, HostTensor *tensor = {}) {
  HostTensor x(DType::F32, {4, 8});
  for (int i = 0; i < 32; ++i)
    x.setDouble(i, (i * 5) % 11 - 5);
  REQUIRE(writeNpy(model.directory / "x.npy", x));
  if (tensor)
    *tensor = x;
  return "x=" + (model.directory / "x.npy");
}

} // namespace

TEST_CASE("inputs to outputs, report and trace", "[main]") {
  SampleModel model;
  HostTensor x;
  std::string input = sampleInput(model, &x);
  std::string out = model.directory / "out", trace = model.directory / "t.json";
  Ran ran = runMain(model, {"--input", input, "--output-dir", out, "--repeat",
                            "3", "--warmup", "1", "--report", "json", "--trace",
                            trace, "--check-arena", "--pin"});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  Result<HostTensor> y = readNpy(out + "/y.npy");
  REQUIRE(y);
  for (int i = 0; i < 24; ++i)
    CHECK(y->getDouble(i) ==
          SampleModel::expected(x.as<float>(), i / 6, i % 6));
  CHECK(readNpy(out + "/z.npy")->getInt(1) == 4);

  nlohmann::json report = nlohmann::json::parse(ran.out);
  CHECK(report["ranks"] == 2);
  CHECK(report["step_seconds_all"].size() == 3);
  CHECK(report["step_seconds"] > 0);
  CHECK(report["peak_bytes"] == std::vector<int64_t>{8448, 8448});
  CHECK(report["promised_peak_bytes"] == report["peak_bytes"]);
  CHECK(report["weight_bytes_read"] == std::vector<int64_t>{96, 96});
  CHECK(report["matmul_flops"] == std::vector<int64_t>{192, 192});
  REQUIRE(report["collectives"].size() == 1);
  CHECK(report["collectives"][0]["kind"] == "all_reduce");
  CHECK(report["collectives"][0]["group"] == std::vector<int64_t>{0, 1});
  CHECK(report["collectives"][0]["bytes"] == 96);
  CHECK(report["collectives"][0]["count"] == 1);
  CHECK(report["outputs"][0]["file"] == out + "/y.npy");

  nlohmann::json events = nlohmann::json::parse(slurp(trace))["traceEvents"];
  int commands = 0;
  for (const auto &event : events)
    commands += event["ph"] == "X";
  CHECK(commands == 2 * (1 + 4 * 7));

  Ran text = runMain(model, {"--random-inputs", "7"});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("1 x all_reduce of 96 B"));
  CHECK_THAT(runMain(model, {"--info"}).out, Catch::Contains("\"mesh\""));
  CHECK_THAT(runMain(model, {"--dump-program", "text"}).out,
             Catch::Contains("call matmul @mm"));
}

TEST_CASE("random inputs are the same for the same seed", "[main]") {
  SampleModel two(2), three(3);
  auto output = [](SampleModel &model, const char *seed) {
    std::string out = model.directory / "out";
    REQUIRE(
        runMain(model, {"--random-inputs", seed, "--output-dir", out}).code ==
        0);
    return slurp(out + "/y.npy");
  };
  std::string first = output(two, "7");
  CHECK(first == output(two, "7"));
  CHECK(first != output(two, "8"));
  // Another number of ranks adds in another order: close, not equal.
  output(three, "7");
  Result<HostTensor> a = readNpy(three.directory / "out/y.npy");
  output(two, "7");
  Result<HostTensor> b = readNpy(two.directory / "out/y.npy");
  for (int i = 0; i < 24; ++i)
    CHECK(a->getDouble(i) == Approx(b->getDouble(i)).margin(1e-5));
}

TEST_CASE("bad command lines and inputs", "[main]") {
  SampleModel model;
  std::string input = sampleInput(model);
  auto refused = [&](std::vector<std::string> arguments, int code,
                     const char *why) {
    std::string out = model.directory / "out";
    if (code == 2) {
      arguments.push_back("--output-dir");
      arguments.push_back(out);
    }
    Ran ran = runMain(model, arguments);
    CHECK(ran.code == code);
    CHECK_THAT(ran.err, Catch::Contains(why));
    CHECK(ran.out == "");
    CHECK_FALSE(fs::exists(out + "/y.npy"));
  };
  refused({"--frobnicate"}, 1, "--frobnicate");
  refused({"--repeat", "0"}, 1, "--repeat");
  refused({"--repeat", "x"}, 1, "--repeat");
  refused({"--report", "xml"}, 1, "--report");
  refused({"--input", "x"}, 1, "name=file.npy");
  refused({}, 2, "'x' is missing");
  refused({"--input", input, "--input", "w=" + input.substr(2)}, 2,
          "no input 'w'");
  refused({"--input", input, "--input", input}, 2, "twice");
  refused({"--input", "x=/no/such/file.npy"}, 2, "/no/such/file.npy");
  std::ofstream(model.directory / "x.npy") << "garbage";
  refused({"--input", input}, 2, "not a .npy file");
  REQUIRE(writeNpy(model.directory / "x.npy", HostTensor(DType::F32, {8, 4})));
  refused({"--input", input}, 2, "expected x: f32[4,8]");
  REQUIRE(writeNpy(model.directory / "x.npy", HostTensor(DType::F64, {4, 8})));
  refused({"--input", input}, 2, "expected x: f32[4,8]");
}

TEST_CASE("outputs that cannot be written leave nothing behind", "[main]") {
  SampleModel model;
  std::ofstream(model.directory / "file") << "x";
  CHECK(runMain(model, {"--random-inputs", "1", "--output-dir",
                        model.directory / "file"})
            .code == 2);
  CHECK(runMain(model, {"--random-inputs", "1", "--output-dir",
                        model.directory / "no/such/folder"})
            .code == 2);
  std::string out = model.directory / "out";
  Ran limited =
      runMain(model, {"--random-inputs", "1", "--output-dir", out}, [] {
        // More than the messages need, less than an output.
        struct rlimit limit = {100, 100};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      });
  CHECK(limited.code == 2);
  CHECK(fs::exists(out));
  CHECK(fs::is_empty(out));
  CHECK(runMain(model, {"--random-inputs", "1", "--trace", "/dev/full"}).code ==
        2);
  Ran full = runMain(model, {"--random-inputs", "1"}, [] {}, "/dev/full");
  CHECK(full.code == 2);
  CHECK_THAT(full.err, Catch::Contains("standard output"));
}

TEST_CASE("a failing rank ends the run and is named", "[main]") {
  SampleModel model(3);
  auto inject = [&](const char *what, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"--random-inputs", "1", "--output-dir",
                                       model.directory / "out"});
    Ran ran =
        runMain(model, arguments, [&] { ::setenv("PARTITA_INJECT", what, 1); });
    CHECK_FALSE(fs::exists(model.directory / "out/y.npy"));
    CHECK(ran.seconds < 5);
    return ran;
  };
  Ran error = inject("rank=1,command=2,kind=error");
  CHECK(error.code == 6);
  CHECK_THAT(error.err, Catch::Contains("rank 1: injected error"));
  CHECK_THAT(error.err, Catch::Contains("command 2, all_reduce @reduce (nodes "
                                        "/layer/MatMul)"));
  CHECK_THAT(error.err, Catch::Contains("rank 0: "));
  Ran alloc = inject("rank=2,command=99,kind=alloc");
  CHECK(alloc.code == 6);
  CHECK_THAT(alloc.err, Catch::Contains("rank 2: out of memory"));
  Ran hang = inject("rank=0,command=1,kind=hang", {"--timeout", "0.5"});
  CHECK(hang.code == 6);
  CHECK_THAT(hang.err, Catch::Contains("rank 0: was in call matmul @mm"));
  CHECK_THAT(hang.err, Catch::Contains("left behind"));
  CHECK(inject("rank=0").code == 1);
  CHECK(inject("kind=fire,rank=0,command=0").code == 1);
}

TEST_CASE("a rank that cannot allocate is named", "[main]") {
  SampleModel model;
  for (RankClass &c : model.program.classes)
    c.arenaBytes = int64_t(1) << 50;
  model.seal();
  Ran ran = runMain(model, {"--random-inputs", "1"});
  CHECK(ran.code == 6);
  CHECK_THAT(ran.err, Catch::Contains("cannot allocate"));
  CHECK_THAT(ran.err, Catch::Contains("rank "));
}

// Run by the next test in a process of its own, since malloc asks for the
// variable once, before anything else.
TEST_CASE("child: a run that counts", "[.][counted]") {
  SampleModel model;
  for (RankClass &c : model.program.classes)
    c.arenaBytes = 64 << 20;
  model.seal();
  std::string name = "sample", seed = "--random-inputs=1",
              json = "--report=json";
  char *argv[] = {name.data(), seed.data(), json.data(), nullptr};
  REQUIRE(partita_main(3, argv, &model.module) == 0);
}

TEST_CASE("allocations are counted on request", "[main]") {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return; // They define malloc themselves.
#endif
#endif
  auto report = [](const char *variable) {
    std::string command = std::string(variable) + " " +
                          fs::read_symlink("/proc/self/exe").string() +
                          " '[counted]'";
    std::string text;
    FILE *pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe);
    char buffer[4096];
    while (size_t got = std::fread(buffer, 1, sizeof(buffer), pipe))
      text.append(buffer, got);
    REQUIRE(::pclose(pipe) == 0);
    size_t begin = text.find('{'), end = text.rfind('}');
    REQUIRE(begin != std::string::npos);
    return nlohmann::json::parse(text.substr(begin, end + 1 - begin));
  };
  CHECK_FALSE(report("").contains("counted_peak_bytes"));
  nlohmann::json counted = report("PARTITA_COUNT_ALLOCATIONS=1");
  int64_t promised = 2 * ((64 << 20) + 256);
  CHECK(counted["counted_peak_bytes"] >= promised);
  CHECK(counted["counted_peak_bytes"] < promised + 2 * (4 << 20));
}
