//===- Bench.cpp - partita bench ------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A machine's speed drifts by the minute, so all contestants are alive at once
// and take turns, a step each or some in a row: what slows one slows the
// others. N ranks of one thread stand against ONNX Runtime with N threads, all
// bound to processors, on the same inputs.
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Commands.h"
#include "Inputs.h"
#include "Reference.h"
#include "Statistics.h"
#include "Table.h"
#include <nlohmann/json.hpp>
#include <sched.h>
#include <thread>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

/// Rounds that are not counted: caches fill, clocks rise.
static constexpr int warmupRounds = 3;
/// Idle workers of thread pools spin for a while; the next one must not pay.
static constexpr auto pauseBetweenTurns = std::chrono::milliseconds(5);

namespace {
struct BenchOptions {
  RequestOptions request;
  std::vector<int64_t> ranks = {1, 2};
  std::string axis, format = "text";
  int64_t rounds = 20, steps = 1;
  uint64_t seed = 1;
};

/// A program that runs as many steps as each line says that it is sent.
struct Contestant {
  std::string name;
  int64_t ranks = 1;
  CommandLine command;
  Process process;
  std::vector<double> seconds;
};

class Bench {
public:
  Bench(const BenchOptions &options, TemporaryFolder folder)
      : options(options), folder(std::move(folder)) {}
  Result<ExitCode> run();

private:
  Status enterPartita(int64_t ranks);
  Status enterReference(int64_t ranks);
  Status enter(std::string name, int64_t ranks, const CommandLine &command);
  Status round(bool counted);
  double median(const std::string &name, int64_t ranks) const;
  std::string asText() const;
  std::string asJson() const;

  const BenchOptions &options;
  TemporaryFolder folder;
  std::vector<Contestant> contestants;
  std::string modelName;
  std::map<int64_t, std::string> meshes;
};
} // namespace

/// The first `count` processors that this process may use, as "0,1".
static std::string processors(int64_t count) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof(allowed), &allowed);
  std::string text;
  for (int cpu = 0; cpu < CPU_SETSIZE && count > 0; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) {
      text += (text.empty() ? "" : ",") + std::to_string(cpu);
      --count;
    }
  return count == 0 ? text : "";
}

/// Why a contestant does not answer.
static Error failure(Contestant &contestant) {
  int code = contestant.process.wait();
  std::string errors = contestant.process.errors();
  if (contestant.name == "onnxruntime")
    return referenceError(contestant.command, code, errors);
  return executableError("the executable", code, errors);
}

Status Bench::enter(std::string name, int64_t ranks,
                    const CommandLine &command) {
  auto process = Process::start(command);
  if (!process)
    return name == "onnxruntime" ? missingReference(command, process.error())
                                 : process.takeError();
  contestants.push_back(
      {std::move(name), ranks, command, std::move(*process), {}});
  auto line = contestants.back().process.readLine();
  if (!line || *line != "ready")
    return failure(contestants.back());
  return ok();
}

Status Bench::enterPartita(int64_t ranks) {
  RequestOptions chosen = options.request;
  chosen.topology = "cpu:" + std::to_string(ranks);
  if (!options.axis.empty())
    chosen.mesh = options.axis + "=" + std::to_string(ranks);
  PARTITA_TRY(Request request, chosen.resolve());
  Progress progress(Pipeline::phases);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_TRY(runtime::Program program, buildProgramOf(pipeline));
  std::string out = folder / ("model-" + std::to_string(ranks));
  PARTITA_CHECK(writeProgram(pipeline, program, out));
  modelName = program.modelName;
  meshes[ranks] = program.mesh.str();
  PARTITA_TRY(auto inputs, makeInputs(program.inputs, {}, options.seed));
  PARTITA_CHECK(writeTensors(folder / "inputs", program.inputs, inputs));
  CommandLine command{{out, "--on-request"}, {}};
  if (!processors(ranks).empty())
    command.arguments.push_back("--pin");
  for (const runtime::PortInfo &port : program.inputs)
    command.arguments.insert(
        command.arguments.end(),
        {"--input",
         port.name + "=" + (folder / "inputs/") + tensorFileName(port.name)});
  return enter("partita", ranks, command);
}

Status Bench::enterReference(int64_t ranks) {
  std::map<std::string, int64_t> none;
  CommandLine command =
      onnxRuntimeCommand(options.request.model, none, folder / "inputs",
                         folder / ("expected-" + std::to_string(ranks)));
  auto &arguments = command.arguments;
  arguments.insert(arguments.end(),
                   {"--threads", std::to_string(ranks), "--on-request"});
  if (std::string list = processors(ranks); !list.empty())
    arguments.insert(arguments.end(), {"--cpus", list});
  return enter("onnxruntime", ranks, command);
}

Status Bench::round(bool counted) {
  for (Contestant &contestant : contestants) {
    std::this_thread::sleep_for(pauseBetweenTurns);
    auto line = Result<std::string>(std::string());
    if (contestant.process.writeLine(std::to_string(options.steps)))
      line = contestant.process.readLine();
    double seconds = line ? std::strtod(line->c_str(), nullptr) : 0;
    if (!(seconds > 0))
      return failure(contestant);
    if (counted)
      contestant.seconds.push_back(seconds);
  }
  return ok();
}

double Bench::median(const std::string &name, int64_t ranks) const {
  for (const Contestant &contestant : contestants)
    if (contestant.name == name && contestant.ranks == ranks)
      return medianOf(contestant.seconds);
  return 0;
}

std::string Bench::asText() const {
  Table table({"ranks", "mesh", "partita", "onnxruntime", "speed against it",
               "speed against " + std::to_string(options.ranks[0]) +
                   (options.ranks[0] == 1 ? " rank" : " ranks")});
  double first = median("partita", options.ranks[0]);
  for (int64_t ranks : options.ranks) {
    double ours = median("partita", ranks);
    double theirs = median("onnxruntime", ranks);
    table.row({std::to_string(ranks), meshes.at(ranks), secondsText(ours),
               secondsText(theirs), number(theirs / ours, 3),
               number(first / ours, 3)});
  }
  std::string what = options.steps == 1
                         ? std::to_string(options.rounds) + " steps"
                         : std::to_string(options.rounds) + " times " +
                               std::to_string(options.steps) +
                               " steps in a row, a step of which";
  return modelName + ": medians of " + what + ", taken in turns\n" +
         table.str();
}

std::string Bench::asJson() const {
  ordered_json json = {{"model", modelName},
                       {"rounds", options.rounds},
                       {"steps", options.steps}};
  double first = median("partita", options.ranks[0]);
  for (int64_t ranks : options.ranks) {
    double ours = median("partita", ranks);
    double theirs = median("onnxruntime", ranks);
    json["results"].push_back({{"ranks", ranks},
                               {"mesh", meshes.at(ranks)},
                               {"partita_seconds", ours},
                               {"onnxruntime_seconds", theirs},
                               {"speed_against_onnxruntime", theirs / ours},
                               {"speed_against_first", first / ours}});
  }
  for (const Contestant &contestant : contestants)
    json["all_seconds"].push_back({{"name", contestant.name},
                                   {"ranks", contestant.ranks},
                                   {"seconds", contestant.seconds}});
  return json.dump(2) + "\n";
}

Result<ExitCode> Bench::run() {
  for (int64_t ranks : options.ranks)
    PARTITA_CHECK(enterPartita(ranks));
  for (int64_t ranks : options.ranks)
    PARTITA_CHECK(enterReference(ranks));
  Progress progress(warmupRounds + static_cast<int>(options.rounds));
  for (int i = 0; i < warmupRounds + options.rounds; ++i) {
    progress.step("measure");
    PARTITA_CHECK(round(i >= warmupRounds));
  }
  progress.clear();
  PARTITA_CHECK(printResult(options.format == "json" ? asJson() : asText()));
  return ExitCode::Ok;
}

static Result<ExitCode> runBench(const BenchOptions &options) {
  PARTITA_TRY(TemporaryFolder folder, TemporaryFolder::create());
  return Bench(options, std::move(folder)).run();
}

void tool::addBench(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<BenchOptions>(
      app, chosen, "bench", "Time a model against ONNX Runtime, in turns",
      runBench);
  options->request.declare(*command, /*withMachine=*/false);
  options->request.declareMicroBatches(*command);
  addCostBench(*command, chosen);
  addCalibrationBench(*command, chosen);
  addPlannerBench(*command, chosen);
  // What stands below has no model.
  command->get_option("model")->required(false);
  command->callback([&chosen, command = command, options = options] {
    if (!command->get_subcommands().empty())
      return;
    if (options->request.model.empty())
      throw CLI::RequiredError("model");
    chosen = [options] { return runBench(*options); };
  });
  command
      ->add_option("--ranks", options->ranks,
                   "Numbers of ranks, and of threads there (default 1,2)")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->type_name("N,..");
  command
      ->add_option("--axis", options->axis,
                   "All ranks on this axis, as tp; default: as planned")
      ->type_name("NAME");
  command
      ->add_option("--rounds", options->rounds,
                   "Turns that are counted (default 20)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 30))
      ->type_name("N");
  command
      ->add_option("--steps", options->steps,
                   "Steps in a row of each turn, through which stages stay "
                   "full (default 1)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->type_name("N");
  command
      ->add_option("--random-inputs", options->seed,
                   "Seed of the inputs (default 1)")
      ->type_name("SEED");
  addFormat(*command, options->format);
}
