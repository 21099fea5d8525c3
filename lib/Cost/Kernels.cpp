//===- Kernels.cpp - What kernels cost ------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Kernels.h"
#include "Measured.h"
#include "Picoseconds.h"
#include <algorithm>
#include <cmath>

using namespace partita;

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

std::vector<int64_t> partita::localIterations(const Strategy &strategy,
                                              const Mesh &mesh) {
  std::vector<int64_t> local;
  for (const DimSharding &factor : strategy.factors) {
    int64_t size = 1;
    for (const FactorSharding &part : factor.factors)
      size *= maxShardSize(part, mesh);
    local.push_back(size);
  }
  return local;
}

static bool walks(const TensorMap &map, unsigned factor) {
  return std::any_of(map.begin(), map.end(), [&](const auto &dim) {
    return std::find(dim.begin(), dim.end(), factor) != dim.end();
  });
}

KernelWork partita::kernelWork(const ShardingRule &rule,
                               KernelClass kernelClass, DType dtype,
                               int64_t flops, const std::vector<int64_t> &local,
                               int64_t bytes) {
  KernelWork work;
  work.kernelClass = kernelClass;
  work.precision = precisionOf(dtype);
  work.flops = static_cast<double>(flops);
  work.bytes = static_cast<double>(bytes);
  bool product =
      kernelClass != KernelClass::Memory && kernelClass != KernelClass::Free;
  // What is multiplied; masks, statistics and the like follow.
  size_t multiplied = std::min<size_t>(
      rule.operands.size(), kernelClass == KernelClass::Attention ? 3 : 2);
  for (unsigned f = 0; f < rule.factors.size(); ++f) {
    const Factor &factor = rule.factors[f];
    if (factor.kind == FactorKind::Linear || factor.size <= 0)
      continue;
    double size = static_cast<double>(local[f]);
    work.flops *= size / static_cast<double>(factor.size);
    if (!product || rule.results.empty() || !walks(rule.results[0], f))
      continue;
    size_t walking = 0;
    for (size_t i = 0; i < multiplied; ++i)
      walking += walks(rule.operands[i], f);
    bool first = multiplied > 0 && walks(rule.operands[0], f);
    bool rows = walking == 0 || (walking == 1 && first && multiplied > 1);
    (rows ? work.m : walking == multiplied ? work.batch : work.n) *= size;
  }
  if (product)
    work.k = std::max(1.0, work.flops / (2 * work.batch * work.m * work.n));
  return work;
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

namespace {
/// Edges of the part of a result that one compute unit holds.
struct Tile {
  double rows, columns;
  /// Operations a byte grow with the harmonic mean of the edges.
  double mean() const { return 2 * rows * columns / (rows + columns); }
};
} // namespace

/// What libraries of matrix products choose from, largest first.
static constexpr Tile tiles[] = {{256, 128}, {128, 256}, {128, 128}, {64, 256},
                                 {256, 64},  {64, 128},  {128, 64},  {64, 64}};
/// Into how many sums the inner loop may be cut, each computed by its own unit.
static constexpr double splits[] = {1, 2, 3, 4, 6, 8, 12, 16};
/// The kernel that adds up the parts.
static constexpr double splitSeconds = 1e-6;

/// The share of compute units that work, where `parts` are dealt out to
/// `units`, all of which wait for the last.
static double waveShare(double parts, double units) {
  return units > 0 ? parts / (std::ceil(parts / units) * units) : 1;
}

/// x / (x + half): the share of a rate that loops of length x reach.
static double lengthShare(double x, double half) { return x / (x + half); }

/// The time of a product on matrix units, without its launch: the best over
/// tiles and splits of the slower of arithmetic and memory.
static double tiledSeconds(const KernelWork &work, const KernelConstants &c,
                           double rate, double bandwidth, double units) {
  double best = HUGE_VAL, results = work.batch * work.m * work.n;
  if (work.flops <= 0)
    return work.bytes / bandwidth;
  for (const Tile &tile : tiles) {
    double count = work.batch * std::ceil(work.m / tile.rows) *
                   std::ceil(work.n / tile.columns);
    double share = results / (count * tile.rows * tile.columns) *
                   lengthShare(tile.mean(), c.tile) /
                   lengthShare(tiles[0].mean(), c.tile);
    for (double split : splits) {
      if (split > work.k)
        break;
      double speed = rate * share * waveShare(count * split, units) *
                     lengthShare(work.k / split, c.depth);
      // Each part is written and read as f32.
      double bytes = work.bytes + (split > 1 ? 8 * split * results : 0);
      double seconds = std::max(work.flops / speed, bytes / bandwidth) +
                       (split > 1 ? splitSeconds : 0);
      best = std::min(best, seconds);
      if (count * split >= 2 * units)
        break; // More parts fill the units no better.
    }
  }
  return best;
}

/// One block of queries a compute unit, the keys cut where blocks are few.
static double attentionSeconds(const KernelWork &work, const KernelConstants &c,
                               double peak, double bandwidth, double units) {
  double memory = work.bytes / bandwidth;
  double rate = peak * c.attention * lengthShare(work.n, c.attentionHead);
  if (!c.tiled || work.flops <= 0)
    return std::max(work.flops / rate, memory);
  constexpr double rows = 128;
  double count = work.batch * std::ceil(work.m / rows);
  double keys = std::max(1.0, work.k / 2), best = HUGE_VAL;
  for (double split : splits) {
    if (split > keys)
      break;
    double speed = rate * work.batch * work.m / (count * rows) *
                   waveShare(count * split, units) *
                   lengthShare(keys / split, c.attentionKeys);
    double seconds =
        std::max(work.flops / speed, memory) + (split > 1 ? splitSeconds : 0);
    best = std::min(best, seconds);
    if (count * split >= 2 * units)
      break;
  }
  return best;
}

KernelCost::KernelCost(const DeviceType &device) : device(device) {
  for (size_t p = 0; p < numPrecisions; ++p)
    constants[p] = kernelConstants(device, static_cast<Precision>(p));
}

KernelCost::KernelCost(const Topology &topology)
    : KernelCost(topology.commonDevice()) {
  if (topology.measured)
    measured = std::make_shared<const MeasuredKernels>(
        topology.measured->kernels,
        [this](const KernelWork &work) { return modelledSeconds(work); });
}

int64_t KernelCost::picoseconds(const KernelWork &work) const {
  if (work.kernelClass == KernelClass::Free)
    return 0;
  return toPicoseconds(modelledSeconds(work) *
                       (measured ? measured->factor(work) : 1));
}

double KernelCost::modelledSeconds(const KernelWork &work) const {
  const KernelConstants &c = constants[static_cast<size_t>(work.precision)];
  double bandwidth = device.memoryBandwidth * c.memory;
  double peak = device.matrixPeak(work.precision);
  auto units = static_cast<double>(device.computeUnits);
  double onVectors =
      std::max(work.flops / (device.vectorPeak(work.precision) * c.vector),
               work.bytes / bandwidth);
  switch (work.kernelClass) {
  case KernelClass::Free:
  case KernelClass::Memory:
    break;
  case KernelClass::Attention:
    return attentionSeconds(work, c, peak, bandwidth, units) + c.productLaunch;
  case KernelClass::Gemm:
  case KernelClass::Conv: {
    double rate = peak * c.ceiling *
                  (work.kernelClass == KernelClass::Conv ? c.convolution : 1);
    double seconds =
        c.tiled
            ? std::min(tiledSeconds(work, c, rate, bandwidth, units), onVectors)
            : std::max(work.flops / rate, work.bytes / bandwidth);
    return seconds + c.productLaunch;
  }
  }
  return onVectors + c.launch;
}
