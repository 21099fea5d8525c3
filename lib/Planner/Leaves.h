//===- Leaves.h - Meshes and ways to execute on them ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A leaf of the search is a mesh and a way to execute: stages, micro-batches,
// recomputation, and the cut. Its plans differ in strategies alone. To solve
// one takes seconds, so each is probed first: a bound comes from parts of the
// model, equal ones once.
//
// The bound. Let stage j take t_j for a micro-batch, forward and backward, and
// o_j for what it does once a step. Stage s waits for a micro-batch that goes
// through all stages before it, works on m of them, and then the last one goes
// back through those stages. So
//
//   step >= m t_s + sum of t_j for j < s + o_0
//
// for each s, which is tight where no later stage takes longer. Without a
// backward pass micro-batches go on instead: all j other than s count, and the
// o of the last stage. Each operation has a number in such a sum: how often
// what it does counts. The sum is least where each window of the model
// (Segments.h) is least, whatever lies around it.
//
// What a leaf says of others: t(m') >= m / m' t(m) for more micro-batches m',
// as times of kernels and collectives grow no faster than their sizes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_LEAVES_H
#define PARTITA_LIB_PLANNER_LEAVES_H

#include "Segments.h"
#include "partita/Topology/Topology.h"
#include <map>
#include <memory>

namespace partita::planner {

/// What one micro-batch runs.
struct Step {
  Graph graph;
  DimClasses classes;
  Windows windows;
  /// By operation: bytes of all ranks together that are there for the whole
  /// step, and that the backward pass reads.
  std::vector<int64_t> residentBytes, keptBytes;
};

/// Those of a graph, by the number of micro-batches.
class Steps {
public:
  explicit Steps(const Graph &whole);
  /// Errors: `plan.micro-batches` (1).
  Result<const Step *> of(int64_t microBatches);
  /// False: the batch does not fall into so many. True: it may.
  bool mayDivide(int64_t microBatches) const;
  bool hasBackward() const { return backward; }
  const Segments &segments() const { return parts; }

private:
  void findBytes(Step &step) const;

  const Graph &whole;
  const std::vector<OpPhase> phases;
  const Segments parts;
  bool backward = false;
  std::vector<int64_t> batches;
  std::map<int64_t, std::unique_ptr<Step>> steps;
};

struct Leaf {
  Mesh mesh;
  Execution execution;
  /// In the order in which they are listed.
  size_t number = 0;
  const Step *step = nullptr;
  /// The least time that is known of its plans, in picoseconds.
  int64_t bound = 0;
  /// Whether that comes from the leaf itself.
  bool probed = false;
  /// By segment, once it is dealt.
  std::vector<int> stageOfSegment;
  /// The stage that counts once for each micro-batch.
  int slowest = 0;
  /// By window: the least of its part of the sum, and of its forward pass, by
  /// segment, for one micro-batch.
  struct Part {
    int64_t bound = 0;
    std::vector<int64_t> forward;
  };
  std::vector<Part> parts;
};

class Prober {
public:
  Prober(const Topology &topology, const Steps &steps)
      : topology(topology), segments(steps.segments()),
        crossing(steps.segments().crossing()), backward(steps.hasBackward()) {}

  /// Cuts a leaf that is not cut, where work is most even. Errors:
  /// `plan.stages` (1) if there are fewer segments than stages.
  Status deal(Leaf &leaf) const;
  /// Deals and bounds. Errors: as those of deal().
  Status probe(Leaf &leaf) const;
  /// Bytes that a rank of the fullest stage of a leaf that is cut holds at
  /// least, if all is split over all ranks: every micro-batch in flight keeps
  /// what its backward pass reads, and of recomputed layers what goes between
  /// them.
  int64_t leastBytes(const Leaf &leaf) const;
  /// What a leaf that was probed says of another of the same mesh and cut; zero
  /// if that is nothing.
  int64_t inherited(const Leaf &probed, const Leaf &other) const;

private:
  class Session;
  int64_t timesOf(const Leaf &leaf, int64_t microBatches, int stage) const;
  int64_t timesOnce(const Leaf &leaf, int stage) const;

  const Topology &topology;
  const Segments &segments;
  const std::vector<char> crossing;
  bool backward;
};

/// The open leaves, those of which least is known to be needed first.
class LeafQueue {
public:
  explicit LeafQueue(std::vector<Leaf> &leaves);

  bool empty() const { return open.empty(); }
  /// Those of many stages, which have most room, before others.
  std::vector<Leaf *> firstOfMeshes() const;
  Leaf *least() const;
  /// Of those that were probed; null if there is none.
  Leaf *leastProbed() const;
  /// The one whose plans need least room, as far as that can be told without a
  /// look at it: of the meshes of which something is known, if there are any,
  /// one with many micro-batches.
  Leaf *roomiest() const;
  /// Some that were not probed and may be better than `toBeat`, of the meshes
  /// that come first.
  std::vector<Leaf *> unprobed(size_t most, int64_t toBeat);
  /// What a leaf that was probed says of others.
  void tell(const Leaf &probed, const Prober &prober);
  void remove(Leaf *leaf) { std::erase(open, leaf); }

private:
  std::vector<Leaf *> open;
  std::map<std::vector<int64_t>, std::vector<Leaf *>> ofMesh;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_LEAVES_H
