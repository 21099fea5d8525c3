//===- Compare.h - Are two sets of outputs the same? -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Outputs differ in scale, so a difference is measured in standard deviations
// of the expected output: an element of a float output passes if
//
//   |got - expected| <= atol + rtol * deviation(expected)
//
// where the deviation of a constant output is its absolute value. Infinities
// and NaN must stand at the same places. Integers and booleans must be equal.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_COMPARE_H
#define PARTITA_TOOLS_PARTITA_COMPARE_H

#include "partita/Support/HostTensor.h"

namespace partita::tool {

struct Tolerance {
  double relative = 1e-4, absolute = 0;
};

/// One output. `worst` is the row-major index of the element that is furthest
/// off; -1 if the tensors differ in type or shape, or are empty.
struct Comparison {
  std::string name, shape, problem;
  int64_t worst = -1, wrongElements = 0;
  std::string worstIndex;
  double expected = 0, got = 0;
  /// Of the worst element, and the most that passes.
  double difference = 0, limit = 0, deviation = 0;
  bool passed = false;
};

Comparison compare(const std::string &name, const HostTensor &expected,
                   const HostTensor &got, const Tolerance &tolerance);

/// "[6,10,96]".
std::string shapeText(const std::vector<int64_t> &shape);

/// The worst first.
void sortByBadness(std::vector<Comparison> &comparisons);

/// A row for each output.
std::string comparisonTable(const std::vector<Comparison> &comparisons);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_COMPARE_H
