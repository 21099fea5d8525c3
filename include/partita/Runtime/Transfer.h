//===- Transfer.h - What goes between ranks and stages ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs of elements that one rank has of what another wants; and which rank of a
// stage sends what to which rank of another. The compiler asks for the sizes of
// wire buffers, so that they are part of the promised memory.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_TRANSFER_H
#define PARTITA_RUNTIME_TRANSFER_H

#include "partita/Runtime/Program.h"

namespace partita::runtime {

/// `repeat` runs of `count` elements; each begins a step after the one before.
struct RunGroup {
  int64_t from = 0, to = 0, count = 0;
  int64_t repeat = 1, fromStep = 0, toStep = 0;
  int64_t elements() const { return count * repeat; }
};

/// Runs at constant steps become one group: gathering columns of a matrix takes
/// one entry, not one per row.
std::vector<RunGroup> groupRuns(const std::vector<SharedRun> &runs);

/// Runs that one rank provides.
struct Piece {
  int64_t source = 0;
  std::vector<RunGroup> runs;
  int64_t elements() const;
};

/// What one rank sends to, or receives from, another: runs from the sender's
/// shard to the receiver's.
struct Parcel {
  int64_t peer = 0; ///< a rank of the program
  std::vector<RunGroup> runs;
  int64_t elements = 0;

  /// The runs are one on the sender's side, or on the receiver's: then it is
  /// sent from, or received at, its place.
  bool isContiguous(bool atSender) const;
  /// Where its first run begins on that side.
  int64_t begin(bool atSender) const;
};

/// The parcels of `rank`, which is in one of the transfer's stages, by peer.
/// Of several ranks that hold the same the receivers take different ones in
/// turn. Error (70): nobody holds a part of what is wanted.
Result<std::vector<Parcel>> planTransfer(const TransferInfo &transfer,
                                         const Program &program, int64_t rank);

/// So many micro-batches may a stage have sent that nobody has received yet.
/// While a rank that feeds others is held up, they go on with these.
constexpr int64_t sendsUnderWay = 2;

/// Bytes of the buffer for a transfer's messages: of a sender, all of each
/// micro-batch that is under way; of a receiver, the largest that is not
/// received at its place.
int64_t wireBytes(const std::vector<Parcel> &parcels, bool sends,
                  int64_t elementSize);

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_TRANSFER_H
