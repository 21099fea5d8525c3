//===- Recorder.cpp - What ranks did last ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writing costs some nanoseconds a command: stores to memory that is in a
// cache.
//
//===----------------------------------------------------------------------===//

#include "Recorder.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

static_assert(std::atomic<int64_t>::is_always_lock_free);

void FlightRecord::begin(CommandNumber command, Clock::time_point now) {
  currentSince.store(nanoseconds(now), std::memory_order_relaxed);
  current.store(command, std::memory_order_release);
}

void FlightRecord::end(Clock::time_point now) {
  uint64_t number = done.load(std::memory_order_relaxed);
  FlightEvent &event = events[number % capacity];
  event.command.store(current.load(std::memory_order_relaxed),
                      std::memory_order_relaxed);
  event.step.store(step.load(std::memory_order_relaxed),
                   std::memory_order_relaxed);
  event.begin.store(currentSince.load(std::memory_order_relaxed),
                    std::memory_order_relaxed);
  event.end.store(nanoseconds(now), std::memory_order_relaxed);
  done.store(number + 1, std::memory_order_release);
  current.store(noCommand, std::memory_order_release);
}

CommandNumber FlightRecord::last() const {
  uint64_t number = done.load(std::memory_order_acquire);
  return number == 0 ? noCommand
                     : events[(number - 1) % capacity].command.load(
                           std::memory_order_relaxed);
}

FlightRecorder::FlightRecorder(FlightRecorder &&other) noexcept
    : file(std::move(other.file)),
      records(std::exchange(other.records, nullptr)), ranks(other.ranks) {}

FlightRecorder &FlightRecorder::operator=(FlightRecorder &&other) noexcept {
  std::swap(file, other.file);
  std::swap(records, other.records);
  std::swap(ranks, other.ranks);
  return *this;
}

FlightRecorder::~FlightRecorder() {
  if (records)
    ::munmap(records, ranks * sizeof(FlightRecord));
}

FlightRecorder FlightRecorder::adopt(Descriptor file, int64_t ranks) {
  FlightRecorder recorder;
  void *memory =
      ::mmap(nullptr, ranks * sizeof(FlightRecord), PROT_READ | PROT_WRITE,
             MAP_SHARED | (file ? 0 : MAP_ANONYMOUS), file.get(), 0);
  if (memory == MAP_FAILED)
    return recorder;
  recorder.file = std::move(file);
  recorder.records = static_cast<FlightRecord *>(memory);
  recorder.ranks = ranks;
  return recorder;
}

Result<FlightRecorder> FlightRecorder::create(int64_t ranks, bool forOthers) {
  Descriptor file;
  if (forOthers)
    file = Descriptor(::memfd_create("partita-flight", MFD_CLOEXEC));
  FlightRecorder recorder;
  if (!forOthers ||
      (file && ::ftruncate(file.get(), ranks * sizeof(FlightRecord)) == 0))
    recorder = adopt(std::move(file), ranks);
  if (!recorder)
    return makeError(ExitCode::DistributedFault, "run.memory",
                     "flight recorder",
                     std::string("cannot be made: ") + std::strerror(errno));
  for (int64_t i = 0; i < ranks; ++i) {
    FlightRecord &record = recorder[i];
    record.current = noCommand;
    record.step = 0;
    record.waitFrom = record.waitTo = -1;
  }
  return std::move(recorder);
}

FlightRecorder FlightRecorder::map(int64_t pid, int64_t descriptor,
                                   int64_t ranks) {
  std::string path =
      "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(descriptor);
  Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size != static_cast<int64_t>(ranks * sizeof(FlightRecord)))
    return {};
  return adopt(std::move(file), ranks);
}
