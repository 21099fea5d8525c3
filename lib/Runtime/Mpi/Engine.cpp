//===- Engine.cpp - MPI, asked by one thread ------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All calls of MPI but those that begin a message come from the thread; the
// mutex keeps them apart (MPI_THREAD_SERIALIZED).
//
//===----------------------------------------------------------------------===//

#include "Engine.h"
#include <cstdlib>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;
using namespace partita::runtime::mpi;

/// A count of MPI is an int; longer messages go in pieces.
static constexpr size_t longestPiece = size_t(4) << 20;
static constexpr int announcementTag = 0;

static std::string textOf(int code) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int size = 0;
  MPI_Error_string(code, text, &size);
  return std::string(text, size);
}

static Error lost(int peer, std::string why) {
  return makeError(ExitCode::DistributedFault, "run.lost",
                   "process " + std::to_string(peer), std::move(why));
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

Status Streams::open(MPI_Comm of, int process, int processes, int limit) {
  communicator = of;
  maxTag = limit;
  lastOutgoing.assign(processes, announcementTag);
  lastIncoming.assign(processes, announcementTag);
  heard.resize(processes);
  for (int peer = 0; peer < processes; ++peer)
    if (peer != process && !listen(peer))
      return lost(peer, "nothing can be received from it");
  return ok();
}

Streams::~Streams() {
  for (Announcement &next : heard)
    if (next.request != MPI_REQUEST_NULL) {
      MPI_Cancel(&next.request);
      MPI_Request_free(&next.request);
    }
  // MPI may still read them.
  if (!announcing.empty())
    (void)new std::list<Announcement>(std::move(announcing));
}

/// Begins to receive the peer's next announcement.
bool Streams::listen(int peer) {
  Announcement &next = heard[peer];
  return MPI_Irecv(&next.slot, 1, MPI_UINT64_T, peer, announcementTag,
                   communicator, &next.request) == MPI_SUCCESS;
}

/// Hands a message to MPI, in pieces that it can count.
bool Streams::start(Operation &operation, int tag) {
  operation.started = true;
  size_t at = 0;
  do {
    int count = static_cast<int>(std::min(longestPiece, operation.size - at));
    MPI_Request &request = operation.requests.emplace_back(MPI_REQUEST_NULL);
    std::byte *data = operation.data + at;
    int code = operation.sending
                   ? MPI_Isend(data, count, MPI_BYTE, operation.peer, tag,
                               communicator, &request)
                   : MPI_Irecv(data, count, MPI_BYTE, operation.peer, tag,
                               communicator, &request);
    if (code != MPI_SUCCESS)
      operation.problem = textOf(code);
    at += count;
  } while (at < operation.size && operation.problem.empty());
  return finish(operation);
}

/// Whether MPI has done it, or cannot.
bool Streams::finish(Operation &operation) {
  int done = 0;
  if (operation.problem.empty())
    if (int code =
            MPI_Testall(static_cast<int>(operation.requests.size()),
                        operation.requests.data(), &done, MPI_STATUSES_IGNORE);
        code != MPI_SUCCESS)
      operation.problem = textOf(code);
  operation.done = done;
  if (!done && operation.problem.empty())
    return false;
  operation.changed.notify_all();
  return true;
}

Status Streams::announce(const Stream &stream) {
  int peer = stream.first;
  if (lastOutgoing[peer] == maxTag)
    return makeError(ExitCode::Unsupported, "run.communicator",
                     "--communicator mpi",
                     "this MPI has only " + std::to_string(maxTag) +
                         " tags, and the program needs more",
                     "--communicator gloo has no such limit");
  Announcement &next = announcing.emplace_back();
  next.slot = stream.second;
  int code = MPI_Isend(&next.slot, 1, MPI_UINT64_T, peer, announcementTag,
                       communicator, &next.request);
  if (code != MPI_SUCCESS)
    return lost(peer, textOf(code));
  outgoing[stream] = ++lastOutgoing[peer];
  return ok();
}

Status Streams::begin(Operation &operation) {
  if (broken)
    return lost(operation.peer, "an earlier message was given up");
  Stream stream(operation.peer, operation.slot);
  auto &tags = operation.sending ? outgoing : incoming;
  if (operation.sending && !tags.count(stream))
    PARTITA_CHECK(announce(stream));
  if (auto tag = tags.find(stream); tag != tags.end())
    start(operation, tag->second);
  operations.push_back(&operation);
  return ok();
}

void Streams::end(Operation &operation) {
  operations.remove(&operation);
  if (operation.done || !operation.started)
    return;
  broken = true;
  for (MPI_Request &request : operation.requests)
    if (request != MPI_REQUEST_NULL) {
      if (!operation.sending)
        MPI_Cancel(&request);
      MPI_Request_free(&request);
    }
}

bool Streams::pending() const {
  if (broken)
    return false;
  for (const Operation *operation : operations)
    if (!operation->done && operation->problem.empty())
      return true;
  return !announcing.empty();
}

/// Takes an announcement of the peer, if there is one, and begins what waited
/// for it.
bool Streams::hear(int peer) {
  Announcement &next = heard[peer];
  int done = 0;
  if (next.request == MPI_REQUEST_NULL ||
      MPI_Test(&next.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done)
    return false;
  Stream stream(peer, next.slot);
  int tag = incoming[stream] = ++lastIncoming[peer];
  listen(peer);
  for (Operation *operation : operations)
    if (!operation->started && !operation->sending &&
        Stream(operation->peer, operation->slot) == stream)
      start(*operation, tag);
  return true;
}

bool Streams::advance() {
  bool moved = false;
  for (size_t peer = 0; peer < heard.size(); ++peer)
    while (hear(static_cast<int>(peer)))
      moved = true;
  announcing.remove_if([](Announcement &next) {
    int done = 0;
    return MPI_Test(&next.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS ||
           done;
  });
  for (Operation *operation : operations)
    if (operation->started && !operation->done && operation->problem.empty())
      moved |= finish(*operation);
  return moved;
}

//===----------------------------------------------------------------------===//
// The engine
//===----------------------------------------------------------------------===//

/// Never destroyed: its thread may be in MPI when the process ends.
Engine &Engine::get() {
  static Engine *engine = new Engine;
  return *engine;
}

/// Runs when the process exits by itself.
static void leaveAtExit(int status, void *) {
  std::fflush(nullptr); // Nothing of this process runs after MPI_Abort().
  if (!Engine::get().leave(status))
    ::_exit(status);
}

static Error notStarted(std::string why) {
  return makeError(ExitCode::DistributedFault, "launch.mpi", "MPI",
                   std::move(why),
                   "does a program of this MPI alone run so? --communicator "
                   "gloo needs none");
}

Status Engine::start(Clock::time_point deadline) {
  std::unique_lock lock(guard);
  if (phase == Phase::Off) {
    phase = Phase::Starting;
    ::on_exit(leaveAtExit, nullptr);
    std::thread([this] { run(); }).detach();
  }
  if (!changed.wait_until(lock, deadline,
                          [&] { return phase != Phase::Starting; }))
    return notStarted("MPI_Init did not return in time");
  return phase == Phase::On ? ok() : notStarted(problem);
}

bool Engine::leave(int status) {
  std::unique_lock lock(guard);
  if (phase == Phase::Off || phase == Phase::Failed)
    return true;
  leaving = status;
  work.notify_all();
  return changed.wait_for(lock, std::chrono::seconds(status == 0 ? 10 : 3),
                          [&] { return phase == Phase::Left; });
}

void Engine::wake() {
  fresh = true;
  work.notify_all();
}

void Engine::run() {
  using namespace std::chrono_literals;
  ::prctl(PR_SET_TIMERSLACK, 1000); // Its sleeps are short.
  int level = 0, rank = 0;
  int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
  std::unique_lock lock(guard);
  if (code != MPI_SUCCESS)
    problem = textOf(code);
  else if (level < MPI_THREAD_SERIALIZED)
    problem = "it was built without support for threads";
  phase = problem.empty() ? Phase::On : Phase::Failed;
  changed.notify_all();
  if (phase == Phase::Failed)
    return;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  while (!leaving)
    poll(lock);
  int status = *leaving;
  lock.unlock();
  if (status == 0) {
    MPI_Finalize();
  } else {
    // It ends all others too, and the first one says most.
    std::this_thread::sleep_for(rank == 0 ? 0ms : 500ms);
    MPI_Abort(MPI_COMM_WORLD, status);
  }
  lock.lock();
  phase = Phase::Left;
  changed.notify_all();
}

/// Looks after messages until none is under way; sleeps the longer the less
/// happens.
void Engine::poll(std::unique_lock<std::mutex> &lock) {
  constexpr std::chrono::microseconds shortest(10), longestPause(500);
  auto pending = [&] {
    return std::any_of(all.begin(), all.end(),
                       [](const Streams *each) { return each->pending(); });
  };
  work.wait(lock, [&] { return leaving || pending(); });
  for (auto pause = shortest; !leaving && pending();) {
    bool moved = false;
    for (Streams *streams : all)
      if (streams->pending())
        moved |= streams->advance();
    if (moved || std::exchange(fresh, false))
      pause = shortest;
    else
      pause = std::min(2 * pause, longestPause);
    if (!moved)
      work.wait_for(lock, pause, [&] { return leaving || fresh; });
  }
}
