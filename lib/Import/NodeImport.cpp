//===- NodeImport.cpp - What an import function works with ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NodeImport.h"
#include "GraphImport.h"
#include <cmath>

using namespace mlir;
using namespace partita;
using namespace partita::importer;

NodeImport::NodeImport(GraphImport &graph, const onnx::NodeProto &node,
                       int version, std::vector<Imported> inputs)
    : node(node), version(version), graph(graph), builder(graph.builder),
      inputs(std::move(inputs)), outputs(node.output_size()) {}

std::string NodeImport::place() const {
  std::string name = node.name();
  if (name.empty() && node.output_size())
    name = node.output(0);
  return "node \"" + name + "\" (" + node.op_type() + ")";
}

void NodeImport::invalid(std::string message, std::string hint) const {
  importer::invalid("node", place(), std::move(message), std::move(hint));
}

void NodeImport::unsupported(std::string message) const {
  throw UnsupportedNode{std::move(message)};
}

Location NodeImport::location() const { return graph.location(); }

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

bool NodeImport::has(size_t i) const {
  return i < inputs.size() && (inputs[i].type || inputs[i].sequence);
}

const Imported &NodeImport::imported(size_t i) const {
  if (!has(i))
    invalid("input " + std::to_string(i) + " is missing");
  return inputs[i];
}

const std::vector<Imported> &NodeImport::sequence(size_t i) const {
  if (!imported(i).sequence)
    invalid("input " + std::to_string(i) + " is not a sequence");
  return *inputs[i].sequence;
}

RankedTensorType NodeImport::type(size_t i) const {
  if (imported(i).sequence)
    unsupported("its input " + std::to_string(i) + " is a sequence");
  return inputs[i].type;
}

Value NodeImport::input(size_t i) {
  type(i);
  return graph.materialize(inputs[i], *this);
}

const HostTensor *NodeImport::constant(size_t i) const {
  return has(i) ? inputs[i].constant.get() : nullptr;
}

std::vector<int64_t> NodeImport::ints(size_t i) const {
  const HostTensor *tensor = constant(i);
  imported(i);
  if (!tensor)
    unsupported("its input " + std::to_string(i) + " (\"" + node.input(int(i)) +
                "\") depends on data");
  std::vector<int64_t> values;
  for (int64_t e = 0; e < tensor->numElements(); ++e)
    values.push_back(tensor->getInt(e));
  return values;
}

std::optional<double> NodeImport::knownScalar(size_t i) const {
  const HostTensor *tensor = constant(i);
  if (!tensor || tensor->numElements() != 1)
    return std::nullopt;
  return tensor->getDouble(0);
}

int64_t NodeImport::scalarInt(size_t i) const {
  std::vector<int64_t> values = ints(i);
  if (values.size() != 1)
    invalid("its input " + std::to_string(i) + " is not one number");
  return values[0];
}

double NodeImport::scalar(size_t i) const {
  std::optional<double> value = knownScalar(i);
  imported(i);
  if (!value)
    unsupported("its input " + std::to_string(i) + " (\"" + node.input(int(i)) +
                "\") is not a known number");
  return *value;
}

Value NodeImport::inputAs(size_t i, const Shape &shape) {
  std::optional<double> value = knownScalar(i);
  bool exact = value && !(element(i).isInteger(64) &&
                          std::abs(*value) > double(int64_t(1) << 53));
  if (exact && shape != this->shape(i))
    return splat(makeType(shape, element(i)), *value);
  return broadcast(input(i), shape);
}

Shape NodeImport::broadcastShape(const std::vector<size_t> &which) const {
  Shape result;
  for (size_t i : which) {
    Shape from = shape(i);
    if (from.size() > result.size())
      result.insert(result.begin(), from.size() - result.size(), 1);
    size_t offset = result.size() - from.size();
    for (size_t d = 0; d < from.size(); ++d) {
      int64_t &size = result[offset + d];
      if (size != from[d] && size != 1 && from[d] != 1)
        invalid("its inputs do not broadcast: sizes " + std::to_string(size) +
                " and " + std::to_string(from[d]));
      if (size == 1)
        size = from[d];
    }
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

const onnx::AttributeProto *NodeImport::attribute(const char *name) const {
  attributesRead.insert(name);
  for (const auto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

int64_t NodeImport::integer(const char *name, int64_t otherwise) const {
  const auto *found = attribute(name);
  return found ? found->i() : otherwise;
}

double NodeImport::real(const char *name, double otherwise) const {
  const auto *found = attribute(name);
  return found ? double(found->f()) : otherwise;
}

std::string NodeImport::string(const char *name,
                               const std::string &otherwise) const {
  const auto *found = attribute(name);
  return found ? found->s() : otherwise;
}

std::optional<std::vector<int64_t>>
NodeImport::integers(const char *name) const {
  const auto *found = attribute(name);
  if (!found)
    return std::nullopt;
  return std::vector<int64_t>(found->ints().begin(), found->ints().end());
}

std::optional<std::vector<int64_t>> NodeImport::integers(const char *name,
                                                         size_t i) const {
  if (has(i))
    return ints(i);
  return integers(name);
}

int64_t NodeImport::axis(int64_t value, int64_t rank) const {
  if (value < -rank || value >= rank)
    invalid("axis " + std::to_string(value) + " is out of range for rank " +
            std::to_string(rank));
  return value < 0 ? value + rank : value;
}

std::vector<int64_t> NodeImport::axes(std::vector<int64_t> values,
                                      int64_t rank) const {
  std::set<int64_t> seen;
  for (int64_t &value : values) {
    value = axis(value, rank);
    if (!seen.insert(value).second)
      invalid("axis " + std::to_string(value) + " appears twice");
  }
  return values;
}

/// Attributes that change nothing in inference: precisions of intermediate
/// results, randomness, the branch that is not taken.
static bool isHarmless(const std::string &name) {
  static const std::set<std::string> names = {
      "stash_type",  "softmax_precision",     "momentum",    "seed",
      "is_test",     "consumed_inputs",       "ratio",       "saturate",
      "then_branch", "qk_matmul_output_mode", "else_branch", "round_mode"};
  return names.count(name) != 0;
}

void NodeImport::refuseUnreadAttributes(const onnx::OpSchema *schema) const {
  for (const auto &attribute : node.attribute()) {
    if (attributesRead.count(attribute.name()) || isHarmless(attribute.name()))
      continue;
    if (schema) {
      auto it = schema->attributes().find(attribute.name());
      if (it != schema->attributes().end() &&
          it->second.default_value.has_type()) {
        onnx::AttributeProto expected = it->second.default_value;
        expected.set_name(attribute.name());
        expected.clear_doc_string();
        if (expected.SerializeAsString() == attribute.SerializeAsString())
          continue;
      }
    }
    unsupported("its attribute " + attribute.name() + " is not known");
  }
}

void NodeImport::reset() {
  // Constants that became operations for this node are constants again.
  for (Imported &input : inputs)
    if (input.value && llvm::is_contained(created, input.value.getDefiningOp()))
      input.value = {};
  for (Operation *op : llvm::reverse(created))
    op->erase();
  created.clear();
  outputs.assign(outputs.size(), std::nullopt);
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

bool NodeImport::wants(size_t i) const {
  return i < outputs.size() && !node.output(int(i)).empty();
}

void NodeImport::set(size_t i, Value value) {
  Imported result;
  result.type = cast<RankedTensorType>(value.getType());
  result.value = value;
  output(i) = std::move(result);
}

std::optional<Imported> &NodeImport::output(size_t i) {
  if (i >= outputs.size())
    invalid("output " + std::to_string(i) + " is missing");
  return outputs[i];
}

Imported NodeImport::known(HostTensor value) const {
  Imported result;
  result.type = makeType(value.shape(),
                         getElementType(builder.getContext(), value.dtype()));
  result.constant = std::make_shared<HostTensor>(std::move(value));
  result.folds = true;
  return result;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

void NodeImport::record(Operation *op) {
  created.push_back(op);
  std::string message;
  ScopedDiagnosticHandler handler(op->getContext(), [&](Diagnostic &d) {
    message += (message.empty() ? "" : "; ") + d.str();
  });
  if (failed(verify(op, /*verifyRecursively=*/false)))
    invalid("does not make sense: " + message);
}

Type NodeImport::graphElementType(int onnxType) const {
  return graph.elementType(onnxType, place());
}

RankedTensorType NodeImport::makeType(const Shape &shape, Type element) const {
  checkedBytes(getDType(element).value_or(DType::F64), shape, place());
  return RankedTensorType::get(shape, element);
}

/// The bits of the nearest 64-bit integer; what is no number is zero.
static uint64_t saturated(double value) {
  const double limit = 9223372036854775808.0; // 2^63
  if (std::isnan(value))
    return 0;
  if (value >= limit)
    return INT64_MAX;
  return uint64_t(value <= -limit ? INT64_MIN : int64_t(value));
}

Value NodeImport::splat(RankedTensorType type, double value) {
  Attribute element;
  Type elementType = type.getElementType();
  if (isa<FloatType>(elementType))
    element = builder.getFloatAttr(elementType, value);
  else
    element = builder.getIntegerAttr(
        elementType,
        APInt(elementType.getIntOrFloatBitWidth(), saturated(value),
              /*isSigned=*/false, /*implicitTrunc=*/true));
  return create<nn::ConstantOp>(
      cast<ElementsAttr>(Attribute(DenseElementsAttr::get(type, element))));
}

Value NodeImport::constantValue(const HostTensor &tensor) {
  Type element = getElementType(builder.getContext(), tensor.dtype());
  RankedTensorType type = makeType(tensor.shape(), element);
  SmallVector<Attribute> elements;
  for (int64_t i = 0; i < tensor.numElements(); ++i) {
    if (isFloat(tensor.dtype()))
      elements.push_back(builder.getFloatAttr(element, tensor.getDouble(i)));
    else
      elements.push_back(builder.getIntegerAttr(
          element, APInt(element.getIntOrFloatBitWidth(),
                         uint64_t(tensor.getInt(i)), false, true)));
  }
  return create<nn::ConstantOp>(
      cast<ElementsAttr>(Attribute(DenseElementsAttr::get(type, elements))));
}

Value NodeImport::reshape(Value value, const Shape &shape) {
  if (nn::shapeOf(value) == shape)
    return value;
  auto from = cast<RankedTensorType>(value.getType());
  RankedTensorType type = makeType(shape, from.getElementType());
  if (type.getNumElements() != from.getNumElements())
    invalid("cannot reshape " + std::to_string(from.getNumElements()) +
            " elements to " + std::to_string(type.getNumElements()));
  return create<nn::ReshapeOp>(type, value);
}

Value NodeImport::transpose(Value value, std::vector<int64_t> permutation) {
  std::vector<bool> seen(permutation.size());
  bool same = true;
  if (permutation.size() != nn::shapeOf(value).size())
    invalid("its permutation does not have the rank of its input");
  for (size_t d = 0; d < permutation.size(); ++d) {
    permutation[d] = axis(permutation[d], int64_t(permutation.size()));
    if (seen[permutation[d]])
      invalid("its permutation names a dimension twice");
    seen[permutation[d]] = true;
    same &= permutation[d] == int64_t(d);
  }
  return same ? value : create<nn::TransposeOp>(value, permutation);
}

Value NodeImport::broadcast(Value value, const Shape &shape) {
  size_t rank = nn::shapeOf(value).size();
  if (rank > shape.size())
    invalid("cannot broadcast to fewer dimensions");
  std::vector<int64_t> dims;
  for (size_t d = 0; d < rank; ++d)
    dims.push_back(int64_t(shape.size() - rank + d));
  return broadcast(value, shape, dims);
}

Value NodeImport::broadcast(Value value, const Shape &shape,
                            std::vector<int64_t> dims) {
  Shape from = nn::shapeOf(value);
  if (from == shape)
    return value;
  for (size_t d = 0; d < from.size(); ++d)
    if (from[d] != 1 && from[d] != shape[dims[d]])
      invalid("cannot repeat a dimension of size " + std::to_string(from[d]) +
              " to " + std::to_string(shape[dims[d]]));
  return create<nn::BroadcastOp>(makeType(shape, getElementTypeOrSelf(value)),
                                 value, dims);
}

Value NodeImport::cast(Value value, Type element) {
  auto type = mlir::cast<RankedTensorType>(value.getType());
  if (type.getElementType() == element)
    return value;
  return create<nn::CastOp>(makeType(type.getShape(), element), value);
}

Value NodeImport::reduce(const char *kind, Value value,
                         std::vector<int64_t> axes, bool keepDims) {
  Shape shape = nn::shapeOf(value);
  llvm::sort(axes);
  for (int64_t axis : axes)
    shape[axis] = 1;
  if (!axes.empty())
    value = create<nn::ReduceOp>(kind, value, axes);
  return keepDims ? reshape(value, shape) : value;
}

Value NodeImport::slice(Value value, int64_t axis, int64_t begin,
                        int64_t size) {
  Shape shape = nn::shapeOf(value);
  std::vector<int64_t> starts(shape.size(), 0), steps(shape.size(), 1);
  if (begin == 0 && size == shape[axis])
    return value;
  starts[axis] = begin;
  shape[axis] = size;
  return create<nn::SliceOp>(makeType(shape, getElementTypeOrSelf(value)),
                             value, starts, steps);
}

Value NodeImport::matmul(Value lhs, Value rhs) {
  Shape a = nn::shapeOf(lhs), b = nn::shapeOf(rhs);
  bool fits = a.size() >= 2 && b.size() >= 2 && a.back() == b[b.size() - 2] &&
              (b.size() == 2 || b.size() == a.size());
  for (size_t d = 0; fits && b.size() > 2 && d + 2 < b.size(); ++d)
    fits = a[d] == b[d];
  if (!fits || lhs.getType().getTypeID() != rhs.getType().getTypeID() ||
      getElementTypeOrSelf(lhs) != getElementTypeOrSelf(rhs))
    invalid("the shapes or types of its operands do not fit together");
  a.back() = b.back();
  makeType(a, getElementTypeOrSelf(lhs));
  return create<nn::MatMulOp>(lhs, rhs);
}

Value NodeImport::compare(const char *predicate, Value lhs, Value rhs) {
  if (lhs.getType() != rhs.getType())
    invalid("compares values of different types");
  return create<nn::CompareOp>(predicate, lhs, rhs);
}

Value NodeImport::iota(RankedTensorType type, int64_t axis, double start,
                       double step) {
  return create<nn::IotaOp>(type, uint64_t(axis), APFloat(start), APFloat(step),
                            Attribute());
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

void ImportTable::add(std::string op, int since, ImportFunction function,
                      std::string domain) {
  functions[{std::move(domain), std::move(op)}][since] = std::move(function);
}

const ImportFunction *ImportTable::find(const std::string &domain,
                                        const std::string &op,
                                        int version) const {
  auto it = functions.find({domain, op});
  if (it == functions.end())
    return nullptr;
  auto entry = it->second.upper_bound(version);
  return entry == it->second.begin() ? nullptr : &std::prev(entry)->second;
}

const ImportTable &ImportTable::get() {
  static const ImportTable table = [] {
    ImportTable table;
    addConvolution(table);
    addElementwise(table);
    addLinear(table);
    addAttention(table);
    addContrib(table);
    addContribAttention(table);
    addExperts(table);
    addReduction(table);
    addMatrix(table);
    addNorm(table);
    addPatches(table);
    addShape(table);
    addIndexing(table);
    addSelection(table);
    addControlFlow(table);
    addSequences(table);
    addSignal(table);
    addText(table);
    addTraining(table);
    addQuantization(table);
    addRecurrent(table);
    addResampling(table);
    addGenerators(table);
    return table;
  }();
  return table;
}
