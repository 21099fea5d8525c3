//===- Exchange.cpp - Data between simulated ranks ------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Exchange.h"
#include "Combine.h"
#include "Numbers.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace partita;
using namespace partita::interp;

static bool contains(const std::vector<int> &axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

static std::vector<int64_t> ascendingGroup(const Mesh &mesh, int64_t rank,
                                           const std::vector<int> &axes) {
  std::vector<int64_t> group = mesh.group(rank, axes);
  std::sort(group.begin(), group.end());
  return group;
}

//===----------------------------------------------------------------------===//
// Pending values
//===----------------------------------------------------------------------===//

static HostTensor combineGroup(Combiner combiner,
                               const std::vector<int64_t> &group,
                               const std::vector<HostTensor> &inputs) {
  const HostTensor &first = inputs[group.front()];
  return dispatch(first.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> sum = load<T>(first);
    for (size_t member = 1; member < group.size(); ++member) {
      std::vector<T> values = load<T>(inputs[group[member]]);
      for (size_t i = 0; i < sum.size(); ++i)
        sum[i] = combine(combiner, sum[i], values[i]);
    }
    return store(first.dtype(), first.shape(), sum);
  });
}

/// Combines over `axes`; every rank of a group gets the same tensor.
static Result<std::vector<HostTensor>>
combineAll(const Mesh &mesh, Combiner combiner, const std::vector<int> &axes,
           const std::vector<HostTensor> &inputs) {
  if (axes.empty())
    return inputs;
  if (combiner == Combiner::None || combiner == Combiner::SoftmaxMerge)
    return makeError(ExitCode::Unsupported, "interp.combiner", "",
                     std::string("one tensor alone cannot be combined by ") +
                         combinerName(combiner));
  std::vector<HostTensor> results(inputs.size());
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    if (results[rank].defined())
      continue;
    std::vector<int64_t> group = ascendingGroup(mesh, rank, axes);
    HostTensor combined = combineGroup(combiner, group, inputs);
    for (int64_t member : group)
      results[member] = combined;
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// The local tensor of `target` from the shards of `group`. An element that
/// several hold is taken from the rank itself, else from the lowest.
static Result<HostTensor> gatherBox(const Box &target, int64_t rank,
                                    std::vector<int64_t> group,
                                    const std::vector<Box> &boxes,
                                    const std::vector<HostTensor> &inputs) {
  auto self = std::find(group.begin(), group.end(), rank);
  std::rotate(group.begin(), self, self + 1);
  HostTensor result(inputs[rank].dtype(), target.localShape());
  size_t size = dtypeSize(result.dtype());
  std::vector<char> covered(result.numElements(), 0);
  int64_t missing = result.numElements();
  for (int64_t member : group) {
    if (missing == 0)
      break;
    for (SharedRun run : intersect(boxes[member], target))
      for (int64_t i = 0; i < run.count; ++i) {
        if (covered[run.to + i]++)
          continue;
        --missing;
        std::memcpy(result.data() + (run.to + i) * size,
                    inputs[member].data() + (run.from + i) * size, size);
      }
  }
  if (missing)
    return makeError(ExitCode::Internal, "interp.exchange", "",
                     "rank " + std::to_string(rank) + " misses " +
                         std::to_string(missing) +
                         " elements that nobody in its group holds");
  return result;
}

Result<std::vector<HostTensor>>
interp::exchange(const Mesh &mesh, const Sharding &from, const Sharding &to,
                 const std::vector<int> &axes,
                 const std::vector<HostTensor> &inputs) {
  auto inconsistent = [&](const char *why) {
    return makeError(ExitCode::Internal, "interp.exchange", "",
                     from.str(mesh) + " to " + to.str(mesh) + ": " + why);
  };
  std::vector<int> combined;
  for (int axis : from.partialAxes)
    if (!contains(to.partialAxes, axis))
      combined.push_back(axis);
    else if (contains(axes, axis))
      return inconsistent("a pending axis stays and is communicated over");
  for (int axis : combined)
    if (!contains(axes, axis))
      return inconsistent("a pending axis is combined outside of the group");
  for (int axis : to.partialAxes)
    if (!contains(from.partialAxes, axis))
      return inconsistent("an axis becomes pending");
  PARTITA_TRY(std::vector<HostTensor> values,
              combineAll(mesh, from.combiner, combined, inputs));
  std::vector<Box> boxes;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    boxes.push_back(boxOf(from, mesh, mesh.coordinates(rank)));
    if (values[rank].shape() != boxes.back().localShape())
      return inconsistent("a shard has another shape");
  }
  std::vector<HostTensor> results;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    PARTITA_TRY(HostTensor result,
                gatherBox(boxOf(to, mesh, mesh.coordinates(rank)), rank,
                          ascendingGroup(mesh, rank, axes), boxes, values));
    results.push_back(std::move(result));
  }
  return results;
}

std::vector<HostTensor>
interp::zeroUnlessFirst(const Mesh &mesh, const std::vector<int> &axes,
                        const std::vector<HostTensor> &inputs) {
  std::vector<HostTensor> results;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    bool first = ascendingGroup(mesh, rank, axes).front() == rank;
    results.push_back(
        first ? inputs[rank]
              : HostTensor(inputs[rank].dtype(), inputs[rank].shape()));
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

static double largestMagnitude(const std::vector<HostTensor> &parts) {
  double largest = 0;
  for (const HostTensor &part : parts)
    for (double value : load<double>(part))
      if (std::isfinite(value))
        largest = std::max(largest, std::fabs(value));
  return largest;
}

Result<HostTensor> interp::assemble(const Mesh &mesh, const Sharding &sharding,
                                    const std::vector<HostTensor> &parts,
                                    double tolerance) {
  PARTITA_TRY(std::vector<HostTensor> values,
              combineAll(mesh, sharding.combiner, sharding.partialAxes, parts));
  HostTensor result(parts.front().dtype(), sharding.globalShape());
  size_t size = dtypeSize(result.dtype());
  double allowed = tolerance > 0 ? tolerance * largestMagnitude(values) : 0;
  std::vector<int64_t> owner(result.numElements(), -1);
  std::optional<Error> failure;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    const HostTensor &part = values[rank];
    Box box = boxOf(sharding, mesh, mesh.coordinates(rank));
    if (part.shape() != box.localShape())
      return makeError(ExitCode::Internal, "interp.output", "",
                       "rank " + std::to_string(rank) +
                           " returns a shard of another shape");
    forEachRun(box, [&](Run run) {
      for (int64_t i = 0; i < run.count; ++i) {
        int64_t at = run.global + i, from = run.local + i;
        if (owner[at] < 0) {
          owner[at] = rank;
          std::memcpy(result.data() + at * size, part.data() + from * size,
                      size);
        } else if (!failure &&
                   std::memcmp(result.data() + at * size,
                               part.data() + from * size, size) != 0 &&
                   !(std::fabs(result.getDouble(at) - part.getDouble(from)) <=
                     allowed)) {
          failure =
              makeError(ExitCode::Mismatch, "interp.replicas", "",
                        "ranks " + std::to_string(owner[at]) + " and " +
                            std::to_string(rank) + " disagree on element " +
                            std::to_string(at) + ": " +
                            std::to_string(result.getDouble(at)) + " and " +
                            std::to_string(part.getDouble(from)));
        }
      }
    });
  }
  if (failure)
    return *failure;
  return result;
}
