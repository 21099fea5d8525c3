//===- Statistics.h - Predicted against measured ----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_STATISTICS_H
#define PARTITA_TOOLS_PARTITA_STATISTICS_H

#include <optional>
#include <vector>

namespace partita::tool {

/// Spearman's rank correlation of two lists of equal length; nothing if all
/// values of one of them are equal.
std::optional<double> spearman(const std::vector<double> &predicted,
                               const std::vector<double> &measured);

/// The mean of the two values in the middle; zero of none.
double medianOf(std::vector<double> values);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_STATISTICS_H
