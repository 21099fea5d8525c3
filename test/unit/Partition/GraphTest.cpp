//===- GraphTest.cpp ------------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Random small graphs under random strategies: chains with residual connections
// that mix every family. A failure prints its seed; and the last test drops
// what a partitioned program needs, to see that the property notices.
//
//===----------------------------------------------------------------------===//

#include "GraphWriter.h"
#include "Property.h"
#include "mlir/Parser/Parser.h"
#include "partita/Differentiate/Differentiate.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

/// Random strategies for a program; `split` of four operations may take axes.
static Program::Choice randomChoice(Program &program, std::mt19937 &random,
                                    unsigned split) {
  Program::Choice choice;
  Mesh mesh = program.mesh();
  // Stages are numbered by the last axis, which nothing else takes.
  if (mesh.axisNames.back() == "pp") {
    mesh.axisNames.pop_back();
    mesh.axisSizes.pop_back();
    mesh.stageAxes.clear();
  }
  std::map<std::string, std::vector<Strategy>> known;
  for (mlir::Operation *op : program.planned()) {
    ShardingRule rule =
        llvm::cast<ShardingRuleOpInterface>(op).getShardingRule();
    std::string key = rule.str();
    for (const Factor &factor : rule.factors)
      key += " " + std::to_string(factor.size);
    auto [it, isNew] = known.try_emplace(key);
    if (isNew)
      it->second = legalStrategies(rule, mesh);
    choice.strategies.push_back(random() % 4 < split
                                    ? it->second[random() % it->second.size()]
                                    : Strategy::replicated(rule));
  }
  auto any = [&](mlir::Type type) {
    std::vector<Sharding> all = legalShardings(nn::shapeOf(type), mesh);
    Sharding sharding = all[random() % all.size()];
    sharding.partialAxes.clear();
    sharding.combiner = Combiner::None;
    return sharding;
  };
  for (mlir::Type type : program.step().getArgumentTypes())
    choice.arguments.push_back(any(type));
  for (mlir::Type type : program.step().getResultTypes())
    choice.results.push_back(any(type));
  return choice;
}

static const char *const meshes[] = {"a=2", "a=3", "a=4", "a=2,b=2", "a=2,b=3"};

TEST_CASE("random graphs under random strategies") {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::string text = GraphWriter(seed).write();
    Program program(text, *Mesh::parse(meshes[seed % 5]), {-1, 1, 7}, seed);
    std::mt19937 random(seed);
    for (int sample = 0; sample < 6; ++sample) {
      std::optional<std::string> wrong =
          program.check(randomChoice(program, random, 2 + sample % 3));
      INFO("seed " << seed << ", sample " << sample << "\n"
                   << wrong.value_or(""));
      REQUIRE(!wrong);
    }
  }
}

/// Stages for a choice: mostly that of what an operation reads, sometimes a
/// later one.
static void addStages(Program &program, std::mt19937 &random,
                      Program::Choice &choice) {
  int64_t stages = program.mesh().axisSizes.back();
  llvm::DenseMap<mlir::Operation *, int64_t> stageOf;
  for (mlir::Operation *op : program.planned()) {
    int64_t stage = 0;
    for (mlir::Value operand : op->getOperands())
      if (mlir::Operation *maker = operand.getDefiningOp())
        stage = std::max(stage, stageOf.lookup(maker));
    // Parameters may be said to be anywhere.
    if (op->getNumOperands() == 0)
      choice.stages.push_back(random() % stages);
    else
      choice.stages.push_back(
          stageOf[op] = std::min(stages - 1, stage + (random() % 6 == 0)));
  }
}

TEST_CASE("random graphs in random stages under random strategies") {
  static const char *const staged[] = {"pp=2",     "a=2,pp=2",     "a=2,pp=3",
                                       "a=3,pp=2", "a=2,b=2,pp=2", "pp=4"};
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::string text = GraphWriter(seed).write();
    std::mt19937 random(seed);
    Mesh mesh = *Mesh::parse(staged[seed % 6]);
    // Stages of different shapes: what is split over an axis that a stage has
    // not is whole there.
    for (int64_t stage = 0; seed % 3 && stage < mesh.numStages(); ++stage)
      mesh.stageAxes.push_back(random() % 8);
    Program program(text, mesh, {-1, 1, 7}, seed);
    for (int sample = 0; sample < 4; ++sample) {
      Program::Choice choice = randomChoice(program, random, 2 + sample % 3);
      addStages(program, random, choice);
      std::optional<std::string> wrong = program.check(choice);
      INFO("seed " << seed << ", sample " << sample << "\n"
                   << wrong.value_or(""));
      REQUIRE(!wrong);
    }
  }
}

/// The training step of a program, in its third step: at the first, m and v of
/// all zeros would hide each other.
static std::string trainingText(const std::string &text,
                                const TrainingOptions &options) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  REQUIRE(module);
  Status status = makeTrainingStep(*module, options);
  INFO((status ? "" : status.error().str()));
  REQUIRE(status);
  auto step = module->lookupSymbol<mlir::func::FuncOp>("step");
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(&step.front());
  for (mlir::BlockArgument argument : step.getArguments()) {
    auto type = llvm::cast<mlir::RankedTensorType>(argument.getType());
    if (type.getRank() == 0 && type.getElementType().isInteger(64))
      argument.replaceAllUsesWith(nn::ConstantOp::create(
          builder, step.getLoc(),
          llvm::cast<mlir::ElementsAttr>(
              mlir::Attribute(mlir::DenseElementsAttr::get(
                  type, builder.getI64IntegerAttr(3))))));
  }
  std::string result;
  llvm::raw_string_ostream stream(result);
  for (mlir::Operation &op : *module->getBody())
    stream << op << "\n";
  return result;
}

TEST_CASE("random training steps under random strategies") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    TrainingOptions options;
    bool updates = seed % 2;
    options.loss = updates ? Loss::CrossEntropy : Loss::Given;
    options.optimizer = updates ? Optimizer::AdamW : Optimizer::None;
    options.inputGradients = !updates;
    std::string text = trainingText(GraphWriter(seed).write(), options);
    // Means of squares are not negative.
    InputRange range{updates ? 0.05 : -1, 1, 7};
    Program program(text, *Mesh::parse(meshes[seed % 5]), range, seed);
    std::mt19937 random(seed);
    for (int sample = 0; sample < 3; ++sample) {
      std::optional<std::string> wrong =
          program.check(randomChoice(program, random, 2 + sample));
      INFO("seed " << seed << ", sample " << sample << "\n"
                   << wrong.value_or(""));
      REQUIRE(!wrong);
    }
  }
}

/// Replaces the `index`-th collective of every class by its operand where the
/// types allow it. Returns whether it was possible.
static bool dropCollective(mlir::ModuleOp module, unsigned index) {
  bool dropped = false;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    unsigned at = 0;
    for (mlir::Operation &op :
         llvm::make_early_inc_range(function.getBody().front())) {
      if (!llvm::isa<rt::CollectiveOp>(op) || at++ != index ||
          op.getOperand(0).getType() != op.getResult(0).getType())
        continue;
      op.getResult(0).replaceAllUsesWith(op.getOperand(0));
      op.erase();
      dropped = true;
    }
  }
  return dropped;
}

TEST_CASE("a dropped collective or a wrong offset is noticed") {
  // A split vocabulary and a matrix product split over k need one sum each.
  std::string text = "func.func @step(%t: tensor<6x4xf64>, %i: tensor<3xi64>, "
                     "%w: tensor<4x4xf64>) -> tensor<3x4xf64> {\n"
                     "  %g = nn.gather %t, %i axis 0 : tensor<6x4xf64>, "
                     "tensor<3xi64>\n  %e = nn.exp %g : tensor<3x4xf64>\n"
                     "  %r = nn.matmul %e, %w : tensor<3x4xf64>, "
                     "tensor<4x4xf64>\n  return %r : tensor<3x4xf64>\n}\n";
  Mesh mesh = *Mesh::parse("tp=2");
  Program program(text, mesh, {-1, 1, 6}, 4);
  Program::Choice choice;
  for (mlir::Operation *op : program.planned()) {
    ShardingRule rule =
        llvm::cast<ShardingRuleOpInterface>(op).getShardingRule();
    Strategy strategy = Strategy::replicated(rule);
    for (size_t f = 0; f < rule.factors.size(); ++f)
      if (rule.factors[f].kind == FactorKind::Reduction)
        strategy.factors[f].factors[0].axes = {0};
    choice.strategies.push_back(strategy);
  }
  for (mlir::Type type : program.step().getArgumentTypes())
    choice.arguments.push_back(Sharding::replicated(nn::shapeOf(type)));
  choice.results = {Sharding::replicated({3, 4})};
  std::optional<std::string> wrong = program.check(choice);
  INFO(wrong.value_or(""));
  REQUIRE(!wrong);
  for (unsigned index : {0u, 1u}) {
    bool dropped = false;
    CHECK(program.check(choice, [&](mlir::ModuleOp module) {
      dropped = dropCollective(module, index);
    }));
    CHECK(dropped);
  }
  CHECK(program.check(choice, [&](mlir::ModuleOp module) {
    module.walk([](nn::GatherOp op) { op.removeBaseAttr(); });
  }));
  CHECK(program.check(choice, [&](mlir::ModuleOp module) {
    for (auto function : module.getOps<mlir::func::FuncOp>())
      function->setAttr(rt::ranksAttrName,
                        mlir::DenseI64ArrayAttr::get(&context(), {0}));
  }));
}
