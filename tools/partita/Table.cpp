//===- Table.cpp - Text for people ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Table.h"
#include <algorithm>
#include <cstdio>

using namespace partita;
using namespace partita::tool;

Table::Table(std::vector<std::string> header, std::string indent)
    : rows{std::move(header)}, indent(std::move(indent)) {}

void Table::row(std::vector<std::string> cells) {
  cells.resize(rows[0].size());
  rows.push_back(std::move(cells));
}

static bool looksNumeric(const std::string &text) {
  return text.empty() || text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
}

std::string Table::str() const {
  std::string out;
  size_t columns = rows[0].size();
  std::vector<size_t> width(columns, 0);
  std::vector<char> right(columns, 1);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t c = 0; c < columns; ++c) {
      width[c] = std::max(width[c], rows[r][c].size());
      right[c] &= r == 0 || looksNumeric(rows[r][c]);
    }
  for (const std::vector<std::string> &row : rows) {
    std::string line = indent;
    for (size_t c = 0; c < columns; ++c) {
      std::string padding(width[c] - row[c].size(), ' ');
      line +=
          (c ? "  " : "") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string tool::number(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*g", digits, value);
  return buffer;
}

std::string tool::bytesText(int64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit)
    value /= 1024;
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), unit ? "%.1f %s" : "%.0f %s", value,
                units[unit]);
  return buffer;
}

std::string tool::secondsText(double seconds) {
  auto format = [](double value, const char *unit) {
    return (value < 10    ? number(value, 3)
            : value < 100 ? number(value, 3)
                          : std::to_string(int64_t(value + 0.5))) +
           " " + unit;
  };
  if (seconds < 1e-3)
    return format(seconds * 1e6, "us");
  return seconds < 1 ? format(seconds * 1e3, "ms") : format(seconds, "s");
}
