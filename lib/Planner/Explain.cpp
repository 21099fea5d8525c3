//===- Explain.cpp - What an operation could do instead -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Explain.h"
#include "Model.h"
#include "Pins.h"
#include <algorithm>
#include <numeric>

using namespace partita;
using namespace partita::planner;

namespace {
class Explainer {
public:
  Explainer(const Graph &graph, const Topology &topology, const Mesh &mesh,
            const std::vector<Strategy> &strategies)
      : graph(graph), topology(topology), mesh(mesh), strategies(strategies),
        classes(analyseDims(graph)),
        builder(graph, classes, mesh, topology, Costing(graph)) {}
  Status prepare();
  Result<Explanation> explain(int op, size_t maxOthers);

private:
  /// The operation, what follows it, and the layouts that their values are
  /// shared in.
  struct Region {
    std::vector<int> variables;
    /// By variable of `variables`; the operation's own is the first.
    Problem problem;
  };
  int valueIn(int op) const;
  bool follows(int variable) const;
  Region regionOf(int op) const;
  Result<Alternative> alternative(int op, const std::vector<Strategy> &changed,
                                  int64_t kernel) const;

  const Graph &graph;
  const Topology &topology;
  const Mesh &mesh;
  const std::vector<Strategy> &strategies;
  DimClasses classes;
  ModelBuilder builder;
  /// By operation: its strategy of the plan, as a value of the model.
  std::vector<int> values;
  /// By variable of the model: its edges.
  std::vector<std::vector<int>> edgesOf;
};
} // namespace

/// The candidate that is the plan's strategy or has the same layouts, or -1.
int Explainer::valueIn(int number) const {
  const GraphOp &op = graph.ops[number];
  const std::vector<Candidate> &candidates =
      builder.model.candidates[number]->candidates;
  for (size_t k = 0; k < candidates.size(); ++k)
    if (candidates[k].strategy == strategies[number])
      return static_cast<int>(k);
  auto layouts = [&](const Strategy &strategy) {
    std::vector<Sharding> list;
    for (size_t i = 0; i < op.operands.size(); ++i)
      list.push_back(canonical(operandSharding(op.rule, strategy, i), mesh));
    for (size_t i = 0; i < op.results.size(); ++i)
      list.push_back(canonical(resultSharding(op.rule, strategy, i), mesh));
    return list;
  };
  const std::vector<Sharding> wanted = layouts(strategies[number]);
  for (size_t k = 0; k < candidates.size(); ++k)
    if (layouts(candidates[k].strategy) == wanted)
      return static_cast<int>(k);
  return -1;
}

Status Explainer::prepare() {
  PARTITA_CHECK(builder.addOperations(
      std::vector<std::vector<const Pin *>>(graph.ops.size())));
  builder.price();
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    values.push_back(valueIn(static_cast<int>(o)));
    if (values.back() < 0)
      return makeError(ExitCode::Unsupported, "explain.strategy",
                       graph.ops[o].id,
                       "the plan has a strategy that the planner does not list",
                       "plans that `partita plan` made can be explained");
  }
  const Problem &objective = builder.model.objective;
  edgesOf.resize(objective.unary.size());
  for (size_t e = 0; e < objective.edges.size(); ++e) {
    edgesOf[objective.edges[e].first].push_back(static_cast<int>(e));
    edgesOf[objective.edges[e].second].push_back(static_cast<int>(e));
  }
  return ok();
}

/// Takes no time by itself. Layouts of values do not either.
bool Explainer::follows(int variable) const {
  if (variable >= static_cast<int>(graph.ops.size()))
    return true;
  const GraphOp &op = graph.ops[variable];
  return op.atLoad || op.role == OpRole::Parameter ||
         (op.role == OpRole::Compute && op.kernelClass == KernelClass::Free);
}

Explainer::Region Explainer::regionOf(int op) const {
  constexpr size_t maxVariables = 400;
  const Problem &whole = builder.model.objective;
  Region region;
  region.variables = {op};
  std::vector<int> number(whole.unary.size(), -1);
  number[op] = 0;
  for (size_t i = 0; i < region.variables.size(); ++i)
    for (int e : edgesOf[region.variables[i]]) {
      const PriceEdge &edge = whole.edges[e];
      int other = edge.first == region.variables[i] ? edge.second : edge.first;
      // A layout has no value in a plan: where it is reached, it is free.
      bool isLayout = other >= static_cast<int>(graph.ops.size());
      if (number[other] >= 0 || !follows(other) ||
          (!isLayout && region.variables.size() >= maxVariables))
        continue;
      number[other] = static_cast<int>(region.variables.size());
      region.variables.push_back(other);
    }
  for (int variable : region.variables)
    region.problem.unary.push_back(whole.unary[variable]);
  for (size_t i = 0; i < region.variables.size(); ++i)
    for (int e : edgesOf[region.variables[i]]) {
      const PriceEdge &edge = whole.edges[e];
      bool isFirst = edge.first == region.variables[i];
      int other = isFirst ? edge.second : edge.first;
      if (number[other] >= 0) {
        if (isFirst)
          region.problem.edges.push_back(
              {static_cast<int>(i), number[other], edge.table});
        continue;
      }
      std::vector<int64_t> &unary = region.problem.unary[i];
      for (size_t k = 0; k < unary.size(); ++k) {
        int value = static_cast<int>(k);
        unary[k] =
            addPrices(unary[k], isFirst ? edge.table->at(value, values[other])
                                        : edge.table->at(values[other], value));
      }
    }
  return region;
}

Result<Alternative> Explainer::alternative(int op,
                                           const std::vector<Strategy> &changed,
                                           int64_t kernel) const {
  Alternative made;
  made.strategy = changed[op];
  made.kernel = kernel;
  PARTITA_TRY(made.cost, evaluate(graph, topology, mesh, changed));
  return made;
}

Result<Explanation> Explainer::explain(int op, size_t maxOthers) {
  const std::vector<Candidate> &candidates =
      builder.model.candidates[op]->candidates;
  Region region = regionOf(op);
  const std::vector<int64_t> own = region.problem.unary[0];
  auto count = static_cast<int>(candidates.size());
  std::vector<Solution> solutions;
  std::vector<int> others;
  for (int k = 0; k < count; ++k) {
    region.problem.unary[0].assign(own.size(), forbidden);
    region.problem.unary[0][k] = own[k];
    solutions.push_back(solveProblem(region.problem, {}));
    if (k != values[op] && solutions[k].price < forbidden)
      others.push_back(k);
  }
  auto difference = [&](int k) {
    return solutions[k].price - solutions[values[op]].price;
  };
  std::sort(others.begin(), others.end(), [&](int a, int b) {
    return std::pair(difference(a), a) < std::pair(difference(b), b);
  });
  Explanation result;
  result.op = op;
  result.numOthers = static_cast<int64_t>(others.size());
  others.resize(std::min(others.size(), maxOthers));
  PARTITA_TRY(result.chosen,
              alternative(op, strategies, candidates[values[op]].time));
  for (int k : others) {
    std::vector<Strategy> changed = strategies;
    for (size_t i = 0; i < region.variables.size(); ++i) {
      int variable = region.variables[i];
      if (variable < static_cast<int>(graph.ops.size()))
        changed[variable] = builder.model.candidates[variable]
                                ->candidates[solutions[k].values[i]]
                                .strategy;
    }
    PARTITA_TRY(Alternative made, alternative(op, changed, candidates[k].time));
    made.difference = difference(k);
    result.others.push_back(std::move(made));
  }
  return result;
}

Result<std::vector<Explanation>>
partita::explain(const Graph &graph, const Topology &topology, const Mesh &mesh,
                 const std::vector<Strategy> &strategies,
                 const std::vector<int> &ops, size_t maxOthers) {
  PARTITA_CHECK(evaluate(graph, topology, mesh, strategies));
  Explainer explainer(graph, topology, mesh, strategies);
  PARTITA_CHECK(explainer.prepare());
  std::vector<Explanation> all;
  for (int op : ops) {
    PARTITA_TRY(Explanation made, explainer.explain(op, maxOthers));
    all.push_back(std::move(made));
  }
  return all;
}

std::vector<int> partita::operationsMatching(const Graph &graph,
                                             const std::string &glob) {
  std::vector<int> ops;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (globMatches(glob, op.id) ||
        std::any_of(
            op.nodes.begin(), op.nodes.end(),
            [&](const std::string &node) { return globMatches(glob, node); }))
      ops.push_back(static_cast<int>(o));
  }
  return ops;
}
