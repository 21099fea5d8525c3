//===- Statistics.cpp - Predicted against measured ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Statistics.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace partita::tool;

/// Places in ascending order; equal values share the mean of theirs.
static std::vector<double> places(const std::vector<double> &values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]])
      ++end;
    for (size_t j = i; j < end; ++j)
      out[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return out;
}

std::optional<double>
partita::tool::spearman(const std::vector<double> &predicted,
                        const std::vector<double> &measured) {
  std::vector<double> x = places(predicted), y = places(measured);
  double mean = (static_cast<double>(x.size()) - 1) / 2;
  double both = 0, ofX = 0, ofY = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double a = x[i] - mean, b = y[i] - mean;
    both += a * b;
    ofX += a * a;
    ofY += b * b;
  }
  if (ofX == 0 || ofY == 0)
    return std::nullopt;
  return both / std::sqrt(ofX * ofY);
}

double partita::tool::medianOf(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}
