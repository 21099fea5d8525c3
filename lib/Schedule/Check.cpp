//===- Check.cpp - What can be proved of an order -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Needs.h"
#include <algorithm>
#include <deque>
#include <functional>
#include <map>

using namespace partita;
using namespace partita::schedule;

//===----------------------------------------------------------------------===//
// Tasks
//===----------------------------------------------------------------------===//

static Error wrong(const char *code, size_t lane, size_t entry,
                   const std::string &what) {
  return makeError(ExitCode::InvalidInput, code,
                   "lane " + std::to_string(lane) + ", entry " +
                       std::to_string(entry),
                   what, "an order that makeSchedule() gives is right");
}

static bool hasTask(const Schedule &schedule, const Task &task) {
  bool hasKind = task.kind == TaskKind::Forward ||
                 (schedule.backward &&
                  (task.kind == TaskKind::Backward || schedule.splitsWeight));
  return hasKind && task.chunk >= 0 && task.chunk < schedule.chunks() &&
         task.microBatch >= 0 && task.microBatch < schedule.microBatches;
}

/// Each once, on the lane of its chunk.
static Status checkTasks(const Schedule &schedule) {
  std::vector<char> seen(numPlaces(schedule), 0);
  for (size_t lane = 0; lane < schedule.lanes.size(); ++lane)
    for (size_t i = 0; i < schedule.lanes[lane].size(); ++i) {
      const Task &task = schedule.lanes[lane][i];
      if (!hasTask(schedule, task))
        return wrong("schedule.task", lane, i, "there is no " + task.str());
      if (schedule.laneOf[task.chunk] != static_cast<int>(lane))
        return wrong("schedule.lane", lane, i,
                     task.str() + " belongs to lane " +
                         std::to_string(schedule.laneOf[task.chunk]));
      if (seen[placeOf(task, schedule)]++)
        return wrong("schedule.repeated", lane, i,
                     task.str() + " was there before");
    }
  for (TaskKind kind :
       {TaskKind::Forward, TaskKind::Backward, TaskKind::Weight})
    for (int chunk = 0; chunk < schedule.chunks(); ++chunk)
      for (int m = 0; m < schedule.microBatches; ++m) {
        Task task{chunk, m, kind};
        const auto lane = static_cast<size_t>(schedule.laneOf[chunk]);
        if (hasTask(schedule, task) && !seen[placeOf(task, schedule)])
          return wrong("schedule.missing", lane, schedule.lanes[lane].size(),
                       task.str() + " is not there");
      }
  return ok();
}

/// Each after what it needs of its own lane.
static Status checkOrder(const Schedule &schedule) {
  std::vector<char> seen(numPlaces(schedule), 0);
  for (size_t lane = 0; lane < schedule.lanes.size(); ++lane)
    for (size_t i = 0; i < schedule.lanes[lane].size(); ++i) {
      const Task &task = schedule.lanes[lane][i];
      seen[placeOf(task, schedule)] = 1;
      for (const Task &need : Needs(task, schedule.chunks()))
        if (schedule.laneOf[need.chunk] == static_cast<int>(lane) &&
            !seen[placeOf(need, schedule)])
          return wrong("schedule.order", lane, i,
                       task.str() + " comes before " + need.str());
    }
  return ok();
}

Status partita::checkSchedule(const Schedule &schedule) {
  PARTITA_CHECK(checkTasks(schedule));
  PARTITA_CHECK(checkOrder(schedule));
  auto spans = simulate(schedule, std::vector<ChunkTimes>(schedule.chunks()));
  if (!spans)
    return spans.takeError();
  return checkExchanges(exchangesOf(schedule), {});
}

//===----------------------------------------------------------------------===//
// Exchanges
//===----------------------------------------------------------------------===//

/// Where what a task makes goes; negative: it stays on its lane.
static int receiverOf(const Schedule &schedule, const Task &task) {
  int chunk = task.kind == TaskKind::Forward    ? task.chunk + 1
              : task.kind == TaskKind::Backward ? task.chunk - 1
                                                : -1;
  if (chunk < 0 || chunk == schedule.chunks() ||
      schedule.laneOf[chunk] == schedule.laneOf[task.chunk])
    return -1;
  return schedule.laneOf[chunk];
}

std::vector<std::vector<Exchange>>
partita::exchangesOf(const Schedule &schedule) {
  const size_t count = schedule.lanes.size();
  // From one lane to another: what is sent, in order, and how much of it came.
  std::map<std::pair<int, int>, std::pair<std::vector<int64_t>, size_t>> sent;
  for (const std::vector<Task> &lane : schedule.lanes)
    for (const Task &task : lane)
      if (int to = receiverOf(schedule, task); to >= 0)
        sent[{schedule.laneOf[task.chunk], to}].first.push_back(
            static_cast<int64_t>(placeOf(task, schedule)));
  std::vector<std::vector<Exchange>> all(count);
  std::vector<char> isHere(numPlaces(schedule), 0);
  for (size_t lane = 0; lane < count; ++lane)
    for (const Task &task : schedule.lanes[lane]) {
      for (const Task &need : Needs(task, schedule.chunks())) {
        const int from = schedule.laneOf[need.chunk];
        if (from == static_cast<int>(lane))
          continue;
        auto &[tags, came] = sent[{from, static_cast<int>(lane)}];
        while (!isHere[placeOf(need, schedule)] && came < tags.size()) {
          isHere[tags[came]] = 1;
          all[lane].push_back({Exchange::Receive, from, tags[came++]});
        }
      }
      if (int to = receiverOf(schedule, task); to >= 0)
        all[lane].push_back({Exchange::Send, to,
                             static_cast<int64_t>(placeOf(task, schedule))});
    }
  return all;
}

namespace {
/// Ranks that do their exchanges in order, as far as they can.
class Exchanging {
public:
  Exchanging(const std::vector<std::vector<Exchange>> &ranks,
             const std::vector<std::vector<int>> &groups, int64_t ahead)
      : ranks(ranks), groups(groups), ahead(ahead), next(ranks.size(), 0),
        isWaiting(ranks.size(), 0) {}
  Status run();

private:
  struct Message {
    int64_t tag;
    size_t entry;
  };
  Status checkPlaces() const;
  Result<bool> step(int rank);
  Result<bool> send(int rank, const Exchange &what);
  Result<bool> receive(int rank, const Exchange &what);
  Result<bool> meet(int rank, const Exchange &what);
  Error disagree(int rank, int other, size_t entry) const;
  Error stuck() const;
  int waitsFor(int rank) const;
  std::string text(int rank, size_t entry) const;

  const std::vector<std::vector<Exchange>> &ranks;
  const std::vector<std::vector<int>> &groups;
  const int64_t ahead;
  std::vector<size_t> next; // by rank
  /// By rank: its send is on its way, and it waits for its receive.
  std::vector<char> isWaiting;
  std::map<std::pair<int, int>, std::deque<Message>> underway; // from, to
  std::vector<int> todo;
};
} // namespace

std::string Exchanging::text(int rank, size_t entry) const {
  const Exchange &what = ranks[rank][entry];
  const char *kind = what.kind == Exchange::Send      ? "sends to rank "
                     : what.kind == Exchange::Receive ? "receives from rank "
                                                      : "meets group ";
  return "rank " + std::to_string(rank) + ", entry " + std::to_string(entry) +
         ", " + kind + std::to_string(what.with) + " (" +
         std::to_string(what.tag) + ")";
}

Status Exchanging::checkPlaces() const {
  auto isRank = [&](int rank) {
    return rank >= 0 && static_cast<size_t>(rank) < ranks.size();
  };
  for (int rank = 0; isRank(rank); ++rank)
    for (size_t i = 0; i < ranks[rank].size(); ++i) {
      const Exchange &what = ranks[rank][i];
      bool isThere = isRank(what.with) && what.with != rank;
      if (what.kind == Exchange::Collective) {
        isThere =
            what.with >= 0 && static_cast<size_t>(what.with) < groups.size();
        if (isThere) {
          const std::vector<int> &group = groups[what.with];
          isThere =
              std::find(group.begin(), group.end(), rank) != group.end() &&
              std::all_of(group.begin(), group.end(), isRank) &&
              std::adjacent_find(group.begin(), group.end(),
                                 std::greater_equal<>()) == group.end();
        }
      }
      if (!isThere)
        return makeError(ExitCode::InvalidInput, "schedule.exchange",
                         text(rank, i), "there is nothing to exchange with",
                         "ranks and groups count from zero, and a group has "
                         "the ranks that meet in it, in ascending order");
    }
  return ok();
}

Error Exchanging::disagree(int rank, int other, size_t entry) const {
  return makeError(ExitCode::InvalidInput, "schedule.mismatch",
                   text(rank, next[rank]),
                   "it meets what " + text(other, entry),
                   "both sides exchange the same things in the same order");
}

Result<bool> Exchanging::send(int rank, const Exchange &what) {
  std::deque<Message> &messages = underway[{rank, what.with}];
  if (!isWaiting[rank]) {
    messages.push_back({what.tag, next[rank]});
    todo.push_back(what.with);
  }
  bool goesOn = static_cast<int64_t>(messages.size()) <= ahead;
  isWaiting[rank] = !goesOn;
  return goesOn;
}

Result<bool> Exchanging::receive(int rank, const Exchange &what) {
  std::deque<Message> &messages = underway[{what.with, rank}];
  if (messages.empty())
    return false;
  if (messages.front().tag != what.tag)
    return disagree(rank, what.with, messages.front().entry);
  messages.pop_front();
  todo.push_back(what.with);
  return true;
}

/// The last rank of a group that comes takes the others on.
Result<bool> Exchanging::meet(int rank, const Exchange &what) {
  for (int other : groups[what.with]) {
    if (next[other] == ranks[other].size())
      return false;
    const Exchange &theirs = ranks[other][next[other]];
    if (theirs.kind != Exchange::Collective || theirs.with != what.with)
      return false;
    if (theirs.tag != what.tag)
      return disagree(rank, other, next[other]);
  }
  for (int other : groups[what.with])
    if (other != rank) {
      ++next[other];
      todo.push_back(other);
    }
  return true;
}

/// Whether a rank came a step further.
Result<bool> Exchanging::step(int rank) {
  if (next[rank] == ranks[rank].size())
    return false;
  const Exchange &what = ranks[rank][next[rank]];
  PARTITA_TRY(bool goesOn, what.kind == Exchange::Send ? send(rank, what)
                           : what.kind == Exchange::Receive
                               ? receive(rank, what)
                               : meet(rank, what));
  next[rank] += goesOn;
  return goesOn;
}

/// Some rank that has to come first.
int Exchanging::waitsFor(int rank) const {
  const Exchange &what = ranks[rank][next[rank]];
  if (what.kind != Exchange::Collective)
    return what.with;
  for (int other : groups[what.with]) {
    bool isHere = next[other] < ranks[other].size() &&
                  ranks[other][next[other]].kind == Exchange::Collective &&
                  ranks[other][next[other]].with == what.with;
    if (!isHere)
      return other;
  }
  return rank;
}

/// Ranks that wait from one to the next, back to the first or to one that is
/// through.
Error Exchanging::stuck() const {
  int rank = 0;
  while (next[rank] == ranks[rank].size())
    ++rank;
  std::vector<char> seen(ranks.size(), 0);
  while (next[rank] < ranks[rank].size() && !seen[rank]) {
    seen[rank] = 1;
    rank = waitsFor(rank);
  }
  // In the cycle, or where it ends.
  std::string message = "these wait for each other:";
  if (next[rank] == ranks[rank].size()) {
    message = "rank " + std::to_string(rank) + " is through, and these wait:";
    std::fill(seen.begin(), seen.end(), 1);
  } else {
    std::fill(seen.begin(), seen.end(), 0);
    for (int r = rank; !seen[r]; r = waitsFor(r))
      seen[r] = 1;
  }
  constexpr int most = 8;
  int count = 0;
  std::string first;
  for (size_t r = 0; r < ranks.size() && count < most; ++r)
    if (seen[r] && next[r] < ranks[r].size()) {
      std::string it = text(static_cast<int>(r), next[r]);
      if (first.empty())
        first = it;
      message += "\n  " + it;
      ++count;
    }
  return makeError(ExitCode::InvalidInput, "schedule.deadlock", first, message,
                   "an order in which one of them comes first");
}

Status Exchanging::run() {
  PARTITA_CHECK(checkPlaces());
  for (size_t rank = ranks.size(); rank-- > 0;)
    todo.push_back(static_cast<int>(rank));
  while (!todo.empty()) {
    int rank = todo.back();
    todo.pop_back();
    for (bool more = true; more;) {
      PARTITA_TRY(more, step(rank));
    }
  }
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    if (next[rank] < ranks[rank].size())
      return stuck();
  for (const auto &[pair, messages] : underway)
    if (!messages.empty())
      return makeError(ExitCode::InvalidInput, "schedule.mismatch",
                       text(pair.first, messages.front().entry),
                       "nothing receives it",
                       "both sides exchange the same things");
  return ok();
}

Status partita::checkExchanges(const std::vector<std::vector<Exchange>> &ranks,
                               const std::vector<std::vector<int>> &groups,
                               int64_t ahead) {
  return Exchanging(ranks, groups, ahead).run();
}
