//===- Leaves.h - Meshes and ways to execute on them ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A leaf of the search is a mesh and a way to execute: stages, micro-batches,
// recomputation, the schedule, and the cut. Its plans differ in strategies
// alone. To solve one takes seconds, so each is probed first: a bound comes
// from parts of the model, equal ones once.
//
// The bound. In whatever time they do it, stages do their tasks in the order of
// the schedule, so no step is shorter than a chain of tasks each of which waits
// for the one before: for what it reads, or for its stage. Of such chains there
// are many; that one is taken which would be the longest if each operation took
// the least time that it can. In it a chunk's forward passes, backward passes
// and gradients of weights are so and so often. With 1F1B and a stage s that is
// slower than others, micro-batch 1 goes to the end and back to s, s works
// until it has no micro-batch left, and that goes to the end and back to the
// first stage:
//
//   step >= sum of t_j for j < s + (m - p + s + 1) t_s
//           + 2 sum of t_j for j > s + o_0
//
// where stage j takes t_j for a micro-batch, forward and backward, and o_j for
// what it does once a step.
//
// Each operation has a number in such a sum: how often what it does counts. The
// sum is least where each copy of each window of the model (Segments.h) is
// least, whatever lies around it (Parts.h).
//
// What a leaf says of others: t(m') >= m / m' t(m) for more micro-batches m',
// as times of kernels and collectives grow no faster than their sizes; and what
// Parts.h says of other numbers.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_LEAVES_H
#define PARTITA_LIB_PLANNER_LEAVES_H

#include "Parts.h"
#include "ReshardPool.h"
#include "Segments.h"
#include "partita/Topology/Topology.h"
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace partita::planner {

/// What one micro-batch runs. Takes as much memory as the model's graph.
struct Step {
  Graph graph;
  DimClasses classes;
};

/// What is looked at to bound leaves.
struct Outline {
  Windows windows;
  /// By operation: bytes of all ranks together that are there for the whole
  /// step, and that the backward pass reads.
  std::vector<double> residentBytes, keptBytes;
};

/// Those of a graph, by the number of micro-batches.
class Steps {
public:
  /// `cut` as PlanOptions::microBatch.
  explicit Steps(const Graph &whole,
                 std::function<Result<Graph>(int64_t)> cut = {});
  /// The last few are kept. Errors: `plan.micro-batches` (1).
  Result<std::shared_ptr<const Step>> of(int64_t microBatches);
  /// Made if it is not there yet; who asks meanwhile waits for it. Errors: as
  /// above.
  Result<const Outline *> outline(int64_t microBatches);
  const Graph &graph() const { return whole; }
  /// False: the batch does not fall into so many. True: it may.
  bool mayDivide(int64_t microBatches) const;
  bool hasBackward() const { return backward; }
  const Segments &segments() const { return parts; }

private:
  Result<std::shared_ptr<const Step>> made(int64_t microBatches) const;
  void findBytes(const Graph &graph, Outline &outline) const;

  const Graph &whole;
  const std::function<Result<Graph>(int64_t)> cut;
  const std::vector<OpPhase> phases;
  const Segments parts;
  bool backward = false;
  std::vector<OpPhase> splitPhases;
  std::once_flag windowsFound;
  std::vector<Window> windows;
  std::vector<int64_t> batches;
  struct Made {
    std::once_flag once;
    Outline outline;
    std::optional<Error> error;
  };
  std::map<int64_t, Made> outlines;
  /// `cut` need not know that there are threads.
  mutable std::mutex cutting;
  /// As many as are solved side by side: schedules differ in no more.
  std::vector<std::pair<int64_t, std::shared_ptr<const Step>>> recent;
  std::mutex keeping;
};

struct Leaf {
  Mesh mesh;
  Execution execution;
  /// In the order in which they are listed.
  size_t number = 0;
  /// Once it is dealt or probed.
  const Outline *outline = nullptr;
  /// The least time that is known of its plans, in picoseconds.
  int64_t bound = 0;
  /// Whether that comes from the leaf itself, and whether it has been solved
  /// and is still open.
  bool probed = false, solved = false;
  /// The price of a plan that did not fit, if that is all that is known.
  int64_t tightPrice = 0;
  /// By segment, once it is dealt.
  std::vector<int> chunkOfSegment;
  /// By segment, once it is probed: the least times for a micro-batch; of a
  /// layer that runs again, backward with that.
  std::vector<ByPhase> work;
  /// By chunk, once it is probed: how often what it does counts in the bound.
  Counts counts;
  /// By window.
  std::vector<Part> parts;
};

/// How often what each chunk does is in the longest chain of tasks, in the
/// order of the schedule, if chunks take so long for a micro-batch, and once a
/// step.
Counts longestChain(const Execution &execution, bool backward,
                    const std::vector<ByPhase> &ofChunk);

class Prober {
public:
  Prober(const Topology &topology, Steps &steps, ReshardPool &reshards)
      : topology(topology), steps(steps), reshards(reshards),
        graph(steps.graph()), segments(steps.segments()),
        crossing(steps.segments().crossing()), backward(steps.hasBackward()) {}

  /// Cuts a leaf that is not cut, where work is most even. Errors:
  /// `plan.stages` (1) if there are fewer segments than stages.
  Status deal(Leaf &leaf) const;
  /// Deals and bounds. Errors: as those of deal().
  Status probe(Leaf &leaf) const;
  /// Bytes that a rank of the fullest stage of a leaf that is cut holds at
  /// least, if all is split over all ranks: every micro-batch in flight keeps
  /// what its backward pass reads, and of recomputed layers what goes between
  /// them. What is kept for gradients of weights alone is counted if asked for,
  /// though less may do.
  int64_t leastBytes(const Leaf &leaf, bool forWeightToo = false) const;
  /// What a leaf that was probed says of another of the same mesh, which is
  /// cut; zero if that is nothing.
  int64_t inherited(const Leaf &probed, const Leaf &other) const;

private:
  class Session;
  int64_t inherited(const Leaf &probed, const Leaf &other,
                    const Counts &counts) const;
  std::vector<Counts> chainsOf(const Leaf &leaf,
                               const std::vector<ByPhase> &work) const;
  Counts laneChain(const Leaf &leaf, int slowest) const;

  const Topology &topology;
  Steps &steps;
  ReshardPool &reshards;
  const Graph &graph;
  const Segments &segments;
  const std::vector<char> crossing;
  bool backward;
};

/// The open leaves, those of which least is known to be needed first. Of
/// schedules other than those of the first leaves of all meshes, leaves wait to
/// be admitted.
class LeafQueue {
public:
  explicit LeafQueue(std::vector<Leaf> &leaves);
  bool hasOthers() const { return !others.empty(); }
  void admitOthers();
  /// A leaf of which there is a plan: its step, and the bytes that a rank
  /// needs.
  struct Solved {
    int64_t step = 0, bytes = 0;
    const Leaf *leaf = nullptr;
    bool operator<(const Solved &other) const {
      return std::pair(step, leaf->number) <
             std::pair(other.step, other.leaf->number);
    }
  };
  /// The open ones that differ from one of these in their schedule only.
  std::vector<Leaf *> otherSchedulesOf(const std::vector<Solved> &solved) const;
  /// Those of them that were probed and are likely to be better than `toBeat`,
  /// the likeliest first: if they are as far from their bounds as solved ones
  /// were, and need as much of the limit as they keep more.
  std::vector<Leaf *> likelyFirst(const std::vector<Solved> &solved,
                                  const Prober &prober, int64_t limit,
                                  int64_t toBeat) const;

  bool empty() const { return open.empty(); }
  /// Those of many stages, which have most room, before others.
  std::vector<Leaf *> firstOfMeshes() const;
  /// For each number of stages, without recomputation and with it, an open one
  /// as people choose them: the last axis is inside a machine of so many ranks,
  /// and there are about eight times as many micro-batches as stages.
  std::vector<Leaf *> usual(int64_t ranksOfMachine) const;
  Leaf *least() const;
  /// Of those whose plans were not seen not to fit; null if there are none.
  Leaf *leastLoose() const;
  bool hasTight() const { return !leastTight(1, INT64_MAX).empty(); }
  /// Some of the others that may be better than `toBeat`, by their prices.
  std::vector<Leaf *> leastTight(size_t most, int64_t toBeat) const;
  /// Some that were probed and may be better than `toBeat`: of what was not
  /// solved, if there is any.
  std::vector<Leaf *> leastProbed(size_t most, int64_t toBeat) const;
  /// The one whose plans need least room, as far as that can be told without a
  /// look at it: of the meshes of which something is known, if there are any,
  /// one with many micro-batches.
  Leaf *roomiest() const;
  /// Some that were not probed and may be better than `toBeat`, of the meshes
  /// that come first.
  std::vector<Leaf *> unprobed(size_t most, int64_t toBeat);
  /// What a leaf that was probed says of others of its mesh: where they are
  /// cut, too.
  void tell(const Leaf &probed, const Prober &prober);
  void remove(Leaf *leaf) { std::erase(open, leaf); }

private:
  std::vector<Leaf *> open, others;
  /// By the number of stages and the sizes of axes.
  using MeshKey = std::pair<int64_t, std::vector<int64_t>>;
  static MeshKey keyOf(const Leaf &leaf) {
    return {leaf.execution.stages, leaf.mesh.axisSizes};
  }
  std::map<MeshKey, std::vector<Leaf *>> ofMesh;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_LEAVES_H
