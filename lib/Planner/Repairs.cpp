//===- Repairs.cpp - What would make room ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Repairs.h"
#include <algorithm>
#include <charconv>

using namespace partita;

namespace {
class Repairer {
public:
  Repairer(const Graph &graph, const PlanOptions &options)
      : graph(graph), options(options) {}
  std::vector<Repair> run();

private:
  bool attempt(const std::string &change, const Graph &of,
               const PlanOptions &with);
  void dropPins();
  void narrow();
  void addRanks();
  bool addRanks(int64_t factor);

  const Graph &graph;
  const PlanOptions &options;
  std::vector<Repair> found;
};
} // namespace

/// Keeps the plan, if there is one.
bool Repairer::attempt(const std::string &change, const Graph &of,
                       const PlanOptions &with) {
  Result<PlanResult> result = plan(of, with);
  if (!result)
    return false;
  found.push_back({change, std::move(*result), with.topology.numRanks()});
  return true;
}

/// A deletion filter: a pin without which there is still no plan is not needed
/// to explain that. Those that remain conflict, and no fewer of them.
void Repairer::dropPins() {
  if (options.pins.empty())
    return;
  PlanOptions changed = options;
  changed.pins.clear();
  if (!plan(graph, changed))
    return;
  std::vector<Pin> conflict = options.pins;
  for (size_t i = 0; i < conflict.size();) {
    changed.pins = conflict;
    changed.pins.erase(changed.pins.begin() + static_cast<std::ptrdiff_t>(i));
    if (plan(graph, changed))
      ++i;
    else
      conflict = changed.pins;
  }
  // Any one of them may go, if all others leave a plan then.
  for (const Pin &pin : conflict) {
    changed.pins.clear();
    for (const Pin &other : options.pins)
      if (other.text != pin.text)
        changed.pins.push_back(other);
    if (attempt("without --pin '" + pin.text + "'", graph, changed))
      return;
  }
  std::string names;
  changed.pins.clear();
  for (const Pin &pin : options.pins) {
    auto same = [&](const Pin &other) { return other.text == pin.text; };
    if (std::any_of(conflict.begin(), conflict.end(), same))
      names += (names.empty() ? "'" : ", '") + pin.text + "'";
    else
      changed.pins.push_back(pin);
  }
  attempt("without --pin " + names, graph, changed);
}

void Repairer::narrow() {
  Graph changed = graph;
  bool any = false;
  for (GraphValue &value : changed.values)
    if (value.dtype == DType::F32) {
      value.dtype = DType::BF16;
      any = true;
    }
  if (any)
    attempt("bf16 in place of f32", changed, options);
}

/// The name of a machine with so many times the ranks; empty if it has none.
static std::string scaledName(const Topology &topology, int64_t factor) {
  const std::string &text = topology.text;
  auto isLarger = [&](const std::string &name) {
    auto scaled = Topology::parse(name);
    return scaled && scaled->numRanks() == factor * topology.numRanks();
  };
  // "cpu:2x4", "dgx-h100x16": the number after the colon or the last x.
  for (size_t at : {text.find(':'), text.rfind('x')}) {
    if (at == std::string::npos)
      continue;
    int64_t count = 0;
    const char *end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data() + at + 1, end, count);
    if (error != std::errc() || count <= 0 || count > (1 << 20))
      continue;
    std::string name = text.substr(0, at + 1) + std::to_string(factor * count) +
                       std::string(rest, end);
    if (isLarger(name))
      return name;
  }
  std::string name = text + "x" + std::to_string(factor);
  return isLarger(name) ? name : "";
}

bool Repairer::addRanks(int64_t factor) {
  std::string name = scaledName(options.topology, factor);
  if (name.empty())
    return false;
  PlanOptions changed = options;
  changed.topology = *Topology::parse(name);
  std::string change = "--topology " + name;
  if (!options.mesh)
    return attempt(change, graph, changed);
  // One of the axes becomes longer.
  for (int axis = options.mesh->numAxes(); axis-- > 0;) {
    changed.mesh->axisSizes = options.mesh->axisSizes;
    changed.mesh->axisSizes[axis] *= factor;
    if (attempt(change + " --mesh " + changed.mesh->str(), graph, changed))
      return true;
  }
  return false;
}

void Repairer::addRanks() {
  for (int64_t factor : {2, 4, 8, 16})
    if (addRanks(factor))
      return;
}

std::vector<Repair> Repairer::run() {
  dropPins();
  // Pins name axes.
  if (options.mesh && options.pins.empty()) {
    PlanOptions changed = options;
    changed.mesh.reset();
    attempt("without --mesh", graph, changed);
  }
  narrow();
  addRanks();
  std::sort(found.begin(), found.end(), [](const Repair &a, const Repair &b) {
    return std::pair(a.price(), a.change) < std::pair(b.price(), b.change);
  });
  return std::move(found);
}

std::vector<Repair> partita::findRepairs(const Graph &graph,
                                         const PlanOptions &options) {
  return Repairer(graph, options).run();
}
