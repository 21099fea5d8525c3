//===- Csv.cpp - Tables of measurements -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Csv.h"
#include "partita/Support/File.h"
#include <charconv>
#include <cmath>

using namespace partita;
using namespace partita::tool;

static Error malformed(const std::string &place, const std::string &message) {
  return makeError(ExitCode::InvalidInput, "csv.malformed", place, message,
                   "write comma-separated values with a header, quotes around "
                   "cells that have commas");
}

namespace {
/// Cuts a text into rows of cells.
class Scanner {
public:
  Scanner(const std::string &path, const std::string &text)
      : path(path), text(text) {}
  Result<std::vector<CsvTable::Row>> run();

private:
  Status quoted(std::string &cell);
  bool done() const { return at == text.size(); }

  const std::string &path, &text;
  size_t at = 0;
  int64_t line = 1;
};
} // namespace

/// From behind the opening quote to behind the closing one.
Status Scanner::quoted(std::string &cell) {
  int64_t begin = line;
  for (; !done(); ++at) {
    if (text[at] == '"') {
      if (at + 1 == text.size() || text[at + 1] != '"') {
        ++at;
        return ok();
      }
      ++at; // Two stand for one.
    }
    line += text[at] == '\n';
    cell += text[at];
  }
  return malformed(path + ":" + std::to_string(begin),
                   "the quote of a cell does not end");
}

Result<std::vector<CsvTable::Row>> Scanner::run() {
  std::vector<CsvTable::Row> rows;
  while (!done()) {
    CsvTable::Row row;
    row.line = line;
    row.cells.emplace_back();
    for (bool ended = false; !ended && !done();) {
      char c = text[at++];
      if (c == '"' && row.cells.back().empty()) {
        PARTITA_CHECK(quoted(row.cells.back()));
      } else if (c == ',') {
        row.cells.emplace_back();
      } else if (c == '\n') {
        ++line;
        ended = true;
      } else if (c != '\r' || done() || text[at] != '\n') {
        row.cells.back() += c;
      }
    }
    if (row.cells.size() > 1 || !row.cells[0].empty())
      rows.push_back(std::move(row));
  }
  return rows;
}

Result<CsvTable> CsvTable::read(const std::string &path) {
  constexpr int64_t mostBytes = int64_t(64) << 20;
  PARTITA_TRY(std::string text, readFile(path, mostBytes));
  if (text.starts_with("\xEF\xBB\xBF"))
    text.erase(0, 3);
  CsvTable table;
  table.name = path;
  PARTITA_TRY(table.list, Scanner(path, text).run());
  if (table.list.empty())
    return malformed(path, "the file has no header");
  Row header = std::move(table.list.front());
  table.list.erase(table.list.begin());
  for (size_t i = 0; i < header.cells.size(); ++i)
    if (!table.columns.emplace(header.cells[i], i).second)
      return malformed(table.place(header),
                       "column '" + header.cells[i] + "' occurs twice");
  for (const Row &row : table.list)
    if (row.cells.size() != header.cells.size())
      return malformed(table.place(row),
                       std::to_string(row.cells.size()) + " cells under " +
                           std::to_string(header.cells.size()) + " columns");
  return table;
}

std::string CsvTable::place(const Row &row) const {
  return name + ":" + std::to_string(row.line);
}

std::string CsvTable::text(const Row &row, const std::string &column) const {
  auto it = columns.find(column);
  return it == columns.end() ? std::string() : row.cells[it->second];
}

Result<std::optional<double>>
CsvTable::number(const Row &row, const std::string &column) const {
  std::string cell = text(row, column);
  if (cell.empty())
    return std::optional<double>();
  double value = 0;
  const char *last = cell.data() + cell.size();
  auto [end, error] = std::from_chars(cell.data(), last, value);
  if (error != std::errc() || end != last || !std::isfinite(value) || value < 0)
    return makeError(ExitCode::InvalidInput, "csv.number", place(row),
                     "'" + cell + "' in column '" + column +
                         "' is not a number of at least zero",
                     "write it as 1536 or 1.5e3, or leave the cell empty");
  return std::optional<double>(value);
}
