//===- LeastSums.cpp - One variable out of a sum --------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LeastSums.h"
#include "partita/Planner/Problem.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

__attribute__((target_clones("default", "avx2", "avx512f"))) void
planner::takeSums(int64_t add, const int64_t *a, int64_t count,
                  int64_t *least) {
  for (int64_t y = 0; y < count; ++y) {
    int64_t sum = add + a[y];
    least[y] = sum < least[y] ? sum : least[y];
  }
}

/// The same for two terms.
__attribute__((target_clones("default", "avx2", "avx512f"))) static void
takeSumsOfTwo(int64_t add, const int64_t *a, const int64_t *b, int64_t count,
              int64_t *least) {
  for (int64_t y = 0; y < count; ++y) {
    int64_t sum = add + a[y] + b[y];
    least[y] = sum < least[y] ? sum : least[y];
  }
}

/// Calls `fn` for all values of variables of these sizes, the last fastest.
/// `places` are moved along: by strides[i][p] for variable i.
template <typename Place, typename Fn>
static void walk(const std::vector<int64_t> &sizes,
                 const std::vector<std::vector<int64_t>> &strides,
                 std::vector<Place> &places, const Fn &fn) {
  std::vector<int64_t> index(sizes.size(), 0);
  while (true) {
    fn();
    size_t i = sizes.size();
    while (i-- > 0) {
      bool more = ++index[i] < sizes[i];
      for (size_t p = 0; p < places.size(); ++p)
        places[p] += more ? strides[i][p] : -strides[i][p] * (sizes[i] - 1);
      if (more)
        break;
      index[i] = 0;
    }
    if (i == static_cast<size_t>(-1))
      return;
  }
}

/// Makes the last variable of `term` the fastest and the one that goes the
/// next; `data` then holds it.
static void makeContiguous(SumTerm &term, int64_t innerSize,
                           const std::vector<int64_t> &sizes,
                           std::vector<int64_t> &data) {
  // The variables that it has, in the new order.
  std::vector<int64_t> own, ownSizes;
  std::vector<int64_t *> changed;
  auto have = [&](int64_t &stride, int64_t size) {
    if (stride == 0)
      return;
    own.push_back(stride);
    ownSizes.push_back(size);
    changed.push_back(&stride);
  };
  for (size_t i = 0; i + 1 < sizes.size(); ++i)
    have(term.outer[i], sizes[i]);
  have(term.inner, innerSize);
  have(term.outer.back(), sizes.back());
  std::vector<std::vector<int64_t>> strides;
  for (int64_t stride : own)
    strides.push_back({stride});
  std::vector<const int64_t *> place{term.data};
  walk(ownSizes, strides, place, [&] { data.push_back(*place[0]); });
  term.data = data.data();
  int64_t stride = 1;
  for (size_t i = changed.size(); i-- > 0;) {
    *changed[i] = stride;
    stride *= ownSizes[i];
  }
}

std::vector<int64_t> planner::leastSums(const std::vector<int64_t> &unary,
                                        const std::vector<int64_t> &sizes,
                                        const std::vector<SumTerm> &terms) {
  const auto innerSize = static_cast<int64_t>(unary.size());
  const int64_t count = sizes.back();
  // Those without the last variable first.
  std::vector<SumTerm> order;
  std::vector<std::vector<int64_t>> copies(terms.size());
  for (const SumTerm &term : terms)
    if (term.outer.back() == 0)
      order.push_back(term);
  const size_t narrow = order.size();
  for (const SumTerm &term : terms)
    if (term.outer.back() != 0) {
      order.push_back(term);
      if (term.outer.back() != 1)
        makeContiguous(order.back(), innerSize, sizes,
                       copies[order.size() - 1]);
    }

  std::vector<int64_t> outerSizes(sizes.begin(), sizes.end() - 1);
  std::vector<const int64_t *> places;
  std::vector<std::vector<int64_t>> strides(outerSizes.size());
  for (const SumTerm &term : order) {
    places.push_back(term.data);
    for (size_t i = 0; i < outerSizes.size(); ++i)
      strides[i].push_back(term.outer[i]);
  }
  int64_t entries = count;
  for (int64_t size : outerSizes)
    entries *= size;
  std::vector<int64_t> result(entries, forbidden), several(count);
  int64_t *least = result.data();
  walk(outerSizes, strides, places, [&] {
    for (int64_t x = 0; x < innerSize; ++x) {
      int64_t sum = unary[x];
      for (size_t t = 0; t < narrow && sum < forbidden; ++t)
        sum += places[t][x * order[t].inner];
      if (sum >= forbidden)
        continue;
      auto at = [&](size_t t) { return places[t] + x * order[t].inner; };
      size_t wide = order.size() - narrow;
      if (wide == 1) {
        takeSums(sum, at(narrow), count, least);
      } else if (wide == 2) {
        takeSumsOfTwo(sum, at(narrow), at(narrow + 1), count, least);
      } else {
        std::copy_n(at(narrow), count, several.data());
        for (size_t t = narrow + 1; t < order.size(); ++t)
          for (int64_t y = 0; y < count; ++y)
            several[y] = std::min(several[y] + at(t)[y], forbidden);
        takeSums(sum, several.data(), count, least);
      }
    }
    least += count;
  });
  return result;
}
