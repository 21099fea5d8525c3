//===- Pipeline.cpp - A model's way to an executable ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Pipeline.h"
#include "Document.h"
#include "Process.h"
#include "dialects/dist/Dist.h"
#include "dialects/nn/NN.h"
#include "dialects/rt/RT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "partita/Codegen/Codegen.h"
#include "partita/Conversion/NNToRT.h"
#include "partita/Cost/Cost.h"
#include "partita/Differentiate/Interface.h"
#include "partita/Import/Import.h"
#include "partita/Interp/ReferenceModels.h"
#include "partita/Partition/Partition.h"
#include "partita/Plan/IR.h"
#include "partita/Raise/Raise.h"
#include "partita/Support/File.h"
#include "partita/Target/Target.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>
#include <filesystem>

using namespace mlir;
using namespace partita;
using namespace partita::tool;

static DialectRegistry makeRegistry() {
  DialectRegistry registry;
  registry.insert<func::FuncDialect, nn::NNDialect, dist::DistDialect,
                  rt::RTDialect>();
  registerReferenceModels(registry);
  registerDifferentiationRules(registry);
  return registry;
}

Pipeline::Pipeline(Request request, Progress &progress)
    : request(std::move(request)), progress(progress),
      context(makeRegistry(), MLIRContext::Threading::DISABLED),
      diagnostics(context) {
  context.loadAllAvailableDialects();
}

static std::string printed(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text + "\n";
}

Status Pipeline::dump(const std::string &stage,
                      llvm::function_ref<std::string()> text) {
  int number = stages++;
  if (request.dumpDir.empty())
    return ok();
  std::error_code error;
  std::filesystem::create_directories(request.dumpDir, error);
  if (error)
    return makeError(ExitCode::InvalidInput, "output.folder", request.dumpDir,
                     "cannot be made: " + error.message(),
                     "choose another --dump-dir");
  std::string digits = std::to_string(number);
  return writeFileAtomically(request.dumpDir + "/" + (number < 10 ? "0" : "") +
                                 digits + "-" + stage,
                             text());
}

/// All phases of `pipeline`, as far as they go.
static void replay(Pipeline &pipeline) {
  if (pipeline.load() && pipeline.choose() && pipeline.lower() &&
      pipeline.tabulate())
    (void)pipeline.emit();
}

Error Pipeline::explain(Error error) {
  error = diagnostics.explain(std::move(error));
  if (error.exit != ExitCode::Internal)
    return error;
  error.hint = "this is a defect of Partita: please report it with the model";
  std::string folder = request.dumpDir;
  if (folder.empty()) {
    // Keeping each stage costs time that a run without defects does not have
    // to pay: the same request fails in the same way again.
    auto made = TemporaryFolder::create();
    if (!made)
      return error;
    folder = made->keep();
    Request again = request;
    again.dumpDir = folder;
    Pipeline second(std::move(again), progress);
    replay(second);
  }
  error.hint +=
      " and with " + folder + ", whose last file is what the phase was given";
  return error;
}

template <typename Body>
Status Pipeline::phase(const char *label, const char *stage, Check check,
                       Body body) {
  progress.step(label);
  Status status = body();
  if (status && request.injectedDefect == stage)
    status = makeError(ExitCode::Internal, "pipeline.injected", stage,
                       "this phase was told to fail");
  if (status && (check == Check::Always || !request.dumpDir.empty()) &&
      failed(verify(*current)))
    status = makeError(ExitCode::Internal, "pipeline.verify", stage,
                       "the program is not valid after this phase");
  if (!status)
    return explain(status.takeError());
  diagnostics.clear();
  return dump(std::string(stage) + ".mlir", [&] { return printed(*current); });
}

Status Pipeline::load() {
  PARTITA_CHECK(phase("import", "import", Check::WhenKept, [&]() -> Status {
    PARTITA_TRY(current, importONNX(context, request.model,
                                    {request.dims, request.globalBatch}));
    if (request.keepImported)
      original = current->clone();
    return ok();
  }));
  PARTITA_CHECK(phase("raise", "raised", Check::Always,
                      [&]() -> Status { return raise(*current); }));
  if (request.training)
    PARTITA_CHECK(phase("differentiate", "training", Check::Always, [&] {
      return makeTrainingStep(*current, *request.training);
    }));
  if (request.plan.memoryLimit > 0)
    raised = current->clone();
  return ok();
}

void Pipeline::tighten(int64_t bytes) {
  request.plan.memoryLimit -= bytes;
  current = cast<ModuleOp>(raised->clone());
}

using MicroBatch = llvm::function_ref<Result<Graph>(int64_t)>;

static Result<Plan> readPlanOf(const std::string &path) {
  PARTITA_TRY(std::string text, readFile(path, maxPlanBytes));
  PARTITA_TRY(Document document, readDocument(text, path));
  return std::move(document.plan);
}

/// The plan of a file, for this graph and machine.
static Result<PlanResult> resultOf(const Plan &plan, const std::string &path,
                                   const Topology &topology,
                                   MicroBatch microBatch) {
  if (plan.mesh.numRanks() != topology.numRanks())
    return makeError(ExitCode::Usage, "plan.mesh-size", path,
                     "the plan is for " + std::to_string(plan.mesh.numRanks()) +
                         " ranks, and " + topology.text + " has " +
                         std::to_string(topology.numRanks()),
                     "--topology " + plan.topology);
  PlanResult result;
  result.mesh = plan.mesh;
  auto step = microBatch(plan.microBatches);
  if (!step)
    return ofPlanFile(path, step.takeError());
  PARTITA_TRY(result.strategies, strategiesFor(plan, *step, path));
  PARTITA_TRY(result.execution, executionOf(plan, *step, path));
  auto cost = evaluate(*step, topology, plan.mesh, result.strategies,
                       result.execution, &result.chunks);
  if (!cost)
    return ofPlanFile(path, cost.takeError());
  result.cost = *cost;
  // What the file claims about other plans holds only for its own machine; a
  // machine of the same name that prices the plan otherwise is another.
  if (plan.topology == topology.text && plan.cost == result.cost) {
    result.bound = std::min(plan.bound, result.cost.step());
    result.boundSpace = plan.boundSpace;
    result.proved = plan.proved;
    result.stoppedBy = plan.stoppedBy;
  }
  if (result.cost.step() > 0)
    result.gap = 1 - double(result.bound) / double(result.cost.step());
  result.residentBytes = plan.residentBytes;
  result.notes = plan.notes;
  return result;
}

/// The plan that a search begins with.
static Result<PlanResult> planToResume(const Request &request,
                                       MicroBatch microBatch) {
  const std::string &path = request.resumeFile;
  PARTITA_TRY(Plan plan, readPlanOf(path));
  PARTITA_TRY(PlanResult result,
              resultOf(plan, path, request.plan.topology, microBatch));
  PARTITA_TRY(Graph step, microBatch(plan.microBatches));
  if (modelIdentity(step) != plan.modelIdentity)
    return makeError(ExitCode::InvalidInput, "plan.other-model", path,
                     "the plan is for a model of other sizes or types",
                     "give the --dim, --train and --global-batch that the plan "
                     "was made with, or make a new one");
  std::vector<std::string> pins;
  for (const Pin &pin : request.plan.pins)
    pins.push_back(pin.text);
  // With other pins there are other plans.
  if (pins != plan.pins)
    result.boundSpace.clear();
  return result;
}

/// Says when a search must end.
static std::function<std::optional<StoppedBy>()>
stopAfter(std::chrono::steady_clock::time_point begin, double seconds,
          const std::function<bool()> &interrupted) {
  return [=]() -> std::optional<StoppedBy> {
    if (interrupted && interrupted())
      return StoppedBy::User;
    std::chrono::duration<double> passed =
        std::chrono::steady_clock::now() - begin;
    if (passed.count() >= seconds)
      return StoppedBy::Time;
    return std::nullopt;
  };
}

/// Makes `module`, of which `graph` is, the program of one micro-batch.
Status Pipeline::cutBatch(ModuleOp module, const Graph &graph, int64_t count) {
  PARTITA_TRY(std::vector<Strategy> strategies,
              microBatchStrategies(graph, count));
  PARTITA_CHECK(
      attachPlan(module, Mesh{"batches", {"batch"}, {count}}, strategies));
  return cutMicroBatches(module);
}

Result<Graph> Pipeline::microBatch(const Graph &graph, int64_t count) {
  if (count == 1)
    return graph;
  if (request.training)
    return microBatched(graph, count);
  // What cannot be cut can be planned; to lower it is an error.
  OwningOpRef<ModuleOp> copy(current->clone());
  if (!cutBatch(*copy, graph, count))
    return microBatched(graph, count);
  return extractGraph(*copy);
}

Status Pipeline::search() {
  auto begin = std::chrono::steady_clock::now();
  PARTITA_TRY(wholeGraph, extractGraph(*current));
  modelGraph = wholeGraph;
  auto part = [&](int64_t count) { return microBatch(wholeGraph, count); };
  request.plan.microBatch = part;
  if (request.planFile.empty()) {
    if (request.expert) {
      PARTITA_TRY(std::vector<Pin> pins, request.expert->pins(modelGraph));
      request.plan.pins.insert(request.plan.pins.end(), pins.begin(),
                               pins.end());
      request.expert.reset(); // The next search has them.
    }
    if (!request.resumeFile.empty() && !request.plan.resumed) {
      PARTITA_TRY(request.plan.resumed, planToResume(request, part));
    }
    // One limit for all choices that the memory of programs takes.
    if (!request.plan.stop)
      request.plan.stop =
          stopAfter(begin, request.timeLimit, request.interrupted);
    PARTITA_TRY(planned, partita::plan(modelGraph, request.plan));
    // Less memory was asked for than there is: only the first bound is of all
    // plans.
    if (!firstBound)
      firstBound = {planned.bound, planned.boundSpace};
    planned.setBound(firstBound->picoseconds);
    planned.boundSpace = firstBound->space;
    planned.proved &= planned.gap == 0;
  } else {
    PARTITA_TRY(Plan plan, readPlanOf(request.planFile));
    PARTITA_TRY(planned,
                resultOf(plan, request.planFile, request.plan.topology, part));
  }
  // What strategies are about.
  PARTITA_TRY(modelGraph, part(planned.execution.microBatches));
  searchSeconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
          .count();
  return dump("plan.json", [&] {
    return writePlan(makePlan(modelGraph, request.plan, planned));
  });
}

Status Pipeline::choose() {
  progress.step("plan");
  if (Status status = search(); !status)
    return explain(status.takeError());
  if (!mayRun())
    return ok();
  if (planned.execution.microBatches > 1)
    PARTITA_CHECK(phase("micro-batches", "micro-batch", Check::Always, [&] {
      return cutBatch(*current, wholeGraph, planned.execution.microBatches);
    }));
  return phase("plan", "planned", Check::WhenKept, [&]() -> Status {
    PARTITA_CHECK(attachPlan(*current, planned.mesh, planned.strategies));
    if (planned.execution.stages == 1)
      return ok();
    return attachStages(*current, planned.execution.chunkOf);
  });
}

bool Pipeline::mayRun() const {
  const Execution &execution = planned.execution;
  return execution.isPlain() || (!request.training && !execution.recompute &&
                                 execution.chunks() == execution.stages);
}

Status Pipeline::lower() {
  if (planned.execution.stages > 1)
    PARTITA_CHECK(phase("stages", "stages", Check::Always,
                        [&] { return splitStages(*current); }));
  auto partitioner = Partitioner::create(*current, request.plan.topology);
  if (!partitioner)
    return explain(partitioner.takeError());
  PARTITA_CHECK(phase("reshards", "reshards", Check::WhenKept,
                      [&] { return partitioner->insertReshards(); }));
  PARTITA_CHECK(phase("collectives", "collectives", Check::WhenKept,
                      [&] { return partitioner->lowerReshards(); }));
  PARTITA_CHECK(phase("localise", "local", Check::Always,
                      [&] { return partitioner->localize(); }));
  NNToRTOptions options;
  options.threads =
      static_cast<int>(request.plan.topology.commonDevice().threads);
  PARTITA_CHECK(phase("select commands", "rt", Check::Always,
                      [&] { return convertNNToRT(*current, options); }));
  return phase("outline kernels", "kernels", Check::WhenKept, [&]() -> Status {
    PARTITA_TRY(kernels, outlineKernels(*current));
    return ok();
  });
}

Result<runtime::Program> Pipeline::tabulate() {
  std::vector<std::string> names;
  for (auto kernel : kernels->getOps<func::FuncOp>())
    names.push_back(kernel.getName().str());
  auto built = buildProgram(*current, names);
  if (!built)
    return explain(built.takeError());
  built->threadsPerRank =
      static_cast<int32_t>(request.plan.topology.commonDevice().threads);
  built->modelName = modelGraph.modelName;
  PARTITA_CHECK(runtime::validate(*built));
  return built;
}

Result<std::vector<char>> Pipeline::emit() {
  progress.step("generate code");
  if (Status status = lowerKernels(*kernels); !status)
    return explain(status.takeError());
  auto object = emitObject(*kernels, {});
  if (!object)
    return explain(object.takeError());
  return object;
}

Pipeline &tool::startPipeline(Request request, Progress &progress) {
  static std::unique_ptr<Pipeline> pipeline;
  pipeline = std::make_unique<Pipeline>(std::move(request), progress);
  return *pipeline;
}
