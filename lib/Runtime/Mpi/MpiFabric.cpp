//===- MpiFabric.cpp - Messages between processes by MPI ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Point-to-point messages only, as with Gloo, and for the same reason: MPI's
// reductions add in an order of their own. Processes meet at the hub, and MPI
// starts after that: what does not fit together is known before, and nobody
// waits in MPI_Init for a process that has given up.
//
//===----------------------------------------------------------------------===//

#include "Engine.h"
#include <thread>

using namespace partita;
using namespace partita::runtime;
using namespace partita::runtime::mpi;

namespace {

class MpiMessage : public PendingMessage {
public:
  explicit MpiMessage(Streams &streams) : streams(streams) {}
  ~MpiMessage() override {
    std::lock_guard lock(Engine::get().mutex());
    streams.end(operation);
  }
  Status begin() {
    std::lock_guard lock(Engine::get().mutex());
    PARTITA_CHECK(streams.begin(operation));
    Engine::get().wake();
    return ok();
  }
  Status wait() override;
  void cancel() override {
    std::lock_guard lock(Engine::get().mutex());
    operation.cancelled = true;
    operation.changed.notify_all();
  }

  Operation operation;

private:
  Streams &streams;
};

class MpiFabric : public Fabric {
public:
  explicit MpiFabric(const FabricOptions &options) : options(options) {}
  ~MpiFabric() override {
    std::lock_guard lock(Engine::get().mutex());
    Engine::get().remove(*streams);
    streams.reset();
  }
  /// MPI knows the way.
  std::vector<std::string> addresses() override {
    return std::vector<std::string>(options.processes);
  }
  Status connect(const std::vector<std::string> &) override;

private:
  Status checkWorld() const;
  Result<MPI_Comm> makeCommunicator(Clock::time_point deadline) const;
  Result<std::unique_ptr<PendingMessage>> begin(int64_t process,
                                                std::span<std::byte> bytes,
                                                uint64_t slot,
                                                bool sending) override {
    auto message = std::make_unique<MpiMessage>(*streams);
    message->operation.data = bytes.data();
    message->operation.size = bytes.size();
    message->operation.peer = static_cast<int>(process);
    message->operation.slot = slot;
    message->operation.sending = sending;
    PARTITA_CHECK(message->begin());
    return std::unique_ptr<PendingMessage>(std::move(message));
  }

  FabricOptions options;
  std::unique_ptr<Streams> streams = std::make_unique<Streams>();
};

} // namespace

Status MpiMessage::wait() {
  std::unique_lock lock(Engine::get().mutex());
  operation.changed.wait(lock, [&] {
    return operation.done || operation.cancelled || !operation.problem.empty();
  });
  if (operation.done)
    return ok();
  std::string place = "process " + std::to_string(operation.peer);
  if (!operation.problem.empty())
    return makeError(ExitCode::DistributedFault, "run.lost", place,
                     operation.problem);
  return makeError(ExitCode::DistributedFault, "run.aborted", place,
                   "the wait was ended");
}

/// Whether MPI has the processes of the job.
Status MpiFabric::checkWorld() const {
  std::lock_guard lock(Engine::get().mutex());
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank == options.process && size == options.processes)
    return ok();
  auto text = [](int64_t process, int64_t processes) {
    return "process " + std::to_string(process) + " of " +
           std::to_string(processes);
  };
  return makeError(ExitCode::Usage, "launch.contradiction",
                   text(options.process, options.processes),
                   "MPI takes it for " + text(rank, size),
                   "start it by the mpirun of the MPI that Partita was built "
                   "with, or give --communicator gloo");
}

/// One of our own, so that our tags meet nobody else's.
Result<MPI_Comm> MpiFabric::makeCommunicator(Clock::time_point deadline) const {
  MPI_Comm made = MPI_COMM_NULL;
  MPI_Request request = MPI_REQUEST_NULL;
  int done = 0;
  std::unique_lock lock(Engine::get().mutex());
  int code = MPI_Comm_idup(MPI_COMM_WORLD, &made, &request);
  while (code == MPI_SUCCESS && !done && Clock::now() < deadline) {
    code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    lock.lock();
  }
  if (code != MPI_SUCCESS || !done)
    return makeError(ExitCode::DistributedFault, "launch.mpi", "MPI",
                     "the processes were not connected in time",
                     "--timeout gives them longer");
  return made;
}

Status MpiFabric::connect(const std::vector<std::string> &) {
  Clock::time_point deadline = Clock::now() + options.timeout;
  Engine &engine = Engine::get();
  PARTITA_CHECK(engine.start(deadline));
  PARTITA_CHECK(checkWorld());
  PARTITA_TRY(MPI_Comm communicator, makeCommunicator(deadline));
  std::lock_guard lock(engine.mutex());
  int found = 0, *limit = nullptr;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &limit, &found);
  PARTITA_CHECK(streams->open(communicator, static_cast<int>(options.process),
                              static_cast<int>(options.processes),
                              found ? *limit : 32767));
  engine.add(*streams);
  return ok();
}

static Result<std::unique_ptr<Fabric>>
makeMpiFabric(const FabricOptions &options) {
  return std::unique_ptr<Fabric>(std::make_unique<MpiFabric>(options));
}

/// C++ in all but its name: the plugin and the runtime are built together.
extern "C" __attribute__((visibility("default"))) MakeFabric *partita_fabric() {
  return makeMpiFabric;
}
