//===- Sharding.cpp - Meshes, shardings and boxes -------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// See Sharding.h for the algebra. Everything here is exact integer work on
// small vectors; nothing allocates in proportion to a tensor's elements, except
// the runs handed to callers.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Sharding.h"
#include <algorithm>
#include <charconv>

using namespace partita;

//===----------------------------------------------------------------------===//
// Mesh
//===----------------------------------------------------------------------===//

static int64_t product(const std::vector<int64_t> &sizes) {
  int64_t n = 1;
  for (int64_t size : sizes)
    n *= size;
  return n;
}

int64_t Mesh::numRanks() const {
  if (stageAxes.empty())
    return product(axisSizes);
  int64_t n = 0;
  for (size_t stage = 0; stage < stageAxes.size(); ++stage)
    n += product(gridOf(static_cast<int64_t>(stage)).axisSizes);
  return n;
}

int64_t Mesh::numStages() const {
  int stages = axis(stageAxis);
  return stages < 0 ? 1 : axisSizes[stages];
}

Mesh Mesh::gridOf(int64_t stage) const {
  Mesh grid{name, axisNames, axisSizes};
  for (int i = 0; i < numAxes(); ++i)
    if (axisNames[i] == stageAxis || !hasAxis(stage, i))
      grid.axisSizes[i] = 1;
  return grid;
}

std::vector<int64_t> Mesh::ranksOf(int64_t stage) const {
  std::vector<int64_t> ranks;
  if (!stageAxes.empty()) {
    int64_t first = 0;
    for (int64_t earlier = 0; earlier < stage; ++earlier)
      first += gridOf(earlier).numRanks();
    for (int64_t i = 0, n = gridOf(stage).numRanks(); i < n; ++i)
      ranks.push_back(first + i);
    return ranks;
  }
  int stages = axis(stageAxis);
  for (int64_t rank = 0, n = numRanks(); rank < n; ++rank)
    if (stages < 0 || coordinates(rank)[stages] == stage)
      ranks.push_back(rank);
  return ranks;
}

std::vector<int64_t> Mesh::coordinates(int64_t rank) const {
  std::vector<int64_t> coords(axisSizes.size());
  for (int i = numAxes() - 1; i >= 0; --i) {
    coords[i] = rank % axisSizes[i];
    rank /= axisSizes[i];
  }
  return coords;
}

int64_t Mesh::rankOf(const std::vector<int64_t> &coords) const {
  int64_t rank = 0;
  for (int i = 0; i < numAxes(); ++i)
    rank = rank * axisSizes[i] + coords[i];
  return rank;
}

int Mesh::axis(const std::string &axisName) const {
  auto it = std::find(axisNames.begin(), axisNames.end(), axisName);
  return it == axisNames.end() ? -1 : static_cast<int>(it - axisNames.begin());
}

std::vector<int64_t> Mesh::group(int64_t rank,
                                 const std::vector<int> &axes) const {
  std::vector<int64_t> coords = coordinates(rank);
  int64_t count = 1;
  for (int axis : axes)
    count *= axisSizes[axis];
  std::vector<int64_t> ranks;
  ranks.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    int64_t digits = i;
    for (size_t j = axes.size(); j-- > 0;) {
      coords[axes[j]] = digits % axisSizes[axes[j]];
      digits /= axisSizes[axes[j]];
    }
    ranks.push_back(rankOf(coords));
  }
  return ranks;
}

Result<Mesh> Mesh::parse(const std::string &text) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Usage, "mesh.syntax", "--mesh " + text, what,
                     "write axes as NAME=SIZE separated by commas, for example "
                     "dp=2,tp=2");
  };
  Mesh mesh;
  size_t pos = 0;
  int64_t ranks = 1;
  while (pos <= text.size()) {
    size_t comma = std::min(text.find(',', pos), text.size());
    std::string item = text.substr(pos, comma - pos);
    pos = comma + 1;
    size_t eq = item.find('=');
    if (eq == std::string::npos || eq == 0)
      return fail("'" + item + "' is not NAME=SIZE");
    std::string axisName = item.substr(0, eq);
    int64_t size = 0;
    const char *begin = item.data() + eq + 1, *end = item.data() + item.size();
    auto [ptr, ec] = std::from_chars(begin, end, size);
    if (ec != std::errc() || ptr != end || size < 1 || size > (1 << 20))
      return fail("the size of axis '" + axisName +
                  "' is not an integer from 1 to 1048576");
    if (!std::all_of(axisName.begin(), axisName.end(),
                     [](unsigned char c) { return isalnum(c) || c == '_'; }))
      return fail("'" + axisName + "' is not an axis name");
    if (mesh.axis(axisName) >= 0)
      return fail("axis '" + axisName + "' occurs twice");
    ranks *= size;
    if (ranks > (1 << 24))
      return fail("the mesh has more than 16777216 ranks");
    mesh.axisNames.push_back(axisName);
    mesh.axisSizes.push_back(size);
  }
  if (mesh.numAxes() > 16)
    return fail("a mesh has at most 16 axes");
  return mesh;
}

/// The axis of a stage in the mesh of all: one with its name and size that the
/// stage does not have yet, or a new one.
static int sharedAxis(Mesh &mesh, const std::string &name, int64_t size,
                      uint32_t taken) {
  std::string spelled = name;
  for (int number = 1;; ++number) {
    int axis = mesh.axis(spelled);
    if (axis < 0) {
      mesh.axisNames.push_back(spelled);
      mesh.axisSizes.push_back(size);
      return mesh.numAxes() - 1;
    }
    if (mesh.axisSizes[axis] == size && !(taken >> axis & 1))
      return axis;
    spelled = name + "." + std::to_string(number);
  }
}

Result<Mesh> Mesh::parseStages(const std::string &text) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::Usage, "mesh.stages", "--stages " + text, what,
                     "write the mesh of each stage, for example 'tp=2|tp=1'");
  };
  Mesh mesh{"mesh", {stageAxis}, {0}};
  for (size_t pos = 0; pos <= text.size();) {
    size_t bar = std::min(text.find('|', pos), text.size());
    auto stage = parse(text.substr(pos, bar - pos));
    pos = bar + 1;
    if (!stage)
      return fail(stage.error().message);
    if (stage->axis(stageAxis) >= 0)
      return fail("a stage has no stages: leave out pp");
    uint32_t axes = 0;
    for (int i = 0; i < stage->numAxes(); ++i)
      if (stage->axisSizes[i] > 1)
        axes |= uint32_t(1) << sharedAxis(mesh, stage->axisNames[i],
                                          stage->axisSizes[i], axes);
    mesh.stageAxes.push_back(axes);
    ++mesh.axisSizes[0];
    if (mesh.numAxes() > 16 || mesh.axisSizes[0] > 4096)
      return fail("there are more than 4096 stages, or 16 axes");
  }
  if (std::all_of(mesh.stageAxes.begin(), mesh.stageAxes.end(),
                  [&](uint32_t axes) { return axes == mesh.stageAxes[0]; }))
    mesh.stageAxes.clear();
  return mesh;
}

/// "tp=2|tp=1".
static std::string stagesText(const Mesh &mesh) {
  std::string text;
  for (int64_t stage = 0; stage < mesh.numStages(); ++stage) {
    std::string axes;
    for (int i = 0; i < mesh.numAxes(); ++i)
      if (mesh.axisNames[i] != stageAxis && mesh.hasAxis(stage, i))
        axes += (axes.empty() ? "" : ",") + mesh.axisNames[i] + "=" +
                std::to_string(mesh.axisSizes[i]);
    text += (stage ? "|" : "") + (axes.empty() ? "x=1" : axes);
  }
  return text;
}

std::string Mesh::str() const {
  if (!stageAxes.empty())
    return stagesText(*this);
  std::string text;
  for (int i = 0; i < numAxes(); ++i)
    text += (i ? "," : "") + axisNames[i] + "=" + std::to_string(axisSizes[i]);
  return text;
}

//===----------------------------------------------------------------------===//
// Combiners
//===----------------------------------------------------------------------===//

static const char *const combinerNames[] = {"none", "sum",  "max",
                                            "min",  "prod", "softmax_merge"};

const char *partita::combinerName(Combiner combiner) {
  return combinerNames[static_cast<int>(combiner)];
}

std::optional<Combiner> partita::parseCombiner(const std::string &name) {
  for (int i = 0; i < 6; ++i)
    if (name == combinerNames[i])
      return static_cast<Combiner>(i);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Sharding
//===----------------------------------------------------------------------===//

int64_t DimSharding::size() const {
  int64_t n = 1;
  for (const FactorSharding &factor : factors)
    n *= factor.size;
  return n;
}

bool DimSharding::isReplicated() const {
  return std::all_of(factors.begin(), factors.end(),
                     [](const auto &f) { return f.axes.empty(); });
}

Sharding Sharding::replicated(const std::vector<int64_t> &shape) {
  Sharding sharding;
  for (int64_t size : shape)
    sharding.dims.push_back({{{size, {}}}});
  return sharding;
}

bool Sharding::isReplicated() const {
  return partialAxes.empty() &&
         std::all_of(dims.begin(), dims.end(),
                     [](const auto &dim) { return dim.isReplicated(); });
}

std::vector<int64_t> Sharding::globalShape() const {
  std::vector<int64_t> shape;
  for (const DimSharding &dim : dims)
    shape.push_back(dim.size());
  return shape;
}

uint64_t Sharding::dimAxes() const {
  uint64_t set = 0;
  for (const DimSharding &dim : dims)
    for (const FactorSharding &factor : dim.factors)
      for (int axis : factor.axes)
        set |= uint64_t(1) << axis;
  return set;
}

bool Sharding::hasHalo() const {
  for (const DimSharding &dim : dims)
    for (const FactorSharding &factor : dim.factors)
      if (factor.halo)
        return true;
  return false;
}

Sharding Sharding::withoutHalos() const {
  Sharding plain = *this;
  for (DimSharding &dim : plain.dims)
    for (FactorSharding &factor : dim.factors)
      factor.halo.reset();
  return plain;
}

static std::string haloStr(const Halo &halo) {
  return " halo(" + std::to_string(halo.positions) + ", " +
         std::to_string(halo.stride) + ", " + std::to_string(halo.before) +
         ", " + std::to_string(halo.extent) + ")";
}

std::string Sharding::str(const Mesh &mesh) const {
  std::string text = "[";
  for (size_t d = 0; d < dims.size(); ++d) {
    text += d ? ", {" : "{";
    for (size_t f = 0; f < dims[d].factors.size(); ++f) {
      const FactorSharding &factor = dims[d].factors[f];
      text += (f ? ", " : "") + std::to_string(factor.size);
      for (size_t a = 0; a < factor.axes.size(); ++a)
        text += (a ? "," : ":") + mesh.axisNames[factor.axes[a]];
      if (factor.halo)
        text += haloStr(*factor.halo);
    }
    text += "}";
  }
  text += "]";
  if (isPartial()) {
    text += " partial{";
    for (size_t a = 0; a < partialAxes.size(); ++a)
      text += (a ? "," : "") + mesh.axisNames[partialAxes[a]];
    text += std::string("} ") + combinerName(combiner);
  }
  return text;
}

Interval partita::shardInterval(int64_t size, const std::vector<int> &axes,
                                const Mesh &mesh,
                                const std::vector<int64_t> &coords) {
  Interval interval{0, size};
  for (int axis : axes) {
    int64_t parts = mesh.axisSizes[axis], i = coords[axis];
    int64_t n = interval.size(), base = n / parts, extra = n % parts;
    int64_t begin = interval.begin + i * base + std::min(i, extra);
    interval = {begin, begin + base + (i < extra ? 1 : 0)};
  }
  return interval;
}

static int64_t partsOf(const FactorSharding &factor, const Mesh &mesh) {
  int64_t parts = 1;
  for (int axis : factor.axes)
    parts *= mesh.axisSizes[axis];
  return parts;
}

//===----------------------------------------------------------------------===//
// Halos
//===----------------------------------------------------------------------===//

bool Halo::isValid() const {
  constexpr int64_t limit = int64_t(1) << 31;
  return positions > 0 && stride > 0 && before >= 0 && extent > 0 &&
         positions < limit && stride < limit && before < limit &&
         extent < limit;
}

/// Unsplit, a halo is the whole dimension.
static Interval readInterval(const FactorSharding &factor, Interval positions) {
  if (positions.size() == factor.halo->positions)
    return {0, factor.size};
  Interval reads = factor.halo->reads(positions);
  return {std::max<int64_t>(reads.begin, 0), std::min(reads.end, factor.size)};
}

Interval partita::shardInterval(const FactorSharding &factor, const Mesh &mesh,
                                const std::vector<int64_t> &coords) {
  if (!factor.halo)
    return shardInterval(factor.size, factor.axes, mesh, coords);
  return readInterval(
      factor, shardInterval(factor.halo->positions, factor.axes, mesh, coords));
}

std::pair<int64_t, int64_t>
partita::beyondEnds(const FactorSharding &factor, const Mesh &mesh,
                    const std::vector<int64_t> &coords) {
  Interval reads = factor.halo->reads(
      shardInterval(factor.halo->positions, factor.axes, mesh, coords));
  return {std::max<int64_t>(-reads.begin, 0),
          std::max<int64_t>(reads.end - factor.size, 0)};
}

/// Calls `fn` with the coordinates of each block of `axes`, in their order.
template <typename Fn>
static void forEachBlock(const std::vector<int> &axes, const Mesh &mesh,
                         const Fn &fn) {
  std::vector<int64_t> coords(mesh.numAxes(), 0);
  while (true) {
    fn(coords);
    size_t a = axes.size();
    while (a-- > 0) {
      if (++coords[axes[a]] < mesh.axisSizes[axes[a]])
        break;
      coords[axes[a]] = 0;
    }
    if (a == static_cast<size_t>(-1))
      return;
  }
}

int64_t partita::maxShardSize(const FactorSharding &factor, const Mesh &mesh) {
  if (!factor.halo) {
    int64_t size = factor.size;
    for (int axis : factor.axes)
      size = (size + mesh.axisSizes[axis] - 1) / mesh.axisSizes[axis];
    return size;
  }
  // Which rank reads most depends on the ends; there are at most as many
  // blocks as positions.
  int64_t most = 0;
  forEachBlock(factor.axes, mesh, [&](const std::vector<int64_t> &coords) {
    most = std::max(most, shardInterval(factor, mesh, coords).size());
  });
  return most;
}

//===----------------------------------------------------------------------===//
// Box
//===----------------------------------------------------------------------===//

int64_t Box::Dim::localSize() const {
  int64_t n = 1;
  for (const Interval &interval : intervals)
    n *= interval.size();
  return n;
}

int64_t Box::Dim::globalSize() const {
  int64_t n = 1;
  for (int64_t size : sizes)
    n *= size;
  return n;
}

std::vector<int64_t> Box::localShape() const {
  std::vector<int64_t> shape;
  for (const Dim &dim : dims)
    shape.push_back(dim.localSize());
  return shape;
}

std::vector<int64_t> Box::globalShape() const {
  std::vector<int64_t> shape;
  for (const Dim &dim : dims)
    shape.push_back(dim.globalSize());
  return shape;
}

int64_t Box::numElements() const {
  int64_t n = 1;
  for (const Dim &dim : dims)
    n *= dim.localSize();
  return n;
}

bool Box::isFull() const {
  for (const Dim &dim : dims)
    if (dim.localSize() != dim.globalSize())
      return false;
  return true;
}

Box partita::boxOf(const Sharding &sharding, const Mesh &mesh,
                   const std::vector<int64_t> &coords) {
  Box box;
  for (const DimSharding &dim : sharding.dims) {
    Box::Dim out;
    for (const FactorSharding &factor : dim.factors) {
      out.sizes.push_back(factor.size);
      out.intervals.push_back(shardInterval(factor, mesh, coords));
    }
    box.dims.push_back(std::move(out));
  }
  return box;
}

std::vector<int64_t> partita::localShape(const Sharding &sharding,
                                         const Mesh &mesh, int64_t rank) {
  return boxOf(sharding, mesh, mesh.coordinates(rank)).localShape();
}

namespace {
/// One factor of the flattened mixed-radix number of a whole tensor.
struct Digit {
  int64_t size;
  Interval interval;
};
} // namespace

/// All factors of all dimensions, major first, with neighbours merged where the
/// minor one is whole (an interval of a major digit then covers whole blocks).
static std::vector<Digit> flatten(const Box &box) {
  std::vector<Digit> digits;
  for (const Box::Dim &dim : box.dims)
    for (size_t f = 0; f < dim.sizes.size(); ++f) {
      Digit next{dim.sizes[f], dim.intervals[f]};
      if (!digits.empty() && next.interval.begin == 0 &&
          next.interval.end == next.size) {
        Digit &last = digits.back();
        last.size *= next.size;
        last.interval.begin *= next.size;
        last.interval.end *= next.size;
      } else {
        digits.push_back(next);
      }
    }
  if (digits.empty())
    digits.push_back({1, {0, 1}});
  return digits;
}

void partita::forEachRun(const Box &box, const std::function<void(Run)> &fn) {
  std::vector<Digit> digits = flatten(box);
  for (const Digit &digit : digits)
    if (digit.interval.size() <= 0)
      return;
  size_t n = digits.size();
  std::vector<int64_t> strides(n, 1);
  for (size_t i = n - 1; i-- > 0;)
    strides[i] = strides[i + 1] * digits[i + 1].size;
  int64_t count = digits[n - 1].interval.size();
  std::vector<int64_t> index(n);
  int64_t global = digits[n - 1].interval.begin;
  for (size_t i = 0; i + 1 < n; ++i) {
    index[i] = digits[i].interval.begin;
    global += index[i] * strides[i];
  }
  int64_t local = 0;
  while (true) {
    fn({global, local, count});
    local += count;
    // Advance the odometer over all digits but the last.
    size_t i = n - 1;
    while (i-- > 0) {
      global += strides[i];
      if (++index[i] < digits[i].interval.end)
        break;
      global -= digits[i].interval.size() * strides[i];
      index[i] = digits[i].interval.begin;
    }
    if (i == static_cast<size_t>(-1))
      return;
  }
}

bool partita::isEven(const Sharding &sharding, const Mesh &mesh) {
  for (const DimSharding &dim : sharding.dims)
    for (const FactorSharding &factor : dim.factors)
      if (factor.halo || factor.size % partsOf(factor, mesh) != 0)
        return false;
  return true;
}

std::vector<SharedRun> partita::intersect(const Box &from, const Box &to) {
  std::vector<Run> a, b;
  forEachRun(from, [&](Run run) { a.push_back(run); });
  forEachRun(to, [&](Run run) { b.push_back(run); });
  std::vector<SharedRun> shared;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    int64_t begin = std::max(a[i].global, b[j].global);
    int64_t endA = a[i].global + a[i].count, endB = b[j].global + b[j].count;
    int64_t end = std::min(endA, endB);
    if (begin < end)
      shared.push_back({a[i].local + begin - a[i].global,
                        b[j].local + begin - b[j].global, end - begin});
    (endA < endB ? i : j)++;
  }
  return shared;
}

//===----------------------------------------------------------------------===//
// Legality and the canonical form
//===----------------------------------------------------------------------===//

/// What is wrong with a dimension that has a halo. Its axes are in the mesh.
static std::optional<std::string> faultOfHalo(const DimSharding &dim,
                                              const Mesh &mesh) {
  const FactorSharding &factor = dim.factors[0];
  if (dim.factors.size() != 1)
    return "has a halo beside other factors";
  if (!factor.halo->isValid())
    return "has a halo with impossible numbers";
  if (partsOf(factor, mesh) > factor.halo->positions)
    return "splits fewer positions of a window than there are ranks";
  // The first and the last positions are those that may read padding alone.
  std::vector<int64_t> first(mesh.numAxes(), 0), last;
  for (int64_t size : mesh.axisSizes)
    last.push_back(size - 1);
  for (const std::vector<int64_t> &coords : {first, last})
    if (shardInterval(factor, mesh, coords).size() <= 0)
      return "has a rank whose windows lie beyond its ends: a shard would be "
             "empty";
  return std::nullopt;
}

Status partita::checkSharding(const Sharding &sharding,
                              const std::vector<int64_t> &shape,
                              const Mesh &mesh, const std::string &place) {
  auto fail = [&](const std::string &what) {
    return makeError(ExitCode::InvalidInput, "sharding.illegal", place, what);
  };
  if (sharding.dims.size() != shape.size())
    return fail("the sharding has " + std::to_string(sharding.dims.size()) +
                " dimensions, the tensor " + std::to_string(shape.size()));
  std::vector<char> used(mesh.numAxes(), 0);
  auto use = [&](int axis) -> std::optional<std::string> {
    if (axis < 0 || axis >= mesh.numAxes())
      return "axis " + std::to_string(axis) + " is not in the mesh";
    if (used[axis]++)
      return "axis '" + mesh.axisNames[axis] + "' occurs twice";
    return std::nullopt;
  };
  for (size_t d = 0; d < shape.size(); ++d) {
    const DimSharding &dim = sharding.dims[d];
    if (dim.factors.empty() || dim.size() != shape[d])
      return fail("the factors of dimension " + std::to_string(d) +
                  " do not multiply to " + std::to_string(shape[d]));
    for (const FactorSharding &factor : dim.factors) {
      int64_t parts = 1;
      for (int axis : factor.axes) {
        if (auto what = use(axis))
          return fail(*what);
        parts *= mesh.axisSizes[axis];
      }
      if (parts > 1 && factor.size < parts)
        return fail("dimension " + std::to_string(d) + " splits " +
                    std::to_string(factor.size) + " units over " +
                    std::to_string(parts) + " ranks: a shard would be empty");
      if (factor.halo)
        if (auto what = faultOfHalo(dim, mesh))
          return fail("dimension " + std::to_string(d) + " " + *what);
    }
  }
  for (int axis : sharding.partialAxes)
    if (auto what = use(axis))
      return fail(*what);
  if (sharding.partialAxes.empty() != (sharding.combiner == Combiner::None))
    return fail("partial axes and a combiner go together");
  return ok();
}

/// Tries to write `major`, `minor` as one factor with the same boxes.
static bool mergeFactors(FactorSharding &major, const FactorSharding &minor,
                         const Mesh &mesh) {
  if (major.halo || minor.halo)
    return false;
  int64_t parts = partsOf(major, mesh);
  if (minor.axes.empty()) {
    if (parts > 1 && major.size % parts != 0)
      return false;
    major.size *= minor.size;
    return true;
  }
  // Each block of the major factor is one unit: the minor factor's axes nest.
  if (!major.axes.empty() && major.size == parts) {
    major.size *= minor.size;
    major.axes.insert(major.axes.end(), minor.axes.begin(), minor.axes.end());
    return true;
  }
  return false;
}

Sharding partita::canonical(const Sharding &sharding, const Mesh &mesh) {
  auto trivial = [&](int axis) { return mesh.axisSizes[axis] == 1; };
  Sharding out;
  for (const DimSharding &dim : sharding.dims) {
    DimSharding merged;
    for (FactorSharding factor : dim.factors) {
      std::erase_if(factor.axes, trivial);
      if (factor.axes.empty())
        factor.halo.reset();
      if (factor.size == 1 && factor.axes.empty())
        continue;
      if (merged.factors.empty() ||
          !mergeFactors(merged.factors.back(), factor, mesh))
        merged.factors.push_back(std::move(factor));
    }
    if (merged.factors.empty())
      merged.factors.push_back({dim.size(), {}});
    out.dims.push_back(std::move(merged));
  }
  out.partialAxes = sharding.partialAxes;
  std::erase_if(out.partialAxes, trivial);
  std::sort(out.partialAxes.begin(), out.partialAxes.end());
  out.combiner = out.partialAxes.empty() ? Combiner::None : sharding.combiner;
  return out;
}
