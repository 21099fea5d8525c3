//===- Compare.cpp - Are two sets of outputs the same? --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compare.h"
#include "Table.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

using namespace partita;
using namespace partita::tool;

std::string tool::shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

static std::string indexText(int64_t index, const std::vector<int64_t> &shape) {
  std::vector<int64_t> digits;
  for (int64_t stride : rowMajorStrides(shape)) {
    digits.push_back(index / stride);
    index %= stride;
  }
  return shapeText(digits);
}

/// The standard deviation of the finite elements. Where they are nearly equal it
/// says nothing of how exact they can be: then a part of their size does.
static double deviationOf(const HostTensor &tensor) {
  double sum = 0, count = 0, largest = 0;
  for (int64_t i = 0; i < tensor.numElements(); ++i)
    if (double value = tensor.getDouble(i); std::isfinite(value)) {
      sum += value;
      ++count;
      largest = std::max(largest, std::abs(value));
    }
  double mean = count ? sum / count : 0, squares = 0;
  for (int64_t i = 0; i < tensor.numElements(); ++i)
    if (double value = tensor.getDouble(i); std::isfinite(value))
      squares += (value - mean) * (value - mean);
  double deviation = count ? std::sqrt(squares / count) : 0;
  return std::max(deviation, largest * 0.01);
}

static double differenceOf(double expected, double got) {
  if (expected == got || (std::isnan(expected) && std::isnan(got)))
    return 0;
  double difference = std::abs(expected - got);
  return std::isfinite(difference) ? difference
                                   : std::numeric_limits<double>::infinity();
}

/// 0 or 1, without rounding 64-bit integers.
static double integerDifference(const HostTensor &expected,
                                const HostTensor &got, int64_t i) {
  int64_t a = expected.getInt(i), b = got.getInt(i);
  return a == b ? 0 : std::abs(double(a) - double(b)) + 1e-9;
}

Comparison tool::compare(const std::string &name, const HostTensor &expected,
                         const HostTensor &got, const Tolerance &tolerance) {
  Comparison out;
  out.name = name;
  out.shape = shapeText(expected.shape());
  if (expected.dtype() != got.dtype() || expected.shape() != got.shape()) {
    out.problem = "expected " + std::string(dtypeName(expected.dtype())) +
                  shapeText(expected.shape()) + ", got " +
                  std::string(dtypeName(got.dtype())) + shapeText(got.shape());
    return out;
  }
  bool isFloating = isFloat(expected.dtype());
  if (isFloating) {
    out.deviation = deviationOf(expected);
    out.limit = tolerance.absolute + tolerance.relative * out.deviation;
  }
  for (int64_t i = 0; i < expected.numElements(); ++i) {
    double difference =
        isFloating ? differenceOf(expected.getDouble(i), got.getDouble(i))
                   : integerDifference(expected, got, i);
    out.wrongElements += !(difference <= out.limit);
    if (out.worst >= 0 && !(difference > out.difference))
      continue;
    out.worst = i;
    out.difference = difference;
  }
  if (out.worst >= 0) {
    out.worstIndex = indexText(out.worst, expected.shape());
    out.expected = expected.getDouble(out.worst);
    out.got = got.getDouble(out.worst);
  }
  out.passed = out.wrongElements == 0;
  return out;
}

void tool::sortByBadness(std::vector<Comparison> &comparisons) {
  auto badness = [](const Comparison &c) {
    if (!c.problem.empty())
      return std::numeric_limits<double>::infinity();
    return c.limit > 0 ? c.difference / c.limit : c.difference;
  };
  std::sort(comparisons.begin(), comparisons.end(),
            [&](const Comparison &a, const Comparison &b) {
              return std::tuple(a.passed, badness(b), a.name) <
                     std::tuple(b.passed, badness(a), b.name);
            });
}

std::string tool::comparisonTable(const std::vector<Comparison> &comparisons) {
  Table table({"output", "shape", "worst element", "expected", "got",
               "off by (deviations)", "allowed", "wrong elements", ""});
  for (const Comparison &c : comparisons) {
    if (!c.problem.empty()) {
      table.row({c.name, c.shape, c.problem, "", "", "", "", "", "DIFFERENT"});
      continue;
    }
    double scale = c.deviation > 0 ? c.deviation : 1;
    table.row({c.name, c.shape, c.worstIndex, number(c.expected, 8),
               number(c.got, 8), number(c.difference / scale, 3),
               number(c.limit / scale, 3), std::to_string(c.wrongElements),
               c.passed ? "ok" : "DIFFERENT"});
  }
  return table.str();
}
