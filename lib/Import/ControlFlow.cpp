//===- ControlFlow.cpp - Import of branches and loops ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programs are straight lines: a branch whose condition is known is taken at
// import, and a loop whose number of iterations is known and small is unrolled,
// its body imported once an iteration. What depends on data is not supported.
//
//===----------------------------------------------------------------------===//

#include "GraphImport.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

/// Nodes that the iterations of all loops of a model may come to.
static constexpr int64_t maxUnrolledNodes = 20000;

/// The branch that is taken replaces the node.
static void importIf(NodeImport &n) {
  std::optional<double> condition = n.knownScalar(0);
  if (!condition)
    n.unsupported("its condition depends on data");
  const auto *branch =
      n.attribute(*condition != 0 ? "then_branch" : "else_branch");
  if (!branch || !branch->has_g())
    n.invalid("has no branch to take");
  std::vector<Imported> results = n.graph.subgraph(branch->g(), n);
  if (results.size() != n.numOutputs())
    n.invalid("its branch has another number of results");
  for (size_t i = 0; i < results.size(); ++i)
    n.set(i, results[i]);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

static const onnx::GraphProto &bodyOf(NodeImport &n) {
  const auto *body = n.attribute("body");
  if (!body || !body->has_g())
    n.invalid("has no body");
  return body->g();
}

/// Counts an iteration against what one model may unroll to, loops in loops
/// included.
static void countIteration(NodeImport &n, const onnx::GraphProto &body) {
  n.graph.unrolledNodes += 1 + body.node_size();
  if (n.graph.unrolledNodes > maxUnrolledNodes)
    n.unsupported("it has more iterations than can be unrolled");
}

/// Sets result `i` to slices that were computed one an iteration, along `axis`.
static void setStack(NodeImport &n, size_t i, std::vector<Imported> &slices,
                     int64_t axis, bool reverse) {
  if (!n.wants(i))
    return;
  if (slices.empty())
    n.unsupported("it has no iteration, and so results of unknown shape");
  if (reverse)
    std::reverse(slices.begin(), slices.end());
  SmallVector<Value> parts;
  Shape shape;
  for (Imported &slice : slices) {
    if (slice.poisoned)
      return n.set(i, slice);
    if (!slice.type || (!parts.empty() && slice.type != slices[0].type))
      n.unsupported("its iterations give results of different shapes");
    shape = nn::shapeOf(slice.type);
    shape.insert(shape.begin() + n.axis(axis, int64_t(shape.size()) + 1), 1);
    parts.push_back(n.reshape(n.graph.materialize(slice, n), shape));
  }
  int64_t at = n.axis(axis, int64_t(shape.size()));
  shape[at] = int64_t(parts.size());
  Type element = getElementTypeOrSelf(parts[0]);
  n.set(i, parts.size() == 1 ? parts[0]
                             : n.create<ConcatOp>(n.makeType(shape, element),
                                                  parts, uint64_t(at)));
}

/// Whether a condition that a loop computed holds.
static bool isTrue(NodeImport &n, const Imported &condition) {
  if (!condition.constant || condition.constant->numElements() != 1)
    n.unsupported("its condition depends on data");
  return condition.constant->getInt(0) != 0;
}

static void importLoop(NodeImport &n) {
  const onnx::GraphProto &body = bodyOf(n);
  int64_t count = n.has(0) ? n.scalarInt(0) : INT64_MAX;
  HostTensor yes(DType::Bool, {});
  yes.setInt(0, 1);
  Imported condition = n.has(1) ? n.imported(1) : n.known(yes);
  size_t numStates = n.numInputs() < 2 ? 0 : n.numInputs() - 2;
  if (n.numOutputs() < numStates)
    n.invalid("has fewer results than states");
  std::vector<Imported> states;
  for (size_t i = 0; i < numStates; ++i)
    states.push_back(n.has(i + 2) ? n.imported(i + 2) : Imported());
  std::vector<std::vector<Imported>> stacks(n.numOutputs() - numStates);

  for (int64_t i = 0; i < count && isTrue(n, condition); ++i) {
    countIteration(n, body);
    HostTensor number(DType::I64, {});
    number.setInt(0, i);
    std::vector<Imported> inputs = {n.known(number), condition};
    inputs.insert(inputs.end(), states.begin(), states.end());
    std::vector<Imported> results = n.graph.subgraph(body, n, inputs);
    if (results.size() != 1 + numStates + stacks.size())
      n.invalid("its body has another number of results");
    condition = results[0];
    states.assign(results.begin() + 1, results.begin() + 1 + numStates);
    for (size_t k = 0; k < stacks.size(); ++k)
      stacks[k].push_back(results[1 + numStates + k]);
  }
  for (size_t i = 0; i < numStates; ++i)
    n.set(i, states[i]);
  for (size_t k = 0; k < stacks.size(); ++k)
    setStack(n, numStates + k, stacks[k], 0, false);
}

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

namespace {
/// A loop over slices of its inputs.
class ScanImport {
public:
  explicit ScanImport(NodeImport &n);
  void run();

private:
  Imported slice(size_t i, int64_t step);
  /// Entry `i` of a list of numbers, one for each scanned tensor.
  int64_t entry(const char *name, size_t i) const;

  NodeImport &n;
  const onnx::GraphProto &body;
  /// Before version 9 everything has a dimension for a batch, and there may be
  /// lengths in front.
  bool batched;
  size_t first, numScanned, numStates, numStacks = 0;
  int64_t length = 0;
};
} // namespace

ScanImport::ScanImport(NodeImport &n)
    : n(n), body(bodyOf(n)), batched(n.version < 9), first(batched ? 1 : 0) {
  int64_t scanned = n.integer("num_scan_inputs", 0);
  if (scanned < 1 || scanned > int64_t(n.numInputs()) - int64_t(first))
    n.invalid("does not have its scanned inputs");
  numScanned = size_t(scanned);
  numStates = n.numInputs() - first - numScanned;
  if (n.numOutputs() < numStates)
    n.invalid("has fewer results than states");
  numStacks = n.numOutputs() - numStates;
  if (batched && n.has(0))
    n.unsupported("its sequences have lengths");
  for (size_t i = first; batched && i < n.numInputs(); ++i)
    if (n.rank(i) < 1 || n.shape(i)[0] != 1)
      n.unsupported("it scans a batch");
}

int64_t ScanImport::entry(const char *name, size_t i) const {
  auto values = n.integers(name);
  return values && i < values->size() ? (*values)[i] : 0;
}

/// Slice `step` of scanned input `i`.
Imported ScanImport::slice(size_t i, int64_t step) {
  size_t input = first + numStates + i;
  bool reverse = entry(batched ? "directions" : "scan_input_directions", i);
  int64_t axis =
      batched ? 1 : n.axis(entry("scan_input_axes", i), n.rank(input));
  Shape shape = n.shape(input);
  if (axis >= int64_t(shape.size()) || shape[axis] != length)
    n.invalid("its scanned inputs have different lengths");
  Value part =
      n.slice(n.input(input), axis, reverse ? length - 1 - step : step, 1);
  shape.erase(shape.begin() + axis);
  if (batched)
    shape.erase(shape.begin());
  Imported result;
  result.value = n.reshape(part, shape);
  result.type = cast<RankedTensorType>(result.value.getType());
  return result;
}

void ScanImport::run() {
  size_t scanned = first + numStates;
  int64_t axis =
      batched ? 1 : n.axis(entry("scan_input_axes", 0), n.rank(scanned));
  if (axis >= n.rank(scanned))
    n.invalid("scans a dimension that its input does not have");
  length = n.shape(scanned)[axis];
  std::vector<Imported> states;
  for (size_t i = 0; i < numStates; ++i) {
    Imported state = n.imported(first + i);
    if (batched) {
      Shape shape = n.shape(first + i);
      shape.erase(shape.begin());
      state = Imported();
      state.value = n.reshape(n.input(first + i), shape);
      state.type = cast<RankedTensorType>(state.value.getType());
    }
    states.push_back(state);
  }
  std::vector<std::vector<Imported>> stacks(numStacks);
  for (int64_t step = 0; step < length; ++step) {
    countIteration(n, body);
    std::vector<Imported> inputs = states;
    for (size_t i = 0; i < numScanned; ++i)
      inputs.push_back(slice(i, step));
    std::vector<Imported> results = n.graph.subgraph(body, n, inputs);
    if (results.size() != numStates + numStacks)
      n.invalid("its body has another number of results");
    states.assign(results.begin(), results.begin() + numStates);
    for (size_t k = 0; k < numStacks; ++k)
      stacks[k].push_back(results[numStates + k]);
  }
  auto withBatch = [&](size_t i, Imported value) {
    if (batched && !value.poisoned) {
      Shape shape = nn::shapeOf(value.type);
      shape.insert(shape.begin(), 1);
      return n.set(i, n.reshape(n.graph.materialize(value, n), shape));
    }
    n.set(i, value);
  };
  for (size_t i = 0; i < numStates; ++i)
    withBatch(i, states[i]);
  for (size_t k = 0; k < numStacks; ++k) {
    size_t i = numStates + k;
    setStack(n, i, stacks[k], batched ? 0 : entry("scan_output_axes", k),
             !batched && entry("scan_output_directions", k));
    if (n.wants(i))
      withBatch(i, n.result(i));
  }
}

static void importScan(NodeImport &n) { ScanImport(n).run(); }

void importer::addControlFlow(ImportTable &table) {
  table.add("If", 1, importIf);
  table.add("Loop", 1, importLoop);
  table.add("Scan", 8, importScan);
}
