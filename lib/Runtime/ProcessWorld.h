//===- ProcessWorld.h - Ranks in several processes -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A process has one rank or several, which are its threads. Groups that lie in
// one process communicate as threads do; for all others, collectives are
// messages: through memory between ranks of a process, through the fabric
// between processes. Results are the same in every case, to the last bit.
//
// Nothing but rendezvous and faults goes through the hub.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_PROCESSWORLD_H
#define PARTITA_LIB_RUNTIME_PROCESSWORLD_H

#include "Fabric.h"
#include "HubLink.h"

namespace partita::runtime {

class ProcessWorld : public World {
public:
  /// Meets all other processes and connects to them. `recorder` has a record
  /// for each rank of this process, and outlives the world. Errors: exit code 6
  /// if not all come, 1 and 2 if they do not fit together, 3 without the
  /// communicator's library.
  static Result<std::unique_ptr<ProcessWorld>>
  create(const Job &job, const Mesh &mesh, const Identity &identity,
         FlightRecorder &recorder, Describe describe);
  ~ProcessWorld() override;

  /// Where records go when the job fails.
  FlightLog flightLog() const;
  /// From now on faults of other processes are noticed. `states` says what the
  /// ranks of this process are doing, `failed` hears that the job has failed
  /// and all waits were ended; both are called from another thread.
  void watch(std::function<std::vector<RankState>()> states,
             std::function<void()> failed);
  /// Not any more.
  void unwatch();
  /// Returns when all processes have called it as often as this one. Ranks may
  /// do something else meanwhile.
  Status meet();
  /// The ranks that meet() waits for.
  std::vector<int64_t> met() const;
  /// As HubLink's.
  Error settle(const Error &own);
  Status finish();

  std::unique_ptr<Communicator> communicator(int64_t rank, Grid grid) override;
  std::unique_ptr<Transport> transport(int64_t rank) override;
  void abort() override;
  bool aborted() const override;
  WaitState waitState(int64_t rank) const override;

  struct Impl;

private:
  explicit ProcessWorld(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_PROCESSWORLD_H
