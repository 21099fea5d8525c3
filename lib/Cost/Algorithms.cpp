//===- Algorithms.cpp - The algorithms of collectives ---------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Formulas and constants without another source are NCCL's own, by which it
// chooses: src/graph/tuning.cc and src/graph/topo.h at commit 5067397c26.
//
//===----------------------------------------------------------------------===//

#include "Algorithms.h"
#include <algorithm>
#include <cmath>

using namespace partita;

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// By protocol: LL, LL128, Simple.
using ByProtocol = std::array<double, 3>;
static constexpr size_t LL = 0, LL128 = 1, Simple = 2;

static constexpr double micro = 1e-6, giga = 1e9;

/// baseLatencies, in microseconds.
static constexpr ByProtocol ringBase{6.6, 14, 8.4}, treeBase{6.8, 14, 8.4};

/// hwLatencies of a step, in microseconds.
struct StepLatency {
  ByProtocol ring, tree;
};
static constexpr StepLatency nvlinkStep{{0.6, 1.9, 3.4}, {0.6, 1.25, 4}};
static constexpr StepLatency pciStep{{1, 2.5, 5.7}, {1, 1.9, 4}};
static constexpr StepLatency networkStep{{2.7, 4, 14}, {5, 8.5, 14}};
/// NVLS, in a node.
static constexpr double switchStep = 25;

/// llMaxBws: what LL carries at most on one node, on two, on more; bytes per
/// second.
static double mostOfLL(Generation generation, double nodes) {
  struct Limits {
    double one, two, more;
  };
  Limits limits{87.7, 22.5, 19}; // Ampere
  if (generation == Generation::Volta)
    limits = {39, 39, 20.4};
  if (generation == Generation::Hopper)
    limits = {141, 45, 35};
  if (generation == Generation::Blackwell)
    limits = {282, 90, 70};
  return giga * (nodes <= 1   ? limits.one
                 : nodes <= 2 ? limits.two
                              : limits.more);
}

/// treeCorrectionFactor: shares of the bandwidth that trees reach at 64 bytes,
/// 128, ...
static constexpr std::array<std::array<double, 24>, 3> treeShares{{
    {1,  1,  1,  1,  .9, .8, .7, .7, .7, .7, .6, .5,
     .4, .4, .5, .6, .7, .8, .9, 1,  1,  1,  1,  1},
    {1,  1,  1,  1,  1,  .9, .8, .8, .8, .7, .6, .6,
     .6, .6, .6, .6, .8, .9, .9, .9, .9, 1,  1,  1},
    {.9, .9, .9, .9, .9, .9, .9, .8, .7, .6, .6, .5,
     .5, .5, .5, .6, .7, .8, .7, .7, .8, .9, .9, .9},
}};

/// Rings at a gigabyte and more, measured with nccl-tests: 134.5 GB/s of 150 on
/// V100 and 234 of 300 on A100 (eight ranks; vTrain, commit f8dda8473a; S.
/// Bekman, ML engineering, commit 744d01e18b), 362 of 450 on H100 (all-gather;
/// NVIDIA dgxc-benchmarking, commit 841f5466cd), 23.7 of 31.5 over PCIe 4
/// (Vidur, commit 7d47513363). NCCL counts 40.1 of 50 GB/s of a link of
/// Blackwell. XGMI, InfiniBand and Ethernet are assumptions.
double partita::usableShare(LinkKind kind, Generation generation) {
  switch (kind) {
  case LinkKind::SharedMemory:
    return 1;
  case LinkKind::NVLink:
  case LinkKind::NVSwitch:
    return generation == Generation::Volta       ? 0.897
           : generation == Generation::Hopper    ? 0.804
           : generation == Generation::Blackwell ? 0.802
                                                 : 0.78;
  case LinkKind::XGMI:
    return 0.7;
  case LinkKind::PCIe:
    return 0.75;
  case LinkKind::InfiniBand:
    return 0.92;
  case LinkKind::Ethernet:
    return 0.85;
  }
  return 1;
}

/// How many of NCCL's latencies a step takes, fitted on all-reduces inside a
/// node. NCCL's are for comparing its algorithms, not for telling the time.
static double latencyFactor(LinkKind kind, Generation generation) {
  if (kind == LinkKind::PCIe)
    return 2;
  if (kind != LinkKind::NVLink && kind != LinkKind::NVSwitch)
    return 1;
  return generation == Generation::Volta    ? 2
         : generation == Generation::Ampere ? 3.75
                                            : 1.25;
}

/// nvlsEfficiency.
static double switchEfficiency(Generation generation) {
  return generation == Generation::Blackwell ? 0.74 : 0.85;
}

//===----------------------------------------------------------------------===//
// Levels
//===----------------------------------------------------------------------===//

/// Seconds of a step over the link of a level.
static double stepSeconds(const Group &group, const GroupLevel &level,
                          bool tree, size_t protocol) {
  if (!group.library)
    return level.latencySeconds;
  const StepLatency &step = isNetwork(level.kind)          ? networkStep
                            : level.kind == LinkKind::PCIe ? pciStep
                                                           : nvlinkStep;
  double own = micro * latencyFactor(level.kind, group.generation) *
               (tree ? step.tree : step.ring)[protocol];
  return std::max(own, isNetwork(level.kind) ? level.latencySeconds : 0.0);
}

/// What a ring through levels first to last (exclusive) carries: the ranks of a
/// child cross a level together, each over its own share of it.
static double ringBandwidth(const Group &group, size_t first, size_t last) {
  double least = HUGE_VAL, members = 1;
  for (size_t l = first; l < last; ++l) {
    least = std::min(least, group.levels[l].bandwidth * members);
    members *= group.levels[l].ranks;
  }
  return least;
}

static double ranksOf(const Group &group, size_t first, size_t last) {
  double ranks = 1;
  for (size_t l = first; l < last; ++l)
    ranks *= group.levels[l].ranks;
  return ranks;
}

static double nodesOf(const Group &group, size_t first, size_t last) {
  double nodes = 1;
  for (size_t l = first; l < last; ++l)
    if (isNetwork(group.levels[l].kind))
      nodes *= group.levels[l].ranks;
  return nodes;
}

//===----------------------------------------------------------------------===//
// Algorithms
//===----------------------------------------------------------------------===//

double GroupTimes::Option::seconds(double bytes) const {
  double share = 1;
  if (shares) {
    // Between two entries in proportion, so that more bytes take longer.
    double place = std::clamp(std::log2(std::max(bytes, 1.0)) - 6, 0.0,
                              static_cast<double>(shares->size() - 1));
    auto below = std::min(static_cast<size_t>(place), shares->size() - 2);
    double part = place - static_cast<double>(below);
    share = (*shares)[below] * (1 - part) + (*shares)[below + 1] * part;
  }
  return latency + bytes * secondsPerByte / share;
}

double GroupTimes::Phase::seconds(double bytes) const {
  double best = HUGE_VAL;
  for (const Option &option : options)
    best = std::min(best, option.seconds(bytes * share));
  return best;
}

/// p - 1 steps for each half of an all-reduce; of those around n nodes n - 1
/// cross the network. A step moves 1/p of the bytes.
void GroupTimes::addRing(std::vector<Option> &out, MoveKind kind,
                         const Group &group, size_t first, size_t last) {
  double p = ranksOf(group, first, last);
  double halves = kind == MoveKind::AllReduce ? 2 : 1;
  double bandwidth = ringBandwidth(group, first, last);
  for (size_t protocol : {LL, LL128, Simple}) {
    if (!group.library && protocol != Simple)
      continue;
    double latency = group.library ? micro * ringBase[protocol] : 0;
    for (size_t l = first; l < last; ++l)
      latency += halves *
                 (ranksOf(group, l, last) - ranksOf(group, l + 1, last)) *
                 stepSeconds(group, group.levels[l], false, protocol);
    double rate = bandwidth;
    if (protocol == LL)
      rate = std::min(mostOfLL(group.generation, nodesOf(group, first, last)),
                      bandwidth / 2);
    if (protocol == LL128)
      rate = bandwidth * 0.92;
    out.push_back({latency, halves * (p - 1) / p / rate});
  }
}

/// Chains inside nodes, two binary trees across them; up, then down.
void GroupTimes::addTree(std::vector<Option> &out, const Group &group,
                         size_t first, size_t last) {
  double bandwidth = ringBandwidth(group, first, last);
  double nodes = nodesOf(group, first, last);
  for (size_t protocol : {LL, LL128, Simple}) {
    double latency = micro * treeBase[protocol];
    for (size_t l = first; l < last; ++l) {
      const GroupLevel &level = group.levels[l];
      double depth = isNetwork(level.kind) ? std::ceil(std::log2(level.ranks))
                                           : level.ranks - 1;
      latency += 2 * depth * stepSeconds(group, level, true, protocol);
    }
    double rate = bandwidth * 0.92;
    if (protocol == LL)
      rate = std::min(bandwidth / 3.8, mostOfLL(group.generation, nodes));
    if (protocol == LL128)
      rate = bandwidth * (nodes > 1 ? 120.0 / 128 : 7.0 / 9);
    out.push_back({latency, 2 / rate, &treeShares[protocol]});
  }
}

/// What levels first to last (exclusive) can do in one collective.
std::vector<GroupTimes::Option> GroupTimes::options(MoveKind kind,
                                                    const Group &group,
                                                    size_t first, size_t last) {
  std::vector<Option> out;
  addRing(out, kind, group, first, last);
  if (kind != MoveKind::AllReduce || !group.library)
    return out;
  addTree(out, group, first, last);
  const GroupLevel &level = group.levels[first];
  if (level.reduces && last == first + 1) {
    // A rank sends what the switch adds up, and 1/p of the sums to the others.
    double p = level.ranks;
    double rate = level.bandwidth * switchEfficiency(group.generation);
    out.push_back(
        {micro * switchStep * latencyFactor(level.kind, group.generation),
         (1 + 1 / p) / rate});
  }
  return out;
}

/// Inner levels have 1/ranks of the bytes left for the next one.
GroupTimes::Way GroupTimes::levelByLevel(MoveKind kind, const Group &group) {
  Way way;
  double share = 1;
  size_t last = group.levels.size() - 1;
  for (size_t l = 0; l <= last; ++l) {
    if (kind != MoveKind::AllReduce || l == last) {
      way.push_back({share, options(kind, group, l, l + 1)});
    } else {
      way.push_back({share, options(MoveKind::ReduceScatter, group, l, l + 1)});
      way.push_back({share, options(MoveKind::AllGather, group, l, l + 1)});
    }
    share /= group.levels[l].ranks;
  }
  return way;
}

GroupTimes::GroupTimes(const Group &group) {
  size_t levels = group.levels.size();
  for (MoveKind kind :
       {MoveKind::AllGather, MoveKind::ReduceScatter, MoveKind::AllReduce}) {
    std::vector<Way> &list = ways[static_cast<size_t>(kind)];
    list.push_back({{1, options(kind, group, 0, levels)}});
    if (levels > 1)
      list.push_back(levelByLevel(kind, group));
  }
  // All links carry their part of an all-to-all at the same time. Sends to many
  // fill them less than a ring does: 195 of 234 GB/s at a gigabyte on eight
  // A100 (Hetu-Galvatron, commit cea12ffb14).
  constexpr double manySends = 0.83;
  allToAllLatency = group.library ? micro * ringBase[Simple] : 0;
  double within = 1;
  for (const GroupLevel &level : group.levels) {
    double part = within * (level.ranks - 1) / (group.ranks - 1);
    allToAllLatency += std::ceil(std::log2(level.ranks)) *
                       stepSeconds(group, level, false, Simple);
    allToAllSecondsPerByte =
        std::max(allToAllSecondsPerByte, part / (manySends * level.bandwidth));
    if (level.pairBandwidth > 0)
      allToAllSecondsPerByte = std::max(
          allToAllSecondsPerByte, 1 / (group.ranks - 1) / level.pairBandwidth);
    within *= level.ranks;
  }
  // One step over the farthest link, with nothing to agree on before.
  const GroupLevel &farthest = group.levels.back();
  double rate = farthest.bandwidth;
  if (farthest.pairBandwidth > 0)
    rate = std::min(rate, farthest.pairBandwidth);
  if (group.library)
    permutation.options.push_back(
        {stepSeconds(group, farthest, false, LL), 2 / rate});
  permutation.options.push_back(
      {stepSeconds(group, farthest, false, Simple), 1 / rate});
}

double GroupTimes::collective(MoveKind kind, double bytes) const {
  double best = HUGE_VAL;
  for (const Way &way : ways[static_cast<size_t>(kind)]) {
    double seconds = 0;
    for (const Phase &phase : way)
      seconds += phase.seconds(bytes);
    best = std::min(best, seconds);
  }
  return best;
}

double GroupTimes::allToAll(double bytes) const {
  return allToAllLatency + bytes * allToAllSecondsPerByte;
}

double GroupTimes::permute(double bytes) const {
  return permutation.seconds(bytes);
}
