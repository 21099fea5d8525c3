//===- Measurement.h - What rows of tables say ------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The tables that `partita bench cost-model` reads, by their columns, and what
// the cost model says of a row.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_MEASUREMENT_H
#define PARTITA_TOOLS_PARTITA_MEASUREMENT_H

#include "Csv.h"

namespace partita::tool {

struct Prediction {
  double seconds = 0;
  /// "gemm", "all_reduce"; the preset of the device; the row in words.
  std::string kind, device, what;
  /// Why there is no prediction; empty if there is one.
  std::string skipped;
};

/// A kind of tables.
struct Measurement {
  std::string name;
  /// A table of this kind has all of these.
  std::vector<std::string> columns;
  /// Where the time is, and its unit in seconds.
  std::string timeColumn;
  double timeUnit;
  Result<Prediction> (*predict)(const CsvTable &table,
                                const CsvTable::Row &row);
};

/// The kind of a table. Errors: exit code 3 for columns that are of none.
Result<const Measurement *> measurementOf(const CsvTable &table);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_MEASUREMENT_H
