//===- ProgramTest.cpp - From rt modules to command tables ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "partita/Target/Target.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include <catch2/catch.hpp>

using namespace mlir;
using namespace partita;
using namespace partita::runtime;

static const char *const source = R"(
module {
  dist.mesh @m {axes = ["tp"], sizes = array<i64: 2>}
  nn.parameter @w : tensor<8x4xf32> {file = 0 : i64, offset = 64 : i64, length = 128 : i64}
  nn.parameter @b : tensor<4xf32> {file = 0 : i64, offset = 192 : i64, length = 16 : i64}
  func.func @step_class0(
      %x: tensor<2x4xf32> {nn.name = "x", dist.sharding = #dist.sharding<@m, [{2}, {8:"tp"}]>})
      -> (tensor<2x4xf32> {nn.name = "y", dist.sharding = #dist.sharding<@m, [{2}, {4}]>})
      attributes {rt.ranks = array<i64: 0, 1>} {
    %w = nn.get_parameter @w {nn.id = "w"} : tensor<4x4xf32> sharding #dist.sharding<@m, [{8:"tp"}, {4}]>
    %b = nn.get_parameter @b {nn.id = "b"} : tensor<4xf32> sharding #dist.sharding<@m, [{4}]>
    %two = nn.constant dense<2.0> : tensor<2x4xf32> {nn.id = "two"} : tensor<2x4xf32>
    %packed = rt.call "pack_weight"(%w) {nn.id = "pack", config = {packed = array<i64: 4, 4>}} : (tensor<4x4xf32>) -> tensor<1024xui8>
    %y = rt.call "matmul"(%x, %packed) {nn.id = "fc", workspace = 100 : i64, config = {packed = array<i64: 4, 4>}} : (tensor<2x4xf32>, tensor<1024xui8>) -> tensor<2x4xf32>
    %r = rt.collective "all_reduce" %y axes ["tp"] {nn.id = "fc/all_reduce"} : tensor<2x4xf32> to tensor<2x4xf32> from #dist.sharding<@m, [{2}, {4}], partial={"tp"} sum> to #dist.sharding<@m, [{2}, {4}]>
    %bb = rt.view %b offset 0 strides [0, 1] : tensor<4xf32> to tensor<2x4xf32>
    %z = rt.kernel "k0"(%r, %bb) {nn.id = "add"} : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
    %o = rt.call "copy"(%two) {nn.id = "copy"} : (tensor<2x4xf32>) -> tensor<2x4xf32>
    %s = rt.kernel "k0"(%z, %o) {nn.id = "add2"} : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
    return %s : tensor<2x4xf32>
  }
})";

namespace {
struct Parsed {
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  explicit Parsed(const char *text) {
    context.loadDialect<nn::NNDialect, dist::DistDialect, rt::RTDialect,
                        func::FuncDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
  }
};
} // namespace

static std::vector<std::string> ids(const std::vector<Command> &commands) {
  std::vector<std::string> out;
  for (const Command &command : commands)
    out.push_back(command.id);
  return out;
}

TEST_CASE("what depends on parameters alone runs at load") {
  Parsed parsed(source);
  REQUIRE(parsed.module);
  auto program = buildProgram(*parsed.module, {"k0"});
  REQUIRE(program);
  REQUIRE(program->classes.size() == 1);
  const RankClass &rank = program->classes[0];
  CHECK(ids(rank.init) ==
        std::vector<std::string>{"w", "pack", "copy", "b"});
  CHECK(ids(rank.step) ==
        std::vector<std::string>{"input:x", "fc", "fc/all_reduce", "add",
                                 "add2", "output:y"});
  // The raw weight is only needed while it is packed.
  CHECK(rank.init[0].results[0].space == Space::Arena);
  CHECK(rank.init[1].results[0].space == Space::Persistent);
  CHECK(rank.persistentBytes == 1024 + 64 + 64);
  CHECK(program->peakBytes(0) == rank.arenaBytes + rank.persistentBytes);
}

TEST_CASE("ports are global, views are strided") {
  Parsed parsed(source);
  auto program = buildProgram(*parsed.module, {"k0"});
  REQUIRE(program);
  CHECK(program->inputs[0].shape == std::vector<int64_t>{2, 8});
  const Command &add = program->classes[0].step[3];
  CHECK(add.kind == CommandKind::Kernel);
  CHECK(add.operands[1].strides == std::vector<int64_t>{0, 1});
  const Command &copy = program->classes[0].init[2];
  CHECK(copy.operands[0].space == Space::Constant);
  CHECK(copy.operands[0].strides == std::vector<int64_t>{0, 0});
}

TEST_CASE("values that live together do not share bytes") {
  Parsed parsed(source);
  auto program = buildProgram(*parsed.module, {"k0"});
  REQUIRE(program);
  for (const Command &command : program->classes[0].step) {
    std::vector<View> views = command.operands;
    views.insert(views.end(), command.results.begin(), command.results.end());
    views.insert(views.end(), command.workspace.begin(),
                 command.workspace.end());
    for (size_t i = 0; i < views.size(); ++i)
      for (size_t j = 0; j < i; ++j) {
        if (views[i].space != views[j].space ||
            (i < command.operands.size()))
          continue;
        INFO(command.id);
        CHECK((views[i].offset + views[i].extentBytes() <= views[j].offset ||
               views[j].offset + views[j].extentBytes() <= views[i].offset));
      }
  }
}

TEST_CASE("a kernel that does not exist is named") {
  Parsed parsed(source);
  auto program = buildProgram(*parsed.module, {});
  REQUIRE(!program);
  CHECK(program.error().place == "add");
}
