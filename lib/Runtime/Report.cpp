//===- Report.cpp - What a run tells --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Numbers come from the session's ranks, not from the plan: memory is what was
// allocated, bytes are what was read, FLOPs are those of executed commands.
//
//===----------------------------------------------------------------------===//

#include "Report.h"
#include "CountAllocations.h"
#include "StepTimes.h"
#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace partita;
using namespace partita::runtime;
using nlohmann::ordered_json;

/// By kind, group and bytes.
using BillLines =
    std::map<std::tuple<std::string, std::vector<int64_t>, int64_t>,
             CollectiveBill>;

/// Each with the ranks of both stages and what a rank receives at most.
static void addTransfers(const Program &program, BillLines &lines) {
  for (const TransferInfo &transfer : program.transfers) {
    const Grid &to = program.stages[transfer.toStage];
    std::vector<int64_t> group = program.stages[transfer.fromStage].ranks;
    group.insert(group.end(), to.ranks.begin(), to.ranks.end());
    int64_t most = 0;
    for (size_t place = 0; place < to.ranks.size(); ++place)
      most =
          std::max(most, boxOf(transfer.to, to.mesh,
                               to.mesh.coordinates(static_cast<int64_t>(place)))
                             .numElements());
    int64_t bytes = most * static_cast<int64_t>(dtypeSize(transfer.dtype));
    CollectiveBill &line = lines[{"transfer", group, bytes}];
    line.kind = "transfer";
    line.group = group;
    line.axes = {"pp"};
    line.bytes = bytes;
    line.count += program.microBatches;
  }
}

std::vector<CollectiveBill>
partita::runtime::collectiveBill(const Program &program) {
  BillLines lines;
  for (int64_t rank = 0; rank < program.numRanks(); ++rank) {
    const RankClass &rankClass = program.classes[program.classOfRank[rank]];
    const Grid grid = program.gridOf(rankClass.stage);
    for (const Command &command : rankClass.step) {
      if (command.kind != CommandKind::Collective)
        continue;
      std::vector<int64_t> group =
          grid.mesh.group(grid.placeOf(rank), command.axes);
      for (int64_t &member : group)
        member = grid.ranks[member];
      std::sort(group.begin(), group.end());
      if (group.front() != rank) // Each group is counted once.
        continue;
      int64_t bytes = std::max(command.operands[0].extentBytes(),
                               command.results[0].extentBytes());
      std::string kind = collectiveName(command.collective);
      CollectiveBill &line = lines[{kind, group, bytes}];
      line.kind = kind;
      line.group = group;
      line.axes.clear();
      for (int axis : command.axes)
        line.axes.push_back(grid.mesh.axisNames[axis]);
      line.bytes = bytes;
      line.count += program.microBatches;
    }
  }
  addTransfers(program, lines);
  std::vector<CollectiveBill> bill;
  for (auto &[key, line] : lines)
    bill.push_back(std::move(line));
  return bill;
}

static double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle]
                           : (values[middle - 1] + values[middle]) / 2;
}

std::string partita::runtime::reportJson(const Session &session,
                                         const RunResult &result) {
  const Program &program = session.program();
  ordered_json json;
  json["model"] = program.modelName;
  json["ranks"] = program.numRanks();
  json["threads_per_rank"] = program.threadsPerRank;
  json["mesh"] = program.mesh.str();
  json["step_seconds"] = median(result.steps.seconds);
  json["step_seconds_all"] = result.steps.seconds;
  json["step_latency_seconds"] = median(result.steps.latencies);
  json["load_seconds"] = result.loadSeconds;
  if (auto times = predictedTimes(program, result.steps))
    json["predicted"] = toJson(*times);
  json["measured"] = toJson(measuredTimes(session, result.steps));
  for (const char *name : {"peak_bytes", "promised_peak_bytes",
                           "weight_bytes_read", "matmul_flops"})
    json[name] = ordered_json::array();
  for (int64_t r = 0; r < program.numRanks(); ++r) {
    const RankSummary &rank = session.summaries()[r];
    json["peak_bytes"].push_back(rank.allocatedBytes);
    json["promised_peak_bytes"].push_back(program.peakBytes(r));
    json["weight_bytes_read"].push_back(rank.weightBytesRead);
    json["matmul_flops"].push_back(rank.matmulFlops);
  }
  if (countsAllocations())
    json["counted_peak_bytes"] = countedPeakBytes();
  json["collectives"] = ordered_json::array();
  for (const CollectiveBill &line : collectiveBill(program))
    json["collectives"].push_back({{"kind", line.kind},
                                   {"group", line.group},
                                   {"axes", line.axes},
                                   {"bytes", line.bytes},
                                   {"count", line.count}});
  json["outputs"] = ordered_json::array();
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const PortInfo &port = program.outputs[i];
    ordered_json entry = {{"name", port.name},
                          {"dtype", std::string(dtypeName(port.dtype))},
                          {"shape", port.shape}};
    if (!result.files[i].empty())
      entry["file"] = result.files[i];
    json["outputs"].push_back(entry);
  }
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

static std::string formatBytes(double bytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  std::ostringstream os;
  os << std::setprecision(bytes < 100 && unit > 0 ? 3 : 4) << bytes << ' '
     << units[unit];
  return os.str();
}

static std::string formatSeconds(double seconds) {
  std::ostringstream os;
  os << std::setprecision(4);
  if (seconds < 1e-3)
    os << seconds * 1e6 << " us";
  else if (seconds < 1)
    os << seconds * 1e3 << " ms";
  else
    os << seconds << " s";
  return os.str();
}

std::string partita::runtime::reportText(const Session &session,
                                         const RunResult &result) {
  const Program &program = session.program();
  std::ostringstream os;
  os << program.modelName << " on " << program.numRanks() << " rank"
     << (program.numRanks() == 1 ? "" : "s") << ", mesh " << program.mesh.str()
     << '\n';
  os << "  load " << formatSeconds(result.loadSeconds) << ", step "
     << formatSeconds(median(result.steps.seconds));
  if (result.steps.seconds.size() > 1)
    os << " (median of " << result.steps.seconds.size() << ")";
  // Steps overlap: one takes longer than what lies between two.
  if (program.stages.size() > 1)
    os << ", from its beginning "
       << formatSeconds(median(result.steps.latencies));
  os << '\n' << timesText(session, result.steps);
  for (int64_t r = 0; r < program.numRanks(); ++r) {
    const RankSummary &rank = session.summaries()[r];
    os << "  rank " << r << ": memory " << formatBytes(rank.allocatedBytes)
       << ", weights read " << formatBytes(rank.weightBytesRead)
       << ", products " << std::setprecision(4) << rank.matmulFlops * 1e-9
       << " GFLOP\n";
  }
  for (const CollectiveBill &line : collectiveBill(program)) {
    os << "  " << line.count << " x " << line.kind << " of "
       << formatBytes(line.bytes) << " among ranks";
    for (int64_t member : line.group)
      os << ' ' << member;
    os << '\n';
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const PortInfo &port = program.outputs[i];
    os << "  output " << port.name << ": " << dtypeName(port.dtype) << "[";
    for (size_t d = 0; d < port.shape.size(); ++d)
      os << (d ? "," : "") << port.shape[d];
    os << "]" << (result.files[i].empty() ? "" : " -> " + result.files[i])
       << '\n';
  }
  return os.str();
}

/// What a command is called in a trace.
static std::string traceName(const Program &program, const Command &command) {
  switch (command.kind) {
  case CommandKind::Call:
    return command.callee;
  case CommandKind::Collective:
    return collectiveName(command.collective);
  case CommandKind::Kernel:
    return program.kernelNames[command.index];
  default:
    return commandKindName(command.kind);
  }
}

/// A command, and before it what it waited for other stages. Its category is
/// "step", or "init" at load, and then what it does.
static void addEvents(const Program &program, const Command &command,
                      const TraceEvent &event, int64_t rank, int64_t origin,
                      ordered_json &events) {
  const std::string when = event.command < 0 ? "init" : "step";
  int64_t arrived = event.begin + event.waited;
  auto add = [&](const std::string &name, const char *what, int64_t begin,
                 int64_t end, ordered_json args) {
    events.push_back({{"name", name},
                      {"cat", when + "," + what},
                      {"ph", "X"},
                      {"pid", 0},
                      {"tid", rank},
                      {"ts", (begin - origin) * 1e-3},
                      {"dur", (end - begin) * 1e-3},
                      {"args", std::move(args)}});
  };
  ordered_json args = {{"id", command.id}, {"nodes", command.nodes}};
  if (event.waited > 0)
    add("idle", "idle", event.begin, arrived, args);
  if (command.predictedSeconds > 0)
    args["predicted_us"] = command.predictedSeconds * 1e6;
  if (command.matmulFlops > 0)
    args["flops"] = command.matmulFlops;
  add(traceName(program, command),
      isCommunication(command.kind) ? "communication" : "compute", arrived,
      event.end, std::move(args));
}

std::string partita::runtime::traceJson(const Session &session) {
  const Program &program = session.program();
  int64_t origin = std::numeric_limits<int64_t>::max();
  for (const RankSummary &rank : session.summaries())
    if (!rank.trace.empty())
      origin = std::min(origin, rank.trace.front().begin);
  ordered_json events = ordered_json::array();
  events.push_back({{"name", "process_name"},
                    {"ph", "M"},
                    {"pid", 0},
                    {"args", {{"name", program.modelName}}}});
  for (int64_t r = 0; r < program.numRanks(); ++r) {
    events.push_back({{"name", "thread_name"},
                      {"ph", "M"},
                      {"pid", 0},
                      {"tid", r},
                      {"args", {{"name", "rank " + std::to_string(r)}}}});
    const RankClass &table = program.classes[program.classOfRank[r]];
    for (const TraceEvent &event : session.summaries()[r].trace) {
      const Command *found = findCommand(table, event.command);
      if (!found)
        continue; // Not of this program: it came over the network.
      addEvents(program, *found, event, r, origin, events);
    }
  }
  ordered_json trace = {{"traceEvents", events}, {"displayTimeUnit", "ns"}};
  return trace.dump(-1, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}
