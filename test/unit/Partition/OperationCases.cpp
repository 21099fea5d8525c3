//===- OperationCases.cpp -------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OperationCases.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

static std::string tensors(const std::vector<std::string> &types) {
  std::string text;
  for (const std::string &type : types)
    text += (text.empty() ? "tensor<" : ", tensor<") + type + ">";
  return text;
}

static std::string bodyOf(const Case &c) {
  std::string op = c.op, arguments, results;
  for (auto [key, types] : {std::pair{"$T", &c.arguments}, {"$R", &c.results}})
    if (size_t at = op.find(key); at != std::string::npos)
      op.replace(at, 2, tensors(*types));
  for (size_t i = 0; i < c.arguments.size(); ++i)
    arguments += (i ? ", %" : "%") + std::string(1, char('a' + i)) +
                 ": tensor<" + c.arguments[i] + ">";
  std::string count = std::to_string(c.results.size());
  for (size_t i = 0; i < c.results.size(); ++i)
    results += (i ? ", %r#" : "%r#") + std::to_string(i);
  return "func.func @step(" + arguments + ") -> (" + tensors(c.results) +
         ") {\n  %r:" + count + " = " + op + "\n  return " + results + " : " +
         tensors(c.results) + "\n}\n";
}

static Sharding withoutPartial(Sharding sharding) {
  sharding.partialAxes.clear();
  sharding.combiner = Combiner::None;
  return sharding;
}

Sharding test::boundary(const Sharding &own, const Mesh &mesh,
                        std::mt19937 &random) {
  switch (random() % 4) {
  case 0:
    return Sharding::replicated(own.globalShape());
  case 1: {
    std::vector<Sharding> all = legalShardings(own.globalShape(), mesh);
    return withoutPartial(all[random() % all.size()]);
  }
  default:
    return withoutPartial(own.withoutHalos());
  }
}

static void checkCase(const Case &c, const std::string &meshText,
                      size_t samples) {
  Mesh mesh = *Mesh::parse(meshText);
  unsigned seed = 17;
  Program program(bodyOf(c), mesh, c.range, seed);
  mlir::Operation *op = program.planned()[0];
  ShardingRule rule = llvm::cast<ShardingRuleOpInterface>(op).getShardingRule();
  std::mt19937 random(seed);
  for (const Strategy &strategy :
       sample(legalStrategies(rule, mesh), samples, seed)) {
    Program::Choice choice;
    choice.strategies = {strategy};
    for (unsigned i = 0; i < op->getNumOperands(); ++i)
      choice.arguments.push_back(
          boundary(operandSharding(rule, strategy, i), mesh, random));
    for (unsigned i = 0; i < op->getNumResults(); ++i)
      choice.results.push_back(
          boundary(resultSharding(rule, strategy, i), mesh, random));
    std::optional<std::string> wrong = program.check(choice);
    INFO(c.op << " on " << meshText << ": " << strategy.str(rule, mesh) << "\n"
              << wrong.value_or(""));
    REQUIRE(!wrong);
  }
}

void test::checkAll(const std::vector<Case> &cases) {
  for (const Case &c : cases) {
    for (const char *mesh : {"a=2", "a=3", "a=4"})
      checkCase(c, mesh, 1000);
    for (const char *mesh : {"a=2,b=2", "a=2,b=3"})
      checkCase(c, mesh, 60);
  }
}
