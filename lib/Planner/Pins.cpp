//===- Pins.cpp - Manual control ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Pins.h"
#include "Strategies.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

Result<Pin> Pin::parse(const std::string &text) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Usage, "plan.pin", "--pin " + text, what,
                     "write GLOB:factor=axis, for example '*fc1*:n=tp' or "
                     "'*:batch=x', or GLOB:replicated");
  };
  Pin pin;
  pin.text = text;
  size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return fail("there is no 'GLOB:' in it");
  pin.glob = text.substr(0, colon);
  std::string what = text.substr(colon + 1);
  if (what == "replicated")
    return pin;
  size_t equals = what.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == what.size())
    return fail("'" + what + "' is not factor=axis");
  pin.factor = what.substr(0, equals);
  pin.axis = what.substr(equals + 1);
  return pin;
}

bool planner::globMatches(const std::string &glob, const std::string &text) {
  size_t g = 0, t = 0, star = std::string::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*')
    ++g;
  return g == glob.size();
}

/// The reserved axis that takes all that the pin's word means; empty if it is
/// the name of a factor.
static const char *axisOfWord(const std::string &word) {
  return word == "batch"      ? "dp"
         : word == "sequence" ? "sp"
         : word == "experts"  ? "ep"
                              : "";
}

bool planner::pinMeans(const Pin &pin, const Factor &factor,
                       const std::vector<Piece> &pieces, size_t begin,
                       size_t end) {
  if (factor.name == pin.factor)
    return true;
  std::string axis = axisOfWord(pin.factor);
  if (axis.empty())
    return end == begin + 1 &&
           pin.factor == factor.name + "." + std::to_string(begin);
  return factor.kind != FactorKind::Linear && end <= pieces.size() &&
         axisAllows(axis, {pieces.begin() + static_cast<std::ptrdiff_t>(begin),
                           pieces.begin() + static_cast<std::ptrdiff_t>(end)});
}

/// Does the operation have what the pin names, and can it be split?
static bool hasFactor(const GraphOp &op,
                      const std::vector<std::vector<Piece>> &pieces,
                      const Pin &pin) {
  for (size_t f = 0; f < op.rule.factors.size(); ++f) {
    if (op.rule.factors[f].kind == FactorKind::Replicate)
      continue;
    for (size_t i = 0; i < std::max<size_t>(pieces[f].size(), 1); ++i)
      if (pinMeans(pin, op.rule.factors[f], pieces[f], i, i + 1))
        return true;
  }
  return false;
}

/// Whether the pin is about an operation of this pass, or this one by name.
static bool isOfPass(const Pin &pin, const GraphOp &op) {
  return (!op.isBackward && !op.isUpdate) || *axisOfWord(pin.factor) ||
         pin.glob == op.id || pin.glob.find("/grad") != std::string::npos;
}

Result<std::vector<std::vector<const Pin *>>>
planner::resolvePins(const Graph &graph, const DimClasses &classes,
                     const Mesh &mesh, const std::vector<Pin> &pins) {
  std::vector<std::vector<const Pin *>> byOp(graph.ops.size());
  for (const Pin &pin : pins) {
    auto fail = [&](const std::string &what, const std::string &hint) {
      return makeError(ExitCode::Usage, "plan.pin", "--pin " + pin.text, what,
                       hint);
    };
    if (!pin.axis.empty() && mesh.axis(pin.axis) < 0)
      return fail("the mesh " + mesh.str() + " has no axis '" + pin.axis + "'",
                  "name axes by --mesh, for example --mesh dp=2,tp=2");
    const GraphOp *matched = nullptr;
    bool bound = false;
    for (size_t o = 0; o < graph.ops.size(); ++o) {
      const GraphOp &op = graph.ops[o];
      if (!isOfPass(pin, op))
        continue;
      if (!globMatches(pin.glob, op.id) &&
          std::none_of(op.nodes.begin(), op.nodes.end(),
                       [&](const std::string &node) {
                         return globMatches(pin.glob, node);
                       }))
        continue;
      if (!matched)
        matched = &op;
      if (!pin.factor.empty() && !hasFactor(op, classes.factors[o], pin))
        continue;
      byOp[o].push_back(&pin);
      bound = true;
    }
    if (!matched)
      return fail("no operation and no ONNX node matches '" + pin.glob + "'",
                  "inspect lists the operations");
    if (!bound)
      return fail("no matching operation has a factor '" + pin.factor +
                      "' that can be split",
                  "the rule of '" + matched->id + "' is " +
                      matched->rule.str());
  }
  return byOp;
}
