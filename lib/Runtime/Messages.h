//===- Messages.h - Sending to other stages, and receiving ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One end of a transfer, made ready for a rank.
//
// Nobody waits in a circle, even where a message is sent only when it is
// received: a rank takes what it receives, then what it sends, in the order of
// (micro-batch, sending stage, receiving stage, transfer, ranks), of which
// every rank's own order is a part.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_MESSAGES_H
#define PARTITA_LIB_RUNTIME_MESSAGES_H

#include "partita/Runtime/Communicator.h"

namespace partita::runtime {

/// A rank's way to others, and how long it waits for them.
struct Line {
  Transport *transport = nullptr;
  std::chrono::duration<double> timeout{30};
  Clock::time_point deadline() const;
};

class Messages {
public:
  /// Of `command`, a Send or Receive. Errors: as of planTransfer();
  /// `program.invalid` (2) if its view or its wire buffer has another size.
  static Result<std::unique_ptr<Messages>>
  prepare(const Program &program, const Command &command, int64_t rank);

  /// `shard` is what the rank sends from or receives into. What is sent is
  /// copied to `wire` and on its way when this returns: it waits for what is
  /// there to be taken, not for this.
  Status execute(const Line &line, std::byte *shard, std::byte *wire);

private:
  Status send(const Line &line, const std::byte *shard, std::byte *wire);
  Status receive(const Line &line, std::byte *shard, std::byte *wire);
  bool sends = false;
  int64_t elementSize = 1;
  /// By wire buffer and parcel; the buffer that is next.
  std::vector<std::unique_ptr<PendingSend>> underWay[sendsUnderWay];
  int64_t next = 0;
  uint64_t tag = 0;
  std::vector<Parcel> parcels;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_MESSAGES_H
