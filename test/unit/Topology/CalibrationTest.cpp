//===- CalibrationTest.cpp ------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file of measured times: what is written is read, what is wrong is named.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include <catch2/catch.hpp>

using namespace partita;

static const char *const example = R"(partita_calibration: 1
device: "a \"fast\" core"
cores: 2
loads:
  - ranks: 1
    kernels:
      - class: gemm
        precision: f32
        m: [1, 16]
        n: [64]
        k: [32, 64, 128]
        time: [1 us, 2 us, 3 us, 4 us, 5 us, 6.5 us]
  - ranks: 2
    threads: 3
    kernels:
      - class: memory
        precision: f32
        bytes: [4 KiB, 1.5 MiB]
        flops_per_byte: [0.1, 2]
        time: [10 ns, 1 us, 100 us, 1 ms]
    collectives:
      - move: all_gather
        ranks: 2
        bytes: [4 KiB, 64 KiB]
        time: [3 us, 20 us]
)";

TEST_CASE("a calibration is read, written and read again") {
  auto read = Calibration::read(example, "c.yaml");
  REQUIRE(read);
  CHECK(read->device == "a \"fast\" core");
  CHECK(read->cores == 2);
  CHECK(read->loadsText() == "1 and 2x3");
  REQUIRE(read->find(2, 3));
  CHECK_FALSE(read->find(2, 1));
  const KernelTable &gemm = read->find(1, 1)->kernels.at(0);
  CHECK(gemm.axes ==
        std::vector<std::vector<double>>{{1, 16}, {64}, {32, 64, 128}});
  CHECK(gemm.seconds.at(5) == Approx(6.5e-6));
  const CalibratedLoad &two = *read->find(2, 3);
  CHECK(two.kernels.at(0).axes.at(0).at(1) == 1.5 * 1024 * 1024);
  CHECK(two.collectives.at(0).move == "all_gather");
  auto again = Calibration::read(read->str(), "c.yaml");
  REQUIRE(again);
  CHECK(*again == *read);
}

TEST_CASE("what is wrong in a calibration is named") {
  struct Case {
    std::string from, to, code, word;
  };
  const std::vector<Case> cases = {
      {"calibration: 1\n", "calibration: 2\n", "version", "c.yaml:1:22"},
      {"partita_calibration: 1", "partita_topology: 1", "format", "calibrate"},
      {"time: [1 us, 2 us, 3 us, 4 us,", "time: [1 us, 2 us, 3 us,", "count",
       "5 times for 6 points"},
      {"time: [1 us", "time: [1", "quantity", "the unit is missing"},
      {"time: [1 us", "time: [0 us", "time", "a picosecond"},
      {"time: [1 us", "time: [-1 us", "quantity", "above zero"},
      {"time: [1 us", "time: [nan us", "quantity", "out of range"},
      {"m: [1, 16]", "m: [16, 1]", "order", "ascend"},
      {"m: [1, 16]", "m: [1, 1]", "order", "ascend"},
      {"m: [1, 16]", "m: [0, 16]", "number", "without a unit"},
      {"m: [1, 16]", "m: [1, nan]", "number", "without a unit"},
      {"m: [1, 16]", "m: []", "field", "list"},
      {"m: [1, 16]", "l: [1, 16]", "key", "no field 'l'"},
      {"bytes: [4 KiB, 1.5", "bytes: [4, 1.5", "quantity", "the unit"},
      {"class: gemm", "class: gem", "name", "gemm, conv"},
      {"precision: f32\n        m", "precision: f33\n        m", "name",
       "precision"},
      {"move: all_gather", "move: all_gathers", "name", "reduce_scatter"},
      {"        ranks: 2", "        ranks: 3", "count", "from 2 to 2"},
      {"ranks: 1\n", "ranks: 2\n    threads: 3\n", "twice", "two loads of 2x3"},
      {"cores: 2", "cores: 0", "count", "from 1"},
      {"cores: 2", "cores: &a 2", "yaml", "c.yaml:3"},
  };
  for (const Case &c : cases) {
    std::string text = example;
    size_t at = text.find(c.from);
    INFO(c.from << " -> " << c.to);
    REQUIRE(at != std::string::npos);
    text.replace(at, c.from.size(), c.to);
    auto read = Calibration::read(text, "c.yaml");
    REQUIRE_FALSE(read);
    CHECK(read.error().exit == ExitCode::InvalidInput);
    CHECK(read.error().code == "calibration." + c.code);
    CHECK(read.error().place.starts_with("c.yaml:"));
    CHECK_THAT(read.error().str(), Catch::Contains(c.word));
    CHECK(read.error().hint.find("topology.md") == std::string::npos);
  }
}

TEST_CASE("a topology takes the times of its own number of ranks") {
  auto calibration = Calibration::read(example, "c.yaml");
  REQUIRE(calibration);
  auto machine = Topology::parse("cpu:2x3");
  REQUIRE(machine);
  REQUIRE(machine->calibrate(*calibration, "c.yaml"));
  CHECK(machine->measured->ranks == 2);
  auto other = Topology::parse("cpu:2");
  REQUIRE(other);
  Status status = other->calibrate(*calibration, "c.yaml");
  REQUIRE_FALSE(status);
  CHECK(status.error().exit == ExitCode::InvalidInput);
  CHECK(status.error().code == "calibration.load");
  CHECK_THAT(status.error().message, Catch::Contains("1 and 2x3"));
  auto gpus = Topology::parse("dgx-h100");
  REQUIRE(gpus);
  status = gpus->calibrate(*calibration, "c.yaml");
  REQUIRE_FALSE(status);
  CHECK(status.error().exit == ExitCode::Unsupported);
}
