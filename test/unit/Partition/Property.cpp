//===- Property.cpp -------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Property.h"
#include "mlir/Parser/Parser.h"
#include "partita/Differentiate/Interface.h"
#include "partita/Partition/Partition.h"
#include <catch2/catch.hpp>
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::test;

MLIRContext &test::context() {
  static MLIRContext instance = [] {
    DialectRegistry registry;
    registry.insert<nn::NNDialect, dist::DistDialect, rt::RTDialect,
                    func::FuncDialect>();
    registerReferenceModels(registry);
    registerDifferentiationRules(registry);
    return MLIRContext(registry);
  }();
  static bool loaded = [] {
    instance.loadAllAvailableDialects();
    instance.disableMultithreading();
    return true;
  }();
  (void)loaded;
  return instance;
}

HostTensor test::randomTensor(Type type, const InputRange &range,
                              std::mt19937 &random) {
  HostTensor tensor(*getDType(getElementTypeOrSelf(type)), nn::shapeOf(type));
  for (int64_t i = 0; i < tensor.numElements(); ++i) {
    if (tensor.dtype() == DType::Bool)
      tensor.setInt(i, random() % 2);
    else if (!isFloat(tensor.dtype()))
      tensor.setInt(i, int64_t(random() % (2 * range.limit)) - range.limit);
    else
      tensor.setDouble(i, range.low + (range.high - range.low) *
                                          (random() / 4294967296.0));
  }
  return tensor;
}

static std::string meshText(const Mesh &mesh) {
  std::string names, sizes;
  for (int i = 0; i < mesh.numAxes(); ++i) {
    names += (i ? ", \"" : "\"") + mesh.axisNames[i] + "\"";
    sizes += (i ? ", " : "") + std::to_string(mesh.axisSizes[i]);
  }
  std::string stages;
  for (int64_t stage = 0; !mesh.stageAxes.empty() && stage < mesh.numStages();
       ++stage) {
    std::string own;
    for (int i = 0; i < mesh.numAxes(); ++i)
      if (mesh.axisNames[i] != stageAxis && mesh.hasAxis(stage, i))
        own += (own.empty() ? "\"" : ", \"") + mesh.axisNames[i] + "\"";
    stages += (stage ? ", [" : ", stages = [[") + own + "]";
  }
  return "dist.mesh @m {axes = [" + names + "], sizes = array<i64: " + sizes +
         ">" + stages + (stages.empty() ? "" : "]") + "}\n";
}

Program::Program(const std::string &body, const Mesh &mesh, InputRange range,
                 unsigned seed)
    : grid(mesh) {
  grid.name = "m";
  module = parseSourceString<ModuleOp>(meshText(mesh) + body, &context());
  INFO(body);
  REQUIRE(module);
  std::mt19937 random(seed);
  for (Type type : step().getArgumentTypes())
    inputs.push_back(randomTensor(type, range, random));
  for (auto parameter : module->getOps<nn::ParameterOp>())
    parameters.set(parameter.getSymName().str(),
                   randomTensor(parameter.getType(), range, random));
  auto whole = Interpreter().run(step(), inputs, parameters);
  INFO((whole ? "" : whole.error().str()));
  REQUIRE(whole);
  expected = *whole;
}

func::FuncOp Program::step() const {
  return const_cast<OwningOpRef<ModuleOp> &>(module)
      ->lookupSymbol<func::FuncOp>("step");
}

std::vector<Operation *> Program::planned() const {
  std::vector<Operation *> ops;
  for (Operation &op : step().getBody().front())
    if (isa<ShardingRuleOpInterface>(op))
      ops.push_back(&op);
  return ops;
}

//===----------------------------------------------------------------------===//
// Checking
//===----------------------------------------------------------------------===//

static std::string textOf(Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  op->print(stream);
  return text;
}

/// Collects what the verifier says, which would go to stderr.
namespace {
struct Diagnostics {
  std::string text;
  ScopedDiagnosticHandler handler;
  Diagnostics()
      : handler(&context(), [this](Diagnostic &diagnostic) {
          text += diagnostic.str() + "\n";
          return success();
        }) {}
};
} // namespace

static std::optional<std::string> compareTensors(const HostTensor &actual,
                                                 const HostTensor &expected) {
  if (actual.shape() != expected.shape() || actual.dtype() != expected.dtype())
    return "has another type";
  double largest = 1;
  for (int64_t i = 0; i < expected.numElements(); ++i)
    if (std::isfinite(expected.getDouble(i)))
      largest = std::max(largest, std::fabs(expected.getDouble(i)));
  for (int64_t i = 0; i < expected.numElements(); ++i) {
    double a = actual.getDouble(i), b = expected.getDouble(i);
    if (a == b || (a != a && b != b) || std::fabs(a - b) <= 1e-11 * largest)
      continue;
    return "element " + std::to_string(i) + " is " + std::to_string(a) +
           ", expected " + std::to_string(b);
  }
  return std::nullopt;
}

std::optional<std::string> Program::compare(ModuleOp partitioned) {
  RankOptions options;
  options.replicaTolerance = 1e-12;
  auto actual =
      Interpreter().runRanks(partitioned, "step", inputs, parameters, options);
  if (!actual)
    return actual.error().str();
  for (size_t i = 0; i < expected.size(); ++i)
    if (auto wrong = compareTensors((*actual)[i], expected[i]))
      return "result " + std::to_string(i) + " " + *wrong;
  return std::nullopt;
}

std::optional<std::string> Program::check(const Choice &choice,
                                          const Mutation &mutation) {
  OwningOpRef<ModuleOp> clone = module->clone();
  auto function = clone->lookupSymbol<func::FuncOp>("step");
  auto ref = FlatSymbolRefAttr::get(&context(), "m");
  size_t next = 0;
  for (Operation &op : function.getBody().front())
    if (auto rule = dyn_cast<ShardingRuleOpInterface>(op))
      op.setAttr(dist::strategyAttrName,
                 dist::StrategyAttr::get(&context(), ref, grid,
                                         rule.getShardingRule(),
                                         choice.strategies[next++]));
  auto attr = [&](const Sharding &sharding) {
    return dist::ShardingAttr::get(&context(), ref, grid, sharding);
  };
  for (auto [i, sharding] : llvm::enumerate(choice.arguments))
    function.setArgAttr(i, dist::shardingAttrName, attr(sharding));
  for (auto [i, sharding] : llvm::enumerate(choice.results))
    function.setResultAttr(i, dist::shardingAttrName, attr(sharding));
  for (auto [op, stage] : llvm::zip(
           llvm::make_filter_range(function.getBody().front(),
                                   llvm::IsaPred<ShardingRuleOpInterface>),
           choice.stages))
    op.setAttr(dist::stageAttrName,
               Builder(&context()).getI64IntegerAttr(stage));
  std::string before = textOf(*clone);
  Diagnostics diagnostics;
  static const Topology topology = *Topology::parse("cpu:8");
  Status status = choice.stages.empty() ? ok() : splitStages(*clone);
  if (status && failed(verify(*clone)))
    status = makeError(ExitCode::Internal, "test.verify", "stages", "");
  if (status)
    status = partition(*clone, topology);
  if (!status)
    return status.error().str() + "\n" + diagnostics.text + before;
  if (mutation)
    mutation(*clone);
  std::optional<std::string> wrong = compare(*clone);
  if (wrong)
    *wrong += "\n" + before + "\n" + textOf(*clone);
  return wrong;
}
