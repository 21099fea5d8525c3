//===- WireScan.h - Takes the weights out of an ONNX file -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An ONNX file is one protobuf message in which weights of many gigabytes lie
// between a few hundred kilobytes of graph. Parsing it as it is would copy the
// weights. So the bytes are walked once, with every length checked, and copied
// to a second message without the tensors' data: each datum becomes a mark,
// an external_data entry whose key is `regionKey` and whose value is the index
// of a region. What nothing reads later (value infos, documentation strings,
// training graphs) is left out too.
//
// A file may contain such marks itself. They can name only regions of the same
// file, and a region's length must fit the tensor's type, so they are harmless.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_WIRESCAN_H
#define PARTITA_LIB_IMPORT_WIRESCAN_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace partita::importer {

inline constexpr char regionKey[] = "partita.region";

/// A tensor's bytes inside the file.
struct Region {
  /// The field of TensorProto that held them: the bytes of float_data are of
  /// type f32 only, those of raw_data of any type.
  enum Kind { Raw, Float, Double } kind;
  int64_t offset, length;
};

struct StrippedModel {
  std::string bytes;
  std::vector<Region> regions;
};

/// Strips the serialised ModelProto `file`, whose path is `place`. Fails
/// (exit 2) where a length leads outside, and where messages nest more than 64
/// deep, and (exit 3) if more than 512 MiB remain.
StrippedModel stripWeights(std::span<const std::byte> file,
                           const std::string &place);

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_WIRESCAN_H
