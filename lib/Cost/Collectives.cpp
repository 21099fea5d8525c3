//===- Collectives.cpp - What moves between ranks cost --------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ranks that are threads of one process read what they need out of their peers'
// memory between two barriers. A barrier of p ranks takes ceil(log2 p)
// latencies. What a rank reads is counted in largest shards, since the last
// rank to finish ends the collective, and what it gets it also writes: a
// reduce-scatter is cheaper than the all-gather of the same bytes, which makes
// p times the result. All other ranks use a library of collectives.
//
//===----------------------------------------------------------------------===//

#include "partita/Cost/Collectives.h"
#include "Algorithms.h"
#include "Measured.h"
#include "Picoseconds.h"
#include "partita/Cost/Kernels.h"
#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

using namespace partita;

static const char *const moveKindNames[] = {
    "all_gather", "reduce_scatter", "all_reduce", "all_to_all",
    "permute",    "halo_exchange",  "slice",      "to_partial"};

const char *partita::moveKindName(MoveKind kind) {
  return moveKindNames[static_cast<int>(kind)];
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

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

namespace {
/// Some factors of a dimension of a box, major first.
struct Part {
  const int64_t *sizes;
  const Interval *intervals;
  size_t count;

  Part(const Box::Dim &dim, size_t begin, size_t end)
      : sizes(&dim.sizes[begin]), intervals(&dim.intervals[begin]),
        count(end - begin) {}
  Box box() const {
    return {{{{sizes, sizes + count}, {intervals, intervals + count}}}};
  }
};
} // namespace

/// How many of the elements before `end` are in the box: digit by digit of
/// `end`, those that have a smaller digit here and the same before it.
static int64_t ownedBelow(const Part &part, int64_t end) {
  int64_t stride = 1, owned = 1, count = 0;
  for (size_t f = 0; f < part.count; ++f) {
    stride *= part.sizes[f];
    owned *= part.intervals[f].size();
  }
  if (owned == 0)
    return 0;
  for (size_t f = 0; f < part.count; ++f) {
    const Interval &mine = part.intervals[f];
    stride /= part.sizes[f];
    owned /= mine.size();
    int64_t digit = end / stride;
    end %= stride;
    count += (std::clamp(digit, mine.begin, mine.end) - mine.begin) * owned;
    if (digit < mine.begin || digit >= mine.end)
      break;
  }
  return count;
}

/// Elements that are in two parts of one size.
static int64_t sharedElements(const Part &a, const Part &b) {
  // A part of one factor is one run.
  for (auto [one, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    if (one->count == 1)
      return ownedBelow(*other, one->intervals[0].end) -
             ownedBelow(*other, one->intervals[0].begin);
  Box few = a.box(), many = b.box();
  if (mostRuns(few) > mostRuns(many))
    std::swap(few, many);
  // A dimension of billions in alternating pieces has billions of runs, and
  // they overlap as if by chance.
  constexpr double maxRuns = 1 << 16;
  if (mostRuns(few) > maxRuns)
    return static_cast<int64_t>(static_cast<double>(few.numElements()) *
                                static_cast<double>(many.numElements()) /
                                static_cast<double>(few.dims[0].globalSize()));
  int64_t count = 0;
  const Part all(many.dims[0], 0, many.dims[0].sizes.size());
  forEachRun(few, [&](Run run) {
    count +=
        ownedBelow(all, run.global + run.count) - ownedBelow(all, run.global);
  });
  return count;
}

int64_t partita::overlap(const Box::Dim &a, const Box::Dim &b) {
  int64_t count = 1;
  size_t endA = a.sizes.size(), endB = b.sizes.size();
  // Where both are cut, what lies before and what lies after are independent.
  while (endA > 0 && endB > 0) {
    size_t i = endA - 1, j = endB - 1;
    int64_t m = a.sizes[i], n = b.sizes[j];
    while (m != n && (m < n ? i : j) > 0)
      if (m < n)
        m *= a.sizes[--i];
      else
        n *= b.sizes[--j];
    if (i + 1 == endA && j + 1 == endB)
      count *= std::max<int64_t>(
          std::min(a.intervals[i].end, b.intervals[j].end) -
              std::max(a.intervals[i].begin, b.intervals[j].begin),
          0);
    else
      count *= sharedElements(Part(a, i, endA), Part(b, j, endB));
    endA = i;
    endB = j;
  }
  return count;
}

/// The most elements that a rank does not have yet.
static int64_t fetchedElements(const Sharding &from, const Sharding &to,
                               const Mesh &mesh) {
  int64_t most = 0;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    std::vector<int64_t> coords = mesh.coordinates(rank);
    Box held = boxOf(from, mesh, coords), wanted = boxOf(to, mesh, coords);
    int64_t kept = 1;
    for (size_t d = 0; d < to.dims.size(); ++d)
      kept *= overlap(held.dims[d], wanted.dims[d]);
    most = std::max(most, wanted.numElements() - kept);
  }
  return most;
}

bool partita::isScattered(uint32_t axes,
                          const std::vector<const DimSharding *> &dims,
                          const Mesh &mesh) {
  bool found = false, before = false;
  for (const DimSharding *dim : dims)
    for (const FactorSharding &factor : dim->factors) {
      bool moved = false;
      for (int axis : factor.axes)
        moved |= axes >> axis & 1 && mesh.axisSizes[axis] > 1;
      if (moved && (found || before))
        return true;
      found |= moved;
      before |= maxShardSize(factor, mesh) > 1;
    }
  return false;
}

int64_t partita::packedBytes(MoveKind kind, uint32_t axes,
                             const std::vector<const DimSharding *> &from,
                             const std::vector<const DimSharding *> &to,
                             int64_t fromBytes, int64_t toBytes,
                             const Mesh &mesh) {
  return packedBytes(
      kind, [&] { return isScattered(axes, from, mesh); },
      [&] { return isScattered(axes, to, mesh); }, fromBytes, toBytes);
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

struct CollectiveCost::State {
  /// The groups along a set of axes.
  struct Groups {
    int64_t ranks = 1;
    /// Of threads of one process, the link; else the library's times.
    Link memoryLink;
    std::optional<GroupTimes> times;
  };

  Topology topology;
  Mesh mesh;
  DeviceType device;
  KernelCost kernels;
  std::optional<MeasuredCollectives> measured;
  std::unordered_map<uint32_t, Groups> known;

  const Groups &groupsAlong(uint32_t axes);
  Group onLevels(const AxisSpan &span, int64_t ranks) const;
  double threads(MoveKind kind, const Groups &groups,
                 const MoveBytes &bytes) const;
  double library(MoveKind kind, const Groups &groups,
                 const MoveBytes &bytes) const;
  double local(MoveKind kind, const MoveBytes &bytes) const;
  std::optional<double> asMeasured(MoveKind kind, const Groups &groups,
                                   const MoveBytes &bytes) const;
};

/// What a collective takes besides its algorithm: part of the fit of latencies.
static constexpr double libraryLaunch = 5e-6;

static bool isLibrary(const DeviceType &device) {
  return device.kind != DeviceKind::Cpu;
}

Group CollectiveCost::State::onLevels(const AxisSpan &span,
                                      int64_t ranks) const {
  Group group;
  group.ranks = static_cast<double>(ranks);
  group.generation = generationOf(device);
  group.library = isLibrary(device);
  // Groups that do not lie alike are priced as if they used the outermost link
  // only.
  int outermost = std::max(span.outermost(), 0);
  for (int l = span.regular ? 0 : outermost; l <= outermost; ++l) {
    int64_t children = span.regular ? span.ranks[l] : ranks;
    if (children <= 1)
      continue;
    Link link = topology.linkOf(l);
    double usable = usableShare(link.kind, group.generation);
    GroupLevel level;
    level.kind = link.kind;
    level.ranks = static_cast<double>(children);
    level.bandwidth =
        usable * std::min(link.sharedBandwidth(topology.ranksPerChild(l),
                                               topology.levels[l].size),
                          link.sharedBandwidth(1, children));
    level.pairBandwidth = usable * link.pairBandwidth;
    level.latencySeconds = link.latencySeconds;
    // NCCL uses the switches for eight ranks and more, from Hopper on.
    level.reduces =
        link.reduces && children >= 8 && group.generation >= Generation::Hopper;
    group.levels.push_back(level);
  }
  return group;
}

const CollectiveCost::State::Groups &
CollectiveCost::State::groupsAlong(uint32_t axes) {
  auto [it, added] = known.try_emplace(axes);
  Groups &groups = it->second;
  if (!added)
    return groups;
  std::vector<int> list;
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    if (axes >> axis & 1) {
      list.push_back(axis);
      groups.ranks *= mesh.axisSizes[axis];
    }
  if (groups.ranks <= 1)
    return groups;
  AxisSpan span = topology.spanOf(mesh, list);
  groups.memoryLink = topology.linkOf(std::max(span.outermost(), 0));
  if (groups.memoryLink.kind != LinkKind::SharedMemory)
    groups.times.emplace(onLevels(span, groups.ranks));
  return groups;
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

double CollectiveCost::State::threads(MoveKind kind, const Groups &groups,
                                      const MoveBytes &bytes) const {
  auto p = static_cast<double>(groups.ranks),
       from = static_cast<double>(bytes.from),
       to = static_cast<double>(bytes.to);
  double barrier = groups.memoryLink.latencySeconds * std::ceil(std::log2(p));
  double link = groups.memoryLink.bandwidth, memory = device.memoryBandwidth;
  switch (kind) {
  case MoveKind::AllGather:
    return barrier + (p - 1) * from / link + to / memory;
  case MoveKind::ReduceScatter:
    return barrier + (p - 1) * to / link + to / memory;
  case MoveKind::AllReduce: { // A reduce-scatter, then an all-gather.
    double share = std::ceil(from / p);
    return 2 * barrier + 2 * (p - 1) * share / link + (share + to) / memory;
  }
  case MoveKind::AllToAll:
  case MoveKind::HaloExchange:
    return barrier + static_cast<double>(bytes.fetched) / link + to / memory;
  default:
    return barrier + to / link + to / memory;
  }
}

double CollectiveCost::State::library(MoveKind kind, const Groups &groups,
                                      const MoveBytes &bytes) const {
  auto p = static_cast<double>(groups.ranks),
       from = static_cast<double>(bytes.from),
       to = static_cast<double>(bytes.to),
       fetched = static_cast<double>(bytes.fetched);
  // A copy reads and writes.
  double fixed = libraryLaunch +
                 2 * static_cast<double>(bytes.packed) / device.memoryBandwidth;
  switch (kind) {
  case MoveKind::AllGather:
    return fixed + groups.times->collective(kind, p * from);
  case MoveKind::ReduceScatter:
    return fixed + groups.times->collective(kind, p * to);
  case MoveKind::AllReduce:
    return fixed + groups.times->collective(kind, from);
  case MoveKind::AllToAll:
    return fixed + groups.times->allToAll(fetched);
  case MoveKind::HaloExchange:
    return fixed + groups.times->permute(fetched) +
           2 * to / device.memoryBandwidth;
  default:
    return fixed + groups.times->permute(to);
  }
}

/// A kernel that does nothing but read and write.
static double copySeconds(const KernelCost &kernels, double bytes) {
  KernelWork work;
  work.bytes = bytes;
  return 1e-12 * static_cast<double>(kernels.picoseconds(work));
}

/// A slice is one local copy, read and written; of a partial value zeros are
/// written, or the data stay.
double CollectiveCost::State::local(MoveKind kind,
                                    const MoveBytes &bytes) const {
  double moved =
      (kind == MoveKind::Slice ? 2 : 1) * static_cast<double>(bytes.to);
  return measured ? copySeconds(kernels, moved)
                  : device.launchSeconds + moved / device.memoryBandwidth;
}

/// A permutation and an exchange of halos are all-to-alls in which ranks take
/// what they lack from one other; the latter copies what ranks have, too.
std::optional<double>
CollectiveCost::State::asMeasured(MoveKind kind, const Groups &groups,
                                  const MoveBytes &bytes) const {
  if (!measured)
    return std::nullopt;
  bool taken = kind == MoveKind::AllToAll || kind == MoveKind::HaloExchange;
  bool before = kind == MoveKind::ReduceScatter || kind == MoveKind::AllReduce;
  bool named = kind <= MoveKind::AllToAll;
  auto seconds = measured->seconds(
      moveKindName(named ? kind : MoveKind::AllToAll), groups.ranks,
      static_cast<double>(taken    ? bytes.fetched
                          : before ? bytes.from
                                   : bytes.to));
  if (seconds && kind == MoveKind::HaloExchange)
    *seconds += copySeconds(kernels, 2 * static_cast<double>(bytes.to));
  return seconds;
}

CollectiveCost::CollectiveCost(const Topology &topology, const Mesh &mesh)
    : state(std::make_shared<State>(State{topology,
                                          mesh,
                                          topology.commonDevice(),
                                          KernelCost(topology),
                                          std::nullopt,
                                          {}})) {
  if (topology.measured)
    state->measured.emplace(topology.measured->collectives);
}

const Mesh &CollectiveCost::mesh() const { return state->mesh; }
bool CollectiveCost::packs() const { return isLibrary(state->device); }

int64_t CollectiveCost::picoseconds(MoveKind kind, uint32_t axes,
                                    const MoveBytes &bytes) const {
  const State::Groups &groups = state->groupsAlong(axes);
  if (groups.ranks <= 1)
    return 0;
  if (isLocalMove(kind))
    return toPicoseconds(state->local(kind, bytes));
  if (auto seconds = state->asMeasured(kind, groups, bytes))
    return toPicoseconds(*seconds);
  return toPicoseconds(groups.times ? state->library(kind, groups, bytes)
                                    : state->threads(kind, groups, bytes));
}

static std::vector<const DimSharding *> dimsOf(const Sharding &sharding) {
  std::vector<const DimSharding *> dims;
  for (const DimSharding &dim : sharding.dims)
    dims.push_back(&dim);
  return dims;
}

int64_t CollectiveCost::picoseconds(MoveKind kind, const std::vector<int> &axes,
                                    DType dtype, const Sharding &from,
                                    const Sharding &to) const {
  const Mesh &grid = state->mesh;
  uint32_t bits = 0;
  for (int axis : axes)
    bits |= 1u << axis;
  MoveBytes bytes;
  bytes.from = maxLocalBytes(from, grid, dtype);
  bytes.to = bytes.fetched = maxLocalBytes(to, grid, dtype);
  bool halos = kind == MoveKind::HaloExchange;
  if ((kind == MoveKind::AllToAll || halos) &&
      grid.numRanks() <= maxRanksForOverlap)
    bytes.fetched = fetchedElements(from, to, grid) *
                    static_cast<int64_t>(dtypeSize(dtype));
  else if (halos)
    bytes.fetched = std::max<int64_t>(bytes.to - bytes.from, 0);
  if (packs())
    bytes.packed = packedBytes(kind, bits, dimsOf(from), dimsOf(to), bytes.from,
                               bytes.to, grid);
  return picoseconds(kind, bits, bytes);
}
