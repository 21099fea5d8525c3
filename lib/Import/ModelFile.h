//===- ModelFile.h - An ONNX model and the files of its weights -*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Opens a model without reading its weights, and says of each tensor in it
// where its bytes are: in the message (few), in a file (many), or nowhere
// (models that are exported without weights). All functions throw Failure.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_IMPORT_MODELFILE_H
#define PARTITA_LIB_IMPORT_MODELFILE_H

#include "Narrow.h"
#include "WireScan.h"
#include "onnx/onnx_pb.h"
#include "partita/Support/File.h"
#include "partita/Support/HostTensor.h"
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace partita::importer {

/// Element type and shape of a tensor, checked: every dimension is at least 0
/// and the size in bytes fits int64.
struct TensorInfo {
  /// How elements are stored in programs.
  DType dtype;
  std::vector<int64_t> shape;
  /// Bytes are those in the file.
  int64_t numElements, numBytes;
  /// How elements are stored in the file, if otherwise.
  const NarrowType *narrow = nullptr;
};

/// Where a tensor's bytes are.
struct Place {
  enum Kind { Inline, InFile, Absent } kind = Inline;
  int file = -1;
  int64_t offset = 0, length = 0;
};

/// Which element types models may have; for messages.
extern const char supportedTypes[];
/// The element type of an ONNX data type, if Partita has it.
std::optional<DType> dtypeOf(int onnxType);
/// "FLOAT8E4M3FN", ...; for messages.
std::string onnxTypeName(int onnxType);

/// Bytes of elements of this type and shape; fails (exit 2) if there cannot be
/// so many, and for more dimensions than programs have (exit 3).
int64_t checkedBytes(DType dtype, const std::vector<int64_t> &shape,
                     const std::string &place);

class ModelFile {
public:
  explicit ModelFile(const std::string &path);

  onnx::ModelProto model;
  /// The metadata entries of the model.
  std::map<std::string, std::string> metadata;

  const std::string &path() const { return files[0].path(); }
  bool weightsAbsent() const;
  /// Files that tensors may lie in; the model's own is the first.
  const std::vector<InputFile> &weightFiles() const { return files; }

  TensorInfo info(const onnx::TensorProto &tensor) const;
  Place locate(const onnx::TensorProto &tensor);
  /// The elements of a tensor of at most 1 MiB that is not absent.
  HostTensor read(const onnx::TensorProto &tensor);

private:
  HostTensor readNarrow(const onnx::TensorProto &tensor, const TensorInfo &info,
                        const Place &place);
  Place locateRegion(const onnx::TensorProto &tensor, const TensorInfo &info);
  Place locateExternal(const onnx::TensorProto &tensor, const TensorInfo &info);

  std::string directory;
  std::vector<Region> regions;
  std::vector<InputFile> files;
  std::map<std::string, int> fileOfLocation;
};

} // namespace partita::importer

#endif // PARTITA_LIB_IMPORT_MODELFILE_H
