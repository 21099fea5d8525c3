//===- Dist.h - Meshes, shardings and collectives --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_DIST_DIST_H
#define PARTITA_DIALECTS_DIST_DIST_H

#include "partita/Support/ShardingRule.h"
#include "mlir/IR/Attributes.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/dist/DistDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/dist/DistAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/dist/Dist.h.inc"

namespace partita::dist {

/// Attribute names on operations, function arguments and function results.
inline constexpr llvm::StringLiteral strategyAttrName = "dist.strategy";
inline constexpr llvm::StringLiteral shardingAttrName = "dist.sharding";

/// The module's only mesh, or null.
MeshOp getMesh(mlir::Operation *module);

/// True for the collectives, softmax_merge and free moves (not for dist.reshard).
bool isMove(mlir::Operation *op);

} // namespace partita::dist

#endif // PARTITA_DIALECTS_DIST_DIST_H
