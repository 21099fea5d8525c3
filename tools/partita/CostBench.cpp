//===- CostBench.cpp - partita bench cost-model ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Holds the cost model against measurements: each row of a table is a kernel or
// a collective on a machine that has a preset, and the time that it took. The
// columns say which of the two a table has. A row that says too little, or of
// something that is not modelled, is skipped and listed with the reason.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Csv.h"
#include "Measurement.h"
#include "Options.h"
#include "Statistics.h"
#include "Table.h"
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct CostBenchOptions {
  std::vector<std::string> files;
  std::string format = "text";
};

/// A row and what became of it.
struct BenchRow {
  std::string file;
  int64_t line = 0;
  Prediction prediction;
  double measured = 0;

  /// In percent of what was measured.
  double error() const { return 100 * (prediction.seconds / measured - 1); }
};

class CostBench {
public:
  Status addFile(const std::string &path);
  std::string asText() const;
  std::string asJson() const;
  /// An error if no row could be predicted.
  Status checkRows() const;

private:
  /// Rows of one kind on one device.
  struct Group {
    std::string kind, device;
    std::vector<BenchRow> rows;
  };
  std::vector<Group> groups() const;

  std::vector<BenchRow> rows;
  std::vector<BenchRow> skipped;
};
} // namespace

Status CostBench::addFile(const std::string &path) {
  PARTITA_TRY(CsvTable table, CsvTable::read(path));
  PARTITA_TRY(const Measurement *measurement, measurementOf(table));
  for (const CsvTable::Row &row : table.rows()) {
    BenchRow out{path, row.line, {}, 0};
    PARTITA_TRY(std::optional<double> time,
                table.number(row, measurement->timeColumn));
    PARTITA_TRY(out.prediction, measurement->predict(table, row));
    out.measured = time.value_or(0) * measurement->timeUnit;
    if (out.prediction.skipped.empty() && !(out.measured > 0))
      out.prediction.skipped = "no time was measured";
    (out.prediction.skipped.empty() ? rows : skipped).push_back(std::move(out));
  }
  return ok();
}

Status CostBench::checkRows() const {
  if (!rows.empty())
    return ok();
  const char *hint = "give a table with rows of machines that have presets";
  if (skipped.empty())
    return makeError(ExitCode::Unsupported, "bench.no-rows", "cost-model",
                     "the tables have no rows", hint);
  const BenchRow &first = skipped.front();
  return makeError(ExitCode::Unsupported, "bench.no-rows",
                   first.file + ":" + std::to_string(first.line),
                   "no row can be predicted; of the first, " +
                       first.prediction.skipped,
                   hint);
}

std::vector<CostBench::Group> CostBench::groups() const {
  std::map<std::pair<std::string, std::string>, Group> byName;
  for (const BenchRow &row : rows) {
    const Prediction &p = row.prediction;
    Group &group = byName[{p.kind, p.device}];
    group.kind = p.kind;
    group.device = p.device;
    group.rows.push_back(row);
  }
  std::vector<Group> out;
  for (auto &entry : byName)
    out.push_back(std::move(entry.second));
  return out;
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

static double meanAbsoluteError(const std::vector<BenchRow> &rows) {
  double sum = 0;
  for (const BenchRow &row : rows)
    sum += std::abs(row.error());
  return rows.empty() ? 0 : sum / static_cast<double>(rows.size());
}

/// Of predicted and measured times.
static std::optional<double> correlation(const std::vector<BenchRow> &rows) {
  std::vector<double> predicted, measured;
  for (const BenchRow &row : rows) {
    predicted.push_back(row.prediction.seconds);
    measured.push_back(row.measured);
  }
  return spearman(predicted, measured);
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

std::string CostBench::asText() const {
  Table table({"row", "device", "what", "predicted", "measured", "error %"});
  for (const BenchRow &row : rows)
    table.row({row.file + ":" + std::to_string(row.line), row.prediction.device,
               row.prediction.what, secondsText(row.prediction.seconds),
               secondsText(row.measured), number(row.error(), 3)});
  Table summary(
      {"kind", "device", "rows", "mean absolute error %", "rank correlation"});
  auto summarise = [&](const std::string &kind, const std::string &device,
                       const std::vector<BenchRow> &of) {
    std::optional<double> ranks = correlation(of);
    summary.row({kind, device, std::to_string(of.size()),
                 number(meanAbsoluteError(of), 3),
                 ranks ? number(*ranks, 3) : "-"});
  };
  for (const Group &group : groups())
    summarise(group.kind, group.device, group.rows);
  summarise("all", "", rows);
  std::map<std::string, int64_t> reasons;
  for (const BenchRow &row : skipped)
    ++reasons[row.prediction.skipped];
  std::string text = table.str() + "\n" + summary.str();
  for (const auto &[reason, count] : reasons)
    text += "  skipped " + std::to_string(count) + ": " + reason + "\n";
  return text;
}

static ordered_json numberOrNull(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

std::string CostBench::asJson() const {
  ordered_json json = {{"mean_absolute_error_percent", meanAbsoluteError(rows)},
                       {"spearman", numberOrNull(correlation(rows))},
                       {"groups", ordered_json::array()},
                       {"rows", ordered_json::array()},
                       {"skipped", ordered_json::array()}};
  for (const Group &group : groups())
    json["groups"].push_back(
        {{"kind", group.kind},
         {"device", group.device},
         {"rows", group.rows.size()},
         {"mean_absolute_error_percent", meanAbsoluteError(group.rows)},
         {"spearman", numberOrNull(correlation(group.rows))}});
  for (const BenchRow &row : rows)
    json["rows"].push_back({{"file", row.file},
                            {"line", row.line},
                            {"kind", row.prediction.kind},
                            {"device", row.prediction.device},
                            {"what", row.prediction.what},
                            {"predicted_seconds", row.prediction.seconds},
                            {"measured_seconds", row.measured},
                            {"error_percent", row.error()}});
  for (const BenchRow &row : skipped)
    json["skipped"].push_back({{"file", row.file},
                               {"line", row.line},
                               {"reason", row.prediction.skipped}});
  return json.dump(2) + "\n";
}

static Result<ExitCode> runCostBench(const CostBenchOptions &options) {
  CostBench bench;
  for (const std::string &file : options.files)
    PARTITA_CHECK(bench.addFile(file));
  PARTITA_CHECK(bench.checkRows());
  PARTITA_CHECK(
      printResult(options.format == "json" ? bench.asJson() : bench.asText()));
  return ExitCode::Ok;
}

void tool::addCostBench(CLI::App &bench, Action &chosen) {
  auto [command, options] = addCommand<CostBenchOptions>(
      bench, chosen, "cost-model",
      "Hold the cost model against tables of measured kernels and collectives",
      runCostBench);
  command->add_option("files", options->files, "Tables with a header")
      ->required()
      ->type_name("FILE.csv..");
  addFormat(*command, options->format);
}
