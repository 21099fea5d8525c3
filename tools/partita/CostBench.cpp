//===- CostBench.cpp - partita bench cost-model ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Holds the cost model against measurements: each row of a table is a kernel, a
// collective or a training step on a machine that has a preset, and the time
// that it took or the memory that it needed. The columns say which a table has.
// A row that says too little, or of something that is not modelled, is skipped
// and listed with the reason.
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
#include <functional>
#include <map>
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

  std::string place() const { return file + ":" + std::to_string(line); }
};

/// What errors are of: one of a prediction's figures.
struct Quantity {
  const char *name;
  Figure Prediction::*figure;
  std::string (*text)(double value);
};

/// How far off some figures are.
struct Errors {
  size_t rows = 0;
  double meanAbsolutePercent = 0;
  std::optional<double> spearman;
};

class CostBench {
public:
  Status addFile(const std::string &path);
  std::string asText() const;
  std::string asJson() const;
  /// An error if no row could be predicted.
  Status checkRows() const;

private:
  using Rows = std::vector<const BenchRow *>;
  /// By what `key` gives; rows for which that is empty are left out.
  std::map<std::string, Rows>
  grouped(const std::function<std::string(const Prediction &)> &key,
          const Quantity &quantity) const;
  std::map<std::string, Rows> kinds(const Quantity &quantity) const;
  std::map<std::string, Rows> workloads() const;
  std::string asText(const Quantity &quantity) const;

  std::vector<BenchRow> rows;
  std::vector<BenchRow> skipped;
};
} // namespace

static std::string bytesOf(double value) {
  constexpr double most = 1e18; // Of an int64_t.
  return bytesText(static_cast<int64_t>(std::min(value, most)));
}
static const Quantity ofTime{"time", &Prediction::time, secondsText};
static const Quantity ofMemory{"memory", &Prediction::memory, bytesOf};

Status CostBench::addFile(const std::string &path) {
  PARTITA_TRY(CsvTable table, CsvTable::read(path));
  PARTITA_TRY(const Measurement *measurement, measurementOf(table));
  for (const CsvTable::Row &row : table.rows()) {
    BenchRow out{path, row.line, {}};
    PARTITA_TRY(out.prediction, measurement->predict(table, row));
    (out.prediction.skipped.empty() ? rows : skipped).push_back(std::move(out));
  }
  return ok();
}

Status CostBench::checkRows() const {
  if (!rows.empty())
    return ok();
  const char *hint = "give a table with rows of machines that have presets";
  if (skipped.empty())
    return makeError(ExitCode::InvalidInput, "bench.no-rows", "cost-model",
                     "the tables have no rows", hint);
  const BenchRow &first = skipped.front();
  return makeError(ExitCode::InvalidInput, "bench.no-rows", first.place(),
                   "no row can be predicted; of the first, " +
                       first.prediction.skipped,
                   hint);
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

std::map<std::string, CostBench::Rows>
CostBench::grouped(const std::function<std::string(const Prediction &)> &key,
                   const Quantity &quantity) const {
  std::map<std::string, Rows> groups;
  for (const BenchRow &row : rows)
    if ((row.prediction.*quantity.figure).isGiven())
      if (std::string name = key(row.prediction); !name.empty())
        groups[name].push_back(&row);
  return groups;
}

/// Rows of one kind on one device.
std::map<std::string, CostBench::Rows>
CostBench::kinds(const Quantity &quantity) const {
  return grouped(
      [](const Prediction &p) {
        return p.kind + (p.device.empty() ? "" : ", " + p.device);
      },
      quantity);
}

/// Rows that say which way to cut the same step is faster; below three of them
/// there is nothing to put in order.
std::map<std::string, CostBench::Rows> CostBench::workloads() const {
  auto groups = grouped([](const Prediction &p) { return p.workload; }, ofTime);
  std::erase_if(groups,
                [](const auto &group) { return group.second.size() < 3; });
  return groups;
}

static Errors errorsOf(const std::vector<const BenchRow *> &rows,
                       const Quantity &quantity) {
  Errors errors;
  std::vector<double> predicted, measured;
  for (const BenchRow *row : rows) {
    const Figure &figure = row->prediction.*quantity.figure;
    if (!figure.isGiven())
      continue;
    errors.meanAbsolutePercent += std::abs(figure.error());
    predicted.push_back(figure.predicted);
    measured.push_back(figure.measured);
  }
  errors.rows = predicted.size();
  if (errors.rows > 0)
    errors.meanAbsolutePercent /= static_cast<double>(errors.rows);
  errors.spearman = spearman(predicted, measured);
  return errors;
}

static std::vector<const BenchRow *> all(const std::vector<BenchRow> &rows) {
  std::vector<const BenchRow *> out;
  for (const BenchRow &row : rows)
    out.push_back(&row);
  return out;
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

std::string CostBench::asText(const Quantity &quantity) const {
  Table table({"row", "device", "what",
               std::string("predicted ") + quantity.name, "measured",
               "error %"});
  for (const BenchRow &row : rows) {
    const Figure &figure = row.prediction.*quantity.figure;
    if (figure.isGiven())
      table.row({row.place(), row.prediction.device, row.prediction.what,
                 quantity.text(figure.predicted),
                 quantity.text(figure.measured), number(figure.error(), 3)});
  }
  Table summary({std::string(quantity.name) + " of", "rows",
                 "mean absolute error %", "rank correlation"});
  auto summarise = [&](const std::string &name, const Rows &of) {
    Errors errors = errorsOf(of, quantity);
    summary.row({name, std::to_string(errors.rows),
                 number(errors.meanAbsolutePercent, 3),
                 errors.spearman ? number(*errors.spearman, 3) : "-"});
  };
  for (const auto &[name, of] : kinds(quantity))
    summarise(name, of);
  summarise("all", all(rows));
  return table.str() + "\n" + summary.str();
}

std::string CostBench::asText() const {
  std::string text;
  for (const Quantity *quantity : {&ofTime, &ofMemory})
    if (errorsOf(all(rows), *quantity).rows > 0)
      text += (text.empty() ? "" : "\n") + asText(*quantity);
  if (auto groups = workloads(); !groups.empty()) {
    Table table({"same model, devices and batch", "rows",
                 "mean absolute error %", "rank correlation"});
    for (const auto &[name, of] : groups) {
      Errors errors = errorsOf(of, ofTime);
      table.row({name, std::to_string(errors.rows),
                 number(errors.meanAbsolutePercent, 3),
                 errors.spearman ? number(*errors.spearman, 3) : "-"});
    }
    text += "\n" + table.str();
  }
  for (const BenchRow &row : skipped)
    text += "  skipped " + row.place() + ": " + row.prediction.skipped + "\n";
  return text;
}

static ordered_json asJson(const Errors &errors) {
  return {{"rows", errors.rows},
          {"mean_absolute_error_percent", errors.meanAbsolutePercent},
          {"spearman", errors.spearman ? ordered_json(*errors.spearman)
                                       : ordered_json(nullptr)}};
}

static ordered_json asJson(const BenchRow &row) {
  const Prediction &p = row.prediction;
  ordered_json json = {{"file", row.file},
                       {"line", row.line},
                       {"kind", p.kind},
                       {"device", p.device},
                       {"what", p.what}};
  if (p.time.isGiven()) {
    json["predicted_seconds"] = p.time.predicted;
    json["measured_seconds"] = p.time.measured;
    json["error_percent"] = p.time.error();
  }
  if (p.memory.isGiven()) {
    json["predicted_bytes"] = p.memory.predicted;
    json["measured_bytes"] = p.memory.measured;
    json["memory_error_percent"] = p.memory.error();
  }
  return json;
}

std::string CostBench::asJson() const {
  // The errors of time stand at the top as well: most tables have no other.
  ordered_json json = ::asJson(errorsOf(all(rows), ofTime));
  json.erase("rows");
  for (const Quantity *quantity : {&ofTime, &ofMemory}) {
    ordered_json &errors = json[quantity->name];
    errors = ::asJson(errorsOf(all(rows), *quantity));
    errors["kinds"] = ordered_json::array();
    for (const auto &[name, of] : kinds(*quantity)) {
      ordered_json kind = ::asJson(errorsOf(of, *quantity));
      kind["kind"] = name;
      errors["kinds"].push_back(std::move(kind));
    }
  }
  json["workloads"] = ordered_json::array();
  for (const auto &[name, of] : workloads()) {
    ordered_json workload = ::asJson(errorsOf(of, ofTime));
    workload["workload"] = name;
    json["workloads"].push_back(std::move(workload));
  }
  json["rows"] = ordered_json::array();
  for (const BenchRow &row : rows)
    json["rows"].push_back(::asJson(row));
  json["skipped"] = ordered_json::array();
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
      "Hold the cost model against tables of measured kernels, collectives and "
      "steps",
      runCostBench);
  command->add_option("files", options->files, "Tables with a header")
      ->required()
      ->type_name("FILE.csv..");
  addFormat(*command, options->format);
}
