//===- Cost.cpp - What kernels and collectives cost -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Collectives are priced as the threads transport performs them: every rank
// reads what it needs out of its peers' memory between two barriers. A barrier
// of p ranks takes ceil(log2 p) latencies. What a rank reads is counted in
// largest shards, since the last rank to finish ends the collective, and what
// it gets it also writes: a reduce-scatter is cheaper than the all-gather of
// the same bytes, which makes p times the result.
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Cost.h"
#include <algorithm>
#include <cmath>

using namespace partita;

static const char *const moveKindNames[] = {
    "all_gather", "reduce_scatter", "all_reduce", "all_to_all",
    "permute",    "halo_exchange",  "slice",      "to_partial"};

const char *partita::moveKindName(MoveKind kind) {
  return moveKindNames[static_cast<int>(kind)];
}

/// Never less than nothing, never more than what sums of thousands hold.
static int64_t toPicoseconds(double seconds) {
  constexpr double limit = 1e15; // A quarter of an hour.
  return std::llround(std::min(std::max(seconds * 1e12, 0.0), limit));
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// With several levels an axis would name the levels that it crosses; there is
/// one, or the slowest counts.
static Link slowestLink(const Topology &topology) {
  Link link = topology.linkOf(0);
  for (size_t level = 1; level < topology.levels.size(); ++level)
    link = slower(link, topology.linkOf(static_cast<int>(level)));
  return link;
}

CollectiveCost::CollectiveCost(const Topology &topology, const Mesh &mesh)
    : grid(mesh), device(topology.commonDevice()), link(slowestLink(topology)) {
}

/// The runs of a box of one dimension, or more.
static double mostRuns(const Box &box) {
  const Box::Dim &dim = box.dims[0];
  size_t last = dim.sizes.size();
  while (last > 0 && dim.intervals[last - 1].size() == dim.sizes[last - 1])
    --last;
  double runs = 1;
  for (size_t f = 0; f + 1 < last; ++f)
    runs *= static_cast<double>(dim.intervals[f].size());
  return runs;
}

int64_t partita::overlap(const DimSharding &a, const DimSharding &b,
                         const Mesh &mesh, const std::vector<int64_t> &coords) {
  auto box = [&](const DimSharding &dim) {
    Sharding sharding;
    sharding.dims.push_back(dim);
    return boxOf(sharding, mesh, coords);
  };
  Box mine = box(a), other = box(b);
  // A dimension of billions in alternating pieces has billions of runs, and
  // they overlap as if by chance.
  constexpr double maxRuns = 1 << 16;
  if (std::max(mostRuns(mine), mostRuns(other)) > maxRuns)
    return static_cast<int64_t>(static_cast<double>(mine.numElements()) *
                                static_cast<double>(other.numElements()) /
                                static_cast<double>(a.size()));
  int64_t count = 0;
  for (const SharedRun &run : intersect(mine, other))
    count += run.count;
  return count;
}

/// The most elements that a rank does not have yet.
static int64_t fetchedElements(const Sharding &from, const Sharding &to,
                               const Mesh &mesh) {
  int64_t most = 0;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    std::vector<int64_t> coords = mesh.coordinates(rank);
    int64_t kept = 1;
    for (size_t d = 0; d < to.dims.size(); ++d)
      kept *= overlap(from.dims[d], to.dims[d], mesh, coords);
    most = std::max(most, boxOf(to, mesh, coords).numElements() - kept);
  }
  return most;
}

int64_t CollectiveCost::picoseconds(MoveKind kind, const std::vector<int> &axes,
                                    DType dtype, const Sharding &from,
                                    const Sharding &to) const {
  int64_t ranks = 1;
  for (int axis : axes)
    ranks *= grid.axisSizes[axis];
  int64_t fromBytes = maxLocalBytes(from, grid, dtype);
  int64_t toBytes = maxLocalBytes(to, grid, dtype), fetched = toBytes;
  bool halos = kind == MoveKind::HaloExchange;
  if ((kind == MoveKind::AllToAll || halos) &&
      grid.numRanks() <= maxRanksForOverlap)
    fetched = fetchedElements(from, to, grid) *
              static_cast<int64_t>(dtypeSize(dtype));
  else if (halos)
    fetched = std::max<int64_t>(toBytes - fromBytes, 0);
  return picoseconds(kind, ranks, fromBytes, toBytes, fetched);
}

int64_t CollectiveCost::picoseconds(MoveKind kind, int64_t ranks,
                                    int64_t fromBytes, int64_t toBytes,
                                    int64_t fetchedBytes) const {
  if (ranks <= 1)
    return 0;
  double p = static_cast<double>(ranks), from = static_cast<double>(fromBytes),
         to = static_cast<double>(toBytes);
  double barrier = link.latencySeconds * std::ceil(std::log2(p));
  double beta = link.bandwidth, memory = device.memoryBandwidth;
  switch (kind) {
  case MoveKind::AllGather:
    return toPicoseconds(barrier + (p - 1) * from / beta + to / memory);
  case MoveKind::ReduceScatter:
    return toPicoseconds(barrier + (p - 1) * to / beta + to / memory);
  case MoveKind::AllReduce: { // A reduce-scatter, then an all-gather.
    double share = std::ceil(from / p);
    return toPicoseconds(2 * barrier + 2 * (p - 1) * share / beta +
                         (share + to) / memory);
  }
  case MoveKind::AllToAll:
  case MoveKind::HaloExchange:
    return toPicoseconds(barrier + static_cast<double>(fetchedBytes) / beta +
                         to / memory);
  case MoveKind::Permute:
    return toPicoseconds(barrier + to / beta + to / memory);
  case MoveKind::Slice: // One local copy, read and written.
    return toPicoseconds(device.launchSeconds +
                         2 * to / device.memoryBandwidth);
  case MoveKind::ToPartial: // Zeros are written, or the data stay.
    return toPicoseconds(device.launchSeconds + to / device.memoryBandwidth);
  }
  return 0;
}

int64_t partita::maxLocalBytes(const Sharding &sharding, const Mesh &mesh,
                               DType dtype) {
  __int128 bytes = static_cast<int64_t>(dtypeSize(dtype));
  for (const DimSharding &dim : sharding.dims)
    for (const FactorSharding &factor : dim.factors) {
      bytes *= maxShardSize(factor, mesh);
      if (bytes > INT64_MAX)
        return INT64_MAX;
    }
  return static_cast<int64_t>(bytes);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

namespace {
/// Shares of the device's rates that a class of kernels sustains.
struct Efficiency {
  double compute, memory;
};
} // namespace

static Efficiency efficiencyOf(KernelClass kernelClass) {
  switch (kernelClass) {
  case KernelClass::Gemm:
    return {0.85, 0.9};
  case KernelClass::Conv:
    return {0.7, 0.8};
  case KernelClass::Attention:
    return {0.5, 0.8};
  case KernelClass::Free:
  case KernelClass::Memory:
    break;
  }
  // Elementwise and reduction kernels: a vector unit without fused products
  // kept full, transcendentals counted as several operations by their flops.
  return {0.1, 0.9};
}

KernelCost::KernelCost(const Topology &topology)
    : device(topology.commonDevice()) {}

int64_t KernelCost::picoseconds(KernelClass kernelClass, DType dtype,
                                int64_t flops, int64_t bytes) const {
  if (kernelClass == KernelClass::Free)
    return 0;
  Efficiency efficiency = efficiencyOf(kernelClass);
  Precision precision = precisionOf(dtype);
  double peak = kernelClass == KernelClass::Memory
                    ? device.vectorPeak(precision)
                    : device.matrixPeak(precision);
  double compute = static_cast<double>(flops) / (peak * efficiency.compute);
  double memory =
      static_cast<double>(bytes) / (device.memoryBandwidth * efficiency.memory);
  return toPicoseconds(std::max(compute, memory) + device.launchSeconds);
}
