//===- Property.h - Partitioned equals whole -------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The property that holds the design together, on one program: run it whole;
// give every operation a strategy and every boundary a sharding; partition; run
// all ranks; compare in f64 at 1e-11, where no tolerance hides a wrong shard.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_UNIT_PARTITION_PROPERTY_H
#define PARTITA_TEST_UNIT_PARTITION_PROPERTY_H

#include "Strategies.h"
#include "dialects/rt/RT.h"
#include "partita/Interp/Interpreter.h"
#include <functional>
#include <map>
#include <optional>
#include <random>

namespace partita::test {

mlir::MLIRContext &context();

/// Values of float inputs. Index inputs (integers) are in [-limit, limit).
struct InputRange {
  double low = -1, high = 1;
  int64_t limit = 2;
};

/// A program with a mesh, its inputs and what it gives as a whole.
class Program {
public:
  /// `body` is everything of the module but the mesh, with the entry @step.
  Program(const std::string &body, const Mesh &mesh, InputRange range,
          unsigned seed);

  const Mesh &mesh() const { return grid; }
  mlir::func::FuncOp step() const;
  /// The operations of @step that need a strategy, in order.
  std::vector<mlir::Operation *> planned() const;

  /// The strategy of planned operation `i`, the sharding of argument or result
  /// `i` (never pending for arguments).
  struct Choice {
    std::vector<Strategy> strategies;
    std::vector<Sharding> arguments, results;
    /// By planned operation; empty: there are no stages.
    std::vector<int64_t> stages;
  };
  /// Changes a localised module before it runs.
  using Mutation = std::function<void(mlir::ModuleOp)>;
  /// What is wrong with the partitioned program, or nothing.
  std::optional<std::string> check(const Choice &choice,
                                   const Mutation &mutation = nullptr);

private:
  std::optional<std::string> compare(mlir::ModuleOp module);

  Mesh grid;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  MemoryParameters parameters;
  std::vector<HostTensor> inputs, expected;
};

/// A random tensor of a type.
HostTensor randomTensor(mlir::Type type, const InputRange &range,
                        std::mt19937 &random);

} // namespace partita::test

#endif // PARTITA_TEST_UNIT_PARTITION_PROPERTY_H
