//===- HubLink.h - A process' connection to its hub ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Joins the job, then listens in a thread of its own: it answers what the hub
// asks while ranks compute or wait, and tells when the job has failed. The same
// thread watches deadlines, as it is the only one that never waits for a rank.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_HUBLINK_H
#define PARTITA_LIB_RUNTIME_HUBLINK_H

#include "Hub.h"
#include <condition_variable>
#include <mutex>
#include <thread>

namespace partita::runtime {

/// What the processes of a job must have in common.
struct Identity {
  std::string plan, program, weights;
};

class HubLink {
public:
  struct Callbacks {
    /// What the ranks of this process are doing. From any thread.
    std::function<std::vector<RankState>()> states;
    /// The job has failed; settle() now says why. From any thread.
    std::function<void()> failed;
    /// Some times a second, or as often as the timeout needs.
    std::function<void()> tick;
  };
  ~HubLink() { stop(); }

  /// Says hello and waits until all processes have. Returns where this process
  /// reaches each. Errors: the hub's, "launch.unreachable", "launch.lost".
  Result<std::vector<std::string>>
  join(const Job &job, const Identity &identity,
       const std::vector<std::string> &addresses,
       const FlightRecorder &recorder);
  /// The name that the hub gave this run.
  const std::string &run() const { return runName; }
  /// Starts the thread.
  void start(Callbacks callbacks);
  /// Ends it.
  void stop();
  /// A rank of this process failed. Returns what all processes together make of
  /// it: the same error in each.
  Error settle(const Error &own);
  /// All steps are done here; returns when they are everywhere.
  Status finish();

private:
  void listen();
  void handle(const Json &message);
  void conclude(Error error);
  Error hubLost() const;
  Json statesMessage(const char *type) const;

  Job job;
  std::string runName;
  Channel channel;
  Callbacks callbacks;
  Descriptor wake; ///< an eventfd
  std::thread thread;
  std::mutex mutex, sending;
  std::condition_variable changed;
  bool stopping = false, done = false;
  std::optional<Error> verdict;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_HUBLINK_H
