//===- Bodies.cpp - Nodes that stand for other nodes ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ONNX defines many operators by a function of simpler ones. Those that have no
// import function of their own are imported as that body. Subgraphs (the taken
// branch of an `If` on a constant) are imported in place as well.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;

/// Bodies inside bodies, subgraphs included.
static constexpr int maxBodyDepth = 32;

static std::string domainOf(const onnx::NodeProto &node) {
  return node.domain() == "ai.onnx" ? "" : node.domain();
}

static onnx::TypeProto typeOf(const Imported &value) {
  onnx::TypeProto type;
  if (value.sequence) {
    // All elements have one type; without any there is none to tell.
    auto *element = type.mutable_sequence_type()->mutable_elem_type();
    element->mutable_tensor_type();
    if (!value.sequence->empty() && value.sequence->front().type)
      *element = typeOf(value.sequence->front());
    return type;
  }
  auto *tensor = type.mutable_tensor_type();
  if (value.narrow)
    tensor->set_elem_type(value.narrow->onnx);
  for (int t = 1; !value.narrow && t <= onnx::TensorProto::BFLOAT16; ++t)
    if (dtypeOf(t) && dtypeOf(t) == getDType(value.type.getElementType()))
      tensor->set_elem_type(t);
  for (int64_t size : value.type.getShape())
    tensor->mutable_shape()->add_dim()->set_dim_value(size);
  return type;
}

/// The types of the node's inputs, which choose among bodies.
static std::vector<onnx::TypeProto> inputTypes(const NodeImport &node) {
  std::vector<onnx::TypeProto> types(node.numInputs());
  for (size_t i = 0; i < node.numInputs(); ++i)
    if (node.has(i))
      types[i] = typeOf(node.imported(i));
  return types;
}

/// Replaces the references to attributes of the function by their values at
/// this call: those of the node, or the schema's defaults.
static void
bindAttributes(google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
               const std::map<std::string, onnx::AttributeProto> &values) {
  for (onnx::NodeProto &node : nodes) {
    auto *attributes = node.mutable_attribute();
    for (int i = attributes->size() - 1; i >= 0; --i) {
      onnx::AttributeProto &attribute = *attributes->Mutable(i);
      for (auto &graph : *attribute.mutable_graphs())
        bindAttributes(*graph.mutable_node(), values);
      if (attribute.has_g())
        bindAttributes(*attribute.mutable_g()->mutable_node(), values);
      if (attribute.ref_attr_name().empty())
        continue;
      auto it = values.find(attribute.ref_attr_name());
      if (it == values.end()) {
        attributes->DeleteSubrange(i, 1);
        continue;
      }
      std::string name = attribute.name();
      attribute = it->second;
      attribute.set_name(name);
    }
  }
}

bool GraphImport::importBody(NodeImport &node, const onnx::OpSchema &schema) {
  int version = opset(domainOf(node.node));
  onnx::FunctionProto body;
  if (schema.HasContextDependentFunction()) {
    onnx::FunctionBodyBuildContextImpl context(node.node, inputTypes(node));
    if (!schema.BuildContextDependentFunction(context, body, version))
      return false;
  } else if (const onnx::FunctionProto *found =
                 schema.HasFunction() ? schema.GetFunction(version) : nullptr) {
    body = *found;
  } else {
    return false;
  }
  std::map<std::string, onnx::AttributeProto> values;
  for (const auto &[name, attribute] : schema.attributes())
    if (attribute.default_value.has_type())
      values[name] = attribute.default_value;
  for (const auto &attribute : node.node.attribute())
    values[attribute.name()] = attribute;
  bindAttributes(*body.mutable_node(), values);
  importBodyNodes(node, body);
  return true;
}

void GraphImport::importBodyNodes(NodeImport &node,
                                  const onnx::FunctionProto &body) {
  if (depth >= maxBodyDepth)
    node.invalid("functions nest too deep");
  std::map<std::string, int> saved = opsets;
  for (const auto &entry : body.opset_import())
    opsets[entry.domain() == "ai.onnx" ? "" : entry.domain()] =
        int(entry.version());
  ++depth;
  Scope scope;
  for (int i = 0; i < body.input_size(); ++i)
    scope.names[body.input(i)] = node.has(i) ? node.imported(i) : Imported();
  Location location = currentLocation;
  importNodes(body.node(), scope);
  currentLocation = location;
  for (int i = 0; i < body.output_size(); ++i)
    if (node.wants(i)) {
      const Imported *value = scope.find(body.output(i));
      if (!value)
        node.invalid("its body does not compute output " + std::to_string(i));
      node.set(i, *value);
    }
  --depth;
  opsets = std::move(saved);
}

std::vector<Imported>
GraphImport::subgraph(const onnx::GraphProto &graph, NodeImport &node,
                      const std::vector<Imported> &inputs) {
  if (depth >= maxBodyDepth)
    node.invalid("subgraphs nest too deep");
  if (size_t(graph.input_size()) != inputs.size())
    node.invalid("its subgraph has " + std::to_string(graph.input_size()) +
                 " inputs and is given " + std::to_string(inputs.size()));
  ++depth;
  Scope scope{currentScope};
  for (int i = 0; i < graph.input_size(); ++i)
    scope.names[graph.input(i).name()] = inputs[size_t(i)];
  addInitializers(graph, scope);
  Location location = currentLocation;
  importNodes(graph.node(), scope);
  currentLocation = location;
  --depth;
  std::vector<Imported> results;
  for (const auto &output : graph.output()) {
    const Imported *value = scope.find(output.name());
    if (!value)
      node.invalid("its subgraph does not compute \"" + output.name() + "\"");
    results.push_back(*value);
  }
  return results;
}
