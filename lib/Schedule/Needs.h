//===- Needs.h - What a task waits for --------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_SCHEDULE_NEEDS_H
#define PARTITA_LIB_SCHEDULE_NEEDS_H

#include "partita/Schedule/Schedule.h"

namespace partita::schedule {

/// At most two tasks.
class Needs {
public:
  Needs(const Task &task, int chunks) {
    auto add = [&](TaskKind kind, int chunk) {
      tasks[count++] = {chunk, task.microBatch, kind};
    };
    if (task.kind == TaskKind::Weight) {
      add(TaskKind::Backward, task.chunk);
    } else if (task.kind == TaskKind::Backward) {
      add(TaskKind::Forward, task.chunk);
      if (task.chunk + 1 < chunks)
        add(TaskKind::Backward, task.chunk + 1);
    } else if (task.chunk > 0) {
      add(TaskKind::Forward, task.chunk - 1);
    }
  }
  const Task *begin() const { return tasks; }
  const Task *end() const { return tasks + count; }

private:
  Task tasks[2];
  int count = 0;
};

/// A number for each task of a schedule.
inline size_t placeOf(const Task &task, const Schedule &schedule) {
  return static_cast<size_t>(
      (static_cast<int64_t>(task.kind) * schedule.chunks() + task.chunk) *
          schedule.microBatches +
      task.microBatch);
}
inline size_t numPlaces(const Schedule &schedule) {
  return static_cast<size_t>(3 * schedule.chunks() * schedule.microBatches);
}

} // namespace partita::schedule

#endif // PARTITA_LIB_SCHEDULE_NEEDS_H
