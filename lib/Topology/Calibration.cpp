//===- Calibration.cpp - What a machine was measured to do ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Calibration.h"
#include "Fields.h"
#include "partita/Support/File.h"
#include "partita/Topology/Topology.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

using namespace partita;
using namespace partita::topology;

/// Values along one coordinate, and tables of one load: what nobody measures
/// more of.
static constexpr size_t mostValues = 64, mostTables = 256;
static constexpr int64_t mostRanks = 4096;
static constexpr const char *hint = "docs/calibration.md describes the format";

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

const char *partita::kernelClassName(KernelClass kernelClass) {
  static const char *const names[] = {"free", "memory", "gemm", "conv",
                                      "attention"};
  return names[static_cast<size_t>(kernelClass)];
}

const std::vector<std::string> &
partita::coordinatesOf(KernelClass kernelClass) {
  static const std::vector<std::string> product = {"m", "n", "k"},
                                        memory = {"bytes", "flops_per_byte"};
  return kernelClass == KernelClass::Memory ? memory : product;
}

const std::vector<std::string> &partita::calibratedMoves() {
  static const std::vector<std::string> names = {"all_gather", "reduce_scatter",
                                                 "all_reduce", "all_to_all"};
  return names;
}

static std::string loadText(int64_t ranks, int64_t threads) {
  return std::to_string(ranks) +
         (threads > 1 ? "x" + std::to_string(threads) : "");
}

const CalibratedLoad *Calibration::find(int64_t ranks, int64_t threads) const {
  for (const CalibratedLoad &load : loads)
    if (load.ranks == ranks && load.threads == threads)
      return &load;
  return nullptr;
}

std::string Calibration::loadsText() const {
  std::string text;
  for (size_t i = 0; i < loads.size(); ++i)
    text += (i == 0                  ? ""
             : i + 1 == loads.size() ? " and "
                                     : ", ") +
            loadText(loads[i].ranks, loads[i].threads);
  return text;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static bool isBytes(const std::string &coordinate) {
  return coordinate == "bytes";
}

static std::string valueText(double value, bool bytes) {
  if (bytes)
    return formatQuantity(value, Dimension::Bytes);
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

static std::string listText(const std::vector<double> &values, bool bytes) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + valueText(values[i], bytes);
  return text + "]";
}

/// A line for each run of the last coordinate.
static std::string timesText(const std::vector<double> &seconds, size_t run,
                             const std::string &indent) {
  std::string text = "[";
  for (size_t i = 0; i < seconds.size(); ++i) {
    if (i)
      text += i % run == 0 ? ",\n" + indent : ", ";
    text += formatQuantity(seconds[i], Dimension::Seconds);
  }
  return text + "]";
}

/// In quotes, as YAML reads it.
static std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text)
    out += c == '\n'               ? "\\n"
           : c == '"' || c == '\\' ? std::string{'\\', c}
                                   : std::string{c};
  return out + "\"";
}

std::string Calibration::str() const {
  std::string text = "partita_calibration: 1\ndevice: " + quoted(device) +
                     "\ncores: " + std::to_string(cores) + "\nloads:\n";
  for (const CalibratedLoad &load : loads) {
    text += "  - ranks: " + std::to_string(load.ranks) +
            "\n    threads: " + std::to_string(load.threads) +
            "\n    kernels:\n";
    for (const KernelTable &table : load.kernels) {
      text += std::string("      - class: ") +
              kernelClassName(table.kernelClass) +
              "\n        precision: " + precisionName(table.precision) + "\n";
      if (table.batch != 1)
        text += "        batch: " + valueText(table.batch, false) + "\n";
      const auto &names = coordinatesOf(table.kernelClass);
      for (size_t a = 0; a < names.size(); ++a)
        text += "        " + names[a] + ": " +
                listText(table.axes[a], isBytes(names[a])) + "\n";
      text += "        time: " +
              timesText(table.seconds, table.axes.back().size(),
                        std::string(15, ' ')) +
              "\n";
    }
    if (load.collectives.empty())
      continue;
    text += "    collectives:\n";
    for (const CollectiveTable &table : load.collectives)
      text += "      - move: " + table.move +
              "\n        ranks: " + std::to_string(table.ranks) +
              "\n        bytes: " + listText(table.bytes, true) +
              "\n        time: " +
              timesText(table.seconds, table.seconds.size(), "") + "\n";
  }
  return text;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// A number without a unit, above zero: a size of a matrix, a ratio.
static double asNumber(const std::string &file, const YamlNode &node) {
  double value = 0;
  const char *last = node.text.data() + node.text.size();
  auto [end, error] = std::from_chars(node.text.data(), last, value);
  constexpr double least = 1e-6, most = 1e12;
  if (node.kind != YamlNode::Kind::Scalar || error != std::errc() ||
      end != last || !(value >= least && value <= most))
    failAt(file, node, "number",
           "this is not a number from 1e-06 to 1e+12, without a unit");
  return value;
}

static std::vector<double> asValues(const std::string &file,
                                    const YamlNode &node, bool bytes) {
  const std::vector<YamlNode> &items = asList(file, node, "values");
  if (items.size() > mostValues)
    failAt(file, node, "size",
           "there are more than " + std::to_string(mostValues) + " values");
  std::vector<double> values;
  for (const YamlNode &item : items) {
    double value =
        bytes ? asQuantity(file, item, Dimension::Bytes) : asNumber(file, item);
    if (!values.empty() && value <= values.back())
      failAt(file, item, "order", "the values do not ascend");
    values.push_back(value);
  }
  return values;
}

static std::vector<double> asTimes(const std::string &file,
                                   const YamlNode &node, size_t count) {
  const std::vector<YamlNode> &items = asList(file, node, "times");
  if (items.size() != count)
    failAt(file, node, "count",
           "there are " + std::to_string(items.size()) + " times for " +
               std::to_string(count) + " points");
  std::vector<double> seconds;
  for (const YamlNode &item : items) {
    seconds.push_back(asQuantity(file, item, Dimension::Seconds));
    constexpr double least = 1e-12; // What prices are counted in.
    if (!(seconds.back() >= least))
      failAt(file, item, "time", "a time has to be a picosecond at least");
  }
  return seconds;
}

/// The element of `all` that `node` names by `nameOf`.
template <typename Item, typename Name>
static Item named(const std::string &file, const YamlNode &node,
                  const std::string &what, const std::vector<Item> &all,
                  Name nameOf) {
  std::string names;
  for (const Item &item : all) {
    if (node.kind == YamlNode::Kind::Scalar && node.text == nameOf(item))
      return item;
    names += (names.empty() ? "" : ", ") + std::string(nameOf(item));
  }
  failAt(file, node, "name", "this is no " + what + " that there are tables of",
         "there are " + names);
}

static KernelTable readKernels(const std::string &file, const YamlNode &node) {
  const YamlNode *kind = node.find("class");
  KernelTable table;
  if (kind)
    table.kernelClass =
        named(file, *kind, "class of kernels",
              std::vector{KernelClass::Gemm, KernelClass::Conv,
                          KernelClass::Attention, KernelClass::Memory},
              kernelClassName);
  const std::vector<std::string> &names = coordinatesOf(table.kernelClass);
  std::vector<std::string> keys = {"class", "precision", "batch", "time"};
  keys.insert(keys.end(), names.begin(), names.end());
  Fields fields(file, node, "a table of kernels", keys);
  fields.need("class");
  std::vector<Precision> precisions;
  for (size_t p = 0; p < numPrecisions; ++p)
    precisions.push_back(static_cast<Precision>(p));
  table.precision = named(file, fields.need("precision"), "precision",
                          precisions, precisionName);
  if (const YamlNode *batch = fields.find("batch"))
    table.batch = asNumber(file, *batch);
  size_t points = 1;
  for (const std::string &name : names) {
    table.axes.push_back(asValues(file, fields.need(name), isBytes(name)));
    points *= table.axes.back().size();
  }
  table.seconds = asTimes(file, fields.need("time"), points);
  return table;
}

static CollectiveTable readCollective(const std::string &file,
                                      const YamlNode &node, int64_t ranks) {
  Fields fields(file, node, "a table of a collective",
                {"move", "ranks", "bytes", "time"});
  CollectiveTable table;
  table.move = named(
      file, fields.need("move"), "collective", calibratedMoves(),
      [](const std::string &name) -> const std::string & { return name; });
  table.ranks = asCount(file, fields.need("ranks"), 2, ranks);
  table.bytes = asValues(file, fields.need("bytes"), true);
  table.seconds = asTimes(file, fields.need("time"), table.bytes.size());
  return table;
}

static const std::vector<YamlNode> &tablesOf(const std::string &file,
                                             const YamlNode &node) {
  const std::vector<YamlNode> &items = asList(file, node, "tables");
  if (items.size() > mostTables)
    failAt(file, node, "size",
           "there are more than " + std::to_string(mostTables) + " tables");
  return items;
}

static CalibratedLoad readLoad(const std::string &file, const YamlNode &node) {
  Fields fields(file, node, "a load",
                {"ranks", "threads", "kernels", "collectives"});
  CalibratedLoad load;
  load.ranks = asCount(file, fields.need("ranks"), 1, mostRanks);
  fields.count("threads", 1, mostRanks, load.threads);
  for (const YamlNode &item : tablesOf(file, fields.need("kernels"))) {
    KernelTable table = readKernels(file, item);
    for (const KernelTable &other : load.kernels)
      if (other.kernelClass == table.kernelClass &&
          other.precision == table.precision)
        failAt(file, item, "twice",
               "there are two tables of this class and precision");
    load.kernels.push_back(std::move(table));
  }
  const YamlNode *collectives = fields.find("collectives");
  if (!collectives)
    return load;
  for (const YamlNode &item : tablesOf(file, *collectives)) {
    CollectiveTable table = readCollective(file, item, load.ranks);
    for (const CollectiveTable &other : load.collectives)
      if (other.move == table.move && other.ranks == table.ranks)
        failAt(file, item, "twice",
               "there are two tables of this collective and number of ranks");
    load.collectives.push_back(std::move(table));
  }
  return load;
}

static Calibration readRoot(const std::string &file, const YamlNode &root) {
  const YamlNode *version = root.find("partita_calibration");
  if (root.kind != YamlNode::Kind::Map || !version)
    failAt(file, root, "format", "this is not a calibration",
           "a calibration begins with partita_calibration: 1; `partita "
           "calibrate` writes one");
  if (version->text != "1")
    failAt(file, *version, "version", "this version of the format is not known",
           "this Partita reads partita_calibration: 1");
  Fields fields(file, root, "a calibration",
                {"partita_calibration", "device", "cores", "loads"});
  Calibration calibration;
  calibration.device =
      asText(file, fields.need("device"), "the name of a device");
  calibration.cores = asCount(file, fields.need("cores"), 1, 1 << 20);
  for (const YamlNode &item : tablesOf(file, fields.need("loads"))) {
    CalibratedLoad load = readLoad(file, item);
    if (calibration.find(load.ranks, load.threads))
      failAt(file, item, "twice",
             "there are two loads of " + loadText(load.ranks, load.threads));
    calibration.loads.push_back(std::move(load));
  }
  return calibration;
}

Result<Calibration> Calibration::read(std::string_view yaml,
                                      const std::string &place) {
  try {
    return readRoot(place, parseYaml(yaml, place));
  } catch (Failure &failure) {
    // What is read by the readers of topologies speaks of these.
    Error &error = failure.error;
    if (size_t dot = error.code.find('.'); dot != std::string::npos)
      error.code = "calibration" + error.code.substr(dot);
    if (error.hint == formatHint)
      error.hint = hint;
    return std::move(error);
  }
}

Result<Calibration> Calibration::open(const std::string &path) {
  PARTITA_TRY(std::string yaml, readFile(path, maxYamlBytes));
  return read(yaml, path);
}

Status Topology::calibrate(const Calibration &calibration,
                           const std::string &place) {
  if (!isOneProcess())
    return makeError(ExitCode::Unsupported, "calibration.machine", place,
                     "these are times of a processor, and " + name +
                         " is another machine",
                     "calibrations are for cpu:N");
  int64_t threads = commonDevice().threads;
  const CalibratedLoad *load = calibration.find(numRanks(), threads);
  if (!load)
    return makeError(
        ExitCode::InvalidInput, "calibration.load", place,
        "there are no times of " + loadText(numRanks(), threads) +
            " ranks; it was made with " + calibration.loadsText(),
        "partita calibrate --ranks " + std::to_string(numRanks()) +
            (threads > 1 ? " --threads " + std::to_string(threads) : "") +
            " -o FILE measures them");
  measured = std::make_shared<const CalibratedLoad>(*load);
  return ok();
}
