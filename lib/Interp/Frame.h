//===- Frame.h - The values of a running function --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What both ways of running share: the values that are alive, and the execution
// of an operation that needs no other rank.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_INTERP_FRAME_H
#define PARTITA_LIB_INTERP_FRAME_H

#include "partita/Interp/Interpreter.h"
#include "llvm/ADT/DenseMap.h"

namespace partita::interp {

/// The values of one run of a block; a value dies with its last use.
class Frame {
public:
  Frame(RankPlace place, ParameterSource &parameters)
      : place(std::move(place)), parameters(parameters) {}

  const RankPlace &where() const { return place; }
  /// Gives a value its tensor.
  void define(mlir::Value value, HostTensor tensor);
  /// The operands' tensors; those used for the last time are forgotten.
  std::vector<HostTensor> use(mlir::Operation *op);
  /// Executes an operation that needs no other rank.
  Status execute(mlir::Operation *op);

private:
  Result<std::vector<HostTensor>> evaluate(mlir::Operation *op);
  Result<HostTensor> readParameter(nn::GetParameterOp op);
  Result<std::vector<HostTensor>> runFusion(mlir::Operation *op);

  struct Live {
    HostTensor tensor;
    unsigned uses;
  };
  RankPlace place;
  ParameterSource &parameters;
  llvm::DenseMap<mlir::Value, Live> live;
};

/// Checks how many inputs a user gave.
Status checkCount(size_t given, size_t expected);

/// Checks an input given by a user: the element type of `type` and the shape.
Status checkInput(size_t i, const HostTensor &input, mlir::Type type,
                  const std::vector<int64_t> &shape);

/// Runs `fn`; memory exhaustion becomes an error.
template <typename Fn> auto guarded(Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::bad_alloc &) {
    return makeError(ExitCode::InvalidInput, "interp.memory", "",
                     "not enough memory to interpret the program",
                     "use smaller dimensions");
  }
}

} // namespace partita::interp

#endif // PARTITA_LIB_INTERP_FRAME_H
