//===- TransportCommunicator.cpp - Collectives over messages --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Written once, for every transport. In step d of a collective each rank sends
// to the d-th rank behind it and receives from the d-th before it, so that all
// links work at once and no rank is flooded.
//
// An all-reduce has two rounds, as a reduce-scatter and an all-gather of
// chunks: each rank combines one chunk of all ranks, in ascending order, and
// passes it on; 2 (N-1)/N of the bytes leave each rank. Everything else is one
// round in which each rank packs, for each other, the runs that the other's
// plan takes from it.
//
//===----------------------------------------------------------------------===//

#include "RunCopy.h"

using namespace partita;
using namespace partita::runtime;

namespace {

/// What the collectives of one rank share.
struct Link {
  Transport &transport;
  Mesh mesh;
  std::chrono::duration<double> timeout;
  /// Collectives prepared, by group.
  std::map<std::vector<int64_t>, uint64_t> prepared;

  /// The same on all ranks of a group, whatever other groups each is in. Equal
  /// tags would be harmless: what two ranks do together has one order.
  uint64_t nextTag(const std::vector<int64_t> &group) {
    uint64_t hash = ++prepared[group];
    for (int64_t member : group)
      hash = (hash ^ static_cast<uint64_t>(member)) * 0x100000001b3;
    return (hash ^ hash >> 32) & maxCollectiveTag;
  }
  Clock::time_point deadline() const {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
  }
};

//===----------------------------------------------------------------------===//
// All-reduce
//===----------------------------------------------------------------------===//

class MessageAllReduce : public PreparedCollective {
public:
  MessageAllReduce(Link &link, const CollectiveSpec &spec,
                   std::vector<int64_t> group, int64_t count, uint64_t tag)
      : link(link), group(std::move(group)), count(count), tag(tag),
        dtype(spec.dtype), combiner(spec.from.combiner) {
    self = std::find(this->group.begin(), this->group.end(),
                     link.transport.rank()) -
           this->group.begin();
    Interval own = chunk(self);
    received.resize(this->group.size() * own.size() * dtypeSize(dtype));
  }
  Status execute(const std::byte *operand, std::byte *result) override;

private:
  Interval chunk(int64_t i) const { return chunkOf(count, group.size(), i); }
  Link &link;
  std::vector<int64_t> group;
  int64_t count, self;
  uint64_t tag;
  DType dtype;
  Combiner combiner;
  std::vector<std::byte> received;
};

} // namespace

Status MessageAllReduce::execute(const std::byte *operand, std::byte *result) {
  int64_t size = dtypeSize(dtype), n = group.size();
  Interval own = chunk(self);
  int64_t bytes = own.size() * size;
  auto bytesOf = [&](auto *base, Interval part) {
    return std::span(base + part.begin * size,
                     static_cast<size_t>(part.size() * size));
  };
  copyBytes(received.data() + self * bytes, operand + own.begin * size, bytes);
  for (int64_t d = 1; d < n; ++d) {
    int64_t to = (self + d) % n, from = (self + n - d) % n;
    PARTITA_CHECK(link.transport.exchange(
        group[to], bytesOf(operand, chunk(to)), group[from],
        std::span(received.data() + from * bytes, bytes), tag,
        link.deadline()));
  }
  for (int64_t i = 1; i < n; ++i)
    combineElements(combiner, dtype, received.data(),
                    received.data() + i * bytes, own.size());
  copyBytes(result + own.begin * size, received.data(), bytes);
  for (int64_t d = 1; d < n; ++d) {
    int64_t to = (self + d) % n, from = (self + n - d) % n;
    const std::byte *mine = result + own.begin * size;
    PARTITA_CHECK(link.transport.exchange(
        group[to], std::span(mine, bytes), group[from],
        bytesOf(result, chunk(from)), tag, link.deadline()));
  }
  return ok();
}

//===----------------------------------------------------------------------===//
// Everything else
//===----------------------------------------------------------------------===//

namespace {

class MessageExchange : public PreparedCollective {
public:
  MessageExchange(Link &link, DType dtype, std::vector<int64_t> group,
                  uint64_t tag)
      : link(link), dtype(dtype), group(std::move(group)), tag(tag) {}
  Status plan(const CollectiveSpec &spec);
  Status execute(const std::byte *operand, std::byte *result) override;

private:
  void unpack(const std::byte *operand, std::byte *result);
  Link &link;
  DType dtype;
  std::vector<int64_t> group;
  uint64_t tag;
  ExchangePlan own;
  /// For each member: runs of our operand that it takes, in its order.
  std::vector<std::vector<RunGroup>> outgoing;
  std::vector<std::vector<std::byte>> sent, received;
};

} // namespace

/// Elements that a plan takes from `source`, all terms together.
static int64_t elementsFrom(const ExchangePlan &plan, int64_t source) {
  int64_t total = 0;
  for (const auto &term : plan.terms)
    for (const Piece &piece : term)
      if (piece.source == source)
        total += piece.elements();
  return total;
}

Status MessageExchange::plan(const CollectiveSpec &spec) {
  int64_t self = link.transport.rank(), size = dtypeSize(dtype);
  PARTITA_TRY(own, planExchange(spec, link.mesh, self));
  for (int64_t member : group) {
    PARTITA_TRY(ExchangePlan theirs, planExchange(spec, link.mesh, member));
    std::vector<RunGroup> runs;
    for (const auto &term : theirs.terms)
      for (const Piece &piece : term)
        if (piece.source == self)
          runs.insert(runs.end(), piece.runs.begin(), piece.runs.end());
    bool local = member == self;
    sent.emplace_back(local ? 0 : elementsFrom(theirs, self) * size);
    received.emplace_back(local ? 0 : elementsFrom(own, member) * size);
    outgoing.push_back(std::move(runs));
  }
  return ok();
}

/// Terms in order; the pieces of one sender lie in its message in plan order.
void MessageExchange::unpack(const std::byte *operand, std::byte *result) {
  int64_t size = dtypeSize(dtype), self = link.transport.rank();
  std::vector<int64_t> position(group.size(), 0);
  for (size_t t = 0; t < own.terms.size(); ++t)
    for (const Piece &piece : own.terms[t]) {
      int64_t index =
          std::find(group.begin(), group.end(), piece.source) - group.begin();
      bool local = piece.source == self;
      const std::byte *base = local ? operand : received[index].data();
      forEachRunOf(piece.runs, [&](int64_t from, int64_t to, int64_t count) {
        int64_t at = local ? from : position[index];
        if (!local)
          position[index] += count;
        if (t == 0)
          copyBytes(result + to * size, base + at * size, count * size);
        else
          combineElements(own.combiner, dtype, result + to * size,
                          base + at * size, count);
      });
    }
}

Status MessageExchange::execute(const std::byte *operand, std::byte *result) {
  int64_t size = dtypeSize(dtype), n = group.size();
  int64_t self = std::find(group.begin(), group.end(), link.transport.rank()) -
                 group.begin();
  for (int64_t d = 1; d < n; ++d) {
    int64_t to = (self + d) % n, from = (self + n - d) % n;
    std::byte *packed = sent[to].data();
    forEachRunOf(outgoing[to], [&](int64_t at, int64_t, int64_t count) {
      copyBytes(packed, operand + at * size, count * size);
      packed += count * size;
    });
    PARTITA_CHECK(
        link.transport.exchange(sent[to].empty() ? -1 : group[to], sent[to],
                                received[from].empty() ? -1 : group[from],
                                received[from], tag, link.deadline()));
  }
  unpack(operand, result);
  return ok();
}

//===----------------------------------------------------------------------===//
// The communicator
//===----------------------------------------------------------------------===//

namespace {

class TransportCommunicator : public Communicator {
public:
  TransportCommunicator(Transport &transport, const Mesh &mesh,
                        std::chrono::duration<double> timeout)
      : link{transport, mesh, timeout} {}

  Result<std::unique_ptr<PreparedCollective>>
  prepare(const CollectiveSpec &spec) override {
    int64_t rank = link.transport.rank();
    std::vector<int64_t> group = link.mesh.group(rank, spec.axes);
    std::sort(group.begin(), group.end());
    uint64_t tag = link.nextTag(group);
    if (isPlainAllReduce(spec, link.mesh) && group.size() > 1) {
      PARTITA_CHECK(checkCombiner(spec.from.combiner, spec.dtype, spec.what));
      int64_t count = boxOf(spec.from, link.mesh, link.mesh.coordinates(rank))
                          .numElements();
      return std::unique_ptr<PreparedCollective>(
          std::make_unique<MessageAllReduce>(link, spec, std::move(group),
                                             count, tag));
    }
    auto exchange = std::make_unique<MessageExchange>(link, spec.dtype,
                                                      std::move(group), tag);
    PARTITA_CHECK(exchange->plan(spec));
    return std::unique_ptr<PreparedCollective>(std::move(exchange));
  }

private:
  Link link;
};

} // namespace

std::unique_ptr<Communicator> partita::runtime::makeTransportCommunicator(
    Transport &transport, const Mesh &mesh,
    std::chrono::duration<double> timeout) {
  return std::make_unique<TransportCommunicator>(transport, mesh, timeout);
}
