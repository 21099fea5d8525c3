//===- Engine.h - MPI, asked by one thread ---------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// MPI has no wait that another thread could end, and its own waits spin. So
// nobody waits in it: a thread asks it, between sleeps, what has become of the
// messages under way, and whoever waits for one sleeps until told. The thread
// also makes messages advance while ranks compute.
//
// MPI's tags are smaller than our slots, and a process may use many of these.
// The first message of a slot is preceded by an announcement, which has the
// slot; the n-th announcement between two processes stands for tag n.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_MPI_ENGINE_H
#define PARTITA_LIB_RUNTIME_MPI_ENGINE_H

#include "lib/Runtime/Fabric.h"
#include <condition_variable>
#include <list>
#include <map>
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <mutex>
#include <optional>

namespace partita::runtime::mpi {

using Clock = std::chrono::steady_clock;

/// A message that MPI has, or gets when its slot is announced.
struct Operation {
  std::byte *data = nullptr;
  size_t size = 0;
  int peer = 0;
  uint64_t slot = 0;
  bool sending = false;

  std::vector<MPI_Request> requests;
  bool started = false, done = false, cancelled = false;
  std::string problem; ///< what MPI said of it
  std::condition_variable changed;
};

/// What one Fabric has under way. Guarded by the engine's mutex.
class Streams {
public:
  ~Streams();
  /// Takes over `communicator`, of all processes.
  Status open(MPI_Comm communicator, int process, int processes, int maxTag);
  Status begin(Operation &operation);
  /// Takes it back. A message that MPI still has cannot be: then no message of
  /// this fabric comes or goes any more.
  void end(Operation &operation);
  bool pending() const;
  /// Looks what has happened; true if something has.
  bool advance();

private:
  using Stream = std::pair<int, uint64_t>; ///< peer and slot
  struct Announcement {
    uint64_t slot = 0;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  bool start(Operation &operation, int tag);
  bool finish(Operation &operation);
  Status announce(const Stream &stream);
  bool listen(int peer);
  bool hear(int peer);

  MPI_Comm communicator = MPI_COMM_NULL;
  int maxTag = 0;
  bool broken = false;
  std::map<Stream, int> outgoing, incoming; ///< their tags
  std::vector<int> lastOutgoing, lastIncoming;
  std::vector<Announcement> heard;    ///< by peer: being received
  std::list<Announcement> announcing; ///< being sent
  std::list<Operation *> operations;  ///< in the order in which they began
};

/// Of this process; lives as long.
class Engine {
public:
  static Engine &get();
  /// Starts MPI, if that was not done. Errors: "launch.mpi" if it does not
  /// start in time or lacks something.
  Status start(Clock::time_point deadline);
  /// Ends MPI because the process does: for all processes, if `status` is not
  /// 0. False if it does not come to an end.
  bool leave(int status);

  std::mutex &mutex() { return guard; }
  /// Lets the thread care for it, until it is removed. With the mutex.
  void add(Streams &streams) { all.push_back(&streams); }
  void remove(Streams &streams) { all.remove(&streams); }
  /// Something was begun. With the mutex.
  void wake();

private:
  enum class Phase { Off, Starting, On, Failed, Left };
  void run();
  void poll(std::unique_lock<std::mutex> &lock);
  std::mutex guard;
  std::condition_variable work, changed;
  Phase phase = Phase::Off;
  std::string problem;
  bool fresh = false;
  std::optional<int> leaving;
  std::list<Streams *> all;
};

} // namespace partita::runtime::mpi

#endif // PARTITA_LIB_RUNTIME_MPI_ENGINE_H
