//===- Fabric.h - Messages between processes -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a communication library has to provide. It is a plugin, a shared library
// beside the runtime that is loaded only where ranks are processes: threads
// need none of it, and a machine may lack it.
//
// Processes have numbers from zero. A slot names a stream of messages between
// two of them: messages of a slot arrive in order and with the size that was
// sent. A send may wait for its receiver. Nothing here throws, and no wait ends
// by itself: whoever waits is told to stop by cancel(), from another thread.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_FABRIC_H
#define PARTITA_LIB_RUNTIME_FABRIC_H

#include "partita/Support/Error.h"
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace partita::runtime {

/// A message on its way. Its bytes stay where they are until it is destroyed.
class PendingMessage {
public:
  virtual ~PendingMessage() = default;
  /// Returns when it has arrived or was handed over. Errors: "run.lost" if the
  /// other process is gone, "run.aborted" after cancel().
  virtual Status wait() = 0;
  /// Ends wait(), now or when it comes. Safe from any thread.
  virtual void cancel() = 0;
};

class Fabric {
public:
  virtual ~Fabric() = default;
  /// Where each of the other processes reaches this one, opaque; its own entry
  /// is empty.
  virtual std::vector<std::string> addresses() = 0;
  /// Connects to all others, given where this process reaches each.
  virtual Status connect(const std::vector<std::string> &addresses) = 0;
  Result<std::unique_ptr<PendingMessage>>
  send(int64_t process, std::span<const std::byte> bytes, uint64_t slot) {
    auto *data = const_cast<std::byte *>(bytes.data()); // and only read
    return begin(process, {data, bytes.size()}, slot, /*sending=*/true);
  }
  Result<std::unique_ptr<PendingMessage>>
  receive(int64_t process, std::span<std::byte> bytes, uint64_t slot) {
    return begin(process, bytes, slot, /*sending=*/false);
  }

protected:
  virtual Result<std::unique_ptr<PendingMessage>>
  begin(int64_t process, std::span<std::byte> bytes, uint64_t slot,
        bool sending) = 0;
};

struct FabricOptions {
  int64_t process = 0, processes = 1;
  /// An address or the name of an interface of this machine.
  std::string bind = "127.0.0.1";
  /// Of connect().
  std::chrono::milliseconds timeout{30000};
};

/// Made by a plugin; its function "partita_fabric" returns the address of one.
using MakeFabric = Result<std::unique_ptr<Fabric>>(const FabricOptions &);

/// Loads the plugin of a communicator. Errors: exit code 3 if it is not there.
Result<std::unique_ptr<Fabric>> makeFabric(const std::string &communicator,
                                           const FabricOptions &options);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_FABRIC_H
