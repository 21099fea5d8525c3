//===- Channel.cpp - JSON messages over TCP -------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sockets are non-blocking; whoever waits does so in poll(), with a deadline.
//
//===----------------------------------------------------------------------===//

#include "Channel.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

static constexpr char magic[] = {'P', 'R', 'T', 'A'};
static constexpr size_t headerBytes = 8;
/// Addresses of some thousand processes.
static constexpr uint32_t maxTextBytes = 4 << 20;

Descriptor::~Descriptor() {
  if (fd >= 0)
    ::close(fd);
}

int partita::runtime::untilMillis(Clock::time_point then) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now());
  return static_cast<int>(
      std::clamp<int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

/// Calls fn(address) for each address of the name until it returns true. What
/// the system said about the last one, if none did.
template <typename Fn>
static std::string forEachAddress(const std::string &host, int64_t port,
                                  bool passive, Fn fn) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  int code =
      ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code != 0)
    return ::gai_strerror(code);
  std::string problem = "has no address";
  for (addrinfo *entry = list; entry; entry = entry->ai_next) {
    if (fn(*entry)) {
      problem.clear();
      break;
    }
    problem = std::strerror(errno);
  }
  ::freeaddrinfo(list);
  return problem;
}

static Descriptor openSocket(const addrinfo &address) {
  return Descriptor(::socket(address.ai_family,
                             address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                             address.ai_protocol));
}

Result<Descriptor> partita::runtime::listenOn(const std::string &host,
                                              int64_t port) {
  Descriptor found;
  int problem = 0;
  std::string text =
      forEachAddress(host, port, /*passive=*/true, [&](const addrinfo &entry) {
        Descriptor socket = openSocket(entry);
        int on = 1;
        bool listens =
            socket &&
            ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on,
                         sizeof(on)) == 0 &&
            ::bind(socket.get(), entry.ai_addr, entry.ai_addrlen) == 0 &&
            ::listen(socket.get(), SOMAXCONN) == 0;
        if (listens)
          found = std::move(socket);
        problem = errno;
        return listens;
      });
  if (found)
    return std::move(found);
  if (problem == EADDRINUSE)
    return makeError(ExitCode::DistributedFault, "launch.port",
                     host + ":" + std::to_string(port),
                     "another program listens on this port",
                     "choose a free one with --port, the same for all ranks");
  return makeError(ExitCode::DistributedFault, "launch.bind",
                   host + ":" + std::to_string(port),
                   "cannot be listened on: " + text,
                   "--bind takes an address of this machine");
}

int64_t partita::runtime::portOf(const Descriptor &listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr *>(&address), &size);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6 &>(address).sin6_port
                   : reinterpret_cast<sockaddr_in &>(address).sin_port);
}

Channel::Channel(Descriptor connected) : socket(std::move(connected)) {
  int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/// Whether the socket becomes ready for `events` in time.
static bool waitFor(int fd, short events, Clock::time_point deadline) {
  pollfd entry{fd, events, 0};
  int ready;
  do
    ready = ::poll(&entry, 1, untilMillis(deadline));
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

static bool connectSocket(Descriptor &socket, const addrinfo &address,
                          Clock::time_point deadline) {
  if (!socket)
    return false;
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0)
    return true;
  if (errno != EINPROGRESS)
    return false;
  int problem = ETIMEDOUT;
  socklen_t size = sizeof(problem);
  if (waitFor(socket.get(), POLLOUT, deadline))
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
  errno = problem;
  return problem == 0;
}

Result<Channel> Channel::connect(const std::string &host, int64_t port,
                                 Clock::time_point deadline) {
  std::string problem;
  constexpr std::chrono::milliseconds longest(200);
  for (auto pause = std::chrono::milliseconds(5);;
       pause = std::min(2 * pause, longest)) {
    Descriptor connected;
    problem = forEachAddress(
        host, port, /*passive=*/false, [&](const addrinfo &entry) {
          Descriptor socket = openSocket(entry);
          bool done = connectSocket(socket, entry, deadline);
          if (done)
            connected = std::move(socket);
          return done;
        });
    if (connected)
      return Channel(std::move(connected));
    if (Clock::now() + pause >= deadline)
      break;
    std::this_thread::sleep_for(pause);
  }
  return makeError(ExitCode::DistributedFault, "launch.unreachable",
                   host + ":" + std::to_string(port),
                   "the process of rank 0 cannot be reached: " + problem,
                   "it listens on loopback only unless --bind names an "
                   "address; is it running, and is the way to it open?");
}

bool Channel::send(const Json &message) {
  std::string text =
      message.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string bytes(magic, sizeof(magic));
  for (int shift : {0, 8, 16, 24})
    bytes += static_cast<char>(text.size() >> shift & 0xff);
  bytes += text;
  Clock::time_point deadline = Clock::now() + std::chrono::seconds(1);
  for (size_t at = 0; at < bytes.size();) {
    ssize_t sent = ::send(socket.get(), bytes.data() + at, bytes.size() - at,
                          MSG_NOSIGNAL);
    if (sent > 0)
      at += sent;
    else if (sent < 0 && errno == EINTR)
      continue;
    else if (errno != EAGAIN || !waitFor(socket.get(), POLLOUT, deadline))
      return false;
  }
  return true;
}

/// A message from what has been read.
Channel::Input Channel::parse(Json &message) {
  if (std::memcmp(buffer.data(), magic, std::min(buffer.size(), sizeof(magic))))
    return Input::Junk;
  if (buffer.size() < headerBytes)
    return Input::Nothing;
  uint32_t size = 0;
  for (int i : {7, 6, 5, 4})
    size = size << 8 | static_cast<unsigned char>(buffer[i]);
  if (size > maxTextBytes)
    return Input::Junk;
  if (buffer.size() < headerBytes + size)
    return Input::Nothing;
  message = Json::parse(buffer.begin() + headerBytes,
                        buffer.begin() + headerBytes + size, nullptr,
                        /*allow_exceptions=*/false);
  buffer.erase(0, headerBytes + size);
  return message.is_object() ? Input::Message : Input::Junk;
}

Channel::Input Channel::receive(Json &message) {
  while (true) {
    if (Input input = parse(message); input != Input::Nothing)
      return input;
    if (closed)
      return Input::Closed;
    char bytes[4096];
    ssize_t count = ::recv(socket.get(), bytes, sizeof(bytes), 0);
    if (count > 0)
      buffer.append(bytes, count);
    else if (count < 0 && errno == EINTR)
      continue;
    else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return Input::Nothing;
    else
      closed = true; // What had arrived whole has been parsed.
  }
}

Channel::Input Channel::receive(Json &message, Clock::time_point deadline) {
  while (true) {
    if (Input input = receive(message); input != Input::Nothing)
      return input;
    if (!waitFor(socket.get(), POLLIN, deadline))
      return Input::Nothing;
  }
}

std::string Channel::peer() const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "?", service[NI_MAXSERV] = "?";
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  if (::getpeername(socket.get(), generic, &size) == 0)
    ::getnameinfo(generic, size, host, sizeof(host), service, sizeof(service),
                  NI_NUMERICHOST | NI_NUMERICSERV);
  return std::string(host) + ":" + service;
}
