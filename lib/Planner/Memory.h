//===- Memory.h - What plans need at the time of each operation -*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row for each operation of the step: the bytes that a rank of its stage
// holds while it runs, as far as strategies decide them. Rows of a stage come
// together. What is counted is there in every program, however it is fused and
// scheduled between these operations: resident parameters and what is made of
// them at load; what matrix products, convolutions and attention write, from
// then to its last use; and what they read, while they read it. So a row is at
// most what the program allocates, and a bound that rows give holds.
//
// Of training steps more is counted: what the forward pass computes and the
// backward pass reads is kept in between, for each micro-batch that is in
// flight; with recomputation only what goes from segment to segment is, and the
// rest is there again from where the segment's backward pass begins. What goes
// from micro-batch to micro-batch (sums of gradients) or is brought to where it
// is used once a step (copies of weights) is there all the time.
//
// A limit turns into prices of bytes (Fit.h). They are added to the prices of
// strategies, so what repeated layers share stays shared where prices agree.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_PLANNER_MEMORY_H
#define PARTITA_LIB_PLANNER_MEMORY_H

#include "Costing.h"
#include "Strategies.h"
#include "partita/Planner/Problem.h"
#include <map>
#include <memory>

namespace partita::planner {

/// Bytes that a result of such an operation takes on a rank: a view (of a
/// transposed weight, of a repeated bias) takes no more than what it looks at,
/// and what looks at nothing is a number. The functions give the bytes of
/// operand i and of result i.
template <typename OperandBytes, typename ResultBytes>
int64_t keptBytes(const GraphOp &op, size_t result,
                  const OperandBytes &operandBytes,
                  const ResultBytes &resultBytes) {
  int64_t whole = resultBytes(result);
  if (op.role != OpRole::Compute || op.kernelClass != KernelClass::Free)
    return whole;
  int64_t seen = 0;
  for (size_t i = 0; i < op.operands.size(); ++i)
    seen += operandBytes(i);
  return std::min(whole, seen);
}

class MemoryRows {
public:
  /// `candidates` by operation of `graph`, with layouts of `reshard`.
  MemoryRows(const Graph &graph,
             const std::vector<const CandidateSet *> &candidates,
             const ReshardPlanner &reshard, const Mesh &mesh,
             const Costing &costing);

  /// The bytes of each row when operation o takes value values[o].
  std::vector<int64_t> usage(const std::vector<int> &values) const;
  /// The fullest row of each stage.
  std::vector<int> peaks(const std::vector<int64_t> &usage) const;
  /// The row in which every plan has the most.
  struct Held {
    int row = 0;
    /// Whose row it is.
    int op = 0;
    int64_t bytes = 0;
    /// What each operation makes, or reads, of it at least.
    std::vector<std::pair<int, int64_t>> byOp;
  };
  Held leastHeld() const;
  /// Adds picoseconds per byte of some rows to the prices of operations,
  /// rounded down. With `tilt`, later ones pay more, up to that much of it.
  void addPrices(const std::map<int, double> &prices, Problem &problem,
                 double tilt = 0) const;

private:
  /// Bytes by value of an operation's variable, in the rows begin to end, as
  /// often as `copies` says.
  struct Item {
    int op, begin, end;
    int64_t copies;
    std::shared_ptr<const std::vector<int64_t>> bytes;
  };
  class Builder;
  size_t numRows;
  std::vector<int> opOfRow;
  /// Where stages begin, and the end.
  std::vector<int> firstRow{0};
  std::vector<Item> items;
};

} // namespace partita::planner

#endif // PARTITA_LIB_PLANNER_MEMORY_H
