//===- RT.h - One rank's program -------------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_DIALECTS_RT_RT_H
#define PARTITA_DIALECTS_RT_RT_H

#include "dialects/dist/Dist.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/rt/RTDialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/rt/RT.h.inc"

namespace partita::rt {

/// On a rank class's function: the ranks it serves, as an i64 array.
inline constexpr llvm::StringLiteral ranksAttrName = "rt.ranks";

/// A value's addressing: the buffer behind it, first element and strides.
struct Addressing {
  mlir::Value buffer;
  int64_t offset = 0;
  std::vector<int64_t> strides;
};
/// Of a buffer: itself, row-major. Of a view: as the view says.
Addressing addressingOf(mlir::Value value);

/// What the callee of an rt.call or the body of an rt.fusion writes as result
/// `i`, whose buffer has type `buffer`: its type, and its strides in the buffer.
mlir::RankedTensorType calleeType(mlir::Type buffer,
                                  mlir::ArrayAttr permutations, unsigned i);
llvm::SmallVector<int64_t> calleeStrides(mlir::Type buffer,
                                         mlir::ArrayAttr permutations,
                                         unsigned i);

} // namespace partita::rt

#endif // PARTITA_DIALECTS_RT_RT_H
