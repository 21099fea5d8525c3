//===- Recurrent.cpp - Import of recurrent layers -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A layer of ONNX has one or two directions, which become one operation each.
// The product of the inputs with their weights is taken out of the recurrence:
// it is one product for all steps, and splits like any other.
//
//===----------------------------------------------------------------------===//

#include "dialects/nn/Recurrent.h"
#include "NodeImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

namespace {

enum class Cell { RNN, GRU, LSTM };

/// Imports one node.
class RecurrentImport {
public:
  RecurrentImport(NodeImport &n, Cell cell) : n(n), cell(cell) {}
  void run();

private:
  /// The results of one direction: states and last states.
  using Results = SmallVector<Value, 3>;

  void readShapes();
  void readActivations();
  Results runDirection(int64_t direction, bool reverse);
  Results create(Value gates, Value weights, int64_t direction, bool reverse);
  /// Input `i` without its first dimension, of which it is element `direction`;
  /// computed with in the type of the layer.
  Value ofDirection(size_t i, int64_t direction, const Shape &shape);
  Value stateOf(size_t i, int64_t direction);
  Value biasOf(int64_t direction);

  int64_t numGates() const {
    return cell == Cell::LSTM ? 4 : cell == Cell::GRU ? 3 : 1;
  }
  size_t numActivations() const {
    return cell == Cell::LSTM ? 3 : cell == Cell::GRU ? 2 : 1;
  }

  NodeImport &n;
  Cell cell;
  /// f32, or f64 if the node is.
  Type element;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1;
  bool batchFirst = false, linearBeforeReset = false;
  /// Of all directions.
  std::vector<std::string> activations;
  std::vector<double> alpha, beta;
};

} // namespace

void RecurrentImport::readShapes() {
  if (n.rank(0) != 3 || n.rank(1) != 3 || n.rank(2) != 3)
    n.invalid("its inputs or weights do not have three dimensions");
  batchFirst = n.integer("layout", 0) != 0;
  Shape x = n.shape(0);
  steps = x[batchFirst ? 1 : 0];
  batch = x[batchFirst ? 0 : 1];
  inputs = x[2];
  hidden = n.shape(2)[2];
  n.integer("hidden_size", hidden);
  directions = n.shape(1)[0];
  if (n.shape(1) != Shape{directions, numGates() * hidden, inputs} ||
      n.shape(2) != Shape{directions, numGates() * hidden, hidden})
    n.invalid("its weights do not fit its inputs");
  element = n.element(0).isF64() ? Type(n.builder.getF64Type())
                                 : Type(n.builder.getF32Type());
  linearBeforeReset =
      cell == Cell::GRU && n.integer("linear_before_reset", 0) != 0;
}

/// The defaults of alpha and beta of an activation.
static std::pair<double, double> defaultsOf(const std::string &name) {
  static const std::map<std::string, std::pair<double, double>> defaults = {
      {"LeakyRelu", {0.01, 0}},    {"Elu", {1, 0}},
      {"HardSigmoid", {0.2, 0.5}}, {"ThresholdedRelu", {1, 0}},
      {"Affine", {1, 0}},          {"ScaledTanh", {1, 1}}};
  auto found = defaults.find(name);
  return found == defaults.end() ? std::pair(0.0, 0.0) : found->second;
}

void RecurrentImport::readActivations() {
  static const std::vector<std::string> names = {
      "Relu",       "Tanh",        "Sigmoid",
      "Affine",     "LeakyRelu",   "ThresholdedRelu",
      "ScaledTanh", "HardSigmoid", "Elu",
      "Softsign",   "Softplus"};
  // Only some have parameters, which are given to these in order.
  static const std::vector<std::string> withAlpha = {
      "Affine",     "LeakyRelu",   "ThresholdedRelu",
      "ScaledTanh", "HardSigmoid", "Elu"};
  static const std::vector<std::string> withBeta = {"Affine", "ScaledTanh",
                                                    "HardSigmoid"};
  std::vector<std::string> each = {"Tanh"};
  if (cell == Cell::GRU)
    each = {"Sigmoid", "Tanh"};
  if (cell == Cell::LSTM)
    each = {"Sigmoid", "Tanh", "Tanh"};
  for (int64_t d = 0; d < directions; ++d)
    activations.insert(activations.end(), each.begin(), each.end());
  if (const auto *given = n.attribute("activations"))
    activations.assign(given->strings().begin(), given->strings().end());
  if (activations.size() != size_t(directions) * numActivations())
    n.invalid("does not have " + std::to_string(numActivations()) +
              " activations a direction");
  const auto *alphas = n.attribute("activation_alpha"),
             *betas = n.attribute("activation_beta");
  int nextAlpha = 0, nextBeta = 0;
  for (std::string &name : activations) {
    // Names are not case sensitive.
    auto known = llvm::find_if(names, [&](const std::string &candidate) {
      return StringRef(candidate).equals_insensitive(name);
    });
    if (known == names.end())
      n.unsupported("its activation is \"" + name + "\"");
    name = *known;
    auto [a, b] = defaultsOf(name);
    if (alphas && llvm::is_contained(withAlpha, name) &&
        nextAlpha < alphas->floats_size())
      a = alphas->floats(nextAlpha++);
    if (betas && llvm::is_contained(withBeta, name) &&
        nextBeta < betas->floats_size())
      b = betas->floats(nextBeta++);
    alpha.push_back(a);
    beta.push_back(b);
  }
}

Value RecurrentImport::ofDirection(size_t i, int64_t direction,
                                   const Shape &shape) {
  Shape whole = shape;
  whole.insert(whole.begin(), directions);
  if (n.shape(i) != whole)
    n.invalid("its input " + std::to_string(i) + " does not fit its weights");
  Value part = n.slice(n.input(i), 0, direction, 1);
  return n.cast(n.reshape(part, shape), element);
}

/// An initial state; zero if none is given.
Value RecurrentImport::stateOf(size_t i, int64_t direction) {
  Shape shape = {batch, hidden};
  if (!n.has(i))
    return n.splat(n.makeType(shape, element), 0);
  if (!batchFirst)
    return ofDirection(i, direction, shape);
  if (n.shape(i) != Shape{batch, directions, hidden})
    n.invalid("its input " + std::to_string(i) + " does not fit its weights");
  Value part = n.slice(n.input(i), 1, direction, 1);
  return n.cast(n.reshape(part, shape), element);
}

/// What is added to the gates: the biases of inputs and of the recurrence, the
/// latter without that of a gate which is reset after it.
Value RecurrentImport::biasOf(int64_t direction) {
  int64_t size = numGates() * hidden;
  Value both = ofDirection(3, direction, {2 * size});
  Value input = n.slice(both, 0, 0, size), state = n.slice(both, 0, size, size);
  if (!linearBeforeReset)
    return n.binary<AddOp>(input, state);
  Value added = n.binary<AddOp>(n.slice(input, 0, 0, 2 * hidden),
                                n.slice(state, 0, 0, 2 * hidden));
  return n.create<ConcatOp>(
      n.makeType({size}, element),
      ValueRange{added, n.slice(input, 0, 2 * hidden, hidden)}, uint64_t(0));
}

RecurrentImport::Results RecurrentImport::create(Value gates, Value weights,
                                                 int64_t direction,
                                                 bool reverse) {
  size_t first = size_t(direction) * numActivations(),
         end = first + numActivations();
  std::string names;
  for (size_t i = first; i < end; ++i)
    names += (i == first ? "" : ",") + activations[i];
  auto numbers = [&](const std::vector<double> &all) {
    return n.builder.getDenseF64ArrayAttr(
        {all.data() + first, numActivations()});
  };
  Attribute clip = n.builder.getF64FloatAttr(n.real("clip", 0));
  Type states = n.makeType({steps, batch, hidden}, element),
       last = n.makeType({batch, hidden}, element);
  Value lengths = n.has(4) ? n.input(4) : Value();
  Value initial = stateOf(5, direction);
  UnitAttr isReverse = reverse ? n.builder.getUnitAttr() : UnitAttr();
  auto results = [](Operation *op) {
    return Results(op->getResults().begin(), op->getResults().end());
  };
  if (cell == Cell::RNN)
    return results(n.createOp<RNNOp>(states, last, gates, weights, initial,
                                     lengths, n.builder.getStringAttr(names),
                                     numbers(alpha), numbers(beta),
                                     cast<FloatAttr>(clip), isReverse));
  if (cell == Cell::GRU) {
    Value bias;
    if (linearBeforeReset) {
      int64_t size = 3 * hidden;
      bias = n.has(3) ? n.slice(ofDirection(3, direction, {2 * size}), 0,
                                size + 2 * hidden, hidden)
                      : n.splat(n.makeType({hidden}, element), 0);
    }
    return results(
        n.createOp<GRUOp>(states, last, gates, weights, initial, bias, lengths,
                          n.builder.getStringAttr(names), numbers(alpha),
                          numbers(beta), cast<FloatAttr>(clip), isReverse));
  }
  Value peepholes =
      n.has(7) ? n.reshape(ofDirection(7, direction, {3 * hidden}), {3, hidden})
               : Value();
  return results(n.createOp<LSTMOp>(
      states, last, last, gates, weights, initial, stateOf(6, direction),
      peepholes, lengths, n.builder.getStringAttr(names), numbers(alpha),
      numbers(beta), cast<FloatAttr>(clip), isReverse,
      n.integer("input_forget", 0) ? n.builder.getUnitAttr() : UnitAttr()));
}

RecurrentImport::Results RecurrentImport::runDirection(int64_t direction,
                                                       bool reverse) {
  int64_t size = numGates() * hidden;
  Value x = n.cast(n.input(0), element);
  if (batchFirst)
    x = n.transpose(x, {1, 0, 2});
  Value w = n.transpose(ofDirection(1, direction, {size, inputs}), {1, 0});
  Value gates = n.matmul(x, w);
  if (n.has(3))
    gates = n.binary<AddOp>(
        gates, n.broadcast(biasOf(direction), {steps, batch, size}));
  Value weights =
      n.transpose(ofDirection(2, direction, {size, hidden}), {1, 0});
  return create(gates, weights, direction, reverse);
}

void RecurrentImport::run() {
  readShapes();
  std::string direction = n.string("direction", "forward");
  bool both = direction == "bidirectional";
  if ((!both && direction != "forward" && direction != "reverse") ||
      directions != (both ? 2 : 1))
    n.invalid("its weights do not have its directions");
  readActivations();
  if (n.has(4) && n.shape(4) != Shape{batch})
    n.invalid("does not have one length a sequence");
  std::vector<Results> each;
  for (int64_t d = 0; d < directions; ++d)
    each.push_back(runDirection(d, both ? d == 1 : direction == "reverse"));

  // Results get a dimension for the directions, before that of the batch.
  for (size_t i = 0; i < each[0].size(); ++i) {
    if (!n.wants(i))
      continue;
    int64_t at = i == 0 ? 1 : 0;
    Shape shape = nn::shapeOf(each[0][i]);
    shape.insert(shape.begin() + at, 1);
    SmallVector<Value> parts;
    for (Results &results : each)
      parts.push_back(n.reshape(results[i], shape));
    shape[at] = directions;
    Value joined = parts[0];
    if (parts.size() > 1)
      joined =
          n.create<ConcatOp>(n.makeType(shape, element), parts, uint64_t(at));
    if (batchFirst)
      joined = i == 0 ? n.transpose(joined, {2, 0, 1, 3})
                      : n.transpose(joined, {1, 0, 2});
    n.set(i, n.cast(joined, n.element(0)));
  }
}

static ImportFunction importRecurrent(Cell cell) {
  return [cell](NodeImport &n) { RecurrentImport(n, cell).run(); };
}

void importer::addRecurrent(ImportTable &table) {
  table.add("RNN", 7, importRecurrent(Cell::RNN));
  table.add("GRU", 7, importRecurrent(Cell::GRU));
  table.add("LSTM", 7, importRecurrent(Cell::LSTM));
}
