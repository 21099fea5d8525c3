//===- Entry.cpp - Arguments, results and attributes of the program -------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The frame around the nodes: sizes are bound to named dimensions, the graph's
// inputs and outputs become those of the function, weights that something uses
// become parameters, and the module says which files they lie in.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"
#include "llvm/ADT/StringExtras.h"
#include <charconv>
#include <filesystem>

using namespace mlir;
using namespace partita;
using namespace partita::importer;

//===----------------------------------------------------------------------===//
// Dimensions
//===----------------------------------------------------------------------===//

/// Splits "a=1,b=2".
static std::vector<std::pair<std::string, std::string>>
splitEntries(const std::string &text) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (StringRef item : llvm::split(text, ',')) {
    auto [name, value] = item.split('=');
    if (!name.trim().empty())
      entries.push_back({name.trim().str(), value.trim().str()});
  }
  return entries;
}

void GraphImport::readDefaultDims() {
  auto it = file.metadata.find("partita.dims");
  if (it != file.metadata.end())
    for (auto &[name, text] : splitEntries(it->second)) {
      int64_t size = 0;
      auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), size);
      if (error != std::errc() || end != text.data() + text.size() || size < 1)
        importer::invalid("metadata", file.path(),
                          "its metadata partita.dims gives dimension \"" +
                              name + "\" the size \"" + text + "\"",
                          "sizes are positive integers");
      dims[name] = size;
    }
  for (const auto &[name, size] : options.dims) {
    if (size < 1)
      importer::invalid("dimension", "--dim " + name,
                        "has the size " + std::to_string(size),
                        "sizes are positive integers");
    dims[name] = size;
  }
}

int64_t GraphImport::dimension(const onnx::TensorShapeProto::Dimension &dim,
                               const std::string &input, int index,
                               std::string &name) {
  name = dim.dim_param();
  if (dim.has_dim_value())
    return dim.dim_value();
  if (options.batch && StringRef(name).contains_insensitive("batch"))
    dims[name] = *options.batch;
  std::string key = name.empty() ? input + "." + std::to_string(index) : name;
  dimsSeen.insert(key);
  auto it = dims.find(key);
  if (it == dims.end())
    importer::invalid(
        "unbound-dimension",
        "input \"" + input + "\", dimension " + std::to_string(index),
        name.empty() ? "has no size" : "its size \"" + name + "\" is not bound",
        "give it: --dim " + key + "=SIZE");
  return it->second;
}

void GraphImport::checkBatch() {
  if (!options.batch)
    return;
  for (const auto &[name, size] : options.dims)
    if (StringRef(name).contains_insensitive("batch") && size != *options.batch)
      importer::invalid("batch", "--dim " + name,
                        "is " + std::to_string(size) +
                            ", and the global batch is " +
                            std::to_string(*options.batch),
                        "leave one of them out");
  bool named = llvm::any_of(dimsSeen, [](const std::string &name) {
    return StringRef(name).contains_insensitive("batch");
  });
  for (BlockArgument argument : step.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    if (!named && (type.getRank() == 0 || type.getDimSize(0) != *options.batch))
      importer::invalid(
          "batch", file.path(),
          "has no dimension of an input with \"batch\" in its name, and an "
          "input whose first size is not the global batch of " +
              std::to_string(*options.batch),
          "export the model with a named batch dimension, or for this batch");
  }
}

void GraphImport::checkDimsUsed() {
  for (const auto &[name, size] : options.dims)
    if (!dimsSeen.count(name))
      importer::invalid("unknown-dimension", "--dim " + name,
                        "the model has no such dimension",
                        dimsSeen.empty()
                            ? "all its dimensions are fixed"
                            : "it has " + llvm::join(dimsSeen, ", "));
}

//===----------------------------------------------------------------------===//
// Inputs and outputs
//===----------------------------------------------------------------------===//

void GraphImport::addInitializers(const onnx::GraphProto &graph, Scope &scope) {
  if (graph.sparse_initializer_size())
    importer::unsupported(
        "sparse",
        "tensor \"" + graph.sparse_initializer(0).values().name() + "\"",
        "is sparse", "save the model with dense weights");
  for (const onnx::TensorProto &initializer : graph.initializer())
    scope.names[initializer.name()] = tensor(initializer, initializer.name());
}

void GraphImport::addInputs() {
  // Old files list weights among the inputs.
  for (const onnx::ValueInfoProto &input : file.model.graph().input())
    if (!root.names.count(input.name()))
      addInput(input);
}

void GraphImport::addInput(const onnx::ValueInfoProto &input) {
  std::string place = "input \"" + input.name() + "\"";
  if (!input.type().has_tensor_type())
    importer::unsupported("input", place, "is not a tensor",
                          "sequences, maps and optional values are not "
                          "supported");
  const auto &tensor = input.type().tensor_type();
  if (!tensor.has_shape())
    importer::invalid("no-shape", place, "has no shape",
                      "export the model with the shapes of its inputs");
  const NarrowType *narrow = narrowType(tensor.elem_type());
  Type element = narrow ? getElementType(builder.getContext(), narrow->stored)
                        : elementType(tensor.elem_type(), place);
  Shape shape;
  SmallVector<Attribute> names;
  for (int d = 0; d < tensor.shape().dim_size(); ++d) {
    std::string name;
    shape.push_back(dimension(tensor.shape().dim(d), input.name(), d, name));
    names.push_back(builder.getStringAttr(name));
  }
  checkedBytes(*getDType(element), shape, place);
  auto type = RankedTensorType::get(shape, element);
  SmallVector<NamedAttribute> attributes = {
      builder.getNamedAttr(nn::nameAttrName,
                           builder.getStringAttr(input.name())),
      builder.getNamedAttr(nn::dimsAttrName, builder.getArrayAttr(names))};
  if (auto it = file.metadata.find("partita.input_ranges");
      it != file.metadata.end())
    for (auto &[name, range] : splitEntries(it->second))
      if (name == input.name())
        attributes.push_back(builder.getNamedAttr(
            nn::rangeAttrName, builder.getStringAttr(range)));
  inputAttributes.push_back(builder.getDictionaryAttr(attributes));
  Imported value;
  value.type = type;
  value.value = step.front().addArgument(
      type, NameLoc::get(builder.getStringAttr(input.name())));
  value.narrow = narrow;
  root.names[input.name()] = value;
}

void GraphImport::addOutputs() {
  SmallVector<Value> values;
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attributes;
  onnx::NodeProto none;
  none.set_name("outputs");
  NodeImport user(*this, none, 0, {});
  origins.push_back({"outputs", "outputs", builder.getArrayAttr({})});
  for (const onnx::ValueInfoProto &output : file.model.graph().output()) {
    Imported value = *root.find(output.name());
    if (value.sequence || !value.type)
      importer::unsupported("output", "output \"" + output.name() + "\"",
                            "is not a tensor",
                            "sequences, maps and optional values are not "
                            "supported");
    values.push_back(materialize(value, user));
    types.push_back(value.type);
    SmallVector<Attribute> names;
    const auto &declared = output.type().tensor_type().shape();
    for (int d = 0; d < value.type.getRank(); ++d)
      names.push_back(builder.getStringAttr(
          d < declared.dim_size() ? declared.dim(d).dim_param() : ""));
    attributes.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr(nn::nameAttrName,
                              builder.getStringAttr(output.name())),
         builder.getNamedAttr(nn::dimsAttrName, builder.getArrayAttr(names))}));
  }
  nameOperations(user);
  origins.pop_back();
  func::ReturnOp::create(builder, builder.getUnknownLoc(), values);
  // All at once: each change makes a new list of them.
  step.setFunctionType(
      builder.getFunctionType(step.front().getArgumentTypes(), types));
  step.setAllArgAttrs(inputAttributes);
  step.setAllResultAttrs(attributes);
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

void GraphImport::addModuleAttributes() {
  std::map<int, int> fileIndex;
  SmallVector<Attribute> files;
  OpBuilder top = OpBuilder::atBlockBegin(module->getBody());
  for (const auto &[symbol, value] : parameterValues) {
    auto [place, type] = parameterPlaces.at(symbol);
    int index = -1;
    if (place.kind == Place::InFile) {
      auto [it, isNew] = fileIndex.try_emplace(place.file, int(files.size()));
      index = it->second;
      if (isNew)
        files.push_back(fileAttribute(file.weightFiles()[place.file]));
    }
    nn::ParameterOp::create(top, value.getLoc(), symbol, type, index,
                            place.offset, place.length);
  }
  (*module)->setAttr(nn::filesAttrName, builder.getArrayAttr(files));
  if (file.weightsAbsent())
    (*module)->setAttr(nn::weightsAbsentAttrName, builder.getUnitAttr());
  (*module)->setAttr("nn.model",
                     builder.getStringAttr(
                         std::filesystem::path(file.path()).stem().string()));
}

Attribute GraphImport::fileAttribute(const InputFile &weights) {
  uint64_t hash = take(hashFile(weights));
  return builder.getDictionaryAttr(
      {builder.getNamedAttr("path", builder.getStringAttr(weights.path())),
       builder.getNamedAttr("size", builder.getI64IntegerAttr(weights.size())),
       builder.getNamedAttr("hash", builder.getI64IntegerAttr(int64_t(hash)))});
}
