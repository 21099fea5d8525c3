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

#include "Property.h"
#include "mlir/Parser/Parser.h"
#include "partita/Differentiate/Differentiate.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

//===----------------------------------------------------------------------===//
// Random graphs
//===----------------------------------------------------------------------===//

namespace {

/// Writes a program whose values are [batch, sequence, width] between blocks.
class GraphWriter {
public:
  explicit GraphWriter(unsigned seed) : random(seed) {}
  std::string write();

private:
  int64_t pick(std::initializer_list<int64_t> from) {
    return from.begin()[random() % from.size()];
  }
  std::string tensor(std::initializer_list<int64_t> shape) {
    std::string text = "tensor<";
    for (int64_t size : shape)
      text += std::to_string(size) + "x";
    return text + "f64>";
  }
  std::string fresh() { return "%v" + std::to_string(next++); }
  /// Appends an operation with one result.
  std::string emit(const std::string &text) {
    std::string value = fresh();
    body += "  " + value + " = " + text + "\n";
    return value;
  }
  std::string parameter(std::initializer_list<int64_t> shape);
  std::string linear(const std::string &x, int64_t from, int64_t to);
  std::string biased(const std::string &x, int64_t width);
  std::string toHeads(const std::string &x, const std::string &from);
  std::string feedForward(const std::string &x);
  std::string selfAttention(const std::string &x);
  std::string normalized(const std::string &x);
  std::string gated(const std::string &x);
  std::string scaledByMean(const std::string &x);

  std::mt19937 random;
  int next = 0;
  int64_t batch = 0, sequence = 0, heads = 0, depth = 0, width = 0;
  std::string type, parameters, body;
};

} // namespace

std::string GraphWriter::parameter(std::initializer_list<int64_t> shape) {
  std::string name = "@p" + std::to_string(next++), t = tensor(shape);
  int64_t bytes = 8;
  for (int64_t size : shape)
    bytes *= size;
  parameters +=
      "nn.parameter " + name + " : " + t +
      " {file = -1 : i64, offset = 0 : i64, length = " + std::to_string(bytes) +
      " : i64}\n";
  return emit("nn.get_parameter " + name + " : " + t);
}

std::string GraphWriter::linear(const std::string &x, int64_t from,
                                int64_t to) {
  std::string w = parameter({from, to});
  return emit("nn.matmul " + x + ", " + w + " : " +
              tensor({batch, sequence, from}) + ", " + tensor({from, to}));
}

std::string GraphWriter::biased(const std::string &x, int64_t size) {
  std::string b = parameter({size}), t = tensor({batch, sequence, size});
  std::string wide =
      emit("nn.broadcast " + b + " [2] : " + tensor({size}) + " to " + t);
  return emit("nn.add " + x + ", " + wide + " : " + t);
}

std::string GraphWriter::feedForward(const std::string &x) {
  int64_t inner = pick({6, 8, 10});
  std::string h = biased(linear(x, width, inner), inner);
  const char *activations[] = {"gelu", "relu", "silu", "tanh"};
  h = emit(std::string("nn.") + activations[random() % 4] + " " + h + " : " +
           tensor({batch, sequence, inner}));
  return biased(linear(h, inner, width), width);
}

/// [b, s, h d] to [b, h, s, d].
std::string GraphWriter::toHeads(const std::string &x,
                                 const std::string &from) {
  std::string split = tensor({batch, sequence, heads, depth});
  std::string h = emit("nn.reshape " + x + " : " + from + " to " + split);
  return emit("nn.transpose " + h + " [0, 2, 1, 3] : " + split);
}

/// Attention with one fused matrix for query, key and value.
std::string GraphWriter::selfAttention(const std::string &x) {
  std::string fused = tensor({batch, sequence, 3 * width});
  std::string qkv = biased(linear(x, width, 3 * width), 3 * width);
  std::string parts = fresh();
  body += "  " + parts + ":3 = nn.split " + qkv + " axis 2 : " + fused +
          " to " + type + ", " + type + ", " + type + "\n";
  std::string q = toHeads(parts + "#0", type), k = toHeads(parts + "#1", type),
              v = toHeads(parts + "#2", type);
  std::string t = tensor({batch, heads, sequence, depth});
  std::string out = fresh();
  body += "  " + out + ":2 = nn.attention " + q + ", " + k + ", " + v +
          " scale 0.5" + (random() % 2 ? " causal" : "") + " : " + t + ", " +
          t + ", " + t + "\n";
  std::string back = emit("nn.transpose " + out + "#0 [0, 2, 1, 3] : " + t);
  back = emit("nn.reshape " + back + " : " +
              tensor({batch, sequence, heads, depth}) + " to " + type);
  return linear(back, width, width);
}

std::string GraphWriter::normalized(const std::string &x) {
  std::string scale = parameter({width}), v = tensor({width});
  if (random() % 2)
    return emit("nn.rms_norm " + x + ", " + scale +
                " epsilon 1.0e-5 : " + type + ", " + v);
  std::string bias = parameter({width});
  return emit("nn.layer_norm " + x + ", " + scale + ", " + bias +
              " epsilon 1.0e-5 : " + type + ", " + v + ", " + v);
}

/// Two products side by side, multiplied, from one concatenated value.
std::string GraphWriter::gated(const std::string &x) {
  std::string a = linear(x, width, width), b = linear(x, width, width);
  std::string both = tensor({batch, sequence, 2 * width});
  std::string joined = emit("nn.concat " + a + ", " + b + " axis 2 : " + type +
                            ", " + type + " to " + both);
  std::string parts = fresh();
  body += "  " + parts + ":2 = nn.split " + joined + " axis 2 : " + both +
          " to " + type + ", " + type + "\n";
  std::string gate = emit("nn.sigmoid " + parts + "#0 : " + type);
  return emit("nn.mul " + gate + ", " + parts + "#1 : " + type);
}

/// x times a reduction of itself over the sequence.
std::string GraphWriter::scaledByMean(const std::string &x) {
  const char *kinds[] = {"sum", "max"};
  std::string r = emit(std::string("nn.reduce \"") + kinds[random() % 2] +
                       "\", " + x + " [1] : " + type);
  std::string wide =
      emit("nn.broadcast " + r + " [0, 2] : " + tensor({batch, width}) +
           " to " + type);
  std::string soft = emit("nn.softmax " + wide + " axis 2 : " + type);
  return emit("nn.mul " + x + ", " + soft + " : " + type);
}

std::string GraphWriter::write() {
  batch = pick({1, 2, 3, 4}), sequence = pick({2, 4, 5, 6});
  heads = pick({2, 3, 4}), depth = pick({1, 2, 3});
  width = heads * depth;
  type = tensor({batch, sequence, width});
  int64_t vocabulary = 7;
  std::string ids = "tensor<" + std::to_string(batch) + "x" +
                    std::to_string(sequence) + "xi64>";
  std::string table = parameter({vocabulary, width});
  std::string x = emit("nn.gather " + table + ", %ids axis 0 : " +
                       tensor({vocabulary, width}) + ", " + ids);
  x = emit("nn.add " + x + ", %x : " + type);
  std::vector<std::string> earlier = {x};
  for (int block = 0, blocks = 1 + random() % 3; block < blocks; ++block) {
    using Block = std::string (GraphWriter::*)(const std::string &);
    static const Block kinds[] = {
        &GraphWriter::feedForward, &GraphWriter::selfAttention,
        &GraphWriter::gated, &GraphWriter::scaledByMean};
    std::string y =
        (this->*kinds[random() % 4])(random() % 2 ? normalized(x) : x);
    // A residual, mostly from the block's input.
    const std::string &other =
        random() % 4 ? x : earlier[random() % earlier.size()];
    x = emit("nn.add " + other + ", " + y + " : " + type);
    earlier.push_back(x);
  }
  return parameters + "func.func @step(%ids: " + ids + ", %x: " + type +
         ") -> (" + type + ", " + type + ") {\n" + body + "  return " + x +
         ", " + earlier[0] + " : " + type + ", " + type + "\n}\n";
}

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
