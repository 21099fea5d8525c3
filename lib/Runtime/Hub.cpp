//===- Hub.cpp - Where the processes of a job meet ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One thread, poll(), and no state but what the connections say.
//
//===----------------------------------------------------------------------===//

#include "Hub.h"
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <poll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

FlightLog partita::runtime::flightLogOf(const Job &job,
                                        const std::string &run) {
  FlightLog log{job.flightDirectory, run, job.ranks(), job.timeoutSeconds};
  if (log.directory.empty()) {
    const char *folder = std::getenv("TMPDIR");
    log.directory = std::string(folder && *folder ? folder : "/tmp") +
                    "/partita-flight-" + run;
  }
  return log;
}

std::string partita::runtime::machineName() {
  // Of this start of the system; containers with processes of their own share
  // it, which FlightRecorder::map() notices.
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  utsname names{};
  ::uname(&names);
  return std::string(names.nodename) + "/" + boot;
}

Hub::Hub(Descriptor listener, const Job &job, Describe describe)
    : listener(std::move(listener)), job(job), describe(std::move(describe)),
      ends(job.processes), came(job.processes) {
  deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(job.timeoutSeconds));
}

const Hub::Peer *Hub::ofProcess(int64_t process) const {
  for (const Peer &peer : peers)
    if (peer.process == process)
      return &peer;
  return nullptr;
}

void Hub::broadcast(const Json &message) {
  for (Peer &peer : peers)
    if (peer.process >= 0 && !peer.closed)
      peer.channel.send(message);
}

bool Hub::lingers() const {
  return phase == Phase::Over && !met && deadline &&
         std::find(came.begin(), came.end(), false) != came.end();
}

bool Hub::finished() const {
  if (phase != Phase::Over || lingers())
    return false;
  for (const Peer &peer : peers)
    if (peer.process >= 0 && !peer.closed)
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Waiting
//===----------------------------------------------------------------------===//

void Hub::step(int extra, Clock::time_point until) {
  std::vector<pollfd> entries = {{listener.get(), POLLIN, 0},
                                 {extra, POLLIN, 0}};
  std::vector<Peer *> order;
  for (Peer &peer : peers)
    if (!peer.closed) {
      entries.push_back({peer.channel.descriptor(), POLLIN, 0});
      order.push_back(&peer);
    }
  until = std::min(until, deadline.value_or(Clock::time_point::max()));
  int ready =
      ::poll(entries.data(), entries.size(),
             until == Clock::time_point::max() ? -1 : untilMillis(until));
  if (ready < 0)
    return;
  for (size_t i = 0; i < order.size(); ++i)
    if (entries[i + 2].revents)
      receive(*order[i]);
  if (entries[0].revents)
    accept();
  peers.remove_if(
      [](const Peer &peer) { return peer.closed && peer.process < 0; });
  if (deadline && Clock::now() >= *deadline)
    timedOut();
}

void Hub::accept() {
  while (true) {
    Descriptor socket(::accept4(listener.get(), nullptr, nullptr,
                                SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket)
      return;
    // After the meeting there is nobody to wait for.
    if (!met)
      peers.emplace_back().channel = Channel(std::move(socket));
  }
}

void Hub::receive(Peer &peer) {
  Json message;
  while (!peer.closed) {
    switch (peer.channel.receive(message)) {
    case Channel::Input::Nothing:
      return;
    case Channel::Input::Message:
      handle(peer, message);
      break;
    case Channel::Input::Junk:
      std::fprintf(stderr,
                   "note: %s sent something else than a rank of this job would "
                   "and was turned away\n",
                   peer.channel.peer().c_str());
      [[fallthrough]];
    case Channel::Input::Closed:
      peer.closed = true;
      if (peer.process >= 0)
        lost(peer);
      break;
    }
  }
}

/// What was waited for has not come.
void Hub::timedOut() {
  deadline.reset();
  if (phase == Phase::Diagnosing)
    return finishDiagnosis();
  if (phase == Phase::Over) {
    for (Peer &peer : peers)
      peer.closed = true;
    return;
  }
  if (phase != Phase::Gathering)
    return;
  std::string absent;
  for (int64_t p = 0; p < job.processes; ++p)
    if (!ofProcess(p))
      for (int64_t r = job.ranksOf(p).begin; r < job.ranksOf(p).end; ++r)
        absent += (absent.empty() ? "" : ", ") + std::to_string(r);
  std::ostringstream seconds;
  seconds << job.timeoutSeconds;
  decide(
      makeError(ExitCode::DistributedFault, "launch.absent",
                (absent.find(',') == absent.npos ? "rank " : "ranks ") + absent,
                "did not come to the meeting within " + seconds.str() + " s",
                "were all processes started, with the same address and "
                "port? --timeout gives them longer"));
}

//===----------------------------------------------------------------------===//
// Gathering
//===----------------------------------------------------------------------===//

/// Why a process cannot take part.
std::optional<Error> Hub::check(const Peer &peer, const Json &message) const {
  auto number = [&](const char *key) { return message.at(key).get<int64_t>(); };
  auto text = [&](const char *key) {
    return message.at(key).get<std::string>();
  };
  std::string place = "process " + std::to_string(number("process"));
  auto refuse = [&](ExitCode exit, const char *code, std::string why,
                    std::string hint) {
    return makeError(exit, code, place, std::move(why), std::move(hint));
  };
  if (text("token") != job.token)
    return refuse(ExitCode::InvalidInput, "launch.token",
                  "belongs to job '" + text("token") +
                      "', and this meeting is of job '" + job.token + "'",
                  "give each job a port of its own, with --port");
  if (number("processes") != job.processes ||
      number("ranks_per_process") != job.ranksPerProcess)
    return refuse(
        ExitCode::Usage, "launch.world",
        "was told of " + std::to_string(number("processes")) +
            " processes with " + std::to_string(number("ranks_per_process")) +
            " ranks each, others of " + std::to_string(job.processes) +
            " with " + std::to_string(job.ranksPerProcess),
        "start all processes with the same command");
  if (number("process") < 0 || number("process") >= job.processes)
    return refuse(ExitCode::Usage, "launch.world",
                  "there are only " + std::to_string(job.processes) +
                      " processes",
                  "start each number once");
  for (const Peer &other : peers) {
    if (other.process < 0)
      continue;
    if (other.process == number("process"))
      return refuse(ExitCode::Usage, "launch.twice",
                    "was started twice: as process " +
                        std::to_string(other.hello.at("pid").get<int64_t>()) +
                        " of the system and as " +
                        std::to_string(number("pid")),
                    "start each number once");
    std::string both = " than process " + std::to_string(other.process);
    for (const char *key : {"plan", "program", "weights"})
      if (text(key) != other.hello.at(key).get<std::string>())
        return refuse(
            ExitCode::InvalidInput, (std::string("launch.") + key).c_str(),
            "has another " + std::string(key) + both + " (hashes " + text(key) +
                " and " + other.hello.at(key).get<std::string>() + ")",
            key == std::string("weights")
                ? "copy the same weight files to all machines"
                : "copy the same executable to all machines");
  }
  if (message.at("addresses").get<std::vector<std::string>>().size() !=
      static_cast<size_t>(job.processes))
    return refuse(ExitCode::InvalidInput, "launch.world",
                  "gives no address for each process",
                  "start all processes with the same executable");
  return std::nullopt;
}

void Hub::hello(Peer &peer, const Json &message) {
  int64_t process = message.at("process");
  if (message.at("token") == job.token && process >= 0 &&
      process < job.processes)
    came[process] = true;
  if (decided) {
    peer.channel.send({{"type", "verdict"}, {"error", errorToJson(*decided)}});
    return;
  }
  if (std::optional<Error> error = check(peer, message)) {
    // To whom it may concern: itself too.
    peer.process = -1;
    peer.channel.send({{"type", "verdict"}, {"error", errorToJson(*error)}});
    // Another job's process is no reason to end this one.
    if (error->code != "launch.token")
      decide(*error);
    return;
  }
  peer.hello = message;
  peer.process = message.at("process");
  if (message.at("machine") == machineName())
    peer.recorder = FlightRecorder::map(
        message.at("pid"), message.at("recorder"), job.ranksPerProcess);
  for (int64_t p = 0; p < job.processes; ++p)
    if (!ofProcess(p))
      return;
  welcome();
}

/// Tells everyone where it reaches everyone.
void Hub::welcome() {
  met = true;
  phase = Phase::Running;
  deadline.reset();
  for (Peer &peer : peers) {
    Json addresses = Json::array();
    for (int64_t p = 0; p < job.processes; ++p)
      addresses.push_back(
          peer.process < 0
              ? ""
              : ofProcess(p)->hello.at("addresses").at(peer.process));
    if (peer.process >= 0)
      peer.channel.send(
          {{"type", "welcome"}, {"addresses", addresses}, {"run", run}});
  }
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

void Hub::handle(Peer &peer, const Json &message) {
  try {
    std::string type = message.at("type");
    if (peer.process < 0) {
      if (type == "hello" && !met)
        hello(peer, message);
      return;
    }
    if (type == "done") {
      peer.done = true;
      for (const Peer &other : peers)
        if (other.process >= 0 && !other.done)
          return;
      if (phase != Phase::Running)
        return;
      phase = Phase::Over;
      broadcast({{"type", "done"}});
    } else if (type == "failed" || type == "state") {
      peer.answered = true;
      peer.states.clear();
      for (const Json &entry : message.at("ranks"))
        if (std::optional<RankState> state = RankState::fromJson(entry))
          peer.states.push_back(*state);
      if (type == "failed" && phase < Phase::Diagnosing)
        startDiagnosis();
      if (phase == Phase::Diagnosing)
        finishDiagnosis();
    }
  } catch (const Json::exception &) {
    // From a rank of this program, this cannot be.
    peer.closed = true;
    if (peer.process >= 0)
      lost(peer);
  }
}

/// A connection ended.
void Hub::lost(Peer &peer) {
  if (phase == Phase::Over || peer.answered)
    return;
  if (phase != Phase::Diagnosing)
    startDiagnosis();
  finishDiagnosis();
}

bool Hub::isSilent(int64_t process) const {
  const Peer *peer = ofProcess(process);
  return met && decided && peer && !peer->answered && !peer->closed;
}

std::string partita::runtime::endText(int status) {
  if (!WIFSIGNALED(status))
    return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  int number = WTERMSIG(status);
  const char *name = ::sigabbrev_np(number);
  return "was ended by signal " + std::to_string(number) + " (SIG" +
         (name ? name : "?") + ")";
}

void Hub::noteEnd(int64_t process, int status) {
  const std::string &how = ends[process] = endText(status);
  if (phase == Phase::Diagnosing)
    finishDiagnosis();
  else if (phase == Phase::Gathering && !ofProcess(process))
    decide(makeError(ExitCode::DistributedFault, "launch.ended",
                     "process " + std::to_string(process),
                     how + " before all had met", "its own message says why"));
}

//===----------------------------------------------------------------------===//
// Diagnosing
//===----------------------------------------------------------------------===//

void Hub::startDiagnosis() {
  bool meeting = phase == Phase::Gathering;
  phase = Phase::Diagnosing;
  deadline = Clock::now() + answerTime;
  if (meeting) { // Who has not been welcomed does not answer questions.
    deadline = Clock::now();
    return;
  }
  for (Peer &peer : peers)
    if (peer.process >= 0 && !peer.closed && !peer.answered)
      peer.channel.send({{"type", "query"}});
}

/// Once everyone has answered or ended, or time is over.
void Hub::finishDiagnosis() {
  bool late = !deadline || Clock::now() >= *deadline;
  for (const Peer &peer : peers) {
    if (peer.process < 0 || peer.answered)
      continue;
    // Where the parent of a process will say how it ended, that is awaited.
    bool elsewhere = job.hostsHub || peer.process >= job.localProcesses;
    bool known = elsewhere || !ends[peer.process].empty();
    if (!late && !(peer.closed && known))
      return;
  }
  FlightLog log = flightLogOf(job, run);
  Error error = diagnose(collectStates(log), job.timeoutSeconds);
  if (met)
    error.message += log.note();
  decide(std::move(error));
}

/// Of all ranks: what their processes said, or what is known without them,
/// which is then written in their stead.
std::vector<RankState> Hub::collectStates(const FlightLog &log) {
  std::vector<RankState> all;
  for (int64_t p = 0; p < job.processes; ++p) {
    const Peer *peer = ofProcess(p);
    if (peer && peer->answered) {
      all.insert(all.end(), peer->states.begin(), peer->states.end());
      continue;
    }
    for (int64_t r = job.ranksOf(p).begin; r < job.ranksOf(p).end; ++r) {
      RankState state;
      state.rank = r;
      // Who has not come to the meeting may be on the way.
      bool ended = peer ? peer->closed : !ends[p].empty();
      state.kind = ended ? RankState::Kind::Died : RankState::Kind::Silent;
      state.how = !ends[p].empty() ? ends[p] : "ended without a word";
      if (peer && peer->recorder) {
        const FlightRecord &record = peer->recorder[r - job.ranksOf(p).begin];
        CommandNumber current = record.current.load(), last = record.last();
        if (current != noCommand)
          state.doing = describe(r, current);
        if (last != noCommand)
          state.last = describe(r, last);
        log.write(state, record, describe);
      }
      all.push_back(std::move(state));
    }
  }
  return all;
}

void Hub::decide(Error error) {
  if (phase == Phase::Over)
    return;
  phase = Phase::Over;
  decided = std::move(error);
  broadcast({{"type", "verdict"}, {"error", errorToJson(*decided)}});
  // They end now. Who does not within this time is no longer waited for.
  deadline = Clock::now() + std::chrono::seconds(2);
}
