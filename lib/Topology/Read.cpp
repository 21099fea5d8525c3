//===- Read.cpp - Topologies from YAML ------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Read.h"
#include "Fields.h"
#include "ReadGraph.h"
#include <algorithm>

using namespace partita;
using namespace partita::topology;

/// The names of a map, for hints.
template <typename Value>
static std::vector<std::string>
namesOf(const std::map<std::string, Value> &entries) {
  std::vector<std::string> names;
  for (const auto &[name, value] : entries)
    names.push_back(name);
  return names;
}

/// As many names as a message can show.
static std::string listed(const std::vector<std::string> &names) {
  std::string text;
  constexpr size_t most = 32;
  for (size_t i = 0; i < std::min(most, names.size()); ++i)
    text += (i ? ", " : "") + names[i].substr(0, 64);
  return text + (names.size() > most ? ", ..." : "");
}

[[noreturn]] static void failUnknown(const std::string &file,
                                     const YamlNode &node,
                                     const std::string &what,
                                     const std::vector<std::string> &known) {
  std::string nearest = nearestOf(node.text, known);
  failAt(file, node, "name",
         "there is no " + what + " '" + node.text.substr(0, 64) + "'",
         nearest.empty() ? "there are " + listed(known)
                         : "did you mean '" + nearest + "'?");
}

//===----------------------------------------------------------------------===//
// Devices
//===----------------------------------------------------------------------===//

static void readRates(const std::string &file, const YamlNode &node,
                      Rates &rates) {
  std::vector<std::string> known;
  for (size_t p = 0; p < numPrecisions; ++p)
    known.push_back(precisionName(static_cast<Precision>(p)));
  Fields fields(file, node, "a table of rates", known);
  for (size_t p = 0; p < numPrecisions; ++p)
    fields.quantity(known[p], Dimension::Rate, rates[p]);
}

static DeviceKind readDeviceKind(const std::string &file,
                                 const YamlNode &node) {
  std::vector<std::string> names;
  for (DeviceKind kind : {DeviceKind::Cpu, DeviceKind::Cuda, DeviceKind::Rocm})
    if (names.emplace_back(deviceKindName(kind)) == node.text)
      return kind;
  failUnknown(file, node, "kind of device", names);
}

static void checkSustained(const std::string &file, const YamlNode &node,
                           const DeviceType &device) {
  for (size_t p = 0; p < numPrecisions; ++p)
    if (device.sustained[p] > device.matrixPeak(static_cast<Precision>(p)))
      failAt(file, node, "value",
             std::string("the device sustains more than its peak in ") +
                 precisionName(static_cast<Precision>(p)),
             "'sustained' is what the best matrix product reaches of 'matrix'");
}

static DeviceType readDevice(const std::string &file, const std::string &name,
                             const YamlNode &node, const Library &library) {
  Fields fields(file, node, "a device",
                {"base", "kind", "threads", "vector", "matrix", "sustained",
                 "memory", "memory_bandwidth", "launch", "compute_units",
                 "cache", "clock", "power", "price", "source"});
  DeviceType device;
  if (const YamlNode *base = fields.find("base")) {
    auto found = library.devices.find(base->text);
    if (found == library.devices.end())
      failUnknown(file, *base, "device", namesOf(library.devices));
    device = found->second;
    device.variantOf = device.model();
  } else {
    for (const char *key :
         {"kind", "vector", "memory", "memory_bandwidth", "launch"})
      fields.need(key);
  }
  device.name = name;
  if (const YamlNode *kind = fields.find("kind"))
    device.kind = readDeviceKind(file, *kind);
  fields.count("threads", 1, 4096, device.threads);
  if (device.threads > 1 && device.kind != DeviceKind::Cpu)
    failAt(file, *fields.find("threads"), "value", "only a cpu has threads");
  if (const YamlNode *rates = fields.find("vector"))
    readRates(file, *rates, device.vector);
  if (device.vectorPeak(Precision::F32) <= 0)
    failAt(file, *fields.find("vector"), "missing",
           "the vector units have no rate of f32",
           "what is not listed is computed as f32");
  if (const YamlNode *rates = fields.find("matrix"))
    readRates(file, *rates, device.matrix);
  if (const YamlNode *rates = fields.find("sustained"))
    readRates(file, *rates, device.sustained);
  checkSustained(file, node, device);
  double memory = static_cast<double>(device.memoryBytes);
  double cache = static_cast<double>(device.cacheBytes);
  fields.quantity("memory", Dimension::Bytes, memory);
  fields.quantity("cache", Dimension::Bytes, cache);
  device.memoryBytes = static_cast<int64_t>(memory);
  device.cacheBytes = static_cast<int64_t>(cache);
  fields.quantity("memory_bandwidth", Dimension::Bandwidth,
                  device.memoryBandwidth);
  fields.quantity("launch", Dimension::Seconds, device.launchSeconds);
  fields.count("compute_units", 1, 1 << 20, device.computeUnits);
  fields.quantity("clock", Dimension::Hertz, device.clockHz);
  fields.quantity("power", Dimension::Watts, device.powerWatts);
  fields.quantity("price", Dimension::DollarsPerHour, device.dollarsPerHour);
  fields.text("source", device.source);
  return device;
}

static void readDevices(const std::string &file, const YamlNode &node,
                        Library &library) {
  if (node.kind != YamlNode::Kind::Map)
    failAt(file, node, "field", "this is not a map of devices",
           "write devices: {NAME: {kind: cuda, ...}}");
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const std::string &name = asText(file, node.keys[i], "a name");
    library.devices[name] = readDevice(file, name, node.values[i], library);
  }
}

//===----------------------------------------------------------------------===//
// Links
//===----------------------------------------------------------------------===//

const std::vector<std::string> topology::linkFields = {
    "kind",           "latency",         "bandwidth",
    "pair_bandwidth", "child_bandwidth", "medium_bandwidth",
    "channels",       "reduces",         "source"};

static LinkKind readLinkKind(const std::string &file, const YamlNode &node) {
  std::vector<std::string> names;
  for (size_t k = 0; k < numLinkKinds; ++k)
    names.push_back(linkKindName(static_cast<LinkKind>(k)));
  if (auto kind = parseLinkKind(node.text))
    return *kind;
  failUnknown(file, node, "kind of link", names);
}

void topology::readLinkFields(const Fields &fields, bool whole, Link &link) {
  if (whole)
    for (const char *key : {"kind", "latency", "bandwidth"})
      fields.need(key);
  if (const YamlNode *kind = fields.find("kind"))
    link.kind = readLinkKind(fields.file, *kind);
  fields.quantity("latency", Dimension::Seconds, link.latencySeconds);
  fields.quantity("bandwidth", Dimension::Bandwidth, link.bandwidth);
  fields.quantity("pair_bandwidth", Dimension::Bandwidth, link.pairBandwidth);
  fields.quantity("child_bandwidth", Dimension::Bandwidth, link.childBandwidth);
  fields.quantity("medium_bandwidth", Dimension::Bandwidth,
                  link.mediumBandwidth);
  fields.count("channels", 1, 1024, link.channels);
  fields.flag("reduces", link.reduces);
}

/// `whole`: the link has no other values than those given here.
static void readLink(const std::string &file, const YamlNode &node, bool whole,
                     Link &link) {
  readLinkFields(Fields(file, node, "a link", linkFields), whole, link);
}

static Link readNetwork(const std::string &file, const YamlNode &node,
                        const Library &library) {
  Link link;
  if (node.kind == YamlNode::Kind::Map) {
    readLink(file, node, true, link);
    return link;
  }
  auto found = library.networks.find(node.text);
  if (found == library.networks.end())
    failUnknown(file, node, "network", namesOf(library.networks));
  return found->second;
}

static void readNetworks(const std::string &file, const YamlNode &node,
                         Library &library) {
  if (node.kind != YamlNode::Kind::Map)
    failAt(file, node, "field", "this is not a map of networks",
           "write networks: {NAME: {kind: infiniband, ...}}");
  for (size_t i = 0; i < node.keys.size(); ++i) {
    Link link;
    readLink(file, node.values[i], true, link);
    library.networks[node.keys[i].text] = link;
  }
}

//===----------------------------------------------------------------------===//
// Machines
//===----------------------------------------------------------------------===//

static int64_t ranksOf(const Machine &machine) {
  int64_t ranks = machine.graph.ranks;
  if (ranks == 0) {
    ranks = 1;
    for (const Level &level : machine.levels)
      ranks *= level.size;
  }
  return ranks;
}

static void readHierarchy(const std::string &file, const YamlNode &node,
                          Machine &machine) {
  machine.levels.clear();
  machine.graph = {};
  int64_t ranks = 1;
  for (const YamlNode &item : asList(file, node, "levels")) {
    Fields fields(file, item, "a level", {"level", "size", "link"});
    Level level;
    level.name = asText(file, fields.need("level"), "the name of a level");
    const YamlNode &size = fields.need("size");
    level.size = asCount(file, size, 1, maxRanks);
    readLink(file, fields.need("link"), true, level.link);
    for (const Level &other : machine.levels)
      if (other.name == level.name)
        failAt(file, item, "name", "there are two levels '" + level.name + "'");
    if (machine.levels.size() == maxLevels)
      failAt(file, item, "size",
             "there are more than " + std::to_string(maxLevels) + " levels");
    ranks *= level.size;
    if (ranks > maxRanks)
      failAt(file, size, "size",
             "the levels have more than " + std::to_string(maxRanks) +
                 " ranks");
    machine.levels.push_back(std::move(level));
  }
}

/// What a graph's derived levels are called, where it says so.
static void nameLevels(const std::string &file, const YamlNode &graph,
                       std::vector<Level> &levels) {
  const YamlNode *node = graph.find("levels");
  if (!node)
    return;
  const std::vector<YamlNode> &names = asList(file, *node, "names of levels");
  if (names.size() != levels.size())
    failAt(file, *node, "value",
           "there are " + std::to_string(names.size()) + " names for " +
               std::to_string(levels.size()) + " levels",
           "`partita topology show` without this field tells the levels");
  for (size_t i = 0; i < names.size(); ++i) {
    levels[i].name = asText(file, names[i], "the name of a level");
    for (size_t j = 0; j < i; ++j)
      if (levels[j].name == levels[i].name)
        failAt(file, names[i], "name", "there are two levels of this name");
  }
}

/// The device that a node names, of the file or of the library.
static std::string readDeviceName(const std::string &file, const YamlNode &node,
                                  const Library &library) {
  if (!library.devices.count(node.text))
    failUnknown(file, node, "device", namesOf(library.devices));
  return node.text;
}

static void readRanks(const std::string &file, const YamlNode &node,
                      Machine &machine) {
  machine.ranks.clear();
  int64_t sum = 0, ranks = ranksOf(machine);
  for (const YamlNode &item : asList(file, node, "devices")) {
    Fields fields(file, item, "a range of ranks", {"device", "count"});
    std::string name =
        readDeviceName(file, fields.need("device"), machine.library);
    int64_t count = asCount(file, fields.need("count"), 1, maxRanks);
    sum += count;
    if (sum > ranks)
      break;
    machine.ranks.emplace_back(std::move(name), count);
  }
  if (sum != ranks)
    failAt(file, node, "ranks",
           "the counts of devices " +
               (sum > ranks ? std::string("exceed")
                            : "sum to " + std::to_string(sum) + " of") +
               " the " + std::to_string(ranks) + " ranks of the machine");
}

static Machine readBase(const std::string &file, const YamlNode *base,
                        const Library &library, FindMachine find) {
  if (!base) {
    Machine machine;
    machine.library = library;
    return machine;
  }
  if (std::optional<Machine> machine = find(base->text))
    return std::move(*machine);
  failAt(file, *base, "name",
         "there is no machine '" + base->text.substr(0, 64) + "'",
         "`partita topology list` names them; how many is said by 'machines'");
}

static void checkVersion(const std::string &file, const YamlNode &root) {
  const YamlNode *version = root.find("partita_topology");
  if (root.kind != YamlNode::Kind::Map || !version)
    failAt(file, root, "format", "this is not a topology",
           "a topology begins with partita_topology: 1");
  if (version->text != "1")
    failAt(file, *version, "version", "this version of the format is not known",
           "this Partita reads partita_topology: 1");
}

void topology::readLibrary(const YamlNode &root, const std::string &file,
                           Library &library) {
  checkVersion(file, root);
  Fields fields(file, root, "a library",
                {"partita_topology", "devices", "networks", "source"});
  if (const YamlNode *devices = fields.find("devices"))
    readDevices(file, *devices, library);
  if (const YamlNode *networks = fields.find("networks"))
    readNetworks(file, *networks, library);
}

/// Levels or a graph, in place of those of the base.
static void readShape(const Fields &fields, Machine &machine) {
  const std::string &file = fields.file;
  const YamlNode *hierarchy = fields.find("hierarchy");
  const YamlNode *graph = fields.find("graph");
  if (hierarchy && graph)
    failAt(file, *graph, "format", "there is a hierarchy and a graph",
           "the levels of a graph are derived from it: remove the hierarchy");
  if (hierarchy)
    readHierarchy(file, *hierarchy, machine);
  if (graph) {
    machine.graph = readGraph(file, *graph);
    machine.levels = levelsOf(machine.graph, placeOf(file, *graph));
    nameLevels(file, *graph, machine.levels);
  }
  if (machine.levels.empty())
    failAt(file, fields.map, "missing",
           "a topology needs 'hierarchy' or 'graph'",
           "or 'base', the name of a machine; docs/topology.md describes the "
           "format");
}

/// Which ranks are what. Those of a base stay as they are if they are as many,
/// or all alike.
static void readWho(const Fields &fields, int64_t ranksBefore,
                    Machine &machine) {
  const std::string &file = fields.file;
  const YamlNode *device = fields.find("device"), *ranks = fields.find("ranks");
  if (device && ranks)
    failAt(file, *ranks, "format", "there is a device and a list of ranks",
           "give 'device' where all ranks are alike, else 'ranks'");
  if (device)
    machine.ranks = {
        {readDeviceName(file, *device, machine.library), ranksOf(machine)}};
  else if (ranks)
    readRanks(file, *ranks, machine);
  else if (machine.ranks.size() == 1)
    machine.ranks[0].second = ranksOf(machine);
  else if (machine.ranks.empty() || ranksBefore != ranksOf(machine))
    failAt(file, fields.map, "missing", "a topology needs 'device' or 'ranks'",
           "the name of a device, such as device: h100-sxm");
}

Machine topology::readMachine(const YamlNode &root, const std::string &file,
                              const Library &library, FindMachine find) {
  checkVersion(file, root);
  Fields fields(file, root, "a topology",
                {"partita_topology", "name", "summary", "source", "base",
                 "devices", "device", "ranks", "hierarchy", "graph", "network",
                 "machines", "overrides"});
  Machine machine = readBase(file, fields.find("base"), library, find);
  fields.text("name", machine.name);
  fields.text("summary", machine.summary);
  if (const YamlNode *devices = fields.find("devices"))
    readDevices(file, *devices, machine.library);
  int64_t ranksBefore = ranksOf(machine);
  readShape(fields, machine);
  readWho(fields, ranksBefore, machine);
  if (const YamlNode *network = fields.find("network"))
    machine.network = readNetwork(file, *network, machine.library);
  fields.count("machines", 1, maxRanks, machine.machines);
  return machine;
}

//===----------------------------------------------------------------------===//
// Joining
//===----------------------------------------------------------------------===//

/// What the level is called that joins machines.
static constexpr const char *clusterName = "cluster";

static void addDevices(const Machine &machine, Topology &topology) {
  std::map<std::string, int> types;
  for (const auto &[name, count] : machine.ranks)
    if (types.emplace(name, topology.devices.size()).second)
      topology.devices.push_back(machine.library.devices.at(name));
  int64_t first = 0;
  for (int64_t copy = 0; copy < machine.machines; ++copy)
    for (const auto &[name, count] : machine.ranks) {
      int type = types[name];
      if (!topology.ranges.empty() && topology.ranges.back().type == type)
        topology.ranges.back().count += count;
      else
        topology.ranges.push_back({first, count, type});
      first += count;
    }
}

Topology topology::join(const Machine &machine, const std::string &place) {
  auto fail = [&](const char *code, std::string message, std::string hint) {
    throw Failure{makeError(ExitCode::InvalidInput, code, place,
                            std::move(message), std::move(hint))};
  };
  Topology topology;
  topology.name = machine.name;
  topology.levels = machine.levels;
  topology.graph = machine.graph;
  if (machine.machines > maxRanks / ranksOf(machine))
    fail("topology.size",
         std::to_string(machine.machines) + " machines of " +
             std::to_string(ranksOf(machine)) + " ranks have more than " +
             std::to_string(maxRanks) + " ranks",
         "that is the most that is planned for");
  if (machine.machines > 1) {
    if (!machine.network)
      fail("topology.network", "nothing joins several of these machines",
           "name a network, as in " + machine.name + "x" +
               std::to_string(machine.machines) + "@infiniband-400g");
    if (topology.levels.size() == maxLevels)
      fail("topology.size",
           "there are more than " + std::to_string(maxLevels) + " levels",
           formatHint);
    for (const Level &level : topology.levels)
      if (level.name == clusterName)
        fail("topology.name",
             std::string("a level of the machine is called '") + clusterName +
                 "', as the level that joins machines is",
             "rename it");
    topology.levels.push_back(
        {clusterName, machine.machines, *machine.network});
  }
  addDevices(machine, topology);
  return topology;
}

void topology::readOverrides(const YamlNode &root, const std::string &file,
                             Topology &topology) {
  const YamlNode *node = root.find("overrides");
  if (!node)
    return;
  std::vector<std::string> names;
  for (const Level &level : topology.levels)
    names.push_back(level.name);
  for (const YamlNode &item : asList(file, *node, "overrides")) {
    Fields fields(file, item, "an override", {"level", "groups", "link"});
    const YamlNode &name = fields.need("level");
    auto found = std::find(names.begin(), names.end(), name.text);
    if (found == names.end())
      failUnknown(file, name, "level", names);
    LinkOverride override;
    override.level = static_cast<int>(found - names.begin());
    const Level &level = topology.levels[override.level];
    int64_t groups = topology.numRanks() /
                     (topology.ranksPerChild(override.level) * level.size);
    const YamlNode &range = fields.need("groups");
    std::tie(override.first, override.last) =
        asRange(file, range, range.text, groups - 1);
    if (topology.overrides.size() == maxOverrides)
      failAt(file, item, "size",
             "there are more than " + std::to_string(maxOverrides) +
                 " overrides",
             "give groups that are alike as a range");
    override.link = level.link;
    readLink(file, fields.need("link"), false, override.link);
    topology.overrides.push_back(override);
  }
}
