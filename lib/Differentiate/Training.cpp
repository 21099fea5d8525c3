//===- Training.cpp - From a model to its training step -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Puts together what a step consists of, and makes it the entry point: weights
// become arguments, the loss is appended, the backward pass runs, each weight's
// update stands where its gradient is complete, so that no gradient lives
// longer than it has to.
//
//===----------------------------------------------------------------------===//

#include "Precision.h"
#include "Steps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "partita/Differentiate/Differentiate.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace partita;
using namespace partita::training;

namespace {

/// The entry point while its arguments and results are being replaced.
class Entry {
public:
  explicit Entry(func::FuncOp function) : function(function) {
    function.getAllArgAttrs(argumentAttributes);
    function.getAllResultAttrs(resultAttributes);
  }
  Block &body() { return function.getBody().front(); }
  Operation *end() { return body().getTerminator(); }
  DictionaryAttr attributesOf(unsigned result) {
    return resultAttributes[result];
  }
  std::string resultName(unsigned i) {
    auto name = resultAttributes[i].getAs<StringAttr>(nn::nameAttrName);
    return name ? name.str() : std::to_string(i);
  }

  BlockArgument addArgument(RankedTensorType type, DictionaryAttr attributes) {
    argumentAttributes.push_back(attributes);
    return body().addArgument(type, function.getLoc());
  }
  void addResult(Value value, DictionaryAttr attributes) {
    results.push_back(value);
    newAttributes.push_back(attributes);
  }
  /// Lets the function know of the arguments that its body has.
  void declareArguments() {
    function.setFunctionType(FunctionType::get(function.getContext(),
                                               body().getArgumentTypes(),
                                               function.getResultTypes()));
    function.setAllArgAttrs(argumentAttributes);
  }
  /// What was added takes the place of the results; what nothing uses goes.
  void finish();

private:
  func::FuncOp function;
  SmallVector<DictionaryAttr> argumentAttributes, resultAttributes,
      newAttributes;
  SmallVector<Value> results;
};

class TrainingStep {
public:
  TrainingStep(func::FuncOp function, const TrainingOptions &options)
      : entry(function), options(options), naming(entry.body()),
        builder(entry.end(), &naming) {}
  Status build();

private:
  /// A weight: the value that the forward pass reads, and what becomes of it.
  struct Weight {
    std::string name;
    State state;
  };

  Result<unsigned> findOutput();
  SmallVector<nn::GetParameterOp> findReads(Value output);
  void findLeaves(Value output);
  void addWeight(nn::ParameterOp parameter, nn::GetParameterOp get);
  DictionaryAttr named(const std::string &name, ArrayAttr dims = {});
  DictionaryAttr stateAttributes(const std::string &name, StringRef initial);
  /// Names what was built since the last call, as part of the step itself.
  void nameParts(StringRef id) { naming.name(id, builder.getArrayAttr({})); }
  Value appendLoss(Value output, unsigned index, Value &gradient);
  void finishLeaf(Value leaf, Value gradient);

  Entry entry;
  const TrainingOptions &options;
  Naming naming;
  OpBuilder builder;
  SmallVector<Value> leaves;
  llvm::DenseMap<Value, Weight> weights;
  AdamWScalars scalars;
  /// In the order of the leaves: results of the step.
  llvm::DenseMap<Value, SmallVector<Value, 3>> finished;
};

} // namespace

void Entry::finish() {
  end()->setOperands(results);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body())))
    if (isOpTriviallyDead(&op))
      op.erase();
  SmallVector<Type> types;
  for (Value result : results)
    types.push_back(result.getType());
  function.setFunctionType(FunctionType::get(function.getContext(),
                                             body().getArgumentTypes(), types));
  function.setAllArgAttrs(argumentAttributes);
  function.setAllResultAttrs(newAttributes);
}

static bool isFloating(Type type) {
  return isa<FloatType>(getElementTypeOrSelf(type));
}

Result<unsigned> TrainingStep::findOutput() {
  std::string names;
  for (auto [i, value] : llvm::enumerate(entry.end()->getOperands())) {
    std::string name = entry.resultName(unsigned(i));
    names += (i ? ", " : "") + name;
    if (options.output.empty() ? isFloating(value.getType())
                               : options.output == name)
      return unsigned(i);
  }
  if (options.output.empty())
    return makeError(ExitCode::Unsupported, "differentiate.output", "training",
                     "no output is of floating point",
                     "export the model with its logits as an output");
  return makeError(ExitCode::Usage, "differentiate.output", options.output,
                   "is no output of the model", "its outputs are " + names);
}

DictionaryAttr TrainingStep::named(const std::string &name, ArrayAttr dims) {
  SmallVector<NamedAttribute> attributes = {
      builder.getNamedAttr(nn::nameAttrName, builder.getStringAttr(name))};
  if (dims)
    attributes.push_back(builder.getNamedAttr(nn::dimsAttrName, dims));
  return builder.getDictionaryAttr(attributes);
}

DictionaryAttr TrainingStep::stateAttributes(const std::string &name,
                                             StringRef initial) {
  NamedAttrList attributes(named(name));
  Attribute value = builder.getUnitAttr();
  if (!initial.empty())
    value = FlatSymbolRefAttr::get(builder.getContext(), initial);
  attributes.set(stateAttrName, value);
  return attributes.getDictionary(builder.getContext());
}

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

/// A weight becomes states: itself, in f32 at least, and two averages. What
/// reads it reads the first, rounded if it is of a narrower type.
void TrainingStep::addWeight(nn::ParameterOp parameter,
                             nn::GetParameterOp get) {
  auto type = cast<RankedTensorType>(get.getType());
  bool narrow = type.getElementTypeBitWidth() < 32;
  auto master =
      narrow ? cast<RankedTensorType>(type.clone(builder.getF32Type())) : type;
  std::string name = parameter.getSymName().str();
  Weight weight{name, {}};
  weight.state.value = entry.addArgument(master, stateAttributes(name, name));
  weight.state.mean =
      entry.addArgument(master, stateAttributes(name + ".m", ""));
  weight.state.square =
      entry.addArgument(master, stateAttributes(name + ".v", ""));
  Value read = weight.state.value;
  if (narrow) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(get);
    read = Emit(builder, get.getLoc()).cast(read, type.getElementType());
    naming.name(nn::getId(get).str() + "/round",
                get->getAttr(nn::nodesAttrName));
  }
  get.replaceAllUsesWith(read);
  leaves.push_back(weight.state.value);
  weights[weight.state.value] = weight;
}

/// The weights that `output` is computed from, each read once.
SmallVector<nn::GetParameterOp> TrainingStep::findReads(Value output) {
  llvm::DenseSet<Value> needed = {output};
  for (Operation &op : llvm::reverse(entry.body()))
    if (llvm::any_of(op.getResults(),
                     [&](Value result) { return needed.contains(result); }))
      needed.insert(op.operand_begin(), op.operand_end());
  llvm::MapVector<StringRef, nn::GetParameterOp> reads;
  for (auto get :
       llvm::make_early_inc_range(entry.body().getOps<nn::GetParameterOp>())) {
    if (!isFloating(get.getType()) || !needed.contains(get.getResult()))
      continue;
    auto [it, isNew] = reads.insert({get.getParameter(), get});
    if (!isNew) {
      get.replaceAllUsesWith(it->second.getResult());
      get.erase();
    }
  }
  SmallVector<nn::GetParameterOp> list;
  for (auto &[name, get] : reads)
    list.push_back(get);
  return list;
}

void TrainingStep::findLeaves(Value output) {
  for (nn::GetParameterOp get : findReads(output)) {
    if (options.optimizer == Optimizer::None) {
      leaves.push_back(get.getResult());
      weights[get.getResult()] = {get.getParameter().str(), {}};
      continue;
    }
    addWeight(SymbolTable::lookupNearestSymbolFrom<nn::ParameterOp>(
                  get, get.getParameterAttr()),
              get);
    get.erase();
  }
}

//===----------------------------------------------------------------------===//
// The step
//===----------------------------------------------------------------------===//

/// The loss, a scalar, and its gradient to the output.
Value TrainingStep::appendLoss(Value output, unsigned index, Value &gradient) {
  auto type = cast<RankedTensorType>(output.getType());
  Emit emit(builder, output.getLoc());
  auto dims = entry.attributesOf(index).getAs<ArrayAttr>(nn::dimsAttrName);
  switch (options.loss) {
  case Loss::Sum:
    gradient = emit.splat(type, 1);
    return emit.sum(output, dimensions(type.getRank()));
  case Loss::Given: {
    gradient = entry.addArgument(type, named(cotangentName.str(), dims));
    return emit.sum(emit.mul(output, gradient), dimensions(type.getRank()));
  }
  case Loss::CrossEntropy:
    break;
  }
  Shape shape(type.getShape().drop_back());
  auto classes = RankedTensorType::get(shape, builder.getI64Type());
  if (dims)
    dims = builder.getArrayAttr(dims.getValue().drop_back());
  NamedAttrList attributes(named(targetsName.str(), dims));
  attributes.set(
      nn::rangeAttrName,
      builder.getStringAttr("0:" + std::to_string(type.getShape().back())));
  Value targets = entry.addArgument(
      classes, attributes.getDictionary(builder.getContext()));
  return crossEntropy(emit, output, targets, gradient);
}

void TrainingStep::finishLeaf(Value leaf, Value gradient) {
  auto weight = weights.find(leaf);
  Emit emit(builder, leaf.getLoc());
  std::string id = nameOf(leaf);
  if (weight == weights.end() || options.optimizer == Optimizer::None) {
    if (!gradient)
      gradient = emit.zeros(leaf.getType());
    nameParts(id + "/grad");
    finished[leaf] = {gradient};
    return;
  }
  State next = weight->second.state;
  if (gradient)
    next = adamW(emit, next, gradient, scalars, options);
  nameParts(weight->second.name + "/adamw");
  finished[leaf] = {next.value, next.mean, next.square};
}

Status TrainingStep::build() {
  PARTITA_TRY(unsigned index, findOutput());
  Value output = entry.end()->getOperand(index);
  if (options.loss == Loss::CrossEntropy &&
      cast<RankedTensorType>(output.getType()).getRank() < 1)
    return makeError(ExitCode::Unsupported, "differentiate.loss",
                     entry.resultName(index), "has no dimension of classes",
                     "name another output");
  findLeaves(output);
  entry.declareArguments();
  if (options.bf16)
    computeIn(builder.getBF16Type(), leaves, entry.body(), naming);
  if (options.optimizer == Optimizer::None && options.inputGradients)
    for (BlockArgument argument : entry.body().getArguments())
      if (isFloating(argument.getType()))
        leaves.push_back(argument);
  Backward backward(entry.body(), leaves);
  if (!backward.isActive(output))
    return makeError(ExitCode::Unsupported, "differentiate.constant",
                     entry.resultName(index),
                     "does not depend on any weight of floating point",
                     "take the loss of another output");
  Value gradient;
  Value loss = appendLoss(output, index, gradient);
  nameParts("train.loss");
  if (options.optimizer == Optimizer::AdamW) {
    Emit emit(builder, output.getLoc());
    scalars = adamWScalars(
        emit,
        entry.addArgument(RankedTensorType::get({}, builder.getF32Type()),
                          named(rateName.str())),
        entry.addArgument(RankedTensorType::get({}, builder.getI64Type()),
                          named(stepName.str())),
        options);
    nameParts("train.adamw");
  }
  PARTITA_CHECK(backward.run(
      output, gradient, builder, naming,
      [&](Value leaf, Value gradient) { finishLeaf(leaf, gradient); }));
  if (options.optimizer == Optimizer::None)
    entry.addResult(output, entry.attributesOf(index));
  entry.addResult(loss, named(lossName.str()));
  for (Value leaf : leaves) {
    auto weight = weights.find(leaf);
    bool isState = weight != weights.end() && weight->second.state.value;
    std::string name =
        weight == weights.end() ? nameOf(leaf) : weight->second.name;
    const char *suffixes[] = {isState ? "" : ".grad", ".m", ".v"};
    for (auto [value, suffix] : llvm::zip(finished[leaf], suffixes))
      entry.addResult(value, isState ? stateAttributes(name + suffix, "")
                                     : named(name + suffix));
  }
  entry.finish();
  return ok();
}

std::optional<Loss> partita::parseLoss(StringRef text) {
  return llvm::StringSwitch<std::optional<Loss>>(text)
      .Case("cross-entropy", Loss::CrossEntropy)
      .Case("sum", Loss::Sum)
      .Case("given", Loss::Given)
      .Default(std::nullopt);
}

std::optional<Optimizer> partita::parseOptimizer(StringRef text) {
  return llvm::StringSwitch<std::optional<Optimizer>>(text)
      .Case("none", Optimizer::None)
      .Case("adamw", Optimizer::AdamW)
      .Default(std::nullopt);
}

Status partita::makeTrainingStep(ModuleOp module,
                                 const TrainingOptions &options) {
  auto function = module.lookupSymbol<func::FuncOp>("step");
  if (!function || !function.getBody().hasOneBlock())
    return makeError(ExitCode::InvalidInput, "differentiate.entry", "module",
                     "there is no function @step of one block",
                     "differentiate a program as it was imported");
  return TrainingStep(function, options).build();
}
