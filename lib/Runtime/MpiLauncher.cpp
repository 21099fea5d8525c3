//===- MpiLauncher.cpp - Starting a job by mpirun -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// mpirun ends all processes when one dies, before they could say what they saw.
// Open MPI's can be asked not to; the hub then has its verdict as ever, and
// mpirun is ended here. But then its exit code is 0 whatever happens.
//
//===----------------------------------------------------------------------===//

#include "MpiLauncher.h"
#include "Children.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/wait.h>

using namespace partita;
using namespace partita::runtime;

/// Begins a line for the parent.
static constexpr const char *sign = "partita-ended ";

namespace {

class MpiLauncher {
public:
  MpiLauncher(const Launch &launch, Descriptor listener, Describe describe)
      : launch(launch),
        hub(std::move(listener), launch.job, std::move(describe)) {}
  ~MpiLauncher();

  Status start(const std::vector<std::string> &arguments);
  Result<int> wait();

private:
  void end();
  std::optional<Clock::duration> patience() const;
  void hearOut();
  void read();
  Error silentEnd() const;

  const Launch &launch;
  Hub hub;
  Child mpirun;
  HeldSignals signals;
  std::optional<Clock::time_point> endTime;
  int ends = 0;              ///< how often it was told to end
  std::vector<Error> errors; ///< that processes ended with
  bool endedWell = false;    ///< the first one did
  std::string notes;         ///< all else that was written
};

} // namespace

//===----------------------------------------------------------------------===//
// Start
//===----------------------------------------------------------------------===//

/// What the processes find in their environment.
static void setVariables(const Job &job) {
  ::setenv("MASTER_ADDR", job.host.c_str(), 1);
  ::setenv("MASTER_PORT", std::to_string(job.port).c_str(), 1);
  ::setenv("PARTITA_TOKEN", job.token.c_str(), 1);
  ::setenv(hubVariable, "parent", 1);
  ::unsetenv("TORCHELASTIC_USE_AGENT_STORE");
  // Of Open MPI: leave others alone when a process dies; more processes than
  // cores may run; --pin is what binds them.
  ::setenv("OMPI_MCA_orte_enable_recovery", "1", 0);
  ::setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
  ::setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
}

Status MpiLauncher::start(const std::vector<std::string> &arguments) {
  setVariables(launch.job);
  std::error_code problem;
  std::vector<std::string> words = launch.mpirun;
  words.insert(words.end(),
               {"-np", std::to_string(launch.job.processes),
                std::filesystem::read_symlink("/proc/self/exe", problem)});
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::fflush(nullptr);
  Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int number =
      spawn(mpirun, std::move(words), null.get(), -1, signals.outside());
  ::unsetenv(hubVariable); // Not of this process itself.
  if (number == 0)
    return ok();
  return makeError(number == ENOENT || number == EACCES
                       ? ExitCode::Unsupported
                       : ExitCode::DistributedFault,
                   "launch.mpirun", launch.mpirun[0],
                   std::string("cannot be started: ") + std::strerror(number),
                   "apt-get install openmpi-bin, or name what starts the "
                   "processes of MPI by --mpirun; --communicator gloo needs "
                   "none");
}

//===----------------------------------------------------------------------===//
// Wait
//===----------------------------------------------------------------------===//

/// How long mpirun may go on, once it should end: ranks write their records
/// after a verdict; after the last step the first one writes the results.
std::optional<Clock::duration> MpiLauncher::patience() const {
  using namespace std::chrono_literals;
  if (signals.received())
    return 0s;
  if (hub.verdict() || !errors.empty())
    return 500ms;
  if (hub.allDone())
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(launch.job.timeoutSeconds + 10));
  return std::nullopt;
}

/// It ends its processes when it is told to; then it is not asked any more.
void MpiLauncher::end() {
  mpirun.signal(ends++ == 0 ? SIGTERM : SIGKILL);
  endTime = Clock::now() + std::chrono::seconds(5);
}

/// Lets the hub handle what processes said before they ended.
void MpiLauncher::hearOut() {
  Clock::time_point limit = Clock::now() + answerTime;
  while (!hub.verdict() && !hub.allDone() && Clock::now() < limit)
    hub.step(-1, Clock::now() + std::chrono::milliseconds(20));
}

/// Reads what was written so far: what processes said to us, and the rest.
void MpiLauncher::read() {
  std::istringstream lines(mpirun.text());
  errors.clear();
  notes.clear();
  for (std::string line; std::getline(lines, line);) {
    size_t at = line.find(sign);
    if (at == line.npos) {
      notes += line + "\n";
      continue;
    }
    Json said = Json::parse(line.substr(at + std::strlen(sign)), nullptr,
                            /*allow_exceptions=*/false);
    if (auto error = errorFromJson(said))
      errors.push_back(*error);
    else
      endedWell |= said == "done";
  }
}

Result<int> MpiLauncher::wait() {
  using namespace std::chrono_literals;
  while (mpirun.running()) {
    if (auto time = patience(); time && !endTime)
      endTime = Clock::now() + *time;
    if (endTime && Clock::now() >= *endTime)
      end();
    hub.step(signals.descriptor(), endTime.value_or(Clock::now() + 500ms));
    signals.read();
    mpirun.reap();
    read();
  }
  if (signals.received())
    signals.obey();
  if (!endedWell && errors.empty())
    hearOut();
  if (errors.empty() && endedWell && !hub.verdict()) {
    writeOnce({notes});
    return 0;
  }
  // Else they have said the same, or the hub saw only that they ended.
  if (errors.empty())
    errors.push_back(hub.verdict() ? *hub.verdict() : silentEnd());
  std::vector<std::string> texts;
  std::vector<int> codes;
  for (const Error &error : errors) {
    texts.push_back(error.str() + "\n");
    codes.push_back(static_cast<int>(error.exit));
  }
  writeOnce(texts);
  return jointExitCode(codes);
}

/// mpirun ended, and nobody said why.
Error MpiLauncher::silentEnd() const {
  if (hub.allDone())
    return makeError(ExitCode::DistributedFault, "run.rank-died", "process 0",
                     "was ended after all steps were done",
                     "its outputs may not have been written");
  return makeError(ExitCode::DistributedFault, "launch.mpirun",
                   launch.mpirun[0], endText(*mpirun.status) + ": " + notes,
                   "does `" + launch.mpirun[0] + " -np " +
                       std::to_string(launch.job.processes) +
                       " true` work? --mpirun takes its options too");
}

MpiLauncher::~MpiLauncher() {
  mpirun.signal(SIGTERM);
  if (mpirun.running())
    ::waitpid(mpirun.pid, nullptr, 0);
}

Result<int>
partita::runtime::startMpi(Launch launch,
                           const std::vector<std::string> &arguments,
                           Describe describe) {
  Job &job = launch.job;
  PARTITA_TRY(Descriptor listener, listenOn(job.bind, job.port));
  job.port = portOf(listener);
  job.token = randomName();
  // They are mpirun's children, and not ours.
  job.localProcesses = 0;
  MpiLauncher launcher(launch, std::move(listener), std::move(describe));
  PARTITA_CHECK(launcher.start(arguments));
  return launcher.wait();
}

bool partita::runtime::hasMpiParent() {
  return std::getenv(hubVariable) != nullptr;
}

void partita::runtime::tellMpiParent(const std::optional<Error> &error) {
  Json said = error ? errorToJson(*error) : Json("done");
  std::string line =
      sign + said.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  // Whole, among those of others.
  std::fwrite(line.data(), 1, line.size(), stderr);
}
