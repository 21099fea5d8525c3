//===- Parameters.h - Where the interpreter finds weights ------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weight bytes are not in the IR: `nn.parameter` names a place in one of the
// files that the module lists. A source reads a parameter, or the box of it
// that a rank owns, when the program asks for it, so that a program larger than
// memory can run as long as its single weights fit.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_INTERP_PARAMETERS_H
#define PARTITA_INTERP_PARAMETERS_H

#include "dialects/nn/NN.h"
#include "partita/Support/File.h"
#include "partita/Support/HostTensor.h"
#include "partita/Support/Sharding.h"
#include <map>
#include <optional>

namespace partita {

/// Reads parameters.
class ParameterSource {
public:
  virtual ~ParameterSource() = default;
  /// The parameter's elements, or those of `box` (whose global shape is the
  /// parameter's) as a tensor of the box's local shape.
  virtual Result<HostTensor> read(nn::ParameterOp parameter,
                                  const Box *box) = 0;
};

/// Parameters in the files of a module's `nn.files`, mapped when first used.
/// Fails with exit code 2 if weights are absent, a file is missing, or its size
/// is not the recorded one.
class FileParameters : public ParameterSource {
public:
  /// Relative paths are relative to `directory`; empty is the current one.
  explicit FileParameters(mlir::ModuleOp module, std::string directory = "");
  Result<HostTensor> read(nn::ParameterOp parameter, const Box *box) override;

private:
  Result<const MappedFile *> file(nn::ParameterOp parameter);
  mlir::ModuleOp module;
  std::string directory;
  std::map<int64_t, MappedFile> files;
};

/// Parameters by name, for tests. Elements are converted to the parameter's
/// type.
class MemoryParameters : public ParameterSource {
public:
  void set(std::string name, HostTensor tensor) {
    tensors[std::move(name)] = std::move(tensor);
  }
  Result<HostTensor> read(nn::ParameterOp parameter, const Box *box) override;

private:
  std::map<std::string, HostTensor> tensors;
};

/// The parameters of a module made by `promoteFloats`: read by the original's
/// places and converted.
class PromotedParameters : public ParameterSource {
public:
  PromotedParameters(mlir::ModuleOp original, ParameterSource &source)
      : original(original), source(source) {}
  Result<HostTensor> read(nn::ParameterOp parameter, const Box *box) override;

private:
  mlir::ModuleOp original;
  ParameterSource &source;
};

/// The elements of `box` in a tensor of its global shape, given as bytes.
HostTensor extractBox(const std::byte *data, DType dtype, const Box &box);
HostTensor extractBox(const HostTensor &tensor, const Box &box);

} // namespace partita

#endif // PARTITA_INTERP_PARAMETERS_H
