//===- Remarks.cpp - A plan's choices as MLIR's remarks -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Remarks.h"
#include "Table.h"
#include "mlir/IR/Remarks.h"
#include "partita/Cost/Cost.h"
#include "partita/Plan/Compare.h"
#include "partita/Support/File.h"
#include "partita/Support/Names.h"
#include "llvm/Remarks/RemarkSerializer.h"
#include <iostream>
#include <map>

using namespace mlir;
using namespace partita;
using namespace partita::tool;

namespace {
/// Lines for people, YAML for LLVM's tools.
class Streamer : public remark::detail::MLIRRemarkStreamerBase {
public:
  Streamer(std::string &lines, std::string &yaml)
      : lines(lines), yaml(yaml),
        serializer(llvm::cantFail(llvm::remarks::createRemarkSerializer(
            llvm::remarks::Format::YAML, this->yaml))) {}
  void streamOptimizationRemark(const remark::detail::Remark &remark) override;

private:
  std::string &lines;
  llvm::raw_string_ostream yaml;
  std::unique_ptr<llvm::remarks::RemarkSerializer> serializer;
};

/// Operations of which the same is to be said.
struct Group {
  std::vector<std::string> ids;
  const GraphOp *first = nullptr;
  PlanCost cost;
  double seconds = 0;
};
/// In the order of the graph: by the pattern of their ids, and what is said.
class Groups {
public:
  Group &operator()(const GraphOp &op, const std::string &said);
  std::vector<std::pair<std::string, Group>> all;

private:
  std::map<std::pair<std::string, std::string>, size_t> numbers;
};

class Remarker {
public:
  Remarker(Pipeline &pipeline, const Document &document)
      : pipeline(pipeline), document(document), graph(pipeline.graph()),
        context(*pipeline.module().getContext()) {}
  Status run();

private:
  Location placeOf(const Group &group) const;
  void sayPlan() const;
  Status saySplits() const;
  void sayReplicated() const;

  Pipeline &pipeline;
  const Document &document;
  const Graph &graph;
  MLIRContext &context;
};
} // namespace

static const char *kindName(llvm::remarks::Type kind) {
  switch (kind) {
  case llvm::remarks::Type::Passed:
    return "passed";
  case llvm::remarks::Type::Missed:
    return "missed";
  case llvm::remarks::Type::Failure:
    return "failed";
  default:
    return "analysis";
  }
}

void Streamer::streamOptimizationRemark(const remark::detail::Remark &remark) {
  llvm::remarks::Remark made = remark.generateRemark();
  serializer->emit(made);
  std::string place;
  if (auto name = dyn_cast<NameLoc>(remark.getLocation()))
    place = name.getName().str() + ": ";
  lines += place + "remark: " + kindName(made.RemarkType) + ": " +
           remark.getCategoryName().str() + ": ";
  // What follows are the figures in the text.
  for (const remark::detail::Remark::Arg &arg : remark.getArgs())
    if (arg.key == "Remark")
      lines += arg.val;
  lines += "\n";
}

Group &Groups::operator()(const GraphOp &op, const std::string &said) {
  auto [it, isNew] =
      numbers.try_emplace({namePattern(op.id), said}, all.size());
  if (isNew)
    all.push_back({said, {}});
  Group &group = all[it->second].second;
  if (!group.first)
    group.first = &op;
  group.ids.push_back(op.id);
  return group;
}

/// The ONNX node of the first, or the weight or the input that it is.
static const std::string &nodeOf(const Group &group) {
  return group.first->nodes.empty() ? group.first->id : group.first->nodes[0];
}

Location Remarker::placeOf(const Group &group) const {
  return NameLoc::get(StringAttr::get(&context, nodeOf(group)));
}

static std::string nameOf(const Group &group) {
  std::string name = commonName(group.ids);
  if (group.ids.size() > 1)
    name += " (" + std::to_string(group.ids.size()) + ")";
  return name;
}

static remark::RemarkOpts optionsOf(const char *category) {
  return remark::RemarkOpts::name(category).category(category).function("step");
}

void Remarker::sayPlan() const {
  const PlanResult &plan = pipeline.plan();
  const Execution &execution = plan.execution;
  const double step = toSeconds(plan.cost.step()),
               bound = toSeconds(plan.bound);
  std::string text = "mesh " + plan.mesh.str();
  if (execution.stages > 1)
    text += ", " + std::to_string(execution.stages) + " stages, " +
            execution.schedule.str();
  if (execution.microBatches > 1)
    text += ", " + std::to_string(execution.microBatches) + " micro-batches";
  if (execution.recompute)
    text += ", layers run again for their backward pass";
  text += ": step " + secondsText(step);
  Location place = NameLoc::get(StringAttr::get(&context, graph.modelName));
  remark::analysis(place, optionsOf("plan"))
      << text << remark::metric("Mesh", plan.mesh.str())
      << remark::metric("StepSeconds", step)
      << remark::metric("BoundSeconds", bound);
  if (plan.bound < plan.cost.step() && !plan.proved)
    remark::missed(place, optionsOf("gap"))
        << "nothing rules out a step of " + secondsText(bound) + ", of " +
               plan.boundSpace
        << remark::metric("StoppedBy",
                          std::string(stoppedByName(plan.stoppedBy)));
}

/// Of a step.
static std::string costText(const PlanCost &cost) {
  if (cost.step() == 0)
    return "";
  return "; " + secondsText(toSeconds(cost.compute)) + " compute, " +
         secondsText(toSeconds(cost.communication)) + " communication a step";
}

/// Operations that are split, with what they and the reshards of their results
/// take in a step.
Status Remarker::saySplits() const {
  const PlanResult &plan = pipeline.plan();
  PARTITA_TRY(std::vector<PlanCost> parts,
              evaluateParts(graph, pipeline.asked().plan.topology, plan.mesh,
                            plan.strategies, plan.execution));
  Groups groups;
  for (size_t o = 0; o < graph.ops.size(); ++o) {
    std::string split =
        splitText(planOperation(graph.ops[o], plan.strategies[o]), plan.mesh);
    if (split != "whole")
      groups(graph.ops[o], split).cost += parts[o];
  }
  for (const auto &[split, group] : groups.all)
    remark::passed(placeOf(group), optionsOf("split"))
        << nameOf(group) + ": " + split + costText(group.cost)
        << remark::metric("Node", nodeOf(group))
        << remark::metric("Operations", group.ids.size())
        << remark::metric("Split", split)
        << remark::metric("ComputeSeconds", toSeconds(group.cost.compute))
        << remark::metric("CommunicationSeconds",
                          toSeconds(group.cost.communication));
  return ok();
}

void Remarker::sayReplicated() const {
  if (!document.report)
    return;
  std::map<std::string, const GraphOp *> byId;
  for (const GraphOp &op : graph.ops)
    byId[op.id] = &op;
  Groups groups;
  for (const ReplicatedOp &op : document.report->replicated) {
    std::string axes;
    for (const std::string &axis : op.axes)
      axes += (axes.empty() ? "" : ", ") + axis;
    groups(*byId.at(op.id), axes).seconds += op.seconds;
  }
  for (const auto &[axes, group] : groups.all)
    remark::missed(placeOf(group), optionsOf("replicated"))
        << nameOf(group) + ": all ranks along " + axes + " do the same; " +
               secondsText(group.seconds) + " for a micro-batch"
        << remark::metric("Node", nodeOf(group))
        << remark::metric("Operations", group.ids.size())
        << remark::metric("Axes", axes)
        << remark::metric("Seconds", group.seconds);
}

Status Remarker::run() {
  sayPlan();
  PARTITA_CHECK(saySplits());
  sayReplicated();
  return ok();
}

Status tool::checkRemarks(const RemarkOptions &options) {
  auto fail = [&](const std::string &what, const std::string &hint) {
    return makeError(ExitCode::Usage, "usage.remarks-filter",
                     "--remarks-filter " + options.filter, what, hint);
  };
  std::string problem;
  if (!options.filter.empty() && !llvm::Regex(options.filter).isValid(problem))
    return fail(problem,
                "give a regular expression of plan, gap, split, replicated");
  if (!options.filter.empty() && !options.isEnabled())
    return fail("no remarks are asked for",
                "add --remarks or --remarks-output FILE");
  return ok();
}

Status tool::emitRemarks(Pipeline &pipeline, const Document &document,
                         const RemarkOptions &options) {
  const std::string filter = options.filter.empty() ? ".*" : options.filter;
  std::string lines, yaml;
  remark::RemarkCategories categories;
  categories.passed = categories.missed = categories.analysis = filter;
  MLIRContext &context = *pipeline.module().getContext();
  if (failed(remark::enableOptimizationRemarks(
          context, std::make_unique<Streamer>(lines, yaml),
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories)))
    return makeError(ExitCode::Internal, "remarks.engine", "--remarks",
                     "the remark engine cannot be set up");
  PARTITA_CHECK(Remarker(pipeline, document).run());
  context.setRemarkEngine(nullptr);
  if (options.print)
    std::cerr << lines << std::flush;
  if (options.yamlFile.empty())
    return ok();
  return writeFileAtomically(options.yamlFile, yaml);
}
