//===- GlooFabric.cpp - Messages between processes by Gloo ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Gloo's unbound buffers over TCP, in the version of May 2022 that Debian has.
// What it does and does not:
//
// * Its collectives are not used. Ring and halving all-reduces add in an order
//   that depends on the chunk; ours add in ascending order of ranks, whatever
//   the backend. Its other collectives know no uneven shards.
// * A wait that times out closes every connection of the process, so that all
//   others seem to have lost a peer and nobody knows who was late. Waits are
//   therefore without end here (`forever`), and are ended from outside by
//   abortWaitRecv and abortWaitSend, which leave connections alone.
// * A peer that is gone makes waits throw; so does every later call.
// * A message that is longer than the buffer for it throws in Gloo's own
//   thread, which ends the process. Ranks of the same program (what rendezvous
//   checks) send what is expected.
// * A connection is not authenticated. Each pair of processes listens on a port
//   of its own until the other one has connected.
//
//===----------------------------------------------------------------------===//

#include "lib/Runtime/Fabric.h"
#include <arpa/inet.h>
#include <gloo/transport/context.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>
#include <netdb.h>

using namespace partita;
using namespace partita::runtime;
namespace transport = gloo::transport;

/// Long, and far from where Gloo's arithmetic overflows.
static constexpr std::chrono::milliseconds forever = std::chrono::hours(1000);

/// Runs what Gloo may throw from.
template <typename Fn>
static auto guarded(const std::string &place, Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::exception &e) {
    return makeError(ExitCode::DistributedFault, "run.lost", place, e.what());
  }
}

static std::string processName(int64_t process) {
  return "process " + std::to_string(process);
}

namespace {

class GlooMessage : public PendingMessage {
public:
  GlooMessage(std::unique_ptr<transport::UnboundBuffer> buffer, int64_t process,
              bool sending)
      : buffer(std::move(buffer)), process(process), sending(sending) {}

  Status wait() override {
    return guarded(processName(process), [&]() -> Status {
      if (sending ? buffer->waitSend(forever) : buffer->waitRecv(forever))
        return ok();
      return makeError(ExitCode::DistributedFault, "run.aborted",
                       processName(process), "the wait was ended");
    });
  }
  void cancel() override {
    if (sending)
      buffer->abortWaitSend();
    else
      buffer->abortWaitRecv();
  }

private:
  std::unique_ptr<transport::UnboundBuffer> buffer;
  int64_t process;
  bool sending;
};

class GlooFabric : public Fabric {
public:
  explicit GlooFabric(const FabricOptions &options) : options(options) {
    transport::tcp::attr attr;
    in6_addr ignored;
    const char *bind = options.bind.c_str();
    if (::inet_pton(AF_INET, bind, &ignored) == 1 ||
        ::inet_pton(AF_INET6, bind, &ignored) == 1)
      attr.hostname = options.bind;
    else
      attr.iface = options.bind;
    device = transport::tcp::CreateDevice(attr);
    context = device->createContext(static_cast<int>(options.process),
                                    static_cast<int>(options.processes));
    // Connecting takes up to five times as long.
    context->setTimeout(
        std::max(options.timeout / 5, std::chrono::milliseconds(1)));
    for (int64_t i = 0; i < options.processes; ++i)
      if (i != options.process)
        context->createPair(static_cast<int>(i));
  }

  std::vector<std::string> addresses() override {
    std::vector<std::string> all(options.processes);
    for (int64_t i = 0; i < options.processes; ++i)
      if (i != options.process) {
        std::vector<char> bytes = pair(i).address().bytes();
        all[i].assign(bytes.begin(), bytes.end());
      }
    return all;
  }

  Status connect(const std::vector<std::string> &addresses) override {
    for (int64_t i = 0; i < options.processes; ++i) {
      if (i == options.process)
        continue;
      PARTITA_CHECK(guarded(processName(i), [&]() -> Status {
        pair(i).connect({addresses[i].begin(), addresses[i].end()});
        return ok();
      }));
    }
    return ok();
  }

private:
  transport::Pair &pair(int64_t process) {
    return *context->getPair(static_cast<int>(process));
  }
  Result<std::unique_ptr<PendingMessage>> begin(int64_t process,
                                                std::span<std::byte> bytes,
                                                uint64_t slot,
                                                bool sending) override {
    using Made = Result<std::unique_ptr<PendingMessage>>;
    return guarded(processName(process), [&]() -> Made {
      auto buffer = context->createUnboundBuffer(bytes.data(), bytes.size());
      if (sending)
        buffer->send(static_cast<int>(process), slot);
      else
        buffer->recv(static_cast<int>(process), slot);
      return Made(
          std::make_unique<GlooMessage>(std::move(buffer), process, sending));
    });
  }

  FabricOptions options;
  std::shared_ptr<transport::Device> device;
  std::shared_ptr<transport::Context> context;
};

} // namespace

Result<std::unique_ptr<Fabric>> makeGlooFabric(const FabricOptions &options) {
  try {
    return std::unique_ptr<Fabric>(std::make_unique<GlooFabric>(options));
  } catch (const std::exception &e) {
    return makeError(ExitCode::DistributedFault, "launch.bind",
                     "--bind " + options.bind,
                     std::string("cannot be listened on: ") + e.what(),
                     "give an address or the name of an interface of this "
                     "machine");
  }
}

/// C++ in all but its name: the plugin and the runtime are built together.
extern "C" __attribute__((visibility("default"))) MakeFabric *partita_fabric() {
  return makeGlooFabric;
}
