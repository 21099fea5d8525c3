//===- Weights.h - Parameters from the model's own files -------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights stay in the files that the model was compiled from. They are mapped,
// checked against the size and hash that the program carries, and each rank
// copies the runs of its boxes.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_WEIGHTS_H
#define PARTITA_LIB_RUNTIME_WEIGHTS_H

#include "partita/Runtime/Program.h"
#include "partita/Support/File.h"

namespace partita::runtime {

class WeightFiles {
public:
  /// Maps every file that the program names. With a directory, files are looked
  /// for below it by what distinguishes their paths: their names, if they all
  /// come from one folder. Fails (exit code 2) if a file is absent or differs.
  static Result<WeightFiles> open(const Program &program,
                                  const std::string &directory, bool skipCheck);

  /// Identifies the contents of all files, checked or not.
  Result<uint64_t> fingerprint() const;

  const std::byte *parameter(const ParameterInfo &info) const {
    return files[info.file].data() + info.offset;
  }

private:
  std::vector<MappedFile> files;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_WEIGHTS_H
