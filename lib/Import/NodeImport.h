//===- NodeImport.h - What an import function works with --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An import function turns one ONNX node into nn operations. It sees its node
// through a NodeImport: inputs as values or as constants, attributes, and
// helpers that make nn operations with every check that ONNX's rules need.
// Functions are found by domain, operator and the version since which they
// hold:
//
//   static void importGelu(NodeImport &n) {
//     n.set(0, n.create<GeluOp>(n.type(0), n.input(0), n.string("approximate",
//                                                     "none") == "tanh"));
//   }
//   table.add("Gelu", 20, importGelu);
//
// If all inputs of a node are known and small, what its import function made is
// evaluated afterwards (Fold.cpp). This is how shape arithmetic goes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_NODEIMPORT_H
#define PARTITA_LIB_IMPORT_NODEIMPORT_H

#include "Failure.h"
#include "Narrow.h"
#include "dialects/nn/NN.h"
#include "onnx/onnx_pb.h"
#include "partita/Support/HostTensor.h"
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace onnx {
class OpSchema;
}

namespace partita::importer {

using Shape = std::vector<int64_t>;

/// A value of the graph. It has no operation until something needs one: a
/// constant that only feeds shape arithmetic leaves no trace.
struct Imported {
  /// Null: an optional input that is left out, or poisoned.
  mlir::RankedTensorType type;
  mlir::Value value;
  /// Its elements, if they are few and known.
  std::shared_ptr<const HostTensor> constant;
  /// A weight, by the name of its symbol.
  mlir::StringAttr parameter;
  /// Nodes that read this and constants only are evaluated. Not set where
  /// operations say more than elements do: a range is an iota.
  bool folds = false;
  /// It depends on an unknown operator.
  bool poisoned = false;
  /// A sequence is a list of values at import and nothing afterwards; it has no
  /// type.
  std::shared_ptr<const std::vector<Imported>> sequence = nullptr;
  /// What ONNX says that the elements are, where they are stored wider.
  const NarrowType *narrow = nullptr;
};

class GraphImport;

class NodeImport {
public:
  NodeImport(GraphImport &graph, const onnx::NodeProto &node, int version,
             std::vector<Imported> inputs);

  const onnx::NodeProto &node;
  /// The version of the operator set since which this operator is as it is.
  const int version;
  GraphImport &graph;
  mlir::OpBuilder &builder;

  // Inputs. An optional input that is left out is not there.
  size_t numInputs() const { return inputs.size(); }
  bool has(size_t i) const;
  mlir::RankedTensorType type(size_t i) const;
  Shape shape(size_t i) const { return nn::shapeOf(type(i)); }
  int64_t rank(size_t i) const { return type(i).getRank(); }
  mlir::Type element(size_t i) const { return type(i).getElementType(); }
  mlir::Value input(size_t i);
  /// The narrow type of an input, or null.
  const NarrowType *narrow(size_t i) const { return imported(i).narrow; }
  const Imported &imported(size_t i) const;
  /// The elements of an input that is a sequence; fails (exit 2) if it is none.
  const std::vector<Imported> &sequence(size_t i) const;
  /// The elements of an input, or null if they are not known.
  const HostTensor *constant(size_t i) const;
  /// The integers of an input; fails (exit 3) if they are not known.
  std::vector<int64_t> ints(size_t i) const;
  /// The only element of an input; fails (exit 3) if it is not known.
  double scalar(size_t i) const;
  int64_t scalarInt(size_t i) const;
  /// The only element of an input, if it is known.
  std::optional<double> knownScalar(size_t i) const;
  /// Input i repeated to a shape, as in ONNX's broadcasting.
  mlir::Value inputAs(size_t i, const Shape &shape);
  /// The shape to which inputs broadcast; fails (exit 2) if they do not.
  Shape broadcastShape(const std::vector<size_t> &which) const;

  // Attributes.
  const onnx::AttributeProto *attribute(const char *name) const;
  int64_t integer(const char *name, int64_t otherwise) const;
  double real(const char *name, double otherwise) const;
  std::string string(const char *name, const std::string &otherwise) const;
  std::optional<std::vector<int64_t>> integers(const char *name) const;
  /// The integers of attribute `name`, or of input i: older versions of many
  /// operators have the one, newer the other.
  std::optional<std::vector<int64_t>> integers(const char *name,
                                               size_t i) const;
  /// A dimension number counted from the end if negative; fails (exit 2) if it
  /// is out of range.
  int64_t axis(int64_t value, int64_t rank) const;
  std::vector<int64_t> axes(std::vector<int64_t> values, int64_t rank) const;

  // Results.
  size_t numOutputs() const { return outputs.size(); }
  bool wants(size_t i) const;
  /// What result i was set to.
  const Imported &result(size_t i) const { return *outputs[i]; }
  /// Fails (exit 2) where the node has no output `i`.
  void set(size_t i, mlir::Value value);
  void set(size_t i, Imported value) { output(i) = std::move(value); }
  /// A result whose elements are of a narrow type (or not, if it is null).
  void setNarrow(size_t i, mlir::Value value, const NarrowType *type) {
    set(i, value);
    output(i)->narrow = type;
  }
  /// A result that is known: what reads it and constants only is evaluated.
  void setConstant(size_t i, HostTensor value) {
    set(i, known(std::move(value)));
  }
  /// A value that is known.
  Imported known(HostTensor value) const;
  /// Makes the elements of result i known without its operation going away.
  void addElements(size_t i, HostTensor value) {
    output(i)->constant = std::make_shared<HostTensor>(std::move(value));
  }

  // Operations.
  template <typename Op, typename... Args> mlir::Value create(Args &&...args) {
    return createOp<Op>(std::forward<Args>(args)...)->getResult(0);
  }
  template <typename Op, typename... Args> Op createOp(Args &&...args) {
    Op op = Op::create(builder, location(), std::forward<Args>(args)...);
    record(op);
    return op;
  }
  mlir::Location location() const;
  /// The element type of an ONNX data type; fails (exit 3) if there is none.
  mlir::Type graphElementType(int onnxType) const;
  /// A tensor type; fails (exit 2) if its size does not fit int64.
  mlir::RankedTensorType makeType(const Shape &shape, mlir::Type element) const;
  /// All elements equal.
  mlir::Value splat(mlir::RankedTensorType type, double value);
  mlir::Value splatLike(mlir::Value like, double value) {
    return splat(mlir::cast<mlir::RankedTensorType>(like.getType()), value);
  }
  /// A tensor of at most maxConstantBytes.
  mlir::Value constantValue(const HostTensor &tensor);
  static constexpr size_t maxConstantBytes = 4096;
  mlir::Value reshape(mlir::Value value, const Shape &shape);
  mlir::Value transpose(mlir::Value value, std::vector<int64_t> permutation);
  /// As in ONNX: leading dimensions are added, sizes of one repeated.
  mlir::Value broadcast(mlir::Value value, const Shape &shape);
  /// Repeats along a dimension that the value does not have: dimension i of
  /// `value` becomes dims[i].
  mlir::Value broadcast(mlir::Value value, const Shape &shape,
                        std::vector<int64_t> dims);
  mlir::Value cast(mlir::Value value, mlir::Type element);
  mlir::Value reduce(const char *kind, mlir::Value value,
                     std::vector<int64_t> axes, bool keepDims);
  mlir::Value slice(mlir::Value value, int64_t axis, int64_t begin,
                    int64_t size);
  mlir::Value matmul(mlir::Value lhs, mlir::Value rhs);
  mlir::Value compare(const char *predicate, mlir::Value lhs, mlir::Value rhs);
  mlir::Value iota(mlir::RankedTensorType type, int64_t axis, double start,
                   double step);
  template <typename Op> mlir::Value binary(mlir::Value lhs, mlir::Value rhs) {
    return create<Op>(lhs.getType(), lhs, rhs);
  }
  template <typename Op> mlir::Value unary(mlir::Value value) {
    return create<Op>(value.getType(), value);
  }

  /// Names the node and its operator, for messages.
  std::string place() const;
  /// The node is wrong: exit 2.
  [[noreturn]] void invalid(std::string message, std::string hint = "") const;
  /// The import function cannot do what the node asks for. The body that ONNX
  /// defines is taken instead; if there is none, import goes on, so that all
  /// such nodes are reported.
  [[noreturn]] void unsupported(std::string message) const;

private:
  friend class GraphImport;
  void record(mlir::Operation *op);
  /// Fails as unsupported if the node has an attribute that nothing looked at
  /// and that is not what the schema says by default: a newer version of an
  /// operator must not be computed as an older one.
  void refuseUnreadAttributes(const onnx::OpSchema *schema) const;
  /// Takes back what was made so far.
  void reset();
  /// Evaluates the operations of a node whose inputs are all known.
  void fold();
  /// Results that have the type of an input by the schema are as narrow.
  void carryNarrowTypes(const onnx::OpSchema &schema);

  std::vector<Imported> inputs;
  std::vector<std::optional<Imported>> outputs;
  std::optional<Imported> &output(size_t i);
  std::vector<mlir::Operation *> created;
  mutable std::set<std::string> attributesRead;
};

/// What NodeImport::unsupported throws.
struct UnsupportedNode {
  std::string message;
};

using ImportFunction = std::function<void(NodeImport &)>;

/// {domain, operator, since version} -> import function.
class ImportTable {
public:
  /// The table of everything that Partita imports.
  static const ImportTable &get();

  void add(std::string op, int since, ImportFunction function,
           std::string domain = "");
  /// The function for the operator as it is since `version`, or null.
  const ImportFunction *find(const std::string &domain, const std::string &op,
                             int version) const;

  /// Calls fn(domain, operator, first version).
  template <typename Fn> void forEach(Fn fn) const {
    for (const auto &[name, versions] : functions)
      fn(name.first, name.second, versions.begin()->first);
  }

private:
  std::map<std::pair<std::string, std::string>, std::map<int, ImportFunction>>
      functions;
};

// The families, each in its own file.
void addConvolution(ImportTable &table);
void addElementwise(ImportTable &table);
void addLinear(ImportTable &table);
void addAttention(ImportTable &table);
void addContrib(ImportTable &table);
void addContribAttention(ImportTable &table);
void addExperts(ImportTable &table);
void addReduction(ImportTable &table);
void addMatrix(ImportTable &table);
void addNorm(ImportTable &table);
void addPatches(ImportTable &table);
void addShape(ImportTable &table);
void addIndexing(ImportTable &table);
void addSelection(ImportTable &table);
void addControlFlow(ImportTable &table);
void addSequences(ImportTable &table);
void addSignal(ImportTable &table);
void addText(ImportTable &table);
void addTraining(ImportTable &table);
void addQuantization(ImportTable &table);
void addRecurrent(ImportTable &table);
void addResampling(ImportTable &table);
void addGenerators(ImportTable &table);

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_NODEIMPORT_H
