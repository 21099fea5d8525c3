//===- Document.cpp - A plan and what follows from it ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Document.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "partita/Cost/Cost.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using Json = nlohmann::ordered_json;

//===----------------------------------------------------------------------===//
// Facts
//===----------------------------------------------------------------------===//

static std::vector<std::string> axisNames(const Mesh &mesh,
                                          const std::vector<int> &axes) {
  std::vector<std::string> names;
  for (int axis : axes)
    names.push_back(mesh.axisNames[axis]);
  return names;
}

static void addToBill(BillLine line, std::vector<BillLine> &bill) {
  auto same = std::find_if(bill.begin(), bill.end(), [&](const auto &other) {
    return other.kind == line.kind && other.axes == line.axes &&
           other.ranks == line.ranks && other.bytes == line.bytes &&
           other.atLoad == line.atLoad;
  });
  if (same == bill.end())
    bill.push_back(std::move(line));
  else
    same->count += line.count;
}

/// What one of the lists of a stage's first rank has.
static void addToBill(const Mesh &mesh,
                      const std::vector<runtime::Command> &commands,
                      bool atLoad, int64_t times, std::vector<BillLine> &bill) {
  for (const runtime::Command &command : commands)
    if (command.kind == runtime::CommandKind::Collective)
      addToBill({runtime::collectiveName(command.collective),
                 axisNames(mesh, command.axes),
                 static_cast<int64_t>(mesh.group(0, command.axes).size()),
                 std::max(command.operands[0].extentBytes(),
                          command.results[0].extentBytes()),
                 times, atLoad},
                bill);
}

static std::vector<BillLine> billOf(const runtime::Program &program) {
  std::vector<BillLine> bill;
  const size_t stages = std::max<size_t>(program.stages.size(), 1);
  for (size_t stage = 0; stage < stages; ++stage) {
    runtime::Grid grid = program.gridOf(static_cast<int32_t>(stage));
    const runtime::RankClass &first =
        program.classes[program.classOfRank[grid.ranks[0]]];
    addToBill(grid.mesh, first.init, true, 1, bill);
    addToBill(grid.mesh, first.step, false, program.microBatches, bill);
  }
  for (const runtime::TransferInfo &transfer : program.transfers) {
    const runtime::Grid &to = program.stages[transfer.toStage];
    addToBill({"transfer",
               {stageAxis},
               static_cast<int64_t>(to.ranks.size()),
               maxLocalBytes(transfer.to, to.mesh, transfer.dtype),
               program.microBatches,
               false},
              bill);
  }
  return bill;
}

/// Axes of more than one rank that no factor of the strategy takes.
static std::vector<int> idleAxes(const Strategy &strategy, const Mesh &mesh,
                                 int stage) {
  std::vector<int> idle;
  for (int axis = 0; axis < mesh.numAxes(); ++axis) {
    bool used = mesh.axisSizes[axis] == 1 ||
                mesh.axisNames[axis] == stageAxis || !mesh.hasAxis(stage, axis);
    for (const DimSharding &factor : strategy.factors)
      for (const FactorSharding &part : factor.factors)
        used |= std::count(part.axes.begin(), part.axes.end(), axis) > 0;
    if (!used)
      idle.push_back(axis);
  }
  return idle;
}

/// One execution of `op` under `strategy`, by the planner's own prices.
static double secondsOf(const Graph &graph, const GraphOp &op,
                        const Strategy &strategy, const Mesh &mesh,
                        const Topology &topology) {
  int64_t bytes = 0;
  for (size_t i = 0; i < op.operands.size(); ++i)
    bytes += maxLocalBytes(operandSharding(op.rule, strategy, i), mesh,
                           graph.values[op.operands[i]].dtype);
  for (size_t i = 0; i < op.results.size(); ++i)
    bytes += maxLocalBytes(resultSharding(op.rule, strategy, i), mesh,
                           graph.values[op.results[i]].dtype);
  DType dtype =
      op.results.empty() ? DType::F32 : graph.values[op.results[0]].dtype;
  return toSeconds(KernelCost(topology).picoseconds(
      kernelWork(op.rule, op.kernelClass, dtype, op.flops,
                 localIterations(strategy, mesh), bytes)));
}

static std::vector<ReplicatedOp> findReplicated(Pipeline &pipeline) {
  const Graph &graph = pipeline.graph();
  const PlanResult &plan = pipeline.plan();
  std::vector<ReplicatedOp> found;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    const GraphOp &op = graph.ops[o];
    if (op.role != OpRole::Compute || op.kernelClass == KernelClass::Free ||
        op.atLoad)
      continue;
    std::vector<int> idle =
        idleAxes(plan.strategies[o], plan.mesh, plan.execution.stage(o));
    if (idle.empty())
      continue;
    found.push_back({op.id, op.kind, axisNames(plan.mesh, idle),
                     secondsOf(graph, op, plan.strategies[o], plan.mesh,
                               pipeline.asked().plan.topology)});
  }
  std::sort(found.begin(), found.end(), [](const auto &a, const auto &b) {
    return std::pair(b.seconds, a.id) < std::pair(a.seconds, b.id);
  });
  return found;
}

static std::map<std::string, int64_t> countsOf(mlir::ModuleOp module,
                                               llvm::StringRef field) {
  std::map<std::string, int64_t> counts;
  auto report = module->getAttrOfType<mlir::DictionaryAttr>("nn.raise_report");
  auto part = report ? report.getAs<mlir::DictionaryAttr>(field)
                     : mlir::DictionaryAttr();
  if (part)
    for (mlir::NamedAttribute entry : part)
      if (auto count = llvm::dyn_cast<mlir::IntegerAttr>(entry.getValue()))
        counts[entry.getName().str()] = count.getInt();
  return counts;
}

Status tool::checkPlain(const Plan &plan, const std::string &place) {
  if (plan.microBatches == 1 && !plan.recompute && plan.chunks.size() <= 1)
    return ok();
  return makeError(ExitCode::Unsupported, "plan.axis-unsupported", place,
                   "what operations of a plan with stages, micro-batches or "
                   "recomputation cost is not compared yet",
                   "give a plan without them");
}

/// Without a program, or where it is not what runs.
static RankMemory memoryOf(const PlanResult &plan) {
  return {std::max<int64_t>(plan.leastPeakBytes - plan.residentBytes, 0),
          plan.residentBytes};
}

Document tool::makeDocument(Pipeline &pipeline,
                            const runtime::Program *program) {
  Document document;
  document.plan =
      makePlan(pipeline.graph(), pipeline.asked().plan, pipeline.plan());
  PlanReport &report = document.report.emplace();
  report.replicated = findReplicated(pipeline);
  report.raised = countsOf(pipeline.module(), "raised");
  report.notRaised = countsOf(pipeline.module(), "left");
  const PlanResult &plan = pipeline.plan();
  bool hasProgram = program && pipeline.asked().plan.topology.isOneProcess();
  if (!hasProgram)
    document.plan.notes.push_back(
        std::string(program ? "programs do not run on this machine yet"
                            : "programs do not run training steps in "
                              "micro-batches or stages yet") +
        ": memory is what operations keep, read and write, without reshards "
        "and workspaces");
  int64_t ranks = plan.mesh.numRanks();
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankMemory memory = memoryOf(plan);
    if (hasProgram) {
      const auto &rankClass = program->classes[program->classOfRank[rank]];
      memory = {rankClass.arenaBytes, rankClass.persistentBytes};
    }
    report.memory.push_back(memory);
    document.plan.peakBytes.push_back(memory.arenaBytes +
                                      memory.persistentBytes);
  }
  if (!program)
    return document;
  const runtime::RankClass &first = program->classes[program->classOfRank[0]];
  report.collectives = billOf(*program);
  report.commands = first.init.size() + first.step.size();
  report.kernels = program->kernelNames.size();
  return document;
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

static Json toJson(const PlanReport &report) {
  Json json = {{"collectives", Json::array()}, {"replicated", Json::array()}};
  for (const BillLine &line : report.collectives)
    json["collectives"].push_back({{"kind", line.kind},
                                   {"axes", line.axes},
                                   {"ranks", line.ranks},
                                   {"bytes", line.bytes},
                                   {"count", line.count},
                                   {"at_load", line.atLoad}});
  for (const ReplicatedOp &op : report.replicated)
    json["replicated"].push_back({{"id", op.id},
                                  {"op", op.kind},
                                  {"axes", op.axes},
                                  {"seconds", op.seconds}});
  json["raised"] = Json(report.raised);
  json["not_raised"] = Json(report.notRaised);
  json["memory"] = Json::array();
  for (const RankMemory &rank : report.memory)
    json["memory"].push_back({{"arena_bytes", rank.arenaBytes},
                              {"persistent_bytes", rank.persistentBytes}});
  json["commands"] = report.commands;
  json["kernels"] = report.kernels;
  return json;
}

/// Throws what the JSON library throws.
static PlanReport fromJson(const Json &json) {
  PlanReport report;
  for (const Json &item : json.at("collectives"))
    report.collectives.push_back({item.at("kind"), item.at("axes"),
                                  item.at("ranks"), item.at("bytes"),
                                  item.at("count"), item.at("at_load")});
  for (const Json &item : json.at("replicated"))
    report.replicated.push_back(
        {item.at("id"), item.at("op"), item.at("axes"), item.at("seconds")});
  json.at("raised").get_to(report.raised);
  json.at("not_raised").get_to(report.notRaised);
  for (const Json &item : json.at("memory"))
    report.memory.push_back(
        {item.at("arena_bytes"), item.at("persistent_bytes")});
  report.commands = json.at("commands");
  report.kernels = json.at("kernels");
  return report;
}

Error tool::ofPlanFile(const std::string &path, Error error) {
  if (error.exit == ExitCode::Usage) {
    error.exit = ExitCode::InvalidInput;
    error.message = error.place + ": " + error.message;
    error.place = path;
    error.hint = "give the --dim, --train and --global-batch that the plan was "
                 "made with, or make a new one";
  }
  return error;
}

std::string tool::writeDocument(const Document &document) {
  std::string report;
  if (document.report)
    report = toJson(*document.report)
                 .dump(-1, ' ', false, Json::error_handler_t::replace);
  return writePlan(document.plan, report);
}

Result<Document> tool::readDocument(const std::string &text,
                                    const std::string &place) {
  Document document;
  std::string report;
  PARTITA_TRY(document.plan, readPlan(text, place, &report));
  if (report.empty())
    return document;
  try {
    document.report = fromJson(Json::parse(report));
  } catch (const Json::exception &exception) {
    return makeError(ExitCode::InvalidInput, "plan.field", place + ": report",
                     exception.what(),
                     "a plan is the JSON that `partita plan -o FILE` writes");
  }
  return document;
}
