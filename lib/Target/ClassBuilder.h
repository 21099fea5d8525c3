//===- ClassBuilder.h - The commands of a rank class ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Between the program as a whole and the table of one rank class.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_TARGET_CLASSBUILDER_H
#define PARTITA_LIB_TARGET_CLASSBUILDER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "partita/Runtime/Program.h"

namespace partita::target {

/// What stands at the ends of a function: numbers of the program's inputs,
/// outputs and transfers.
struct Wiring {
  struct Argument {
    bool received;
    int32_t number;
  };
  std::vector<Argument> arguments;
  struct Result {
    std::vector<int32_t> outputs, transfers;
  };
  std::vector<Result> results;
};

/// The table of `function`, a rank class of `stage`. The program has its ports,
/// stages and transfers by now, and gets the constants. Kernels and parameters
/// are numbers by name.
Result<runtime::RankClass> buildClass(mlir::func::FuncOp function,
                                      runtime::Program &program,
                                      const llvm::StringMap<int> &kernels,
                                      const llvm::StringMap<int> &parameters,
                                      int32_t stage, const Wiring &wiring);

} // namespace partita::target

#endif // PARTITA_LIB_TARGET_CLASSBUILDER_H
