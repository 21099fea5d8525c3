//===- ThreadWorld.cpp - Ranks as threads of one process ------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ranks share an address space, so nothing is sent: a rank posts the address of
// its operand, all meet at a barrier, each pulls what it needs straight from
// the others' operands, and all meet again before an operand may change.
//
// An all-reduce has a barrier in between: each rank combines one chunk of all
// operands into its own result, then copies the other chunks from the results
// of the others. Short ones skip this: every rank combines everything.
//
// A wait spins for up to 50 us if every rank has a core of its own, then sleeps
// on a futex (std::atomic has no wait with a deadline). Whoever fails aborts
// the world, which wakes every sleeper.
//
//===----------------------------------------------------------------------===//

#include "RunCopy.h"
#include "WaitErrors.h"
#include <atomic>
#include <climits>
#include <condition_variable>
#include <deque>
#include <linux/futex.h>
#include <map>
#include <mutex>
#include <numeric>
#include <sched.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

//===----------------------------------------------------------------------===//
// Barrier
//===----------------------------------------------------------------------===//

static void futexWait(std::atomic<uint32_t> &word, uint32_t expected,
                      std::chrono::nanoseconds timeout) {
  struct timespec ts;
  ts.tv_sec = timeout.count() / 1000000000;
  ts.tv_nsec = timeout.count() % 1000000000;
  ::syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE,
            expected, &ts, nullptr, 0);
}

static void futexWakeAll(std::atomic<uint32_t> &word) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE,
            INT_MAX, nullptr, nullptr, 0);
}

namespace {

/// A meeting point of the ranks of one group.
struct Barrier {
  explicit Barrier(std::vector<int64_t> members)
      : members(std::move(members)),
        present(std::make_unique<std::atomic<bool>[]>(this->members.size())) {}

  const std::vector<int64_t> members;
  alignas(64) std::atomic<uint32_t> arrived{0};
  alignas(64) std::atomic<uint32_t> generation{0};
  std::atomic<uint32_t> sleepers{0};
  /// Who is here, for messages.
  std::unique_ptr<std::atomic<bool>[]> present;
};

/// What a rank shows to the others, on a cache line of its own.
struct alignas(64) Post {
  std::atomic<const std::byte *> operand{nullptr};
  std::atomic<std::byte *> result{nullptr};
  std::atomic<Barrier *> waitingAt{nullptr};
  /// The rank whose message it waits for.
  std::atomic<int64_t> waitingFor{-1};
};

/// What a rank that only sends holds out until it is taken; it does not move.
struct Offer {
  std::span<const std::byte> bytes;
  bool taken = false, beingTaken = false;
};

/// From a rank that sends and receives at once a copy, from one that only sends
/// an offer.
struct Message {
  std::vector<std::byte> copy;
  Offer *offer = nullptr;
};

/// Messages between two ranks under one tag, in the order of their sending.
using Mailbox = std::deque<Message>;

} // namespace

struct ThreadWorld::Impl {
  Mesh mesh;
  std::chrono::duration<double> timeout;
  bool mayspin = false;
  std::atomic<bool> aborting{false};
  std::vector<Post> posts;

  std::mutex mutex;
  std::map<std::vector<int64_t>, std::unique_ptr<Barrier>> barriers;

  std::mutex mailMutex;
  std::condition_variable mailArrived;
  std::map<std::tuple<int64_t, int64_t, uint64_t>, Mailbox> mail;

  Impl(const Mesh &mesh, std::chrono::duration<double> timeout)
      : mesh(mesh), timeout(timeout), posts(mesh.numRanks()) {
    cpu_set_t cpus;
    int available = static_cast<int>(std::thread::hardware_concurrency());
    if (::sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
      available = CPU_COUNT(&cpus);
    mayspin = available >= mesh.numRanks();
  }

  Barrier *barrier(const std::vector<int64_t> &members) {
    std::lock_guard lock(mutex);
    std::unique_ptr<Barrier> &entry = barriers[members];
    if (!entry)
      entry = std::make_unique<Barrier>(members);
    return entry.get();
  }
  Clock::time_point deadline() const {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(timeout);
  }
  Status meet(Barrier &barrier, int64_t rank);
  Status sleepUntilNext(Barrier &barrier, uint32_t generation);
};

/// Waits until the barrier's generation changes.
Status ThreadWorld::Impl::sleepUntilNext(Barrier &barrier,
                                         uint32_t generation) {
  using namespace std::chrono_literals;
  auto passed = [&] {
    return barrier.generation.load(std::memory_order_acquire) != generation;
  };
  Clock::time_point begin = Clock::now(), end = deadline();
  if (mayspin)
    for (int i = 0; !passed(); ++i) {
      __builtin_ia32_pause();
      if (i % 64 == 63 && Clock::now() - begin > 50us)
        break;
    }
  while (!passed()) {
    if (aborting.load(std::memory_order_acquire))
      return abortedError();
    std::chrono::nanoseconds left = end - Clock::now();
    if (left <= 0ns)
      return timeoutError(timeout);
    // In slices, so that an abort between the check and the sleep is seen.
    barrier.sleepers.fetch_add(1, std::memory_order_seq_cst);
    if (!passed())
      futexWait(barrier.generation, generation,
                std::min<std::chrono::nanoseconds>(left, 100ms));
    barrier.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  }
  return ok();
}

/// Returns when every member has called it as often as this one.
Status ThreadWorld::Impl::meet(Barrier &barrier, int64_t rank) {
  if (aborting.load(std::memory_order_acquire))
    return abortedError();
  uint32_t generation = barrier.generation.load(std::memory_order_acquire);
  size_t index =
      std::find(barrier.members.begin(), barrier.members.end(), rank) -
      barrier.members.begin();
  barrier.present[index].store(true, std::memory_order_relaxed);
  uint32_t count = barrier.arrived.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (count == barrier.members.size()) {
    for (size_t i = 0; i < barrier.members.size(); ++i)
      barrier.present[i].store(false, std::memory_order_relaxed);
    barrier.arrived.store(0, std::memory_order_relaxed);
    barrier.generation.fetch_add(1, std::memory_order_seq_cst);
    if (barrier.sleepers.load(std::memory_order_seq_cst) > 0)
      futexWakeAll(barrier.generation);
    return ok();
  }
  posts[rank].waitingAt.store(&barrier, std::memory_order_release);
  Status status = sleepUntilNext(barrier, generation);
  // Who timed out stays in the picture until the report is written.
  if (status)
    posts[rank].waitingAt.store(nullptr, std::memory_order_relaxed);
  return status;
}

//===----------------------------------------------------------------------===//
// Collectives by direct loads
//===----------------------------------------------------------------------===//

namespace {

class DirectCollective : public PreparedCollective {
protected:
  DirectCollective(ThreadWorld::Impl &world, int64_t rank,
                   std::vector<int64_t> group)
      : world(world), rank(rank), group(std::move(group)),
        barrier(world.barrier(this->group)) {}
  Status meet() { return world.meet(*barrier, rank); }
  const std::byte *operandOf(int64_t peer) const {
    return world.posts[peer].operand.load(std::memory_order_relaxed);
  }
  const std::byte *resultOf(int64_t peer) const {
    return world.posts[peer].result.load(std::memory_order_relaxed);
  }
  /// Publishes the addresses and waits until all have done so.
  Status post(const std::byte *operand, std::byte *result) {
    world.posts[rank].operand.store(operand, std::memory_order_relaxed);
    world.posts[rank].result.store(result, std::memory_order_relaxed);
    return meet();
  }

  ThreadWorld::Impl &world;
  int64_t rank;
  std::vector<int64_t> group;
  Barrier *barrier;
};

class DirectAllReduce : public DirectCollective {
public:
  DirectAllReduce(ThreadWorld::Impl &world, int64_t rank,
                  std::vector<int64_t> group, const CollectiveSpec &spec,
                  int64_t count)
      : DirectCollective(world, rank, std::move(group)), count(count),
        dtype(spec.dtype), combiner(spec.from.combiner) {}
  Status execute(const std::byte *operand, std::byte *result) override;

private:
  void combine(Interval part, std::byte *result) const;
  int64_t count;
  DType dtype;
  Combiner combiner;
};

class DirectExchange : public DirectCollective {
public:
  DirectExchange(ThreadWorld::Impl &world, int64_t rank,
                 std::vector<int64_t> group, DType dtype, ExchangePlan plan)
      : DirectCollective(world, rank, std::move(group)), dtype(dtype),
        plan(std::move(plan)) {}
  Status execute(const std::byte *operand, std::byte *result) override;

private:
  DType dtype;
  ExchangePlan plan;
};

} // namespace

/// All operands' values of `part`, combined in the order of ranks. Through a
/// block on the stack: the result may be this rank's own operand.
void DirectAllReduce::combine(Interval part, std::byte *result) const {
  constexpr int64_t blockBytes = 4096;
  alignas(64) std::byte block[blockBytes];
  int64_t size = dtypeSize(dtype), step = blockBytes / size;
  for (int64_t at = part.begin; at < part.end; at += step) {
    int64_t elements = std::min(step, part.end - at);
    copyBytes(block, operandOf(group[0]) + at * size, elements * size);
    for (size_t i = 1; i < group.size(); ++i)
      combineElements(combiner, dtype, block, operandOf(group[i]) + at * size,
                      elements);
    copyBytes(result + at * size, block, elements * size);
  }
}

Status DirectAllReduce::execute(const std::byte *operand, std::byte *result) {
  int64_t size = dtypeSize(dtype), n = group.size();
  // Below this, a barrier costs more than combining everything everywhere. In
  // place that would overwrite what others still read.
  constexpr int64_t shortBytes = 4096;
  PARTITA_CHECK(post(operand, result));
  bool inPlace = false;
  for (int64_t peer : group)
    inPlace |= operandOf(peer) == resultOf(peer);
  if (count * size <= shortBytes && !inPlace) {
    combine({0, count}, result);
    return meet();
  }
  int64_t self = std::find(group.begin(), group.end(), rank) - group.begin();
  combine(chunkOf(count, n, self), result);
  PARTITA_CHECK(meet());
  for (int64_t d = 1; d < n; ++d) {
    int64_t peer = (self + d) % n;
    Interval part = chunkOf(count, n, peer);
    copyBytes(result + part.begin * size,
              resultOf(group[peer]) + part.begin * size, part.size() * size);
  }
  return meet();
}

Status DirectExchange::execute(const std::byte *operand, std::byte *result) {
  PARTITA_CHECK(post(operand, result));
  for (size_t t = 0; t < plan.terms.size(); ++t)
    for (const Piece &piece : plan.terms[t]) {
      if (t == 0)
        copyRuns(piece.runs, dtypeSize(dtype), operandOf(piece.source), result);
      else
        combineRuns(piece.runs, plan.combiner, dtype, operandOf(piece.source),
                    result);
    }
  return meet();
}

//===----------------------------------------------------------------------===//
// Communicator and transport
//===----------------------------------------------------------------------===//

namespace {

class ThreadCommunicator : public Communicator {
public:
  ThreadCommunicator(ThreadWorld::Impl &world, int64_t rank, Grid grid)
      : world(world), rank(rank), grid(std::move(grid)) {}

  Result<std::unique_ptr<PreparedCollective>>
  prepare(const CollectiveSpec &spec) override {
    int64_t place = grid.placeOf(rank);
    std::vector<int64_t> group = grid.mesh.group(place, spec.axes);
    std::sort(group.begin(), group.end());
    PARTITA_TRY(ExchangePlan plan, planExchange(spec, grid.mesh, place));
    // From places to ranks.
    for (int64_t &member : group)
      member = grid.ranks[member];
    for (std::vector<Piece> &term : plan.terms)
      for (Piece &piece : term)
        piece.source = grid.ranks[piece.source];
    using Prepared = std::unique_ptr<PreparedCollective>;
    if (isPlainAllReduce(spec, grid.mesh) && group.size() > 1)
      return Prepared(std::make_unique<DirectAllReduce>(
          world, rank, std::move(group), spec, plan.resultElements));
    return Prepared(std::make_unique<DirectExchange>(
        world, rank, std::move(group), spec.dtype, std::move(plan)));
  }

private:
  ThreadWorld::Impl &world;
  int64_t rank;
  Grid grid;
};

class MemoryTransport : public Transport {
public:
  MemoryTransport(ThreadWorld::Impl &world, int64_t self)
      : world(world), self(self) {}
  int64_t rank() const override { return self; }
  Status exchange(int64_t to, std::span<const std::byte> out, int64_t from,
                  std::span<std::byte> in, uint64_t tag,
                  Clock::time_point deadline) override;
  Result<std::unique_ptr<PendingSend>>
  send(int64_t to, std::span<const std::byte> bytes, uint64_t tag) override;
  std::chrono::nanoseconds waited() const override { return waitTime; }

private:
  friend class MemorySend;
  template <typename Condition>
  bool waitFor(std::unique_lock<std::mutex> &lock, int64_t other,
               Clock::time_point deadline, Condition condition);
  Error sizeError(size_t received, size_t wanted) const;
  ThreadWorld::Impl &world;
  int64_t self;
  std::chrono::nanoseconds waitTime{0};
};

/// Nothing is stored between the two: the receiver copies from where the bytes
/// are.
class MemorySend : public PendingSend {
public:
  MemorySend(MemoryTransport &transport, int64_t to,
             std::span<const std::byte> bytes, uint64_t tag)
      : transport(transport), key(transport.self, to, tag), own{bytes} {
    std::lock_guard lock(transport.world.mailMutex);
    transport.world.mail[key].push_back({{}, &own});
    transport.world.mailArrived.notify_all();
  }
  ~MemorySend() override;
  Status wait(Clock::time_point deadline) override;

private:
  MemoryTransport &transport;
  std::tuple<int64_t, int64_t, uint64_t> key;
  Offer own;
};

} // namespace

Error MemoryTransport::sizeError(size_t received, size_t wanted) const {
  return makeError(ExitCode::DistributedFault, "run.message",
                   "rank " + std::to_string(self),
                   "received " + std::to_string(received) +
                       " bytes instead of " + std::to_string(wanted));
}

/// Waits until the condition holds; false if it does not at the deadline. Who
/// waits in vain stays in the picture until the report is written.
template <typename Condition>
bool MemoryTransport::waitFor(std::unique_lock<std::mutex> &lock, int64_t other,
                              Clock::time_point deadline, Condition condition) {
  if (condition())
    return true;
  Clock::time_point begin = Clock::now();
  world.posts[self].waitingFor.store(other);
  bool holds = world.mailArrived.wait_until(lock, deadline, condition);
  waitTime += Clock::now() - begin;
  if (holds && !world.aborting.load())
    world.posts[self].waitingFor.store(-1);
  return holds;
}

Status MemorySend::wait(Clock::time_point deadline) {
  ThreadWorld::Impl &world = transport.world;
  std::unique_lock lock(world.mailMutex);
  transport.waitFor(lock, std::get<1>(key), deadline,
                    [&] { return own.taken || world.aborting.load(); });
  if (own.taken)
    return ok();
  return world.aborting.load() ? abortedError() : timeoutError(world.timeout);
}

MemorySend::~MemorySend() {
  ThreadWorld::Impl &world = transport.world;
  std::unique_lock lock(world.mailMutex);
  if (own.beingTaken) // Then it does not take long.
    world.mailArrived.wait(lock, [&] { return own.taken; });
  if (!own.taken)
    std::erase_if(world.mail[key],
                  [&](const Message &m) { return m.offer == &own; });
}

Result<std::unique_ptr<PendingSend>>
MemoryTransport::send(int64_t to, std::span<const std::byte> bytes,
                      uint64_t tag) {
  using Made = std::unique_ptr<PendingSend>;
  return Made(std::make_unique<MemorySend>(*this, to, bytes, tag));
}

Status MemoryTransport::exchange(int64_t to, std::span<const std::byte> out,
                                 int64_t from, std::span<std::byte> in,
                                 uint64_t tag, Clock::time_point deadline) {
  if (from < 0)
    return to < 0 ? ok() : MemorySend(*this, to, out, tag).wait(deadline);
  std::unique_lock lock(world.mailMutex);
  if (to >= 0) {
    world.mail[{self, to, tag}].push_back({{out.begin(), out.end()}});
    world.mailArrived.notify_all();
  }
  Mailbox &box = world.mail[{from, self, tag}];
  bool arrived = waitFor(lock, from, deadline,
                         [&] { return !box.empty() || world.aborting.load(); });
  if (world.aborting.load())
    return abortedError();
  if (!arrived)
    return timeoutError(world.timeout);
  size_t size = box.front().offer ? box.front().offer->bytes.size()
                                  : box.front().copy.size();
  if (size != in.size())
    return sizeError(size, in.size());
  Message message = std::move(box.front());
  box.pop_front();
  if (!message.offer) {
    std::copy(message.copy.begin(), message.copy.end(), in.begin());
    return ok();
  }
  message.offer->beingTaken = true;
  lock.unlock();
  std::copy(message.offer->bytes.begin(), message.offer->bytes.end(),
            in.begin());
  lock.lock();
  message.offer->beingTaken = false;
  message.offer->taken = true;
  world.mailArrived.notify_all();
  return ok();
}

ThreadWorld::ThreadWorld(const Mesh &mesh,
                         std::chrono::duration<double> timeout)
    : impl(std::make_unique<Impl>(mesh, timeout)) {}

ThreadWorld::~ThreadWorld() = default;

Grid partita::runtime::wholeGrid(const Mesh &mesh) {
  std::vector<int64_t> all(mesh.numRanks());
  std::iota(all.begin(), all.end(), 0);
  return {mesh, std::move(all)};
}

std::unique_ptr<Communicator> ThreadWorld::communicator(int64_t rank,
                                                        Grid grid) {
  return std::make_unique<ThreadCommunicator>(*impl, rank, std::move(grid));
}

std::unique_ptr<Transport> ThreadWorld::transport(int64_t rank) {
  return std::make_unique<MemoryTransport>(*impl, rank);
}

void ThreadWorld::abort() {
  impl->aborting.store(true, std::memory_order_seq_cst);
  {
    std::lock_guard lock(impl->mutex);
    for (auto &[members, barrier] : impl->barriers)
      futexWakeAll(barrier->generation);
  }
  std::lock_guard lock(impl->mailMutex);
  impl->mailArrived.notify_all();
}

bool ThreadWorld::aborted() const {
  return impl->aborting.load(std::memory_order_acquire);
}

WaitState ThreadWorld::waitState(int64_t rank) const {
  WaitState state;
  Barrier *barrier =
      impl->posts[rank].waitingAt.load(std::memory_order_acquire);
  if (int64_t from = impl->posts[rank].waitingFor.load(); from >= 0)
    return {true, {from}};
  if (!barrier)
    return state;
  state.waiting = true;
  for (size_t i = 0; i < barrier->members.size(); ++i)
    if (!barrier->present[i].load())
      state.missing.push_back(barrier->members[i]);
  return state;
}
