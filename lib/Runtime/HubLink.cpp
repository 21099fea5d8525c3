//===- HubLink.cpp - A process' connection to its hub ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HubLink.h"
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

static std::string toHex(const std::string &bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

static std::string fromHex(const std::string &text) {
  auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; };
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return bytes;
}

/// The processes on which nobody can report are those of the hub's machine.
Error HubLink::hubLost() const {
  if (job.remote)
    return makeError(ExitCode::DistributedFault, "run.hub-lost",
                     "the first host", "is gone, stopped or cut off",
                     "its own messages may say why");
  return makeError(
      ExitCode::DistributedFault, "run.hub-lost",
      job.hostsHub ? "rank 0" : "the process that started all ranks",
      job.hostsHub ? "its process, which coordinates the job, is stopped, died "
                     "or is cut off"
                   : "is gone",
      "its own messages may say why");
}

Result<std::vector<std::string>>
HubLink::join(const Job &of, const Identity &identity,
              const std::vector<std::string> &addresses,
              const FlightRecorder &recorder) {
  job = of;
  Clock::time_point deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(job.timeoutSeconds));
  PARTITA_TRY(channel, Channel::connect(job.host, job.port, deadline));
  Json hello = {{"type", "hello"},
                {"token", job.token},
                {"process", job.process},
                {"processes", job.processes},
                {"ranks_per_process", job.ranksPerProcess},
                {"plan", identity.plan},
                {"program", identity.program},
                {"weights", identity.weights},
                {"addresses", Json::array()},
                {"pid", ::getpid()},
                {"machine", machineName()},
                {"recorder", recorder.descriptor()}};
  for (const std::string &address : addresses)
    hello["addresses"].push_back(toHex(address));
  if (!channel.send(hello))
    return hubLost();
  // The hub's own deadline comes first, and says who is absent.
  Json message;
  Channel::Input input =
      channel.receive(message, deadline + std::chrono::seconds(2));
  try {
    if (input == Channel::Input::Message && message.at("type") == "verdict") {
      std::optional<Error> error = errorFromJson(message.at("error"));
      return error ? *error : hubLost();
    }
    if (input == Channel::Input::Message && message.at("type") == "welcome") {
      std::vector<std::string> reach;
      for (const Json &address : message.at("addresses"))
        reach.push_back(fromHex(address));
      runName = message.at("run");
      if (reach.size() == static_cast<size_t>(job.processes))
        return std::move(reach);
    }
  } catch (const Json::exception &) {
  }
  if (input == Channel::Input::Closed || input == Channel::Input::Nothing)
    return hubLost();
  return makeError(ExitCode::DistributedFault, "launch.stranger",
                   job.host + ":" + std::to_string(job.port),
                   "something else than this job listens there",
                   "choose another port with --port, the same for all ranks");
}

//===----------------------------------------------------------------------===//
// The thread
//===----------------------------------------------------------------------===//

void HubLink::start(Callbacks with) {
  callbacks = std::move(with);
  wake = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  thread = std::thread([this] { listen(); });
}

void HubLink::stop() {
  if (!thread.joinable())
    return;
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  uint64_t one = 1;
  (void)!::write(wake.get(), &one, sizeof(one));
  thread.join();
}

void HubLink::listen() {
  using namespace std::chrono_literals;
  auto tick = std::min<std::chrono::milliseconds>(
      250ms, std::chrono::milliseconds(
                 std::max<int64_t>(1, job.timeoutSeconds * 1000 / 10)));
  while (true) {
    pollfd entries[] = {{channel.descriptor(), POLLIN, 0},
                        {wake.get(), POLLIN, 0}};
    ::poll(entries, 2, static_cast<int>(tick.count()));
    {
      std::lock_guard lock(mutex);
      if (stopping)
        return;
    }
    callbacks.tick();
    Json message;
    Channel::Input input;
    while ((input = channel.receive(message)) == Channel::Input::Message)
      handle(message);
    if (input == Channel::Input::Nothing)
      continue;
    std::unique_lock lock(mutex);
    bool early = !done;
    lock.unlock();
    if (early)
      conclude(hubLost());
    return;
  }
}

void HubLink::conclude(Error error) {
  {
    std::lock_guard lock(mutex);
    if (!verdict)
      verdict = std::move(error);
    changed.notify_all();
  }
  callbacks.failed();
}

Json HubLink::statesMessage(const char *type) const {
  Json ranks = Json::array();
  for (const RankState &state : callbacks.states())
    ranks.push_back(state.toJson());
  return {{"type", type}, {"ranks", ranks}};
}

void HubLink::handle(const Json &message) try {
  std::string type = message.at("type");
  if (type == "query") {
    std::lock_guard lock(sending);
    channel.send(statesMessage("state"));
  } else if (type == "verdict") {
    std::optional<Error> error = errorFromJson(message.at("error"));
    conclude(error ? *error : hubLost());
  } else if (type == "done") {
    std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  }
} catch (const Json::exception &) {
  conclude(hubLost());
}

//===----------------------------------------------------------------------===//
// Ends
//===----------------------------------------------------------------------===//

Error HubLink::settle(const Error &own) {
  using namespace std::chrono_literals;
  {
    std::lock_guard lock(mutex);
    if (verdict)
      return *verdict;
  }
  {
    std::lock_guard lock(sending);
    channel.send(statesMessage("failed"));
  }
  std::unique_lock lock(mutex);
  if (!changed.wait_for(lock, answerTime + 1s, [&] { return !!verdict; })) {
    lock.unlock();
    conclude(hubLost());
    lock.lock();
  }
  return *verdict;
}

Status HubLink::finish() {
  {
    std::lock_guard lock(sending);
    channel.send({{"type", "done"}});
  }
  std::unique_lock lock(mutex);
  bool over =
      changed.wait_for(lock, std::chrono::duration<double>(job.timeoutSeconds),
                       [&] { return done || verdict; });
  if (done)
    return ok();
  if (verdict)
    return *verdict;
  (void)over;
  lock.unlock();
  return settle(makeError(ExitCode::DistributedFault, "run.timeout", "", ""));
}
