//===- Job.h - The processes that run one program --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which process of how many this is and where all meet. Either the executable
// started its processes itself, or something else did and says so in the
// environment.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_JOB_H
#define PARTITA_LIB_RUNTIME_JOB_H

#include "partita/Support/Error.h"
#include "partita/Support/Sharding.h"
#include <functional>
#include <optional>
#include <string>

namespace partita::runtime {

struct Job {
  std::string communicator = "gloo";
  int64_t processes = 1, process = 0;
  /// Among the processes of this machine, and how many those are.
  int64_t localProcess = 0, localProcesses = 1;
  int64_t ranksPerProcess = 1;
  /// Where the hub listens, and what this process listens on.
  std::string host = "127.0.0.1", bind = "127.0.0.1";
  int64_t port = 0;
  /// Tells jobs apart that meet at one port by mistake; no secret.
  std::string token;
  /// Whether the first process has to run the hub; else its parent does.
  bool hostsHub = false;
  /// Started on this machine from another one, and bound to it by stdin.
  bool remote = false;
  double timeoutSeconds = 30;
  /// Where records go when the job fails.
  std::string flightDirectory;

  int64_t ranks() const { return processes * ranksPerProcess; }
  Interval ranksOf(int64_t of) const {
    return {of * ranksPerProcess, (of + 1) * ranksPerProcess};
  }
};

/// A machine that takes part in a job.
struct Host {
  std::string destination; ///< for ssh
  std::string address;     ///< for the other machines
  int64_t first = 0, processes = 1;
};

/// What a user says of processes on an executable's command line.
struct LaunchOptions {
  std::optional<std::string> communicator;
  std::optional<int64_t> processes, ranksPerProcess, port;
  /// Machines to start, how that is done, and what one of them is told.
  std::optional<std::string> hosts;
  std::string ssh, hostPart;
  /// What starts the processes of MPI.
  std::string mpirun;
  /// An address or an interface; without it, loopback.
  std::string bind;
  double timeoutSeconds = 30;
  /// Without it, a folder in $TMPDIR whose name the hub gives.
  std::string flightDirectory;
};

/// What to do about it.
struct Launch {
  enum class Kind {
    Threads, ///< run all ranks here
    Start,   ///< start the processes of `job` that belong here
    Hosts,   ///< start the hosts
    Mpi,     ///< start mpirun, which starts them all
    Join,    ///< be one of them
  };
  Kind kind = Kind::Threads;
  Job job;
  /// Who started the processes, and how that is known; empty: nobody.
  std::string source;
  std::vector<Host> hosts;
  std::vector<std::string> ssh; ///< the command that connects to a host
  std::vector<std::string> mpirun;
};

/// Tells processes that mpirun started that their hub is there already.
constexpr const char *hubVariable = "PARTITA_HUB";

/// The words of a command, from an option or else a variable; no quoting.
std::vector<std::string> commandWords(const std::string &option,
                                      const std::optional<std::string> &value);

/// The value of a variable of the environment.
using Variables =
    std::function<std::optional<std::string>(const std::string &name)>;

/// Where processes meet if nobody says so: it follows from the job's name.
int64_t portOfJob(const std::string &token);

/// Puts options and the variables of torchrun, Open MPI, PMI and Slurm (the
/// first that is there) together for a program of `ranks` ranks. Errors: exit
/// code 1, naming what contradicts what.
Result<Launch> planLaunch(const LaunchOptions &options, int64_t ranks,
                          const Variables &variables);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_JOB_H
