//===- Kernels.h - What kernels cost ----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel takes as long as the slower of its arithmetic and its memory
// traffic, plus its launch. How much of a device's peak a product of matrices
// reaches depends on its shape: on what is computed in vain at the edges of
// tiles, on compute units that idle in the last wave, on loops too short to
// fill the pipelines. The shape follows from the sharding rule and the local
// sizes of its factors, so nothing here knows of operations.
//
// docs/cost-model.md has the formulas, their constants and their errors. Where
// the machine was measured, prices follow the measurements
// (docs/calibration.md).
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_COST_KERNELS_H
#define PARTITA_COST_KERNELS_H

#include "partita/Support/DType.h"
#include "partita/Support/KernelClass.h"
#include "partita/Support/ShardingRule.h"
#include "partita/Topology/Topology.h"
#include <memory>

namespace partita {

class MeasuredKernels;

/// One rank's kernel: what it computes and moves.
struct KernelWork {
  KernelClass kernelClass = KernelClass::Memory;
  Precision precision = Precision::F32;
  /// Floating point operations, and bytes read and written.
  double flops = 0, bytes = 0;
  /// Of products, convolutions and attention: `batch` independent products of
  /// [m, k] and [k, n]. Of attention m are queries, n is the size of a head and
  /// k counts keys twice, for the scores and for what they weigh.
  double batch = 1, m = 1, n = 1, k = 1;
};

/// How many iterations of each factor the rank with most of them has.
std::vector<int64_t> localIterations(const Strategy &strategy,
                                     const Mesh &mesh);

/// The work of one rank that iterates `local[f]` of each factor f of `rule`,
/// where the whole operation has `flops`; `bytes` are the rank's.
///
/// Of the factors that the first result walks, those that all operands walk
/// which are multiplied (the first two, of attention three) are batches, those
/// that only the first of them walks are rows (m), and others columns (n). The
/// rest is summed over: k = flops / (2 batch m n).
KernelWork kernelWork(const ShardingRule &rule, KernelClass kernelClass,
                      DType dtype, int64_t flops,
                      const std::vector<int64_t> &local, int64_t bytes);

/// Shares of a device's rates that its kernels sustain, and fixed times.
/// lib/Cost/KernelConstants.cpp says where each is from.
struct KernelConstants {
  /// Share of the matrix peak that the best shape sustains within the power
  /// limit.
  double ceiling = 0.85;
  /// The k and, as a harmonic mean of a tile's edges, the tile at which half of
  /// the ceiling is reached.
  double depth = 0, tile = 0;
  /// Share of the memory bandwidth.
  double memory = 0.9;
  /// Seconds that a product and any other kernel take at least.
  double productLaunch = 0, launch = 0;
  /// Shares of `ceiling`, and of the vector peak, which elementwise kernels and
  /// products too thin for matrix units reach.
  double convolution = 0.82, vector = 0.1;
  /// Share of the matrix peak that attention sustains with large heads and many
  /// keys, and the head size and the number of keys at which half is reached.
  double attention = 0.5, attentionHead = 0, attentionKeys = 0;
  /// Matrices are computed in tiles that compute units take one by one.
  bool tiled = false;
};

/// The constants of a device: fitted ones where there were measurements of its
/// type, else those of its architecture, else of its kind.
KernelConstants kernelConstants(const DeviceType &device, Precision precision);

/// Prices kernels on one device.
class KernelCost {
public:
  /// With the topology's measured times, if it has any.
  explicit KernelCost(const Topology &topology);
  explicit KernelCost(const DeviceType &device);

  /// The time of a kernel. Free kernels take none.
  int64_t picoseconds(const KernelWork &work) const;

private:
  double modelledSeconds(const KernelWork &work) const;

  DeviceType device;
  std::array<KernelConstants, numPrecisions> constants;
  std::shared_ptr<const MeasuredKernels> measured;
};

} // namespace partita

#endif // PARTITA_COST_KERNELS_H
