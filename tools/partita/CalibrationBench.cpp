//===- CalibrationBench.cpp - partita bench calibration -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Holds predicted step times against those of executables: of the plan that is
// chosen without a demand, and of every mesh whose axes are dp, sp and tp. Each
// is compiled, and run in several rounds, all of them in turn: what drifts in
// one round drifts for all. A run that other processes disturb is repeated.
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Bystanders.h"
#include "Commands.h"
#include "Process.h"
#include "Statistics.h"
#include "Table.h"
#include "partita/Cost/Cost.h"
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct CalibrationBenchOptions {
  RequestOptions request;
  std::vector<int64_t> ranks = {2, 4};
  std::string format = "text";
  int64_t rounds = 3;
};

/// A plan that was compiled.
struct Entry {
  int64_t ranks = 1;
  std::string mesh, executable;
  /// By the planner, among all meshes.
  bool chosen = false;
  double predicted = 0;
  std::vector<double> steps;

  double measured() const { return medianOf(steps); }
  double error() const { return 100 * (predicted / measured() - 1); }
};

class CalibrationBench {
public:
  CalibrationBench(const CalibrationBenchOptions &options,
                   TemporaryFolder folder)
      : options(options), folder(std::move(folder)) {}
  Result<ExitCode> run();

private:
  Status add(int64_t ranks, const std::string &mesh);
  Status measure(Entry &entry);
  std::string asText() const;
  std::string asJson() const;

  const CalibrationBenchOptions &options;
  TemporaryFolder folder;
  std::string model;
  std::vector<Entry> entries;
  /// Meshes that have no plan, and why.
  std::vector<std::string> skipped;
  /// Cores lost to others in the run that lost most.
  double disturbance = 0;
};

/// What the entries of one number of ranks say together.
struct Summary {
  std::vector<double> errors;
  std::optional<double> correlation;
  /// The chosen plan's time over the least of all.
  double chosenOverFastest = 0;

  double mean() const;
  double worst() const;
};
} // namespace

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

/// Every product of axes that makes `ranks`, one of those that differ in the
/// order of their axes.
static void addMeshes(int64_t ranks, size_t axis, const std::string &before,
                      std::vector<std::string> &meshes) {
  static const char *const names[] = {"dp", "sp", "tp"};
  if (ranks == 1 && !before.empty())
    meshes.push_back(before);
  for (; axis < std::size(names); ++axis)
    for (int64_t size = 2; size <= ranks; ++size)
      if (ranks % size == 0)
        addMeshes(ranks / size, axis + 1,
                  before + (before.empty() ? "" : ",") + names[axis] + "=" +
                      std::to_string(size),
                  meshes);
}

/// An empty mesh lets the planner choose.
Status CalibrationBench::add(int64_t ranks, const std::string &mesh) {
  RequestOptions asked = options.request;
  asked.topology = "cpu:" + std::to_string(ranks);
  asked.mesh = mesh;
  PARTITA_TRY(Request request, asked.resolveToRun());
  Progress progress(Pipeline::phases);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  auto program = buildProgramOf(pipeline);
  if (!program && program.error().exit == ExitCode::Infeasible) {
    skipped.push_back(mesh + ": " + program.error().message);
    return ok();
  }
  if (!program)
    return program.takeError();
  Entry entry;
  entry.ranks = ranks;
  entry.mesh = program->mesh.str();
  entry.chosen = mesh.empty();
  entry.predicted = toSeconds(pipeline.plan().cost.step());
  entry.executable = folder / std::to_string(entries.size());
  PARTITA_CHECK(writeProgram(pipeline, *program, entry.executable));
  model = program->modelName;
  entries.push_back(std::move(entry));
  return ok();
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

/// The times of the steps of one run.
static Result<std::vector<double>> stepsOf(const CommandLine &command) {
  PARTITA_TRY(Finished finished, runProcess(command));
  if (finished.code != 0)
    return executableError("the executable", finished.code, finished.errors);
  try {
    return nlohmann::json::parse(finished.output)
        .at("step_seconds_all")
        .get<std::vector<double>>();
  } catch (const nlohmann::json::exception &exception) {
    return makeError(ExitCode::Internal, "bench.report", "calibration",
                     exception.what());
  }
}

/// A round of about a second.
Status CalibrationBench::measure(Entry &entry) {
  auto repeat = static_cast<int64_t>(1 / std::max(entry.predicted, 1e-9));
  repeat = std::clamp<int64_t>(repeat, 5, 50);
  CommandLine command{{entry.executable, "--random-inputs", "1", "--warmup",
                       "2", "--repeat", std::to_string(repeat), "--report",
                       "json"},
                      {}};
  PARTITA_TRY(auto watched, undisturbed<std::vector<double>>(
                                entry.ranks, options.rounds > 1 ? patient : 1,
                                [&] { return stepsOf(command); }));
  disturbance = std::max(disturbance, watched.lostCores);
  entry.steps.insert(entry.steps.end(), watched.value.begin(),
                     watched.value.end());
  return ok();
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

double Summary::mean() const {
  double sum = 0;
  for (double error : errors)
    sum += std::abs(error);
  return errors.empty() ? 0 : sum / static_cast<double>(errors.size());
}

double Summary::worst() const {
  double worst = 0;
  for (double error : errors)
    if (std::abs(error) > std::abs(worst))
      worst = error;
  return worst;
}

static Summary summarise(const std::vector<Entry> &entries, int64_t ranks) {
  Summary summary;
  std::vector<double> predicted, measured;
  double fastest = HUGE_VAL, chosen = 0;
  for (const Entry &entry : entries) {
    if (entry.ranks != ranks)
      continue;
    predicted.push_back(entry.predicted);
    measured.push_back(entry.measured());
    summary.errors.push_back(entry.error());
    fastest = std::min(fastest, entry.measured());
    if (entry.chosen)
      chosen = entry.measured();
  }
  summary.correlation = spearman(predicted, measured);
  summary.chosenOverFastest = chosen / fastest;
  return summary;
}

std::string CalibrationBench::asText() const {
  Table table({"ranks", "mesh", "", "predicted", "measured", "error %"});
  Table summaries({"ranks", "mean absolute error %", "worst %",
                   "rank correlation", "chosen / fastest"});
  for (int64_t ranks : options.ranks) {
    for (const Entry &entry : entries)
      if (entry.ranks == ranks)
        table.row({std::to_string(ranks), entry.mesh,
                   entry.chosen ? "chosen" : "forced",
                   secondsText(entry.predicted), secondsText(entry.measured()),
                   number(entry.error(), 3)});
    Summary summary = summarise(entries, ranks);
    summaries.row({std::to_string(ranks), number(summary.mean(), 3),
                   number(summary.worst(), 3),
                   summary.correlation ? number(*summary.correlation, 3) : "-",
                   number(summary.chosenOverFastest, 4)});
  }
  std::string text = model + ": medians of steps, " +
                     std::to_string(options.rounds) + " rounds\n" +
                     table.str() + "\n" + summaries.str();
  for (const std::string &mesh : skipped)
    text += "  skipped " + mesh + "\n";
  return text + disturbanceText(disturbance);
}

std::string CalibrationBench::asJson() const {
  ordered_json json = {{"model", model},
                       {"rounds", options.rounds},
                       {"lost_cores", disturbance},
                       {"rows", ordered_json::array()},
                       {"ranks", ordered_json::array()},
                       {"skipped", skipped}};
  for (const Entry &entry : entries)
    json["rows"].push_back({{"ranks", entry.ranks},
                            {"mesh", entry.mesh},
                            {"chosen", entry.chosen},
                            {"predicted_seconds", entry.predicted},
                            {"measured_seconds", entry.measured()},
                            {"error_percent", entry.error()},
                            {"step_seconds_all", entry.steps}});
  for (int64_t ranks : options.ranks) {
    Summary summary = summarise(entries, ranks);
    json["ranks"].push_back(
        {{"ranks", ranks},
         {"mean_absolute_error_percent", summary.mean()},
         {"worst_error_percent", summary.worst()},
         {"spearman", summary.correlation ? ordered_json(*summary.correlation)
                                          : ordered_json(nullptr)},
         {"chosen_over_fastest", summary.chosenOverFastest}});
  }
  return json.dump(2) + "\n";
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

Result<ExitCode> CalibrationBench::run() {
  for (int64_t ranks : options.ranks) {
    std::vector<std::string> meshes = {""};
    addMeshes(ranks, 0, "", meshes);
    for (const std::string &mesh : meshes)
      PARTITA_CHECK(add(ranks, mesh));
  }
  Progress progress(static_cast<int>(options.rounds));
  for (int64_t round = 0; round < options.rounds; ++round) {
    progress.step("measure");
    for (Entry &entry : entries)
      PARTITA_CHECK(measure(entry));
  }
  progress.clear();
  PARTITA_CHECK(printResult(options.format == "json" ? asJson() : asText()));
  return ExitCode::Ok;
}

static Result<ExitCode>
runCalibrationBench(const CalibrationBenchOptions &options) {
  PARTITA_TRY(TemporaryFolder folder, TemporaryFolder::create());
  return CalibrationBench(options, std::move(folder)).run();
}

void tool::addCalibrationBench(CLI::App &bench, Action &chosen) {
  auto [command, options] = addCommand<CalibrationBenchOptions>(
      bench, chosen, "calibration",
      "Hold predicted step times against executables, mesh by mesh",
      runCalibrationBench);
  options->request.declare(*command, /*withMachine=*/false);
  options->request.declareCalibration(*command);
  command
      ->add_option("--ranks", options->ranks, "Numbers of ranks (default 2,4)")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->type_name("N,..");
  command
      ->add_option("--rounds", options->rounds,
                   "Runs of each executable, of a second or so (default 3)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N");
  addFormat(*command, options->format);
}
