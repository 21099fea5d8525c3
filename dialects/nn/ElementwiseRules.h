//===- ElementwiseRules.h - What elementwise operations share --*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every dimension is a parallel factor of all operands and the result; what
// differs between the operations is what one element costs and in which
// operands they are linear.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_ELEMENTWISERULES_H
#define PARTITA_DIALECTS_NN_ELEMENTWISERULES_H

#include "dialects/nn/NN.h"

namespace partita::nn {

/// Every dimension is parallel in all operands and the result; `linear` lists
/// the operand sets in which the operation is linear.
inline ShardingRule elementwiseRule(mlir::Operation *op,
                                    std::vector<std::vector<unsigned>> linear) {
  std::vector<int64_t> shape = shapeOf(op->getResult(0));
  unsigned numOperands = op->getNumOperands();
  RuleBuilder builder(std::vector<size_t>(numOperands, shape.size()),
                      {shape.size()});
  for (unsigned d = 0; d < shape.size(); ++d) {
    RuleBuilder::Places operands;
    for (unsigned i = 0; i < numOperands; ++i)
      operands.push_back({i, d});
    builder.parallel("d" + std::to_string(d), shape[d], operands, {{0, d}});
  }
  for (auto &set : linear)
    builder.linear(set);
  return builder.build();
}

inline int64_t elementFlops(mlir::Operation *op, int64_t perElement) {
  return mlir::cast<mlir::RankedTensorType>(op->getResult(0).getType())
             .getNumElements() *
         perElement;
}

/// Rule and cost of an elementwise operation: flops per element and the
/// operand sets in which it is linear.
#define PARTITA_ELEMENTWISE(Op, flops, ...)                                    \
  ShardingRule Op::getShardingRule() {                                         \
    return elementwiseRule(*this, {__VA_ARGS__});                              \
  }                                                                            \
  int64_t Op::getFlops() { return elementFlops(*this, flops); }                \
  KernelClass Op::getKernelClass() { return KernelClass::Memory; }

} // namespace partita::nn

#endif // PARTITA_DIALECTS_NN_ELEMENTWISERULES_H
