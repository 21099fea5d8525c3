//===- Graph.h - What the planner knows of a model -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model as the planner sees it: operations with sharding rules and costs,
// tensors with shapes. It is extracted from IR through interfaces, so that any
// dialect whose operations implement them can be planned, and it holds no IR.
//
// Parameters, inputs and outputs are operations too, with one parallel factor a
// dimension: where they are stored is a strategy like any other.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_PLANNER_GRAPH_H
#define PARTITA_PLANNER_GRAPH_H

#include "partita/Support/DType.h"
#include "partita/Support/KernelClass.h"
#include "partita/Support/ShardingRule.h"

namespace partita {

enum class OpRole : uint8_t { Compute, Parameter, Input, Output };

struct GraphOp {
  /// Unique, from import; and the ONNX nodes that it covers.
  std::string id;
  std::vector<std::string> nodes;
  /// "nn.matmul"; for reports.
  std::string kind;
  OpRole role = OpRole::Compute;
  ShardingRule rule;
  /// Value numbers.
  std::vector<int> operands, results;
  /// Whole operation, in floating point operations. Zero for data movement.
  int64_t flops = 0;
  KernelClass kernelClass = KernelClass::Memory;
  /// Operands of which no more is read than results are written: the table of
  /// a gather.
  std::vector<unsigned> sampledOperands;
  /// Depends on parameters and constants alone: runs once, at load.
  bool atLoad = false;
  /// Of an input that is a state: the output that is its next value. It is
  /// there all the time, and the next step reads it as this one did.
  int nextState = -1;
  /// Of a training step: a part of the backward pass, and of the optimizer,
  /// which runs once a step.
  bool isBackward = false, isUpdate = false;
};

struct GraphValue {
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::F32;
  /// Names of dimensions, of graph inputs only ("batch", "sequence", "");
  /// dimension classes start from these.
  std::vector<std::string> dimNames;
};

/// Operations in topological order; every value has one producer.
struct Graph {
  std::string modelName;
  std::vector<GraphOp> ops;
  std::vector<GraphValue> values;
};

} // namespace partita

#endif // PARTITA_PLANNER_GRAPH_H
