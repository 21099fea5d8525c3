//===- ReferenceModels.h - What each operation means -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The meaning of every nn operation as executable code: an implementation of
// ReferenceOpInterface attached from outside, so that the dialect stays free of
// kernels. The interpreter runs whole programs by it, and folding runs single
// operations.
//
// Floating point is computed in double and rounded once to the result's type;
// integers are computed exactly modulo 2^64 and then truncated to their width.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_INTERP_REFERENCEMODELS_H
#define PARTITA_INTERP_REFERENCEMODELS_H

#include "dialects/interfaces/Interfaces.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/DialectRegistry.h"
#include "partita/Support/HostTensor.h"

namespace partita {

/// Attaches ReferenceOpInterface to the nn operations of every context that is
/// made from `registry`.
void registerReferenceModels(mlir::DialectRegistry &registry);

/// Runs one operation. Fails (exit code 3) if it has no reference
/// implementation, and (exit code 2) if the values make it undefined: an index
/// out of range, an integer divided by zero. Operands have the types of the
/// operation's operands; so have the results.
Result<std::vector<HostTensor>>
evaluateReference(mlir::Operation *op, llvm::ArrayRef<HostTensor> operands,
                  const RankPlace &place = {});

/// The elements of a constant. Fails on element types that cannot be stored.
Result<HostTensor> tensorFromAttr(mlir::ElementsAttr attr);

/// The inverse. A tensor whose elements are all equal becomes a splat.
mlir::DenseElementsAttr attrFromTensor(mlir::MLIRContext *context,
                                       const HostTensor &tensor);

/// The tensor type of a value: its shape and element type.
mlir::RankedTensorType typeOfTensor(mlir::MLIRContext *context,
                                    const HostTensor &tensor);

} // namespace partita

#endif // PARTITA_INTERP_REFERENCEMODELS_H
