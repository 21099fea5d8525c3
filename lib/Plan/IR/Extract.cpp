//===- Extract.cpp - Between a module and the planner's data --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/dist/Dist.h"
#include "dialects/interfaces/RuleTable.h"
#include "dialects/nn/NN.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "partita/Plan/IR.h"

using namespace mlir;
using namespace partita;

static Result<func::FuncOp> findEntry(ModuleOp module) {
  auto entry = module.lookupSymbol<func::FuncOp>("step");
  if (!entry || !entry.getBody().hasOneBlock())
    return makeError(ExitCode::InvalidInput, "plan.entry", "module",
                     "there is no function @step of one block");
  return entry;
}

/// The rule of an argument or a result: each dimension is parallel.
static ShardingRule portRule(Type type, bool isInput) {
  std::vector<int64_t> shape = nn::shapeOf(type);
  std::vector<size_t> rank = {shape.size()}, none;
  RuleBuilder builder(isInput ? none : rank, isInput ? rank : none);
  for (unsigned d = 0; d < shape.size(); ++d) {
    RuleBuilder::Places place = {{0, d}};
    builder.parallel("d" + std::to_string(d), shape[d],
                     isInput ? RuleBuilder::Places() : place,
                     isInput ? place : RuleBuilder::Places());
  }
  return builder.build();
}

static std::string portName(func::FuncOp entry, unsigned i, bool isInput) {
  auto attr = isInput
                  ? entry.getArgAttrOfType<StringAttr>(i, nn::nameAttrName)
                  : entry.getResultAttrOfType<StringAttr>(i, nn::nameAttrName);
  return attr ? attr.str() : std::to_string(i);
}

/// Marks arguments and results that are states (partita/Differentiate).
static constexpr llvm::StringLiteral stateAttrName = "nn.state";

/// Differentiation names what it makes after what it differentiates: "x/grad",
/// "x/grad.2". Nodes of a model may have "/grad" in their names too.
static bool isGradientId(StringRef id) {
  size_t place = id.rfind("/grad");
  if (place == StringRef::npos)
    return false;
  StringRef rest = id.substr(place + 5);
  return rest.empty() || rest.starts_with(".");
}

namespace {
class Extractor {
public:
  explicit Extractor(func::FuncOp entry) : entry(entry) {}
  Result<Graph> run();

private:
  int addValue(Value value, std::string name);
  void addInput(BlockArgument arg);
  void addOutput(unsigned i, Value value);
  Status addOp(Operation *op);
  void connectStates();

  func::FuncOp entry;
  Graph graph;
  RuleTable rules;
  llvm::DenseMap<Value, int> numbers;
  llvm::DenseSet<Value> dependsOnInput;
  bool hasStates = false;
};
} // namespace

int Extractor::addValue(Value value, std::string name) {
  auto type = cast<RankedTensorType>(value.getType());
  GraphValue out;
  out.name = std::move(name);
  out.shape = nn::shapeOf(type);
  out.dtype = *getDType(type.getElementType());
  numbers[value] = graph.values.size();
  graph.values.push_back(std::move(out));
  return numbers[value];
}

void Extractor::addInput(BlockArgument arg) {
  unsigned i = arg.getArgNumber();
  GraphOp op;
  op.id = "input:" + portName(entry, i, true);
  op.kind = "input";
  op.role = OpRole::Input;
  op.rule = portRule(arg.getType(), true);
  op.results.push_back(addValue(arg, portName(entry, i, true)));
  op.kernelClass = KernelClass::Free;
  if (auto dims = entry.getArgAttrOfType<ArrayAttr>(i, nn::dimsAttrName))
    for (auto name : dims.getAsRange<StringAttr>())
      graph.values.back().dimNames.push_back(name.str());
  graph.ops.push_back(std::move(op));
  dependsOnInput.insert(arg);
}

void Extractor::addOutput(unsigned i, Value value) {
  GraphOp op;
  op.id = "output:" + portName(entry, i, false);
  op.kind = "output";
  op.role = OpRole::Output;
  op.rule = portRule(value.getType(), false);
  op.operands.push_back(numbers.lookup(value));
  op.kernelClass = KernelClass::Free;
  graph.ops.push_back(std::move(op));
}

Status Extractor::addOp(Operation *op) {
  const ShardingRule *rule = rules.of(op);
  if (!rule)
    return makeError(ExitCode::Unsupported, "plan.no-rule",
                     op->getName().getStringRef().str() + " '" +
                         nn::getId(op).str() + "'",
                     "the operation has no sharding rule");
  GraphOp out;
  out.id = nn::getId(op).str();
  out.nodes = nn::getNodes(op);
  out.kind = op->getName().getStringRef().str();
  out.rule = *rule;
  out.atLoad = true;
  if (isa<nn::GetParameterOp>(op))
    out.role = OpRole::Parameter;
  if (isa<nn::GatherOp>(op))
    out.sampledOperands = {0};
  out.isBackward = hasStates && isGradientId(out.id);
  out.isUpdate = out.kind == "nn.adamw";
  if (auto cost = dyn_cast<CostOpInterface>(op)) {
    out.flops = cost.getFlops();
    out.kernelClass = cost.getKernelClass();
  }
  for (Value operand : op->getOperands()) {
    out.operands.push_back(numbers.lookup(operand));
    out.atLoad &= !dependsOnInput.contains(operand);
  }
  for (OpResult result : op->getResults()) {
    out.results.push_back(addValue(
        result, op->getNumResults() == 1
                    ? out.id
                    : out.id + "#" + std::to_string(result.getResultNumber())));
    if (!out.atLoad)
      dependsOnInput.insert(result);
  }
  graph.ops.push_back(std::move(out));
  return ok();
}

/// An argument and a result that are states and have one name and type are one.
void Extractor::connectStates() {
  llvm::StringMap<unsigned> arguments;
  for (unsigned i = 0; i < entry.getNumArguments(); ++i)
    if (entry.getArgAttr(i, stateAttrName))
      arguments[portName(entry, i, true)] = i;
  // Arguments are the first operations, results the last.
  int first = static_cast<int>(graph.ops.size()) -
              static_cast<int>(entry.getNumResults());
  for (unsigned i = 0; i < entry.getNumResults(); ++i) {
    auto it = arguments.find(portName(entry, i, false));
    if (it != arguments.end() && entry.getResultAttr(i, stateAttrName) &&
        entry.getResultTypes()[i] == entry.getArgumentTypes()[it->getValue()])
      graph.ops[it->getValue()].nextState = first + static_cast<int>(i);
  }
}

Result<Graph> Extractor::run() {
  Block &body = entry.getBody().front();
  for (BlockArgument arg : body.getArguments()) {
    addInput(arg);
    hasStates |= entry.getArgAttr(arg.getArgNumber(), stateAttrName) != nullptr;
  }
  for (Operation &op : body.without_terminator())
    PARTITA_CHECK(addOp(&op));
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands()))
    addOutput(i, value);
  connectStates();
  if (auto name = entry->getParentOfType<ModuleOp>()->getAttrOfType<StringAttr>(
          "nn.model"))
    graph.modelName = name.str();
  return std::move(graph);
}

Result<Graph> partita::extractGraph(ModuleOp module) {
  PARTITA_TRY(func::FuncOp entry, findEntry(module));
  return Extractor(entry).run();
}

//===----------------------------------------------------------------------===//
// Attaching a plan
//===----------------------------------------------------------------------===//

namespace {
/// Strategies as attributes. Equal layers have few different ones: each is
/// checked and spelled once.
class StrategySpelling {
public:
  StrategySpelling(FlatSymbolRefAttr ref, const Mesh &mesh)
      : ref(ref), mesh(mesh) {}
  Result<Attribute> of(Operation *op, const Strategy &strategy);

private:
  FlatSymbolRefAttr ref;
  const Mesh &mesh;
  RuleTable rules;
  llvm::DenseMap<const ShardingRule *,
                 SmallVector<std::pair<const Strategy *, Attribute>>>
      known;
};
} // namespace

Result<Attribute> StrategySpelling::of(Operation *op,
                                       const Strategy &strategy) {
  const ShardingRule *rule = rules.of(op);
  if (!rule)
    return makeError(ExitCode::Unsupported, "plan.no-rule", nn::getId(op).str(),
                     "the operation has no sharding rule");
  auto &spelled = known[rule];
  for (auto [other, attr] : spelled)
    if (*other == strategy)
      return attr;
  PARTITA_CHECK(checkStrategy(*rule, strategy, mesh, nn::getId(op).str()));
  spelled.push_back(
      {&strategy,
       dist::StrategyAttr::get(ref.getContext(), ref, mesh, *rule, strategy)});
  return spelled.back().second;
}

/// Names of the axes of each stage, where they differ.
static ArrayAttr stageAxesOf(Builder &builder, const Mesh &mesh) {
  if (mesh.stageAxes.empty())
    return nullptr;
  SmallVector<Attribute> stages;
  for (int64_t stage = 0; stage < mesh.numStages(); ++stage) {
    SmallVector<Attribute> names;
    for (int axis = 0; axis < mesh.numAxes(); ++axis)
      if (mesh.axisNames[axis] != stageAxis && mesh.hasAxis(stage, axis))
        names.push_back(builder.getStringAttr(mesh.axisNames[axis]));
    stages.push_back(builder.getArrayAttr(names));
  }
  return builder.getArrayAttr(stages);
}

Status partita::attachPlan(ModuleOp module, const Mesh &mesh,
                           const std::vector<Strategy> &strategies) {
  PARTITA_TRY(func::FuncOp entry, findEntry(module));
  Block &body = entry.getBody().front();
  size_t bodySize = body.getOperations().size() - 1;
  if (strategies.size() !=
      entry.getNumArguments() + bodySize + entry.getNumResults())
    return makeError(ExitCode::InvalidInput, "plan.count", "plan",
                     "the plan has another number of operations",
                     "it was made for another model");
  MLIRContext *context = module.getContext();
  if (dist::MeshOp old = dist::getMesh(module))
    old.erase();
  OpBuilder builder(context);
  builder.setInsertionPointToStart(module.getBody());
  SmallVector<Attribute> axes;
  for (const std::string &name : mesh.axisNames)
    axes.push_back(builder.getStringAttr(name));
  dist::MeshOp::create(builder, module.getLoc(), "m",
                       builder.getArrayAttr(axes),
                       builder.getDenseI64ArrayAttr(mesh.axisSizes),
                       /*ranks=*/nullptr, stageAxesOf(builder, mesh));
  auto ref = FlatSymbolRefAttr::get(context, "m");
  auto sharding = [&](Type type, const Strategy &strategy, bool isInput) {
    ShardingRule rule = portRule(type, isInput);
    return dist::ShardingAttr::get(context, ref, mesh,
                                   isInput
                                       ? resultSharding(rule, strategy, 0)
                                       : operandSharding(rule, strategy, 0));
  };
  // The attributes of all ports make one list, which is set once.
  auto annotate = [&](SmallVector<DictionaryAttr> &ports, TypeRange types,
                      auto &next, bool isInput) {
    for (auto [port, type] : llvm::zip_equal(ports, types)) {
      NamedAttrList attributes(port);
      attributes.set(dist::shardingAttrName, sharding(type, *next++, isInput));
      port = attributes.getDictionary(context);
    }
  };
  SmallVector<DictionaryAttr> arguments, results;
  entry.getAllArgAttrs(arguments);
  entry.getAllResultAttrs(results);
  auto next = strategies.begin();
  annotate(arguments, entry.getArgumentTypes(), next, true);
  entry.setAllArgAttrs(arguments);
  StrategySpelling spelling(ref, mesh);
  for (Operation &op : body.without_terminator()) {
    PARTITA_TRY(Attribute attr, spelling.of(&op, *next++));
    op.setDiscardableAttr(dist::strategyAttrName, attr);
  }
  annotate(results, entry.getResultTypes(), next, false);
  entry.setAllResultAttrs(results);
  return ok();
}

Status partita::attachStages(ModuleOp module, const std::vector<int> &stageOf) {
  PARTITA_TRY(func::FuncOp entry, findEntry(module));
  Block &body = entry.getBody().front();
  size_t bodySize = body.getOperations().size() - 1;
  if (stageOf.size() !=
      entry.getNumArguments() + bodySize + entry.getNumResults())
    return makeError(ExitCode::InvalidInput, "plan.count", "plan",
                     "the plan has another number of operations",
                     "it was made for another model");
  OpBuilder builder(module.getContext());
  auto next = stageOf.begin() + entry.getNumArguments();
  for (Operation &op : body.without_terminator())
    op.setDiscardableAttr(dist::stageAttrName,
                          builder.getI64IntegerAttr(*next++));
  for (unsigned i = 0; i < entry.getNumResults(); ++i)
    entry.setResultAttr(i, dist::stageAttrName,
                        builder.getI64IntegerAttr(*next++));
  return ok();
}
