//===- Hosts.h - Starting a job on several machines ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `./OUT --hosts a,b:2`: this executable becomes one ssh for each host, which
// runs the executable of the same path there with `--host-part`. That starts
// the processes of the host as `--processes` does, and ends them when its stdin
// ends. The first host has the hub.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_HOSTS_H
#define PARTITA_LIB_RUNTIME_HOSTS_H

#include "Job.h"

namespace partita::runtime {

/// Reads `[user@]name[:ranks],...` for a program of `ranks` ranks; those that
/// are not given are dealt evenly. Errors: exit code 1, "launch.hosts".
Result<std::vector<Host>> parseHosts(const std::string &text, int64_t ranks,
                                     int64_t ranksPerProcess);

/// What a host is told of the job, as the value of --host-part.
struct HostPart {
  int64_t first = 0, here = 1, processes = 1, port = 0;
  std::string address, token;

  std::string str() const;
  /// Errors: exit code 1.
  static Result<HostPart> parse(const std::string &text);
};

/// One word for a POSIX shell.
std::string quoteForShell(const std::string &word);

/// The command line of this executable without what only its user's machine
/// has to know.
std::vector<std::string>
wordsForHosts(const std::vector<std::string> &arguments);

/// Completes the launch of a job on hosts.
Status planHosts(const LaunchOptions &options, int64_t ranks,
                 const Variables &variables, Launch &launch);
/// Completes the launch of the processes of one host.
Status planHostPart(const LaunchOptions &options, int64_t ranks,
                    const Variables &variables, Launch &launch);

/// Starts the hosts with the executable's own arguments, waits for all and
/// returns the exit code of all together.
Result<int> startHosts(const Launch &launch,
                       const std::vector<std::string> &arguments);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_HOSTS_H
