//===- DimSpace.cpp - The layouts of one dimension ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DimSpace.h"
#include "partita/Cost/Cost.h"
#include <algorithm>
#include <utility>

using namespace partita;
using namespace partita::reshard;

//===----------------------------------------------------------------------===//
// Refinements
//===----------------------------------------------------------------------===//

/// Places between factors, as products of what is minor to them, descending.
static std::vector<int64_t> cutsOf(const Base &base) {
  std::vector<int64_t> cuts;
  int64_t product = 1;
  for (size_t i = base.size(); i-- > 1;) {
    product *= base[i];
    cuts.push_back(product);
  }
  std::reverse(cuts.begin(), cuts.end());
  return cuts;
}

Base reshard::commonRefinement(const Base &a, const Base &b) {
  std::vector<int64_t> cuts = cutsOf(a), more = cutsOf(b);
  cuts.insert(cuts.end(), more.begin(), more.end());
  std::sort(cuts.rbegin(), cuts.rend());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  int64_t left = 1;
  for (int64_t size : a)
    left *= size;
  Base out;
  for (int64_t cut : cuts) {
    if (cut <= 0 || left % cut != 0)
      return {};
    out.push_back(left / cut);
    left = cut;
  }
  out.push_back(left);
  return out;
}

static int64_t partsOf(const std::vector<int> &axes, const Mesh &mesh) {
  int64_t parts = 1;
  for (int axis : axes)
    parts *= mesh.axisSizes[axis];
  return parts;
}

/// Appends `factor` to `out`, cut where that describes the same blocks. `cuts`
/// are relative to the factor's minor end, descending.
static void expandFactor(FactorSharding factor,
                         const std::vector<int64_t> &cuts, const Mesh &mesh,
                         std::vector<FactorSharding> &out) {
  for (int64_t cut : cuts) {
    int64_t major = factor.size / cut;
    if (factor.size % cut != 0 || major <= 1 || cut <= 1)
      continue;
    // Whole units of the major part: the minor part is whole.
    if (major % partsOf(factor.axes, mesh) == 0) {
      out.push_back({major, factor.axes});
      factor = {cut, {}};
      continue;
    }
    // Leading axes that give each rank one unit: the others split that unit.
    std::vector<int> leading;
    for (int axis : factor.axes) {
      leading.push_back(axis);
      if (partsOf(leading, mesh) >= major)
        break;
    }
    if (partsOf(leading, mesh) != major)
      continue;
    factor.axes.erase(factor.axes.begin(),
                      factor.axes.begin() + static_cast<long>(leading.size()));
    out.push_back({major, std::move(leading)});
    factor.size = cut;
  }
  out.push_back(std::move(factor));
}

std::vector<std::vector<FactorSharding>>
DimSpace::expansions(const DimSharding &dim) {
  std::vector<std::vector<FactorSharding>> all{dim.factors};
  for (const Base &base : bases) {
    std::vector<FactorSharding> expanded;
    int64_t major = size;
    for (const FactorSharding &factor : dim.factors) {
      int64_t minor = factor.size ? major / factor.size : 1;
      std::vector<int64_t> cuts;
      for (int64_t cut : cutsOf(base))
        if (cut > minor && cut < major && cut % minor == 0)
          cuts.push_back(cut / minor);
      expandFactor(factor, cuts, mesh, expanded);
      major = minor;
    }
    if (std::find(all.begin(), all.end(), expanded) == all.end())
      all.push_back(std::move(expanded));
  }
  return all;
}

//===----------------------------------------------------------------------===//
// Layouts and their steps
//===----------------------------------------------------------------------===//

int DimLayouts::intern(const DimSharding &canonical) {
  auto [it, added] =
      numbers.try_emplace(canonical, static_cast<int>(layouts.size()));
  if (!added)
    return it->second;
  Layout layout{canonical, 1, 0, digitsOf(canonical, mesh)};
  for (const FactorSharding &factor : canonical.factors) {
    int64_t local = factor.size;
    for (int axis : factor.axes) {
      layout.axes |= 1u << axis;
      local = (local + mesh.axisSizes[axis] - 1) / mesh.axisSizes[axis];
    }
    layout.localSize *= local;
  }
  layouts.push_back(std::move(layout));
  return it->second;
}

DimSpace::DimSpace(int64_t size, std::vector<Base> bases, DimLayouts &known,
                   const Mesh &mesh)
    : size(size), bases(std::move(bases)), all(known), mesh(mesh) {}

uint16_t DimSpace::intern(const DimSharding &dim) {
  Sharding whole;
  whole.dims.push_back(dim);
  DimSharding form = canonical(whole, mesh).dims[0];
  auto [it, added] =
      numbers.try_emplace(form, static_cast<uint16_t>(layouts.size()));
  if (!added)
    return it->second;
  int number = all.intern(form);
  layouts.push_back({&all.layout(number), number});
  return it->second;
}

void DimSpace::step(uint16_t id) {
  if (layouts[id].stepped)
    return;
  std::vector<Step> removals, additions;
  auto add = [](std::vector<Step> &steps, Step step) {
    for (const Step &other : steps)
      if (other.axis == step.axis && other.to == step.to)
        return;
    steps.push_back(step);
  };
  uint32_t used = layouts[id].of->axes;
  for (std::vector<FactorSharding> &factors : expansions(layouts[id].of->dim))
    for (size_t f = 0; f < factors.size(); ++f) {
      if (!factors[f].axes.empty()) {
        DimSharding next{factors};
        int axis = next.factors[f].axes.back();
        next.factors[f].axes.pop_back();
        add(removals, {axis, intern(next)});
      }
      int64_t parts = partsOf(factors[f].axes, mesh);
      for (int axis = 0; axis < mesh.numAxes(); ++axis) {
        if (used >> axis & 1 || mesh.axisSizes[axis] == 1 ||
            parts * mesh.axisSizes[axis] > factors[f].size)
          continue;
        DimSharding next{factors};
        next.factors[f].axes.push_back(axis);
        add(additions, {axis, intern(next)});
      }
    }
  layouts[id].removals = std::move(removals);
  layouts[id].additions = std::move(additions);
  layouts[id].stepped = true;
}

const std::vector<Step> &DimSpace::removals(uint16_t id) {
  step(id);
  return layouts[id].removals;
}

const std::vector<Step> &DimSpace::additions(uint16_t id) {
  step(id);
  return layouts[id].additions;
}

uint16_t DimSpace::exchanged(uint16_t id, int a, int b) {
  if (!((axes(id) >> a | axes(id) >> b) & 1))
    return id;
  for (auto [pair, to] : layouts[id].exchanged)
    if (pair == std::pair(a, b))
      return to;
  DimSharding dim = layouts[id].of->dim;
  for (FactorSharding &factor : dim.factors)
    for (int &axis : factor.axes)
      axis = axis == a ? b : axis == b ? a : axis;
  uint16_t to = intern(dim);
  layouts[id].exchanged.push_back({{a, b}, to});
  return to;
}

/// The blocks of a factor in the order of the axes' digits.
static std::vector<int64_t>
blockStarts(int64_t size, const std::vector<int> &axes, const Mesh &mesh) {
  std::vector<int64_t> starts;
  std::vector<int64_t> coords(mesh.numAxes(), 0);
  int64_t blocks = partsOf(axes, mesh);
  for (int64_t i = 0; i < blocks; ++i) {
    int64_t digits = i;
    for (size_t a = axes.size(); a-- > 0;) {
      coords[axes[a]] = digits % mesh.axisSizes[axes[a]];
      digits /= mesh.axisSizes[axes[a]];
    }
    starts.push_back(shardInterval(size, axes, mesh, coords).begin);
  }
  return starts;
}

const std::vector<std::pair<uint32_t, uint16_t>> &
DimSpace::renested(uint16_t id) {
  if (layouts[id].renested)
    return *layouts[id].renested;
  std::vector<std::pair<uint32_t, uint16_t>> out;
  DimSharding dim = layouts[id].of->dim;
  for (FactorSharding &factor : dim.factors)
    for (size_t i = 0; i + 1 < factor.axes.size(); ++i) {
      std::vector<int> before = factor.axes;
      std::swap(factor.axes[i], factor.axes[i + 1]);
      // Uneven blocks may come out elsewhere. Many ranks and many axes: even
      // blocks need no look, and others are rare enough to be left out.
      bool same = factor.size % partsOf(before, mesh) == 0;
      if (!same && partsOf(before, mesh) <= 4096)
        same = blockStarts(factor.size, before, mesh) ==
               blockStarts(factor.size, factor.axes, mesh);
      if (same)
        out.push_back({1u << before[i] | 1u << before[i + 1], intern(dim)});
      factor.axes = before;
    }
  return layouts[id].renested.emplace(std::move(out));
}

//===----------------------------------------------------------------------===//
// What ranks keep
//===----------------------------------------------------------------------===//

size_t reshard::placeOf(uint32_t axes, const Mesh &mesh,
                        const std::vector<int64_t> &coords) {
  int64_t place = 0;
  for (int axis = 0; axis < mesh.numAxes(); ++axis)
    if (axes >> axis & 1)
      place = place * mesh.axisSizes[axis] + coords[axis];
  return static_cast<size_t>(place);
}

/// Removes the axes along which all shares are equal.
static void dropAxes(uint32_t &axes, std::vector<Share> &shares,
                     const Mesh &mesh) {
  for (int axis = 0; axis < mesh.numAxes(); ++axis) {
    if (!(axes >> axis & 1))
      continue;
    std::vector<Share> fewer;
    bool same = true;
    forEachPlace(axes, mesh, [&](std::vector<int64_t> &coords) {
      const Share &share = shares[placeOf(axes, mesh, coords)];
      int64_t mine = std::exchange(coords[axis], 0);
      same &= share == shares[placeOf(axes, mesh, coords)];
      coords[axis] = mine;
      if (mine == 0)
        fewer.push_back(share);
    });
    if (!same)
      continue;
    axes &= ~(1u << axis);
    shares = std::move(fewer);
  }
}

const std::vector<Box::Dim> &DimLayouts::boxes(Layout &layout) const {
  if (layout.boxes.empty()) {
    Sharding sharding;
    sharding.dims.push_back(layout.dim);
    forEachPlace(layout.axes, mesh, [&](std::vector<int64_t> &coords) {
      layout.boxes.push_back(boxOf(sharding, mesh, coords).dims[0]);
    });
  }
  return layout.boxes;
}

Share DimLayouts::shareAt(Layout &from, Layout &to,
                          const std::vector<int64_t> &coords) const {
  const Box::Dim &had = boxes(from)[placeOf(from.axes, mesh, coords)];
  const Box::Dim &mine = boxes(to)[placeOf(to.axes, mesh, coords)];
  return {mine.localSize(), overlap(had, mine)};
}

const std::vector<Share> &DimLayouts::shares(int from, int to) {
  std::vector<Share> &shares = knownShares[uint64_t(from) << 32 | uint64_t(to)];
  if (shares.empty())
    forEachPlace(
        kept(from, to).axes, mesh, [&](const std::vector<int64_t> &coords) {
          shares.push_back(shareAt(layouts[from], layouts[to], coords));
        });
  return shares;
}

/// Whether a rank keeps nothing; the first that does is found soon.
bool DimLayouts::isLostSomewhere(Layout &from, Layout &to) const {
  return untilPlace(from.axes | to.axes, mesh,
                    [&](const std::vector<int64_t> &coords) {
                      return shareAt(from, to, coords).kept == 0;
                    });
}

Kept DimLayouts::keptOf(Layout &from, Layout &to) const {
  Kept kept;
  kept.axes = from.axes | to.axes;
  if (from.digits && to.digits) {
    if (auto ofDigits = keptOfDigits(*from.digits, *to.digits))
      return std::move(*ofDigits);
    if (isLostSomewhere(from, to)) {
      kept.first = shareAt(from, to, std::vector<int64_t>(mesh.numAxes(), 0));
      kept.worst = {{kept.first.owned, 0}};
      return kept;
    }
  }
  std::vector<Share> order;
  forEachPlace(kept.axes, mesh, [&](const std::vector<int64_t> &coords) {
    order.push_back(shareAt(from, to, coords));
  });
  dropAxes(kept.axes, order, mesh);
  kept.first = order[0];
  if (!kept.axes)
    return kept;
  kept.isEven =
      std::all_of(order.begin(), order.end(), [&](const Share &share) {
        return share.owned == kept.first.owned;
      });
  std::sort(order.begin(), order.end(), [](const Share &a, const Share &b) {
    return std::pair(-a.owned, a.kept) < std::pair(-b.owned, b.kept);
  });
  for (const Share &share : order)
    if (kept.worst.empty() || share.kept < kept.worst.back().kept)
      kept.worst.push_back(share);
  return kept;
}

const Kept &DimLayouts::kept(int from, int to) {
  auto [it, added] = known.try_emplace(uint64_t(from) << 32 | uint64_t(to));
  if (added)
    it->second = keptOf(layouts[from], layouts[to]);
  return it->second;
}

const Kept &DimSpace::kept(uint16_t from, uint16_t to) {
  if (known.size() <= from)
    known.resize(layouts.size());
  std::vector<const Kept *> &row = known[from];
  if (row.size() <= to)
    row.resize(layouts.size(), nullptr);
  if (!row[to])
    row[to] = &all.kept(layouts[from].number, layouts[to].number);
  return *row[to];
}
