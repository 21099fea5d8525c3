//===- Table.h - Text for people -------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Columns as wide as their widest entry, and quantities in units that can be
// read: all that the commands print in text form goes through here.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_TABLE_H
#define PARTITA_TOOLS_PARTITA_TABLE_H

#include <cstdint>
#include <string>
#include <vector>

namespace partita::tool {

class Table {
public:
  /// Columns with a header; a column whose entries are all numbers is aligned
  /// to the right.
  explicit Table(std::vector<std::string> header, std::string indent = "  ");
  void row(std::vector<std::string> cells);
  bool empty() const { return rows.size() == 1; }
  /// Lines with a newline each; the header alone if there are no rows.
  std::string str() const;

private:
  std::vector<std::vector<std::string>> rows;
  std::string indent;
};

/// `digits` significant digits: "0.125", "1.2e-07".
std::string number(double value, int digits);
/// "12 B", "4.5 KiB", "1.2 GiB".
std::string bytesText(int64_t bytes);
/// "1.24 us", "15.2 ms", "3.00 s".
std::string secondsText(double seconds);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_TABLE_H
