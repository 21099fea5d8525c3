//===- Narrow.h - Element types that are stored wider -----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Integers of two and four bits and floats of four and eight save memory in
// files; nothing computes with them. Each has at most 256 values, all of which
// a wider type has too: programs hold that type. What is packed in a file is
// unpacked when it is loaded, and what is converted to such a type is rounded
// to one of its values.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_NARROW_H
#define PARTITA_LIB_IMPORT_NARROW_H

#include "mlir/IR/BuiltinTypes.h"
#include "partita/Support/DType.h"
#include <string_view>
#include <vector>

namespace partita::importer {

class NodeImport;

/// A type of ONNX that Partita has not, and how it is stored.
struct NarrowType {
  /// How floats say what is no number: none does, one pattern of bits for each
  /// sign, the pattern of minus zero, or infinities and the patterns above.
  enum Special { Nothing, LastIsNaN, MinusZeroIsNaN, Infinities };

  int onnx;
  /// As ONNX's schemas call it.
  std::string_view name;
  DType stored;
  int bits;
  /// Of floats: bits of the mantissa, bias of the exponent. Integers have none.
  int mantissa = 0, bias = 0;
  Special special = Nothing;

  bool isFloat() const { return partita::isFloat(stored); }
  /// The number that a pattern of bits stands for.
  double value(unsigned pattern) const;
  /// The smallest and largest finite value.
  double lowest() const;
  double largest() const;
  /// Bytes of this many elements in a file.
  int64_t packedBytes(int64_t elements) const {
    return (elements + 8 / bits - 1) / (8 / bits);
  }
};

/// The narrow type with this number in ONNX, or null.
const NarrowType *narrowType(int onnxType);

/// The numbers of `bits` bits that a tensor [n, .., m] of bytes holds, lowest
/// bits first, as [n, .., m * 8 / bits] integers.
mlir::Value unpackBits(NodeImport &n, mlir::Value bytes, int64_t bits);
/// The elements that packed bytes hold, in a shape.
mlir::Value unpackNarrow(NodeImport &n, mlir::Value bytes,
                         const NarrowType &type,
                         const std::vector<int64_t> &shape);
/// Numbers converted to a narrow type. Integers wrap; floats beyond the largest
/// become the largest if they saturate, else infinite or NaN.
mlir::Value castToNarrow(NodeImport &n, mlir::Value value,
                         const NarrowType &type, bool saturates);

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_NARROW_H
