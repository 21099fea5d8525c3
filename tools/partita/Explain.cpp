//===- Explain.cpp - partita explain --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Says of operations what else they could do, what the plan would then cost,
// and what decided. The plan comes from a file or is made as `plan` makes it.
//
//===----------------------------------------------------------------------===//

#include "partita/Planner/Explain.h"
#include "Commands.h"
#include "Document.h"
#include "Table.h"
#include "partita/Cost/Cost.h"
#include "partita/Plan/Compare.h"
#include "partita/Plan/IR.h"
#include "partita/Support/File.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using Json = nlohmann::ordered_json;

namespace {
struct ExplainOptions {
  RequestOptions request;
  std::vector<std::string> words;
  int64_t alternatives = 8;
  std::string format = "text";
};

/// A plan and the model that it is for.
struct Subject {
  Graph graph;
  Topology topology;
  Mesh mesh;
  std::vector<Strategy> strategies;
  std::vector<Pin> pins;
};
} // namespace

//===----------------------------------------------------------------------===//
// What decided
//===----------------------------------------------------------------------===//

static std::string timeText(int64_t picoseconds) {
  return secondsText(toSeconds(picoseconds));
}

static std::string signedTime(int64_t picoseconds) {
  return (picoseconds > 0   ? "+"
          : picoseconds < 0 ? "-"
                            : "") +
         timeText(std::abs(picoseconds));
}

static std::string split(const Subject &subject, const Explanation &of,
                         const Alternative &alternative) {
  return splitText(
      planOperation(subject.graph.ops[of.op], alternative.strategy),
      subject.mesh);
}

/// The pins of the plan that are about the operation.
static std::vector<std::string> pinsOf(const Subject &subject, int op) {
  std::vector<std::string> pins;
  for (const Pin &pin : subject.pins) {
    std::vector<int> ops = operationsMatching(subject.graph, pin.glob);
    if (std::find(ops.begin(), ops.end(), op) != ops.end())
      pins.push_back(pin.text);
  }
  return pins;
}

/// What the step of an alternative has more than the plan's: "+1 us compute, -2
/// us communication".
static std::string moreText(const Explanation &of, const Alternative &other) {
  const PlanCost &plan = of.chosen.cost;
  return signedTime(other.cost.compute - plan.compute) + " compute, " +
         signedTime(other.cost.communication - plan.communication) +
         " communication";
}

static std::string decidedText(const Subject &subject, const Explanation &of) {
  std::string pins;
  for (const std::string &pin : pinsOf(subject, of.op))
    pins += (pins.empty() ? "pinned by " : ", ") + pin;
  if (!pins.empty())
    return pins;
  if (of.others.empty())
    return "there is no other strategy on this mesh";
  const Alternative &next = of.others.front();
  std::string name = split(subject, of, next);
  if (next.difference < 0)
    return "not by itself: '" + name + "' would be " +
           timeText(-next.difference) +
           " better; memory, or operations that changed together, decided, or "
           "the search ended before";
  if (next.difference == 0)
    return "nothing: '" + name + "' is as good";
  // The fastest kernel that was not taken is what one wonders about.
  auto fastest = std::min_element(
      of.others.begin(), of.others.end(),
      [](const auto &a, const auto &b) { return a.kernel < b.kernel; });
  if (fastest->kernel < of.chosen.kernel)
    return "the neighbours: its kernel would be " +
           timeText(of.chosen.kernel - fastest->kernel) + " faster as '" +
           split(subject, of, *fastest) + "', but that is " +
           moreText(of, *fastest) + " a step";
  if (next.cost.step() > of.chosen.cost.step())
    return "time: the next best, '" + name + "', is " + moreText(of, next) +
           " a step";
  return "memory or load: '" + name +
         "' takes the same step, and keeps more bytes or loads longer";
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

static std::string textOf(const Subject &subject, const Explanation &of) {
  const GraphOp &op = subject.graph.ops[of.op];
  std::string text = op.id + " (" + op.kind + ")\n  rule: " + op.rule.str() +
                     "\n  decided: " + decidedText(subject, of) + "\n";
  Table table({"split", "kernel", "compute", "communication", "load", "gain"});
  auto row = [&](const Alternative &alternative, bool isChosen) {
    const PlanCost &plan = of.chosen.cost, &cost = alternative.cost;
    auto more = [&](int64_t PlanCost::*part) {
      return isChosen ? timeText(cost.*part)
                      : signedTime(cost.*part - plan.*part);
    };
    table.row({split(subject, of, alternative), timeText(alternative.kernel),
               more(&PlanCost::compute), more(&PlanCost::communication),
               more(&PlanCost::load),
               isChosen ? "chosen" : signedTime(-alternative.difference)});
  };
  row(of.chosen, true);
  for (const Alternative &other : of.others)
    row(other, false);
  text += table.str();
  if (int64_t left = of.numOthers - static_cast<int64_t>(of.others.size()))
    text += "  and " + std::to_string(left) + " that are worse\n";
  return text;
}

static Json jsonOf(const Subject &subject, const Explanation &of) {
  auto item = [&](const Alternative &alternative) {
    return Json{
        {"split", split(subject, of, alternative)},
        {"kernel_seconds", toSeconds(alternative.kernel)},
        {"step_seconds", toSeconds(alternative.cost.step())},
        {"compute_seconds", toSeconds(alternative.cost.compute)},
        {"communication_seconds", toSeconds(alternative.cost.communication)},
        {"load_seconds", toSeconds(alternative.cost.load)},
        {"worse_by_seconds", toSeconds(alternative.difference)}};
  };
  const GraphOp &op = subject.graph.ops[of.op];
  Json json = {{"id", op.id},
               {"op", op.kind},
               {"nodes", op.nodes},
               {"rule", op.rule.str()},
               {"decided", decidedText(subject, of)},
               {"pins", pinsOf(subject, of.op)},
               {"chosen", item(of.chosen)},
               {"others", Json::array()},
               {"number_of_others", of.numOthers}};
  for (const Alternative &other : of.others)
    json["others"].push_back(item(other));
  return json;
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

/// The plan that `plan` would make.
static Result<Subject> planned(const ExplainOptions &options) {
  if (options.request.topology.empty())
    return makeError(ExitCode::Usage, "usage", "command line",
                     "there is neither a plan nor a machine",
                     "name a plan before the operations, or give --topology");
  PARTITA_TRY(Request request, options.request.resolve());
  Progress progress(Pipeline::phases - 1);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_CHECK(pipeline.load());
  PARTITA_CHECK(pipeline.choose());
  progress.clear();
  return Subject{pipeline.graph(), pipeline.asked().plan.topology,
                 pipeline.plan().mesh, pipeline.plan().strategies,
                 pipeline.asked().plan.pins};
}

/// The plan of a file, on the machine that it is for.
static Result<Subject> fromFile(ExplainOptions options) {
  const std::string file = options.request.planFile;
  PARTITA_TRY(std::string text, readFile(file, maxPlanBytes));
  PARTITA_TRY(Document document, readDocument(text, file));
  const Plan &plan = document.plan;
  if (options.request.topology.empty())
    options.request.topology = plan.topology;
  PARTITA_TRY(Request request, options.request.resolve());
  Subject subject;
  subject.topology = request.plan.topology;
  if (subject.topology.numRanks() != plan.mesh.numRanks())
    return makeError(ExitCode::Usage, "plan.mesh-size", file,
                     "the plan is for " + std::to_string(plan.mesh.numRanks()) +
                         " ranks, and " + subject.topology.text + " has " +
                         std::to_string(subject.topology.numRanks()),
                     "--topology " + plan.topology);
  Progress progress(Pipeline::phases - 1);
  Pipeline &pipeline = startPipeline(std::move(request), progress);
  PARTITA_CHECK(pipeline.load());
  progress.clear();
  PARTITA_TRY(subject.graph, extractGraph(pipeline.module()));
  PARTITA_CHECK(checkPlain(plan, file));
  PARTITA_TRY(subject.strategies, strategiesFor(plan, subject.graph, file));
  subject.mesh = plan.mesh;
  for (const std::string &written : plan.pins)
    if (auto pin = Pin::parse(written))
      subject.pins.push_back(std::move(*pin));
  return subject;
}

static Result<ExitCode> runExplain(ExplainOptions options) {
  // A plan's name stands where other commands have --plan.
  auto isPlan = [](const std::string &word) {
    return word.size() > 5 && word.ends_with(".json");
  };
  if (options.request.planFile.empty() && isPlan(options.words.front())) {
    options.request.planFile = options.words.front();
    options.words.erase(options.words.begin());
  }
  if (options.words.empty())
    return makeError(ExitCode::Usage, "usage", "command line",
                     "no operation is named",
                     "name ids or ONNX nodes; `*` matches anything");
  PARTITA_TRY(Subject subject, options.request.planFile.empty()
                                   ? planned(options)
                                   : fromFile(options));
  std::vector<int> ops;
  for (const std::string &word : options.words) {
    std::vector<int> matching = operationsMatching(subject.graph, word);
    if (matching.empty())
      return makeError(ExitCode::Usage, "explain.node", word,
                       "no operation and no ONNX node matches",
                       "`partita plan --format json` lists them; `*` matches "
                       "anything");
    ops.insert(ops.end(), matching.begin(), matching.end());
  }
  PARTITA_TRY(std::vector<Explanation> explanations,
              explain(subject.graph, subject.topology, subject.mesh,
                      subject.strategies, ops,
                      static_cast<size_t>(options.alternatives)));
  std::string text;
  Json json = Json::array();
  for (const Explanation &explanation : explanations)
    if (options.format == "json")
      json.push_back(jsonOf(subject, explanation));
    else
      text += textOf(subject, explanation);
  if (options.format == "json")
    text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  PARTITA_CHECK(printResult(text));
  return ExitCode::Ok;
}

void tool::addExplain(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<ExplainOptions>(
      app, chosen, "explain",
      "Say what operations could do instead, what that costs, and what decided",
      runExplain);
  options->request.declare(*command);
  // A plan says for which machine it is.
  options->request.topology.clear();
  command->get_option("--topology")->required(false);
  options->request.declareTraining(*command, /*withGradients=*/false);
  command
      ->add_option("words", options->words,
                   "A plan (without one, it is made), and operations")
      ->required()
      ->type_name("[PLAN.json] NODE...");
  command
      ->add_option("--alternatives", options->alternatives,
                   "The most that are shown of an operation (default 8)")
      ->check(CLI::Range(1, 100'000))
      ->type_name("N");
  addFormat(*command, options->format);
}
