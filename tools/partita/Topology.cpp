//===- Topology.cpp - partita topology ------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shows machines as the planner sees them: `show` one by name or file,
// `validate` a file, `list` the presets.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Options.h"
#include "Table.h"
#include "partita/Topology/Presets.h"
#include "partita/Topology/Units.h"
#include <nlohmann/json.hpp>

using namespace partita;
using namespace partita::tool;
using nlohmann::ordered_json;

namespace {
struct ShowOptions {
  std::string topology, format = "text";
};
struct ListOptions {
  std::string format = "text";
};
} // namespace

/// A figure, or a dash where it is not known or no limit.
static std::string quantity(double value, Dimension dimension) {
  return value > 0 ? formatQuantity(value, dimension) : "-";
}

static std::string plural(int64_t count, const std::string &what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

static std::string range(int64_t first, int64_t last) {
  return std::to_string(first) +
         (last > first ? "-" + std::to_string(last) : "");
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string devicesText(const Topology &topology) {
  Table table({"device", "ranks", "f32", "matrix bf16", "f8", "memory",
               "bandwidth", "launch"});
  for (size_t type = 0; type < topology.devices.size(); ++type) {
    const DeviceType &device = topology.devices[type];
    int64_t ranks = 0;
    for (const DeviceRange &part : topology.ranges)
      ranks += part.type == static_cast<int>(type) ? part.count : 0;
    auto rate = [](double value) { return quantity(value, Dimension::Rate); };
    table.row(
        {device.name, std::to_string(ranks),
         rate(device.vectorPeak(Precision::F32)),
         rate(device.matrixPeak(Precision::BF16)),
         rate(device.matrixPeak(Precision::F8)),
         quantity(static_cast<double>(device.memoryBytes), Dimension::Bytes),
         quantity(device.memoryBandwidth, Dimension::Bandwidth),
         formatQuantity(device.launchSeconds, Dimension::Seconds)});
  }
  return table.str();
}

static std::vector<std::string> linkCells(const Link &link) {
  auto bandwidth = [](double value) {
    return quantity(value, Dimension::Bandwidth);
  };
  return {std::string(linkKindName(link.kind)) +
              (link.reduces ? ", reduces" : ""),
          formatQuantity(link.latencySeconds, Dimension::Seconds),
          bandwidth(link.bandwidth),
          bandwidth(link.pairBandwidth),
          bandwidth(link.childBandwidth),
          bandwidth(link.mediumBandwidth)};
}

static std::string levelsText(const Topology &topology) {
  Table table({"level", "size", "link", "latency", "of a rank", "of a pair",
               "of a child", "of all"});
  auto add = [&](const std::string &name, const std::string &size,
                 const Link &link) {
    std::vector<std::string> cells = linkCells(link);
    cells.insert(cells.begin(), {name, size});
    table.row(std::move(cells));
  };
  for (const Level &level : topology.levels)
    add(level.name, std::to_string(level.size), level.link);
  for (const LinkOverride &other : topology.overrides)
    add(topology.levels[other.level].name + " " +
            range(other.first, other.last),
        "", other.link);
  return table.str();
}

static std::string describe(const Topology &topology) {
  std::string text =
      topology.name + ": " + plural(topology.numRanks(), "rank") + " on " +
      plural(static_cast<int64_t>(topology.levels.size()), "level");
  if (const LinkGraph &graph = topology.graph; graph.ranks > 0)
    text += ", derived from a graph of " + plural(graph.ranks, "rank") +
            " with " +
            plural(static_cast<int64_t>(graph.switches.size()), "other node") +
            " and " + plural(static_cast<int64_t>(graph.links.size()), "link");
  text += "\n\n" + devicesText(topology) + "\n" + levelsText(topology);
  for (const DeviceType &device : topology.devices)
    if (!device.source.empty())
      text += "\n" + device.name + ": " + device.source + "\n";
  return text;
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

static ordered_json ratesJson(const Rates &rates) {
  ordered_json json = ordered_json::object();
  for (size_t p = 0; p < numPrecisions; ++p)
    if (rates[p] > 0)
      json[precisionName(static_cast<Precision>(p))] = rates[p];
  return json;
}

static ordered_json deviceJson(const DeviceType &device) {
  return {{"name", device.name},
          {"model", device.model()},
          {"kind", deviceKindName(device.kind)},
          {"threads", device.threads},
          {"vector_flops", ratesJson(device.vector)},
          {"matrix_flops", ratesJson(device.matrix)},
          {"sustained_flops", ratesJson(device.sustained)},
          {"memory_bytes", device.memoryBytes},
          {"memory_bytes_per_second", device.memoryBandwidth},
          {"launch_seconds", device.launchSeconds},
          {"compute_units", device.computeUnits},
          {"cache_bytes", device.cacheBytes},
          {"clock_hz", device.clockHz},
          {"power_watts", device.powerWatts},
          {"dollars_per_hour", device.dollarsPerHour},
          {"source", device.source}};
}

static ordered_json linkJson(const Link &link) {
  return {{"kind", linkKindName(link.kind)},
          {"latency_seconds", link.latencySeconds},
          {"bytes_per_second", link.bandwidth},
          {"pair_bytes_per_second", link.pairBandwidth},
          {"child_bytes_per_second", link.childBandwidth},
          {"medium_bytes_per_second", link.mediumBandwidth},
          {"channels", link.channels},
          {"reduces", link.reduces}};
}

static ordered_json toJson(const Topology &topology) {
  ordered_json json = {{"name", topology.name},
                       {"ranks", topology.numRanks()},
                       {"devices", ordered_json::array()},
                       {"ranges", ordered_json::array()},
                       {"levels", ordered_json::array()},
                       {"overrides", ordered_json::array()}};
  for (const DeviceType &device : topology.devices)
    json["devices"].push_back(deviceJson(device));
  for (const DeviceRange &part : topology.ranges)
    json["ranges"].push_back({{"first", part.first},
                              {"count", part.count},
                              {"device", topology.devices[part.type].name}});
  for (const Level &level : topology.levels)
    json["levels"].push_back({{"level", level.name},
                              {"size", level.size},
                              {"link", linkJson(level.link)}});
  for (const LinkOverride &other : topology.overrides)
    json["overrides"].push_back({{"level", topology.levels[other.level].name},
                                 {"first", other.first},
                                 {"last", other.last},
                                 {"link", linkJson(other.link)}});
  return json;
}

static std::string dump(const ordered_json &json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

static Result<ExitCode> runShow(const ShowOptions &options) {
  PARTITA_TRY(Topology topology, Topology::parse(options.topology));
  PARTITA_CHECK(printResult(options.format == "json" ? dump(toJson(topology))
                                                     : describe(topology)));
  return ExitCode::Ok;
}

static Result<ExitCode> runValidate(const ShowOptions &options) {
  PARTITA_TRY(Topology topology, Topology::parse(options.topology));
  int64_t ranks = topology.numRanks();
  std::string text =
      options.format == "json"
          ? dump({{"valid", true}, {"name", topology.name}, {"ranks", ranks}})
          : options.topology + ": " + topology.name + ", " +
                plural(ranks, "rank") + "\n";
  PARTITA_CHECK(printResult(text));
  return ExitCode::Ok;
}

static std::string presetsText() {
  Table machines({"machine", "ranks", "device", ""}),
      devices({"device", "matrix bf16", "memory", "bandwidth", "power"}),
      networks({"network", "kind", "of a rank", "of a machine"});
  for (const MachinePreset &preset : machinePresets())
    machines.row({preset.name, std::to_string(preset.ranks), preset.device,
                  preset.summary});
  for (const auto &[name, device] : devicePresets())
    devices.row(
        {name, quantity(device.matrixPeak(Precision::BF16), Dimension::Rate),
         quantity(static_cast<double>(device.memoryBytes), Dimension::Bytes),
         quantity(device.memoryBandwidth, Dimension::Bandwidth),
         quantity(device.powerWatts, Dimension::Watts)});
  for (const auto &[name, link] : networkPresets())
    networks.row({name, linkKindName(link.kind),
                  quantity(link.bandwidth, Dimension::Bandwidth),
                  quantity(link.childBandwidth, Dimension::Bandwidth)});
  return "Machines; MACHINExN is N of them, MACHINExN@NETWORK over another "
         "network\n" +
         machines.str() + "\nDevices; one by itself is a machine, too\n" +
         devices.str() + "\nNetworks\n" + networks.str() +
         "\nThis processor: cpu:N, N ranks of one thread, or cpu:NxT\n";
}

static ordered_json presetsJson() {
  ordered_json json = {{"machines", ordered_json::array()},
                       {"devices", ordered_json::array()},
                       {"networks", ordered_json::object()}};
  for (const MachinePreset &preset : machinePresets())
    json["machines"].push_back({{"name", preset.name},
                                {"ranks", preset.ranks},
                                {"device", preset.device},
                                {"summary", preset.summary}});
  for (const auto &[name, device] : devicePresets())
    json["devices"].push_back(deviceJson(device));
  for (const auto &[name, link] : networkPresets())
    json["networks"][name] = linkJson(link);
  return json;
}

static Result<ExitCode> runList(const ListOptions &options) {
  PARTITA_CHECK(printResult(options.format == "json" ? dump(presetsJson())
                                                     : presetsText()));
  return ExitCode::Ok;
}

void tool::addTopology(CLI::App &app, Action &chosen) {
  CLI::App *parent = app.add_subcommand(
      "topology", "Show, check and list descriptions of machines");
  parent->require_subcommand(1);
  auto [show, shown] =
      addCommand<ShowOptions>(*parent, chosen, "show",
                              "Show a machine as the planner sees it", runShow);
  show->add_option("topology", shown->topology, "A name, or a file")
      ->required()
      ->type_name("NAME|FILE.yaml");
  addFormat(*show, shown->format);
  auto [validate, validated] = addCommand<ShowOptions>(
      *parent, chosen, "validate", "Check a file that describes a machine",
      runValidate);
  validate->add_option("topology", validated->topology, "The file")
      ->required()
      ->type_name("FILE.yaml");
  addFormat(*validate, validated->format);
  auto [list, listed] = addCommand<ListOptions>(
      *parent, chosen, "list", "List the machines that have a name", runList);
  addFormat(*list, listed->format);
}
