//===- Weights.cpp - Parameters from the model's own files ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finding, checking and mapping weight files.
//
//===----------------------------------------------------------------------===//

#include "Weights.h"

using namespace partita;
using namespace partita::runtime;

/// Bytes of the longest directory (with its slash) that all paths share.
static size_t commonDirectory(const std::vector<FileInfo> &files) {
  if (files.empty())
    return 0;
  std::string common = files[0].path.substr(0, files[0].path.rfind('/') + 1);
  for (const FileInfo &file : files)
    while (file.path.compare(0, common.size(), common) != 0) {
      common.pop_back();
      common.resize(common.rfind('/') + 1);
    }
  return common.size();
}

static Error weightError(Error error, const std::string &hint) {
  error.code = "weights.missing";
  error.hint = hint;
  return error;
}

Result<WeightFiles> WeightFiles::open(const Program &program,
                                      const std::string &directory,
                                      bool skipCheck) {
  WeightFiles weights;
  size_t common = commonDirectory(program.files);
  for (const FileInfo &info : program.files) {
    std::string path = directory.empty()
                           ? info.path
                           : directory + "/" + info.path.substr(common);
    Result<InputFile> file = InputFile::open(path);
    if (!file)
      return weightError(file.takeError(),
                         "the weights are read from where the model was "
                         "compiled; --weights-dir names another directory");
    std::string hint = "compile the model again, or point --weights-dir at the "
                       "files that it was compiled from";
    if (file->size() != info.size)
      return makeError(ExitCode::InvalidInput, "weights.changed", path,
                       "has " + std::to_string(file->size()) +
                           " bytes, the model was compiled with " +
                           std::to_string(info.size),
                       hint);
    if (!skipCheck) {
      PARTITA_TRY(uint64_t hash, hashFile(*file));
      if (hash != info.hash)
        return makeError(ExitCode::InvalidInput, "weights.changed", path,
                         "has other contents than when the model was compiled",
                         hint);
    }
    PARTITA_TRY(MappedFile mapped, MappedFile::map(*file));
    weights.files.push_back(std::move(mapped));
  }
  return std::move(weights);
}

Result<uint64_t> WeightFiles::fingerprint() const {
  uint64_t all = files.size();
  for (const MappedFile &file : files) {
    PARTITA_TRY(uint64_t hash, hashFile(file.path()));
    all = hashBytes(&hash, sizeof(hash), all);
  }
  return all;
}
