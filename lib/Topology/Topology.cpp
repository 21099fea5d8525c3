//===- Topology.cpp - The machines that a model runs on -------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Topology/Topology.h"
#include <algorithm>
#include <cassert>
#include <numeric>

using namespace partita;

//===----------------------------------------------------------------------===//
// Links
//===----------------------------------------------------------------------===//

static const char *const linkKindNames[numLinkKinds] = {
    "shared-memory", "nvlink",     "nvswitch", "xgmi",
    "pcie",          "infiniband", "ethernet"};

const char *partita::linkKindName(LinkKind kind) {
  return linkKindNames[static_cast<size_t>(kind)];
}

std::optional<LinkKind> partita::parseLinkKind(std::string_view name) {
  for (size_t k = 0; k < numLinkKinds; ++k)
    if (name == linkKindNames[k])
      return static_cast<LinkKind>(k);
  return std::nullopt;
}

double Link::sharedBandwidth(int64_t activePerChild, int64_t children) const {
  double perChild = static_cast<double>(activePerChild);
  double most = bandwidth;
  if (childBandwidth > 0)
    most = std::min(most, childBandwidth / perChild);
  if (mediumBandwidth > 0)
    most = std::min(most, mediumBandwidth /
                              (perChild * static_cast<double>(children)));
  // With one peer a child, the link to it is all that a rank uses.
  if (pairBandwidth > 0)
    most = std::min(most, pairBandwidth * static_cast<double>(children - 1));
  return most;
}

/// The smaller of two limits, of which zero is none.
static double tighter(double a, double b) {
  return a > 0 && b > 0 ? std::min(a, b) : std::max(a, b);
}

Link partita::slower(const Link &a, const Link &b) {
  Link link;
  link.kind = a.bandwidth <= b.bandwidth ? a.kind : b.kind;
  link.latencySeconds = std::max(a.latencySeconds, b.latencySeconds);
  link.bandwidth = std::min(a.bandwidth, b.bandwidth);
  link.pairBandwidth = tighter(a.pairBandwidth, b.pairBandwidth);
  link.childBandwidth = tighter(a.childBandwidth, b.childBandwidth);
  link.mediumBandwidth = tighter(a.mediumBandwidth, b.mediumBandwidth);
  link.channels = std::min(a.channels, b.channels);
  link.reduces = a.reduces && b.reduces;
  return link;
}

//===----------------------------------------------------------------------===//
// Ranks
//===----------------------------------------------------------------------===//

int64_t Topology::numRanks() const {
  int64_t ranks = 1;
  for (const Level &level : levels)
    ranks *= level.size;
  return ranks;
}

const DeviceType &Topology::deviceOf(int64_t rank) const {
  auto after = std::upper_bound(
      ranges.begin(), ranges.end(), rank,
      [](int64_t r, const DeviceRange &range) { return r < range.first; });
  assert(after != ranges.begin());
  return devices[(after - 1)->type];
}

bool Topology::isOneProcess() const {
  return std::all_of(devices.begin(), devices.end(),
                     [](const DeviceType &device) {
                       return device.kind == DeviceKind::Cpu;
                     }) &&
         std::none_of(levels.begin(), levels.end(), [](const Level &level) {
           return isNetwork(level.link.kind);
         });
}

DeviceType Topology::commonDevice() const {
  DeviceType device = devices.front();
  for (const DeviceType &other : devices)
    device = weaker(device, other);
  return device;
}

Link Topology::linkOf(int level) const {
  Link link = levels[level].link;
  for (const LinkOverride &other : overrides)
    if (other.level == level)
      link = slower(link, other.link);
  return link;
}

int64_t Topology::ranksPerChild(int level) const {
  int64_t ranks = 1;
  for (int below = 0; below < level; ++below)
    ranks *= levels[below].size;
  return ranks;
}

//===----------------------------------------------------------------------===//
// Axes on levels
//===----------------------------------------------------------------------===//

int AxisSpan::outermost() const {
  for (size_t level = ranks.size(); level-- > 0;)
    if (ranks[level] > 1)
      return static_cast<int>(level);
  return -1;
}

namespace {
/// The ranks i * stride, i < size, of a group, shifted by any multiple of
/// stride * size and anything below stride.
struct Comb {
  int64_t stride, size;

  /// Whether blocks of `block` ranks cut all groups alike.
  bool regularFor(int64_t block) const {
    if (stride % block == 0)
      return true;
    int64_t whole = stride * size;
    return block % stride == 0 && (whole % block == 0 || block % whole == 0);
  }

  /// Members within one block, at most.
  int64_t within(int64_t block) const {
    return std::min(size, (block + stride - 1) / stride);
  }

  /// Blocks that a group has members in, at most.
  int64_t blocks(int64_t block) const {
    int64_t apart = std::gcd(stride * size, block);
    int64_t lastStart = block - apart + std::min(stride, apart) - 1;
    return std::min(size, (lastStart + (size - 1) * stride) / block + 1);
  }
};
} // namespace

AxisSpan Topology::spanOf(const Mesh &mesh,
                          const std::vector<int> &axes) const {
  AxisSpan span{std::vector<int64_t>(levels.size(), 1), true};
  for (int axis : axes) {
    Comb comb{1, mesh.axisSizes[axis]};
    for (int later = axis + 1; later < mesh.numAxes(); ++later)
      comb.stride *= mesh.axisSizes[later];
    int64_t child = 1;
    for (size_t level = 0; level < levels.size(); ++level) {
      bool last = level + 1 == levels.size();
      int64_t block = last ? mesh.numRanks() : child * levels[level].size;
      bool regular = comb.regularFor(child) && (last || comb.regularFor(block));
      span.regular &= regular;
      span.ranks[level] *=
          regular ? comb.within(block) / comb.within(child)
                  : std::min({comb.blocks(child), comb.within(block),
                              (block + child - 1) / child});
      child = block;
    }
  }
  return span;
}
