//===- Interface.h - What makes an operation differentiable ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIFFERENTIATE_INTERFACE_H
#define PARTITA_DIFFERENTIATE_INTERFACE_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/OpDefinition.h"
#include "partita/Support/Error.h"

namespace partita {

/// The gradients around one operation: of a loss with respect to its results,
/// which are given, and to its operands, which its rule finds.
struct Adjoint {
  /// Where the backward pass is being built.
  mlir::OpBuilder &builder;
  /// Null where the loss does not depend on a result.
  std::vector<mlir::Value> results;
  /// Of an operand that is not wanted no gradient need be built.
  std::vector<bool> wanted;
  /// What the rule sets. Null is zero.
  std::vector<mlir::Value> operands;
};

/// Attaches DifferentiableOpInterface to the nn operations of every context
/// that is made from `registry`.
void registerDifferentiationRules(mlir::DialectRegistry &registry);

} // namespace partita

#include "lib/Differentiate/Interface.h.inc"

#endif // PARTITA_DIFFERENTIATE_INTERFACE_H
