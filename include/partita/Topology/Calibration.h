//===- Calibration.h - What a machine was measured to do --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tables of times that `partita calibrate` takes on a machine, and the file
// that keeps them. How fast a kernel is depends on what else runs: ranks share
// memory, caches and, where there are fewer, cores. So there is a set of tables
// for each number of ranks that ran at the same time, and a topology is priced
// by the set of its own number.
//
// A table is a grid: for each combination of the values along its coordinates
// there is a time. What lies between, partita/Cost interpolates.
//
// docs/calibration.md describes the file.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOPOLOGY_CALIBRATION_H
#define PARTITA_TOPOLOGY_CALIBRATION_H

#include "partita/Support/Error.h"
#include "partita/Support/KernelClass.h"
#include "partita/Topology/Device.h"
#include <string>
#include <vector>

namespace partita {

/// Kernels of one class and precision, by shape.
///
///   Gemm, Conv, Attention   m, n, k as in KernelWork; a call has `batch`
///                           products
///   Memory                  bytes, and operations per byte
struct KernelTable {
  KernelClass kernelClass = KernelClass::Gemm;
  Precision precision = Precision::F32;
  double batch = 1;
  /// Values along each coordinate, ascending, above zero.
  std::vector<std::vector<double>> axes;
  /// A picosecond at least; the last coordinate varies fastest.
  std::vector<double> seconds;

  bool operator==(const KernelTable &) const = default;
};

/// "gemm", "conv", "attention", "memory".
const char *kernelClassName(KernelClass kernelClass);
/// The keys of a table's coordinates: {"m", "n", "k"} or {"bytes",
/// "flops_per_byte"}.
const std::vector<std::string> &coordinatesOf(KernelClass kernelClass);

/// One kind of collective among `ranks` ranks, by bytes: what a rank has after
/// an all-gather, before a reduce-scatter or an all-reduce, and what an
/// all-to-all takes from other ranks. With what ranks wait for each other.
struct CollectiveTable {
  /// One of calibratedMoves().
  std::string move;
  int64_t ranks = 2;
  /// Ascending, above zero.
  std::vector<double> bytes;
  std::vector<double> seconds;

  bool operator==(const CollectiveTable &) const = default;
};

/// "all_gather", "reduce_scatter", "all_reduce", "all_to_all".
const std::vector<std::string> &calibratedMoves();

/// What was measured while `ranks` ranks of `threads` threads did the same.
struct CalibratedLoad {
  int64_t ranks = 1, threads = 1;
  std::vector<KernelTable> kernels;
  std::vector<CollectiveTable> collectives;

  bool operator==(const CalibratedLoad &) const = default;
};

struct Calibration {
  /// The processor, as the system calls it, and how many cores ranks had.
  std::string device;
  int64_t cores = 1;
  /// No two of the same ranks and threads.
  std::vector<CalibratedLoad> loads;

  /// The tables of that many ranks and threads, or null.
  const CalibratedLoad *find(int64_t ranks, int64_t threads) const;
  /// "1, 2 and 4 x 2": what there are tables of.
  std::string loadsText() const;

  /// The document. read() gives the same values, to five digits.
  std::string str() const;
  /// Errors: exit code 2, with `place`, line and column; codes begin with
  /// "calibration.".
  static Result<Calibration> read(std::string_view yaml,
                                  const std::string &place);
  /// The same of a file.
  static Result<Calibration> open(const std::string &path);

  bool operator==(const Calibration &) const = default;
};

} // namespace partita

#endif // PARTITA_TOPOLOGY_CALIBRATION_H
