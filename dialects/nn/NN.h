//===- NN.h - Tensor operations of neural networks -------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_NN_NN_H
#define PARTITA_DIALECTS_NN_NN_H

#include "dialects/interfaces/Interfaces.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/nn/NNBaseDialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/nn/Elementwise.h.inc"
#define GET_OP_CLASSES
#include "dialects/nn/Linear.h.inc"
#define GET_OP_CLASSES
#include "dialects/nn/Module.h.inc"
#define GET_OP_CLASSES
#include "dialects/nn/Reduction.h.inc"
#define GET_OP_CLASSES
#include "dialects/nn/Shape.h.inc"

namespace partita::nn {

/// Discardable attributes: unique id and covered nodes of an operation; name,
/// dimension names and value range of an entry's arguments and results; files
/// of a module.
inline constexpr llvm::StringLiteral idAttrName = "nn.id";
inline constexpr llvm::StringLiteral nodesAttrName = "nn.nodes";
inline constexpr llvm::StringLiteral nameAttrName = "nn.name";
inline constexpr llvm::StringLiteral dimsAttrName = "nn.dims";
inline constexpr llvm::StringLiteral rangeAttrName = "nn.range";
inline constexpr llvm::StringLiteral filesAttrName = "nn.files";
inline constexpr llvm::StringLiteral weightsAbsentAttrName = "nn.weights_absent";

/// The id of an operation; empty if it has none.
llvm::StringRef getId(mlir::Operation *op);
/// The names of the model's nodes that an operation covers.
std::vector<std::string> getNodes(mlir::Operation *op);
/// Gives `to` the id and the nodes of `from`, with `suffix` added to the id.
void copyIdentity(mlir::Operation *from, mlir::Operation *to,
                  llvm::StringRef suffix = "");

/// The static shape of a tensor value.
std::vector<int64_t> shapeOf(mlir::Value value);
std::vector<int64_t> shapeOf(mlir::Type type);
/// `value`'s type with another shape.
mlir::RankedTensorType withShape(mlir::Type type,
                                 llvm::ArrayRef<int64_t> shape);

} // namespace partita::nn

#endif // PARTITA_DIALECTS_NN_NN_H
