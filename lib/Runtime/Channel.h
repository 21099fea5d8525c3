//===- Channel.h - JSON messages over TCP ----------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Processes of a job talk to their hub in few and small messages: "PRTA", the
// length of the text in four bytes (little-endian), the text. Whatever else
// arrives at the port is told from that at its first bytes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_CHANNEL_H
#define PARTITA_LIB_RUNTIME_CHANNEL_H

#include "partita/Runtime/Communicator.h"
#include <nlohmann/json.hpp>
#include <string>

namespace partita::runtime {

using Json = nlohmann::json;

/// A file descriptor that is closed. Movable.
class Descriptor {
public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(Descriptor &&other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd; }
  explicit operator bool() const { return fd >= 0; }

private:
  int fd = -1;
};

/// Listens on `host` (a name or an address). Port 0 takes a free one. Errors:
/// exit code 6, "launch.port" if the port is taken, "launch.bind" otherwise.
Result<Descriptor> listenOn(const std::string &host, int64_t port);
/// The port that a descriptor listens on.
int64_t portOf(const Descriptor &listener);

class Channel {
public:
  Channel() = default;
  /// Of a connection that was accepted.
  explicit Channel(Descriptor socket);
  /// Tries until the deadline: the other side may not listen yet. Errors: exit
  /// code 6, "launch.unreachable".
  static Result<Channel> connect(const std::string &host, int64_t port,
                                 Clock::time_point deadline);

  /// False if the other side is gone or takes nothing for a second.
  bool send(const Json &message);
  enum class Input { Nothing, Message, Closed, Junk };
  /// What has arrived, without waiting. After Closed or Junk nothing comes.
  Input receive(Json &message);
  /// The same, waiting; Nothing if nothing is there at the deadline.
  Input receive(Json &message, Clock::time_point deadline);
  int descriptor() const { return socket.get(); }
  /// "127.0.0.1:4711", of the other side.
  std::string peer() const;

private:
  Input parse(Json &message);
  Descriptor socket;
  std::string buffer;
  bool closed = false;
};

/// Milliseconds until then, for poll(): rounded up, not below zero.
int untilMillis(Clock::time_point then);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_CHANNEL_H
