//===- ProgramTests.cpp - The command table as bytes ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Program.h"
#include "partita/Support/File.h"
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

using namespace partita;
using namespace partita::runtime;

/// A program with every kind of command and of field.
static Program sampleProgram() {
  Program p;
  p.mesh = *Mesh::parse("dp=1,tp=2");
  p.modelName = "sample";
  p.planJson = "{\"mesh\": {}}";
  p.files = {{"/weights.bin", 4096, 17}};
  p.parameters = {{"w", DType::F32, {8, 4}, 0, 128, 128}};
  p.inputs = {{"x", DType::F32, {2, 8}, ""}, {"ids", DType::I64, {3}, "0:7"}};
  p.outputs = {{"y", DType::F32, {2, 4}, ""}};
  p.constants.resize(64, std::byte{3});
  p.kernelNames = {"fused_add"};
  p.classOfRank = {0, 0};
  Sharding columns = Sharding::replicated({2, 8});
  columns.dims[1].factors[0].axes = {1};
  Sharding rows = Sharding::replicated({8, 4});
  rows.dims[0].factors[0].axes = {1};
  Sharding partial = Sharding::replicated({2, 4}), whole = partial;
  partial.partialAxes = {1};
  partial.combiner = Combiner::Sum;

  View x = contiguousView(Space::Arena, 0, DType::F32, {2, 4});
  View w = contiguousView(Space::Persistent, 0, DType::F32, {4, 4});
  View y = contiguousView(Space::Arena, 64, DType::F32, {2, 4});
  View z = contiguousView(Space::Arena, 128, DType::F32, {2, 4});
  RankClass c;
  c.arenaBytes = 256;
  c.persistentBytes = 64;
  Command loadW{.kind = CommandKind::LoadParameter, .index = 0};
  loadW.results = {w};
  loadW.to = rows;
  c.init = {loadW};
  Command loadX{.kind = CommandKind::LoadInput, .index = 0};
  loadX.results = {x};
  loadX.to = columns;
  Command matmul{.kind = CommandKind::Call, .callee = "matmul"};
  matmul.operands = {x, w};
  matmul.results = {y};
  matmul.attrs = {{"epilogue", std::string("relu")},
                  {"packed", std::vector<int64_t>{1, 2, 3}},
                  {"scale", std::vector<double>{0.5}}};
  matmul.id = "mm";
  matmul.nodes = "MatMul_0";
  matmul.matmulFlops = 64;
  Command reduce{.kind = CommandKind::Collective};
  reduce.operands = {y};
  reduce.results = {z};
  reduce.from = partial;
  reduce.to = whole;
  reduce.axes = {1};
  Command kernel{.kind = CommandKind::Kernel, .index = 0};
  kernel.operands = {z};
  kernel.results = {y};
  kernel.offsets = {{8, {1}}};
  Command store{.kind = CommandKind::StoreOutput, .index = 0};
  store.operands = {y};
  store.from = whole;
  c.step = {loadX, matmul, reduce, kernel, store};
  p.classes = {c};
  return p;
}

TEST_CASE("a program survives its bytes", "[program]") {
  Program p = sampleProgram();
  std::vector<std::byte> bytes = serialize(p);
  Result<Program> read = deserialize(bytes);
  if (!read)
    FAIL(read.error().str());
  CHECK(serialize(*read) == bytes);
  CHECK(printProgram(*read) == printProgram(p));
  CHECK(read->classes[0].step[1].attrs == p.classes[0].step[1].attrs);
  CHECK(read->peakBytes(1) == 320);
  CHECK_THAT(printProgram(p), Catch::Contains("call matmul @mm"));
}

/// Makes the header fit changed contents, so that the parser itself is met.
static void repair(std::vector<std::byte> &bytes) {
  if (bytes.size() < 28)
    return;
  uint64_t size = bytes.size() - 28;
  uint64_t hash = hashBytes(bytes.data() + 28, size);
  std::memcpy(bytes.data() + 12, &size, 8);
  std::memcpy(bytes.data() + 20, &hash, 8);
}

TEST_CASE("truncated programs are refused", "[program]") {
  std::vector<std::byte> bytes = serialize(sampleProgram());
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::vector<std::byte> cut(bytes.begin(), bytes.begin() + size);
    REQUIRE_FALSE(deserialize(cut));
    repair(cut);
    Result<Program> read = deserialize(cut);
    REQUIRE_FALSE(read);
    REQUIRE(read.error().exit == ExitCode::InvalidInput);
  }
  bytes.push_back(std::byte{0});
  repair(bytes);
  CHECK_FALSE(deserialize(bytes));
}

TEST_CASE("a flipped bit is noticed by the hash", "[program]") {
  std::vector<std::byte> bytes = serialize(sampleProgram());
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= std::byte{16};
    REQUIRE_FALSE(deserialize(bytes));
    bytes[i] ^= std::byte{16};
  }
}

TEST_CASE("hostile programs do not crash the reader", "[program]") {
  std::vector<std::byte> bytes = serialize(sampleProgram());
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> hostile = bytes;
    int changes = 1 + random() % 4;
    for (int i = 0; i < changes; ++i) {
      size_t at = 28 + random() % (bytes.size() - 28);
      if (random() % 3 == 0 && at + 8 <= bytes.size()) {
        uint64_t extreme[] = {0, UINT64_MAX, INT64_MAX, 1ull << 62, 1ull << 32};
        std::memcpy(hostile.data() + at, &extreme[random() % 5], 8);
      } else {
        hostile[at] = static_cast<std::byte>(random());
      }
    }
    repair(hostile);
    Result<Program> read = deserialize(hostile);
    if (!read) {
      REQUIRE(read.error().exit == ExitCode::InvalidInput);
      continue;
    }
    printProgram(*read);
    for (size_t rank = 0; rank < read->classOfRank.size(); ++rank)
      read->peakBytes(rank);
  }
}

TEST_CASE("views outside their memory are refused", "[program]") {
  auto refused = [](auto change) {
    Program p = sampleProgram();
    change(p.classes[0].step[1], p);
    Status status = validate(p);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == "program.invalid");
  };
  refused([](Command &c, Program &) { c.operands[0].offset = 240; });
  refused([](Command &c, Program &) { c.operands[0].offset = -4; });
  refused([](Command &c, Program &) { c.operands[0].offset = 2; });
  refused([](Command &c, Program &) { c.operands[0].strides[0] = 1ll << 62; });
  refused([](Command &c, Program &) { c.operands[0].strides[0] = -1; });
  refused([](Command &c, Program &) { c.operands[0].shape[0] = 1ll << 62; });
  refused([](Command &c, Program &) { c.results[0].space = Space::Constant; });
  refused([](Command &c, Program &) { c.operands[0].strides.pop_back(); });
  refused([](Command &c, Program &) { c.axes = {2}; });
  refused([](Command &, Program &p) { p.classes[0].step[0].index = 2; });
  refused([](Command &, Program &p) { p.classes[0].step[3].index = -1; });
  refused([](Command &, Program &p) { p.classes[0].step[2].operands.clear(); });
  refused([](Command &, Program &p) { p.parameters[0].offset = 4000; });
  refused([](Command &, Program &p) { p.parameters[0].file = 1; });
  refused([](Command &, Program &p) { p.classOfRank[1] = 1; });
  refused([](Command &, Program &p) { p.mesh.axisSizes[1] = 3; });
}

TEST_CASE("blocks that overlap are read, not moved or stored", "[program]") {
  Program p = sampleProgram();
  Command &load = p.classes[0].step[0], &reduce = p.classes[0].step[2],
          &store = p.classes[0].step[4];
  FactorSharding halo{2, {1}, Halo{2, 1, 1, 3}};
  SECTION("an input is loaded with the borders of its neighbours") {
    load.to = Sharding::replicated({2, 8});
    load.to.dims[0].factors[0] = halo;
    CHECK(validate(p));
  }
  SECTION("a collective starts from them") {
    reduce.from.partialAxes.clear();
    reduce.from.dims[0].factors[0] = halo;
    CHECK_FALSE(validate(p));
  }
  SECTION("an output is stored from them") {
    store.from.dims[0].factors[0] = halo;
    CHECK_FALSE(validate(p));
  }
}
