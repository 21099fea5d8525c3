//===- Digits.cpp - What equal blocks have in common ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where a dimension is cut into equal blocks, the number of an element is
// written in digits, each of which is a rank's coordinate or free. Two layouts
// write the same number in other digits; cut to the places that both have, they
// can be compared one by one:
//
//   96 elements over y = 4              y of 4 | free of 24
//   the same over x = 32                x of 32        | free of 3
//   cut to common places                4      | 8     | 3
//
// A rank owns under the second what has its x in the first two places, 3
// elements, and it has them under the first if y is the first place of x.
//
//===----------------------------------------------------------------------===//

#include "DimSpace.h"
#include <algorithm>

using namespace partita;
using namespace partita::reshard;

std::optional<std::vector<Digit>> reshard::digitsOf(const DimSharding &dim,
                                                    const Mesh &mesh) {
  std::vector<Digit> digits;
  for (const FactorSharding &factor : dim.factors) {
    if (factor.halo)
      return std::nullopt;
    int64_t left = factor.size;
    for (int axis : factor.axes) {
      const int64_t parts = mesh.axisSizes[axis];
      if (left % parts != 0)
        return std::nullopt;
      left /= parts;
      if (parts > 1)
        digits.push_back({parts, axis});
    }
    if (left > 1)
      digits.push_back({left, -1});
    else if (left == 0)
      return std::nullopt;
  }
  return digits;
}

namespace {
/// Takes a number apart from its smallest place.
class Reader {
public:
  explicit Reader(const std::vector<Digit> &digits)
      : digits(digits), next(digits.size()) {
    advance();
  }
  bool done() const { return size == 1; }
  /// Of what is left of a digit.
  int64_t size = 1;
  int axis = -1;
  /// Of a coordinate, what is taken already.
  int64_t unit = 1;

  void take(int64_t part) {
    size /= part;
    unit *= part;
    if (size == 1)
      advance();
  }

private:
  void advance() {
    if (next == 0)
      return;
    const Digit &digit = digits[--next];
    size = digit.size;
    axis = digit.axis;
    unit = 1;
  }
  const std::vector<Digit> &digits;
  size_t next;
};

} // namespace

std::optional<Kept> reshard::keptOfDigits(const std::vector<Digit> &from,
                                          const std::vector<Digit> &to) {
  Share share{1, 1};
  uint32_t axes = 0;
  Reader before(from), after(to);
  while (!before.done() && !after.done()) {
    const int64_t part = std::min(before.size, after.size);
    if (before.size % part != 0 || after.size % part != 0)
      return std::nullopt;
    if (after.axis < 0) {
      share.owned *= part;
      share.kept *= before.axis < 0 ? part : 1;
    } else if (before.axis >= 0 &&
               (before.axis != after.axis || before.unit != after.unit)) {
      // Ranks keep something where parts of two coordinates are equal.
      axes |= 1u << before.axis | 1u << after.axis;
    }
    before.take(part);
    after.take(part);
  }
  Kept kept{axes, share};
  if (axes != 0)
    kept.worst = {{share.owned, 0}};
  return kept;
}
