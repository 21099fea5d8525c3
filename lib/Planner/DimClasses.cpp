//===- DimClasses.cpp - What dimensions are made of -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DimClasses.h"
#include <algorithm>
#include <deque>
#include <numeric>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Well-formed graphs
//===----------------------------------------------------------------------===//

static Status checkTensorMap(const GraphOp &op, const TensorMap &map,
                             const std::vector<int64_t> &shape, bool operand) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Internal, "plan.graph", op.id, what);
  };
  if (map.size() != shape.size())
    return fail("the rule " + op.rule.str() +
                " does not fit the tensors' ranks");
  for (size_t d = 0; d < shape.size(); ++d) {
    int64_t product = 1;
    for (unsigned factor : map[d]) {
      if (factor >= op.rule.factors.size())
        return fail("the rule names a factor that it does not have");
      product *= op.rule.factors[factor].sizeIn(operand);
    }
    if (product != shape[d])
      return fail("the factors of dimension " + std::to_string(d) +
                  " multiply to " + std::to_string(product) + ", not to " +
                  std::to_string(shape[d]));
  }
  return ok();
}

/// Whether an operation is an input, and what it names its next state an output
/// of the same shape and type.
static bool isNextState(const Graph &graph, const GraphOp &op) {
  int values = static_cast<int>(graph.values.size());
  auto valueOf = [&](const std::vector<int> &list) -> const GraphValue * {
    return list.size() == 1 && list[0] >= 0 && list[0] < values
               ? &graph.values[list[0]]
               : nullptr;
  };
  if (op.role != OpRole::Input ||
      op.nextState >= static_cast<int>(graph.ops.size()))
    return false;
  const GraphOp &next = graph.ops[op.nextState];
  const GraphValue *from = valueOf(next.operands), *to = valueOf(op.results);
  return next.role == OpRole::Output && from && to &&
         from->shape == to->shape && from->dtype == to->dtype;
}

Status planner::checkGraph(const Graph &graph) {
  int numValues = static_cast<int>(graph.values.size());
  std::vector<char> defined(numValues, 0);
  for (const GraphOp &op : graph.ops) {
    auto fail = [&](const std::string &what) {
      return makeError(ExitCode::Internal, "plan.graph", op.id, what);
    };
    if (op.nextState >= 0 && !isNextState(graph, op))
      return fail("its next state is no output of its shape and type");
    if (op.operands.size() != op.rule.operands.size() ||
        op.results.size() != op.rule.results.size())
      return fail("the rule has another number of operands or results");
    for (size_t i = 0; i < op.operands.size(); ++i) {
      int value = op.operands[i];
      if (value < 0 || value >= numValues || !defined[value])
        return fail("an operand is used before it is computed");
      PARTITA_CHECK(checkTensorMap(op, op.rule.operands[i],
                                   graph.values[value].shape, true));
    }
    for (size_t i = 0; i < op.results.size(); ++i) {
      int value = op.results[i];
      if (value < 0 || value >= numValues || defined[value]++)
        return fail("a value has two producers, or is not in the graph");
      PARTITA_CHECK(checkTensorMap(op, op.rule.results[i],
                                   graph.values[value].shape, false));
    }
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Refinement
//===----------------------------------------------------------------------===//

/// Cut points of a dimension or factor: products of what is minor to them,
/// ascending, strictly between one and the size.
using Cuts = std::vector<int64_t>;

/// Adds a cut if it fits the divisor chain. True if the chain changed.
static bool addCut(Cuts &cuts, int64_t size, int64_t cut) {
  if (cut <= 1 || cut >= size || size % cut != 0)
    return false;
  auto it = std::lower_bound(cuts.begin(), cuts.end(), cut);
  if (it != cuts.end() && (*it == cut || *it % cut != 0))
    return false;
  if (it != cuts.begin() && cut % *std::prev(it) != 0)
    return false;
  cuts.insert(it, cut);
  return true;
}

namespace {
/// One place where a factor lies in a dimension: in units of `low`. Under a
/// window the dimension has elements where the factor has positions: units of
/// the one are none of the other, but they are split together.
struct Place {
  int value, dim;
  unsigned factor;
  int64_t low;
  bool underWindow;
};

class Analysis {
public:
  explicit Analysis(const Graph &graph);
  DimClasses run();

private:
  void refine();
  bool refineOp(int op, std::vector<int> &touched);
  void numberPieces();
  void join();
  void joinPlace(int op, const Place &place);
  void addKind(int firstNode, const Cuts &cuts, uint8_t kind);
  void seedKinds();

  int find(int node) {
    while (parent[node] != node)
      node = parent[node] = parent[parent[node]];
    return node;
  }
  void unite(int a, int b) {
    a = find(a);
    b = find(b);
    parent[std::max(a, b)] = std::min(a, b);
  }

  const Graph &graph;
  std::vector<std::vector<Place>> places; // by operation
  std::vector<std::vector<int>> opsOfValue;
  std::vector<std::vector<Cuts>> dimCuts, factorCuts;
  std::vector<std::vector<int>> firstDimNode, firstFactorNode;
  std::vector<int> parent;
  std::vector<uint8_t> kinds; // by root
};
} // namespace

Analysis::Analysis(const Graph &graph) : graph(graph) {
  opsOfValue.resize(graph.values.size());
  for (const GraphValue &value : graph.values)
    dimCuts.emplace_back(value.shape.size());
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    factorCuts.emplace_back(op.rule.factors.size());
    places.emplace_back();
    auto walk = [&](int value, const TensorMap &map, bool operand) {
      opsOfValue[value].push_back(static_cast<int>(o));
      for (size_t d = 0; d < map.size(); ++d) {
        int64_t low = 1;
        for (size_t i = map[d].size(); i-- > 0;) {
          const Factor &factor = op.rule.factors[map[d][i]];
          places[o].push_back({value, static_cast<int>(d), map[d][i], low,
                               operand && factor.kind == FactorKind::Halo});
          low *= factor.sizeIn(operand);
        }
      }
    };
    for (size_t i = 0; i < op.operands.size(); ++i)
      walk(op.operands[i], op.rule.operands[i], true);
    for (size_t i = 0; i < op.results.size(); ++i)
      walk(op.results[i], op.rule.results[i], false);
  }
}

/// Carries cuts between an operation's factors and dimensions until they agree.
/// True if a dimension changed; `touched` gets the values.
bool Analysis::refineOp(int o, std::vector<int> &touched) {
  const GraphOp &op = graph.ops[o];
  bool any = false;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Place &place : places[o]) {
      if (place.underWindow)
        continue;
      Cuts &dim = dimCuts[place.value][place.dim];
      Cuts &factor = factorCuts[o][place.factor];
      int64_t dimSize = graph.values[place.value].shape[place.dim];
      int64_t size = op.rule.factors[place.factor].size;
      for (int64_t cut : dim)
        if (cut % place.low == 0)
          changed |= addCut(factor, size, cut / place.low);
      bool dimChanged = addCut(dim, dimSize, place.low);
      dimChanged |= addCut(dim, dimSize, place.low * size);
      for (int64_t cut : factor)
        dimChanged |= addCut(dim, dimSize, cut * place.low);
      if (dimChanged) {
        changed = any = true;
        touched.push_back(place.value);
      }
    }
  }
  return any;
}

void Analysis::refine() {
  std::deque<int> queue(graph.ops.size());
  std::iota(queue.begin(), queue.end(), 0);
  std::vector<char> queued(graph.ops.size(), 1);
  while (!queue.empty()) {
    int op = queue.front();
    queue.pop_front();
    queued[op] = 0;
    std::vector<int> touched;
    refineOp(op, touched);
    for (int value : touched)
      for (int other : opsOfValue[value])
        if (other != op && !queued[other]) {
          queued[other] = 1;
          queue.push_back(other);
        }
  }
}

//===----------------------------------------------------------------------===//
// Classes
//===----------------------------------------------------------------------===//

void Analysis::numberPieces() {
  int count = 0;
  auto number = [&](const std::vector<std::vector<Cuts>> &cuts,
                    std::vector<std::vector<int>> &first) {
    for (const std::vector<Cuts> &list : cuts) {
      first.emplace_back();
      for (const Cuts &chain : list) {
        first.back().push_back(count);
        count += static_cast<int>(chain.size()) + 1;
      }
    }
  };
  number(dimCuts, firstDimNode);
  number(factorCuts, firstFactorNode);
  parent.resize(count);
  std::iota(parent.begin(), parent.end(), 0);
  kinds.assign(count, KindOther);
}

/// Joins the pieces of a factor with those of the dimension that it lies in,
/// where they overlap. Pieces are numbered minor first here. With equal cuts,
/// as everywhere but at dropped ones, each piece meets exactly one other.
void Analysis::joinPlace(int o, const Place &place) {
  const Cuts &dim = dimCuts[place.value][place.dim];
  const Cuts &factor = factorCuts[o][place.factor];
  int64_t dimSize = graph.values[place.value].shape[place.dim];
  int64_t size = graph.ops[o].rule.factors[place.factor].size;
  if (size <= 1)
    return;
  auto low = [](const Cuts &cuts, size_t i) { return i ? cuts[i - 1] : 1; };
  auto high = [](const Cuts &cuts, size_t i, int64_t size) {
    return i < cuts.size() ? cuts[i] : size;
  };
  for (size_t i = 0; i <= factor.size(); ++i)
    for (size_t j = 0; j <= dim.size(); ++j)
      if (place.underWindow ||
          (place.low * low(factor, i) < high(dim, j, dimSize) &&
           low(dim, j) < place.low * high(factor, i, size)))
        unite(firstFactorNode[o][place.factor] + static_cast<int>(i),
              firstDimNode[place.value][place.dim] + static_cast<int>(j));
}

void Analysis::join() {
  for (size_t o = 0; o < graph.ops.size(); ++o)
    for (const Place &place : places[o])
      joinPlace(static_cast<int>(o), place);
}

static uint8_t kindOfInputDim(const GraphValue &value, size_t d) {
  std::string name = d < value.dimNames.size() ? value.dimNames[d] : "";
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (name.find("batch") != std::string::npos)
    return KindBatch;
  if (name.find("seq") != std::string::npos)
    return KindSequence;
  if (!name.empty())
    return KindOther;
  if (d == 0)
    return KindBatch;
  bool tokens = value.shape.size() == 2 && !isFloat(value.dtype);
  return tokens && d == 1 ? KindSequence : KindOther;
}

/// A parameter of rank 3 is a stack of matrices, one for each expert.
static uint8_t kindOfParameterDim(const GraphValue &value, size_t d) {
  return value.shape.size() == 3 && d == 0 ? KindExpert : KindOther;
}

/// Adds a kind to the classes of the pieces between `cuts`.
void Analysis::addKind(int firstNode, const Cuts &cuts, uint8_t kind) {
  for (size_t i = 0; i <= cuts.size(); ++i)
    kinds[find(firstNode + static_cast<int>(i))] |= kind;
}

void Analysis::seedKinds() {
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    for (size_t f = 0; f < op.rule.factors.size(); ++f)
      if (op.rule.factors[f].combiner == Combiner::SoftmaxMerge &&
          op.rule.factors[f].size > 1)
        addKind(firstFactorNode[o][f], factorCuts[o][f], KindSequence);
    if (op.role != OpRole::Input && op.role != OpRole::Parameter)
      continue;
    // A training step gets its weights as states.
    bool isData = op.role == OpRole::Input && op.nextState < 0;
    for (int number : op.results) {
      const GraphValue &value = graph.values[number];
      for (size_t d = 0; d < value.shape.size(); ++d)
        if (value.shape[d] > 1)
          addKind(firstDimNode[number][d], dimCuts[number][d],
                  isData ? kindOfInputDim(value, d)
                         : kindOfParameterDim(value, d));
    }
  }
}

DimClasses Analysis::run() {
  refine();
  numberPieces();
  join();
  seedKinds();
  DimClasses classes;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    classes.factors.emplace_back();
    for (size_t f = 0; f < factorCuts[o].size(); ++f) {
      const Cuts &cuts = factorCuts[o][f];
      std::vector<Piece> pieces;
      int64_t high = graph.ops[o].rule.factors[f].size;
      for (size_t i = cuts.size() + 1; i-- > 0;) {
        int64_t low = i ? cuts[i - 1] : 1;
        pieces.push_back(
            {high / low,
             kinds[find(firstFactorNode[o][f] + static_cast<int>(i))]});
        high = low;
      }
      classes.factors.back().push_back(std::move(pieces));
    }
  }
  return classes;
}

DimClasses planner::analyseDims(const Graph &graph) {
  return Analysis(graph).run();
}
