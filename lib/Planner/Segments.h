//===- Segments.h - Where a model may be cut into stages --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The forward pass, in the order of the graph, is cut where the fewest bytes go
// from what comes before to what comes after: between layers, mostly. What lies
// between two such boundaries is a segment. All else belongs to the segment of
// what it serves: a backward operation to that of the operation that it is the
// gradient of, a weight to that of its first use, the optimizer to that of its
// weight.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_SEGMENTS_H
#define PARTITA_LIB_PLANNER_SEGMENTS_H

#include "DimClasses.h"
#include "partita/Planner/Execution.h"

namespace partita::planner {

/// Of all ranks together, if nothing of it is there twice.
double wholeBytes(const GraphValue &value);

/// Segments that come several times in a graph.
struct Window {
  /// The first, how many there are, and how often they come.
  int first = 0, width = 0, copies = 1;
  /// Of its segment `place` in one of its copies.
  int segment(int place, int copy) const {
    return first + copy * width + place;
  }
};

/// One copy of each window, side by side: operations and their pieces.
struct Windows {
  Graph graph;
  DimClasses classes;
  std::vector<OpPhase> phases;
  /// By operation: the window, and how many segments after its first; the
  /// latter is -1 for what comes in at the edge.
  std::vector<int> window, place;
  std::vector<Window> all;
};

class Segments {
public:
  Segments(const Graph &graph, const std::vector<OpPhase> &phases);

  int count() const { return static_cast<int>(boundaries.size()) + 1; }
  /// By operation.
  const std::vector<int> &segmentOf() const { return segments; }
  /// By value: goes from one segment of the forward pass to another.
  std::vector<char> crossing() const;

  /// By operation, if `ofSegment` is by segment.
  std::vector<int> byOp(const std::vector<int> &ofSegment) const;

  /// Parts of the graph that together have all its segments; `phases` are those
  /// of their operations.
  std::vector<Window> windows(const std::vector<OpPhase> &phases) const;
  /// What a part reads from others comes in at its edge, in any layout: the
  /// least that the parts take together is at most what the graph takes. `step`
  /// is the graph, or a micro-batch of it.
  Windows cut(const std::vector<Window> &windows, const Graph &step,
              const DimClasses &classes,
              const std::vector<OpPhase> &phases) const;

private:
  void findBoundaries();
  void assign();
  std::vector<std::string> signatures(const std::vector<OpPhase> &phases) const;
  void addWindow(const Window &window, const Graph &step,
                 const DimClasses &classes, const std::vector<OpPhase> &phases,
                 Windows &windows) const;

  const Graph &graph;
  const std::vector<OpPhase> &phases;
  std::vector<int> producer;   // by value
  std::vector<int> forward;    // operations of the forward pass
  std::vector<int> boundaries; // positions in `forward` that begin a segment
  std::vector<int> segments;   // by operation
};

/// The chunk of each segment if these are dealt to `chunks` of them, in order,
/// so that the largest has least work, and the others about the same. Empty if
/// there are fewer segments than chunks.
std::vector<int> dealt(int64_t chunks, const std::vector<int64_t> &work);

/// All ways to deal so many segments to chunks, in order, each of which gets
/// one at least; empty if there are more ways than `most`.
std::vector<std::vector<int>> allCuts(int64_t chunks, int segments,
                                      size_t most);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_SEGMENTS_H
