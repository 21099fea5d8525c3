//===- Calibrate.cpp - partita calibrate ----------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Measures this machine: for each number of ranks, kernels by shape while all
// ranks run them, and collectives by bytes among all sizes of groups.
//
// What is written for a kernel is the time by which one rank gets on: where
// four ranks share two cores, twice what the kernel takes by itself, or more.
// What is written for a collective is how much longer a run of products becomes
// when a collective follows each of them: with the time that ranks wait for the
// last.
//
//===----------------------------------------------------------------------===//

#include "Bystanders.h"
#include "Commands.h"
#include "Options.h"
#include "Probe.h"
#include "Progress.h"
#include "Statistics.h"
#include "Table.h"
#include "partita/Support/File.h"
#include "partita/Topology/Calibration.h"
#include <algorithm>
#include <cmath>
#include <fstream>

using namespace partita;
using namespace partita::tool;

namespace {
struct CalibrateOptions {
  std::vector<int64_t> ranks = {1, 2, 4};
  int64_t threads = 1;
  bool quick = false;
  std::string out;
};

/// What is measured, and how long.
struct Grids {
  int attempts, passes;
  int64_t poolBytes;
  /// Of products: m, n, k.
  std::vector<double> rows, columns, depths;
  /// Of attention: m, n, k, which counts keys twice.
  std::vector<double> queries, heads, keys;
  /// Of convolutions: of images, whose square is m; n, k.
  std::vector<double> edges, channels, sums;
  /// Of the matrices that are moved, in units that elementwise() and
  /// collectives() choose.
  std::vector<double> elementwiseRows, collectiveRows;
};

class Calibrator {
public:
  Calibrator(int64_t ranks, int64_t threads, const Grids &grids);
  Result<CalibratedLoad> run();
  /// Cores that were lost to others in the measurement that lost most.
  double disturbedBy() const { return disturbance; }

private:
  Status products();
  Status attention();
  Status convolutions();
  Status elementwise();
  Status collectives();
  template <typename Probe> Status tabulate(KernelTable table, Probe probe);
  int64_t callsFor(double flops) const;
  Result<std::vector<PassSeconds>> measure(ProbeProgram &program);

  ProbeLoad load;
  const Grids &grids;
  /// Ranks on a core.
  double crowd = 1, disturbance = 0;
  CalibratedLoad out;
};
} // namespace

//===----------------------------------------------------------------------===//
// This machine
//===----------------------------------------------------------------------===//

/// "model name" of /proc/cpuinfo, without what cannot stand in a line.
static std::string deviceHere() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      std::string name = line.substr(line.find(':') + 1);
      std::erase_if(name, [](unsigned char c) { return c < ' ' || c > '~'; });
      name.erase(0, name.find_first_not_of(' '));
      if (!name.empty())
        return name.substr(0, 128);
    }
  return "processor";
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

/// The time of a call.
static double typical(const PassSeconds &seconds, int64_t calls) {
  return medianOf(seconds) / static_cast<double>(calls);
}

/// What something adds to each of `calls` calls.
static double added(const PassSeconds &with, const PassSeconds &without,
                    int64_t calls) {
  constexpr double least = 2e-8; // A clock's resolution.
  return std::max(typical(with, calls) - typical(without, calls), least);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static const Grids &gridsOf(bool quick) {
  static const Grids full = {
      .attempts = patient,
      .passes = 9,
      .poolBytes = 96 << 20,
      .rows = {1, 4, 16, 32, 64, 128, 256, 512},
      .columns = {64, 96, 192, 384, 768, 1536, 3072},
      .depths = {64, 192, 384, 768, 1536, 3072},
      .queries = {32, 128, 512},
      .heads = {32, 64, 128},
      .keys = {64, 256, 1024},
      .edges = {7, 14, 28, 56},
      .channels = {64, 256, 512},
      .sums = {64, 256, 576, 2304},
      .elementwiseRows = {1, 8, 64, 512},
      .collectiveRows = {1, 16, 128, 1024},
  };
  static const Grids fast = {
      .attempts = 1,
      .passes = 3,
      .poolBytes = 4 << 20,
      .rows = {16, 128},
      .columns = {64, 256},
      .depths = {64, 256},
      .queries = {32},
      .heads = {32, 64},
      .keys = {64, 128},
      .edges = {7, 14},
      .channels = {64},
      .sums = {64, 576},
      .elementwiseRows = {1, 16},
      .collectiveRows = {1, 64},
  };
  return quick ? fast : full;
}

Calibrator::Calibrator(int64_t ranks, int64_t threads, const Grids &grids)
    : grids(grids) {
  load.ranks = ranks;
  load.threads = threads;
  load.passes = grids.passes;
  load.poolBytes = grids.poolBytes;
  crowd = std::max(1.0, static_cast<double>(ranks * threads) /
                            static_cast<double>(coresHere()));
  out.ranks = ranks;
  out.threads = threads;
}

/// So many that a pass takes some milliseconds.
int64_t Calibrator::callsFor(double flops) const {
  constexpr double rate = 60e9, seconds = 5e-3;
  double calls = seconds * rate * static_cast<double>(load.threads) /
                 (std::max(flops, 1.0) * crowd);
  return std::clamp<int64_t>(static_cast<int64_t>(calls), 2, 24);
}

Result<std::vector<PassSeconds>> Calibrator::measure(ProbeProgram &program) {
  PARTITA_TRY(TemporaryFolder folder, TemporaryFolder::create());
  PARTITA_CHECK(program.link(folder));
  auto run = [&] { return program.run(folder); };
  PARTITA_TRY(auto watched,
              undisturbed<std::vector<PassSeconds>>(load.ranks * load.threads,
                                                    grids.attempts, run));
  disturbance = std::max(disturbance, watched.lostCores);
  return std::move(watched.value);
}

/// Fills a table of three coordinates: `probe` adds the calls of a point to a
/// program. A program for each value of the first, so that one is soon measured
/// again.
template <typename Probe>
Status Calibrator::tabulate(KernelTable table, Probe probe) {
  for (double m : table.axes[0]) {
    ProbeProgram program(load);
    std::vector<int64_t> calls;
    for (double n : table.axes[1])
      for (double k : table.axes[2]) {
        calls.push_back(callsFor(2 * table.batch * m * n * k));
        program.begin(calls.back());
        PARTITA_CHECK(probe(program, static_cast<int64_t>(m),
                            static_cast<int64_t>(n), static_cast<int64_t>(k)));
      }
    PARTITA_TRY(std::vector<PassSeconds> seconds, measure(program));
    for (size_t i = 0; i < calls.size(); ++i)
      table.seconds.push_back(typical(seconds[i], calls[i]));
  }
  out.kernels.push_back(std::move(table));
  return ok();
}

Status Calibrator::products() {
  KernelTable table;
  table.kernelClass = KernelClass::Gemm;
  table.axes = {grids.rows, grids.columns, grids.depths};
  return tabulate(table, [](ProbeProgram &program, int64_t m, int64_t n,
                            int64_t k) { return program.product(m, n, k); });
}

Status Calibrator::attention() {
  constexpr int64_t heads = 8;
  KernelTable table;
  table.kernelClass = KernelClass::Attention;
  table.batch = heads;
  table.axes = {grids.queries, grids.heads, grids.keys};
  return tabulate(table,
                  [](ProbeProgram &program, int64_t m, int64_t n, int64_t k) {
                    return program.attention({heads, m, k / 2, n});
                  });
}

/// Sums over a multiple of nine are those of 3x3 windows.
Status Calibrator::convolutions() {
  KernelTable table;
  table.kernelClass = KernelClass::Conv;
  table.axes = {{}, grids.channels, grids.sums};
  for (double edge : grids.edges)
    table.axes[0].push_back(edge * edge);
  return tabulate(
      table, [](ProbeProgram &program, int64_t m, int64_t n, int64_t k) {
        int64_t window = k % 9 == 0 ? 3 : 1;
        auto edge = std::llround(std::sqrt(static_cast<double>(m)));
        return program.convolution(edge, k / (window * window), n, window);
      });
}

/// What an elementwise operation adds to the product that it is computed with,
/// as most are: an addition (an operation for 12 bytes) and a GELU (14 for 8).
Status Calibrator::elementwise() {
  constexpr int64_t columns = 768, depth = 16, calls = 16;
  constexpr int64_t unit = 24; // Bytes that both divide.
  KernelTable table;
  table.kernelClass = KernelClass::Memory;
  table.axes = {{}, {1.0 / 12, 14.0 / 8}};
  ProbeProgram program(load);
  auto probe = [&](int64_t rows, const std::string &epilogue) {
    program.begin(calls);
    return program.product(rows, columns, depth, epilogue);
  };
  for (double size : grids.elementwiseRows) {
    auto rows = static_cast<int64_t>(size);
    table.axes[0].push_back(static_cast<double>(unit * columns * rows));
    for (auto [perElement, epilogue] :
         {std::pair(12, "add"), {8, "gelu_erf"}}) {
      PARTITA_CHECK(probe(rows * unit / perElement, ""));
      PARTITA_CHECK(probe(rows * unit / perElement, epilogue));
    }
  }
  PARTITA_TRY(std::vector<PassSeconds> seconds, measure(program));
  for (size_t i = 0; i < seconds.size(); i += 2)
    table.seconds.push_back(added(seconds[i + 1], seconds[i], calls));
  out.kernels.push_back(std::move(table));
  return ok();
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

Status Calibrator::collectives() {
  constexpr int64_t columns = 256, calls = 8;
  static const MoveKind kinds[] = {MoveKind::AllGather, MoveKind::ReduceScatter,
                                   MoveKind::AllReduce, MoveKind::AllToAll};
  ProbeProgram program(load);
  auto work = [&] {
    // Half a millisecond by itself: about as much as lies between two.
    return program.product(128, 512, 384);
  };
  std::vector<CollectiveTable> tables;
  for (int64_t group = 2; group <= load.ranks; ++group) {
    if (load.ranks % group != 0)
      continue;
    for (MoveKind kind : kinds) {
      CollectiveTable table;
      table.move = moveKindName(kind);
      table.ranks = group;
      for (double size : grids.collectiveRows) {
        auto rows = static_cast<int64_t>(size) *
                    (kind == MoveKind::AllToAll ? group : 1);
        double bytes = 4.0 * static_cast<double>(rows * columns);
        table.bytes.push_back(kind == MoveKind::AllToAll
                                  ? bytes * static_cast<double>(group - 1) /
                                        static_cast<double>(group)
                                  : bytes * static_cast<double>(group));
        program.begin(1);
        for (int64_t i = 0; i < calls; ++i)
          PARTITA_CHECK(work());
        program.begin(1);
        for (int64_t i = 0; i < calls; ++i) {
          PARTITA_CHECK(work());
          PARTITA_CHECK(program.collective(kind, group, rows, columns));
        }
      }
      tables.push_back(std::move(table));
    }
  }
  if (tables.empty())
    return ok();
  PARTITA_TRY(std::vector<PassSeconds> seconds, measure(program));
  size_t next = 0;
  for (CollectiveTable &table : tables)
    for (size_t i = 0; i < table.bytes.size(); ++i, next += 2)
      table.seconds.push_back(added(seconds[next + 1], seconds[next], calls));
  out.collectives = std::move(tables);
  return ok();
}

Result<CalibratedLoad> Calibrator::run() {
  PARTITA_CHECK(products());
  PARTITA_CHECK(attention());
  PARTITA_CHECK(convolutions());
  PARTITA_CHECK(elementwise());
  PARTITA_CHECK(collectives());
  return out;
}

//===----------------------------------------------------------------------===//
// The command
//===----------------------------------------------------------------------===//

static std::string summary(const std::string &out,
                           const Calibration &calibration, double disturbance) {
  bool one = calibration.loads.size() == 1 && calibration.loads[0].ranks == 1;
  return out + ": " + calibration.device + ", " +
         std::to_string(calibration.cores) +
         (calibration.cores == 1 ? " core" : " cores") + ", measured with " +
         calibration.loadsText() + (one ? " rank\n" : " ranks\n") +
         disturbanceText(disturbance);
}

static Result<ExitCode> runCalibrate(const CalibrateOptions &options) {
  // A place that cannot be written is known before minutes of measuring.
  PARTITA_TRY(AtomicFile file, AtomicFile::create(options.out));
  Calibration calibration;
  calibration.device = deviceHere();
  calibration.cores = coresHere();
  std::vector<int64_t> ranks = options.ranks;
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  double disturbance = 0;
  Progress progress(static_cast<int>(ranks.size()));
  for (int64_t count : ranks) {
    progress.step("measure " + std::to_string(count) +
                  (count == 1 ? " rank" : " ranks"));
    Calibrator calibrator(count, options.threads, gridsOf(options.quick));
    PARTITA_TRY(CalibratedLoad load, calibrator.run());
    calibration.loads.push_back(std::move(load));
    disturbance = std::max(disturbance, calibrator.disturbedBy());
  }
  progress.clear();
  PARTITA_CHECK(file.write(calibration.str()));
  PARTITA_CHECK(file.commit());
  PARTITA_CHECK(printResult(summary(options.out, calibration, disturbance)));
  return ExitCode::Ok;
}

void tool::addCalibrate(CLI::App &app, Action &chosen) {
  auto [command, options] = addCommand<CalibrateOptions>(
      app, chosen, "calibrate",
      "Measure this machine, for predictions in its own seconds", runCalibrate);
  command
      ->add_option("--ranks", options->ranks,
                   "Numbers of ranks that run at the same time (default 1,2,4)")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->type_name("N,..");
  command
      ->add_option("--threads", options->threads,
                   "Threads of a rank (default 1)")
      ->check(CLI::Range(1, 256))
      ->type_name("N");
  command->add_flag("--quick", options->quick,
                    "Few shapes, in seconds: to try it, not to rely on it");
  command->add_option("-o,--output", options->out, "Write the calibration here")
      ->required()
      ->type_name("FILE.yaml");
}
