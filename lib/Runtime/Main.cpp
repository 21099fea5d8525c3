//===- Main.cpp - The command line of an emitted executable ---------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads inputs, loads the program, runs it as often as asked, writes outputs
// and report. Nothing is renamed into place before everything has been written.
//
//===----------------------------------------------------------------------===//

#include "Hosts.h"
#include "Launcher.h"
#include "MpiLauncher.h"
#include "Report.h"
#include "partita/Runtime/RandomInputs.h"
#include "partita/Support/File.h"
#include "partita/Support/Npy.h"
#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iomanip>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace partita;
using namespace partita::runtime;

namespace {

struct Arguments {
  std::vector<std::string> inputs;
  std::string outputDirectory, report = "text", trace, dump;
  std::optional<uint64_t> seed;
  int64_t repeat = 1, warmup = 0;
  bool info = false, onRequest = false;
  LaunchOptions launch;
  SessionOptions session;
  std::vector<std::string> words; ///< all of these, as they came
};

class Runner {
public:
  Runner(const Arguments &arguments, const partita_module &module,
         Program program)
      : arguments(arguments), module(module), program(std::move(program)) {}
  Status run();
  /// Of several processes, one reads stdin and writes results.
  bool isFirst() const {
    return !arguments.session.job || arguments.session.job->process == 0;
  }

private:
  Status readInputs();
  Status steps();
  Status stepsOnRequest(const std::vector<NamedTensor> &in,
                        const std::vector<NamedTensor> &out);
  Status openOutputs();
  Status writeOutputs();

  const Arguments &arguments;
  const partita_module &module;
  Program program; ///< of the module
  std::unique_ptr<Session> session;
  std::vector<HostTensor> inputs, outputs;
  std::vector<AtomicFile> files;
  RunResult result;
};

} // namespace

/// Writes to stdout; a full disk behind it is an error.
static Status print(const std::string &text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0)
    return ok();
  return makeError(ExitCode::InvalidInput, "file.write", "standard output",
                   std::string("cannot be written: ") + std::strerror(errno),
                   "is the disk or the reader behind it still there?");
}

/// A file name for an output: what a file system or a shell may misread becomes
/// an underscore.
static std::string fileNameOf(const std::string &name) {
  std::string file;
  for (char c : name)
    file += std::isalnum(static_cast<unsigned char>(c)) || c == '.' ||
                    c == '-' || c == '_'
                ? c
                : '_';
  if (file.empty() || file[0] == '.')
    file = "_" + file;
  return file + ".npy";
}

static std::string inputsHint(const Program &program) {
  std::string names;
  for (const PortInfo &port : program.inputs)
    names += (names.empty() ? "" : ", ") + port.name;
  return "the model's inputs are: " + names;
}

static Status describe(const Program &program, const Arguments &arguments) {
  if (arguments.info)
    return print(program.planJson.empty() ? "{}\n" : program.planJson + "\n");
  return print(printProgram(program));
}

Status Runner::readInputs() {
  std::map<std::string, std::string> given;
  for (const std::string &entry : arguments.inputs) {
    size_t equals = entry.rfind('=');
    // Names may hold '=', and so may paths: a name of the model decides.
    for (const PortInfo &port : program.inputs)
      if (entry.compare(0, port.name.size() + 1, port.name + "=") == 0)
        equals = port.name.size();
    if (equals == std::string::npos || equals == 0 ||
        equals + 1 == entry.size())
      return makeError(ExitCode::Usage, "run.usage", "--input " + entry,
                       "is not name=file.npy", inputsHint(program));
    if (!given.emplace(entry.substr(0, equals), entry.substr(equals + 1))
             .second)
      return makeError(ExitCode::InvalidInput, "run.input", "run",
                       "input '" + entry.substr(0, equals) + "' is given twice",
                       inputsHint(program));
  }
  std::vector<NamedTensor> named;
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const PortInfo &port = program.inputs[i];
    auto found = given.find(port.name);
    HostTensor tensor;
    if (found != given.end()) {
      PARTITA_TRY(tensor, readNpyAs(found->second, port.dtype));
      given.erase(found);
    } else if (arguments.seed) {
      PARTITA_TRY(tensor, randomInput(port, *arguments.seed, i));
    }
    if (tensor.defined())
      named.push_back({port.name, tensor.dtype(), tensor.shape(), nullptr});
    inputs.push_back(std::move(tensor));
  }
  for (const auto &[name, path] : given)
    named.push_back({name, DType::F32, {}, nullptr});
  return checkInputs(program, named);
}

/// Opens the temporaries, so that an unwritable directory is known before
/// minutes of computation.
Status Runner::openOutputs() {
  result.files.assign(program.outputs.size(), "");
  if (arguments.outputDirectory.empty() || !isFirst())
    return ok();
  const std::string &directory = arguments.outputDirectory;
  if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
    return makeError(ExitCode::InvalidInput, "file.write", directory,
                     std::string("cannot be created: ") + std::strerror(errno),
                     "name a folder in one that exists and can be written");
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    std::string path = directory + "/" + fileNameOf(program.outputs[i].name);
    for (size_t j = 0; j < i; ++j)
      if (result.files[j] == path)
        path = directory + "/" + std::to_string(i) + "_" +
               fileNameOf(program.outputs[i].name);
    PARTITA_TRY(AtomicFile file, AtomicFile::create(path));
    files.push_back(std::move(file));
    result.files[i] = path;
  }
  return ok();
}

Status Runner::steps() {
  std::vector<NamedTensor> in, out;
  for (size_t i = 0; i < inputs.size(); ++i)
    in.push_back({program.inputs[i].name, inputs[i].dtype(), inputs[i].shape(),
                  inputs[i].data()});
  for (const PortInfo &port : program.outputs) {
    outputs.emplace_back(port.dtype, port.shape);
    out.push_back({port.name, port.dtype, port.shape, outputs.back().data()});
  }
  result.steps.count = arguments.warmup + arguments.repeat;
  result.steps.uncounted = arguments.warmup;
  PARTITA_CHECK(session->run("step", in, out, result.steps));
  if (arguments.onRequest)
    PARTITA_CHECK(stepsOnRequest(in, out));
  return session->finish(out);
}

/// A step for each line on stdin, or as many as it says, and the seconds of one
/// on stdout: a caller can take turns with other programs.
Status Runner::stepsOnRequest(const std::vector<NamedTensor> &in,
                              const std::vector<NamedTensor> &out) {
  PARTITA_CHECK(print("ready\n"));
  for (std::string line; std::getline(std::cin, line);) {
    StepSeries series;
    series.count = std::max(std::strtoll(line.c_str(), nullptr, 10), 1LL);
    series.uncounted = -1;
    Clock::time_point begin = Clock::now();
    PARTITA_CHECK(session->run("step", in, out, series));
    double seconds =
        std::chrono::duration<double>(Clock::now() - begin).count();
    std::ostringstream text;
    text << std::fixed << std::setprecision(9)
         << seconds / static_cast<double>(series.count) << '\n';
    PARTITA_CHECK(print(text.str()));
  }
  return ok();
}

Status Runner::writeOutputs() {
  if (!isFirst())
    return ok();
  for (size_t i = 0; i < files.size(); ++i) {
    PARTITA_CHECK(writeNpy(files[i], outputs[i]));
    PARTITA_CHECK(files[i].finish());
  }
  std::optional<AtomicFile> trace;
  if (!arguments.trace.empty()) {
    PARTITA_TRY(trace, AtomicFile::create(arguments.trace));
    PARTITA_CHECK(trace->write(traceJson(*session)));
    PARTITA_CHECK(trace->finish());
  }
  for (AtomicFile &file : files)
    PARTITA_CHECK(file.commit());
  if (trace)
    PARTITA_CHECK(trace->commit());
  return print(arguments.report == "json" ? reportJson(*session, result)
                                          : reportText(*session, result));
}

Status Runner::run() {
  if (program.weightsAbsent)
    return weightsAbsentError(program);
  PARTITA_CHECK(readInputs());
  PARTITA_CHECK(openOutputs());
  Clock::time_point begin = Clock::now();
  PARTITA_TRY(session, Session::create(module, arguments.session));
  result.loadSeconds =
      std::chrono::duration<double>(Clock::now() - begin).count();
  program.constants = {};
  PARTITA_CHECK(steps());
  return writeOutputs();
}

static void addOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("--input", arguments.inputs,
                 "name=file.npy; once for each input");
  app.add_option("--output-dir", arguments.outputDirectory,
                 "write each output as NAME.npy into this directory");
  app.add_option("--random-inputs", arguments.seed,
                 "make up the inputs that are not given, from this seed");
  app.add_option("--repeat", arguments.repeat, "timed steps")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  app.add_option("--warmup", arguments.warmup, "steps before those")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 40));
  app.add_option("--report", arguments.report, "json or text")
      ->check(CLI::IsMember({"json", "text"}));
  app.add_option("--trace", arguments.trace,
                 "write a Chrome trace of every command of every rank");
  app.add_option("--communicator", arguments.launch.communicator,
                 "threads: ranks are threads of one process (default); gloo: "
                 "processes; mpi: processes that mpirun starts")
      ->check(CLI::IsMember({"threads", "gloo", "mpi"}));
  app.add_option("--processes", arguments.launch.processes,
                 "start this many processes; the default is what torchrun, "
                 "mpirun or srun say, or one")
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--ranks-per-process", arguments.launch.ranksPerProcess,
                 "ranks that are threads of each process (default 1)")
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--hosts", arguments.launch.hosts,
                 "[user@]name[:ranks],...: start the processes on these "
                 "machines, by ssh");
  app.add_option("--ssh", arguments.launch.ssh,
                 "the command that --hosts starts, with its options (default: "
                 "$PARTITA_SSH, or ssh -T -o BatchMode=yes)");
  app.add_option("--mpirun", arguments.launch.mpirun,
                 "the command that starts processes for --communicator mpi, "
                 "with its options (default: $PARTITA_MPIRUN, or mpirun)");
  app.add_option("--host-part", arguments.launch.hostPart)->group("");
  app.add_option("--bind", arguments.launch.bind,
                 "address or interface to listen on (default: loopback; with "
                 "--hosts, where ssh came in)");
  app.add_option("--port", arguments.launch.port,
                 "where processes meet (default: chosen)")
      ->check(CLI::Range(int64_t(1), int64_t(65535)));
  app.add_option("--flight-dir", arguments.session.flightDirectory,
                 "where each rank's record goes if the run fails (default, for "
                 "processes: a folder in $TMPDIR)");
  app.add_option("--weights-dir", arguments.session.weightsDirectory,
                 "where the weight files are now");
  app.add_option("--timeout", arguments.session.timeoutSeconds,
                 "seconds that a rank waits for others")
      ->check(CLI::PositiveNumber);
  app.add_flag("--check-arena", arguments.session.checkArena,
               "fill memory that is not in use with NaN");
  app.add_flag("--pin", arguments.session.pin,
               "bind each rank to cores of its own");
  app.add_flag("--skip-weight-check", arguments.session.skipWeightCheck,
               "do not compare the weight files' contents with the model's");
  app.add_flag("--on-request", arguments.onRequest,
               "then time a step for each line on stdin, or as many as it "
               "says");
  app.add_flag("--info", arguments.info, "print the plan and exit");
  app.add_option("--dump-program", arguments.dump,
                 "print the command table and exit")
      ->check(CLI::IsMember({"text"}));
}

static int fail(const Error &error) {
  if (hasMpiParent())
    tellMpiParent(error);
  else
    std::fprintf(stderr, "%s\n", error.str().c_str());
  return static_cast<int>(error.exit);
}

/// The exit code of `fn`, whatever it throws.
template <typename Fn> static int guarded(Fn fn) {
  try {
    return fn();
  } catch (const std::bad_alloc &) {
    return fail(makeError(ExitCode::DistributedFault, "run.memory", "main",
                          "out of memory",
                          "use more ranks or a smaller batch"));
  } catch (const std::exception &e) {
    return fail(makeError(ExitCode::Internal, "run.exception", "main", e.what(),
                          "this is a defect; please report it"));
  }
}

/// Runs the ranks of this process.
static int runHere(const Arguments &arguments, const partita_module &module,
                   Program program) {
  // A rank that goes away is an error of writing to it.
  if (arguments.session.job)
    std::signal(SIGPIPE, SIG_IGN);
  auto runner = std::make_unique<Runner>(arguments, module, std::move(program));
  Status status = runner->run();
  if (status) {
    if (hasMpiParent() && runner->isFirst())
      tellMpiParent(std::nullopt);
    return 0;
  }
  int code = fail(status.error());
  // Not through exit(): a thread that was left behind may be using what the
  // destructors of globals would take away.
  runner.reset();
  std::fflush(nullptr);
  if (Session::anyStuckThread())
    ::_exit(code);
  return code;
}

/// Becomes one of the processes that a launcher started.
static void join(Arguments &arguments, const Launch &launch) {
  arguments.session.job = launch.job;
  if (!launch.job.hostsHub) // Our mpirun does not outlive the hub, nor do we.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  else if (launch.job.process == 0)
    std::fprintf(stderr, "%lld processes, started by %s\n",
                 static_cast<long long>(launch.job.processes),
                 launch.source.c_str());
}

/// Runs all ranks here, or starts processes for them, or is one of those.
static Result<int> launch(Arguments &arguments, const partita_module &module) {
  PARTITA_TRY(Program program,
              deserialize({static_cast<const std::byte *>(module.program),
                           static_cast<size_t>(module.program_size)}));
  if (arguments.info || !arguments.dump.empty()) {
    PARTITA_CHECK(describe(program, arguments));
    return 0;
  }
  arguments.launch.timeoutSeconds = arguments.session.timeoutSeconds;
  arguments.launch.flightDirectory = arguments.session.flightDirectory;
  auto variable = [](const std::string &name) -> std::optional<std::string> {
    const char *value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  PARTITA_TRY(Launch launch,
              planLaunch(arguments.launch, program.numRanks(), variable));
  if (launch.kind != Launch::Kind::Threads && arguments.onRequest)
    return makeError(ExitCode::Usage, "launch.contradiction", "--on-request",
                     "is for one process: only that one reads stdin",
                     "leave it out, or give --communicator threads");
  if (launch.kind == Launch::Kind::Hosts)
    return startHosts(launch, arguments.words);
  if (launch.kind == Launch::Kind::Threads)
    return runHere(arguments, module, std::move(program));
  if (launch.kind == Launch::Kind::Join) {
    join(arguments, launch);
    return runHere(arguments, module, std::move(program));
  }
  auto describe = [&](int64_t rank, CommandNumber number) {
    return describeNumber(program.classes[program.classOfRank[rank]], number);
  };
  if (launch.kind == Launch::Kind::Mpi)
    return startMpi(launch, arguments.words, describe);
  return startProcesses(launch.job, describe, [&](const Job &job) {
    arguments.session.job = job;
    return guarded(
        [&] { return runHere(arguments, module, std::move(program)); });
  });
}

int partita_main(int argc, char **argv, const partita_module *module) {
  Arguments arguments;
  arguments.words.assign(argv + 1, argv + argc);
  CLI::App app{"A model compiled by Partita."};
  addOptions(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    return app.exit(success);
  } catch (const CLI::ParseError &error) {
    return fail(makeError(ExitCode::Usage, "run.usage", "command line",
                          error.what(), "--help lists the options"));
  }
  arguments.session.trace = !arguments.trace.empty();
  return guarded([&] {
    Result<int> code = launch(arguments, *module);
    return code ? *code : fail(code.error());
  });
}
