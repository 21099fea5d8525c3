//===- DimClasses.h - What dimensions are made of ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two questions about the loops of a graph, answered by following factors from
// dimension to dimension:
//
// What is a dimension made of? A reshape to heads says that the 2304 columns of
// a projection are 3 x 12 x 64, long after the product that makes them. So each
// dimension gets a *refinement*, a divisor chain of cut points, which spreads
// through the factors of all rules in both directions until nothing changes. A
// cut that fits no divisor chain with those already there is dropped: whoever
// comes first wins, in the order of the graph.
//
// Which dimension is which? The pieces between cuts are joined into classes:
// two pieces that one factor walks must be split together to avoid traffic. A
// class is batch or sequence if a graph input says so; what attention sums over
// is a sequence whatever its name, or without one, as the patches of an image.
// A stack of weight matrices is of experts. A piece, not a dimension, is
// classified, so (batch sequence) merged into one keeps both.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_DIMCLASSES_H
#define PARTITA_LIB_PLANNER_DIMCLASSES_H

#include "partita/Planner/Graph.h"
#include "partita/Support/Error.h"

namespace partita::planner {

/// What a piece is; several bits where a graph is contradictory.
enum DimKind : uint8_t {
  KindOther = 0,
  KindBatch = 1,
  KindSequence = 2,
  KindExpert = 4
};

/// One piece of a factor's refinement.
struct Piece {
  int64_t size;
  uint8_t kind;
  bool operator==(const Piece &) const = default;
};

struct DimClasses {
  /// By operation and rule factor, major first. Sizes multiply to the
  /// factor's; no piece has size one unless it is the only one.
  std::vector<std::vector<std::vector<Piece>>> factors;
};

/// Analyses a well-formed graph.
DimClasses analyseDims(const Graph &graph);

/// Are all numbers in range, does every value have one producer before its
/// uses, and do rules fit the shapes? Errors: `plan.graph` (70).
Status checkGraph(const Graph &graph);

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_DIMCLASSES_H
