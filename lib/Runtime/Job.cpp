//===- Job.cpp - The processes that run one program -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A launcher is a row of a table: the variables that say rank, world and place.
// Only torchrun says where to meet. For the others the port follows from the
// name of the job, which all of its processes know.
//
//===----------------------------------------------------------------------===//

#include "Hosts.h"
#include "partita/Support/File.h"
#include "partita/Support/Names.h"
#include <arpa/inet.h>
#include <charconv>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

/// The variables of a launcher. Empty names: it has none for that.
struct Launcher {
  const char *name, *rank, *world, *localRank, *localWorld;
  /// Must be there too.
  const char *sign;
  /// Name the job.
  std::vector<const char *> job;
};

/// What a launcher said.
struct Found {
  const Launcher *launcher;
  int64_t rank = 0, world = 1, localRank = 0;
  std::optional<int64_t> localWorld;
  std::string worldText() const {
    return std::string(launcher->world) + "=" + std::to_string(world);
  }
};

} // namespace

static const Launcher launchers[] = {
    {"torchrun",
     "RANK",
     "WORLD_SIZE",
     "LOCAL_RANK",
     "LOCAL_WORLD_SIZE",
     "MASTER_ADDR",
     {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"}},
    {"Open MPI",
     "OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE",
     "OMPI_COMM_WORLD_RANK",
     {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}},
    {"PMI",
     "PMI_RANK",
     "PMI_SIZE",
     "MPI_LOCALRANKID",
     "MPI_LOCALNRANKS",
     "PMI_RANK",
     {"PMI_JOBID", "HYDRA_JOBID"}},
    // In the script of a batch job, only the step is missing.
    {"Slurm",
     "SLURM_PROCID",
     "SLURM_NTASKS",
     "SLURM_LOCALID",
     "",
     "SLURM_STEP_ID",
     {"SLURM_JOB_ID", "SLURM_STEP_ID"}},
};

static Error usage(const char *code, std::string place, std::string message,
                   std::string hint) {
  return makeError(ExitCode::Usage, code, std::move(place), std::move(message),
                   std::move(hint));
}

/// A whole number from a variable; nothing if it is not there.
static Result<std::optional<int64_t>>
numberOf(const Variables &variables, const std::string &name, int64_t least) {
  std::optional<std::string> text =
      name.empty() ? std::nullopt : variables(name);
  if (!text)
    return std::optional<int64_t>();
  int64_t value = 0;
  auto [end, problem] =
      std::from_chars(text->data(), text->data() + text->size(), value);
  if (problem != std::errc() || end != text->data() + text->size() ||
      value < least || value > 65536)
    return usage("launch.variable", name + "=" + *text,
                 "is not a number from " + std::to_string(least) + " to 65536",
                 "unset it, or let the launcher set it");
  return std::optional(value);
}

/// The first launcher whose variables are there.
static Result<std::optional<Found>> findLauncher(const Variables &variables) {
  for (const Launcher &launcher : launchers) {
    if (!variables(launcher.rank) || !variables(launcher.world) ||
        !variables(launcher.sign))
      continue;
    Found found{&launcher};
    PARTITA_TRY(auto rank, numberOf(variables, launcher.rank, 0));
    PARTITA_TRY(auto world, numberOf(variables, launcher.world, 1));
    PARTITA_TRY(auto localRank, numberOf(variables, launcher.localRank, 0));
    PARTITA_TRY(found.localWorld, numberOf(variables, launcher.localWorld, 1));
    found.rank = *rank;
    found.world = *world;
    found.localRank = localRank.value_or(found.rank);
    if (variables("SLURM_STEP_NUM_NODES") == "1" && !found.localWorld)
      found.localWorld = found.world;
    if (found.rank >= found.world)
      return usage("launch.world", launcher.name,
                   std::string(launcher.rank) + "=" +
                       std::to_string(found.rank) + " is not below " +
                       found.worldText(),
                   "ranks count from zero");
    return std::optional(found);
  }
  return std::optional<Found>();
}

/// The address of an interface, or the address itself.
static Result<std::string> resolveBind(const std::string &bind) {
  in6_addr ignored;
  if (::inet_pton(AF_INET, bind.c_str(), &ignored) == 1 ||
      ::inet_pton(AF_INET6, bind.c_str(), &ignored) == 1)
    return bind;
  std::string found;
  ifaddrs *list = nullptr;
  if (::getifaddrs(&list) == 0) {
    for (ifaddrs *entry = list; entry && found.empty(); entry = entry->ifa_next)
      if (entry->ifa_addr && entry->ifa_name == bind &&
          entry->ifa_addr->sa_family == AF_INET) {
        char host[NI_MAXHOST];
        if (::getnameinfo(entry->ifa_addr, sizeof(sockaddr_in), host,
                          sizeof(host), nullptr, 0, NI_NUMERICHOST) == 0)
          found = host;
      }
    ::freeifaddrs(list);
  }
  if (found.empty())
    return usage("launch.bind", "--bind " + bind,
                 "is neither an address nor an interface with one",
                 "`ip address` lists the interfaces of this machine");
  return found;
}

static bool isLoopback(const std::string &host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

/// The first name of a list as Slurm writes it: "node[03-07,9],login".
static std::string firstNode(const std::string &list) {
  size_t end = list.find_first_of(",[");
  if (end == list.npos || list[end] == ',')
    return list.substr(0, end);
  size_t last = list.find_first_of(",-]", end);
  return list.substr(0, end) + list.substr(end + 1, last - end - 1);
}

/// What all processes of a job know of it.
static std::string jobName(const Launcher &launcher, bool oneMachine,
                           const Variables &variables) {
  if (auto token = variables("PARTITA_TOKEN"))
    return *token;
  std::string name = launcher.name;
  bool known = false;
  for (const char *variable : launcher.job)
    if (auto value = variables(variable)) {
      name += "/" + *value;
      known = true;
    }
  if (known)
    return name;
  auto host = variables("MASTER_ADDR"), port = variables("MASTER_PORT");
  if (host && port)
    return name + "/" + *host + ":" + *port;
  // Processes of one machine have the same parent.
  return oneMachine ? name + "/" + std::to_string(::getppid()) : name;
}

/// Where the processes of a launcher meet.
static Status findMeeting(const Found &found, const LaunchOptions &options,
                          const Variables &variables, Job &job) {
  const Launcher &launcher = *found.launcher;
  std::optional<std::string> host = variables("MASTER_ADDR");
  if (!host)
    if (auto nodes = variables("SLURM_STEP_NODELIST"))
      host = firstNode(*nodes);
  bool oneMachine = found.localWorld ? *found.localWorld == found.world
                                     : host && isLoopback(*host);
  job.token = jobName(launcher, oneMachine, variables);
  if (!oneMachine && !host)
    return usage("launch.address", launcher.name,
                 "does not say which machine rank 0 is on",
                 "set MASTER_ADDR for all processes");
  if (!oneMachine && options.bind.empty())
    return usage("launch.bind", found.worldText(),
                 "the processes are on several machines, and this one listens "
                 "on loopback only",
                 "--bind names the interface by which the machines reach each "
                 "other");
  job.host = oneMachine ? job.bind : *host;
  if (options.port) {
    job.port = *options.port;
    return ok();
  }
  if (variables("MASTER_PORT")) {
    PARTITA_TRY(auto port, numberOf(variables, "MASTER_PORT", 1));
    // Its agent listens on that port itself where it keeps the store.
    job.port = *port + (variables("TORCHELASTIC_USE_AGENT_STORE") == "True");
    return ok();
  }
  job.port = portOfJob(job.token);
  return ok();
}

int64_t partita::runtime::portOfJob(const std::string &token) {
  return 20000 +
         static_cast<int64_t>(hashBytes(token.data(), token.size()) % 10000);
}

/// Processes times ranks must be what the program has.
static Status checkRanks(const Job &job, int64_t ranks,
                         const std::string &place) {
  if (job.ranks() == ranks)
    return ok();
  std::string hint =
      "start " + std::to_string(ranks / job.ranksPerProcess) + " processes";
  if (ranks % job.processes == 0)
    hint += ", or give --ranks-per-process " +
            std::to_string(ranks / job.processes);
  return usage("launch.world", place,
               std::to_string(job.processes) + " x " +
                   std::to_string(job.ranksPerProcess) +
                   " ranks, but the program has " + std::to_string(ranks),
               hint);
}

static Result<Launch> planJoin(const Found &found, const LaunchOptions &options,
                               int64_t ranks, const Variables &variables,
                               Launch launch) {
  std::string world = found.worldText();
  if (options.communicator == "threads")
    return usage("launch.contradiction", world,
                 std::string(found.launcher->name) +
                     " started several processes, and --communicator threads "
                     "is for one",
                 "leave one of the two out");
  if (options.processes && *options.processes != found.world)
    return usage("launch.contradiction",
                 "--processes " + std::to_string(*options.processes),
                 std::string(found.launcher->name) + " says " + world,
                 "leave --processes out");
  Job &job = launch.job;
  job.processes = found.world;
  job.process = found.rank;
  job.localProcess = found.localRank;
  job.localProcesses = found.localWorld.value_or(found.world);
  job.hostsHub = !variables(hubVariable);
  PARTITA_CHECK(checkRanks(job, ranks, world));
  PARTITA_CHECK(findMeeting(found, options, variables, job));
  launch.kind = Launch::Kind::Join;
  launch.source = std::string(found.launcher->name) + " (" +
                  found.launcher->rank + ", " + found.launcher->world + ")";
  return launch;
}

std::vector<std::string>
partita::runtime::commandWords(const std::string &option,
                               const std::optional<std::string> &value) {
  std::vector<std::string> words;
  for (std::string &word :
       splitAt(option.empty() ? value.value_or("") : option, ' '))
    if (!word.empty())
      words.push_back(std::move(word));
  return words;
}

/// MPI has its own way to start processes.
static Status planMpi(const LaunchOptions &options, const Variables &variables,
                      bool found, Launch &launch) {
  if (found || variables(hubVariable))
    return usage("launch.world",
                 std::to_string(launch.job.processes) + " processes",
                 found ? "a launcher started only one"
                       : "mpirun does not say which of them this is",
                 "mpirun -np " + std::to_string(launch.job.processes) +
                     " ./OUT --communicator mpi; the launchers that are known "
                     "are Open MPI's, PMI's and Slurm's");
  launch.mpirun = commandWords(options.mpirun, variables("PARTITA_MPIRUN"));
  if (launch.mpirun.empty())
    launch.mpirun = {"mpirun"};
  launch.kind = Launch::Kind::Mpi;
  return ok();
}

Result<Launch> partita::runtime::planLaunch(const LaunchOptions &options,
                                            int64_t ranks,
                                            const Variables &variables) {
  Launch launch;
  Job &job = launch.job;
  job.communicator = options.communicator.value_or("gloo");
  job.ranksPerProcess = options.ranksPerProcess.value_or(1);
  job.timeoutSeconds = options.timeoutSeconds;
  job.flightDirectory = options.flightDirectory;
  if (!options.bind.empty() && !options.hosts) {
    PARTITA_TRY(job.bind, resolveBind(options.bind));
    job.host = job.bind;
  }
  if (!options.hostPart.empty()) {
    PARTITA_CHECK(planHostPart(options, ranks, variables, launch));
    return launch;
  }
  PARTITA_TRY(std::optional<Found> found, findLauncher(variables));
  if (found && found->world > 1 && options.hosts)
    return usage("launch.contradiction", "--hosts " + *options.hosts,
                 std::string(found->launcher->name) +
                     " started processes already: " + found->worldText(),
                 "leave one of the two out");
  if (options.hosts) {
    PARTITA_CHECK(planHosts(options, ranks, variables, launch));
    return launch;
  }
  if (found && found->world > 1)
    return planJoin(*found, options, ranks, variables, std::move(launch));
  bool threads = options.communicator == "threads";
  if (!threads &&
      (options.communicator || options.processes || options.ranksPerProcess)) {
    job.processes = options.processes.value_or(
        std::max<int64_t>(1, ranks / job.ranksPerProcess));
    if (job.processes == 1 && !options.ranksPerProcess)
      job.ranksPerProcess = ranks;
  } else if (threads) {
    job.processes = options.processes.value_or(1);
    job.ranksPerProcess = options.ranksPerProcess.value_or(ranks);
  } else {
    return launch;
  }
  if (threads && job.processes > 1)
    return usage("launch.contradiction",
                 "--processes " + std::to_string(job.processes),
                 "--communicator threads is for one process",
                 "leave one of the two out");
  PARTITA_CHECK(checkRanks(job, ranks,
                           options.processes
                               ? "--processes " + std::to_string(job.processes)
                               : "--ranks-per-process " +
                                     std::to_string(job.ranksPerProcess)));
  if (job.processes == 1)
    return launch;
  job.port = options.port.value_or(0);
  if (job.communicator == "mpi") {
    PARTITA_CHECK(planMpi(options, variables, found.has_value(), launch));
    return launch;
  }
  job.localProcesses = job.processes;
  launch.kind = Launch::Kind::Start;
  return launch;
}
