//===- Options.cpp - What the commands that compile have in common --------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include "partita/Topology/Units.h"
#include <charconv>

using namespace partita;
using namespace partita::tool;

CLI::Option *tool::addRepeated(CLI::App &command, const std::string &name,
                               std::vector<std::string> &values,
                               const std::string &description) {
  return command.add_option(name, values, description)
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void tool::addFormat(CLI::App &command, std::string &format) {
  command.add_option("--format", format, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("");
}

void RequestOptions::declareDims(CLI::App &command) {
  addRepeated(command, "--dim", dims,
              "Size of a named dimension; may be given several times")
      ->type_name("NAME=N");
}

void RequestOptions::declareModel(CLI::App &command) {
  command.add_option("model", model, "The ONNX model")
      ->required()
      ->type_name("M.onnx");
  declareDims(command);
  command
      .add_option("--inject-defect", injectedDefect,
                  "This phase fails as if it had a defect")
      ->group("");
  command
      .add_option("--dump-dir", dumpDir,
                  "Write the program after every stage, numbered")
      ->type_name("DIR");
}

void RequestOptions::declare(CLI::App &command, bool withMachine) {
  declareModel(command);
  if (withMachine) {
    command
        .add_option(
            "--topology", topology,
            "The machine: cpu:N, a name of `partita topology list`, or a file")
        ->required()
        ->type_name("NAME|FILE.yaml");
    declareCalibration(command);
    command
        .add_option(
            "--mesh", mesh,
            "Axes of the ranks, as in dp=1,tp=2; without it, all are tried")
        ->type_name("A=N,..");
    command
        .add_option("--axes", axes,
                    "Of the meshes that are tried, the most axes (default 2)")
        ->check(CLI::Range(1, 4))
        ->excludes("--mesh")
        ->type_name("N");
    command
        .add_option("--expert", expert,
                    "The mesh and the pins of an expert's plan: "
                    "megatron:tp=T,pp=P,dp=D, with sequence parallelism if "
                    "there is ,sp")
        ->excludes("--mesh")
        ->excludes("--axes")
        ->type_name("NAME:SIZES");
    command
        .add_option("--memory-limit", memoryLimit,
                    "What a rank has, as in 16GiB (default: what the topology "
                    "says; of this processor, nothing)")
        ->type_name("BYTES");
    command.add_option("--plan", planFile, "Take the plan of this file")
        ->type_name("P.json");
  }
  addRepeated(command, "--pin", pins,
              "Split FACTOR of the operations that match GLOB over AXIS, or "
              "GLOB:replicated; may be given several times")
      ->type_name("GLOB:FACTOR=AXIS");
  command.add_option("--seed", seed, "Of the search (default 0)")
      ->type_name("N");
  command.add_option("--effort", effort, "Work of the search")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      .add_option("--time-limit", timeLimit,
                  "Seconds of the search, after which the best so far is taken "
                  "(default: none)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  command
      .add_option("--random-plan", randomPlan,
                  "Every operation takes a random legal strategy")
      ->group("");
  command
      .add_option("--split-plan", splitPlan,
                  "The same, and one that splits where there is any")
      ->group("");
}

void RequestOptions::declareCalibration(CLI::App &command) {
  command
      .add_option("--calibration", calibration,
                  "What `partita calibrate` measured: predictions follow it")
      ->type_name("FILE.yaml");
}

void RequestOptions::declareTraining(CLI::App &command, bool withGradients) {
  std::vector<std::string> optimizers = {"adamw"};
  if (withGradients)
    optimizers.push_back("none");
  command
      .add_option("--train", train,
                  withGradients
                      ? "Take a training step with this optimizer: adamw, or "
                        "none for the gradients"
                      : "Take a training step with this optimizer: adamw")
      ->check(CLI::IsMember(optimizers))
      ->type_name("");
  command
      .add_option("--global-batch", globalBatch,
                  "Samples in a step: the size of the model's batch dimension")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      .add_option("--loss", loss,
                  "Of --train: cross-entropy (default), sum, or given, whose "
                  "gradient to the output is an input")
      ->check(CLI::IsMember({"cross-entropy", "sum", "given"}))
      ->type_name("");
  command
      .add_option("--loss-output", lossOutput,
                  "Of --train: the output that the loss is of (default: the "
                  "first of floating point)")
      ->type_name("NAME");
  command
      .add_option("--precision", precision,
                  "Of --train: model (default), or bf16 for what the model "
                  "computes in f32")
      ->check(CLI::IsMember({"model", "bf16"}))
      ->type_name("");
  if (withGradients)
    command.add_flag("--input-gradients", inputGradients,
                     "Of --train none: gradients of inputs too");
}

void RequestOptions::declareMicroBatches(CLI::App &command) {
  mayPipeline = true;
  command
      .add_option("--micro-batches", microBatches,
                  "Equal parts of the batch that run one after another; "
                  "without it, of training steps on other machines than this, "
                  "several are tried")
      ->check(CLI::PositiveNumber)
      ->type_name("M");
}

void RequestOptions::declareExecution(CLI::App &command, bool withTraining) {
  declareMicroBatches(command);
  command
      .add_option("--max-stages", maxStages,
                  "The most pipeline stages that are tried (default: 64 for "
                  "training steps on other machines, else 1); --mesh pp=P,... "
                  "asks for P")
      ->check(CLI::Range(int64_t(1), int64_t(1024)))
      ->excludes("--mesh")
      ->type_name("P");
  command
      .add_option("--stages", stages,
                  "The mesh of each pipeline stage, as in 'tp=2|tp=1'")
      ->excludes("--mesh")
      ->excludes("--max-stages")
      ->type_name("A=N,..|..");
  if (!withTraining)
    return;
  command
      .add_option(
          "--recompute", recompute,
          "Of --train: layers run again for their backward pass: never, "
          "always, or auto")
      ->check(CLI::IsMember({"never", "always", "auto"}))
      ->type_name("");
  command
      .add_option("--schedule", schedule,
                  "In which order stages work: 1f1b, gpipe, interleaved:V with "
                  "V chunks a stage, zb-h1, zb-h2, zb-v, or auto")
      ->type_name("KIND");
}

Status RequestOptions::resolveExecution(Request &request) const {
  PlanOptions &plan = request.plan;
  int axis = plan.mesh ? plan.mesh->axis(stageAxis) : -1;
  bool staged = axis >= 0 && plan.mesh->axisSizes[axis] > 1;
  if (!mayPipeline) {
    if (staged)
      return makeError(
          ExitCode::Unsupported, "plan.axis-unsupported", "--mesh " + mesh,
          "this command does not look at pipeline stages (axis 'pp') yet",
          "give its ranks to another axis");
    return ok();
  }
  bool searched = request.training && !plan.topology.isOneProcess() &&
                  pins.empty() && expert.empty() && !randomPlan && !splitPlan;
  plan.microBatches =
      microBatches.value_or(searched || staged || maxStages ? 0 : 1);
  plan.maxStages = maxStages.value_or(searched ? 64 : 1);
  if (recompute == "always")
    plan.recompute = true;
  else if (recompute == "auto" || (recompute.empty() && searched))
    plan.recompute.reset();
  if (schedule == "auto" || (schedule.empty() && searched))
    plan.schedule.reset();
  else if (!schedule.empty()) {
    PARTITA_TRY(plan.schedule, ScheduleChoice::parse(schedule));
    if (plan.mesh ? !staged : plan.maxStages == 1)
      return makeError(ExitCode::Usage, "usage.schedule",
                       "--schedule " + schedule, "there are no stages",
                       "add --mesh pp=P,... or --max-stages P");
  }
  if (plan.recompute == true && !request.training)
    return makeError(ExitCode::Usage, "usage.recompute", "--recompute always",
                     "there is no backward pass", "add --train adamw");
  return ok();
}

Status RequestOptions::resolveTraining(Request &request) const {
  request.globalBatch = globalBatch;
  if (train.empty()) {
    if (loss == "cross-entropy" && lossOutput.empty() && !inputGradients &&
        !globalBatch && precision == "model")
      return ok();
    return makeError(ExitCode::Usage, "usage.train", "command line",
                     "--loss, --loss-output, --precision, --input-gradients "
                     "and --global-batch are about a training step",
                     "add --train adamw");
  }
  TrainingOptions options;
  options.loss = *parseLoss(loss);
  options.optimizer = *parseOptimizer(train);
  options.output = lossOutput;
  options.inputGradients = inputGradients;
  options.bf16 = precision == "bf16";
  request.training = options;
  if (options.optimizer != Optimizer::None && inputGradients)
    return makeError(ExitCode::Usage, "usage.train", "--input-gradients",
                     "a step of an optimizer gives no gradients",
                     "use it with --train none");
  if (options.optimizer == Optimizer::None || globalBatch)
    return ok();
  return makeError(ExitCode::Usage, "usage.global-batch", "--train " + train,
                   "needs the number of samples in a step",
                   "add --global-batch N");
}

/// Adds "name=4" or "name=4,other=5" to `dims`.
static Status parseDims(const std::string &text,
                        std::map<std::string, int64_t> &dims) {
  for (const std::string &item : CLI::detail::split(text, ',')) {
    size_t equals = item.rfind('=');
    int64_t size = 0;
    bool named = equals != std::string::npos && equals > 0;
    if (named) {
      const char *first = item.data() + equals + 1;
      const char *last = item.data() + item.size();
      auto [end, error] = std::from_chars(first, last, size);
      named = error == std::errc() && end == last && size > 0;
    }
    if (!named)
      return makeError(ExitCode::Usage, "usage.dim", "--dim " + text,
                       "'" + item + "' is not NAME=SIZE with a positive size",
                       "write --dim batch=4");
    auto [entry, added] = dims.emplace(item.substr(0, equals), size);
    if (!added && entry->second != size)
      return makeError(ExitCode::Usage, "usage.dim", "--dim " + text,
                       "dimension '" + entry->first + "' is " +
                           std::to_string(entry->second) + " and " +
                           std::to_string(size),
                       "give each dimension once");
  }
  return ok();
}

Result<Request> RequestOptions::resolveToRun() const {
  PARTITA_TRY(Request request, resolve());
  const Topology &machine = request.plan.topology;
  if (!machine.isOneProcess())
    return makeError(
        ExitCode::Unsupported, "topology.kind", "--topology " + topology,
        "executables run as threads of one process, and " + machine.name +
            " is " + std::to_string(machine.numRanks()) + " ranks of " +
            machine.commonDevice().name,
        "partita plan plans for it; compile for cpu:N");
  return request;
}

Result<Request> RequestOptions::resolve() const {
  Request request;
  request.model = model;
  request.planFile = planFile;
  request.resumeFile = resumeFile;
  request.dumpDir = dumpDir;
  request.injectedDefect = injectedDefect;
  PARTITA_TRY(request.plan.topology, Topology::parse(topology));
  if (!calibration.empty()) {
    PARTITA_TRY(Calibration measured, Calibration::open(calibration));
    PARTITA_CHECK(request.plan.topology.calibrate(measured, calibration));
  }
  if (!mesh.empty() || !stages.empty()) {
    const std::string given =
        mesh.empty() ? "--stages " + stages : "--mesh " + mesh;
    auto parsed = mesh.empty() ? Mesh::parseStages(stages) : Mesh::parse(mesh);
    if (!parsed) {
      Error error = parsed.takeError();
      error.exit = ExitCode::Usage;
      return error;
    }
    int64_t ranks = request.plan.topology.numRanks();
    if (parsed->numRanks() != ranks)
      return makeError(ExitCode::Usage, "plan.mesh-size", given,
                       (stages.empty() ? "the axes multiply to "
                                       : "the stages have together ") +
                           std::to_string(parsed->numRanks()) + ", and " +
                           topology + " has " + std::to_string(ranks) +
                           (ranks == 1 ? " rank" : " ranks"),
                       "the product of the axes is the number of ranks");
    request.plan.mesh = std::move(*parsed);
  }
  if (!expert.empty()) {
    PARTITA_TRY(request.expert,
                Expert::parse(expert, request.plan.topology.numRanks()));
    request.plan.mesh = request.expert->mesh();
  }
  for (const std::string &text : dims)
    PARTITA_CHECK(parseDims(text, request.dims));
  for (const std::string &text : pins) {
    PARTITA_TRY(Pin pin, Pin::parse(text));
    request.plan.pins.push_back(std::move(pin));
  }
  PARTITA_CHECK(resolveTraining(request));
  std::optional<uint64_t> random = splitPlan ? splitPlan : randomPlan;
  if (!planFile.empty() && (!pins.empty() || !mesh.empty() || !stages.empty() ||
                            !expert.empty() || random))
    return makeError(ExitCode::Usage, "usage.plan", "--plan " + planFile,
                     "a plan holds its own mesh and strategies, so --mesh, "
                     "--pin, --expert and --random-plan do not go with it",
                     "leave one or the other out");
  request.plan.memoryLimit = request.plan.topology.commonDevice().memoryBytes;
  if (!memoryLimit.empty()) {
    auto bytes = parseQuantity(memoryLimit, Dimension::Bytes);
    if (!bytes) {
      Error error = bytes.takeError();
      error.exit = ExitCode::Usage;
      error.code = "usage.memory-limit";
      error.place = "--memory-limit " + memoryLimit;
      return error;
    }
    request.plan.memoryLimit = static_cast<int64_t>(*bytes);
  }
  PARTITA_CHECK(resolveExecution(request));
  request.plan.effort = effort;
  request.timeLimit = timeLimit;
  request.plan.maxAxes = axes;
  request.plan.seed = random ? *random : seed;
  request.plan.randomStrategies = random.has_value();
  request.plan.splitAll = splitPlan.has_value();
  return request;
}
