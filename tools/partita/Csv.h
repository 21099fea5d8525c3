//===- Csv.h - Tables of measurements --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Comma-separated values as RFC 4180 has them, with a header, read as strings
// that remember their line. A cell may be empty: what a source does not state.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_CSV_H
#define PARTITA_TOOLS_PARTITA_CSV_H

#include "partita/Support/Error.h"
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace partita::tool {

class CsvTable {
public:
  struct Row {
    /// Where it begins in the file, from 1.
    int64_t line = 0;
    std::vector<std::string> cells;
  };

  /// Errors, with file and line, exit code 2: no header, a column twice, a row
  /// with another number of cells, quotes that do not end.
  static Result<CsvTable> read(const std::string &path);

  const std::string &path() const { return name; }
  const std::vector<Row> &rows() const { return list; }
  bool has(const std::string &column) const { return columns.count(column); }
  /// The text of a cell; empty where there is no such column.
  std::string text(const Row &row, const std::string &column) const;
  /// The number in a cell, nothing if it is empty. Errors: exit code 2 for what
  /// is no finite number, or below zero.
  Result<std::optional<double>> number(const Row &row,
                                       const std::string &column) const;
  /// "file.csv:12".
  std::string place(const Row &row) const;

private:
  std::string name;
  std::map<std::string, size_t> columns;
  std::vector<Row> list;
};

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_CSV_H
