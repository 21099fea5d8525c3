//===- Strategies.cpp -----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Strategies.h"
#include <algorithm>

using namespace partita;
using namespace partita::test;

/// Ordered factorisations into at most `parts` parts above one.
static std::vector<std::vector<int64_t>> factorisations(int64_t size,
                                                        int parts) {
  std::vector<std::vector<int64_t>> all = {{size}};
  if (parts == 1)
    return all;
  for (int64_t first = 2; first * 2 <= size; ++first) {
    if (size % first)
      continue;
    for (std::vector<int64_t> rest : factorisations(size / first, parts - 1)) {
      rest.insert(rest.begin(), first);
      all.push_back(rest);
    }
  }
  return all;
}

/// Every way to append the axes from `next` on to factors of `dim`.
static void distribute(DimSharding &dim, const std::vector<int> &axes,
                       size_t next, std::vector<DimSharding> &all) {
  if (next == axes.size()) {
    for (size_t i = 0; i + 1 < dim.factors.size(); ++i)
      if (dim.factors[i].axes.empty() && dim.factors[i + 1].axes.empty())
        return;
    all.push_back(dim);
    return;
  }
  for (FactorSharding &factor : dim.factors) {
    factor.axes.push_back(axes[next]);
    distribute(dim, axes, next + 1, all);
    factor.axes.pop_back();
  }
}

std::vector<DimSharding> test::placements(int64_t size,
                                          const std::vector<int> &axes) {
  std::vector<DimSharding> all;
  for (const std::vector<int64_t> &sizes : factorisations(size, 3)) {
    std::vector<int> order = axes;
    std::sort(order.begin(), order.end());
    do {
      DimSharding dim;
      for (int64_t part : sizes)
        dim.factors.push_back({part, {}});
      distribute(dim, order, 0, all);
    } while (std::next_permutation(order.begin(), order.end()));
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/// The axes of a bit set.
static std::vector<int> axesOf(unsigned set) {
  std::vector<int> axes;
  for (int axis = 0; set >> axis; ++axis)
    if (set >> axis & 1)
      axes.push_back(axis);
  return axes;
}

/// Calls `fn(i, subset)` for every way to give each of `count` places a subset
/// of the axes, disjointly; `place` is the first still without one.
template <typename Fn>
static void forEachAssignment(std::vector<unsigned> &sets, size_t place,
                              unsigned free, Fn fn) {
  if (place == sets.size())
    return fn();
  for (unsigned set = free;; set = (set - 1) & free) {
    sets[place] = set;
    forEachAssignment(sets, place + 1, free & ~set, fn);
    if (set == 0)
      return;
  }
}

/// The product of choices: calls `fn` with `current` filled from `options`.
template <typename Fn>
static void forEachChoice(const std::vector<std::vector<DimSharding>> &options,
                          std::vector<DimSharding> &current, Fn fn) {
  if (current.size() == options.size())
    return fn();
  for (const DimSharding &option : options[current.size()]) {
    current.push_back(option);
    forEachChoice(options, current, fn);
    current.pop_back();
  }
}

std::vector<Strategy> test::legalStrategies(const ShardingRule &rule,
                                            const Mesh &mesh) {
  std::vector<Strategy> all;
  std::vector<unsigned> sets(rule.factors.size());
  forEachAssignment(sets, 0, (1u << mesh.numAxes()) - 1, [&] {
    std::vector<std::vector<DimSharding>> options;
    for (size_t f = 0; f < sets.size(); ++f) {
      const Factor &factor = rule.factors[f];
      if (sets[f] && factor.kind == FactorKind::Replicate)
        return;
      if (factor.kind == FactorKind::Linear)
        options.push_back({{{{1, axesOf(sets[f])}}}});
      else
        options.push_back(placements(factor.size, axesOf(sets[f])));
    }
    std::vector<DimSharding> current;
    forEachChoice(options, current, [&] {
      Strategy strategy{current};
      if (checkStrategy(rule, strategy, mesh, ""))
        all.push_back(strategy);
    });
  });
  return all;
}

std::vector<Sharding> test::legalShardings(const std::vector<int64_t> &shape,
                                           const Mesh &mesh) {
  std::vector<Sharding> all;
  // The last place stands for pending axes.
  std::vector<unsigned> sets(shape.size() + 1);
  forEachAssignment(sets, 0, (1u << mesh.numAxes()) - 1, [&] {
    std::vector<std::vector<DimSharding>> options;
    for (size_t d = 0; d < shape.size(); ++d)
      options.push_back(placements(shape[d], axesOf(sets[d])));
    std::vector<DimSharding> current;
    forEachChoice(options, current, [&] {
      Sharding sharding{current, axesOf(sets.back()),
                        sets.back() ? Combiner::Sum : Combiner::None};
      if (checkSharding(sharding, shape, mesh, ""))
        all.push_back(sharding);
    });
  });
  return all;
}
