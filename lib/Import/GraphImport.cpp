//===- GraphImport.cpp - From a graph of nodes to a function --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"
#include "mlir/IR/Verifier.h"
#include <charconv>

using namespace mlir;
using namespace partita;
using namespace partita::importer;

/// Initializers of rank 0 or 1 up to this many elements are constants if they
/// are integers, numbers if they are scalars; all others are parameters.
static constexpr int64_t maxConstantElements = 64;

/// Nodes that are imported, those of bodies and of unrolled loops included.
static constexpr int64_t maxImportedNodes = 1'000'000;

GraphImport::GraphImport(ModelFile &file, const ImportOptions &options,
                         MLIRContext &context)
    : builder(&context), file(file), options(options),
      currentLocation(UnknownLoc::get(&context)) {
  for (const auto &entry : file.model.opset_import())
    opsets[entry.domain() == "ai.onnx" ? "" : entry.domain()] =
        int(entry.version());
}

OwningOpRef<ModuleOp> GraphImport::run() {
  module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToEnd(module->getBody());
  step = func::FuncOp::create(builder, builder.getUnknownLoc(), "step",
                              builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(step.addEntryBlock());
  currentScope = &root;
  readDefaultDims();
  addInitializers(file.model.graph(), root);
  addInputs();
  importNodes(file.model.graph().node(), root);
  failOnGaps();
  addOutputs();
  checkDimsUsed();
  checkBatch();
  addModuleAttributes();

  std::string message;
  ScopedDiagnosticHandler handler(module->getContext(), [&](Diagnostic &d) {
    message += (message.empty() ? "" : "; ") + d.str();
  });
  if (failed(verify(*module)))
    throw Failure{makeError(ExitCode::Internal, "import.verify", file.path(),
                            "gave an invalid program: " + message,
                            "this is a bug in Partita; please report it with "
                            "the model")};
  return std::move(module);
}

int GraphImport::opset(const std::string &domain) const {
  auto it = opsets.find(domain);
  return it == opsets.end() ? 1 : it->second;
}

const onnx::OpSchema *GraphImport::schemaOf(const std::string &domain,
                                            const std::string &op) {
  auto [it, isNew] = schemas.try_emplace({domain, op}, nullptr);
  if (isNew)
    it->second = onnx::OpSchemaRegistry::Schema(op, opset(domain), domain);
  return it->second;
}

Type GraphImport::elementType(int onnxType, const std::string &place) {
  std::optional<DType> dtype = dtypeOf(onnxType);
  if (!dtype)
    importer::unsupported("dtype", place,
                          "has the element type " + onnxTypeName(onnxType),
                          supportedTypes);
  return getElementType(builder.getContext(), *dtype);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

void GraphImport::importNodes(
    const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
    Scope &scope) {
  const Scope *saved = std::exchange(currentScope, &scope);
  for (const onnx::NodeProto &node : nodes)
    importNode(node, scope);
  currentScope = saved;
}

static std::string nodeName(const onnx::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  return node.op_type() + (node.output_size() ? ":" + node.output(0) : "");
}

/// Whether dispatch() would find a way, as far as the operator's name tells.
static bool isKnown(const NodeImport &node, const onnx::OpSchema *schema) {
  std::string domain =
      node.node.domain() == "ai.onnx" ? "" : node.node.domain();
  return ImportTable::get().find(domain, node.node.op_type(), node.version) ||
         (schema &&
          (schema->HasFunction() || schema->HasContextDependentFunction()));
}

void GraphImport::importNode(const onnx::NodeProto &node, Scope &scope) {
  if (++importedNodes > maxImportedNodes)
    importer::unsupported("nodes", file.path(), "has more than a million nodes",
                          "nodes count that functions and loops expand to");
  // Nodes of a body stand for the node whose body it is.
  Origin origin;
  origin.name = nodeName(node);
  origin.id =
      origins.empty() ? origin.name : origins.back().id + "/" + node.op_type();
  origin.nodes = origins.empty()
                     ? builder.getStrArrayAttr({StringRef(origin.name)})
                     : origins.back().nodes;
  origins.push_back(origin);
  currentLocation = NameLoc::get(cast<StringAttr>(origin.nodes[0]));

  std::string domain = node.domain() == "ai.onnx" ? "" : node.domain();
  const onnx::OpSchema *schema = schemaOf(domain, node.op_type());
  int version = schema ? schema->SinceVersion() : opset(domain);
  std::vector<Imported> inputs;
  bool poisoned = false;
  for (const std::string &name : node.input()) {
    const Imported *value = name.empty() ? nullptr : scope.find(name);
    if (!name.empty() && !value)
      importer::invalid("dangling-input", "node \"" + origin.name + "\"",
                        "reads \"" + name + "\", which nothing produces");
    poisoned |= value && value->poisoned;
    inputs.push_back(value ? *value : Imported());
  }
  NodeImport import(*this, node, version, std::move(inputs));
  try {
    if (!poisoned)
      dispatch(import, schema);
    else if (!isKnown(import, schema))
      import.unsupported("");
    else
      poison(import);
  } catch (const UnsupportedNode &failure) {
    reportGap(node, version, failure.message);
    poison(import);
  }
  finish(import, scope);
  origins.pop_back();
}

void GraphImport::dispatch(NodeImport &node, const onnx::OpSchema *schema) {
  std::string domain =
      node.node.domain() == "ai.onnx" ? "" : node.node.domain();
  if (schema)
    checkTypes(node, *schema);
  const ImportFunction *function =
      ImportTable::get().find(domain, node.node.op_type(), node.version);
  std::string reason;
  if (function) {
    try {
      (*function)(node);
      node.refuseUnreadAttributes(schema);
      node.fold();
      if (schema)
        node.carryNarrowTypes(*schema);
      return;
    } catch (const UnsupportedNode &failure) {
      reason = failure.message;
      node.reset();
    }
  }
  if (!schema || !importBody(node, *schema))
    node.unsupported(reason);
}

//===----------------------------------------------------------------------===//
// What a node leaves behind
//===----------------------------------------------------------------------===//

void GraphImport::reportGap(const onnx::NodeProto &node, int version,
                            const std::string &reason) {
  std::string domain = node.domain().empty() ? "ai.onnx" : node.domain();
  Gap &gap = gaps[domain + "::" + node.op_type() + " (since opset " +
                  std::to_string(version) + ")"];
  if (gap.count++ == 0) {
    gap.firstNode = origins.front().name;
    gap.reason = reason;
  }
}

/// Lets what depends on an unknown operator be skipped: nn.unregistered keeps
/// its place, its results have no type.
void GraphImport::poison(NodeImport &node) {
  node.created.clear();
  Imported nothing;
  nothing.poisoned = true;
  for (auto &output : node.outputs)
    output = nothing;
}

void GraphImport::finish(NodeImport &node, Scope &scope) {
  nameOperations(node);
  for (int i = 0; i < node.node.output_size(); ++i) {
    const std::string &name = node.node.output(i);
    if (name.empty())
      continue;
    if (!node.outputs[i]) {
      reportGap(node.node, node.version,
                "its output " + std::to_string(i) + " is not supported");
      node.outputs[i].emplace().poisoned = true;
    }
    scope.names[name] = *node.outputs[i];
  }
}

void GraphImport::failOnGaps() {
  if (gaps.empty())
    return;
  std::string message;
  for (const auto &[op, gap] : gaps) {
    message += (message.empty() ? "" : "\n  ") + op + " x" +
               std::to_string(gap.count) + ", first at node \"" +
               gap.firstNode + "\"";
    if (!gap.reason.empty())
      message += ": " + gap.reason;
  }
  importer::unsupported("unknown-operator", file.path(),
                        "uses operators that are not supported:\n  " + message,
                        "export with decomposed operators, or a model that "
                        "does not use them");
}

std::string GraphImport::uniqueId(const std::string &base) {
  if (ids.insert(base).second)
    return base;
  for (int &k = nextSuffix[base];;) {
    std::string id = base + "." + std::to_string(++k);
    if (ids.insert(id).second)
      return id;
  }
}

/// Which of a node's operations has its name: what computes most.
static int importance(Operation *op) {
  if (auto cost = dyn_cast<CostOpInterface>(op))
    switch (cost.getKernelClass()) {
    case KernelClass::Conv:
    case KernelClass::Gemm:
    case KernelClass::Attention:
      return 3;
    case KernelClass::Free:
      return 1;
    default:
      return 2;
    }
  return 0;
}

/// The identity of an operation that has no other attributes of the kind.
static void identify(Operation *op, const std::string &id, ArrayAttr nodes) {
  MLIRContext *context = op->getContext();
  NamedAttribute attributes[] = {{nn::idAttrName, StringAttr::get(context, id)},
                                 {nn::nodesAttrName, nodes}};
  op->setDiscardableAttrs(DictionaryAttr::get(context, attributes));
}

void GraphImport::nameOperations(NodeImport &node) {
  Operation *main = nullptr;
  for (Operation *op : node.created)
    if (!main || importance(op) >= importance(main))
      main = op;
  auto name = [&](Operation *op, const std::string &id) {
    identify(op, id, origins.back().nodes);
  };
  if (main)
    name(main, uniqueId(origins.back().id));
  std::string base = main ? nn::getId(main).str() : "";
  for (Operation *op : node.created)
    if (op != main)
      name(op, uniqueId(base + "." + std::to_string(++nextSuffix[base])));
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Imported GraphImport::tensor(const onnx::TensorProto &tensor,
                             const std::string &name) {
  TensorInfo info = file.info(tensor);
  Place place = file.locate(tensor);
  Imported result;
  result.narrow = info.narrow;
  result.type = RankedTensorType::get(
      info.shape, getElementType(builder.getContext(), info.dtype));
  // What is narrow is bytes, until it is unpacked.
  RankedTensorType loaded =
      info.narrow
          ? RankedTensorType::get(
                info.numBytes, getElementType(builder.getContext(), DType::U8))
          : result.type;
  bool scalar = info.numElements == 1 && info.shape.size() <= 1;
  bool shapeLike = !isFloat(info.dtype) && info.shape.size() <= 1 &&
                   info.numElements <= maxConstantElements;
  bool present = place.kind != Place::Absent;
  if (present && info.numElements * int64_t(dtypeSize(info.dtype)) <=
                     int64_t(NodeImport::maxConstantBytes)) {
    result.constant = std::make_shared<HostTensor>(file.read(tensor));
    result.folds = scalar || shapeLike;
  }
  if (place.kind == Place::Inline && !result.constant)
    importer::unsupported("tensor-data", "tensor \"" + name + "\"",
                          "has " + std::to_string(info.numBytes) +
                              " bytes which are not stored one after the other",
                          "save the model again with its tensors as raw_data");
  if (result.folds || place.kind == Place::Inline)
    return result;

  // The same bytes under the same type are one parameter, wherever a body of a
  // function is repeated.
  std::string key;
  llvm::raw_string_ostream(key) << place.file << ':' << place.offset << ':'
                                << loaded << (present ? "" : ":" + name);
  std::string symbol = name;
  if (auto it = parameterSymbols.find(key); it != parameterSymbols.end()) {
    symbol = it->second;
  } else {
    for (int k = 1; !symbols.insert(symbol).second; ++k)
      symbol = name + "." + std::to_string(k);
    parameterSymbols[key] = symbol;
    parameterPlaces[symbol] = {place, loaded};
  }
  result.parameter = builder.getStringAttr(symbol);
  return result;
}

Value GraphImport::materialize(Imported &value, NodeImport &user) {
  if (value.value)
    return value.value;
  if (!value.parameter)
    return value.value = user.constantValue(*value.constant);
  std::string symbol = value.parameter.str();
  Value &known = parameterValues[symbol];
  if (!known) {
    auto op = nn::GetParameterOp::create(
        builder, NameLoc::get(value.parameter), parameterPlaces[symbol].second,
        FlatSymbolRefAttr::get(value.parameter), Attribute());
    identify(op, uniqueId(symbol), builder.getArrayAttr({}));
    known = op;
  }
  if (value.narrow)
    return value.value = unpackNarrow(user, known, *value.narrow,
                                      nn::shapeOf(value.type));
  return value.value = known;
}
