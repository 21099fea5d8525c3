//===- Session.cpp - A program that is loaded and can be run --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rank threads sleep between jobs. A job is a function of a rank; the session
// publishes it, wakes them, and sleeps until all are done or, after a failure,
// until a grace period for the others has passed. A thread that does not come
// back cannot be killed: it is left behind together with all that it may touch.
//
//===----------------------------------------------------------------------===//

#include "Session.h"
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <sched.h>
#include <sstream>
#include <thread>

using namespace partita;
using namespace partita::runtime;

using Job = std::function<Status(Rank &)>;

struct Session::Impl {
  Program program;
  std::vector<std::byte> constantMemory;
  std::vector<partita_kernel> kernels;
  std::unique_ptr<ThreadWorld> world;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<std::thread> threads;
  RankContext context;
  int threadsPerRank = 1;

  std::mutex mutex;
  std::condition_variable wake, finished;
  const Job *job = nullptr;
  uint64_t generation = 0;
  int64_t running = 0;
  std::vector<bool> busy; ///< by rank: still in the job
  std::chrono::duration<double> timeout{};
  bool exiting = false, stuck = false;
  std::optional<Error> failure;
  int64_t failedRank = -1;

  void threadMain(int64_t number);
  void fail(int64_t number, Error error);
  void failLate();
  Status runJob(const Job &job);
  std::string describeRanks(int64_t except);
  void start();
  bool stop();
};

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

/// Binds the calling thread, and the OpenMP threads that it will start, to
/// cores of their own, if there are enough.
static void pinThread(int64_t rank, int64_t ranks, int threads) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0 ||
      CPU_COUNT(&allowed) < ranks * threads)
    return;
  cpu_set_t own;
  CPU_ZERO(&own);
  int64_t index = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) {
      if (index >= rank * threads && index < (rank + 1) * threads)
        CPU_SET(cpu, &own);
      ++index;
    }
  ::sched_setaffinity(0, sizeof(own), &own);
}

void Session::Impl::threadMain(int64_t number) {
  if (context.pin)
    pinThread(number, program.mesh.numRanks(), threadsPerRank);
  setThreadCount(threadsPerRank);
  uint64_t seen = 0;
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [&] { return exiting || generation != seen; });
    if (exiting)
      return;
    seen = generation;
    const Job *current = job;
    lock.unlock();
    Status status = ok();
    try {
      status = (*current)(*ranks[number]);
    } catch (const std::bad_alloc &) {
      status = makeError(ExitCode::DistributedFault, "run.memory",
                         "rank " + std::to_string(number), "out of memory",
                         "use more ranks or a smaller batch");
    } catch (const std::exception &e) {
      status = makeError(ExitCode::Internal, "run.exception",
                         "rank " + std::to_string(number), e.what(),
                         "this is a defect; please report it");
    }
    if (!status)
      fail(number, status.takeError());
    lock.lock();
    busy[number] = false;
    --running;
    finished.notify_all();
  }
}

/// Keeps the first real failure and ends the waits of all other ranks.
void Session::Impl::fail(int64_t number, Error error) {
  {
    std::lock_guard lock(mutex);
    if (!failure && error.code != "run.aborted") {
      failure = std::move(error);
      failedRank = number;
      failure->message += describeRanks(number);
    }
    finished.notify_all();
  }
  world->abort();
}

/// A line for each other rank: what it executes and what it waits for.
std::string Session::Impl::describeRanks(int64_t except) {
  std::ostringstream os;
  int64_t shown = 0;
  for (int64_t r = 0; r < program.mesh.numRanks(); ++r) {
    if (r == except && !world->waitState(r).waiting)
      continue;
    if (++shown > 16) {
      os << "\n  ... and more ranks";
      break;
    }
    const Command *command = ranks[r]->currentCommand();
    os << "\n  rank " << r << ": ";
    WaitState state = world->waitState(r);
    if (state.waiting) {
      os << "waited for rank";
      for (size_t i = 0; i < state.missing.size(); ++i)
        os << (i                          ? ", "
               : state.missing.size() > 1 ? "s "
                                          : " ")
           << state.missing[i];
      os << " in ";
    } else {
      os << (command ? "was in " : "was idle");
    }
    if (command)
      os << describeCommand(*command);
  }
  return os.str();
}

void Session::Impl::start() {
  for (int64_t r = 0; r < program.mesh.numRanks(); ++r)
    ranks.push_back(std::make_unique<Rank>(context, r, world->communicator(r)));
  for (int64_t r = 0; r < program.mesh.numRanks(); ++r)
    threads.emplace_back([this, r] { threadMain(r); });
}

/// Ends the threads; false if one of them does not come back.
bool Session::Impl::stop() {
  {
    std::lock_guard lock(mutex);
    exiting = true;
    wake.notify_all();
  }
  for (std::thread &thread : threads) {
    if (stuck)
      thread.detach();
    else
      thread.join();
  }
  threads.clear();
  return !stuck;
}

/// A rank that nobody waits for can be late without a collective's noticing.
void Session::Impl::failLate() {
  std::unique_lock lock(mutex);
  auto late = std::find(busy.begin(), busy.end(), true);
  if (late == busy.end())
    return;
  int64_t number = late - busy.begin();
  const Command *command = ranks[number]->currentCommand();
  std::ostringstream message;
  message << "did not finish within " << timeout.count()
          << " s after another rank";
  if (command)
    message << "; it is in " << describeCommand(*command);
  lock.unlock();
  fail(number, makeError(ExitCode::DistributedFault, "run.timeout",
                         "rank " + std::to_string(number), message.str(),
                         "raise --timeout if a rank is only slow"));
}

Status Session::Impl::runJob(const Job &work) {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  if (failure)
    return makeError(ExitCode::DistributedFault, "run.failed", "session",
                     "an earlier run failed", "create a new session");
  job = &work;
  running = program.mesh.numRanks();
  busy.assign(running, true);
  ++generation;
  wake.notify_all();
  auto over = [&] { return running == 0 || failure; };
  finished.wait(lock,
                [&] { return over() || running < program.mesh.numRanks(); });
  if (!finished.wait_for(lock, timeout, over)) {
    lock.unlock();
    failLate();
    lock.lock();
  }
  if (failure)
    stuck = !finished.wait_for(lock, 2s, [&] { return running == 0; });
  job = nullptr;
  if (!failure)
    return ok();
  Error error = *failure;
  if (stuck)
    error.message += "\n  a rank did not stop within 2 s and was left behind";
  return error;
}

//===----------------------------------------------------------------------===//
// The session
//===----------------------------------------------------------------------===//

static std::atomic<bool> threadLeftBehind{false};

Session::Session(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}

Session::~Session() {
  if (!impl->stop()) {
    threadLeftBehind = true;
    (void)impl.release(); // The thread still uses it.
  }
}

const Program &Session::program() const { return impl->program; }
const Rank &Session::rank(int64_t number) const { return *impl->ranks[number]; }
bool Session::anyStuckThread() { return threadLeftBehind.load(); }

Error partita::runtime::weightsAbsentError(const Program &program) {
  return makeError(ExitCode::InvalidInput, "weights.absent", program.modelName,
                   "was exported without weights and cannot run",
                   "export the model again with its weights");
}

Result<std::unique_ptr<Session>>
Session::create(const partita_module &module, const SessionOptions &options) {
  PARTITA_TRY(Program program,
              deserialize({static_cast<const std::byte *>(module.program),
                           static_cast<size_t>(module.program_size)}));
  if (program.kernelNames.size() > module.num_kernels)
    return makeError(ExitCode::InvalidInput, "program.invalid", "module",
                     "has " + std::to_string(module.num_kernels) +
                         " kernels, the program names " +
                         std::to_string(program.kernelNames.size()));
  auto impl = std::make_unique<Impl>();
  PARTITA_TRY(impl->context.injection, Injection::fromEnvironment());
  if (program.weightsAbsent)
    return weightsAbsentError(program);
  PARTITA_TRY(WeightFiles weights,
              WeightFiles::open(program, options.weightsDirectory,
                                options.skipWeightCheck));
  impl->program = std::move(program);
  // Constants begin at a cache line, whatever the program's bytes do.
  std::vector<std::byte> constants = std::move(impl->program.constants);
  impl->constantMemory.resize(constants.size() + 64);
  auto address = reinterpret_cast<uintptr_t>(impl->constantMemory.data());
  std::byte *aligned = impl->constantMemory.data() + (64 - address % 64) % 64;
  if (!constants.empty())
    std::memcpy(aligned, constants.data(), constants.size());
  impl->threadsPerRank = impl->program.threadsPerRank;
  impl->timeout = std::chrono::duration<double>(
      options.timeoutSeconds > 0 ? options.timeoutSeconds : 30);
  impl->world =
      std::make_unique<ThreadWorld>(impl->program.mesh, impl->timeout);
  RankContext &context = impl->context;
  context.program = &impl->program;
  context.kernels = module.kernels;
  context.weights = &weights;
  context.constants = aligned;
  context.checkArena = options.checkArena;
  context.trace = options.trace;
  context.pin = options.pin;
  impl->start();
  std::unique_ptr<Session> session(new Session(std::move(impl)));
  Job load = [](Rank &rank) { return rank.load(); };
  Status status = session->impl->runJob(load);
  if (!status) {
    // A stuck thread may still read the weights.
    if (session->impl->stuck)
      (void)new WeightFiles(std::move(weights));
    return status.takeError();
  }
  return std::move(session);
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static std::string describeTensor(const std::string &name, DType dtype,
                                  const std::vector<int64_t> &shape) {
  std::string text = name + ": " + std::string(dtypeName(dtype)) + "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

static std::string describePorts(const std::vector<PortInfo> &ports) {
  std::string text;
  for (const PortInfo &port : ports)
    text += (text.empty() ? "" : "; ") +
            describeTensor(port.name, port.dtype, port.shape);
  return text.empty() ? "nothing" : text;
}

/// Finds each tensor's port and checks it. `slots` has an entry per port.
template <typename Pointer>
static Status matchPorts(const std::vector<PortInfo> &ports, const char *what,
                         const std::vector<NamedTensor> &tensors,
                         bool allNeeded, std::vector<Pointer> &slots) {
  std::string hint =
      std::string("the model's ") + what + "s are " + describePorts(ports);
  auto refuse = [&](std::string message) {
    return makeError(ExitCode::InvalidInput, std::string("run.") + what, "run",
                     std::move(message), hint);
  };
  slots.assign(ports.size(), nullptr);
  std::vector<bool> given(ports.size(), false);
  for (const NamedTensor &tensor : tensors) {
    size_t i = 0;
    while (i < ports.size() && ports[i].name != tensor.name)
      ++i;
    if (i == ports.size())
      return refuse(std::string("there is no ") + what + " '" + tensor.name +
                    "'");
    if (given[i])
      return refuse(std::string(what) + " '" + tensor.name +
                    "' is given twice");
    if (tensor.dtype != ports[i].dtype || tensor.shape != ports[i].shape)
      return refuse(
          std::string(what) + " '" + tensor.name + "' is " +
          describeTensor(tensor.name, tensor.dtype, tensor.shape) +
          ", expected " +
          describeTensor(ports[i].name, ports[i].dtype, ports[i].shape));
    given[i] = true;
    slots[i] = tensor.data;
  }
  for (size_t i = 0; allNeeded && i < ports.size(); ++i)
    if (!given[i])
      return refuse(std::string(what) + " '" + ports[i].name + "' is missing");
  return ok();
}

Status partita::runtime::checkInputs(const Program &program,
                                     const std::vector<NamedTensor> &inputs) {
  std::vector<const std::byte *> slots;
  return matchPorts(program.inputs, "input", inputs, true, slots);
}

Status Session::run(const std::string &entry,
                    const std::vector<NamedTensor> &inputs,
                    const std::vector<NamedTensor> &outputs) {
  if (entry != "step")
    return makeError(ExitCode::InvalidInput, "run.entry", entry,
                     "is not an entry point of this model",
                     "the model's entry points are step");
  StepTensors tensors;
  PARTITA_CHECK(
      matchPorts(impl->program.inputs, "input", inputs, true, tensors.inputs));
  PARTITA_CHECK(matchPorts(impl->program.outputs, "output", outputs, false,
                           tensors.outputs));
  Job step = [&](Rank &rank) { return rank.step(tensors); };
  return impl->runJob(step);
}
