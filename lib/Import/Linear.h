//===- Linear.h - Matrix products as ONNX has them --------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// MatMul's rules of shapes, for all operators that contain such a product.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_LINEAR_H
#define PARTITA_LIB_IMPORT_LINEAR_H

#include "NodeImport.h"

namespace partita::importer {

/// ONNX's product as NumPy has it: vectors get a dimension that vanishes
/// afterwards, dimensions before the matrices broadcast.
mlir::Value numpyMatMul(NodeImport &n, mlir::Value lhs, mlir::Value rhs);

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_LINEAR_H
