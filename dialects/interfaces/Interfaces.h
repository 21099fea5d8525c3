//===- Interfaces.h - What makes an operation plannable --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_INTERFACES_INTERFACES_H
#define PARTITA_DIALECTS_INTERFACES_INTERFACES_H

#include "partita/Support/HostTensor.h"
#include "partita/Support/KernelClass.h"
#include "partita/Support/ShardingRule.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"

namespace partita {

/// Where a program runs: the rank's place in the mesh. A whole program runs on
/// a mesh without axes.
struct RankPlace {
  Mesh mesh;
  std::vector<int64_t> coords;
};

/// What an operation is told of a rank class besides its local types, by the
/// names of the factors of its sharding rule.
struct LocalPlace {
  /// The attribute that says where the rank's interval of a factor begins, or
  /// null if the factor is whole.
  llvm::function_ref<mlir::Attribute(llvm::StringRef factor)> offset;
  /// How many elements the windows of a split halo factor reach over the two
  /// ends of the operand: what is padding on the ranks of this class. Nothing
  /// if the factor is whole.
  llvm::function_ref<std::optional<std::pair<int64_t, int64_t>>(
      llvm::StringRef factor)>
      beyond;
};

/// The element type of a tensor as stored, or nothing if Partita has none.
std::optional<DType> getDType(mlir::Type elementType);
/// The inverse.
mlir::Type getElementType(mlir::MLIRContext *context, DType dtype);

/// What the library is told of an operation besides its tensors.
struct LibraryCall {
  /// Integers and booleans as lists of integers, floating point numbers as
  /// lists of doubles, strings as they are. If operands are optional or
  /// variadic, `operands` says how many each of them stands for.
  std::vector<mlir::NamedAttribute> config;
  /// Where this rank's part of a factor begins (`#dist.offset`). For the
  /// attribute `a` that gives offset i, `config` has a=[i].
  std::vector<mlir::Attribute> offsets;
};
/// Fails on an attribute of another kind.
Result<LibraryCall> libraryCallOf(mlir::Operation *op);

} // namespace partita

#include "dialects/interfaces/Interfaces.h.inc"

#endif // PARTITA_DIALECTS_INTERFACES_INTERFACES_H
