//===- Names.cpp - Checks the names in a model ----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ONNX lets a name be any string. One with a line break could write a message
// that looks like ours, one of a megabyte would stand in the identity of every
// operation of an unrolled loop; both are refused before anything prints them.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"
#include "llvm/Support/ConvertUTF.h"

using namespace partita;
using namespace partita::importer;

static constexpr size_t maxNameBytes = 4096;

static bool isControl(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

static bool isUTF8(const std::string &text) {
  auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.data());
  return llvm::isLegalUTF8String(&begin, begin + text.size());
}

/// The beginning of a name, with everything but plain characters spelled out.
static std::string shown(const std::string &name) {
  constexpr size_t most = 40;
  std::string result;
  for (char c : name.substr(0, most)) {
    if (c >= ' ' && c < 0x7f)
      result += c;
    else
      result += "\\x" + llvm::toHex(llvm::StringRef(&c, 1), /*LowerCase=*/true);
  }
  return "\"" + result + (name.size() > most ? "..." : "") + "\"";
}

namespace {
class NameCheck {
public:
  explicit NameCheck(const std::string &path) : path(path) {}

  void model(const onnx::ModelProto &model) {
    for (const auto &entry : model.opset_import())
      name(entry.domain());
    for (const auto &function : model.functions()) {
      name(function.domain());
      name(function.name());
      all(function.input());
      all(function.output());
      all(function.attribute());
      for (const auto &entry : function.opset_import())
        name(entry.domain());
      attributes(function.attribute_proto());
      nodes(function.node());
    }
    graph(model.graph());
  }

private:
  void name(const std::string &name) {
    if (name.size() > maxNameBytes)
      unsupported("name", path,
                  "has a name of " + std::to_string(name.size()) + " bytes, " +
                      shown(name),
                  "names have at most " + std::to_string(maxNameBytes) +
                      " bytes");
    if (std::any_of(name.begin(), name.end(), isControl))
      invalid("name", path,
              "has the name " + shown(name) + ", with a control character",
              "names are text of one line");
    if (!isUTF8(name))
      invalid("name", path,
              "has the name " + shown(name) + ", which is not UTF-8",
              "names are text of one line");
  }

  template <typename Names> void all(const Names &names) {
    for (const std::string &text : names)
      name(text);
  }

  void value(const onnx::ValueInfoProto &value) {
    name(value.name());
    for (const auto &dim : value.type().tensor_type().shape().dim())
      name(dim.dim_param());
  }

  void tensor(const onnx::TensorProto &tensor) {
    name(tensor.name());
    for (const auto &entry : tensor.external_data()) {
      name(entry.key());
      name(entry.value());
    }
  }

  template <typename Attributes> void attributes(const Attributes &list) {
    for (const onnx::AttributeProto &attribute : list) {
      name(attribute.name());
      name(attribute.ref_attr_name());
      tensor(attribute.t());
      graph(attribute.g());
      for (const auto &inner : attribute.graphs())
        graph(inner);
    }
  }

  template <typename Nodes> void nodes(const Nodes &list) {
    for (const onnx::NodeProto &node : list) {
      name(node.name());
      name(node.op_type());
      name(node.domain());
      all(node.input());
      all(node.output());
      attributes(node.attribute());
    }
  }

  void graph(const onnx::GraphProto &graph) {
    nodes(graph.node());
    for (const auto &initializer : graph.initializer())
      tensor(initializer);
    for (const auto &sparse : graph.sparse_initializer())
      tensor(sparse.values());
    for (const auto &input : graph.input())
      value(input);
    for (const auto &output : graph.output())
      value(output);
  }

  const std::string &path;
};
} // namespace

void importer::checkNames(const onnx::ModelProto &model,
                          const std::string &path) {
  NameCheck(path).model(model);
}
