//===- OperationTest.cpp --------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each operation on its own, in several shapes, under every legal strategy on
// one axis and a seeded sample on two. Arguments arrive and results leave in
// the operation's own shardings, whole, or in others, in turns.
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static std::vector<Case> unaryCases(std::initializer_list<const char *> ops,
                                    const std::string &type, InputRange range) {
  std::vector<Case> cases;
  for (const char *op : ops)
    cases.push_back({std::string("nn.") + op + " : $R", {type}, {type}, range});
  return cases;
}

static std::vector<Case> binaryCases(std::initializer_list<const char *> ops,
                                     const std::string &type,
                                     InputRange range) {
  std::vector<Case> cases;
  for (const char *op : ops)
    cases.push_back({std::string("nn.") + op + " %a, %b : $R",
                     {type, type},
                     {type},
                     range});
  return cases;
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

TEST_CASE("unary operations partition") {
  checkAll(unaryCases({"neg %a", "abs %a", "relu %a"}, "5x6xf64", {}));
  checkAll(unaryCases({"exp %a", "tanh %a", "sin %a", "cos %a", "erf %a",
                       "sigmoid %a", "silu %a", "gelu %a", "gelu %a {tanh}",
                       "floor %a", "ceil %a", "round %a", "sign %a"},
                      "7xf64", {-3, 3}));
  checkAll(unaryCases({"log %a", "sqrt %a", "rsqrt %a", "reciprocal %a"},
                      "2x3xf64", {0.5, 2}));
  checkAll(unaryCases({"not %a"}, "5xi1", {}));
}

TEST_CASE("binary operations partition") {
  checkAll(binaryCases({"add", "sub", "mul"}, "5x6xf64", {}));
  checkAll(binaryCases({"div", "mod", "pow"}, "7xf64", {0.5, 2}));
  checkAll(binaryCases({"max", "min"}, "1x6xf64", {}));
  checkAll(binaryCases({"and", "or", "xor"}, "6xi1", {}));
  checkAll(binaryCases({"add", "mul", "max"}, "6xi64", {-1, 1, 9}));
}

TEST_CASE("compare, select and cast partition") {
  checkAll({{"nn.compare \"lt\", %a, %b : tensor<4x5xf64>",
             {"4x5xf64", "4x5xf64"},
             {"4x5xi1"}},
            {"nn.select %a, %b, %c : tensor<5x6xi1>, tensor<5x6xf64>",
             {"5x6xi1", "5x6xf64", "5x6xf64"},
             {"5x6xf64"}},
            {"nn.cast %a : $T to $R", {"5x6xi64"}, {"5x6xf64"}},
            {"nn.cast %a : $T to $R", {"6xf64"}, {"6xi32"}, {-9, 9}}});
}

//===----------------------------------------------------------------------===//
// Linear
//===----------------------------------------------------------------------===//

TEST_CASE("matmul partitions") {
  checkAll({{"nn.matmul %a, %b : $T", {"5x6xf64", "6x7xf64"}, {"5x7xf64"}},
            {"nn.matmul %a, %b : $T", {"2x4x6xf64", "6x4xf64"}, {"2x4x4xf64"}},
            {"nn.matmul %a, %b : $T",
             {"2x3x2x4xf64", "2x3x4x2xf64"},
             {"2x3x2x2xf64"}},
            {"nn.matmul %a, %b : $T", {"1x6xf64", "6x1xf64"}, {"1x1xf64"}}});
}

TEST_CASE("attention partitions") {
  auto attention = [](const std::string &mask, const std::string &flag) {
    return "nn.attention %a, %b, %c" + mask + " scale 0.7" + flag + " : $T";
  };
  std::vector<std::string> results = {"2x4x5x3xf64", "2x4x5xf64"};
  std::vector<std::string> qkv = {"2x4x5x2xf64", "2x2x6x2xf64", "2x2x6x3xf64"};
  auto with = [&](const std::string &mask) {
    std::vector<std::string> types = qkv;
    types.push_back(mask);
    return types;
  };
  checkAll({
      {attention("", ""), qkv, results},
      {attention("", " causal"), qkv, results},
      {attention(" mask %d", ""), with("1x1x5x6xi1"), results},
      {attention(" mask %d", " causal"), with("2x4x5x6xf64"), results},
      {attention(" mask %d", ""), with("2x1x1x6xf64"), results},
      {attention("", " softcap 0.9 causal"), qkv, results},
      {attention("", " causal"),
       {"1x6x4x2xf64", "1x6x4x2xf64", "1x6x4x2xf64"},
       {"1x6x4x2xf64", "1x6x4xf64"}},
      {attention("", ""),
       {"3x4x1x2xf64", "3x1x4x2xf64", "3x1x4x2xf64"},
       {"3x4x1x2xf64", "3x4x1xf64"}},
  });
}

TEST_CASE("rope partitions") {
  for (const char *flag : {"", " interleaved"})
    checkAll({{std::string("nn.rope %a, %b, %c") + flag + " : $T",
               {"2x4x5x4xf64", "1x5x2xf64", "1x5x2xf64"},
               {"2x4x5x4xf64"}},
              {std::string("nn.rope %a, %b, %c") + flag + " : $T",
               {"4x2x3x2xf64", "4x3x1xf64", "4x3x1xf64"},
               {"4x2x3x2xf64"}}});
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

TEST_CASE("reductions partition") {
  std::vector<Case> cases;
  for (const char *kind : {"sum", "max", "min", "prod"}) {
    std::string op = std::string("nn.reduce \"") + kind + "\", %a ";
    cases.push_back({op + "[1] : $T", {"4x6xf64"}, {"4xf64"}});
    cases.push_back({op + "[0, 2] : $T", {"3x5x4xf64"}, {"5xf64"}});
    cases.push_back({op + "[0, 1] : $T", {"4x3xf64"}, {"f64"}});
  }
  cases.push_back({"nn.reduce \"sum\", %a [0] : $T", {"6x2xi64"}, {"2xi64"}});
  checkAll(cases);
}

TEST_CASE("operations along a dimension partition") {
  for (const char *op :
       {"cumsum %a axis 1", "cumsum %a axis 0 exclusive reverse",
        "softmax %a axis 2", "softmax %a axis 0"})
    checkAll(
        {{std::string("nn.") + op + " : $R", {"4x5x3xf64"}, {"4x5x3xf64"}}});
}

TEST_CASE("norms partition") {
  checkAll({{"nn.layer_norm %a, %b, %c epsilon 1.0e-5 : $T",
             {"4x5x6xf64", "6xf64", "6xf64"},
             {"4x5x6xf64"}},
            {"nn.layer_norm %a, %b epsilon 1.0e-5 : $T",
             {"7x6xf64", "6xf64"},
             {"7x6xf64"}},
            {"nn.rms_norm %a, %b epsilon 1.0e-5 : $T",
             {"3x4x6xf64", "6xf64"},
             {"3x4x6xf64"}}});
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

TEST_CASE("reshape partitions by factors") {
  checkAll({{"nn.reshape %a : $T to $R", {"2x24xf64"}, {"2x3x4x2xf64"}},
            {"nn.reshape %a : $T to $R", {"2x3x4x2xf64"}, {"2x24xf64"}},
            {"nn.reshape %a : $T to $R", {"4x6xf64"}, {"24xf64"}},
            {"nn.reshape %a : $T to $R", {"6x4xf64"}, {"8x3xf64"}},
            {"nn.reshape %a : $T to $R", {"5x6x4xf64"}, {"5x8x3xf64"}},
            {"nn.reshape %a : $T to $R", {"5x6xf64"}, {"5x1x6x1xf64"}},
            {"nn.reshape %a : $T to $R", {"4x3x2xf64"}, {"12x2xf64"}},
            {"nn.reshape %a : $T to $R", {"1xf64"}, {"f64"}}});
}

TEST_CASE("transpose and broadcast partition") {
  checkAll({{"nn.transpose %a [2, 0, 1] : $T", {"4x5x6xf64"}, {"6x4x5xf64"}},
            {"nn.broadcast %a [1] : $T to $R", {"6xf64"}, {"5x6xf64"}},
            {"nn.broadcast %a [0, 1] : $T to $R", {"1x6xf64"}, {"4x6xf64"}},
            {"nn.broadcast %a [0, 2] : $T to $R", {"4x1xf64"}, {"4x5x6xf64"}},
            {"nn.broadcast %a [] : $T to $R", {"f64"}, {"6xf64"}},
            {"nn.broadcast %a [0, 1] : $T to $R", {"1x1xf64"}, {"1x4xf64"}}});
}

TEST_CASE("slice and pad partition") {
  checkAll(
      {{"nn.slice %a [0, 1] step [1, 2] : $T to $R", {"6x7xf64"}, {"6x3xf64"}},
       {"nn.slice %a [4, 0] step [-1, 1] : $T to $R", {"5x4xf64"}, {"5x4xf64"}},
       {"nn.pad %a [0, 1] [0, 2] value 0.0 : $T to $R",
        {"5x3xf64"},
        {"5x6xf64"}},
       {"nn.pad %a [0, 1] [0, 2] value 2.5 : $T to $R",
        {"4x3xf64"},
        {"4x6xf64"}}});
}

TEST_CASE("concat and split partition") {
  checkAll(
      {{"nn.concat %a, %b, %c axis 1 : $T to $R",
        {"4x5xf64", "4x5xf64", "4x5xf64"},
        {"4x15xf64"}},
       {"nn.concat %a, %b axis 0 : $T to $R",
        {"2x6xf64", "3x6xf64"},
        {"5x6xf64"}},
       {"nn.split %a axis 1 : $T to $R",
        {"4x12xf64"},
        {"4x4xf64", "4x4xf64", "4x4xf64"}},
       {"nn.split %a axis 1 : $T to $R", {"5x7xf64"}, {"5x3xf64", "5x4xf64"}},
       {"nn.split %a axis 0 : $T to $R", {"6xf64"}, {"6xf64"}}});
}

TEST_CASE("gather partitions, the gathered dimension too") {
  checkAll({{"nn.gather %a, %b axis 0 : $T",
             {"7x4xf64", "2x3xi64"},
             {"2x3x4xf64"},
             {-1, 1, 7}},
            {"nn.gather %a, %b axis 1 : $T",
             {"4x5xf64", "6xi32"},
             {"4x6xf64"},
             {-1, 1, 5}},
            {"nn.gather %a, %b axis 1 : $T",
             {"2x6x3xf64", "i64"},
             {"2x3xf64"},
             {-1, 1, 6}}});
}

TEST_CASE("iota and constants partition") {
  checkAll({{"nn.iota 0 start 1.0 step 0.5 : $R", {}, {"7x4xf64"}},
            {"nn.iota 1 start -3.0 step 2.0 : $R", {}, {"5x6xi64"}},
            {"nn.constant dense<2.5> : $R : tensor<5x6xf64>", {}, {"5x6xf64"}},
            {"nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : $R : tensor<4xf64>",
             {},
             {"4xf64"}}});
}

TEST_CASE("parameters are read by boxes") {
  for (const char *meshText : {"a=2", "a=3", "a=4", "a=2,b=2", "a=2,b=3"}) {
    Mesh mesh = *Mesh::parse(meshText);
    Program program(
        "nn.parameter @w : tensor<6x8xf64> {file = -1 : i64, offset = 0 : i64, "
        "length = 384 : i64}\nfunc.func @step() -> tensor<6x8xf64> {\n  %w = "
        "nn.get_parameter @w : tensor<6x8xf64>\n  return %w : "
        "tensor<6x8xf64>\n}\n",
        mesh, {}, 5);
    ShardingRule rule =
        llvm::cast<ShardingRuleOpInterface>(program.planned()[0])
            .getShardingRule();
    std::mt19937 random(5);
    for (const Strategy &strategy :
         sample(legalStrategies(rule, mesh), 100, 5)) {
      Sharding own = resultSharding(rule, strategy, 0);
      std::optional<std::string> wrong =
          program.check({{strategy}, {}, {boundary(own, mesh, random)}});
      INFO(meshText << ": " << strategy.str(rule, mesh) << "\n"
                    << wrong.value_or(""));
      REQUIRE(!wrong);
    }
  }
}
