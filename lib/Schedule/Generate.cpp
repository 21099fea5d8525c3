//===- Generate.cpp - The orders of all kinds of schedules ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// List scheduling. Time goes on from event to event; a lane that is free takes
// a task. Which one, counts decide: how far forward passes are ahead of
// backward passes, and how many micro-batches are kept. Lanes of most kinds
// wait for the task that is next by these counts, so that their order is the
// same whatever tasks take. Lanes of ZB-V, which have two chunks that data
// reach by different ways, take what is ready if tasks take as long as the
// shape says, about.
//
// Either way an order depends on the shape alone: how many micro-batches are
// kept is known before anything has a time.
//
//===----------------------------------------------------------------------===//

#include "Needs.h"
#include <algorithm>
#include <charconv>
#include <climits>
#include <queue>
#include <tuple>

using namespace partita;
using namespace partita::schedule;

static constexpr std::pair<ScheduleKind, const char *> kindNames[] = {
    {ScheduleKind::OneForwardOneBackward, "1f1b"},
    {ScheduleKind::GPipe, "gpipe"},
    {ScheduleKind::Interleaved, "interleaved"},
    {ScheduleKind::ZeroBubbleH1, "zb-h1"},
    {ScheduleKind::ZeroBubbleH2, "zb-h2"},
    {ScheduleKind::ZeroBubbleV, "zb-v"}};

const char *partita::scheduleName(ScheduleKind kind) {
  for (auto [known, name] : kindNames)
    if (known == kind)
      return name;
  return "";
}

std::string ScheduleChoice::str() const {
  std::string text = scheduleName(kind);
  if (kind == ScheduleKind::Interleaved)
    text += ":" + std::to_string(chunksPerLane);
  return text;
}

Result<ScheduleChoice> ScheduleChoice::parse(const std::string &text) {
  constexpr int64_t mostChunks = 1024;
  size_t colon = std::min(text.find(':'), text.size());
  for (auto [kind, name] : kindNames) {
    if (text.substr(0, colon) != name)
      continue;
    bool twice =
        kind == ScheduleKind::Interleaved || kind == ScheduleKind::ZeroBubbleV;
    ScheduleChoice choice{kind, twice ? 2 : 1};
    if (colon == text.size())
      return choice;
    const char *first = text.data() + colon + 1,
               *last = text.data() + text.size();
    auto [end, error] = std::from_chars(first, last, choice.chunksPerLane);
    if (kind == ScheduleKind::Interleaved && error == std::errc() &&
        end == last && choice.chunksPerLane >= 1 &&
        choice.chunksPerLane <= mostChunks)
      return choice;
  }
  return makeError(ExitCode::Usage, "schedule.name", "schedule " + text,
                   "there is no such schedule",
                   "1f1b, gpipe, interleaved:V with V chunks a stage, zb-h1, "
                   "zb-h2 or zb-v");
}

bool partita::splitsWeight(ScheduleKind kind) {
  return kind == ScheduleKind::ZeroBubbleH1 ||
         kind == ScheduleKind::ZeroBubbleH2 ||
         kind == ScheduleKind::ZeroBubbleV;
}

int64_t ScheduleShape::laneOf(int64_t chunk) const {
  int64_t round = chunk / lanes, place = chunk % lanes;
  return kind == ScheduleKind::ZeroBubbleV && round % 2 == 1 ? lanes - 1 - place
                                                             : place;
}

Status partita::checkShape(const ScheduleShape &shape) {
  constexpr int64_t most = int64_t(1) << 24;
  auto refuse = [&](const std::string &what, const std::string &hint) {
    return makeError(ExitCode::Usage, "schedule.shape",
                     std::string("schedule ") + scheduleName(shape.kind), what,
                     hint);
  };
  const int64_t p = shape.lanes, v = shape.chunksPerLane,
                m = shape.microBatches;
  const bool hasUnits =
      std::all_of(shape.units, shape.units + 3,
                  [](int64_t unit) { return unit >= 1 && unit <= 1024; });
  if (p < 1 || v < 1 || m < 1 || shape.cap < 0 || !hasUnits)
    return refuse("it has no stages, chunks or micro-batches",
                  "at least one of each");
  if (p > most / 3 || v > most / 3 / p || m > most / 3 / p / v)
    return refuse("it has more than " + std::to_string(most) + " tasks",
                  "fewer micro-batches");
  if (shape.kind == ScheduleKind::Interleaved) {
    if (m % p != 0)
      return refuse(std::to_string(m) +
                        " micro-batches are not a multiple of " +
                        std::to_string(p) + " stages",
                    "a multiple of the stages, or 1f1b");
  } else if (int64_t own = shape.kind == ScheduleKind::ZeroBubbleV ? 2 : 1;
             v != own) {
    return refuse("it has " + std::to_string(own) + " of chunks a stage, not " +
                      std::to_string(v),
                  "interleaved has any number of chunks");
  }
  return ok();
}

namespace {
/// What lanes may do by their counts, which are of chunks of micro-batches.
struct Limits {
  int64_t ahead, kept;
};

class Generator {
public:
  explicit Generator(const ScheduleShape &shape);
  Result<Schedule> run();

private:
  /// What a lane has done.
  struct Lane {
    int64_t forwards = 0, backwards = 0, weights = 0, free = 0;
    bool lastIsBackward = false;
  };
  Limits limitsOf(int64_t lane) const;
  Task nth(TaskKind kind, int64_t lane, int64_t number) const;
  Task next(int64_t lane) const;
  std::optional<Task> readyTask(int64_t lane) const;
  bool isReady(const Task &task) const;
  void start(int64_t lane, const Task &task);
  void wake(int64_t time, int chunk) {
    events.push({time, schedule.laneOf[chunk]});
  }

  const ScheduleShape &shape;
  Schedule schedule;
  const int64_t total; // tasks of a lane, of each kind
  int64_t now = 0;
  std::vector<Lane> lanes;
  /// By kind and chunk: how many there were.
  std::vector<int> done[3];
  std::vector<int64_t> ended; // by place

  std::vector<std::vector<int>> chunksOf; // by lane
  using Event = std::pair<int64_t, int64_t>;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
};
} // namespace

Generator::Generator(const ScheduleShape &shape)
    : shape(shape), total(shape.chunksPerLane * shape.microBatches),
      lanes(shape.lanes), chunksOf(shape.lanes) {
  schedule.microBatches = shape.microBatches;
  schedule.backward = shape.backward;
  schedule.splitsWeight = shape.backward && splitsWeight(shape.kind);
  schedule.lanes.resize(shape.lanes);
  for (int64_t chunk = 0; chunk < shape.chunks(); ++chunk) {
    schedule.laneOf.push_back(static_cast<int>(shape.laneOf(chunk)));
    chunksOf[shape.laneOf(chunk)].push_back(static_cast<int>(chunk));
  }
  for (std::vector<int> &ofKind : done)
    ofKind.assign(shape.chunks(), 0);
  ended.assign(numPlaces(schedule), INT64_MAX);
}

Limits Generator::limitsOf(int64_t lane) const {
  const int64_t p = shape.lanes, v = shape.chunksPerLane;
  Limits limits{total, total};
  if (shape.backward) {
    switch (shape.kind) {
    case ScheduleKind::GPipe:
      break;
    case ScheduleKind::OneForwardOneBackward:
      limits = {p - lane, p - lane};
      break;
    case ScheduleKind::Interleaved:
      limits.ahead = 2 * (p - lane - 1) + (v - 1) * p + 1;
      limits.kept = limits.ahead;
      break;
    case ScheduleKind::ZeroBubbleH1:
      limits = {p - lane, p};
      break;
    case ScheduleKind::ZeroBubbleH2:
      limits = {2 * (p - lane) - 1, 2 * p - 1};
      break;
    case ScheduleKind::ZeroBubbleV:
      limits = {2 * p, 2 * p};
      break;
    }
  }
  if (shape.backward && shape.cap > 0)
    limits = {std::min(limits.ahead, shape.cap),
              std::min(limits.kept, shape.cap)};
  return limits;
}

/// A lane takes groups of micro-batches, one of each lane, through its chunks;
/// back from the last.
Task Generator::nth(TaskKind kind, int64_t lane, int64_t number) const {
  const int64_t p = shape.lanes, v = shape.chunksPerLane;
  int64_t group = number / (p * v), inGroup = number % (p * v);
  int64_t chunk = v == 1 ? 0 : inGroup / p;
  int64_t microBatch = v == 1 ? number : group * p + inGroup % p;
  if (kind != TaskKind::Forward)
    chunk = v - 1 - chunk;
  return {chunksOf[lane][chunk], static_cast<int>(microBatch), kind};
}

/// What a lane that has not done everything waits for.
Task Generator::next(int64_t number) const {
  const Lane &lane = lanes[number];
  const Limits limits = limitsOf(number);
  auto forward = [&] { return nth(TaskKind::Forward, number, lane.forwards); };
  auto back = [&] { return nth(TaskKind::Backward, number, lane.backwards); };
  auto weight = [&] { return nth(TaskKind::Weight, number, lane.weights); };
  if (lane.forwards < total) {
    if (lane.forwards - lane.backwards >= limits.ahead)
      return back();
    bool hasRoom = lane.forwards - lane.weights < limits.kept;
    return hasRoom || !schedule.splitsWeight ? forward() : weight();
  }
  // At the end gradients of weights fill the time between backward passes.
  bool fills = lane.lastIsBackward && lane.weights < lane.backwards;
  return lane.backwards < total && !fills ? back() : weight();
}

bool Generator::isReady(const Task &task) const {
  Needs needs(task, schedule.chunks());
  return std::all_of(needs.begin(), needs.end(), [&](const Task &need) {
    return ended[placeOf(need, schedule)] <= now;
  });
}

/// Backward passes before forward passes, for which there must be room, before
/// gradients of weights; of each, what is nearest to the loss.
std::optional<Task> Generator::readyTask(int64_t number) const {
  const Lane &lane = lanes[number];
  std::optional<Task> found;
  auto look = [&](TaskKind kind, bool oldestFirst) {
    for (size_t i = chunksOf[number].size(); i-- > 0;) {
      int chunk = chunksOf[number][i];
      Task task{chunk, done[static_cast<int>(kind)][chunk], kind};
      bool better =
          !found || (oldestFirst && task.microBatch < found->microBatch);
      if (better && task.microBatch < shape.microBatches && isReady(task))
        found = task;
    }
  };
  if (shape.backward)
    look(TaskKind::Backward, true);
  const Limits limits = limitsOf(number);
  if (!found && lane.forwards - lane.weights < limits.kept)
    look(TaskKind::Forward, false);
  if (!found && shape.backward)
    look(TaskKind::Weight, true);
  return found;
}

void Generator::start(int64_t number, const Task &task) {
  Lane &lane = lanes[number];
  const auto kind = static_cast<int>(task.kind);
  bool isBackward = task.kind == TaskKind::Backward;
  int64_t end = now + shape.units[kind];
  lane.forwards += task.kind == TaskKind::Forward;
  lane.backwards += isBackward;
  lane.weights +=
      schedule.splitsWeight ? task.kind == TaskKind::Weight : isBackward;
  lane.lastIsBackward = isBackward;
  lane.free = end;
  ++done[kind][task.chunk];
  ended[placeOf(task, schedule)] = end;
  schedule.lanes[number].push_back(task);
  wake(end, task.chunk);
  if (task.kind == TaskKind::Forward && task.chunk + 1 < schedule.chunks())
    wake(end, task.chunk + 1);
  if (isBackward && task.chunk > 0)
    wake(end, task.chunk - 1);
}

Result<Schedule> Generator::run() {
  const int64_t kinds = !shape.backward ? 1 : schedule.splitsWeight ? 3 : 2;
  for (int64_t lane = 0; lane < shape.lanes; ++lane)
    events.push({0, lane});
  while (!events.empty()) {
    int64_t lane;
    std::tie(now, lane) = events.top();
    events.pop();
    if (lanes[lane].free > now ||
        static_cast<int64_t>(schedule.lanes[lane].size()) == kinds * total)
      continue;
    std::optional<Task> task;
    if (shape.kind == ScheduleKind::ZeroBubbleV)
      task = readyTask(lane);
    else if (task = next(lane); !isReady(*task))
      task.reset();
    if (task)
      start(lane, *task);
  }
  for (const std::vector<Task> &lane : schedule.lanes)
    if (static_cast<int64_t>(lane.size()) < kinds * total)
      return makeError(ExitCode::Usage, "schedule.cap",
                       std::string("schedule ") + scheduleName(shape.kind),
                       "stages wait for each other if they keep at most " +
                           std::to_string(shape.cap) + " micro-batches",
                       "a larger cap");
  return std::move(schedule);
}

Result<Schedule> partita::makeSchedule(const ScheduleShape &shape) {
  PARTITA_CHECK(checkShape(shape));
  return Generator(shape).run();
}
