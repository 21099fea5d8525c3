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
    for (DictionaryAttr attributes : argumentAttributes)
      if (auto name = attributes.getAs<StringAttr>(nn::nameAttrName))
        taken.insert(name.getValue());
    for (unsigned i = 0; i < resultAttributes.size(); ++i)
      taken.insert(resultName(i));
    taken.insert(lossName);
  }
  /// `name`, or with a number where something else is called so.
  std::string uniqueName(const std::string &name) {
    std::string unique = name;
    for (int k = 1; !taken.insert(unique).second; ++k)
      unique = name + "." + std::to_string(k);
    return unique;
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
  llvm::StringSet<> taken;
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
  /// What the loss is differentiated to.
  struct Leaf {
    /// That of what is built for it.
    std::string id;
    /// Of a weight that is updated.
    State state;
    /// What the step gives of it, and how that is called.
    SmallVector<std::string, 3> names;
    SmallVector<Value, 3> results;
  };

  Result<unsigned> findOutput();
  SmallVector<nn::GetParameterOp> findReads(Value output);
  void findLeaves(Value output);
  /// A leaf whose gradient is a result, after the name of its value.
  void addGradient(Value value, const std::string &name) {
    leaves[value] = {nameOf(value), {}, {entry.uniqueName(name + ".grad")}, {}};
  }
  void addWeight(nn::ParameterOp parameter, nn::GetParameterOp get);
  DictionaryAttr named(const std::string &name, ArrayAttr dims = {},
                       const std::string &range = "");
  DictionaryAttr stateAttributes(const std::string &name, StringRef initial);
  /// Names what was built since the last call, as part of the step itself.
  void nameParts(StringRef id) { naming.name(id, builder.getArrayAttr({})); }
  Value appendLoss(Value output, unsigned index, Value &gradient);
  void addScalars(Location location);
  void finishLeaf(Value value, Value gradient);
  void addResults(unsigned index, Value output, Value loss);
  SmallVector<Value> values() {
    return llvm::to_vector(llvm::make_first_range(leaves));
  }

  Entry entry;
  const TrainingOptions &options;
  Naming naming;
  OpBuilder builder;
  llvm::MapVector<Value, Leaf> leaves;
  AdamWScalars scalars;
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

DictionaryAttr TrainingStep::named(const std::string &name, ArrayAttr dims,
                                   const std::string &range) {
  SmallVector<NamedAttribute> attributes = {
      builder.getNamedAttr(nn::nameAttrName, builder.getStringAttr(name))};
  if (dims)
    attributes.push_back(builder.getNamedAttr(nn::dimsAttrName, dims));
  if (!range.empty())
    attributes.push_back(
        builder.getNamedAttr(nn::rangeAttrName, builder.getStringAttr(range)));
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
  Leaf leaf{name, {}, {}, {}};
  for (const char *suffix : {"", ".m", ".v"})
    leaf.names.push_back(entry.uniqueName(name + suffix));
  leaf.state.value =
      entry.addArgument(master, stateAttributes(leaf.names[0], name));
  leaf.state.mean =
      entry.addArgument(master, stateAttributes(leaf.names[1], ""));
  leaf.state.square =
      entry.addArgument(master, stateAttributes(leaf.names[2], ""));
  Value read = leaf.state.value;
  if (narrow) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(get);
    read = Emit(builder, get.getLoc()).cast(read, type.getElementType());
    naming.name(nn::getId(get).str() + "/round",
                get->getAttr(nn::nodesAttrName));
  }
  get.replaceAllUsesWith(read);
  leaves[leaf.state.value] = leaf;
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
      addGradient(get.getResult(), get.getParameter().str());
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
    gradient = entry.addArgument(
        type, named(entry.uniqueName(cotangentName.str()), dims));
    return emit.sum(emit.mul(output, gradient), dimensions(type.getRank()));
  }
  case Loss::CrossEntropy:
    break;
  }
  Shape shape(type.getShape().drop_back());
  auto classes = RankedTensorType::get(shape, builder.getI64Type());
  if (dims)
    dims = builder.getArrayAttr(dims.getValue().drop_back());
  Value targets = entry.addArgument(
      classes, named(entry.uniqueName(targetsName.str()), dims,
                     "0:" + std::to_string(type.getShape().back())));
  return crossEntropy(emit, output, targets, gradient);
}

/// The gradient of a leaf is complete, or null if there is none.
void TrainingStep::finishLeaf(Value value, Value gradient) {
  Leaf &leaf = leaves.find(value)->second;
  Emit emit(builder, value.getLoc());
  if (!leaf.state.value) {
    leaf.results = {gradient ? gradient : emit.zeros(value.getType())};
    return nameParts(leaf.id + "/grad");
  }
  State next = leaf.state;
  if (gradient)
    next = adamW(emit, next, gradient, scalars, options);
  leaf.results = {next.value, next.mean, next.square};
  nameParts(leaf.id + "/adamw");
}

void TrainingStep::addScalars(Location location) {
  Emit emit(builder, location);
  auto argument = [&](Type element, StringRef name, const char *range) {
    return entry.addArgument(RankedTensorType::get({}, element),
                             named(entry.uniqueName(name.str()), {}, range));
  };
  Value rate = argument(builder.getF32Type(), rateName, "");
  Value step = argument(builder.getI64Type(), stepName, "1:1000");
  scalars = adamWScalars(emit, rate, step, options);
  nameParts("train.adamw");
}

void TrainingStep::addResults(unsigned index, Value output, Value loss) {
  if (options.optimizer == Optimizer::None)
    entry.addResult(output, entry.attributesOf(index));
  entry.addResult(loss, named(lossName.str()));
  for (auto &[value, leaf] : leaves)
    for (auto [result, name] : llvm::zip_equal(leaf.results, leaf.names))
      entry.addResult(result, leaf.state.value ? stateAttributes(name, "")
                                               : named(name));
  entry.finish();
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
    computeIn(builder.getBF16Type(), values(), entry.body(), naming);
  if (options.optimizer == Optimizer::None && options.inputGradients)
    for (BlockArgument argument : entry.body().getArguments())
      if (isFloating(argument.getType()))
        addGradient(argument, nameOf(argument));
  Backward backward(entry.body(), values());
  if (!backward.isActive(output))
    return makeError(ExitCode::Unsupported, "differentiate.constant",
                     entry.resultName(index),
                     "does not depend on any weight of floating point",
                     "take the loss of another output");
  Value gradient;
  Value loss = appendLoss(output, index, gradient);
  nameParts("train.loss");
  if (options.optimizer == Optimizer::AdamW)
    addScalars(output.getLoc());
  PARTITA_CHECK(backward.run(
      output, gradient, builder, naming,
      [&](Value leaf, Value gradient) { finishLeaf(leaf, gradient); }));
  addResults(index, output, loss);
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
