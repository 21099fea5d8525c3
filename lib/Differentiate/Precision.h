//===- Precision.h - Computing in half precision ---------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Mixed precision for models of f32: what depends on weights is computed in a
// narrower type, the rest (positions, masks) as it was.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_DIFFERENTIATE_PRECISION_H
#define PARTITA_LIB_DIFFERENTIATE_PRECISION_H

#include "Backward.h"

namespace partita::training {

/// Rounds each of `weights`, of f32, to `element`, and lets every operation
/// that reads what is of that type read and compute in it alone. Masks of
/// attention stay as they are, since the smallest numbers of f32 are infinite
/// elsewhere.
void computeIn(mlir::Type element, llvm::ArrayRef<Value> weights,
               mlir::Block &block, Naming &naming);

} // namespace partita::training

#endif // PARTITA_LIB_DIFFERENTIATE_PRECISION_H
