//===- Verify.cpp - partita verify ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Compiles into a temporary folder, runs the executable as a user would, and
// compares all outputs with a reference that ran on the same inputs.
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Commands.h"
#include "Inputs.h"
#include "Mutate.h"
#include "Reference.h"
#include "Table.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct VerifyOptions {
  RequestOptions request;
  std::string reference = "interp", mutation, format = "text";
  std::vector<std::string> inputs;
  Tolerance tolerance;
  uint64_t seed = 1;
  bool checkArena = false;
  std::string communicator = "threads";
  int64_t ranksPerProcess = 1;
};

/// One run of `verify`.
class Verification {
public:
  Verification(const VerifyOptions &options, TemporaryFolder folder)
      : options(options), folder(std::move(folder)) {}
  Result<ExitCode> run();

private:
  Status build(Pipeline &pipeline);
  Status makeFiles();
  Status execute();
  Result<std::vector<HostTensor>> refer(Pipeline &pipeline);
  Result<ExitCode> judge(const Pipeline &pipeline,
                         const std::vector<HostTensor> &expected);

  const VerifyOptions &options;
  TemporaryFolder folder;
  runtime::Program program;
  /// What was broken on purpose.
  std::string mutated;
  std::vector<HostTensor> inputs, outputs;
};
} // namespace

Status Verification::build(Pipeline &pipeline) {
  PARTITA_TRY(program, buildProgramOf(pipeline));
  if (!options.mutation.empty()) {
    PARTITA_TRY(mutated, mutate(program, options.mutation));
    PARTITA_CHECK(runtime::validate(program));
  }
  return writeProgram(pipeline, program, folder / "model");
}

Status Verification::makeFiles() {
  PARTITA_TRY(auto given, parseGivenInputs(options.inputs));
  PARTITA_TRY(inputs, makeInputs(program.inputs, given, options.seed));
  return writeTensors(folder / "inputs", program.inputs, inputs);
}

/// The file of each output, from an executable's report.
static Result<std::vector<std::string>> outputFiles(const std::string &report,
                                                    size_t count) {
  std::vector<std::string> files;
  auto json = ordered_json::parse(report, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("outputs"))
    for (const auto &output : json["outputs"])
      files.push_back(output.value("file", ""));
  if (files.size() != count)
    return makeError(ExitCode::Internal, "verify.report", "the executable",
                     "its report does not list its outputs",
                     "this is a defect; please report it");
  return files;
}

Status Verification::execute() {
  CommandLine command{{folder / "model", "--output-dir", folder / "outputs",
                       "--report", "json"},
                      {}};
  if (options.checkArena)
    command.arguments.push_back("--check-arena");
  command.arguments.insert(command.arguments.end(),
                           {"--communicator", options.communicator});
  if (options.communicator != "threads")
    command.arguments.insert(
        command.arguments.end(),
        {"--ranks-per-process", std::to_string(options.ranksPerProcess)});
  for (const runtime::PortInfo &port : program.inputs)
    command.arguments.insert(
        command.arguments.end(),
        {"--input",
         port.name + "=" + (folder / "inputs/") + tensorFileName(port.name)});
  PARTITA_TRY(Finished finished, runProcess(command));
  if (finished.code != 0)
    return executableError("the executable", finished.code, finished.errors);
  std::fputs(finished.errors.c_str(), stderr);
  PARTITA_TRY(auto files, outputFiles(finished.output, program.outputs.size()));
  for (const std::string &file : files) {
    PARTITA_TRY(HostTensor tensor, readNpy(file));
    outputs.push_back(std::move(tensor));
  }
  return ok();
}

Result<std::vector<HostTensor>> Verification::refer(Pipeline &pipeline) {
  if (options.reference == "interp")
    return interpret(pipeline.imported(), inputs);
  const Request &request = pipeline.asked();
  return runOnnxRuntime(onnxRuntimeCommand(request.model, request.dims,
                                           folder / "inputs",
                                           folder / "expected"),
                        folder / "expected", program.outputs);
}

static std::string asJson(const std::vector<Comparison> &comparisons,
                          const Mesh &mesh, const std::string &mutated,
                          bool passed) {
  ordered_json json = {{"passed", passed}, {"mesh", mesh.str()}};
  if (!mutated.empty())
    json["mutated"] = mutated;
  for (const Comparison &c : comparisons)
    json["outputs"].push_back({{"name", c.name},
                               {"passed", c.passed},
                               {"problem", c.problem},
                               {"worst_element", c.worstIndex},
                               {"expected", c.expected},
                               {"got", c.got},
                               {"difference", c.difference},
                               {"allowed", c.limit},
                               {"deviation", c.deviation},
                               {"wrong_elements", c.wrongElements}});
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

static Error mismatch(const Comparison &c) {
  std::string what = c.problem;
  if (what.empty())
    what = "element " + c.worstIndex + " is " + number(c.got, 8) +
           ", expected " + number(c.expected, 8) + "; " +
           std::to_string(c.wrongElements) + " elements are off by more than " +
           number(c.limit, 3);
  return makeError(ExitCode::Mismatch, "verify.mismatch",
                   "output '" + c.name + "'", what,
                   "if the model is that sensitive, raise --rtol; else this is "
                   "a defect: --pin '*:replicated' and --dump-dir DIR help to "
                   "find it");
}

Result<ExitCode> Verification::judge(const Pipeline &pipeline,
                                     const std::vector<HostTensor> &expected) {
  std::vector<Comparison> comparisons;
  for (size_t i = 0; i < program.outputs.size(); ++i)
    comparisons.push_back(compare(program.outputs[i].name, expected[i],
                                  outputs[i], options.tolerance));
  sortByBadness(comparisons);
  bool passed = comparisons.empty() || comparisons.front().passed;
  std::string text =
      options.format == "json"
          ? asJson(comparisons, program.mesh, mutated, passed)
          : (mutated.empty() ? "" : "broken on purpose: " + mutated + "\n") +
                program.modelName + " on mesh " + program.mesh.str() +
                " against " +
                (options.reference == "interp" ? "the interpreter"
                                               : "ONNX Runtime") +
                ":\n" + comparisonTable(comparisons) +
                (passed ? "verified\n" : "");
  PARTITA_CHECK(printResult(text));
  if (passed)
    return ExitCode::Ok;
  return mismatch(comparisons.front());
}

Result<ExitCode> Verification::run() {
  PARTITA_TRY(Request request, options.request.resolveToRun());
  request.keepImported = options.reference == "interp";
  Progress progress(Pipeline::phases + 2);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_CHECK(build(pipeline));
  PARTITA_CHECK(makeFiles());
  progress.step("run");
  PARTITA_CHECK(execute());
  progress.step("reference");
  PARTITA_TRY(auto expected, refer(pipeline));
  progress.clear();
  return judge(pipeline, expected);
}

static Result<ExitCode> runVerify(const VerifyOptions &options) {
  PARTITA_TRY(TemporaryFolder folder, TemporaryFolder::create());
  return Verification(options, std::move(folder)).run();
}

void tool::addVerify(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<VerifyOptions>(
      app, chosen, "verify",
      "Compile, run, and compare with a reference on the same inputs",
      runVerify);
  options->request.declare(*command);
  options->request.declareExecution(*command, /*withTraining=*/false);
  command
      ->add_option("--reference", options->reference,
                   "interp (default) or onnxruntime, through Python")
      ->check(CLI::IsMember({"interp", "onnxruntime"}))
      ->type_name("");
  command
      ->add_option("--rtol", options->tolerance.relative,
                   "Of an output's standard deviation (default 1e-4)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  command
      ->add_option("--atol", options->tolerance.absolute,
                   "Added to it (default 0)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  command
      ->add_option("--random-inputs", options->seed,
                   "Seed of the inputs that are not given (default 1)")
      ->type_name("SEED");
  addRepeated(*command, "--input", options->inputs, "An input from a file")
      ->type_name("NAME=F.npy");
  command->add_flag("--check-arena", options->checkArena,
                    "Fill memory that is not in use with NaN");
  command
      ->add_option("--communicator", options->communicator,
                   "threads (default): ranks are threads of one process; gloo: "
                   "processes; mpi: processes that mpirun starts")
      ->check(CLI::IsMember({"threads", "gloo", "mpi"}))
      ->type_name("");
  command
      ->add_option("--ranks-per-process", options->ranksPerProcess,
                   "Ranks that are threads of each process (default 1)")
      ->check(CLI::Range(int64_t(1), int64_t(65536)))
      ->type_name("N");
  command->add_option("--mutate", options->mutation)->group("");
  addFormat(*command, options->format);
}
