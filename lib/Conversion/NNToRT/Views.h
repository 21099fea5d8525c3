//===- Views.h - Addressing of values that move no data --------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Transposes, broadcasts, slices and most reshapes only change how the elements
// of a buffer are addressed. Views compose, so a chain of any length is one
// offset and one stride a dimension:
//
//   buffer [2,8,96]        offset 0  shape [2,8,96]    strides [768,96,1]
//   reshape to [2,8,6,16]            shape [2,8,6,16]  strides [768,96,16,1]
//   transpose [0,2,1,3]              shape [2,6,8,16]  strides [768,16,96,1]
//   reshape to [2,48,16]   not expressible: 16 * 6 is not 96 apart
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_CONVERSION_NNTORT_VIEWS_H
#define PARTITA_LIB_CONVERSION_NNTORT_VIEWS_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace partita::rt {

/// Where the elements of a value are: element i is at offset + sum(i * stride)
/// of the flat buffer, counted in elements.
struct Place {
  mlir::Value buffer;
  int64_t offset = 0;
  llvm::SmallVector<int64_t> shape, strides;
};

llvm::SmallVector<int64_t> rowMajorStrides(llvm::ArrayRef<int64_t> shape);
/// The whole of a buffer.
Place wholeBuffer(mlir::Value buffer);
/// Whether the elements are all of the buffer's, in row-major order.
bool isWholeRowMajor(const Place &place);

/// The same elements in the same order under another shape; nothing if no
/// strides express it.
std::optional<Place> reshape(const Place &place, llvm::ArrayRef<int64_t> shape);
/// Result dimension i is dimension order[i].
Place transpose(const Place &place, llvm::ArrayRef<int64_t> order);
/// Dimension i becomes dimension dims[i] of `shape`; the others, and dimensions
/// of size one that grow, repeat.
Place broadcast(const Place &place, llvm::ArrayRef<int64_t> dims,
                llvm::ArrayRef<int64_t> shape);
/// Elements starts + i * steps.
Place slice(const Place &place, llvm::ArrayRef<int64_t> starts,
            llvm::ArrayRef<int64_t> steps, llvm::ArrayRef<int64_t> shape);

/// The place of the result of nn.reshape, transpose, broadcast, slice or split
/// whose operand is at `input`; nothing if it has none without a copy.
std::optional<Place> viewPlace(mlir::OpResult result, const Place &input);
/// Whether `op` is one of these operations.
bool isViewOp(mlir::Operation *op);

} // namespace partita::rt

#endif // PARTITA_LIB_CONVERSION_NNTORT_VIEWS_H
