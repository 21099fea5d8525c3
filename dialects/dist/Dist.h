//===- Dist.h - Meshes, shardings and collectives --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_DIST_DIST_H
#define PARTITA_DIALECTS_DIST_DIST_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Attributes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "partita/Support/ShardingRule.h"

#include "dialects/dist/DistDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/dist/DistAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/dist/Dist.h.inc"

namespace partita::dist {

/// Attribute names on operations, function arguments and function results.
inline constexpr llvm::StringLiteral strategyAttrName = "dist.strategy";
inline constexpr llvm::StringLiteral shardingAttrName = "dist.sharding";
/// The stage of an operation or of a function's result, as an i64.
inline constexpr llvm::StringLiteral stageAttrName = "dist.in_stage";
/// On the function of a stage and those of its rank classes: their mesh.
inline constexpr llvm::StringLiteral meshAttrName = "dist.on";

/// On a module: how often a step runs it. On arguments and results of an entry:
/// the dimension that this cuts, if it cuts one.
inline constexpr llvm::StringLiteral microBatchesAttrName =
    "dist.micro_batches";
inline constexpr llvm::StringLiteral batchDimAttrName = "dist.batch_dim";

/// The module's first mesh, or null: that of all ranks.
MeshOp getMesh(mlir::Operation *module);
/// The mesh called so in the module of `op`, or null.
MeshOp findMesh(mlir::Operation *op, mlir::FlatSymbolRefAttr name);
/// The mesh that `function` runs on: its own, or that of all ranks; or null.
MeshOp meshOf(mlir::Operation *function);

/// True for the collectives, softmax_merge and free moves (not for
/// dist.reshard).
bool isMove(mlir::Operation *op);

} // namespace partita::dist

#endif // PARTITA_DIALECTS_DIST_DIST_H
