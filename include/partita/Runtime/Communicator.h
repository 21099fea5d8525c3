//===- Communicator.h - Moving shards between ranks ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A collective turns shards in one sharding into shards in another, among ranks
// that differ only along some mesh axes. What has to move follows from the two
// shardings: planExchange() says, for one rank, which runs of its result come
// from which rank. All kinds of collectives, even or uneven, on any sub-group,
// are executions of such a plan.
//
//   Transport      messages between ranks, with tag and deadline
//   Communicator   prepares collectives for one rank. TransportCommunicator
//                  works on any transport; the threads backend reads the
//                  operands of its peers in place
//
// Results are reproducible: pending values combine in ascending order of ranks.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_COMMUNICATOR_H
#define PARTITA_RUNTIME_COMMUNICATOR_H

#include "partita/Runtime/Transfer.h"
#include <chrono>
#include <memory>

namespace partita::runtime {

using Clock = std::chrono::steady_clock;

/// A collective as every rank of its group describes it.
struct CollectiveSpec {
  CollectiveKind kind = CollectiveKind::AllReduce;
  DType dtype = DType::F32;
  Sharding from, to;
  std::vector<int> axes;
  /// Operation and ONNX nodes, for messages.
  std::string what;
};

//===----------------------------------------------------------------------===//
// What moves
//===----------------------------------------------------------------------===//

/// What one rank's result is made of. Each term covers the whole result once;
/// the result is the terms combined in order. Without pending axes there is one
/// term.
struct ExchangePlan {
  std::vector<std::vector<Piece>> terms;
  int64_t operandElements = 0, resultElements = 0;
  Combiner combiner = Combiner::None;
};

/// The plan of `rank`. Fails if the ranks of the group do not own what the
/// result needs, or if the result is pending where the operand is not.
Result<ExchangePlan> planExchange(const CollectiveSpec &spec, const Mesh &mesh,
                                  int64_t rank);

/// into[i] = into[i] (combiner) from[i].
void combineElements(Combiner combiner, DType dtype, std::byte *into,
                     const std::byte *from, int64_t count);

/// Fails for what combineElements cannot do.
Status checkCombiner(Combiner combiner, DType dtype, const std::string &place);

//===----------------------------------------------------------------------===//
// Interfaces
//===----------------------------------------------------------------------===//

/// A collective made ready for one rank.
class PreparedCollective {
public:
  virtual ~PreparedCollective() = default;
  /// Contiguous local shards of the specification's two shardings. The two may
  /// be the same memory only for an all-reduce.
  virtual Status execute(const std::byte *operand, std::byte *result) = 0;
};

/// One rank's way to the others. All ranks of a group prepare the same
/// collectives in the same order and execute them in the same order.
class Communicator {
public:
  virtual ~Communicator() = default;
  virtual Result<std::unique_ptr<PreparedCollective>>
  prepare(const CollectiveSpec &spec) = 0;
};

/// Tags are at most this, and those of collectives still less.
constexpr uint64_t maxTag = 0x7fffffff, maxCollectiveTag = 0x3fffffff;

/// A message under way. Its bytes stay as they are until it is taken.
class PendingSend {
public:
  /// One that was not taken is taken back.
  virtual ~PendingSend() = default;
  /// Returns when it is taken. An error if it is not at `deadline`.
  virtual Status wait(Clock::time_point deadline) = 0;
};

/// Messages between the ranks of a program.
class Transport {
public:
  virtual ~Transport() = default;
  virtual int64_t rank() const = 0;
  /// Sends `out` to rank `to` while receiving `in` from rank `from`; either may
  /// be left out by a rank of -1. Messages with equal sender, receiver and tag
  /// arrive in order and with the size that was sent. A send may wait for its
  /// receiver. An error if that is not done at `deadline`.
  virtual Status exchange(int64_t to, std::span<const std::byte> out,
                          int64_t from, std::span<std::byte> in, uint64_t tag,
                          Clock::time_point deadline) = 0;
  /// Begins to send; the message lives no longer than the transport.
  virtual Result<std::unique_ptr<PendingSend>>
  send(int64_t to, std::span<const std::byte> bytes, uint64_t tag) = 0;
  /// What its rank has waited for others so far.
  virtual std::chrono::nanoseconds waited() const = 0;
};

/// Collectives over any transport.
std::unique_ptr<Communicator>
makeTransportCommunicator(Transport &transport, const Mesh &mesh,
                          std::chrono::duration<double> timeout);

//===----------------------------------------------------------------------===//
// Worlds
//===----------------------------------------------------------------------===//

/// What a rank waits for, for messages when something hangs.
struct WaitState {
  bool waiting = false;
  /// Ranks of the group that have not arrived.
  std::vector<int64_t> missing;
};

/// What the ranks of a process have in common. One rank's failure ends every
/// wait of the others at once.
class World {
public:
  virtual ~World() = default;
  /// The communicator of one rank of this process; lives no longer than the
  /// world. Its collectives are among the ranks of `grid`.
  virtual std::unique_ptr<Communicator> communicator(int64_t rank,
                                                     Grid grid) = 0;
  /// A transport to all other ranks.
  virtual std::unique_ptr<Transport> transport(int64_t rank) = 0;

  /// Ends all waits now and later, with an error of code "run.aborted".
  virtual void abort() = 0;
  virtual bool aborted() const = 0;
  virtual WaitState waitState(int64_t rank) const = 0;
};

/// All ranks of a mesh.
Grid wholeGrid(const Mesh &mesh);

/// Ranks as threads of one process.
class ThreadWorld : public World {
public:
  ThreadWorld(const Mesh &mesh, std::chrono::duration<double> timeout);
  ~ThreadWorld() override;

  /// Reads the operands of its peers in place.
  std::unique_ptr<Communicator> communicator(int64_t rank, Grid grid) override;
  /// In memory.
  std::unique_ptr<Transport> transport(int64_t rank) override;
  void abort() override;
  bool aborted() const override;
  WaitState waitState(int64_t rank) const override;

  struct Impl;

private:
  std::unique_ptr<Impl> impl;
};

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_COMMUNICATOR_H
