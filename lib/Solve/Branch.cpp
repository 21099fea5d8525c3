//===- Branch.cpp - Branch and bound over memory and values ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Branch.h"
#include <algorithm>
#include <cmath>

using namespace partita;
using namespace partita::solve;

Branch::Branch(const Dual &root, Incumbent &incumbent, int passes)
    : incumbent(incumbent), state(root.model()), passes(passes),
      passWork(root.passWork()) {
  open.push_back({root, root.best(), 0});
}

bool Branch::isPruned(double bound) const {
  return incumbent.exists() && bound > incumbent.limit();
}

void Branch::tryValues(const std::vector<int> &values) {
  state.set(values);
  if (!state.fits() && !state.repair(60))
    return;
  state.descend();
  incumbent.offer(state);
}

double Branch::bound() const {
  double least = double(incumbent.price);
  for (const Node &node : open)
    least = std::min(least, node.bound);
  return least;
}

Split solve::chooseSplit(const Dual &dual, const Seen &seen) {
  const Model &model = dual.model();
  Split split;
  double bestRange = 0;
  auto payment = [&](int v, int k) {
    return dual.priced(v)[k] - double(model.unary[v][k]);
  };
  double cut = 0;
  for (int v = 0; v < model.numVariables(); ++v) {
    double least = 1e300, most = -1e300;
    for (int k = 0; k < model.size(v); ++k)
      if (seen[v][k] && dual.allowed(v, k)) {
        least = std::min(least, payment(v, k));
        most = std::max(most, payment(v, k));
      }
    if (most - least > bestRange) {
      bestRange = most - least;
      split.variable = v;
      cut = (least + most) / 2;
    }
  }
  if (split.variable >= 0) {
    split.low.assign(model.size(split.variable), 0);
    for (int k = 0; k < model.size(split.variable); ++k)
      split.low[k] = payment(split.variable, k) <= cut;
    return split;
  }
  int most = 1;
  for (int v = 0; v < model.numVariables(); ++v) {
    int count = static_cast<int>(std::count(seen[v].begin(), seen[v].end(), 1));
    if (count > most ||
        (most == 1 && dual.numAllowed(v) > 1 && split.variable < 0)) {
      most = std::max(most, count);
      split.variable = v;
    }
  }
  if (split.variable < 0)
    return split;
  split.low.assign(model.size(split.variable), 0);
  split.low[dual.values()[split.variable]] = 1;
  return split;
}

bool solve::settle(Dual &dual, double bound, double open, int passes,
                   const std::function<bool(int)> &proceed, Seen &seen) {
  const Model &model = dual.model();
  seen.resize(model.numVariables());
  for (int v = 0; v < model.numVariables(); ++v)
    seen[v].assign(model.size(v), 0);
  double delta = std::max(1.0, open / 4);
  double last = bound;
  double settled = -1e300;
  for (int i = 0; i < passes; ++i) {
    dual.pass();
    if (!proceed(i))
      return false;
    if (2 * i >= passes)
      for (int v = 0; v < model.numVariables(); ++v)
        seen[v][dual.values()[v]] = 1;
    settled = std::max(settled, dual.bound());
    if (i % 8 == 7) {
      if (settled - last < delta * 0.1)
        delta *= 0.5;
      last = settled;
    }
    dual.movePrices(settled + delta);
  }
  return true;
}

/// Passes on the node. False if it is closed.
bool Branch::process(Node &node, int passes) {
  ++count;
  auto setLimit = [&] {
    if (incumbent.exists())
      node.dual.setLimit(incumbent.limit());
  };
  auto proceed = [&](int i) {
    spent += passWork;
    if (node.dual.empty())
      return false;
    node.bound = std::max(node.bound, node.dual.bound());
    if (isPruned(node.bound))
      return false;
    if (i % 5 == 4 || node.dual.fits())
      tryValues(node.dual.values());
    setLimit();
    return true;
  };
  setLimit();
  double open = incumbent.exists() ? double(incumbent.price) - node.bound
                                   : std::abs(node.bound) / 4;
  Seen seen;
  if (!settle(node.dual, node.bound, open, passes, proceed, seen))
    return false;
  node.split = chooseSplit(node.dual, seen);
  return node.split.variable >= 0;
}

void Branch::expand(Node node) {
  std::vector<Node> children;
  for (char half : {1, 0}) {
    Node child{node.dual, node.bound, node.depth + 1};
    const Split &split = node.split;
    for (size_t k = 0; k < split.low.size(); ++k)
      if (split.low[k] != half)
        child.dual.forbid(split.variable, static_cast<int>(k));
    if (!child.dual.empty() && process(child, passes))
      children.push_back(std::move(child));
  }
  std::sort(children.begin(), children.end(),
            [](const Node &a, const Node &b) { return a.bound > b.bound; });
  for (Node &child : children)
    open.push_back(std::move(child));
}

void Branch::run(int64_t work) {
  constexpr size_t maxOpen = 1000;
  spent = 0;
  if (count == 0 && !process(open[0], 4 * passes))
    open.clear();
  while (!open.empty() && spent < work) {
    // The newest, and every fourth time the one that holds the bound down,
    // which leaves more open: not where they are many.
    auto at = turn++ % 4 == 3 && open.size() < maxOpen
                  ? std::min_element(
                        open.begin(), open.end(),
                        [](const Node &a, const Node &b) {
                          return a.bound < b.bound;
                        })
                  : std::prev(open.end());
    Node node = std::move(*at);
    open.erase(at);
    if (!isPruned(node.bound))
      expand(std::move(node));
  }
}
