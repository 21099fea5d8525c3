//===- Hosts.cpp - Starting a job on several machines ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What users write, what hosts are told, and how both become command lines.
//
//===----------------------------------------------------------------------===//

#include "Hosts.h"
#include "FlightLog.h"
#include "partita/Support/Names.h"
#include <charconv>
#include <cmath>
#include <cstring>
#include <sstream>

using namespace partita;
using namespace partita::runtime;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static Error badHosts(const std::string &text, std::string why) {
  return makeError(ExitCode::Usage, "launch.hosts", "--hosts " + text,
                   std::move(why),
                   "--hosts a,b or --hosts user@a:2,[fe80::1]:4, with the "
                   "number of ranks behind the colon");
}

static bool readNumber(std::string_view text, int64_t &value) {
  auto [end, problem] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size();
}

/// Nothing that ssh or a shell could take for something else than a name.
static bool isName(const std::string &text) {
  for (char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        !std::strchr("._-:%", c))
      return false;
  return !text.empty() && text[0] != '-';
}

/// `[user@]name[:ranks]`; the ranks are 0 if they are not given.
static std::optional<std::pair<Host, int64_t>> parseHost(std::string text) {
  Host host;
  int64_t ranks = 0;
  std::string user;
  if (size_t at = text.find('@'); at != text.npos) {
    user = text.substr(0, at);
    text = text.substr(at + 1);
    if (!isName(user))
      return std::nullopt;
  }
  size_t close = text[0] == '[' ? text.find(']') : text.npos;
  if (text[0] == '[' && close == text.npos)
    return std::nullopt;
  size_t colon = text.find(':', close == text.npos ? 0 : close);
  if (colon != text.npos &&
      (!readNumber(std::string_view(text).substr(colon + 1), ranks) ||
       ranks < 1))
    return std::nullopt;
  host.address = text.substr(0, colon);
  if (close != text.npos) {
    if (host.address.size() != close + 1)
      return std::nullopt;
    host.address = host.address.substr(1, close - 1);
  }
  if (!isName(host.address))
    return std::nullopt;
  host.destination = user.empty() ? host.address : user + "@" + host.address;
  return std::pair(host, ranks);
}

Result<std::vector<Host>>
partita::runtime::parseHosts(const std::string &text, int64_t ranks,
                             int64_t ranksPerProcess) {
  std::vector<Host> hosts;
  std::vector<int64_t> counts;
  int64_t left = ranks, open = 0;
  for (const std::string &word : splitAt(text, ',')) {
    auto parsed = parseHost(word);
    if (!parsed)
      return badHosts(text, "'" + word + "' is not the name of a host");
    hosts.push_back(parsed->first);
    counts.push_back(parsed->second);
    left -= std::min(parsed->second, ranks + 1);
    open += parsed->second == 0;
  }
  if (left < open || (open ? left % open : left) != 0)
    return badHosts(text, "the program has " + std::to_string(ranks) +
                              " ranks, and that many are not on these hosts");
  int64_t first = 0;
  for (size_t i = 0; i < hosts.size(); ++i) {
    int64_t count = counts[i] ? counts[i] : left / open;
    if (count % ranksPerProcess)
      return badHosts(
          text, hosts[i].destination + " has " + std::to_string(count) +
                    " ranks, and a process " + std::to_string(ranksPerProcess));
    hosts[i].first = first;
    hosts[i].processes = count / ranksPerProcess;
    first += hosts[i].processes;
  }
  return hosts;
}

std::string HostPart::str() const {
  std::ostringstream text;
  text << first << ',' << here << ',' << processes << ',' << port << ','
       << address << ',' << token;
  return text.str();
}

Result<HostPart> HostPart::parse(const std::string &text) {
  std::vector<std::string> words = splitAt(text, ',');
  HostPart part;
  if (words.size() == 6 && readNumber(words[0], part.first) &&
      readNumber(words[1], part.here) && readNumber(words[2], part.processes) &&
      readNumber(words[3], part.port) && part.first >= 0 && part.here >= 1 &&
      part.processes <= 65536 && part.here <= part.processes - part.first &&
      part.port >= 1 && part.port <= 65535) {
    part.address = words[4];
    part.token = words[5];
    return part;
  }
  return makeError(ExitCode::Usage, "launch.hosts", "--host-part " + text,
                   "is not what --hosts makes",
                   "the same executable has to be on all hosts");
}

//===----------------------------------------------------------------------===//
// Command lines
//===----------------------------------------------------------------------===//

std::string partita::runtime::quoteForShell(const std::string &word) {
  std::string quoted = "'";
  for (char c : word)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::vector<std::string>
partita::runtime::wordsForHosts(const std::vector<std::string> &arguments) {
  std::vector<std::string> words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    bool ours = false;
    for (const std::string option : {"--hosts", "--ssh", "--port"}) {
      // Its value is the next word, or in this one.
      if (arguments[i] == option) {
        ++i;
        ours = true;
        break;
      }
      ours |= arguments[i].rfind(option + "=", 0) == 0;
    }
    if (!ours)
      words.push_back(arguments[i]);
  }
  return words;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

static Error contradiction(std::string place, std::string why) {
  return makeError(ExitCode::Usage, "launch.contradiction", std::move(place),
                   std::move(why), "leave one of the two out");
}

Status partita::runtime::planHosts(const LaunchOptions &options, int64_t ranks,
                                   const Variables &variables, Launch &launch) {
  std::string place = "--hosts " + *options.hosts;
  if (options.communicator == "threads")
    return contradiction("--communicator threads", place + " starts processes");
  if (options.communicator == "mpi")
    return contradiction("--communicator mpi",
                         place + " goes by ssh, and MPI has its own way: "
                                 "--mpirun 'mpirun --host a,b'");
  Job &job = launch.job;
  PARTITA_TRY(launch.hosts,
              parseHosts(*options.hosts, ranks, job.ranksPerProcess));
  job.processes = ranks / job.ranksPerProcess;
  if (options.processes && *options.processes != job.processes)
    return contradiction("--processes " + std::to_string(*options.processes),
                         place + " starts " + std::to_string(job.processes));
  job.host = launch.hosts[0].address;
  job.token = randomName();
  job.port = options.port.value_or(portOfJob(job.token));
  launch.ssh = commandWords(options.ssh, variables("PARTITA_SSH"));
  if (launch.ssh.empty())
    // Nobody answers questions of several of them.
    launch.ssh = {"ssh",
                  "-T",
                  "-o",
                  "BatchMode=yes",
                  "-o",
                  "ConnectTimeout=" +
                      std::to_string(std::max<int64_t>(
                          1, std::llround(job.timeoutSeconds)))};
  launch.kind = Launch::Kind::Hosts;
  return ok();
}

Status partita::runtime::planHostPart(const LaunchOptions &options,
                                      int64_t ranks, const Variables &variables,
                                      Launch &launch) {
  Job &job = launch.job;
  PARTITA_TRY(HostPart part, HostPart::parse(options.hostPart));
  job.processes = part.processes;
  job.process = part.first;
  job.localProcesses = part.here;
  job.port = part.port;
  job.token = part.token;
  job.remote = true;
  if (job.ranks() != ranks)
    return makeError(ExitCode::InvalidInput, "launch.program",
                     "this executable",
                     "has " + std::to_string(ranks) + " ranks, and the job " +
                         std::to_string(job.ranks()),
                     "copy the same executable to all machines");
  if (options.bind.empty()) {
    // "client port server port": how this machine was reached.
    std::istringstream words(variables("SSH_CONNECTION").value_or(""));
    std::string client, port;
    if (!(words >> client >> port >> job.bind))
      return makeError(ExitCode::Usage, "launch.bind", "SSH_CONNECTION",
                       "is not set, so this host does not know at which of its "
                       "addresses the others reach it",
                       "--bind names the interface by which they do");
  }
  job.host = part.first == 0 ? job.bind : part.address;
  launch.kind = Launch::Kind::Start;
  return ok();
}
