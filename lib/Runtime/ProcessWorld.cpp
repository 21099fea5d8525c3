//===- ProcessWorld.cpp - Ranks in several processes ----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A wait for the fabric has no end of its own: it is listed, and the thread of
// the HubLink ends it when its deadline passes or the job has failed.
//
//===----------------------------------------------------------------------===//

#include "ProcessWorld.h"
#include "WaitErrors.h"
#include <atomic>
#include <list>
#include <sys/eventfd.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

/// A rank that waits for messages.
struct Wait {
  Clock::time_point deadline;
  PendingMessage *messages[2] = {};
  bool expired = false;

  void cancel() {
    for (PendingMessage *message : messages)
      if (message)
        message->cancel();
  }
};

/// Ranks that a message is awaited from or for; -1: none.
struct Awaited {
  std::atomic<int64_t> &from, &to;
  void set(int64_t sender, int64_t receiver) {
    from.store(sender, std::memory_order_relaxed);
    to.store(receiver, std::memory_order_relaxed);
  }
  std::vector<int64_t> ranks() const {
    std::vector<int64_t> all;
    for (const auto *whom : {&from, &to})
      if (int64_t other = whom->load();
          other >= 0 && (all.empty() || all[0] != other))
        all.push_back(other);
    return all;
  }
};

/// Runs the hub in a thread of the process that hosts it.
class HubThread {
public:
  HubThread(Descriptor listener, const Job &job, Describe describe)
      : hub(std::move(listener), job, std::move(describe)),
        wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread([this] {
          while (!hub.finished() && (!stopping.load() || hub.lingers()))
            hub.step(wake.get());
        }) {}
  ~HubThread() {
    stopping = true;
    uint64_t one = 1;
    (void)!::write(wake.get(), &one, sizeof(one));
    thread.join();
  }

private:
  Hub hub;
  Descriptor wake;
  std::atomic<bool> stopping{false};
  std::thread thread;
};

} // namespace

struct ProcessWorld::Impl {
  Job job;
  Mesh mesh;
  Interval local;
  FlightRecorder &recorder;
  ThreadWorld threads;
  std::unique_ptr<HubThread> hub;
  std::unique_ptr<Fabric> fabric;
  std::atomic<bool> aborting{false};

  std::mutex mutex;
  std::list<Wait *> waits;
  /// Of watch().
  std::function<std::vector<RankState>()> states;
  std::function<void()> failed;
  /// By meet().
  std::atomic<int64_t> metFrom{-1}, metTo{-1};
  HubLink link; ///< last: its thread uses the others

  Impl(const Job &job, const Mesh &mesh, FlightRecorder &recorder)
      : job(job), mesh(mesh), local(job.ranksOf(job.process)),
        recorder(recorder), threads(mesh, timeout()) {}

  std::chrono::duration<double> timeout() const {
    return std::chrono::duration<double>(job.timeoutSeconds);
  }
  bool isLocal(int64_t rank) const {
    return rank >= local.begin && rank < local.end;
  }
  Awaited awaited(int64_t rank) const {
    FlightRecord &record = recorder[rank - local.begin];
    return {record.waitFrom, record.waitTo};
  }
  Awaited met() { return {metFrom, metTo}; }
  void abort();
  void endLateWaits();
  void listen();
  std::vector<RankState> statesNow();
  Error connectError(Error own);
};

void ProcessWorld::Impl::abort() {
  aborting.store(true);
  threads.abort();
  std::lock_guard lock(mutex);
  for (Wait *wait : waits)
    wait->cancel();
}

void ProcessWorld::Impl::endLateWaits() {
  Clock::time_point now = Clock::now();
  std::lock_guard lock(mutex);
  for (Wait *wait : waits)
    if (!wait->expired && wait->deadline <= now) {
      wait->expired = true;
      wait->cancel();
    }
}

/// Answers the hub from now on.
void ProcessWorld::Impl::listen() {
  link.start({[this] { return statesNow(); },
              [this] {
                abort();
                std::unique_lock lock(mutex);
                auto tell = failed;
                lock.unlock();
                if (tell)
                  tell();
              },
              [this] { endLateWaits(); }});
}

/// Until ranks are watched they connect, which all do with all.
std::vector<RankState> ProcessWorld::Impl::statesNow() {
  {
    std::unique_lock lock(mutex);
    if (auto watched = states) {
      lock.unlock();
      return watched();
    }
  }
  std::vector<RankState> connecting;
  for (int64_t rank = local.begin; rank < local.end; ++rank) {
    RankState state;
    state.rank = rank;
    state.kind = RankState::Kind::Waiting;
    for (int64_t other = 0; other < job.ranks(); ++other)
      if (!isLocal(other))
        state.waitsFor.push_back(other);
    connecting.push_back(std::move(state));
  }
  return connecting;
}

/// Who is to blame for a connection that was not made, if anyone; else what
/// this process saw says more.
Error ProcessWorld::Impl::connectError(Error own) {
  if (own.exit != ExitCode::DistributedFault)
    return own;
  Error verdict = link.settle(own);
  return verdict.code == "run.timeout" ? own : verdict;
}

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

namespace {

class ProcessTransport : public Transport {
public:
  ProcessTransport(ProcessWorld::Impl &world, int64_t self, Awaited awaited)
      : world(world), self(self), awaited(awaited),
        memory(world.threads.transport(self)) {}
  ProcessTransport(ProcessWorld::Impl &world, int64_t self)
      : ProcessTransport(world, self, world.awaited(self)) {}
  int64_t rank() const override { return self; }
  Status exchange(int64_t to, std::span<const std::byte> out, int64_t from,
                  std::span<std::byte> in, uint64_t tag,
                  Clock::time_point deadline) override;
  Result<std::unique_ptr<PendingSend>>
  send(int64_t to, std::span<const std::byte> bytes, uint64_t tag) override;
  std::chrono::nanoseconds waited() const override {
    return waitTime + memory->waited();
  }

private:
  friend class ProcessSend;
  Status await(PendingMessage *sent, PendingMessage *received,
               Clock::time_point deadline);
  static uint64_t slot(int64_t from, int64_t to, uint64_t tag) {
    return tag << 32 | static_cast<uint64_t>(from) << 16 |
           static_cast<uint64_t>(to);
  }
  int64_t processOf(int64_t rank) const {
    return rank / world.job.ranksPerProcess;
  }
  ProcessWorld::Impl &world;
  int64_t self;
  Awaited awaited;
  std::unique_ptr<Transport> memory;
  std::chrono::nanoseconds waitTime{0};
};

/// On its way to another process.
class ProcessSend : public PendingSend {
public:
  ProcessSend(ProcessTransport &transport, int64_t to,
              std::unique_ptr<PendingMessage> message)
      : transport(transport), to(to), message(std::move(message)) {}
  Status wait(Clock::time_point deadline) override {
    transport.awaited.set(-1, to);
    PARTITA_CHECK(transport.await(message.get(), nullptr, deadline));
    transport.awaited.set(-1, -1);
    return ok();
  }

private:
  ProcessTransport &transport;
  int64_t to;
  std::unique_ptr<PendingMessage> message;
};

/// Numbers ranks by their places in a grid.
class GridTransport : public Transport {
public:
  GridTransport(ProcessWorld::Impl &world, int64_t rank, const Grid &grid)
      : inner(world, rank), grid(grid), place(grid.placeOf(rank)) {}
  int64_t rank() const override { return place; }
  Status exchange(int64_t to, std::span<const std::byte> out, int64_t from,
                  std::span<std::byte> in, uint64_t tag,
                  Clock::time_point deadline) override {
    return inner.exchange(to < 0 ? to : grid.ranks[to], out,
                          from < 0 ? from : grid.ranks[from], in, tag,
                          deadline);
  }
  Result<std::unique_ptr<PendingSend>>
  send(int64_t to, std::span<const std::byte> bytes, uint64_t tag) override {
    return inner.send(grid.ranks[to], bytes, tag);
  }
  std::chrono::nanoseconds waited() const override { return inner.waited(); }

private:
  ProcessTransport inner;
  Grid grid;
  int64_t place;
};

class ProcessCommunicator : public Communicator {
public:
  ProcessCommunicator(ProcessWorld::Impl &world, int64_t rank, Grid grid)
      : world(world), grid(grid), transport(world, rank, grid),
        inside(world.threads.communicator(rank, grid)),
        across(
            makeTransportCommunicator(transport, grid.mesh, world.timeout())) {}
  Result<std::unique_ptr<PreparedCollective>>
  prepare(const CollectiveSpec &spec) override {
    for (int64_t member : grid.mesh.group(transport.rank(), spec.axes))
      if (!world.isLocal(grid.ranks[member]))
        return across->prepare(spec);
    return inside->prepare(spec);
  }

private:
  ProcessWorld::Impl &world;
  Grid grid;
  GridTransport transport;
  std::unique_ptr<Communicator> inside, across;
};

} // namespace

/// Waits for both; either may be null.
Status ProcessTransport::await(PendingMessage *sent, PendingMessage *received,
                               Clock::time_point deadline) {
  Wait wait{deadline, {sent, received}};
  Clock::time_point begin = Clock::now();
  std::list<Wait *>::iterator place;
  {
    std::lock_guard lock(world.mutex);
    place = world.waits.insert(world.waits.end(), &wait);
    if (world.aborting.load())
      wait.cancel();
  }
  Status status = received ? received->wait() : ok();
  if (status && received)
    awaited.from.store(-1, std::memory_order_relaxed);
  if (status && sent)
    status = sent->wait();
  waitTime += Clock::now() - begin;
  std::lock_guard lock(world.mutex);
  world.waits.erase(place);
  if (status)
    return ok();
  if (world.aborting.load())
    return abortedError();
  return wait.expired ? timeoutError(world.timeout()) : std::move(status);
}

Status ProcessTransport::exchange(int64_t to, std::span<const std::byte> out,
                                  int64_t from, std::span<std::byte> in,
                                  uint64_t tag, Clock::time_point deadline) {
  if (world.aborting.load())
    return abortedError();
  bool toMemory = to >= 0 && world.isLocal(to);
  bool fromMemory = from >= 0 && world.isLocal(from);
  // Both sides know that nothing is to be sent.
  bool sends = to >= 0 && !toMemory && !out.empty();
  bool receives = from >= 0 && !fromMemory && !in.empty();
  // Whoever fails here stays in the picture until the report is written.
  awaited.set(receives || fromMemory ? from : -1, sends || toMemory ? to : -1);
  // What goes to and comes from other processes is under way before anything
  // is waited for. Were a rank to wait for its neighbour in memory first, that
  // neighbour for one in another process, and so around, nobody would begin.
  std::unique_ptr<PendingMessage> sent, received;
  if (receives) {
    PARTITA_TRY(received, world.fabric->receive(processOf(from), in,
                                                slot(from, self, tag)));
  }
  if (sends) {
    PARTITA_TRY(sent,
                world.fabric->send(processOf(to), out, slot(self, to, tag)));
  }
  PARTITA_CHECK(memory->exchange(toMemory ? to : -1, out,
                                 fromMemory ? from : -1, in, tag, deadline));
  if (sends || receives)
    PARTITA_CHECK(await(sent.get(), received.get(), deadline));
  awaited.set(-1, -1);
  return ok();
}

Result<std::unique_ptr<PendingSend>>
ProcessTransport::send(int64_t to, std::span<const std::byte> bytes,
                       uint64_t tag) {
  if (world.aborting.load())
    return abortedError();
  if (world.isLocal(to))
    return memory->send(to, bytes, tag);
  PARTITA_TRY(auto message,
              world.fabric->send(processOf(to), bytes, slot(self, to, tag)));
  using Made = std::unique_ptr<PendingSend>;
  return Made(std::make_unique<ProcessSend>(*this, to, std::move(message)));
}

//===----------------------------------------------------------------------===//
// The world
//===----------------------------------------------------------------------===//

ProcessWorld::ProcessWorld(std::unique_ptr<Impl> impl)
    : impl(std::move(impl)) {}

ProcessWorld::~ProcessWorld() = default;

Result<std::unique_ptr<ProcessWorld>>
ProcessWorld::create(const Job &job, const Mesh &mesh, const Identity &identity,
                     FlightRecorder &recorder, Describe describe) {
  auto impl = std::make_unique<Impl>(job, mesh, recorder);
  if (job.hostsHub && job.process == 0) {
    PARTITA_TRY(Descriptor listener, listenOn(job.bind, job.port));
    impl->hub = std::make_unique<HubThread>(std::move(listener), job,
                                            std::move(describe));
  }
  FabricOptions options;
  options.process = job.process;
  options.processes = job.processes;
  options.bind = job.bind;
  options.timeout = std::chrono::milliseconds(
      static_cast<int64_t>(job.timeoutSeconds * 1000));
  PARTITA_TRY(impl->fabric, makeFabric(job.communicator, options));
  PARTITA_TRY(auto reach, impl->link.join(job, identity,
                                          impl->fabric->addresses(), recorder));
  impl->listen();
  if (Status connected = impl->fabric->connect(reach); !connected)
    return impl->connectError(connected.takeError());
  return std::unique_ptr<ProcessWorld>(new ProcessWorld(std::move(impl)));
}

void ProcessWorld::watch(std::function<std::vector<RankState>()> states,
                         std::function<void()> failed) {
  std::unique_lock lock(impl->mutex);
  impl->states = std::move(states);
  impl->failed = failed;
  lock.unlock();
  if (aborted())
    failed();
}

/// In round i each process hears from the one 2^i before it, and so from twice
/// as many as before.
Status ProcessWorld::meet() {
  const Job &job = impl->job;
  ProcessTransport transport(*impl, impl->local.begin, impl->met());
  for (int64_t distance = 1; distance < job.processes; distance *= 2) {
    int64_t to = (job.process + distance) % job.processes;
    int64_t from = (job.process + job.processes - distance) % job.processes;
    std::byte out{}, in{};
    PARTITA_CHECK(transport.exchange(
        job.ranksOf(to).begin, {&out, 1}, job.ranksOf(from).begin, {&in, 1},
        maxTag,
        Clock::now() +
            std::chrono::duration_cast<Clock::duration>(impl->timeout())));
  }
  return ok();
}

std::vector<int64_t> ProcessWorld::met() const { return impl->met().ranks(); }

FlightLog ProcessWorld::flightLog() const {
  return flightLogOf(impl->job, impl->link.run());
}

void ProcessWorld::unwatch() { impl->link.stop(); }

Error ProcessWorld::settle(const Error &own) { return impl->link.settle(own); }
Status ProcessWorld::finish() { return impl->link.finish(); }

std::unique_ptr<Communicator> ProcessWorld::communicator(int64_t rank,
                                                         Grid grid) {
  return std::make_unique<ProcessCommunicator>(*impl, rank, std::move(grid));
}

std::unique_ptr<Transport> ProcessWorld::transport(int64_t rank) {
  return std::make_unique<ProcessTransport>(*impl, rank);
}

void ProcessWorld::abort() { impl->abort(); }
bool ProcessWorld::aborted() const { return impl->aborting.load(); }

WaitState ProcessWorld::waitState(int64_t rank) const {
  WaitState state = impl->threads.waitState(rank);
  if (state.waiting)
    return state;
  state.missing = impl->awaited(rank).ranks();
  state.waiting = !state.missing.empty();
  return state;
}
