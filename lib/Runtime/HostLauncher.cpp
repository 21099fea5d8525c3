//===- HostLauncher.cpp - The connections to several machines -------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is run on a host is bound to us by a pipe, the stdin of its ssh: when we
// end, however that happens, it ends, and the host ends its processes.
//
//===----------------------------------------------------------------------===//

#include "Children.h"
#include "Hosts.h"
#include "Hub.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

class HostLauncher {
public:
  HostLauncher(const Launch &launch, std::string command)
      : launch(launch), ssh(launch.ssh), command(std::move(command)) {}
  ~HostLauncher();

  Status start();
  int wait();

private:
  struct Connection {
    Child child;
    Descriptor lease;   ///< the other end of its stdin
    bool ended = false; ///< by us, so that how it ended says nothing
  };
  Status connect(const Host &host);
  void reap();
  void letGo();
  bool running() const;
  std::optional<Clock::duration> patience() const;
  bool failedSilently(size_t number) const;
  std::string report(size_t number) const;
  int exitCode(size_t number) const;

  const Launch &launch;
  const std::vector<std::string> &ssh;
  std::string command; ///< but for the part
  std::vector<Connection> connections;
  HeldSignals signals;
  std::optional<Clock::time_point> letGoTime, killTime;
  /// A host did not end when the others had ended well.
  std::optional<Error> late;
};

} // namespace

//===----------------------------------------------------------------------===//
// Start
//===----------------------------------------------------------------------===//

static Error cannotConnect(const std::string &program, int number) {
  return makeError(number == ENOENT || number == EACCES
                       ? ExitCode::Unsupported
                       : ExitCode::DistributedFault,
                   "launch.ssh", program,
                   std::string("cannot be started: ") + std::strerror(number),
                   "install ssh, or name what connects to hosts by --ssh");
}

Status HostLauncher::connect(const Host &host) {
  HostPart part;
  part.first = host.first;
  part.here = host.processes;
  part.processes = launch.job.processes;
  part.address = launch.job.host;
  part.port = launch.job.port;
  part.token = launch.job.token;
  std::vector<std::string> words = ssh;
  words.push_back(host.destination);
  words.push_back(command + " --host-part " + quoteForShell(part.str()));

  Connection &connection = connections.emplace_back();
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return cannotConnect(ssh[0], errno);
  Descriptor in(ends[0]), null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  connection.lease = Descriptor(ends[1]);
  // Only rank 0 has something to say.
  int problem = spawn(connection.child, std::move(words), in.get(),
                      host.first > 0 ? null.get() : -1, signals.outside());
  if (problem == 0)
    return ok();
  return cannotConnect(ssh[0], problem);
}

Status HostLauncher::start() {
  std::fflush(nullptr);
  for (const Host &host : launch.hosts)
    PARTITA_CHECK(connect(host));
  return ok();
}

//===----------------------------------------------------------------------===//
// Wait
//===----------------------------------------------------------------------===//

bool HostLauncher::running() const {
  return std::any_of(connections.begin(), connections.end(),
                     [](const Connection &c) { return c.child.running(); });
}

void HostLauncher::reap() {
  for (Connection &connection : connections)
    if (connection.child.reap())
      connection.ended = letGoTime && Clock::now() >= *letGoTime;
}

/// How long hosts may take to end, once they should: when one has failed, all
/// others are told at once; when the first has written the results, the others
/// have nothing more to do.
std::optional<Clock::duration> HostLauncher::patience() const {
  for (const Connection &connection : connections)
    if (connection.child.status && !connection.child.endedWell())
      return std::chrono::seconds(2);
  if (!connections[0].child.status)
    return std::nullopt;
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(launch.job.timeoutSeconds + 3));
}

/// Ends the stdin of all hosts.
void HostLauncher::letGo() {
  using namespace std::chrono_literals;
  bool allWell = true;
  for (const Connection &connection : connections)
    allWell &= connection.child.running() || connection.child.endedWell();
  for (size_t i = 0; i < connections.size(); ++i) {
    if (connections[i].child.running() && allWell && !signals.received())
      late = makeError(ExitCode::DistributedFault, "launch.host",
                       "host " + launch.hosts[i].destination,
                       "did not end after all steps were done",
                       "the results are complete");
    connections[i].lease = {};
  }
  // The hosts give their processes three.
  killTime = Clock::now() + 4s;
}

int HostLauncher::wait() {
  using namespace std::chrono_literals;
  while (running()) {
    if (!letGoTime) {
      if (signals.received())
        letGoTime = Clock::now();
      else if (auto time = patience())
        letGoTime = Clock::now() + *time;
    }
    if (letGoTime && !killTime && Clock::now() >= *letGoTime)
      letGo();
    if (killTime && Clock::now() >= *killTime)
      for (const Connection &connection : connections)
        connection.child.signal(SIGKILL);
    pollfd entry{signals.descriptor(), POLLIN, 0};
    ::poll(&entry, 1, letGoTime ? 50 : -1);
    signals.read();
    reap();
  }
  if (signals.received())
    signals.obey();
  std::vector<std::string> texts;
  std::vector<int> codes;
  for (size_t i = 0; i < connections.size(); ++i) {
    texts.push_back(report(i));
    codes.push_back(exitCode(i));
  }
  if (late) {
    texts.push_back(late->str() + "\n");
    codes.push_back(static_cast<int>(late->exit));
  }
  writeOnce(texts);
  return jointExitCode(codes);
}

HostLauncher::~HostLauncher() {
  for (Connection &connection : connections) {
    connection.lease = {};
    connection.child.signal(SIGTERM);
    if (connection.child.running())
      ::waitpid(connection.child.pid, nullptr, 0);
  }
}

//===----------------------------------------------------------------------===//
// What they said
//===----------------------------------------------------------------------===//

/// ssh ends with this where it failed, and else as what it ran.
static constexpr int sshFailed = 255;

static bool saidWhy(const std::string &text) {
  return text.find("error[") != text.npos;
}

/// Whether the host failed without a message of ours.
bool HostLauncher::failedSilently(size_t number) const {
  const Connection &connection = connections[number];
  return !connection.child.endedWell() && !connection.ended &&
         (!WIFEXITED(*connection.child.status) ||
          connection.child.exitCode() == sshFailed ||
          !saidWhy(connection.child.text()));
}

std::string HostLauncher::report(size_t number) const {
  const Connection &connection = connections[number];
  std::string text = connection.child.text();
  if (!failedSilently(number))
    return connection.ended && !saidWhy(text) ? "" : text;
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.pop_back();
  int status = *connection.child.status;
  std::string how = endText(status) + (text.empty() ? "" : ": " + text);
  const std::string &host = launch.hosts[number].destination;
  if (WIFEXITED(status) && connection.child.exitCode() != sshFailed)
    return makeError(ExitCode::DistributedFault, "launch.host", "host " + host,
                     "the executable " + how,
                     "the executable, its folder OUT.d, the weights and this "
                     "folder have to be at the same path there")
               .str() +
           "\n";
  std::string line;
  for (const std::string &word : launch.ssh)
    line += word + " ";
  return makeError(ExitCode::DistributedFault, "launch.ssh", "host " + host,
                   "the connection " + how,
                   "does `" + line + host + " true` work without a question?")
             .str() +
         "\n";
}

int HostLauncher::exitCode(size_t number) const {
  return failedSilently(number) || !WIFEXITED(*connections[number].child.status)
             ? static_cast<int>(ExitCode::DistributedFault)
             : connections[number].child.exitCode();
}

Result<int>
partita::runtime::startHosts(const Launch &launch,
                             const std::vector<std::string> &arguments) {
  namespace fs = std::filesystem;
  std::error_code problem;
  std::string command =
      "cd " + quoteForShell(fs::current_path(problem).string()) + " && exec " +
      quoteForShell(fs::read_symlink("/proc/self/exe", problem));
  for (const std::string &word : wordsForHosts(arguments))
    command += " " + quoteForShell(word);
  HostLauncher launcher(launch, std::move(command));
  PARTITA_CHECK(launcher.start());
  return launcher.wait();
}
