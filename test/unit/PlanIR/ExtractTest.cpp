//===- ExtractTest.cpp - Between modules and the planner's data -----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "partita/Plan/IR.h"
#include <catch2/catch.hpp>

using namespace mlir;
using namespace partita;

static const char *const source = R"(
module attributes {nn.model = "tiny"} {
  nn.parameter @w : tensor<8x4xf32> {file = -1 : i64, offset = 0 : i64, length = 0 : i64}
  func.func @step(%x: tensor<2x8xf32> {nn.name = "x", nn.dims = ["batch", ""]})
      -> (tensor<2x4xf32> {nn.name = "y"}) {
    %w = nn.get_parameter @w {nn.id = "w"} : tensor<8x4xf32>
    %e = nn.exp %w {nn.id = "e"} : tensor<8x4xf32>
    %y = nn.matmul %x, %e {nn.id = "fc", nn.nodes = ["a", "b"]} : tensor<2x8xf32>, tensor<8x4xf32>
    return %y : tensor<2x4xf32>
  }
})";

namespace {
struct Parsed {
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  Parsed() {
    context.loadDialect<nn::NNDialect, dist::DistDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(source, &context);
  }
};
} // namespace

TEST_CASE("a module becomes a graph") {
  Parsed parsed;
  auto graph = extractGraph(*parsed.module);
  REQUIRE(graph);
  CHECK(graph->modelName == "tiny");
  REQUIRE(graph->ops.size() == 5);
  CHECK(graph->ops[0].id == "input:x");
  CHECK(graph->ops[0].role == OpRole::Input);
  CHECK(graph->values[graph->ops[0].results[0]].dimNames ==
        std::vector<std::string>{"batch", ""});
  CHECK(graph->ops[1].role == OpRole::Parameter);
  CHECK(graph->ops[2].atLoad);
  CHECK(!graph->ops[3].atLoad);
  CHECK(graph->ops[3].flops == 2 * 2 * 8 * 4);
  CHECK(graph->ops[3].nodes == std::vector<std::string>{"a", "b"});
  CHECK(graph->ops[4].role == OpRole::Output);
  CHECK(graph->ops[4].operands == graph->ops[3].results);
}

TEST_CASE("only a step with states has a backward pass, by whole suffixes") {
  Parsed parsed;
  Operation *product = nullptr, *exp = nullptr;
  parsed.module->walk([&](Operation *op) {
    if (isa<nn::MatMulOp>(op))
      product = op;
    if (isa<nn::ExpOp>(op))
      exp = op;
  });
  REQUIRE((product && exp));
  auto name = [&](Operation *op, const char *id) {
    op->setDiscardableAttr(nn::idAttrName,
                           StringAttr::get(&parsed.context, id));
  };
  name(product, "fc/grad.2");
  name(exp, "/grad_projection/Exp");
  auto inference = extractGraph(*parsed.module);
  REQUIRE(inference);
  CHECK(!inference->ops[2].isBackward);
  CHECK(!inference->ops[3].isBackward);
  auto entry = parsed.module->lookupSymbol<func::FuncOp>("step");
  entry.setArgAttr(0, "nn.state", UnitAttr::get(&parsed.context));
  auto training = extractGraph(*parsed.module);
  REQUIRE(training);
  CHECK(!training->ops[2].isBackward);
  CHECK(training->ops[3].isBackward);
}

TEST_CASE("a plan is attached and replaced") {
  Parsed parsed;
  auto graph = extractGraph(*parsed.module);
  REQUIRE(graph);
  for (int64_t ranks : {2, 4}) {
    Mesh mesh{"m", {"tp"}, {ranks}};
    std::vector<Strategy> strategies;
    for (const GraphOp &op : graph->ops)
      strategies.push_back(Strategy::replicated(op.rule));
    for (size_t f = 0; f < graph->ops[3].rule.factors.size(); ++f)
      if (graph->ops[3].rule.factors[f].name == "n")
        strategies[3].factors[f].factors[0].axes = {0};
    REQUIRE(attachPlan(*parsed.module, mesh, strategies));
    CHECK(succeeded(verify(*parsed.module)));
    CHECK(dist::getMesh(*parsed.module).getMesh().numRanks() == ranks);
    strategies.pop_back();
    CHECK(!attachPlan(*parsed.module, mesh, strategies));
  }
}
