//===- Prepare.cpp - Checks a model before it is imported -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ONNX's own checker wants the tensors' data, which are not in memory, and it
// trusts functions not to blow up. So graphs are checked here: operator sets,
// single assignment, dangling names, cycles; calls of the model's functions are
// counted before ONNX's inliner expands them. Single nodes are then checked
// against their schemas by ONNX's checker.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"
#include "onnx/checker.h"
#include "onnx/defs/data_type_utils.h"
#include "onnx/inliner/inliner.h"
#include <set>
#include <unordered_set>

using namespace partita;
using namespace partita::importer;
using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

/// Nodes after all functions are expanded, and calls inside calls.
static constexpr int64_t maxNodes = 1'000'000;
static constexpr int maxCalls = 100;
static constexpr int oldestOpset = 7;
/// Inputs of a node, and its outputs: some of what follows is quadratic in
/// them.
static constexpr int maxOperands = 10'000;

static std::string describe(const onnx::NodeProto &node) {
  std::string name = node.name();
  if (name.empty() && node.output_size())
    name = node.output(0);
  return "node \"" + name + "\" (" + node.op_type() + ")";
}

static std::string domainOf(const std::string &domain) {
  return domain == "ai.onnx" ? "" : domain;
}

//===----------------------------------------------------------------------===//
// Operator sets
//===----------------------------------------------------------------------===//

static std::unordered_map<std::string, int>
checkOpsets(const onnx::ModelProto &model, const std::string &path) {
  std::unordered_map<std::string, int> opsets;
  const auto &known =
      onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  for (const auto &entry : model.opset_import()) {
    std::string domain = domainOf(entry.domain());
    int64_t version = entry.version();
    auto range = known.find(domain);
    std::string name = domain.empty() ? "ai.onnx" : domain;
    if (version < 1)
      invalid("opset", path,
              "imports version " + std::to_string(version) +
                  " of the operator set " + name);
    if (range != known.end() && version > range->second.second)
      unsupported("unknown-opset", path,
                  "uses version " + std::to_string(version) +
                      " of the operator set " + name +
                      "; the newest that is known is " +
                      std::to_string(range->second.second),
                  "export with --opset " +
                      std::to_string(range->second.second) + " or older");
    if (domain.empty() && version < oldestOpset)
      unsupported("unknown-opset", path,
                  "uses version " + std::to_string(version) +
                      " of the operator set ai.onnx",
                  "convert it with onnx.version_converter to version 18");
    opsets[domain] = int(version);
  }
  if (opsets.empty())
    invalid("opset", path, "does not say which operator sets it uses",
            "the file is truncated, or is not an ONNX model");
  return opsets;
}

//===----------------------------------------------------------------------===//
// The model's functions
//===----------------------------------------------------------------------===//

/// Calls `visit` for every node, those of subgraphs included.
static void
forEachNode(const Nodes &nodes,
            const std::function<void(const onnx::NodeProto &)> &visit) {
  for (const onnx::NodeProto &node : nodes) {
    visit(node);
    for (const auto &attribute : node.attribute()) {
      if (attribute.has_g())
        forEachNode(attribute.g().node(), visit);
      for (const auto &graph : attribute.graphs())
        forEachNode(graph.node(), visit);
    }
  }
}

namespace {
/// Bounds what expanding the model's functions gives.
class CallGraph {
public:
  CallGraph(const onnx::ModelProto &model, const std::string &path)
      : path(path) {
    for (const auto &function : model.functions())
      if (!functions.emplace(key(function.domain(), function.name()), &function)
               .second)
        invalid("function", path,
                "defines the function \"" + function.name() + "\" twice");
  }

  /// The number of nodes that `nodes` expand to.
  int64_t expanded(const Nodes &nodes, int depth) {
    if (depth > maxCalls)
      invalid("function", path,
              "has functions that call each other more than " +
                  std::to_string(maxCalls) + " deep",
              "inline them before export");
    int64_t total = 0;
    forEachNode(nodes, [&](const onnx::NodeProto &node) {
      auto it = functions.find(key(node.domain(), node.op_type()));
      total += it == functions.end() ? 1 : ofFunction(it->second, depth);
      if (total > maxNodes)
        invalid("function", path,
                "has functions that expand to more than a million nodes",
                "they call each other exponentially often");
    });
    return total;
  }

private:
  static std::string key(const std::string &domain, const std::string &name) {
    return domainOf(domain) + "::" + name;
  }

  int64_t ofFunction(const onnx::FunctionProto *function, int depth) {
    auto [it, isNew] = counts.try_emplace(function, -1);
    if (isNew) {
      int64_t count = expanded(function->node(), depth + 1);
      counts[function] = count;
      return count;
    }
    if (it->second < 0)
      invalid("function", path,
              "has the function \"" + function->name() +
                  "\", which calls itself",
              "functions of ONNX cannot be recursive");
    return it->second;
  }

  const std::string &path;
  std::map<std::string, const onnx::FunctionProto *> functions;
  std::unordered_map<const onnx::FunctionProto *, int64_t> counts;
};
} // namespace

static void inlineFunctions(onnx::ModelProto &model, const std::string &path) {
  if (model.functions().empty())
    return;
  CallGraph(model, path).expanded(model.graph().node(), 0);
  onnx::inliner::InlineLocalFunctions(model, /*convert_version=*/false);
  if (!model.functions().empty())
    unsupported("function", path,
                "has the function \"" + model.functions(0).name() +
                    "\" of another operator set than the model's",
                "inline it before export (onnx.inliner)");
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

namespace {
struct Names {
  const Names *outer = nullptr;
  std::unordered_set<std::string> defined = {};
  bool has(const std::string &name) const {
    for (const Names *names = this; names; names = names->outer)
      if (names->defined.count(name))
        return true;
    return false;
  }
};

/// Checks the names of a graph and sorts its nodes.
class GraphCheck {
public:
  GraphCheck(const std::string &path,
             const std::unordered_map<std::string, int> &opsets, int irVersion)
      : path(path) {
    context.set_ir_version(irVersion);
    context.set_opset_imports(opsets);
  }

  void check(onnx::GraphProto &graph, const Names *outer) {
    Names names{outer};
    std::unordered_set<std::string> inputs;
    for (const auto &input : graph.input()) {
      if (!inputs.insert(input.name()).second)
        duplicate(input.name());
      names.defined.insert(input.name());
    }
    std::unordered_set<std::string> initializers;
    for (const auto &tensor : graph.initializer()) {
      if (!initializers.insert(tensor.name()).second)
        duplicate(tensor.name());
      names.defined.insert(tensor.name());
    }
    std::unordered_map<std::string, int> producer;
    for (int i = 0; i < graph.node_size(); ++i)
      for (const auto &output : graph.node(i).output())
        if (!output.empty() && (names.defined.count(output) ||
                                !producer.emplace(output, i).second))
          duplicate(output);
    sort(*graph.mutable_node(), producer, names);
    for (const auto &[name, index] : producer)
      names.defined.insert(name);
    for (onnx::NodeProto &node : *graph.mutable_node())
      checkNode(node, names);
    for (const auto &output : graph.output())
      if (!names.has(output.name()))
        invalid("dangling-output", path + ", output \"" + output.name() + "\"",
                "nothing produces it", "the file is damaged or incomplete");
  }

private:
  [[noreturn]] void duplicate(const std::string &name) {
    invalid("duplicate-name", path, "defines the value \"" + name + "\" twice",
            "every value has exactly one producer in ONNX");
  }

  /// The names that a node reads, those of its subgraphs included.
  static void reads(const onnx::NodeProto &node,
                    std::vector<std::string> &result) {
    for (const auto &input : node.input())
      if (!input.empty())
        result.push_back(input);
    auto ofGraph = [&](const onnx::GraphProto &graph) {
      for (const auto &inner : graph.node())
        reads(inner, result);
      for (const auto &output : graph.output())
        result.push_back(output.name());
    };
    for (const auto &attribute : node.attribute()) {
      if (attribute.has_g())
        ofGraph(attribute.g());
      for (const auto &graph : attribute.graphs())
        ofGraph(graph);
    }
  }

  /// Kahn's algorithm; keeps the order of what does not depend on each other.
  void sort(Nodes &nodes, const std::unordered_map<std::string, int> &producer,
            const Names &names) {
    int size = nodes.size();
    std::vector<std::vector<int>> users(size);
    std::vector<int> missing(size, 0);
    for (int i = 0; i < size; ++i) {
      std::vector<std::string> inputs;
      reads(nodes[i], inputs);
      for (const std::string &name : inputs)
        if (auto it = producer.find(name); it != producer.end()) {
          users[it->second].push_back(i);
          ++missing[i];
        }
      for (const std::string &name : nodes[i].input())
        if (!name.empty() && !producer.count(name) && !names.has(name))
          invalid("dangling-input", describe(nodes[i]),
                  "reads \"" + name + "\", which nothing produces",
                  "the file is damaged or incomplete");
    }
    std::set<int> ready;
    for (int i = 0; i < size; ++i)
      if (missing[i] == 0)
        ready.insert(i);
    std::vector<int> order;
    while (!ready.empty()) {
      int next = *ready.begin();
      ready.erase(ready.begin());
      order.push_back(next);
      for (int user : users[next])
        if (--missing[user] == 0)
          ready.insert(user);
    }
    if (int(order.size()) < size)
      reportCycle(nodes, producer, missing);
    Nodes sorted;
    sorted.Reserve(size);
    for (int i : order)
      sorted.Add()->Swap(nodes.Mutable(i));
    nodes.Swap(&sorted);
  }

  /// Follows producers among the nodes that could not be sorted until one
  /// appears again.
  [[noreturn]] void
  reportCycle(const Nodes &nodes,
              const std::unordered_map<std::string, int> &producer,
              const std::vector<int> &missing) {
    int current = 0;
    while (missing[current] == 0)
      ++current;
    std::vector<int> path;
    while (std::find(path.begin(), path.end(), current) == path.end()) {
      path.push_back(current);
      std::vector<std::string> inputs;
      reads(nodes[current], inputs);
      for (const std::string &name : inputs)
        if (auto it = producer.find(name);
            it != producer.end() && missing[it->second] > 0) {
          current = it->second;
          break;
        }
    }
    path.erase(path.begin(), std::find(path.begin(), path.end(), current));
    std::string list;
    for (size_t i = 0; i < std::min<size_t>(path.size(), 4); ++i)
      list += (i ? ", " : "") + describe(nodes[path[i]]);
    invalid("cycle", list,
            "the graph has a cycle of " + std::to_string(path.size()) +
                " nodes",
            "graphs of ONNX must not depend on themselves");
  }

  void checkNode(onnx::NodeProto &node, const Names &names) {
    if (std::max(node.input_size(), node.output_size()) > maxOperands)
      unsupported("operands", describe(node),
                  "has more than " + std::to_string(maxOperands) +
                      " inputs or outputs",
                  "split it into several nodes");
    bool plain = true;
    for (auto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        check(*attribute.mutable_g(), &names);
      for (auto &graph : *attribute.mutable_graphs())
        check(graph, &names);
      plain &= !attribute.has_g() && !attribute.has_t() &&
               attribute.graphs().empty() && attribute.tensors().empty() &&
               !attribute.has_sparse_tensor();
      if (!attribute.ref_attr_name().empty())
        invalid("node", describe(node),
                "refers to an attribute of a function it is not in");
    }
    std::string domain = domainOf(node.domain());
    auto opset = context.get_opset_imports().find(domain);
    if (!plain || opset == context.get_opset_imports().end() ||
        !onnx::OpSchemaRegistry::Schema(node.op_type(), opset->second, domain))
      return;
    try {
      onnx::checker::check_node(node, context,
                                onnx::checker::LexicalScopeContext());
    } catch (const std::exception &error) {
      std::string text = error.what();
      invalid("node", describe(node), text.substr(0, text.find('\n')));
    }
  }

  const std::string &path;
  onnx::checker::CheckerContext context;
};
} // namespace

void importer::prepareModel(onnx::ModelProto &model, const std::string &path) {
  checkNames(model, path);
  auto opsets = checkOpsets(model, path);
  inlineFunctions(model, path);
  GraphCheck(path, opsets, int(model.ir_version()))
      .check(*model.mutable_graph(), nullptr);
  if (model.graph().output().empty())
    invalid("no-outputs", path, "has no outputs",
            "the file is truncated, or is not an ONNX model");
}

//===----------------------------------------------------------------------===//
// Element types
//===----------------------------------------------------------------------===//

static std::string schemaType(DType dtype) {
  switch (dtype) {
  case DType::F32:
    return "tensor(float)";
  case DType::F64:
    return "tensor(double)";
  case DType::F16:
    return "tensor(float16)";
  case DType::BF16:
    return "tensor(bfloat16)";
  case DType::Bool:
    return "tensor(bool)";
  default: {
    std::string name(dtypeName(dtype)); // i32, u8, ...
    return (name[0] == 'u' ? "tensor(uint" : "tensor(int") + name.substr(1) +
           ")";
  }
  }
}

void importer::checkTypes(const NodeImport &node,
                          const onnx::OpSchema &schema) {
  std::map<std::string, std::string> bound;
  const auto &formals = schema.inputs();
  for (size_t i = 0; i < node.numInputs() && !formals.empty(); ++i) {
    if (!node.has(i) || node.imported(i).sequence)
      continue;
    const auto &formal = formals[std::min(i, formals.size() - 1)];
    std::string type = node.narrow(i) ? std::string(node.narrow(i)->name)
                                      : schemaType(*getDType(node.element(i)));
    auto which = [&] {
      return "its input " + std::to_string(i) + " (\"" +
             node.node.input(int(i)) + "\") has type " + type;
    };
    const auto &types = formal.GetTypes();
    bool allowed =
        std::any_of(types.begin(), types.end(),
                    [&](const std::string *other) { return *other == type; });
    if (!allowed) {
      std::string list;
      for (const std::string *candidate : types)
        list += (list.empty() ? "" : ", ") + *candidate;
      node.invalid(which(), list.size() < 200 ? "allowed are " + list : "");
    }
    if (!formal.GetIsHomogeneous() ||
        !schema.typeConstraintMap().count(formal.GetTypeStr()))
      continue;
    auto [it, isNew] = bound.try_emplace(formal.GetTypeStr(), type);
    if (!isNew && it->second != type)
      node.invalid(which() + ", another input has " + it->second,
                   "ONNX converts no types by itself: insert a Cast");
  }
}

void NodeImport::carryNarrowTypes(const onnx::OpSchema &schema) {
  const auto &formals = schema.inputs(), &results = schema.outputs();
  for (size_t r = 0; r < outputs.size() && !results.empty(); ++r) {
    const auto &result = results[std::min(r, results.size() - 1)];
    for (size_t i = 0; i < inputs.size() && !formals.empty(); ++i) {
      const auto &formal = formals[std::min(i, formals.size() - 1)];
      if (inputs[i].narrow && formal.GetTypeStr() == result.GetTypeStr() &&
          formal.GetIsHomogeneous() && outputs[r] && outputs[r]->type)
        outputs[r]->narrow = inputs[i].narrow;
    }
  }
}
