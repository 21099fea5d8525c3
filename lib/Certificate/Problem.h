//===- Problem.h - An instance as the checker reads it ---------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CERTIFICATE_PROBLEM_H
#define PARTITA_LIB_CERTIFICATE_PROBLEM_H

#include "partita/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace partita::certificate {

/// From here on a price is infinite.
inline constexpr int64_t infinity = 1'000'000'000'000'000'000;

struct Problem {
  struct Node {
    /// Half-open.
    int64_t begin = 0, end = 0;
    /// By value.
    std::vector<int64_t> costs, usages;
  };
  struct Edge {
    int first = 0, second = 0;
    /// Rows of `first`.
    std::vector<int64_t> costs;
  };
  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  int64_t limit = 0;
};

/// Errors: `certificate.instance` (2).
Result<Problem> readProblem(const std::string &path);

} // namespace partita::certificate

#endif // PARTITA_LIB_CERTIFICATE_PROBLEM_H
