//===- GraphImport.h - From a graph of nodes to a function ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks the nodes in their order, gives each to the import function of its
// operator or to the body that ONNX defines for it, and keeps what
// every name stands for. Nodes that nothing knows poison what depends on them
// and are reported together at the end.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_GRAPHIMPORT_H
#define PARTITA_LIB_IMPORT_GRAPHIMPORT_H

#include "ModelFile.h"
#include "NodeImport.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "onnx/defs/schema.h"
#include "partita/Import/Import.h"
#include <set>
#include <unordered_map>

namespace partita::importer {

/// The names of a graph, of a body of a function, or of a subgraph, which sees
/// those around it.
struct Scope {
  const Scope *outer = nullptr;
  std::unordered_map<std::string, Imported> names = {};

  const Imported *find(const std::string &name) const {
    for (const Scope *scope = this; scope; scope = scope->outer)
      if (auto it = scope->names.find(name); it != scope->names.end())
        return &it->second;
    return nullptr;
  }
};

class GraphImport {
public:
  GraphImport(ModelFile &file, const ImportOptions &options,
              mlir::MLIRContext &context);

  mlir::OwningOpRef<mlir::ModuleOp> run();

  // For NodeImport.
  mlir::OpBuilder builder;
  ModelFile &file;
  /// The operation behind a value; creates it.
  mlir::Value materialize(Imported &value, NodeImport &user);
  Imported tensor(const onnx::TensorProto &tensor, const std::string &name);
  /// How elements of an ONNX data type are computed with; fails (exit 3) if
  /// they are not, as those of narrow types.
  mlir::Type elementType(int onnxType, const std::string &place);
  /// Imports a subgraph whose inputs are given and whose nodes see the names
  /// around the current node, and gives what its outputs stand for.
  std::vector<Imported> subgraph(const onnx::GraphProto &graph,
                                 NodeImport &node,
                                 const std::vector<Imported> &inputs = {});
  mlir::Location location() const { return currentLocation; }
  /// Nodes that came of unrolled loops so far.
  int64_t unrolledNodes = 0;

private:
  /// The model's node that is being imported, or that the body being imported
  /// stands for.
  struct Origin {
    std::string name, id;
    mlir::ArrayAttr nodes;
  };
  struct Gap {
    int64_t count = 0;
    std::string firstNode, reason;
  };

  void addInputs();
  void addInput(const onnx::ValueInfoProto &input);
  void addInitializers(const onnx::GraphProto &graph, Scope &scope);
  void addOutputs();
  mlir::Attribute fileAttribute(const InputFile &weights);
  void addModuleAttributes();
  int64_t dimension(const onnx::TensorShapeProto::Dimension &dim,
                    const std::string &input, int index, std::string &name);
  void readDefaultDims();
  void checkDimsUsed();
  void checkBatch();

  void
  importNodes(const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
              Scope &scope);
  void importNode(const onnx::NodeProto &node, Scope &scope);
  void dispatch(NodeImport &node, const onnx::OpSchema *schema);
  bool importBody(NodeImport &node, const onnx::OpSchema &schema);
  void importBodyNodes(NodeImport &node, const onnx::FunctionProto &body);
  void finish(NodeImport &node, Scope &scope);
  void reportGap(const onnx::NodeProto &node, int version,
                 const std::string &reason);
  void poison(NodeImport &node);
  void failOnGaps();
  void nameOperations(NodeImport &node);
  std::string uniqueId(const std::string &base);
  int opset(const std::string &domain) const;
  /// The schema of an operator at the model's version of its set, or null.
  const onnx::OpSchema *schemaOf(const std::string &domain,
                                 const std::string &op);

  const ImportOptions &options;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp step;
  llvm::SmallVector<mlir::DictionaryAttr> inputAttributes;
  mlir::Location currentLocation;

  std::map<std::string, int> opsets;
  std::map<std::pair<std::string, std::string>, const onnx::OpSchema *> schemas;
  std::map<std::string, int64_t> dims;
  std::set<std::string> dimsSeen;
  std::set<std::string> ids;
  std::map<std::string, int> nextSuffix;
  std::set<std::string> symbols;
  std::map<std::string, std::string> parameterSymbols;
  std::map<std::string, std::pair<Place, mlir::Type>> parameterPlaces;
  std::map<std::string, mlir::Value> parameterValues;
  std::map<std::string, Gap> gaps;
  Scope root;
  const Scope *currentScope = nullptr;
  std::vector<Origin> origins;
  int depth = 0;
  int64_t importedNodes = 0;
};

/// Checks that all names in the model are text of one line and not too long:
/// they come to stand in messages, in plans and on command lines. Throws
/// Failure.
void checkNames(const onnx::ModelProto &model, const std::string &path);

/// Checks what can be checked without importing: operator sets, duplicate and
/// dangling names, cycles, recursion of functions. Sorts the nodes of the graph
/// topologically and inlines the model's own functions. Throws Failure.
void prepareModel(onnx::ModelProto &model, const std::string &path);

/// Checks the element types of a node's inputs against its schema.
void checkTypes(const NodeImport &node, const onnx::OpSchema &schema);

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_GRAPHIMPORT_H
