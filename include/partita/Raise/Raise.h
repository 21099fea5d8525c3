//===- Raise.h - Composites from their decompositions -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exporters decompose attention, norms, GELU, SiLU and rotary embedding into
// elementwise operations and products. Here they become single operations
// again, and what moves without need is removed. A composite has the nn.id of
// the operation whose result it replaces and the nn.nodes of all that it
// covers.
//
// The module attribute nn.raise_report says how often each composite was found
// (`raised`), and how often something is left that looks as if it belonged to
// one (`left`): a softmax between two products, an erf, ...
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RAISE_RAISE_H
#define PARTITA_RAISE_RAISE_H

#include "mlir/IR/BuiltinOps.h"
#include "partita/Support/Error.h"

namespace partita {

/// Simplifies and raises the program in place; the caller verifies.
/// Failure is an error of Partita itself (exit 70).
Status raise(mlir::ModuleOp module);

} // namespace partita

#endif // PARTITA_RAISE_RAISE_H
