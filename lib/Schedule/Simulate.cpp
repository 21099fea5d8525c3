//===- Simulate.cpp - When tasks run, and what is kept meanwhile ----------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every lane goes through its tasks as far as it can; a lane that waits is
// looked at again when a task is done that another lane's may need. So each
// task is looked at a few times, whatever the number of lanes, and what is left
// over at the end waits in a cycle.
//
//===----------------------------------------------------------------------===//

#include "Needs.h"
#include <algorithm>
#include <tuple>

using namespace partita;
using namespace partita::schedule;

std::string Task::str() const {
  const char *name = kind == TaskKind::Forward    ? "forward"
                     : kind == TaskKind::Backward ? "backward"
                                                  : "weight gradient";
  return std::string(name) + " of chunk " + std::to_string(chunk) +
         ", micro-batch " + std::to_string(microBatch);
}

namespace {
class Simulation {
public:
  Simulation(const Schedule &schedule, const std::vector<ChunkTimes> &times)
      : schedule(schedule), times(times), ended(numPlaces(schedule), -1),
        next(schedule.lanes.size(), 0), spans(schedule.lanes.size()) {}
  Result<std::vector<LaneSpan>> run();
  /// After run().
  TaskChain chainTo(int lane) const;

private:
  /// Negative: not yet known.
  int64_t readyAt(const Task &task) const;
  /// When what `task` needs has come to it.
  int64_t arrival(const Task &need, const Task &task) const;
  int64_t timeOf(const Task &task) const;
  void advance(int lane);
  void wake(int chunk) { todo.push_back(schedule.laneOf[chunk]); }

  const Schedule &schedule;
  const std::vector<ChunkTimes> &times;
  std::vector<int64_t> ended; // by place
  std::vector<size_t> next;   // by lane
  std::vector<LaneSpan> spans;
  std::vector<int> todo; // lanes
};
} // namespace

int64_t Simulation::arrival(const Task &need, const Task &task) const {
  const int64_t end = ended[placeOf(need, schedule)];
  if (end < 0 || need.chunk == task.chunk)
    return end;
  return end + (need.chunk < task.chunk ? times[need.chunk].sendForward
                                        : times[need.chunk].sendBackward);
}

int64_t Simulation::readyAt(const Task &task) const {
  int64_t ready = 0;
  for (const Task &need : Needs(task, schedule.chunks())) {
    int64_t end = arrival(need, task);
    if (end < 0)
      return -1;
    ready = std::max(ready, end);
  }
  return ready;
}

int64_t Simulation::timeOf(const Task &task) const {
  const ChunkTimes &chunk = times[task.chunk];
  switch (task.kind) {
  case TaskKind::Forward:
    return chunk.forward;
  case TaskKind::Backward:
    return chunk.backward + (schedule.splitsWeight ? 0 : chunk.weight);
  case TaskKind::Weight:
    return chunk.weight;
  }
  return 0;
}

void Simulation::advance(int lane) {
  const std::vector<Task> &tasks = schedule.lanes[lane];
  LaneSpan &span = spans[lane];
  for (size_t &i = next[lane]; i < tasks.size(); ++i) {
    const Task &task = tasks[i];
    int64_t ready = readyAt(task);
    if (ready < 0)
      return;
    int64_t begin = std::max(ready, span.end), time = timeOf(task);
    if (i == 0)
      span.begin = begin;
    span.end = begin + time;
    span.busy += time;
    ended[placeOf(task, schedule)] = span.end;
    if (task.kind == TaskKind::Forward && task.chunk + 1 < schedule.chunks())
      wake(task.chunk + 1);
    if (task.kind == TaskKind::Backward && task.chunk > 0)
      wake(task.chunk - 1);
  }
}

Result<std::vector<LaneSpan>> Simulation::run() {
  for (size_t lane = schedule.lanes.size(); lane-- > 0;)
    todo.push_back(static_cast<int>(lane));
  while (!todo.empty()) {
    int lane = todo.back();
    todo.pop_back();
    advance(lane);
  }
  for (size_t lane = 0; lane < next.size(); ++lane)
    if (next[lane] < schedule.lanes[lane].size())
      return makeError(ExitCode::InvalidInput, "schedule.cycle",
                       "lane " + std::to_string(lane) + ", entry " +
                           std::to_string(next[lane]),
                       schedule.lanes[lane][next[lane]].str() +
                           " is never ready: it waits for what comes after it",
                       "every task comes after what it needs");
  return std::move(spans);
}

/// Backwards from the lane's last task: whatever ended when a task began is
/// what it waited for.
TaskChain Simulation::chainTo(int lane) const {
  TaskChain chain{std::vector<ChainCounts>(schedule.chunks()), lane};
  std::vector<size_t> number(ended.size(), 0); // on its lane
  for (const std::vector<Task> &tasks : schedule.lanes)
    for (size_t i = 0; i < tasks.size(); ++i)
      number[placeOf(tasks[i], schedule)] = i;
  const Task *task =
      schedule.lanes[lane].empty() ? nullptr : &schedule.lanes[lane].back();
  while (task) {
    ChainCounts &counts = chain.counts[task->chunk];
    ++(task->kind == TaskKind::Forward    ? counts.forward
       : task->kind == TaskKind::Backward ? counts.backward
                                          : counts.weight);
    const size_t place = placeOf(*task, schedule);
    const int64_t begin = ended[place] - timeOf(*task);
    const Task *before = nullptr;
    const std::vector<Task> &own = schedule.lanes[schedule.laneOf[task->chunk]];
    if (size_t i = number[place];
        i > 0 && ended[placeOf(own[i - 1], schedule)] == begin)
      before = &own[i - 1];
    for (const Task &need : Needs(*task, schedule.chunks()))
      if (!before && arrival(need, *task) == begin)
        before = &schedule.lanes[schedule.laneOf[need.chunk]]
                                [number[placeOf(need, schedule)]];
    task = before;
  }
  return chain;
}

Result<std::vector<LaneSpan>>
partita::simulate(const Schedule &schedule,
                  const std::vector<ChunkTimes> &times) {
  return Simulation(schedule, times).run();
}

Result<TaskChain> partita::longestChain(const Schedule &schedule,
                                        const std::vector<ChunkTimes> &times,
                                        const std::vector<int64_t> &tails) {
  Simulation simulation(schedule, times);
  PARTITA_TRY(std::vector<LaneSpan> spans, simulation.run());
  int last = 0;
  for (size_t lane = 0; lane < spans.size(); ++lane)
    if (spans[lane].end + tails[lane] > spans[last].end + tails[last])
      last = static_cast<int>(lane);
  return simulation.chainTo(last);
}

std::vector<Kept> partita::keptMost(const Schedule &schedule) {
  std::vector<Kept> most(schedule.chunks()), now(schedule.chunks());
  for (size_t lane = 0; schedule.backward && lane < schedule.lanes.size();
       ++lane) {
    Kept sum, best;
    for (const Task &task : schedule.lanes[lane]) {
      Kept &chunk = now[task.chunk];
      int64_t all = task.kind == TaskKind::Forward, forWeight = 0;
      if (task.kind == TaskKind::Backward)
        (schedule.splitsWeight ? forWeight : all) +=
            schedule.splitsWeight ? 1 : -1;
      if (task.kind == TaskKind::Weight)
        all = forWeight = -1;
      chunk.all += all;
      sum.all += all;
      chunk.forWeight += forWeight;
      sum.forWeight += forWeight;
      if (std::tie(sum.all, sum.forWeight) <=
          std::tie(best.all, best.forWeight))
        continue;
      best = sum;
      for (int c = 0; c < schedule.chunks(); ++c)
        if (schedule.laneOf[c] == static_cast<int>(lane))
          most[c] = now[c];
    }
  }
  return most;
}
