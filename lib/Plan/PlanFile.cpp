//===- PlanFile.cpp - The JSON of a plan ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The reader takes nothing for granted. Depth is limited before the parser sees
// the text; a Reader walks the document with the path of the field at hand, so
// that every message names it; exceptions of the JSON library end here.
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Cost.h"
#include "partita/Plan/Plan.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

using namespace partita;
using Json = nlohmann::ordered_json;

static constexpr int maxDepth = 32;
/// Objects that keep their order are searched from the front.
static constexpr size_t maxKeys = 1 << 16;
/// Each takes some tens of bytes, however few it has in the file.
static constexpr size_t maxValues = size_t(4) << 20;

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static Json toJson(const DimSharding &parts, const Mesh &mesh) {
  Json list = Json::array();
  for (const FactorSharding &part : parts.factors) {
    Json item = {{"size", part.size}};
    for (int axis : part.axes)
      item["axes"].push_back(mesh.axisNames[axis]);
    list.push_back(std::move(item));
  }
  return list;
}

/// Names that are not UTF-8 come from hostile models; they must not throw.
static std::string dumped(const Json &json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// Adds `name` as a JSON string.
static void append(std::string &text, const std::string &name) {
  bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
  });
  if (plain)
    ((text += '"') += name) += '"';
  else
    text += dumped(name, -1);
}

/// The field "strategies", one operation a line. It is as long as the model,
/// and so written without building a document of it first.
static std::string strategiesText(const Plan &plan) {
  std::string text = "{";
  // Layers repeat what they do with their factors.
  auto less = [](const std::vector<PlannedFactor> &a,
                 const std::vector<PlannedFactor> &b) {
    return std::lexicographical_compare(
        a.begin(), a.end(), b.begin(), b.end(),
        [](const PlannedFactor &x, const PlannedFactor &y) {
          return std::tie(x.name, x.parts) < std::tie(y.name, y.parts);
        });
  };
  std::map<std::vector<PlannedFactor>, std::string, decltype(less)> known(less);
  for (const PlannedOp &op : plan.ops) {
    text += text.size() == 1 ? "\n    " : ",\n    ";
    append(text, op.id);
    text += ": {\"op\": ";
    append(text, op.kind);
    text += ", \"nodes\": [";
    for (size_t i = 0; i < op.nodes.size(); ++i) {
      text += i ? ", " : "";
      append(text, op.nodes[i]);
    }
    text += "]";
    if (op.stage)
      text += ", \"stage\": " + std::to_string(op.stage);
    if (op.chunk)
      text += ", \"chunk\": " + std::to_string(op.chunk);
    std::string &factors = known[op.factors];
    if (factors.empty()) {
      Json json = Json::object();
      for (const PlannedFactor &factor : op.factors)
        json[factor.name] = toJson(factor.parts, plan.mesh);
      factors = dumped(json, -1);
    }
    text += ", \"factors\": " + factors + "}";
  }
  return text + (plan.ops.empty() ? "}" : "\n  }");
}

/// The names of the axes that a stage has.
static Json axesOfStage(const Mesh &mesh, int stage) {
  Json names = Json::array();
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    if (mesh.axisNames[axis] != stageAxis && mesh.hasAxis(stage, axis))
      names.push_back(mesh.axisNames[axis]);
  return names;
}

static Json executionJson(const Plan &plan) {
  auto both = [](const StageTimes::Time &time) {
    return Json{toSeconds(time.compute), toSeconds(time.communication)};
  };
  const Execution execution = executionOf(plan);
  Json stages = Json::array();
  for (const StageTimes &chunk : plan.chunks) {
    int stage = execution.stageOf(static_cast<int>(stages.size()));
    Json &times = stages.emplace_back();
    times["forward_seconds"] = both(chunk.forward);
    times["backward_seconds"] = both(chunk.backward);
    if (execution.splitsWeight())
      times["weight_seconds"] = both(chunk.weight);
    times["once_seconds"] = both(chunk.once);
    if (!plan.mesh.stageAxes.empty())
      times["axes"] = axesOfStage(plan.mesh, stage);
  }
  return {{"micro_batches", plan.microBatches},
          {"recompute", plan.recompute},
          {"schedule", plan.schedule.str()},
          {"stages", std::move(stages)}};
}

std::string partita::writePlan(const Plan &plan, const std::string &report) {
  Json json;
  json["format"] = "partita-plan";
  json["version"] = 1;
  json["model"] = {{"name", plan.modelName}, {"identity", plan.modelIdentity}};
  json["topology"] = plan.topology;
  json["mesh"] = Json::object();
  for (int axis = 0; axis < plan.mesh.numAxes(); ++axis)
    json["mesh"][plan.mesh.axisNames[axis]] = plan.mesh.axisSizes[axis];
  if (plan.microBatches > 1 || plan.recompute || !plan.chunks.empty())
    json["execution"] = executionJson(plan);
  json["strategies"] = Json::array(); // Replaced below.
  json["predicted"] = {
      {"step_seconds", toSeconds(plan.cost.step())},
      {"compute_seconds", toSeconds(plan.cost.compute)},
      {"communication_seconds", toSeconds(plan.cost.communication)},
      {"load_seconds", toSeconds(plan.cost.load)},
      {"idle_seconds", toSeconds(plan.cost.idle)},
      {"resident_bytes", plan.residentBytes},
      {"peak_bytes", plan.peakBytes}};
  json["bound"] = {{"step_seconds", toSeconds(plan.bound)},
                   {"space", plan.boundSpace}};
  json["gap"] = plan.gap;
  json["proved"] = plan.proved;
  json["stopped_by"] = stoppedByName(plan.stoppedBy);
  json["pins"] = plan.pins;
  json["notes"] = plan.notes;
  json["seed"] = plan.seed;
  json["effort"] = plan.effort;
  if (!report.empty())
    json["report"] = Json::parse(report);
  if (plan.run) // How the plan was made stands last.
    json["run"] = {{"seconds", plan.run->seconds}, {"host", plan.run->host}};
  std::string text = dumped(json, 2) + "\n";
  // No string before it holds these bytes: there, quotes are escaped.
  const std::string field = "\n  \"strategies\": ";
  text.replace(text.find(field) + field.size(), 2, strategiesText(plan));
  return text;
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

static Error syntaxError(const std::string &place, size_t offset,
                         const std::string &what) {
  return makeError(ExitCode::InvalidInput, "plan.syntax",
                   place + ", byte " + std::to_string(offset), what,
                   "a plan is the JSON that `partita plan -o FILE` writes");
}

/// Nesting, looked at before anything recursive is.
static Status checkDepth(const std::string &text, const std::string &place) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
      continue;
    }
    if (c == '"')
      quoted = true;
    else if (c == '{' || c == '[')
      ++depth;
    else if (c == '}' || c == ']')
      --depth;
    if (depth > maxDepth)
      return syntaxError(place, i, "the document is nested too deeply");
  }
  return ok();
}

static Result<Json> parseJson(const std::string &text,
                              const std::string &place) {
  if (text.size() > size_t(maxPlanBytes))
    return syntaxError(place, maxPlanBytes, "the file is too large for a plan");
  PARTITA_CHECK(checkDepth(text, place));
  std::vector<std::set<std::string>> keys;
  struct Refused {
    std::string what;
  };
  size_t values = 0;
  auto callback = [&](int, Json::parse_event_t event, Json &parsed) {
    if (++values > maxValues)
      throw Refused{"the document has too many values"};
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      auto key = parsed.get<std::string>();
      if (keys.back().size() == maxKeys)
        throw Refused{"an object has more than 65536 fields"};
      if (!keys.back().insert(key).second)
        throw Refused{"the key '" + key + "' occurs twice in an object"};
    }
    return true;
  };
  try {
    return Json::parse(text, callback);
  } catch (const Refused &refused) {
    return makeError(ExitCode::InvalidInput, "plan.syntax", place, refused.what,
                     "a plan is the JSON that `partita plan -o FILE` writes");
  } catch (const Json::parse_error &error) {
    return syntaxError(place, error.byte, "this is not JSON");
  } catch (const Json::exception &) {
    return syntaxError(place, 0, "this is not JSON");
  }
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {
/// One value of the document and the path to it.
class Reader {
public:
  Reader(const Json &json, std::string path, const std::string &place)
      : json(json), path(std::move(path)), place(place) {}

  Error fail(const std::string &what) const {
    return makeError(ExitCode::InvalidInput, "plan.field",
                     place + (path.empty() ? "" : ": " + path), what,
                     "a plan is the JSON that `partita plan -o FILE` writes");
  }
  Result<Reader> field(const std::string &name) const {
    if (!json.is_object())
      return fail("this must be an object");
    auto it = json.find(name);
    if (it == json.end())
      return fail("the field '" + name + "' is missing");
    return Reader(*it, path.empty() ? name : path + "." + name, place);
  }
  bool has(const std::string &name) const {
    return json.is_object() && json.contains(name);
  }
  Status onlyFields(const std::set<std::string> &names) const {
    if (!json.is_object())
      return fail("this must be an object");
    for (const auto &item : json.items())
      if (!names.count(item.key()))
        return fail("there is no field '" + item.key() + "' in a plan");
    return ok();
  }
  Result<std::string> string() const {
    if (!json.is_string())
      return fail("this must be a string");
    return json.get<std::string>();
  }
  Result<bool> boolean() const {
    if (!json.is_boolean())
      return fail("this must be true or false");
    return json.get<bool>();
  }
  Result<int64_t> integer(int64_t least, int64_t most) const {
    bool fits = json.is_number_integer() &&
                (!json.is_number_unsigned() ||
                 json.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
    if (!fits || json.get<int64_t>() < least || json.get<int64_t>() > most)
      return fail("this must be an integer from " + std::to_string(least) +
                  " to " + std::to_string(most));
    return json.get<int64_t>();
  }
  Result<uint64_t> natural() const {
    if (!json.is_number_unsigned())
      return fail("this must be a natural number");
    return json.get<uint64_t>();
  }
  Result<double> number(double least, double most) const {
    if (!json.is_number() || !(json.get<double>() >= least) ||
        !(json.get<double>() <= most))
      return fail("this must be a number from " + std::to_string(least) +
                  " to " + std::to_string(most));
    return json.get<double>();
  }
  /// Seconds, as picoseconds.
  Result<int64_t> seconds() const {
    PARTITA_TRY(double value, number(0, 1e6));
    return static_cast<int64_t>(std::llround(value * picosPerSecond));
  }
  template <typename T, typename Fn>
  Result<std::vector<T>> list(const Fn &read) const {
    if (!json.is_array())
      return fail("this must be a list");
    std::vector<T> out;
    for (size_t i = 0; i < json.size(); ++i) {
      PARTITA_TRY(
          T item,
          read(Reader(json[i], path + "[" + std::to_string(i) + "]", place)));
      out.push_back(std::move(item));
    }
    return out;
  }
  Result<std::vector<std::string>> strings() const {
    return list<std::string>([](const Reader &item) { return item.string(); });
  }
  /// Calls `fn` with each key and its value, in the order of the document.
  template <typename Fn> Status forEach(const Fn &fn) const {
    if (!json.is_object())
      return fail("this must be an object");
    for (const auto &item : json.items())
      PARTITA_CHECK(
          fn(item.key(), Reader(item.value(), path + "." + item.key(), place)));
    return ok();
  }

private:
  const Json &json;
  std::string path;
  const std::string &place;
};
} // namespace

static Result<Mesh> readMesh(const Reader &reader) {
  std::string text;
  PARTITA_CHECK(reader.forEach(
      [&](const std::string &axis, const Reader &size) -> Status {
        PARTITA_TRY(int64_t count, size.integer(1, 1 << 20));
        text += (text.empty() ? "" : ",") + axis + "=" + std::to_string(count);
        return ok();
      }));
  Result<Mesh> mesh = Mesh::parse(text);
  if (!mesh)
    return reader.fail(mesh.error().message);
  return mesh;
}

static Result<FactorSharding> readPart(const Reader &reader, const Mesh &mesh) {
  PARTITA_CHECK(reader.onlyFields({"size", "axes"}));
  FactorSharding part;
  PARTITA_TRY(Reader size, reader.field("size"));
  PARTITA_TRY(part.size, size.integer(1, INT64_MAX));
  if (!reader.has("axes"))
    return part;
  PARTITA_TRY(Reader axes, reader.field("axes"));
  PARTITA_TRY(std::vector<std::string> names, axes.strings());
  for (const std::string &name : names) {
    if (mesh.axis(name) < 0)
      return axes.fail("the mesh " + mesh.str() + " has no axis '" + name +
                       "'");
    part.axes.push_back(mesh.axis(name));
  }
  return part;
}

static Result<PlannedOp> readOp(const std::string &id, const Reader &reader,
                                const Mesh &mesh) {
  PARTITA_CHECK(
      reader.onlyFields({"op", "nodes", "stage", "chunk", "factors"}));
  PlannedOp op;
  op.id = id;
  PARTITA_TRY(Reader kind, reader.field("op"));
  PARTITA_TRY(op.kind, kind.string());
  PARTITA_TRY(Reader nodes, reader.field("nodes"));
  PARTITA_TRY(op.nodes, nodes.strings());
  for (auto [name, place] :
       {std::pair("stage", &op.stage), std::pair("chunk", &op.chunk)}) {
    if (!reader.has(name))
      continue;
    PARTITA_TRY(Reader field, reader.field(name));
    PARTITA_TRY(int64_t number, field.integer(0, 1 << 20));
    *place = static_cast<int>(number);
  }
  PARTITA_TRY(Reader factors, reader.field("factors"));
  PARTITA_CHECK(factors.forEach(
      [&](const std::string &name, const Reader &parts) -> Status {
        PlannedFactor factor{name, {}};
        PARTITA_TRY(factor.parts.factors,
                    parts.list<FactorSharding>([&](const Reader &part) {
                      return readPart(part, mesh);
                    }));
        // Products are formed later; they must not overflow.
        __int128 product = 1;
        for (const FactorSharding &part : factor.parts.factors)
          if ((product *= part.size) > INT64_MAX)
            return parts.fail("the sizes multiply to more than 2^63");
        op.factors.push_back(std::move(factor));
        return ok();
      }));
  return op;
}

static Status readPredicted(const Reader &reader, Plan &plan) {
  PARTITA_CHECK(reader.onlyFields(
      {"step_seconds", "compute_seconds", "communication_seconds",
       "load_seconds", "idle_seconds", "resident_bytes", "peak_bytes"}));
  PARTITA_TRY(Reader compute, reader.field("compute_seconds"));
  PARTITA_TRY(plan.cost.compute, compute.seconds());
  PARTITA_TRY(Reader traffic, reader.field("communication_seconds"));
  PARTITA_TRY(plan.cost.communication, traffic.seconds());
  PARTITA_TRY(Reader load, reader.field("load_seconds"));
  PARTITA_TRY(plan.cost.load, load.seconds());
  if (reader.has("idle_seconds")) {
    PARTITA_TRY(Reader idle, reader.field("idle_seconds"));
    PARTITA_TRY(plan.cost.idle, idle.seconds());
  }
  PARTITA_TRY(Reader step, reader.field("step_seconds"));
  PARTITA_TRY(int64_t sum, step.seconds());
  if (std::abs(sum - plan.cost.step()) > 1000)
    return step.fail("a step takes its compute and communication time");
  PARTITA_TRY(Reader resident, reader.field("resident_bytes"));
  PARTITA_TRY(plan.residentBytes, resident.integer(0, INT64_MAX));
  PARTITA_TRY(Reader peak, reader.field("peak_bytes"));
  PARTITA_TRY(plan.peakBytes, peak.list<int64_t>([](const Reader &item) {
    return item.integer(0, INT64_MAX);
  }));
  return ok();
}

static Status readTimes(const Reader &reader, const std::string &name,
                        StageTimes::Time &time) {
  PARTITA_TRY(Reader field, reader.field(name));
  PARTITA_TRY(
      std::vector<int64_t> both,
      field.list<int64_t>([](const Reader &item) { return item.seconds(); }));
  if (both.size() != 2)
    return field.fail("these are two numbers");
  time = {both[0], both[1]};
  return ok();
}

static Result<uint32_t> readStageAxes(const Reader &reader, const Mesh &mesh) {
  PARTITA_TRY(Reader field, reader.field("axes"));
  PARTITA_TRY(std::vector<std::string> names, field.strings());
  uint32_t axes = 0;
  for (const std::string &name : names) {
    int axis = mesh.axis(name);
    if (axis < 0 || name == stageAxis)
      return field.fail("'" + name + "' is no axis that a stage has");
    axes |= uint32_t(1) << axis;
  }
  return axes;
}

static Status readExecution(const Reader &reader, Plan &plan) {
  PARTITA_CHECK(
      reader.onlyFields({"micro_batches", "recompute", "schedule", "stages"}));
  PARTITA_TRY(Reader count, reader.field("micro_batches"));
  PARTITA_TRY(plan.microBatches, count.integer(1, 1 << 20));
  PARTITA_TRY(Reader recompute, reader.field("recompute"));
  PARTITA_TRY(plan.recompute, recompute.boolean());
  PARTITA_TRY(Reader schedule, reader.field("schedule"));
  PARTITA_TRY(std::string name, schedule.string());
  auto choice = ScheduleChoice::parse(name);
  if (!choice)
    return schedule.fail("'" + name + "' is no schedule");
  plan.schedule = *choice;
  const Execution execution = executionOf(plan);
  std::vector<uint32_t> axesOfChunks;
  PARTITA_TRY(Reader stages, reader.field("stages"));
  PARTITA_TRY(plan.chunks, stages.list<StageTimes>([&](const Reader &item)
                                                       -> Result<StageTimes> {
    PARTITA_CHECK(item.onlyFields({"forward_seconds", "backward_seconds",
                                   "weight_seconds", "once_seconds", "axes"}));
    if (item.has("axes")) {
      PARTITA_TRY(uint32_t axes, readStageAxes(item, plan.mesh));
      axesOfChunks.push_back(axes);
    }
    StageTimes times;
    PARTITA_CHECK(readTimes(item, "forward_seconds", times.forward));
    PARTITA_CHECK(readTimes(item, "backward_seconds", times.backward));
    if (execution.splitsWeight())
      PARTITA_CHECK(readTimes(item, "weight_seconds", times.weight));
    PARTITA_CHECK(readTimes(item, "once_seconds", times.once));
    return times;
  }));
  if (static_cast<int64_t>(plan.chunks.size()) != execution.chunks())
    return stages.fail("there are " + std::to_string(execution.chunks()) +
                       " of them");
  if (axesOfChunks.empty())
    return ok();
  if (axesOfChunks.size() != plan.chunks.size())
    return stages.fail("not all of them say which axes they have");
  plan.mesh.stageAxes.assign(execution.stages, 0);
  for (size_t chunk = 0; chunk < axesOfChunks.size(); ++chunk)
    plan.mesh.stageAxes[execution.stageOf(static_cast<int>(chunk))] |=
        axesOfChunks[chunk];
  return ok();
}

static Status readModel(const Reader &reader, Plan &plan) {
  PARTITA_CHECK(reader.onlyFields({"name", "identity"}));
  PARTITA_TRY(Reader name, reader.field("name"));
  PARTITA_TRY(plan.modelName, name.string());
  PARTITA_TRY(Reader identity, reader.field("identity"));
  PARTITA_TRY(plan.modelIdentity, identity.string());
  return ok();
}

static Status readBound(const Reader &reader, Plan &plan) {
  PARTITA_CHECK(reader.onlyFields({"step_seconds", "space"}));
  PARTITA_TRY(Reader step, reader.field("step_seconds"));
  PARTITA_TRY(plan.bound, step.seconds());
  PARTITA_TRY(Reader space, reader.field("space"));
  PARTITA_TRY(plan.boundSpace, space.string());
  return ok();
}

static Status readSearch(const Reader &root, Plan &plan) {
  PARTITA_TRY(Reader gap, root.field("gap"));
  PARTITA_TRY(plan.gap, gap.number(0, 1));
  PARTITA_TRY(Reader proved, root.field("proved"));
  PARTITA_TRY(plan.proved, proved.boolean());
  PARTITA_TRY(Reader stopped, root.field("stopped_by"));
  PARTITA_TRY(std::string reason, stopped.string());
  if (!parseStoppedBy(reason))
    return stopped.fail("'" + reason + "' is no reason to stop");
  plan.stoppedBy = *parseStoppedBy(reason);
  PARTITA_TRY(Reader pins, root.field("pins"));
  PARTITA_TRY(plan.pins, pins.strings());
  PARTITA_TRY(Reader notes, root.field("notes"));
  PARTITA_TRY(plan.notes, notes.strings());
  PARTITA_TRY(Reader seed, root.field("seed"));
  PARTITA_TRY(plan.seed, seed.natural());
  PARTITA_TRY(Reader effort, root.field("effort"));
  PARTITA_TRY(plan.effort, effort.integer(0, INT64_MAX));
  if (!root.has("run"))
    return ok();
  PARTITA_TRY(Reader run, root.field("run"));
  plan.run.emplace();
  if (run.has("seconds")) {
    PARTITA_TRY(Reader seconds, run.field("seconds"));
    PARTITA_TRY(plan.run->seconds, seconds.number(0, 1e9));
  }
  if (run.has("host")) {
    PARTITA_TRY(Reader host, run.field("host"));
    PARTITA_TRY(plan.run->host, host.string());
  }
  return ok();
}

static Result<Plan> readRoot(const Reader &root) {
  PARTITA_TRY(Reader format, root.field("format"));
  PARTITA_TRY(std::string name, format.string());
  if (name != "partita-plan")
    return format.fail("'" + name + "' is not 'partita-plan'");
  PARTITA_TRY(Reader version, root.field("version"));
  PARTITA_CHECK(version.integer(1, 1));
  PARTITA_CHECK(root.onlyFields({"format", "version", "model", "topology",
                                 "mesh", "execution", "strategies", "predicted",
                                 "bound", "gap", "proved", "stopped_by", "pins",
                                 "notes", "seed", "effort", "run"}));
  Plan plan;
  PARTITA_TRY(Reader model, root.field("model"));
  PARTITA_CHECK(readModel(model, plan));
  PARTITA_TRY(Reader topology, root.field("topology"));
  PARTITA_TRY(plan.topology, topology.string());
  PARTITA_TRY(Reader mesh, root.field("mesh"));
  PARTITA_TRY(plan.mesh, readMesh(mesh));
  if (root.has("execution")) {
    PARTITA_TRY(Reader execution, root.field("execution"));
    PARTITA_CHECK(readExecution(execution, plan));
  }
  PARTITA_TRY(Reader strategies, root.field("strategies"));
  PARTITA_CHECK(strategies.forEach(
      [&](const std::string &id, const Reader &reader) -> Status {
        PARTITA_TRY(PlannedOp op, readOp(id, reader, plan.mesh));
        plan.ops.push_back(std::move(op));
        return ok();
      }));
  PARTITA_TRY(Reader predicted, root.field("predicted"));
  PARTITA_CHECK(readPredicted(predicted, plan));
  PARTITA_TRY(Reader bound, root.field("bound"));
  PARTITA_CHECK(readBound(bound, plan));
  PARTITA_CHECK(readSearch(root, plan));
  return plan;
}

Result<Plan> partita::readPlan(const std::string &text,
                               const std::string &place, std::string *report) {
  PARTITA_TRY(Json json, parseJson(text, place));
  if (report && json.is_object() && json.contains("report")) {
    *report = dumped(json["report"], -1);
    json.erase("report");
  }
  return readRoot(Reader(json, "", place));
}
