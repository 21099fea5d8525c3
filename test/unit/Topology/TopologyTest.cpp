//===- TopologyTest.cpp ---------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Machines as values: peaks, links, and where the axes of a mesh lie on levels,
// held against looking at every group.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

using namespace partita;

static void set(Rates &rates, Precision precision, double value) {
  rates[static_cast<size_t>(precision)] = value;
}

TEST_CASE("topologies of one process") {
  auto topology = Topology::parse("cpu:4x2");
  REQUIRE(topology);
  CHECK(topology->numRanks() == 4);
  CHECK(topology->commonDevice().threads == 2);
  CHECK(topology->text == "cpu:4x2");
  auto single = Topology::parse("cpu:1");
  REQUIRE(single);
  CHECK(topology->deviceOf(3).matrixPeak(Precision::F32) ==
        2 * single->deviceOf(0).matrixPeak(Precision::F32));
  CHECK(single->numRanks() == 1);
}

TEST_CASE("what is no topology") {
  for (std::string text : {"", "cpu", "cpu:", "cpu:0", "cpu:-1", "cpu:x2",
                           "cpu:2x", "cpu:2x0", "cpu:2y2", "cpu:99999",
                           "cpu:2 ", "cpu:2x2x2", "cpu:99999999999999999999"}) {
    INFO(text);
    auto topology = Topology::parse(text);
    REQUIRE(!topology);
    CHECK(topology.error().exit == ExitCode::Usage);
    CHECK(!topology.error().hint.empty());
  }
  auto topology = Topology::parse("tpu:4");
  REQUIRE(!topology);
  CHECK(topology.error().exit == ExitCode::Unsupported);
}

TEST_CASE("what a device lacks is computed in a wider precision") {
  DeviceType device;
  set(device.vector, Precision::F32, 15);
  set(device.matrix, Precision::F16, 125);
  set(device.sustained, Precision::F16, 100);
  CHECK(device.matrixPeak(Precision::F16) == 125);
  CHECK(device.matrixPeak(Precision::F8) == 125);
  CHECK(device.matrixPeak(Precision::I8) == 125);
  CHECK(device.sustainedPeak(Precision::F8) == 100);
  // Not all values of bf16 are values of f16.
  CHECK(device.matrixPeak(Precision::BF16) == 15);
  CHECK(device.matrixPeak(Precision::TF32) == 15);
  CHECK(device.sustainedPeak(Precision::TF32) == 15);
  CHECK(device.vectorPeak(Precision::BF16) == 15);
  CHECK(device.matrixPeak(Precision::F64) == 7.5);
  CHECK(precisionOf(DType::F32) == Precision::F32);
  CHECK(precisionOf(DType::F32, true) == Precision::TF32);
  CHECK(precisionOf(DType::BF16, true, true) == Precision::F8);
  CHECK(precisionOf(DType::Bool) == Precision::F32);
}

TEST_CASE("a link is shared by those who send") {
  Link link;
  link.bandwidth = 50;
  CHECK(link.sharedBandwidth(8, 16) == 50);
  link.childBandwidth = 100; // A machine of eight with two adapters of 50.
  CHECK(link.sharedBandwidth(1, 2) == 50);
  CHECK(link.sharedBandwidth(8, 2) == 12.5);
  link.mediumBandwidth = 80;
  CHECK(link.sharedBandwidth(1, 2) == 40);
  Link mesh;
  mesh.bandwidth = 448;
  mesh.pairBandwidth = 64;
  CHECK(mesh.sharedBandwidth(1, 8) == 448);
  CHECK(mesh.sharedBandwidth(1, 2) == 64);
}

TEST_CASE("mixed devices and slow links") {
  Topology topology;
  topology.devices.resize(2);
  topology.devices[0].memoryBytes = 80;
  topology.devices[1].memoryBytes = 40;
  topology.ranges = {{0, 6, 0}, {6, 2, 1}};
  Link fast, slow;
  fast.bandwidth = 300;
  slow.bandwidth = 150;
  topology.levels = {{"node", 4, fast}, {"cluster", 2, slow}};
  CHECK(topology.deviceOf(5).memoryBytes == 80);
  CHECK(topology.deviceOf(6).memoryBytes == 40);
  CHECK(topology.deviceOf(7).memoryBytes == 40);
  CHECK(topology.commonDevice().memoryBytes == 40);
  CHECK(topology.linkOf(0).bandwidth == 300);
  Link broken = fast;
  broken.bandwidth = 100;
  topology.overrides = {{0, 1, 1, broken}};
  CHECK(topology.linkOf(0).bandwidth == 100);
  CHECK(topology.linkOf(1).bandwidth == 150);
}

//===----------------------------------------------------------------------===//
// Axes on levels
//===----------------------------------------------------------------------===//

static Topology ofSizes(const std::vector<int64_t> &sizes) {
  Topology topology;
  for (int64_t size : sizes)
    topology.levels.push_back({"", size, {}});
  return topology;
}

static std::vector<int64_t> spanned(const std::vector<int64_t> &sizes,
                                    const std::string &mesh, int axis) {
  return ofSizes(sizes).spanOf(*Mesh::parse(mesh), {axis}).ranks;
}

TEST_CASE("axes lie on levels, the last innermost") {
  using Ranks = std::vector<int64_t>;
  CHECK(spanned({8, 16}, "dp=16,tp=8", 1) == Ranks{8, 1});
  CHECK(spanned({8, 16}, "dp=16,tp=8", 0) == Ranks{1, 16});
  CHECK(spanned({8, 16}, "dp=32,tp=4", 1) == Ranks{4, 1});
  CHECK(spanned({8, 16}, "dp=32,tp=4", 0) == Ranks{2, 16});
  CHECK(spanned({8, 16}, "dp=8,tp=16", 1) == Ranks{8, 2});
  CHECK(spanned({8, 16}, "dp=8,tp=16", 0) == Ranks{1, 8});
  CHECK(spanned({8, 4, 32}, "x=1024", 0) == Ranks{8, 4, 32});
  CHECK(spanned({8, 4, 32}, "x=2,y=32,z=16", 1) == Ranks{1, 2, 16});
  Topology topology = ofSizes({8, 16});
  Mesh mesh = *Mesh::parse("pp=4,dp=8,tp=4");
  CHECK(topology.spanOf(mesh, {0, 2}).ranks == Ranks{4, 4});
  CHECK(topology.spanOf(mesh, {2}).outermost() == 0);
  CHECK(topology.spanOf(mesh, {0, 2}).outermost() == 1);
  CHECK(topology.spanOf(mesh, {}).outermost() == -1);
}

/// The same by looking at every group.
static std::vector<int64_t> lookedAt(const Topology &topology, const Mesh &mesh,
                                     int axis, bool &regular) {
  std::vector<int64_t> most(topology.levels.size(), 1);
  regular = true;
  std::vector<int64_t> first;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    std::vector<int64_t> group = mesh.group(rank, {axis}), counts;
    int64_t child = 1;
    for (const Level &level : topology.levels) {
      std::map<int64_t, std::set<int64_t>> children;
      int64_t block = &level == &topology.levels.back() ? mesh.numRanks()
                                                        : child * level.size;
      for (int64_t member : group)
        children[member / block].insert(member / child);
      size_t here = 1;
      for (const auto &[parent, seen] : children)
        here = std::max(here, seen.size());
      counts.push_back(static_cast<int64_t>(here));
      child = block;
    }
    if (rank == 0)
      first = counts;
    regular &= counts == first;
    for (size_t level = 0; level < most.size(); ++level)
      most[level] = std::max(most[level], counts[level]);
  }
  return most;
}

TEST_CASE("axes lie on levels as their groups do") {
  int seen = 0, irregular = 0;
  for (const std::vector<int64_t> &sizes :
       {std::vector<int64_t>{8, 3}, {4, 2, 3}, {6, 4}, {24}, {2, 2, 6}, {5, 6}})
    for (int64_t a = 1; a <= 30; ++a)
      for (int64_t b = 1; a * b <= 30; ++b)
        for (int64_t c : {1, 2, 3, 4}) {
          Mesh mesh{"m", {"a", "b", "c"}, {a, b, c}};
          Topology topology = ofSizes(sizes);
          if (mesh.numRanks() != topology.numRanks())
            continue;
          for (int axis = 0; axis < 3; ++axis) {
            INFO(mesh.str() << " axis " << axis << " on " << sizes[0]);
            bool regular;
            std::vector<int64_t> most = lookedAt(topology, mesh, axis, regular);
            AxisSpan span = topology.spanOf(mesh, {axis});
            int64_t product = 1;
            for (size_t level = 0; level < most.size(); ++level) {
              CHECK(span.ranks[level] >= most[level]);
              product *= span.ranks[level];
            }
            ++seen;
            irregular += !span.regular;
            if (!span.regular)
              continue;
            CHECK(regular);
            CHECK(span.ranks == most);
            CHECK(product == mesh.axisSizes[axis]);
          }
        }
  CHECK(irregular > 20);
  CHECK(seen > 2 * irregular);
}
