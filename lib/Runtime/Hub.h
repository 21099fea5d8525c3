//===- Hub.h - Where the processes of a job meet ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every process of a job has a connection to one hub, from before it loads
// anything until it ends. The hub runs in the parent of processes that were
// started by the executable itself, else in a thread of the first process.
//
//   gathering   processes say who they are; what does not fit together ends the
//               job with one message
//   running     nothing is sent
//   diagnosing  a process died or reported a failure: all others are asked what
//               they are doing. Who does not answer in time is silent
//   over        all were told the verdict, or all are done
//
// Messages from a process (each has "type"):
//   hello    token, process, processes, ranks_per_process, plan, program,
//            weights, addresses, pid, machine, recorder
//   failed   error (if it was a failure of its own), then as `state`
//   state    ranks: what each is doing
//   done     all its steps are done
// and from the hub:
//   welcome  addresses, run (a name for this one)
//   query
//   verdict  error
//   done     all processes are done
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_HUB_H
#define PARTITA_LIB_RUNTIME_HUB_H

#include "Channel.h"
#include "FlightLog.h"
#include "Job.h"
#include <list>

namespace partita::runtime {

class Hub {
public:
  Hub(Descriptor listener, const Job &job, Describe describe);

  /// Stops listening; for a forked child, whose hub this is not.
  void abandon() { listener = {}; }
  /// Handles what comes, until something did, `extra` is readable, or it is
  /// `until`.
  void step(int extra, Clock::time_point until = Clock::time_point::max());
  /// Every process has ended its connection.
  bool finished() const;
  /// All processes have said that they are done.
  bool allDone() const { return phase == Phase::Over && !decided; }
  /// The meeting failed, and not all have come yet to be told.
  bool lingers() const;
  /// Why the job ended, if it did not end well.
  const std::optional<Error> &verdict() const { return decided; }
  /// A process was asked before the verdict, and neither answered nor ended.
  bool isSilent(int64_t process) const;
  /// A process ended, as waitpid() says.
  void noteEnd(int64_t process, int status);

private:
  struct Peer {
    Channel channel;
    int64_t process = -1; ///< before its hello
    Json hello;
    FlightRecorder recorder;
    std::vector<RankState> states;
    bool answered = false, done = false, closed = false;
  };
  enum class Phase { Gathering, Running, Diagnosing, Over };

  void accept();
  void receive(Peer &peer);
  void handle(Peer &peer, const Json &message);
  void hello(Peer &peer, const Json &message);
  std::optional<Error> check(const Peer &peer, const Json &message) const;
  void welcome();
  void lost(Peer &peer);
  void startDiagnosis();
  void finishDiagnosis();
  std::vector<RankState> collectStates(const FlightLog &log);
  void decide(Error error);
  void broadcast(const Json &message);
  void timedOut();
  const Peer *ofProcess(int64_t process) const;

  Descriptor listener;
  Job job;
  Describe describe;
  std::list<Peer> peers; ///< by connection
  Phase phase = Phase::Gathering;
  std::optional<Clock::time_point> deadline;
  std::vector<std::string> ends; ///< by process, from noteEnd
  std::optional<Error> decided;
  std::string run = randomName();
  std::vector<bool> came; ///< by process: has said hello, welcome or not
  bool met = false;
};

/// How long a process may take to say what it is doing.
constexpr std::chrono::milliseconds answerTime{1500};

/// Where the records of a run of a job go.
FlightLog flightLogOf(const Job &job, const std::string &run);

/// "was ended by signal 9 (SIGKILL)", of what waitpid() says.
std::string endText(int status);

/// The name of this machine for others, which tells whether they share it.
std::string machineName();

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_HUB_H
