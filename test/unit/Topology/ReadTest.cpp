//===- ReadTest.cpp -------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Topologies as files: what is read, what is refused and where, and the
// presets, which are such files.
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Presets.h"
#include <algorithm>
#include <catch2/catch.hpp>

using namespace partita;

static Topology readGood(const std::string &yaml) {
  auto topology = Topology::read("partita_topology: 1\n" + yaml, "t.yaml");
  INFO(yaml);
  if (!topology)
    FAIL(topology.error().str());
  return *topology;
}

/// The error of a bad file; its first line is "partita_topology: 1".
static Error readBad(const std::string &yaml) {
  auto topology = Topology::read("partita_topology: 1\n" + yaml, "t.yaml");
  INFO(yaml);
  REQUIRE(!topology);
  CHECK(topology.error().exit == ExitCode::InvalidInput);
  CHECK(topology.error().place.starts_with("t.yaml:"));
  return topology.error();
}

static const std::string node = "device: h100-sxm\n"
                                "hierarchy:\n"
                                "  - level: node\n"
                                "    size: 4\n"
                                "    link:\n"
                                "      kind: nvlink\n"
                                "      latency: 2 us\n"
                                "      bandwidth: 150 GB/s\n";

static std::string with(std::string text, const std::string &from,
                        const std::string &to) {
  size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a hierarchy") {
  Topology topology = readGood(
      node + "machines: 3\nnetwork: {kind: ethernet, latency: 0.1 ms, "
             "bandwidth: 25 Gbit/s, child_bandwidth: 50 Gb/s, channels: 2}\n");
  CHECK(topology.numRanks() == 12);
  REQUIRE(topology.levels.size() == 2);
  CHECK(topology.levels[0].name == "node");
  CHECK(topology.levels[0].link.kind == LinkKind::NVLink);
  CHECK(topology.levels[0].link.bandwidth == 150e9);
  CHECK(topology.levels[0].link.latencySeconds == Approx(2e-6));
  CHECK(topology.levels[1].size == 3);
  CHECK(topology.levels[1].link.bandwidth == Approx(3.125e9));
  CHECK(topology.levels[1].link.childBandwidth == Approx(6.25e9));
  CHECK(topology.levels[1].link.channels == 2);
  CHECK(topology.deviceOf(11).memoryBandwidth == 3.35e12);
  CHECK(topology.text == "t.yaml");
}

TEST_CASE("mixed devices and overrides") {
  std::string devices = "devices:\n"
                        "  slow: {base: h100-sxm, memory: 40 GB}\n"
                        "ranks: [{device: h100-sxm, count: 3}, "
                        "{device: slow, count: 1}]\n";
  Topology topology =
      readGood(with(node, "device: h100-sxm\n", devices) +
               "machines: 2\nnetwork: infiniband-200g\n"
               "overrides:\n"
               "  - {level: node, groups: 1, link: {bandwidth: 50 GB/s}}\n");
  CHECK(topology.mixed());
  CHECK(topology.deviceOf(3).name == "slow");
  CHECK(topology.deviceOf(3).model() == "h100-sxm");
  CHECK(topology.commonDevice().model() == "h100-sxm");
  CHECK(topology.deviceOf(4).name == "h100-sxm");
  CHECK(topology.deviceOf(7).memoryBytes == 40'000'000'000);
  CHECK(topology.commonDevice().memoryBytes == 40'000'000'000);
  CHECK(topology.linkOf(0).bandwidth == 50e9);
  CHECK(topology.linkOf(0).latencySeconds == Approx(2e-6));
}

TEST_CASE("a machine that is like another") {
  Topology topology = readGood("base: dgx-h100\nmachines: 4\n"
                               "network: {kind: infiniband, latency: 5 us, "
                               "bandwidth: 100 GB/s}\n");
  CHECK(topology.numRanks() == 32);
  CHECK(topology.levels[0].link.reduces);
  CHECK(topology.levels[1].link.bandwidth == 100e9);
}

TEST_CASE("what is no good file says where") {
  auto place = [&](const std::string &yaml) { return readBad(yaml).place; };
  Error error = readBad(with(node, "150 GB/s", "150"));
  CHECK(error.code == "topology.quantity");
  CHECK(error.place == "t.yaml:9:18");
  CHECK(error.hint.find("900 GB/s") != std::string::npos);
  for (std::string wrong :
       {"0 GB/s", "nan GB/s", "inf GB/s", "-1 GB/s", "1e999 GB/s", "1e30 GB/s",
        "GB/s", "150 GB", "150 gb/s", "[150 GB/s]", "''", "1e-9 B/s",
        "0x10 GB/s", "150 GB/s ..."})
    CHECK(place(with(node, "150 GB/s", wrong)) == "t.yaml:9:18");
  error = readBad(with(node, "latency", "lattency"));
  CHECK(error.code == "topology.key");
  CHECK(error.place == "t.yaml:8:7");
  CHECK(error.hint.find("'latency'") != std::string::npos);
  error = readBad(with(node, "h100-sxm", "h100-sxn"));
  CHECK(error.hint.find("'h100-sxm'") != std::string::npos);
  CHECK(readBad(with(node, "nvlink", "nvlnk")).hint.find("'nvlink'") !=
        std::string::npos);
  CHECK(readBad(node + "device: b200-sxm\n").place == "t.yaml:10:1");
  CHECK(readBad(with(node, "size: 4", "size: 0")).code == "topology.count");
  CHECK(readBad(with(node, "size: 4", "size: 4.5")).code == "topology.count");
  CHECK(readBad(with(node, "size: 4", "size: 99999999999999999999")).code ==
        "topology.count");
  CHECK(readBad(with(node, "      latency: 2 us\n", "")).code ==
        "topology.missing");
  CHECK(readBad(node + "machines: 2\n").code == "topology.network");
  CHECK(readBad(node + "machines: 1000000\nnetwork: infiniband-200g\n").code ==
        "topology.size");
  CHECK(readBad("base: dgx-h100\nranks: [{device: l40s, count: 9}]\n").code ==
        "topology.ranks");
  CHECK(readBad("base: dgx-h100\noverrides: [{level: nod, groups: 0, link: "
                "{}}]\n")
            .hint == "did you mean 'node'?");
  CHECK(readBad("base: dgx-h100\noverrides: [{level: node, groups: 0-1, "
                "link: {}}]\n")
            .code == "topology.range");
  CHECK(readBad("devices: {x: {base: l40s, sustained: {f16: 363 TFLOP/s}}}\n"
                "base: dgx-h100\n")
            .code == "topology.value");
  CHECK(readBad("partita_topology: 1\n").code == "topology.yaml");
  CHECK(readBad("").code == "topology.missing");
}

TEST_CASE("what is no YAML, or too much of it") {
  auto code = [](const std::string &text) {
    auto topology = Topology::read(text, "t.yaml");
    REQUIRE(!topology);
    CHECK(topology.error().exit == ExitCode::InvalidInput);
    return topology.error().code;
  };
  CHECK(code("") == "topology.yaml");
  CHECK(code("partita_topology: 2\n") == "topology.version");
  CHECK(code("topology: 1\n") == "topology.format");
  CHECK(code("[]") == "topology.format");
  CHECK(code("a: [") == "topology.yaml");
  CHECK(code("\xff\xfe") == "topology.yaml");
  CHECK(code("a: b\n---\na: b\n") == "topology.yaml");
  CHECK(code("{a: 1, b: 2, a: 3}") == "topology.yaml");
  CHECK(code("{[a]: 1}") == "topology.yaml");
  CHECK(code("a: !!int 3") == "topology.yaml");
  CHECK(code("a: &x [1]\nb: [*x, *x]\n") == "topology.yaml");
  CHECK(code(std::string(100000, '[')) == "topology.yaml");
  CHECK(code("a: " + std::string(100000, '{')) == "topology.yaml");
  std::string dashes, many = "[";
  for (int i = 0; i < 50000; ++i)
    dashes += "- ";
  CHECK(code(dashes) == "topology.yaml");
  for (int i = 0; i < 1 << 20; ++i)
    many += "1,";
  CHECK(code(many + "]") == "topology.yaml");
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

static const std::string graph = "device: a100-sxm-80gb\n"
                                 "graph:\n"
                                 "  ranks: 16\n"
                                 "  switches: {nv: 2, nic: 16, ib: 1}\n"
                                 "  levels: [node, cluster]\n"
                                 "  links:\n";
static const std::string inNode =
    "    - {from: 0-15, to: nv, spread: true, kind: nvswitch, latency: 1 us, "
    "bandwidth: 300 GB/s}\n";
static const std::string outOfNode =
    "    - {from: 0-15, to: nic, spread: true, kind: pcie, latency: 1 us, "
    "bandwidth: 25 GB/s}\n"
    "    - {from: nic, to: ib, kind: infiniband, latency: 2 us, bandwidth: "
    "25 GB/s}\n";

TEST_CASE("the levels of a graph") {
  Topology topology = readGood(graph + inNode + outOfNode);
  REQUIRE(topology.levels.size() == 2);
  const Level &inner = topology.levels[0], &outer = topology.levels[1];
  CHECK(inner.name == "node");
  CHECK(inner.size == 8);
  CHECK(inner.link.kind == LinkKind::NVSwitch);
  CHECK(inner.link.bandwidth == 300e9);
  CHECK(inner.link.pairBandwidth == 0);
  CHECK(inner.link.latencySeconds == Approx(2e-6));
  CHECK(outer.name == "cluster");
  CHECK(outer.size == 2);
  CHECK(outer.link.kind == LinkKind::InfiniBand);
  CHECK(outer.link.bandwidth == 25e9);
  CHECK(outer.link.childBandwidth == 200e9);
  CHECK(outer.link.mediumBandwidth == 0);
  CHECK(outer.link.latencySeconds == Approx(6e-6));
  CHECK(topology.graph.links.size() == 48);
}

TEST_CASE("what is behind a switch is shared, however wide it is") {
  for (std::string uplink : {"30 GB/s", "90 GB/s"}) {
    Topology topology = readGood(
        "device: l40s\n"
        "graph:\n"
        "  ranks: 12\n"
        "  switches: {leaf: 3, spine: 2}\n"
        "  links:\n"
        "    - {from: 0-11, to: leaf, spread: true, kind: pcie, latency: 1 us, "
        "bandwidth: 30 GB/s}\n"
        "    - {from: leaf, to: spine, kind: ethernet, latency: 1 us, "
        "bandwidth: " +
        uplink + "}\n");
    REQUIRE(topology.levels.size() == 2);
    CHECK(topology.levels[0].size == 4);
    CHECK(topology.levels[0].link.kind == LinkKind::PCIe);
    const Link &outer = topology.levels[1].link;
    CHECK(outer.kind == LinkKind::Ethernet);
    CHECK(outer.bandwidth == 30e9);
    CHECK(outer.childBandwidth == (uplink == "30 GB/s" ? 60e9 : 180e9));
  }
}

TEST_CASE("a medium is shared") {
  Topology topology = readGood(
      "device: l40s\n"
      "graph:\n"
      "  ranks: 4\n"
      "  switches: [host]\n"
      "  media: {bus: 40 GB/s}\n"
      "  links:\n"
      "    - {from: 0-3, to: host, medium: bus, kind: pcie, latency: 1 us, "
      "bandwidth: 30 GB/s}\n");
  REQUIRE(topology.levels.size() == 1);
  CHECK(topology.levels[0].link.bandwidth == 30e9);
  CHECK(topology.levels[0].link.mediumBandwidth == 40e9);
  CHECK(topology.levels[0].link.sharedBandwidth(1, 4) == 10e9);
}

TEST_CASE("ranks that are wired to each other") {
  Topology topology =
      readGood("device: mi300x\n"
               "graph:\n"
               "  ranks: 8\n"
               "  links:\n"
               "    - {from: 0-7, to: 0-7, kind: xgmi, latency: 1 us, "
               "bandwidth: 64 GB/s}\n");
  REQUIRE(topology.levels.size() == 1);
  CHECK(topology.levels[0].link.bandwidth == 448e9);
  CHECK(topology.levels[0].link.pairBandwidth == 64e9);
  CHECK(topology.levels[0].link.mediumBandwidth == 0);
  CHECK(topology.levels[0].link.channels == 7);
  CHECK(topology.levels[0].link.latencySeconds == Approx(1e-6));
}

/// Ranks under leaves under spines under one root, with `widths` in GB/s of the
/// links of each step.
static std::string treeOf(int64_t ranks, int64_t leaves, int64_t spines,
                          const std::vector<int64_t> &widths) {
  std::string text = "device: l40s\ngraph:\n  ranks: " + std::to_string(ranks) +
                     "\n  switches: {leaf: " + std::to_string(leaves) +
                     ", spine: " + std::to_string(spines) +
                     ", root: 1}\n  links:\n";
  std::vector<std::string> rows = {"0-" + std::to_string(ranks - 1), "leaf",
                                   "spine", "root"};
  for (size_t step = 0; step < 3; ++step)
    text += "  - {from: " + rows[step] + ", to: " + rows[step + 1] +
            ", spread: true, kind: ethernet, latency: 1 us, bandwidth: " +
            std::to_string(widths[step]) + " GB/s}\n";
  return text;
}

TEST_CASE("trees of switches are their own levels") {
  for (int64_t a : {10, 20, 40})
    for (int64_t b : {10, 20, 40})
      for (int64_t c : {10, 20, 40}) {
        INFO(a << ' ' << b << ' ' << c);
        Topology topology = readGood(treeOf(24, 6, 2, {a, b, c}));
        REQUIRE(topology.levels.size() == 3);
        std::vector<int64_t> sizes = {4, 3, 2}, ways = {a, b, c};
        for (size_t level = 0; level < 3; ++level) {
          CHECK(topology.levels[level].size == sizes[level]);
          const Link &link = topology.levels[level].link;
          // What one rank may send is what its narrowest link carries.
          CHECK(link.bandwidth ==
                1e9 * static_cast<double>(*std::min_element(
                          ways.begin(),
                          ways.begin() + static_cast<long>(level) + 1)));
          if (level > 0)
            CHECK(link.childBandwidth ==
                  1e9 * static_cast<double>(ways[level]));
          CHECK(link.latencySeconds ==
                Approx(2e-6 * static_cast<double>(level + 1)));
        }
      }
}

TEST_CASE("graphs that are none") {
  Error error = readBad(graph + inNode);
  CHECK(error.code == "topology.disconnected");
  CHECK(error.place == "t.yaml:4:3");
  CHECK(error.message.find("rank 8") != std::string::npos);
  std::string link = ", kind: pcie, latency: 1 us, bandwidth: 1 GB/s}\n";
  auto code = [&](const std::string &ends) {
    return readBad(graph + "    - {" + ends + link).code;
  };
  CHECK(code("from: 3, to: 3") == "topology.self-link");
  CHECK(code("from: 0-3, to: 2-5") == "topology.self-link");
  CHECK(code("from: ib, to: ib") == "topology.self-link");
  CHECK(code("from: 3, to: 16") == "topology.range");
  CHECK(code("from: 3, to: nv.2") == "topology.range");
  CHECK(code("from: 3, to: nw") == "topology.name");
  CHECK(code("from: 3, to: nv, medium: bus") == "topology.name");
  CHECK(code("from: 0-2, to: nv, spread: true") == "topology.value");
  CHECK(code("from: 5-3, to: nv") == "topology.range");
  CHECK(code("from: 1-, to: nv") == "topology.range");
  CHECK(readBad("device: l40s\ngraph: {ranks: 100000, links: [{from: 0-99999, "
                "to: 0-99999" +
                link.substr(0, link.size() - 1) + "]}\n")
            .code == "topology.size");
}

TEST_CASE("large graphs take no long time") {
  Topology topology = readGood(
      "device: l40s\n"
      "graph:\n"
      "  ranks: 98304\n"
      "  switches: {leaf: 3072, spine: 16}\n"
      "  links:\n"
      "    - {from: 0-98303, to: leaf, spread: true, kind: infiniband, "
      "latency: 1 us, bandwidth: 50 GB/s}\n"
      "    - {from: leaf, to: spine, kind: infiniband, latency: 1 us, "
      "bandwidth: 40 GB/s}\n");
  REQUIRE(topology.levels.size() == 2);
  CHECK(topology.levels[0].size == 32);
  CHECK(topology.levels[1].size == 3072);
  CHECK(topology.levels[1].link.childBandwidth == 640e9);
}

//===----------------------------------------------------------------------===//
// Presets
//===----------------------------------------------------------------------===//

TEST_CASE("presets") {
  std::vector<MachinePreset> presets = machinePresets();
  CHECK(presets.size() >= 12);
  for (const MachinePreset &preset : presets) {
    INFO(preset.name);
    CHECK(!preset.summary.empty());
    auto one = Topology::parse(preset.name);
    if (!one)
      FAIL(one.error().str());
    CHECK(one->numRanks() == preset.ranks);
    CHECK(one->name == preset.name);
    auto many = Topology::parse(preset.name + "x3");
    if (!many)
      FAIL(many.error().str());
    CHECK(many->numRanks() == 3 * preset.ranks);
    CHECK(isNetwork(many->levels.back().link.kind));
    auto other = Topology::parse(preset.name + "x2@ethernet-25g-shared");
    REQUIRE(other);
    CHECK(other->linkOf(1).sharedBandwidth(8, 2) == Approx(3.125e9 / 8));
  }
  CHECK(devicePresets().size() >= 13);
  for (const auto &[name, device] : devicePresets()) {
    INFO(name);
    CHECK(device.name == name);
    CHECK(!device.source.empty());
    CHECK(device.computeUnits > 0);
    CHECK(device.cacheBytes > 0);
    CHECK(device.powerWatts > 0);
    CHECK(device.matrixPeak(Precision::F16) >
          device.vectorPeak(Precision::F32));
    auto topology = Topology::parse(name);
    REQUIRE(topology);
    CHECK(topology->numRanks() == 1);
    CHECK(topology->commonDevice() == device);
  }
}

TEST_CASE("figures of presets") {
  Topology dgx = *Topology::parse("dgx-h100x128");
  CHECK(dgx.numRanks() == 1024);
  CHECK(dgx.commonDevice().matrixPeak(precisionOf(DType::BF16)) == 989.4e12);
  CHECK(dgx.commonDevice().matrixPeak(precisionOf(DType::BF16, false, true)) ==
        1978.9e12);
  CHECK(dgx.linkOf(1).bandwidth == 50e9);
  // A cube mesh: six links of 25 GB/s, some pairs with one.
  Topology volta = *Topology::parse("dgx-v100");
  REQUIRE(volta.levels.size() == 1);
  CHECK(volta.levels[0].size == 8);
  CHECK(volta.linkOf(0).bandwidth == 150e9);
  CHECK(volta.linkOf(0).pairBandwidth == 25e9);
  CHECK(volta.linkOf(0).channels == 6);
  CHECK(Topology::parse("mi300x8")->numRanks() == 8);
  CHECK(Topology::parse("mi300x8x4")->numRanks() == 32);
  CHECK(Topology::parse("gb200-nvl72")->numRanks() == 72);
}

TEST_CASE("names that are none") {
  for (std::string text :
       {"dgx-h10", "dgx-h100x", "dgx-h100x0", "dgx-h100x-1", "dgx-h100xx2",
        "dgx-h100x2@", "dgx-h100x2@ib", "l40s@ethernet-100g",
        "dgx-h100x9999999", "x", "@"}) {
    INFO(text);
    auto topology = Topology::parse(text);
    REQUIRE(!topology);
    CHECK(topology.error().exit == ExitCode::Usage);
    CHECK(!topology.error().hint.empty());
  }
  CHECK(Topology::parse("dgx-h10").error().hint == "did you mean 'dgx-h100'?");
  CHECK(Topology::parse("/nowhere/t.yaml").error().exit ==
        ExitCode::InvalidInput);
}
