//===- Expert.cpp - Plans as experts write them ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Expert.h"
#include "Pins.h"
#include "partita/Support/Names.h"
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

using namespace partita;
using namespace partita::planner;

static constexpr const char *dataAxis = "data";

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

Result<Expert> Expert::parse(const std::string &text, int64_t ranks) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Usage, "plan.expert", "--expert " + text, what,
                     "write megatron:tp=T,pp=P,dp=D, and sp for sequence "
                     "parallelism");
  };
  static constexpr std::string_view name = "megatron:";
  if (text.compare(0, name.size(), name) != 0)
    return fail("the only expert is megatron");
  Expert expert;
  expert.text = text;
  std::map<std::string, int64_t *> sizes = {
      {"tp", &expert.tensor}, {"pp", &expert.pipeline}, {"dp", &expert.data}};
  bool hasData = false;
  for (const std::string &item : splitAt(text.substr(name.size()), ',')) {
    if (item == "sp") {
      expert.sequenceParallel = true;
      continue;
    }
    size_t equals = item.find('=');
    auto it = sizes.find(item.substr(0, equals));
    if (it == sizes.end() || equals == std::string::npos)
      return fail("'" + item + "' is none of tp=T, pp=P, dp=D and sp");
    const char *last = item.data() + item.size();
    auto [end, error] =
        std::from_chars(item.data() + equals + 1, last, *it->second);
    if (error != std::errc() || end != last || *it->second < 1 ||
        *it->second > ranks)
      return fail("'" + item + "' is not a number from 1 to the " +
                  std::to_string(ranks) + " ranks");
    hasData |= it->first == "dp";
    sizes.erase(it); // Once each.
  }
  // Neither is above `ranks`, which is far from the end of the range.
  int64_t others = expert.tensor * expert.pipeline;
  if (!hasData)
    expert.data = std::max<int64_t>(1, ranks / others);
  if (others > ranks || others * expert.data != ranks)
    return fail("the sizes do not multiply to " + std::to_string(ranks) +
                " ranks");
  return expert;
}

Mesh Expert::mesh() const {
  Mesh mesh;
  for (auto [name, size] :
       {std::pair(stageAxis, pipeline), std::pair(dataAxis, data),
        std::pair(tensorAxis(), tensor)})
    if (size > 1) {
      mesh.axisNames.push_back(name);
      mesh.axisSizes.push_back(size);
    }
  if (mesh.axisNames.empty()) {
    mesh.axisNames = {dataAxis};
    mesh.axisSizes = {1};
  }
  return mesh;
}

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

/// The factor that some of a product's three tensors walk: activations, weights
/// and result. Empty if there is not one.
static std::string factorOf(const GraphOp &op, size_t weights,
                            bool inActivations, bool inResult) {
  auto walks = [](const TensorMap &map, unsigned factor) {
    return std::any_of(map.begin(), map.end(), [&](const auto &dim) {
      return std::find(dim.begin(), dim.end(), factor) != dim.end();
    });
  };
  for (unsigned f = 0; f < op.rule.factors.size(); ++f)
    if (op.rule.factors[f].kind != FactorKind::Linear &&
        walks(op.rule.operands[weights], f) &&
        walks(op.rule.operands[1 - weights], f) == inActivations &&
        walks(op.rule.results[0], f) == inResult)
      return op.rule.factors[f].name;
  return "";
}

/// "h.3.fc1" as "h.*.fc1": what is a number between marks.
static std::string globOf(const std::string &id) {
  auto isDigit = [&](size_t i) {
    return i < id.size() && id[i] >= '0' && id[i] <= '9';
  };
  auto isMark = [&](size_t i) {
    return i >= id.size() || id[i] == '.' || id[i] == '/' || id[i] == '_';
  };
  std::string glob;
  for (size_t i = 0; i < id.size();) {
    size_t end = i;
    while (isDigit(end))
      ++end;
    bool number = end > i && (i == 0 || isMark(i - 1)) && isMark(end);
    glob += number ? "*" : end > i ? id.substr(i, end - i) : id.substr(i, 1);
    i = std::max(end, i + 1);
  }
  return glob;
}

/// "factor=axis" of each operation of the forward pass that the expert decides.
/// Between a product cut by columns and the next one, which is cut by rows,
/// values are parts of a rank; everywhere else they are whole.
static std::vector<std::string>
rolesOf(const Graph &graph, const std::string &axis, bool sequenceParallel) {
  std::vector<OpPhase> phases = phasesOf(graph);
  std::vector<OpPhase> made(graph.values.size(), OpPhase::Once);
  std::vector<char> isPart(graph.values.size(), 0);
  std::vector<std::string> roles(graph.ops.size());
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    for (int value : op.results)
      made[value] = phases[o];
    if (phases[o] != OpPhase::Forward)
      continue;
    bool part = std::any_of(op.operands.begin(), op.operands.end(),
                            [&](int value) { return isPart[value]; });
    bool withWeights = op.kernelClass == KernelClass::Gemm &&
                       op.operands.size() >= 2 &&
                       made[op.operands[0]] != made[op.operands[1]];
    if (withWeights) {
      size_t weights = made[op.operands[0]] == OpPhase::Once ? 0 : 1;
      std::string factor = factorOf(op, weights, part, !part);
      if (!factor.empty()) {
        roles[o] = factor + "=" + axis;
        part = !part;
      }
    } else if (sequenceParallel && !part &&
               op.kind.find("norm") != std::string::npos) {
      roles[o] = "sequence=" + axis;
    }
    for (int value : op.results)
      isPart[value] = part;
  }
  return roles;
}

Result<std::vector<Pin>> Expert::pins(const Graph &graph) const {
  std::vector<std::string> texts;
  if (data > 1)
    texts.push_back(std::string("*:batch=") + dataAxis);
  std::vector<std::string> roles;
  if (tensor > 1) {
    roles = rolesOf(graph, tensorAxis(), sequenceParallel);
    if (std::all_of(roles.begin(), roles.end(),
                    [](const std::string &role) { return role.empty(); }))
      return makeError(ExitCode::Usage, "plan.expert", "--expert " + text,
                       "the model has no product with weights to cut",
                       "say what is split by --mesh and --pin");
  }
  std::set<std::string> known;
  for (size_t o = 0; o < roles.size(); ++o) {
    if (roles[o].empty())
      continue;
    // One glob for all layers, unless it means others too.
    std::string glob = globOf(graph.ops[o].id);
    if (known.count(glob + ":" + roles[o]))
      continue;
    for (size_t other = 0; other < roles.size(); ++other)
      if (!roles[other].empty() && roles[other] != roles[o] &&
          globMatches(glob, graph.ops[other].id))
        glob = graph.ops[o].id;
    if (known.insert(glob + ":" + roles[o]).second)
      texts.push_back(glob + ":" + roles[o]);
  }
  std::vector<Pin> pins;
  for (const std::string &text : texts) {
    PARTITA_TRY(Pin pin, Pin::parse(text));
    pins.push_back(std::move(pin));
  }
  return pins;
}
