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
#include "Pace.h"
#include "ProcessWorld.h"
#include "WaitErrors.h"
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

using Work = std::function<Status(Rank &)>;

struct Session::Impl {
  Program program;
  std::vector<std::byte> constantMemory;
  std::vector<partita_kernel> kernels;
  FlightRecorder recorder;
  std::unique_ptr<World> world;
  ProcessWorld *processes = nullptr; ///< the world, if it is one of those
  Interval local;                    ///< ranks of this process
  int64_t localProcess = 0, localProcesses = 1;
  std::vector<std::unique_ptr<Rank>> ranks; ///< of this process
  std::vector<std::thread> threads;
  std::vector<RankSummary> summaries;
  FlightLog log;
  /// What was last told of the ranks.
  std::vector<RankState> told;
  RankContext context;
  int threadsPerRank = 1;

  std::mutex mutex;
  std::condition_variable wake, finished;
  const Work *work = nullptr;
  uint64_t generation = 0;
  int64_t running = 0;
  std::vector<bool> busy; ///< by local rank: still in the job
  Pace pace;
  std::chrono::duration<double> timeout{};
  bool exiting = false, stuck = false, reported = false;
  /// The first error of a rank of this process; then, what the job says of it.
  std::optional<Error> firstError, failure;
  int64_t failedRank = -1;

  Rank &rank(int64_t number) { return *ranks[number - local.begin]; }
  Status createWorld(const partita_module &module,
                     const SessionOptions &options, const WeightFiles &weights);
  std::string describe(int64_t number, CommandNumber command) const;
  std::vector<RankState> rankStates();
  void writeRecords();
  void threadMain(int64_t number);
  void fail(int64_t number, Error error);
  void failLate(int64_t number);
  Status runJob(const Work &job, const std::function<void()> &meanwhile = {});
  void conduct(StepSeries &series);
  WaitState waitState(int64_t number) const;
  std::string describeRanks(int64_t except);
  void start();
  bool stop();
};

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

/// Binds the calling thread, and the OpenMP threads that it will start, to
/// cores of their own, if there are enough; `ranks` are those of this machine.
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
    pinThread(number - local.begin + localProcess * local.size(),
              localProcesses * local.size(), threadsPerRank);
  setThreadCount(threadsPerRank);
  uint64_t seen = 0;
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [&] { return exiting || generation != seen; });
    if (exiting)
      return;
    seen = generation;
    const Work *current = work;
    lock.unlock();
    Status status = ok();
    try {
      status = (*current)(rank(number));
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
    busy[number - local.begin] = false;
    --running;
    finished.notify_all();
  }
}

/// Keeps the first failure, asks other processes what they make of it, and ends
/// the waits of all other ranks.
void Session::Impl::fail(int64_t number, Error error) {
  {
    std::lock_guard lock(mutex);
    if (firstError)
      return;
    firstError = error;
    failedRank = number;
  }
  if (processes)
    error = processes->settle(error);
  else
    error.message += describeRanks(number);
  // Otherwise the hub has said so.
  if (!processes || error.code == "run.hub-lost")
    error.message += log.note();
  writeRecords();
  {
    std::lock_guard lock(mutex);
    failure = std::move(error);
    finished.notify_all();
  }
  world->abort();
  pace.abort();
}

/// A rank between two steps waits for those who are not done yet, here or, if
/// all are, elsewhere.
WaitState Session::Impl::waitState(int64_t number) const {
  WaitState state = world->waitState(number);
  if (state.waiting || ranks[number - local.begin]->currentCommand())
    return state;
  if (int64_t step = pace.awaitedBy(number); step >= 0) {
    state.waiting = true;
    state.missing = pace.late(step);
  }
  if (processes && state.missing.empty()) {
    state.missing = processes->met();
    state.waiting |= !state.missing.empty();
  }
  return state;
}

std::string Session::Impl::describe(int64_t number,
                                    CommandNumber command) const {
  return describeNumber(program.classes[program.classOfRank[number]], command);
}

/// As it was told to the hub, if it was.
void Session::Impl::writeRecords() {
  if (log.directory.empty())
    return;
  std::vector<RankState> states;
  {
    std::lock_guard lock(mutex);
    states = told;
  }
  if (states.empty())
    states = rankStates();
  for (const RankState &state : states)
    log.write(state, recorder[state.rank - local.begin],
              [&](int64_t number, CommandNumber command) {
                return describe(number, command);
              });
}

/// What the ranks of this process are doing.
std::vector<RankState> Session::Impl::rankStates() {
  using Kind = RankState::Kind;
  std::vector<RankState> states;
  std::lock_guard lock(mutex);
  for (const std::unique_ptr<Rank> &rank : ranks) {
    RankState state;
    state.rank = rank->number();
    const FlightRecord &record = rank->flightRecord();
    state.doing = describeNumber(rank->rankClass(), record.current.load());
    state.last = describeNumber(rank->rankClass(), record.last());
    WaitState wait = waitState(state.rank);
    state.waitsFor = wait.missing;
    state.kind = wait.waiting          ? Kind::Waiting
                 : state.doing.empty() ? Kind::Idle
                                       : Kind::Busy;
    if (state.rank == failedRank && !blamesOthers(*firstError)) {
      state.kind = Kind::Failed;
      state.error = firstError;
    }
    states.push_back(std::move(state));
  }
  told = states;
  return states;
}

/// A line for each other rank: what it executes and what it waits for.
std::string Session::Impl::describeRanks(int64_t except) {
  std::ostringstream os;
  int64_t shown = 0;
  for (int64_t r = 0; r < program.numRanks(); ++r) {
    WaitState state = waitState(r);
    if (r == except && !state.waiting)
      continue;
    if (++shown > 16) {
      os << "\n  ... and more ranks";
      break;
    }
    const Command *command = rank(r).currentCommand();
    os << "\n  rank " << r << ": ";
    if (state.waiting) {
      os << "waited for rank";
      for (size_t i = 0; i < state.missing.size(); ++i)
        os << (i                          ? ", "
               : state.missing.size() > 1 ? "s "
                                          : " ")
           << state.missing[i];
      os << (command ? " in " : "");
    } else {
      os << (command ? "was in " : "was idle");
    }
    if (command)
      os << describeCommand(*command);
  }
  return os.str();
}

void Session::Impl::start() {
  for (int64_t r = local.begin; r < local.end; ++r)
    ranks.push_back(std::make_unique<Rank>(
        context, r,
        world->communicator(
            r, program.gridOf(program.classes[program.classOfRank[r]].stage)),
        world->transport(r), recorder[r - local.begin]));
  if (processes)
    processes->watch([this] { return rankStates(); },
                     [this] { fail(local.begin, abortedError()); });
  for (int64_t r = local.begin; r < local.end; ++r)
    threads.emplace_back([this, r] { threadMain(r); });
}

/// Ends the threads; false if one of them does not come back.
bool Session::Impl::stop() {
  if (processes)
    processes->unwatch(); // It asks about the ranks.
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

/// A step is over when it is over everywhere.
void Session::Impl::conduct(StepSeries &series) {
  Clock::time_point last;
  auto seconds = [](auto duration) {
    return std::chrono::duration<double>(duration).count();
  };
  for (int64_t step = 0; step < series.count; ++step) {
    if (!pace.await(step, timeout)) {
      std::vector<int64_t> late = pace.late(step);
      if (pace.aborted() || late.empty())
        return;
      // One that computes keeps the others waiting.
      auto culprit =
          std::find_if(late.begin(), late.end(), [this](int64_t number) {
            return !waitState(number).waiting;
          });
      return failLate(culprit == late.end() ? late.front() : *culprit);
    }
    if (Status met = processes ? processes->meet() : ok(); !met)
      return fail(local.begin, met.takeError());
    Clock::time_point begin = pace.done(), now = Clock::now();
    if (step >= series.uncounted) {
      series.seconds.push_back(seconds(now - (step == 0 ? begin : last)));
      series.latencies.push_back(seconds(now - begin));
    }
    last = now;
  }
}

/// A rank that nobody waits for can be late without a collective's noticing.
void Session::Impl::failLate(int64_t number) {
  const Command *command = rank(number).currentCommand();
  std::ostringstream message;
  message << "did not finish within " << timeout.count()
          << " s after another rank";
  if (command)
    message << "; it is in " << describeCommand(*command);
  fail(number, makeError(ExitCode::DistributedFault, "run.timeout",
                         "rank " + std::to_string(number), message.str(),
                         "raise --timeout if a rank is only slow"));
}

/// Lets all ranks do it, and this thread something else `meanwhile`.
Status Session::Impl::runJob(const Work &job,
                             const std::function<void()> &meanwhile) {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  if (failure && !std::exchange(reported, true))
    return *failure; // Of another process, while nothing was to do here.
  if (failure)
    return makeError(ExitCode::DistributedFault, "run.failed", "session",
                     "an earlier run failed", "create a new session");
  work = &job;
  running = local.size();
  busy.assign(running, true);
  ++generation;
  wake.notify_all();
  if (meanwhile) {
    lock.unlock();
    meanwhile();
    lock.lock();
  }
  auto over = [&] { return running == 0 || failure; };
  finished.wait(lock, [&] { return over() || running < local.size(); });
  if (!finished.wait_for(lock, timeout, over)) {
    auto late = std::find(busy.begin(), busy.end(), true);
    lock.unlock();
    failLate(local.begin + (late - busy.begin()));
    lock.lock();
  }
  if (failure)
    stuck = !finished.wait_for(lock, 2s, [&] { return running == 0; });
  // Somebody has begun to find out what it is.
  if (firstError)
    finished.wait(lock, [&] { return failure.has_value(); });
  work = nullptr;
  if (!failure)
    return ok();
  reported = true;
  Error error = *failure;
  if (stuck && !processes)
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
const std::vector<RankSummary> &Session::summaries() const {
  return impl->summaries;
}
bool Session::anyStuckThread() { return threadLeftBehind.load(); }

Error partita::runtime::weightsAbsentError(const Program &program) {
  return makeError(ExitCode::InvalidInput, "weights.absent", program.modelName,
                   "was exported without weights and cannot run",
                   "export the model again with its weights");
}

static std::string hexText(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(number));
  return text;
}

Status Session::Impl::createWorld(const partita_module &module,
                                  const SessionOptions &options,
                                  const WeightFiles &weights) {
  local = {0, program.numRanks()};
  summaries.resize(local.size());
  if (!options.job) {
    PARTITA_TRY(recorder,
                FlightRecorder::create(local.size(), /*forOthers=*/false));
    log = {options.flightDirectory, randomName(), local.size(),
           timeout.count()};
    world = std::make_unique<ThreadWorld>(program.mesh, timeout);
    return ok();
  }
  local = options.job->ranksOf(options.job->process);
  localProcess = options.job->localProcess;
  localProcesses = options.job->localProcesses;
  PARTITA_TRY(recorder,
              FlightRecorder::create(local.size(), /*forOthers=*/true));
  const std::string &plan = program.planJson;
  PARTITA_TRY(uint64_t content, weights.fingerprint());
  Identity identity = {hexText(hashBytes(plan.data(), plan.size())),
                       hexText(hashBytes(module.program, module.program_size)),
                       hexText(content)};
  auto describe = [this](int64_t number, CommandNumber command) {
    return this->describe(number, command);
  };
  PARTITA_TRY(auto made, ProcessWorld::create(*options.job, program.mesh,
                                              identity, recorder, describe));
  processes = made.get();
  log = processes->flightLog();
  world = std::move(made);
  return ok();
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
  PARTITA_CHECK(impl->createWorld(module, options, weights));
  RankContext &context = impl->context;
  context.program = &impl->program;
  context.kernels = module.kernels;
  context.weights = &weights;
  context.constants = aligned;
  context.checkArena = options.checkArena;
  context.trace = options.trace;
  context.pin = options.pin;
  context.timeout = impl->timeout;
  impl->start();
  std::unique_ptr<Session> session(new Session(std::move(impl)));
  Work load = [](Rank &rank) { return rank.load(); };
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

/// How many steps a rank may begin before others are done: what a stage sends
/// is under way, and every later stage has a micro-batch.
static int64_t stepsAhead(const Program &program) {
  if (program.stages.size() < 2)
    return 0;
  int64_t later = static_cast<int64_t>(program.stages.size()) - 1;
  int64_t microBatches = later * (1 + sendsUnderWay) + 1;
  return (microBatches + program.microBatches - 1) / program.microBatches;
}

Status Session::run(const std::string &entry,
                    const std::vector<NamedTensor> &inputs,
                    const std::vector<NamedTensor> &outputs,
                    StepSeries &series) {
  if (entry != "step")
    return makeError(ExitCode::InvalidInput, "run.entry", entry,
                     "is not an entry point of this model",
                     "the model's entry points are step");
  StepTensors tensors;
  PARTITA_CHECK(
      matchPorts(impl->program.inputs, "input", inputs, true, tensors.inputs));
  PARTITA_CHECK(matchPorts(impl->program.outputs, "output", outputs, false,
                           tensors.outputs));
  impl->pace.begin(impl->local, stepsAhead(impl->program));
  Work steps = [&](Rank &rank) -> Status {
    for (int64_t i = 0; i < series.count; ++i) {
      PARTITA_CHECK(impl->pace.enter(rank.number(), impl->timeout));
      rank.setCounting(series.uncounted >= 0 && i >= series.uncounted);
      PARTITA_CHECK(rank.step(tensors));
      impl->pace.leave(rank.number());
    }
    return ok();
  };
  return impl->runJob(steps, [&] { impl->conduct(series); });
}

Status Session::finish(const std::vector<NamedTensor> &outputs) {
  StepTensors tensors;
  PARTITA_CHECK(matchPorts(impl->program.outputs, "output", outputs, false,
                           tensors.outputs));
  int64_t firstRemote =
      impl->processes ? impl->local.size() : impl->program.numRanks();
  Work collect = [&](Rank &rank) {
    return rank.collect(tensors, firstRemote, impl->summaries);
  };
  PARTITA_CHECK(impl->runJob(collect));
  return impl->processes ? impl->processes->finish() : ok();
}
