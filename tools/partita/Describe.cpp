//===- Describe.cpp - A plan for people -----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model has hundreds of operations and few different decisions, so operations
// with the same kind and the same split are one line, with one of them named.
//
//===----------------------------------------------------------------------===//

#include "Document.h"
#include "Table.h"
#include "partita/Cost/Cost.h"
#include "partita/Plan/Compare.h"
#include <algorithm>
#include <tuple>

using namespace partita;
using namespace partita::tool;

/// More lines than this are not read.
static constexpr size_t maxReplicatedShown = 10;

static std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ",") + name;
  return text;
}

static std::string percent(double fraction) {
  return number(100 * fraction, 3) + "%";
}

static std::string strategiesText(const Plan &plan) {
  struct Group {
    std::string kind, split, example;
    int64_t count = 0;
  };
  std::vector<Group> groups;
  for (const PlannedOp &op : plan.ops) {
    std::string split = splitText(op, plan.mesh);
    auto same = std::find_if(groups.begin(), groups.end(), [&](const auto &g) {
      return g.kind == op.kind && g.split == split;
    });
    if (same == groups.end())
      same = groups.insert(groups.end(), {op.kind, split, op.id, 0});
    ++same->count;
  }
  std::sort(groups.begin(), groups.end(), [](const Group &a, const Group &b) {
    return std::tie(a.kind, a.split) < std::tie(b.kind, b.split);
  });
  Table table({"operation", "count", "split", "for example"});
  for (const Group &group : groups)
    table.row(
        {group.kind, std::to_string(group.count), group.split, group.example});
  return "strategies\n" + table.str();
}

static std::string billText(const PlanReport &report) {
  if (report.collectives.empty())
    return "communication: none\n";
  Table table({"kind", "over", "ranks", "bytes", "count", "when"});
  int64_t total = 0;
  for (const BillLine &line : report.collectives) {
    table.row({line.kind, joined(line.axes), std::to_string(line.ranks),
               std::to_string(line.bytes), std::to_string(line.count),
               line.atLoad ? "at load" : "each step"});
    total += line.atLoad ? 0 : line.bytes * line.count;
  }
  return "communication: " + bytesText(total) + " a step\n" + table.str();
}

static std::string replicatedText(const PlanReport &report) {
  if (report.replicated.empty())
    return "replicated work: none\n";
  double seconds = 0;
  Table table({"operation", "id", "same along", "costs"});
  for (size_t i = 0; i < report.replicated.size(); ++i) {
    const ReplicatedOp &op = report.replicated[i];
    seconds += op.seconds;
    if (i < maxReplicatedShown)
      table.row({op.kind, op.id, joined(op.axes), secondsText(op.seconds)});
  }
  std::string text =
      "replicated work: " + std::to_string(report.replicated.size()) +
      " operations, " + secondsText(seconds) + " a step\n" + table.str();
  if (report.replicated.size() > maxReplicatedShown)
    text += "  and " +
            std::to_string(report.replicated.size() - maxReplicatedShown) +
            " cheaper ones\n";
  return text;
}

static std::string countsText(const std::map<std::string, int64_t> &counts) {
  std::string text;
  for (const auto &[name, count] : counts)
    if (count)
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  return text.empty() ? "none" : text;
}

static std::string memoryText(const PlanReport &report) {
  Table table(
      {"rank", "arena", "weights and what comes from them", "together"});
  for (size_t rank = 0; rank < report.memory.size();) {
    const RankMemory &memory = report.memory[rank];
    size_t first = rank;
    while (rank < report.memory.size() && report.memory[rank] == memory)
      ++rank;
    table.row({std::to_string(first) +
                   (rank - first > 1 ? "-" + std::to_string(rank - 1) : ""),
               bytesText(memory.arenaBytes), bytesText(memory.persistentBytes),
               bytesText(memory.arenaBytes + memory.persistentBytes)});
  }
  return "memory\n" + table.str();
}

static std::string summaryText(const Plan &plan) {
  std::string ranks = std::to_string(plan.mesh.numRanks());
  std::string text = plan.modelName + " on " + plan.topology + ", mesh " +
                     plan.mesh.str() + "\n";
  text +=
      "predicted step: " + secondsText(toSeconds(plan.cost.step())) + " (" +
      secondsText(toSeconds(plan.cost.compute)) + " compute, " +
      secondsText(toSeconds(plan.cost.communication)) + " communication" +
      (plan.cost.idle ? ", " + secondsText(toSeconds(plan.cost.idle)) + " idle"
                      : "") +
      ")\n";
  if (plan.microBatches > 1)
    text +=
        std::to_string(plan.microBatches) + " micro-batches" +
        (plan.chunks.size() > 1 ? ", " + plan.schedule.str() : "") +
        (plan.recompute ? ", layers run again for their backward pass" : "") +
        "\n";
  bool isCut =
      plan.stoppedBy == StoppedBy::Time || plan.stoppedBy == StoppedBy::User;
  text += "bound: " + secondsText(toSeconds(plan.bound)) + ", gap " +
          percent(plan.gap) + (plan.proved ? ", proved best" : "") +
          (isCut ? std::string(", stopped by ") + stoppedByName(plan.stoppedBy)
                 : "") +
          "; of " + plan.boundSpace + "\n";
  for (const std::string &pin : plan.pins)
    text += "pin: " + pin + "\n";
  for (const std::string &note : plan.notes)
    text += "note: " + note + "\n";
  return text;
}

/// A line for each run of equal chunks, mostly one of each stage.
static std::string stagesText(const Plan &plan) {
  if (plan.chunks.size() < 2)
    return "";
  const Execution execution = executionOf(plan);
  const ScheduleShape shape = shapeOf(execution, true);
  std::vector<int64_t> count(plan.chunks.size(), 0);
  for (const PlannedOp &op : plan.ops)
    ++count[shape.chunkOf(op.stage, op.chunk)];
  const bool splits = execution.splitsWeight(),
             isEach = execution.chunks() == execution.stages;
  std::vector<std::string> header{isEach ? "stage" : "chunk", "operations",
                                  "forward", "backward"};
  if (splits)
    header.push_back("gradients of weights");
  header.push_back("once a step");
  Table table(header);
  for (size_t c = 0; c < plan.chunks.size();) {
    size_t begin = c;
    while (c < plan.chunks.size() && plan.chunks[c] == plan.chunks[begin] &&
           count[c] == count[begin])
      ++c;
    const StageTimes &times = plan.chunks[begin];
    auto text = [](const StageTimes::Time &time) {
      return secondsText(toSeconds(time.sum()));
    };
    std::vector<std::string> row{
        std::to_string(begin) +
            (c - begin > 1 ? "-" + std::to_string(c - 1) : ""),
        std::to_string(count[begin]), text(times.forward),
        text(times.backward)};
    if (splits)
      row.push_back(text(times.weight));
    row.push_back(text(times.once));
    table.row(row);
  }
  std::string title = "stages\n";
  if (!isEach)
    title = "stages, chunk by chunk (dealt to them in turn" +
            std::string(shape.kind == ScheduleKind::ZeroBubbleV
                            ? ", there and back)\n"
                            : ")\n");
  return title + table.str();
}

std::string tool::describe(const Document &document) {
  std::string text = summaryText(document.plan) + stagesText(document.plan) +
                     strategiesText(document.plan);
  if (!document.report)
    return text;
  const PlanReport &report = *document.report;
  // What has only been planned has no commands.
  bool hasProgram = report.commands > 0;
  text += (hasProgram ? billText(report) : "") + replicatedText(report);
  text += "raised: " + countsText(report.raised) +
          "\nleft decomposed: " + countsText(report.notRaised) + "\n";
  text += memoryText(report);
  if (!hasProgram)
    return text;
  return text + "program: " + std::to_string(report.commands) +
         " commands a rank, " + std::to_string(report.kernels) +
         " generated kernels\n";
}
