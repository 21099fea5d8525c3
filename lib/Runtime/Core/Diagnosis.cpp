//===- Diagnosis.cpp - Which rank is to blame -----------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The hub of a job asks this while it runs, `partita doctor` of what was
// recorded.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Diagnosis.h"
#include <algorithm>
#include <sstream>

using namespace partita;
using namespace partita::runtime;
using nlohmann::json;
using Kind = RankState::Kind;

//===----------------------------------------------------------------------===//
// As JSON
//===----------------------------------------------------------------------===//

static constexpr const char *kindNames[] = {"idle",   "busy",   "waiting",
                                            "failed", "silent", "died"};

json partita::runtime::errorToJson(const Error &error) {
  return {{"exit", static_cast<int>(error.exit)},
          {"code", error.code},
          {"place", error.place},
          {"message", error.message},
          {"hint", error.hint}};
}

std::optional<Error> partita::runtime::errorFromJson(const json &from) {
  try {
    int exit = from.at("exit");
    if (exit < 1 || exit > 255)
      return std::nullopt;
    return makeError(static_cast<ExitCode>(exit), from.at("code"),
                     from.at("place"), from.at("message"), from.at("hint"));
  } catch (const json::exception &) {
    return std::nullopt;
  }
}

json RankState::toJson() const {
  json result = {
      {"rank", rank},          {"state", kindNames[static_cast<int>(kind)]},
      {"doing", doing},        {"last", last},
      {"waits_for", waitsFor}, {"how", how}};
  if (error)
    result["error"] = errorToJson(*error);
  return result;
}

std::optional<RankState> RankState::fromJson(const json &from) {
  try {
    RankState state;
    state.rank = from.at("rank");
    std::string kind = from.at("state");
    auto found = std::find(std::begin(kindNames), std::end(kindNames), kind);
    if (found == std::end(kindNames))
      return std::nullopt;
    state.kind = static_cast<Kind>(found - std::begin(kindNames));
    state.doing = from.at("doing");
    state.last = from.at("last");
    state.waitsFor = from.at("waits_for").get<std::vector<int64_t>>();
    state.how = from.at("how");
    if (from.contains("error"))
      state.error = errorFromJson(from["error"]);
    if (state.kind == Kind::Failed && !state.error)
      return std::nullopt;
    return state;
  } catch (const json::exception &) {
    return std::nullopt;
  }
}

//===----------------------------------------------------------------------===//
// The verdict
//===----------------------------------------------------------------------===//

/// "rank 3", "ranks 1, 2".
static std::string ranksText(const std::vector<int64_t> &ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (i == 16)
      return text + ", ...";
    text += (i ? ", " : "") + std::to_string(ranks[i]);
  }
  return text;
}

/// What a rank was in and what it had done, on lines of their own.
static std::string whereabouts(const RankState &state,
                               const std::string &indent) {
  std::string text;
  if (!state.doing.empty())
    text += "\n" + indent + "in " + state.doing;
  text += "\n" + indent + "last completed: " +
          (state.last.empty() ? "nothing that is known" : state.last);
  return text;
}

static std::string lineOf(const RankState &state) {
  std::string text = "\n  rank " + std::to_string(state.rank) + ": ";
  std::string in = state.doing.empty() ? "" : " in " + state.doing;
  switch (state.kind) {
  case Kind::Idle:
    return text + "was idle";
  case Kind::Busy:
    return text + "was" + in;
  case Kind::Waiting:
    return text + "waited for " + ranksText(state.waitsFor) + in;
  case Kind::Failed:
    return text + "failed too: " + state.error->message;
  case Kind::Silent:
    return text + "does not answer either";
  case Kind::Died:
    return text + (state.how.empty() ? "died" : state.how) + " too";
  }
  return text;
}

namespace {
/// Who is to blame for what.
struct Blame {
  std::vector<const RankState *> culprits;
  Error error;
};
} // namespace

static std::vector<const RankState *>
ofKind(const std::vector<RankState> &states, Kind kind) {
  std::vector<const RankState *> found;
  for (const RankState &state : states)
    if (state.kind == kind)
      found.push_back(&state);
  return found;
}

/// Ranks that others wait for and that wait for nobody; if there are none,
/// those that still compute: others may be done already.
static std::vector<const RankState *>
lateOnes(const std::vector<RankState> &states) {
  std::vector<const RankState *> late;
  for (const RankState &state : states)
    if (state.kind == Kind::Idle || state.kind == Kind::Busy)
      for (const RankState &other : states)
        if (std::count(other.waitsFor.begin(), other.waitsFor.end(),
                       state.rank)) {
          late.push_back(&state);
          break;
        }
  return late.empty() ? ofKind(states, Kind::Busy) : late;
}

static std::string secondsText(double seconds) {
  std::ostringstream os;
  os << seconds << " s";
  return os.str();
}

static Blame blame(const std::vector<RankState> &states, double seconds) {
  const std::string slowHint = "raise --timeout if a rank is only slow";
  auto fault = [](const char *code, std::string message, std::string hint) {
    return makeError(ExitCode::DistributedFault, code, "", std::move(message),
                     std::move(hint));
  };
  if (auto died = ofKind(states, Kind::Died); !died.empty())
    return {died,
            fault("run.rank-died", died[0]->how.empty() ? "died" : died[0]->how,
                  "its own messages and the system's log may say why")};
  if (auto failed = ofKind(states, Kind::Failed); !failed.empty())
    return {{failed[0]}, *failed[0]->error};
  if (auto silent = ofKind(states, Kind::Silent); !silent.empty())
    return {silent,
            fault("run.rank-silent",
                  "no answer: stopped, or the machine is cut off",
                  "is its process stopped, and can the machines reach each "
                  "other?")};
  if (auto late = lateOnes(states); !late.empty())
    return {late,
            fault("run.timeout", "did not come within " + secondsText(seconds),
                  slowHint)};
  auto waiting = ofKind(states, Kind::Waiting);
  return {waiting, fault("run.timeout",
                         "waited " + secondsText(seconds) +
                             " for each other: messages were lost",
                         slowHint)};
}

Error partita::runtime::diagnose(const std::vector<RankState> &states,
                                 double seconds) {
  auto [culprits, error] = blame(states, seconds);
  std::vector<int64_t> numbers;
  for (const RankState *state : culprits)
    numbers.push_back(state->rank);
  bool ownError = culprits.size() == 1 && culprits[0]->kind == Kind::Failed;
  if (!ownError) {
    error.place = culprits.empty() ? "run" : ranksText(numbers);
    if (culprits.size() == 1)
      error.message += whereabouts(*culprits[0], "  ");
  }
  int64_t shown = 0;
  for (const RankState &state : states) {
    bool isCulprit =
        std::find(numbers.begin(), numbers.end(), state.rank) != numbers.end();
    if (isCulprit && culprits.size() == 1)
      continue;
    if (++shown > 16) {
      error.message += "\n  ... and more ranks";
      break;
    }
    error.message += isCulprit && state.kind != Kind::Waiting
                         ? "\n  rank " + std::to_string(state.rank) + ":" +
                               whereabouts(state, "    ")
                         : lineOf(state);
  }
  return error;
}
