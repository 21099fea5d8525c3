//===- Pins.cpp - Manual control ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Pins.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

Result<Pin> Pin::parse(const std::string &text) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Usage, "plan.pin", "--pin " + text, what,
                     "write GLOB:factor=axis, for example '*fc1*:n=tp', or "
                     "GLOB:replicated");
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

/// Does the rule have the factor that the pin names, and can it be split?
static bool hasFactor(const ShardingRule &rule, const std::string &name) {
  for (const Factor &factor : rule.factors) {
    if (factor.kind == FactorKind::Replicate)
      continue;
    if (factor.name == name)
      return true;
    if (name.size() > factor.name.size() + 1 &&
        name.compare(0, factor.name.size(), factor.name) == 0 &&
        name[factor.name.size()] == '.' &&
        std::all_of(name.begin() +
                        static_cast<std::ptrdiff_t>(factor.name.size()) + 1,
                    name.end(), [](unsigned char c) { return isdigit(c); }))
      return true;
  }
  return false;
}

Result<std::vector<std::vector<const Pin *>>>
planner::resolvePins(const Graph &graph, const Mesh &mesh,
                     const std::vector<Pin> &pins) {
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
      if (!globMatches(pin.glob, op.id) &&
          std::none_of(op.nodes.begin(), op.nodes.end(),
                       [&](const std::string &node) {
                         return globMatches(pin.glob, node);
                       }))
        continue;
      if (!matched)
        matched = &op;
      if (!pin.factor.empty() && !hasFactor(op.rule, pin.factor))
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
