//===- Windows.cpp - Windows of nodes, with explicit pads -----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What ONNX leaves to be worked out ends here: automatic pads and sizes that
// are rounded up.
//
//===----------------------------------------------------------------------===//

#include "Windows.h"

using namespace mlir;
using namespace partita;
using namespace partita::importer;
using namespace partita::nn;

std::vector<int64_t> importer::perDimension(NodeImport &n, const char *name,
                                            size_t count, int64_t otherwise) {
  std::vector<int64_t> numbers =
      n.integers(name).value_or(std::vector<int64_t>(count, otherwise));
  if (numbers.size() != count)
    n.invalid(std::string("its ") + name + " has " +
              std::to_string(numbers.size()) + " numbers where there are " +
              std::to_string(count));
  return numbers;
}

static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

void importer::splitPads(Window &window, int64_t total, bool upper) {
  window.padBegin = upper ? total / 2 : total - total / 2;
  window.padEnd = total - window.padBegin;
}

NodeWindows importer::statedWindows(NodeImport &n, ArrayRef<int64_t> kernel) {
  size_t count = kernel.size();
  if (count < 1)
    n.invalid("its input has no spatial dimensions");
  if (count > 3)
    n.unsupported("it has more than three spatial dimensions");
  std::vector<int64_t> strides = perDimension(n, "strides", count, 1),
                       dilations = perDimension(n, "dilations", count, 1),
                       pads = perDimension(n, "pads", 2 * count, 0);
  bool automatic = n.string("auto_pad", "NOTSET") != "NOTSET";
  NodeWindows result;
  for (size_t d = 0; d < count; ++d) {
    result.windows.push_back({kernel[d], strides[d], dilations[d],
                              automatic ? 0 : pads[d],
                              automatic ? 0 : pads[count + d]});
    if (!result.windows.back().isValid())
      n.invalid("its window along spatial dimension " + std::to_string(d) +
                    " is out of range",
                "kernel sizes, strides and dilations are positive, pads are "
                "not negative");
    result.statedEnd.push_back(result.windows.back().padEnd);
  }
  return result;
}

NodeWindows importer::windowsOver(NodeImport &n, ArrayRef<int64_t> kernel,
                                  ArrayRef<int64_t> sizes) {
  NodeWindows result = statedWindows(n, kernel);
  std::string automatic = n.string("auto_pad", "NOTSET");
  bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (!same && automatic != "VALID" && automatic != "NOTSET")
    n.invalid("its auto_pad is \"" + automatic + "\"");
  bool roundsUp = n.integer("ceil_mode", 0) != 0 && automatic == "NOTSET";
  for (auto [d, window] : llvm::enumerate(result.windows)) {
    int64_t size = sizes[d];
    if (same) {
      int64_t positions = ceilDiv(size, window.stride);
      int64_t total = std::max<int64_t>(0, (positions - 1) * window.stride +
                                               window.extent() - size);
      splitPads(window, total, automatic == "SAME_UPPER");
      result.statedEnd[d] = window.padEnd;
    }
    std::optional<int64_t> positions = window.positions(size);
    if (!positions)
      n.invalid("its window of " + std::to_string(window.extent()) +
                " elements is larger than spatial dimension " +
                std::to_string(d) + " of " + std::to_string(size) +
                " with its pads");
    if (!roundsUp)
      continue;
    // One more window, if it begins before the pads at the end do.
    int64_t reach = *positions * window.stride;
    int64_t end = reach + window.extent() - size - window.padBegin;
    if (end > window.padEnd && end < window.padEnd + window.stride &&
        reach < size + window.padBegin)
      window.padEnd = end;
  }
  return result;
}

Shape importer::spatialOf(const Shape &shape) {
  return shape.size() < 2 ? Shape() : Shape(shape.begin() + 2, shape.end());
}
