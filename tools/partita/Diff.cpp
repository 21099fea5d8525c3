//===- Diff.cpp - partita diff --------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Says what two plans decide and predict differently. With the model, it says
// what each decision costs too: both plans are priced by operation. Stages work
// at the same time, so of plans that have some a decision costs its mean over
// the stages, and what a step takes beyond that is waiting.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Document.h"
#include "Table.h"
#include "partita/Cost/Cost.h"
#include "partita/Plan/Compare.h"
#include "partita/Plan/IR.h"
#include "partita/Support/File.h"
#include "partita/Support/Names.h"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

using namespace partita;
using namespace partita::tool;
using Json = nlohmann::ordered_json;

namespace {
struct DiffOptions {
  std::string files[2], format = "text";
  RequestOptions request;
};

/// By operation of the model that both plans are for.
using Prices = std::unordered_map<std::string, PlanCost>;

/// A figure of both plans.
struct Figure {
  const char *name;
  bool isBytes;
  int64_t values[2];
};

class Difference {
public:
  Difference(const Document &first, const Document &second,
             std::optional<std::array<Prices, 2>> prices);
  bool isNone() const;
  std::string text() const;
  std::string json() const;

private:
  struct Line {
    Change change;
    /// Of a step, with the reshards of what the operations make.
    int64_t picoseconds[2] = {};
    int64_t difference() const { return picoseconds[1] - picoseconds[0]; }
  };
  void addFigures();
  void addPrices();
  std::string figuresText() const;
  std::string changesText() const;

  const Document *documents[2];
  std::optional<std::array<Prices, 2>> prices;
  std::vector<Figure> figures;
  std::vector<Line> lines;
  /// Of operations that are split alike: their reshards lead elsewhere, or the
  /// machine is another.
  int64_t others[2] = {};
  /// What stages wait for each other, and have more to do than their mean.
  int64_t waiting[2] = {};
};
} // namespace

static int64_t greatest(const std::vector<int64_t> &values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

Difference::Difference(const Document &first, const Document &second,
                       std::optional<std::array<Prices, 2>> given)
    : documents{&first, &second}, prices(std::move(given)) {
  addFigures();
  for (Change &change : changesBetween(first.plan, second.plan))
    lines.push_back({std::move(change)});
  if (prices)
    addPrices();
}

void Difference::addPrices() {
  for (int side : {0, 1}) {
    const Plan &plan = documents[side]->plan;
    const int64_t stages = executionOf(plan).stages;
    Prices rest = (*prices)[side];
    int64_t sum = 0;
    for (Line &line : lines) {
      for (const std::string &id : line.change.ids) {
        line.picoseconds[side] += rest[id].step();
        rest.erase(id);
      }
      line.picoseconds[side] /= stages;
      sum += line.picoseconds[side];
    }
    for (const auto &[id, cost] : rest)
      others[side] += cost.step();
    others[side] /= stages;
    if (stages > 1)
      waiting[side] = plan.cost.step() - sum - others[side];
  }
  auto rank = [](const Line &line) {
    return std::tuple(-std::abs(line.difference()), line.change.ids.front());
  };
  std::sort(lines.begin(), lines.end(),
            [&](const Line &a, const Line &b) { return rank(a) < rank(b); });
}

namespace {
/// Of the stage that does most. There are none if everything is done once.
struct Causes {
  int64_t again = 0, inMicroBatches = 0, once = 0;
};
} // namespace

static Causes causesOf(const Plan &plan) {
  Causes causes;
  int64_t most = -1;
  for (const StageTimes &stage :
       timesOfStages(executionOf(plan), plan.chunks)) {
    int64_t busy = plan.microBatches * stage.microBatch() + stage.once.sum();
    if (busy <= most)
      continue;
    most = busy;
    causes.again = plan.recompute ? plan.microBatches * stage.forward.sum() : 0;
    causes.inMicroBatches = plan.microBatches * (stage.forward.communication +
                                                 stage.backward.communication +
                                                 stage.weight.communication);
    causes.once = stage.once.communication;
  }
  return causes;
}

void Difference::addFigures() {
  const Plan &a = documents[0]->plan, &b = documents[1]->plan;
  Causes first, second;
  if (!a.chunks.empty() && !b.chunks.empty()) {
    first = causesOf(a);
    second = causesOf(b);
  }
  figures = {
      {"step", false, {a.cost.step(), b.cost.step()}},
      {"compute", false, {a.cost.compute, b.cost.compute}},
      {"communication", false, {a.cost.communication, b.cost.communication}},
      {"waiting for stages", false, {a.cost.idle, b.cost.idle}},
      {"of these again for recomputation", false, {first.again, second.again}},
      {"communication of micro-batches",
       false,
       {first.inMicroBatches, second.inMicroBatches}},
      {"communication once a step", false, {first.once, second.once}},
      {"at load", false, {a.cost.load, b.cost.load}},
      {"bound", false, {a.bound, b.bound}},
      {"resident", true, {a.residentBytes, b.residentBytes}},
      {"peak of a rank", true, {greatest(a.peakBytes), greatest(b.peakBytes)}},
  };
}

bool Difference::isNone() const {
  const Plan &a = documents[0]->plan, &b = documents[1]->plan;
  auto place = [](const PlannedOp &x, const PlannedOp &y) {
    return x.stage == y.stage && x.chunk == y.chunk;
  };
  return lines.empty() && a.mesh == b.mesh && a.topology == b.topology &&
         a.microBatches == b.microBatches && a.recompute == b.recompute &&
         a.schedule == b.schedule &&
         std::equal(a.ops.begin(), a.ops.end(), b.ops.begin(), b.ops.end(),
                    place) &&
         a.modelIdentity == b.modelIdentity && a.peakBytes == b.peakBytes &&
         std::all_of(figures.begin(), figures.end(), [](const Figure &figure) {
           return figure.values[0] == figure.values[1];
         });
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string timeText(int64_t picoseconds) {
  return secondsText(toSeconds(picoseconds));
}

static std::string signedText(const Figure &figure) {
  int64_t more = figure.values[1] - figure.values[0];
  std::string sign = more > 0 ? "+" : more < 0 ? "-" : "";
  more = std::abs(more);
  std::string text = sign + (figure.isBytes ? bytesText(more) : timeText(more));
  if (figure.values[0] > 0 && more != 0)
    text += " (" + sign +
            number(100 * double(more) / double(figure.values[0]), 3) + "%)";
  return text;
}

std::string Difference::figuresText() const {
  Table table({"predicted", "first", "second", "difference"});
  for (const Figure &figure : figures) {
    auto value = [&](int side) {
      return figure.isBytes ? bytesText(figure.values[side])
                            : timeText(figure.values[side]);
    };
    if (figure.values[0] != 0 || figure.values[1] != 0)
      table.row({figure.name, value(0), value(1), signedText(figure)});
  }
  return table.str();
}

static std::string orAbsent(const std::string &split) {
  return split.empty() ? "absent" : split;
}

std::string Difference::changesText() const {
  int64_t count = 0;
  for (const Line &line : lines)
    count += static_cast<int64_t>(line.change.ids.size());
  if (count == 0 && others[0] == others[1])
    return "strategies: the same\n";
  std::vector<std::string> header = {"operations", "count", "kind", "first",
                                     "second"};
  if (prices)
    header.insert(header.end(), {"time", "time", "difference"});
  Table table(header);
  auto row = [&](std::vector<std::string> cells, const int64_t (&times)[2]) {
    if (prices)
      cells.insert(cells.end(),
                   {timeText(times[0]), timeText(times[1]),
                    signedText({"", false, {times[0], times[1]}})});
    table.row(std::move(cells));
  };
  int64_t free = 0;
  for (const Line &line : lines) {
    if (prices && line.picoseconds[0] == 0 && line.picoseconds[1] == 0) {
      free += static_cast<int64_t>(line.change.ids.size());
      continue;
    }
    row({commonName(line.change.ids), std::to_string(line.change.ids.size()),
         line.change.kind, orAbsent(line.change.first),
         orAbsent(line.change.second)},
        line.picoseconds);
  }
  if (others[0] != others[1])
    row({"(split alike)", "", "", "", ""}, others);
  if (waiting[0] != waiting[1])
    row({"(waiting, unequal stages)", "", "", "", ""}, waiting);
  return "strategies: " + std::to_string(count) +
         " operations are split otherwise\n" + table.str() +
         (free ? "  and " + std::to_string(free) + " that take no time\n" : "");
}

std::string Difference::text() const {
  std::string text;
  const char *const names[] = {"first:  ", "second: "};
  for (int side : {0, 1}) {
    const Plan &plan = documents[side]->plan;
    text += names[side] + plan.modelName + " on " + plan.topology + ", mesh " +
            plan.mesh.str();
    if (plan.microBatches > 1)
      text += ", " + std::to_string(plan.microBatches) + " micro-batches";
    if (plan.chunks.size() > 1)
      text += ", " + plan.schedule.str();
    text += plan.recompute ? ", layers run again\n" : "\n";
  }
  if (isNone())
    return text + "the same\n";
  const Plan &first = documents[0]->plan, &second = documents[1]->plan;
  // A step of more micro-batches is another graph of the same model.
  if (first.modelIdentity != second.modelIdentity &&
      first.microBatches == second.microBatches)
    text += "the plans are for different models\n";
  return text + figuresText() + changesText();
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

std::string Difference::json() const {
  Json json;
  json["same"] = isNone();
  auto both = [&](auto get) {
    return Json{get(documents[0]->plan), get(documents[1]->plan)};
  };
  json["model"] = both([](const Plan &plan) { return plan.modelName; });
  json["identity"] = both([](const Plan &plan) { return plan.modelIdentity; });
  json["topology"] = both([](const Plan &plan) { return plan.topology; });
  json["mesh"] = both([](const Plan &plan) { return plan.mesh.str(); });
  json["micro_batches"] =
      both([](const Plan &plan) { return plan.microBatches; });
  json["recompute"] = both([](const Plan &plan) { return plan.recompute; });
  json["schedule"] = both([](const Plan &plan) { return plan.schedule.str(); });
  auto seconds = [](const int64_t (&picoseconds)[2]) {
    return Json{toSeconds(picoseconds[0]), toSeconds(picoseconds[1])};
  };
  for (const Figure &figure : figures) {
    std::string name = figure.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    if (figure.isBytes)
      json["predicted"][name + "_bytes"] = figure.values;
    else
      json["predicted"][name + "_seconds"] = seconds(figure.values);
  }
  json["strategies"] = Json::array();
  for (const Line &line : lines) {
    auto orNull = [](const std::string &split) {
      return split.empty() ? Json() : Json(split);
    };
    Json item = {{"operations", commonName(line.change.ids)},
                 {"ids", line.change.ids},
                 {"op", line.change.kind},
                 {"first", orNull(line.change.first)},
                 {"second", orNull(line.change.second)}};
    if (prices)
      item["seconds"] = seconds(line.picoseconds);
    json["strategies"].push_back(std::move(item));
  }
  if (prices) {
    json["others_seconds"] = seconds(others);
    json["waiting_seconds"] = seconds(waiting);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

static Result<Document> readPlanFile(const std::string &path) {
  PARTITA_TRY(std::string text, readFile(path, maxPlanBytes));
  return readDocument(text, path);
}

/// What each operation of the model costs under a plan.
static Result<Prices> pricesOf(Pipeline &pipeline, const Graph &graph,
                               const Plan &plan, const std::string &place) {
  PARTITA_TRY(Topology topology, Topology::parse(plan.topology));
  auto step = pipeline.microBatch(graph, plan.microBatches);
  if (!step)
    return ofPlanFile(place, step.takeError());
  PARTITA_TRY(std::vector<Strategy> strategies,
              strategiesFor(plan, *step, place));
  PARTITA_TRY(Execution execution, executionOf(plan, *step, place));
  auto parts = evaluateParts(*step, topology, plan.mesh, strategies, execution);
  if (!parts)
    return ofPlanFile(place, parts.takeError());
  Prices prices;
  for (size_t o = 0; o < parts->size(); ++o)
    prices[step->ops[o].id] = (*parts)[o];
  return prices;
}

static Result<ExitCode> runDiff(const DiffOptions &options) {
  PARTITA_TRY(Document first, readPlanFile(options.files[0]));
  PARTITA_TRY(Document second, readPlanFile(options.files[1]));
  std::optional<std::array<Prices, 2>> prices;
  if (!options.request.model.empty()) {
    PARTITA_TRY(Request request, options.request.resolve());
    Progress progress(Pipeline::phases - 1);
    Pipeline &pipeline = startPipeline(std::move(request), progress);
    PARTITA_CHECK(pipeline.load());
    progress.clear();
    PARTITA_TRY(Graph graph, extractGraph(pipeline.module()));
    PARTITA_TRY(Prices a,
                pricesOf(pipeline, graph, first.plan, options.files[0]));
    PARTITA_TRY(Prices b,
                pricesOf(pipeline, graph, second.plan, options.files[1]));
    prices = {std::move(a), std::move(b)};
  }
  Difference difference(first, second, std::move(prices));
  PARTITA_CHECK(printResult(options.format == "json" ? difference.json()
                                                     : difference.text()));
  return difference.isNone() ? ExitCode::Ok : ExitCode::Different;
}

void tool::addDiff(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<DiffOptions>(
      app, chosen, "diff", "Compare two plans; exit code 7 if they differ",
      runDiff);
  command->add_option("first", options->files[0], "A plan")
      ->required()
      ->type_name("A.json");
  command->add_option("second", options->files[1], "Another one")
      ->required()
      ->type_name("B.json");
  command
      ->add_option("--model", options->request.model,
                   "The model of both, to price each difference")
      ->type_name("M.onnx");
  options->request.declareDims(*command);
  options->request.declareTraining(*command, /*withGradients=*/false);
  addFormat(*command, options->format);
}
