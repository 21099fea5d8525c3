//===- Exchange.cpp - Which runs move between ranks -----------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two ranks' boxes in the sharding that values come from are equal or disjoint:
// a box is a function of the coordinates along the axes that the sharding uses,
// and different coordinates give different parts. (Halos overlap; values go
// there, but never come from there.) So a rank's result is covered by the
// intersections with each different box of its group, taken once. Where several
// ranks own the same box the rank itself comes first, then the others beginning
// behind it, which spreads the load.
//
// The ranks of a group are sorted by their coordinates along the axes whose
// pending values are to be combined: each such combination is one term.
//
//===----------------------------------------------------------------------===//

#include "partita/Runtime/Communicator.h"
#include <algorithm>
#include <cstring>

using namespace partita;
using namespace partita::runtime;

static bool contains(const std::vector<int> &axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

static Error planError(const CollectiveSpec &spec, std::string message) {
  return makeError(ExitCode::Internal, "collective.plan", spec.what,
                   std::string(collectiveName(spec.kind)) + " " +
                       std::move(message));
}

/// The pieces of one term: `members` own, together, what `to` needs.
static std::vector<Piece> coverBox(const CollectiveSpec &spec, const Mesh &mesh,
                                   const Box &to,
                                   const std::vector<int64_t> &members) {
  std::vector<Piece> pieces;
  std::vector<Box> seen;
  for (int64_t member : members) {
    Box box = boxOf(spec.from, mesh, mesh.coordinates(member));
    if (std::find(seen.begin(), seen.end(), box) != seen.end())
      continue;
    std::vector<SharedRun> runs = intersect(box, to);
    seen.push_back(std::move(box));
    if (!runs.empty())
      pieces.push_back({member, groupRuns(runs)});
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece &a, const Piece &b) { return a.source < b.source; });
  return pieces;
}

Result<ExchangePlan> partita::runtime::planExchange(const CollectiveSpec &spec,
                                                    const Mesh &mesh,
                                                    int64_t rank) {
  if (spec.from.hasHalo())
    return planError(spec, "starts from boxes that overlap");
  std::vector<int> removed;
  for (int axis : spec.from.partialAxes)
    if (!contains(spec.to.partialAxes, axis))
      removed.push_back(axis);
  for (int axis : spec.to.partialAxes)
    if (!contains(spec.from.partialAxes, axis))
      return planError(spec, "cannot make a value pending");
  for (int axis : removed)
    if (!contains(spec.axes, axis))
      return planError(spec, "combines over an axis that it does not span");

  std::vector<int64_t> group = mesh.group(rank, spec.axes);
  std::sort(group.begin(), group.end());
  // The rank itself first, then those behind it.
  auto self = std::find(group.begin(), group.end(), rank);
  std::vector<int64_t> order(self, group.end());
  order.insert(order.end(), group.begin(), self);

  // Ascending digits along the combined axes; one entry if there are none.
  std::map<std::vector<int64_t>, std::vector<int64_t>> terms;
  for (int64_t member : order) {
    std::vector<int64_t> coords = mesh.coordinates(member), digits;
    for (int axis : removed)
      digits.push_back(coords[axis]);
    terms[digits].push_back(member);
  }

  std::vector<int64_t> coords = mesh.coordinates(rank);
  Box to = boxOf(spec.to, mesh, coords);
  ExchangePlan plan;
  plan.combiner = spec.from.combiner;
  plan.operandElements = boxOf(spec.from, mesh, coords).numElements();
  plan.resultElements = to.numElements();
  for (const auto &[digits, members] : terms) {
    plan.terms.push_back(coverBox(spec, mesh, to, members));
    int64_t covered = 0;
    for (const Piece &piece : plan.terms.back())
      covered += piece.elements();
    if (covered != plan.resultElements)
      return planError(
          spec, "needs values from outside its group: rank " +
                    std::to_string(rank) + " finds " + std::to_string(covered) +
                    " of " + std::to_string(plan.resultElements) + " elements");
  }
  if (plan.terms.size() > 1)
    PARTITA_CHECK(checkCombiner(plan.combiner, spec.dtype, spec.what));
  return plan;
}

//===----------------------------------------------------------------------===//
// Combining
//===----------------------------------------------------------------------===//

template <typename T, typename Op>
static void combineLoop(std::byte *into, const std::byte *from, int64_t count,
                        Op op) {
  auto *a = reinterpret_cast<T *>(into);
  auto *b = reinterpret_cast<const T *>(from);
  for (int64_t i = 0; i < count; ++i)
    a[i] = op(a[i], b[i]);
}

template <typename T>
static void combineTyped(Combiner combiner, std::byte *into,
                         const std::byte *from, int64_t count) {
  switch (combiner) {
  case Combiner::Sum:
    return combineLoop<T>(into, from, count,
                          [](T a, T b) { return static_cast<T>(a + b); });
  case Combiner::Prod:
    return combineLoop<T>(into, from, count,
                          [](T a, T b) { return static_cast<T>(a * b); });
  // A NaN on either side stays.
  case Combiner::Max:
    return combineLoop<T>(into, from, count,
                          [](T a, T b) { return a != a || a > b ? a : b; });
  case Combiner::Min:
    return combineLoop<T>(into, from, count,
                          [](T a, T b) { return a != a || a < b ? a : b; });
  case Combiner::None:
  case Combiner::SoftmaxMerge:
    return;
  }
}

/// Half precisions combine in f32.
static void combineHalves(Combiner combiner, DType dtype, std::byte *into,
                          const std::byte *from, int64_t count) {
  auto *a = reinterpret_cast<uint16_t *>(into);
  auto *b = reinterpret_cast<const uint16_t *>(from);
  bool bfloat = dtype == DType::BF16;
  for (int64_t i = 0; i < count; ++i) {
    float x = bfloat ? bfloatToFloat(a[i]) : halfToFloat(a[i]);
    float y = bfloat ? bfloatToFloat(b[i]) : halfToFloat(b[i]);
    combineTyped<float>(combiner, reinterpret_cast<std::byte *>(&x),
                        reinterpret_cast<const std::byte *>(&y), 1);
    a[i] = bfloat ? floatToBfloat(x) : floatToHalf(x);
  }
}

void partita::runtime::combineElements(Combiner combiner, DType dtype,
                                       std::byte *into, const std::byte *from,
                                       int64_t count) {
  switch (dtype) {
  case DType::F32:
    return combineTyped<float>(combiner, into, from, count);
  case DType::F64:
    return combineTyped<double>(combiner, into, from, count);
  case DType::F16:
  case DType::BF16:
    return combineHalves(combiner, dtype, into, from, count);
  case DType::I8:
    return combineTyped<int8_t>(combiner, into, from, count);
  case DType::I16:
    return combineTyped<int16_t>(combiner, into, from, count);
  // Sums and products of signed integers wrap.
  case DType::I32:
    if (combiner == Combiner::Max || combiner == Combiner::Min)
      return combineTyped<int32_t>(combiner, into, from, count);
    return combineTyped<uint32_t>(combiner, into, from, count);
  case DType::I64:
    if (combiner == Combiner::Max || combiner == Combiner::Min)
      return combineTyped<int64_t>(combiner, into, from, count);
    return combineTyped<uint64_t>(combiner, into, from, count);
  case DType::U8:
    return combineTyped<uint8_t>(combiner, into, from, count);
  case DType::U16:
    return combineTyped<uint16_t>(combiner, into, from, count);
  case DType::U32:
    return combineTyped<uint32_t>(combiner, into, from, count);
  case DType::U64:
    return combineTyped<uint64_t>(combiner, into, from, count);
  case DType::Bool: {
    // Sum and max are "or", product and min are "and".
    bool either = combiner == Combiner::Sum || combiner == Combiner::Max;
    return combineTyped<uint8_t>(either ? Combiner::Max : Combiner::Min, into,
                                 from, count);
  }
  }
}

Status partita::runtime::checkCombiner(Combiner combiner, DType dtype,
                                       const std::string &place) {
  if (combiner == Combiner::None || combiner == Combiner::SoftmaxMerge)
    return makeError(ExitCode::Unsupported, "collective.combiner", place,
                     std::string("a collective cannot combine by ") +
                         combinerName(combiner));
  return ok();
}
