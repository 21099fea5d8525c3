//===- Doctor.cpp - partita doctor ----------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Puts the records together that the ranks of a failed run have written, each
// what it knew (see lib/Runtime/FlightLog.h), and says who was to blame. A rank
// without a record had no time to write one. Records of several machines are
// copied into one folder before.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Options.h"
#include "Table.h"
#include "partita/Runtime/Diagnosis.h"
#include "partita/Support/File.h"
#include <algorithm>
#include <filesystem>
#include <map>

using namespace partita;
using namespace partita::tool;
using runtime::RankState;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {
struct DoctorOptions {
  std::string folder, format = "text";
};

/// The record of a rank.
struct Record {
  RankState state;
  std::string run, machine;
  int64_t ranks = 0;
  double timeout = 0;
  int64_t step = 0; ///< of its last command
};
} // namespace

/// More ranks than this no program has.
static constexpr int64_t maxRanks = 1 << 20;

static Error badRecord(const std::string &path, const std::string &why) {
  return makeError(ExitCode::InvalidInput, "doctor.record", path,
                   "is no record of a rank: " + why,
                   "give the folder that a failed run named");
}

static Result<Record> readRecord(const std::string &path) {
  PARTITA_TRY(std::string text, readFile(path, 16 << 20));
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::optional<RankState> state = RankState::fromJson(json);
  if (!state)
    return badRecord(path, "its state is missing or wrong");
  Record record;
  record.state = std::move(*state);
  try {
    record.run = json.at("job");
    record.machine = json.at("machine");
    record.ranks = json.at("ranks");
    record.timeout = json.at("timeout");
    const nlohmann::json &events = json.at("events");
    if (!events.empty())
      record.step = events.back().at("step");
  } catch (const nlohmann::json::exception &e) {
    return badRecord(path, e.what());
  }
  if (record.ranks < 1 || record.ranks > maxRanks || record.state.rank < 0 ||
      record.state.rank >= record.ranks)
    return badRecord(path, "its rank or their number is impossible");
  return record;
}

/// By rank.
static Result<std::map<int64_t, Record>>
readRecords(const std::string &folder) {
  std::map<int64_t, Record> records;
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto &entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename().string();
    if (name.rfind("rank-", 0) == 0 && entry.path().extension() == ".json")
      paths.push_back(entry.path().string());
  }
  if (paths.empty())
    return makeError(ExitCode::InvalidInput, "doctor.empty", folder,
                     error ? error.message() : "has no records (rank-N.json)",
                     "give the folder that a failed run named");
  std::sort(paths.begin(), paths.end());
  for (const std::string &path : paths) {
    PARTITA_TRY(Record record, readRecord(path));
    if (!records.empty()) {
      const Record &other = records.begin()->second;
      if (record.run != other.run || record.ranks != other.ranks)
        return makeError(ExitCode::InvalidInput, "doctor.runs", path,
                         "is of run " + record.run + ", others are of run " +
                             other.run,
                         "keep the records of one run in a folder");
    }
    int64_t rank = record.state.rank;
    if (!records.emplace(rank, std::move(record)).second)
      return badRecord(path, "rank " + std::to_string(rank) + " has another");
  }
  return records;
}

static Result<ExitCode> runDoctor(const DoctorOptions &options) {
  PARTITA_TRY(auto records, readRecords(options.folder));
  const Record &any = records.begin()->second;
  std::vector<RankState> states;
  for (int64_t rank = 0; rank < any.ranks; ++rank) {
    auto found = records.find(rank);
    if (found != records.end()) {
      states.push_back(found->second.state);
      continue;
    }
    RankState &state = states.emplace_back();
    state.rank = rank;
    state.kind = RankState::Kind::Died;
    state.how = "left no record: it was killed, or its machine is gone";
  }
  Error verdict = runtime::diagnose(states, any.timeout);
  Json json = {{"run", any.run},
               {"verdict",
                {{"code", verdict.code},
                 {"place", verdict.place},
                 {"message", verdict.message},
                 {"hint", verdict.hint}}}};
  std::string text = verdict.code + ": " + verdict.place + ": " +
                     verdict.message + "\n  hint: " + verdict.hint + "\n\n";
  Table table({"rank", "machine", "step", "last completed"});
  for (const RankState &state : states) {
    auto found = records.find(state.rank);
    bool known = found != records.end();
    Json entry = Json::parse(
        state.toJson().dump(-1, ' ', false, Json::error_handler_t::replace));
    if (known) {
      entry["machine"] = found->second.machine;
      entry["step"] = found->second.step;
    }
    json["ranks"].push_back(entry);
    table.row({std::to_string(state.rank), known ? found->second.machine : "?",
               known ? std::to_string(found->second.step) : "?",
               state.last.empty() ? "?" : state.last});
  }
  PARTITA_CHECK(printResult(
      options.format == "json"
          ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
          : text + table.str()));
  return ExitCode::Ok;
}

void tool::addDoctor(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<DoctorOptions>(
      app, chosen, "doctor",
      "Say who was to blame for a failed run, from its ranks' records",
      runDoctor);
  command->add_option("folder", options->folder, "Where the records are")
      ->required()
      ->type_name("DIR");
  addFormat(*command, options->format);
}
