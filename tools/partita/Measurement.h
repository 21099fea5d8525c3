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

/// What is predicted and what was measured, in seconds or bytes.
struct Figure {
  double predicted = 0, measured = 0;
  /// Whether the row has it.
  bool isGiven() const { return measured > 0; }
  /// In percent of what was measured.
  double error() const { return 100 * (predicted / measured - 1); }
};

struct Prediction {
  Figure time, memory;
  /// "gemm", "all_reduce"; the preset of the device; the row in words.
  std::string kind, device, what;
  /// Rows that differ in how a step is cut only have the same: model, devices
  /// and batch. Empty for others.
  std::string workload;
  /// Why there is no prediction; empty if there is one.
  std::string skipped;
};

/// A kind of tables.
struct Measurement {
  std::string name;
  /// A table of this kind has all of these.
  std::vector<std::string> columns;
  Result<Prediction> (*predict)(const CsvTable &table,
                                const CsvTable::Row &row);
};

/// The kind of a table. Errors: exit code 3 for columns that are of none.
Result<const Measurement *> measurementOf(const CsvTable &table);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_MEASUREMENT_H
