//===- HostTensor.h - A dense tensor in host memory ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Row-major, contiguous, 64-byte aligned, cheap to copy (the bytes are
// shared). The interpreter, the runtime's inputs and outputs, and `.npy` files
// all use it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_SUPPORT_HOSTTENSOR_H
#define PARTITA_SUPPORT_HOSTTENSOR_H

#include "partita/Support/DType.h"
#include "partita/Support/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace partita {

/// Product of `shape`, or nothing if it or a dimension is negative or the
/// product does not fit int64.
std::optional<int64_t> checkedNumElements(const std::vector<int64_t> &shape);

/// Row-major strides in elements.
std::vector<int64_t> rowMajorStrides(const std::vector<int64_t> &shape);

class HostTensor {
public:
  HostTensor() = default;
  /// Zero-filled. The caller has checked that the element count is sane.
  HostTensor(DType type, std::vector<int64_t> shape);

  DType dtype() const { return type; }
  const std::vector<int64_t> &shape() const { return dims; }
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  int64_t numElements() const { return count; }
  size_t numBytes() const { return count * dtypeSize(type); }
  bool defined() const { return bytes != nullptr; }

  std::byte *data() { return bytes.get(); }
  const std::byte *data() const { return bytes.get(); }
  template <typename T> T *as() { return reinterpret_cast<T *>(bytes.get()); }
  template <typename T> const T *as() const {
    return reinterpret_cast<const T *>(bytes.get());
  }

  /// Element `i` in row-major order, through double (integers beyond 2^53
  /// lose precision: use getInt for those).
  double getDouble(int64_t i) const;
  void setDouble(int64_t i, double value);
  int64_t getInt(int64_t i) const;
  void setInt(int64_t i, int64_t value);

  /// A deep copy.
  HostTensor clone() const;
  /// The same elements in another shape with the same count.
  HostTensor reshaped(std::vector<int64_t> shape) const;
  /// Converted element by element.
  HostTensor cast(DType to) const;

private:
  DType type = DType::F32;
  std::vector<int64_t> dims;
  int64_t count = 0;
  std::shared_ptr<std::byte> bytes;
};

/// Reads a `.npy` file (format 1.0 to 3.0, C or Fortran order, little-endian;
/// objects and structured types are refused).
Result<HostTensor> readNpy(const std::string &path);
/// Writes a `.npy` file under a temporary name and renames it.
Status writeNpy(const std::string &path, const HostTensor &tensor);

} // namespace partita

#endif // PARTITA_SUPPORT_HOSTTENSOR_H
