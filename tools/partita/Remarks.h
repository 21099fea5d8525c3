//===- Remarks.h - A plan's choices as MLIR's remarks ----------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a plan chose goes through the engine of mlir/IR/Remarks.h, at the places
// of the ONNX nodes, one remark for operations that differ in numbers only:
//
//   passed    split        what splits them, and what that takes
//   missed    replicated   the axes along which all ranks do the same
//   missed    gap          how much shorter a step may be for all that is known
//   analysis  plan         mesh, stages, schedule, the step
//
// The names are the categories that a filter matches.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_REMARKS_H
#define PARTITA_TOOLS_PARTITA_REMARKS_H

#include "Document.h"
#include "Pipeline.h"

namespace partita::tool {

struct RemarkOptions {
  /// To stderr, as lines.
  bool print = false;
  /// A regular expression of categories; empty: all.
  std::string filter;
  /// For LLVM's tools; empty: no file.
  std::string yamlFile;
  bool isEnabled() const { return print || !yamlFile.empty(); }
};

/// Before anything is searched for. Errors: `usage.remarks-filter` (1) for what
/// is no regular expression, or filters nothing.
Status checkRemarks(const RemarkOptions &options);

/// Emits the remarks of a pipeline that has chosen, by options that were
/// checked. Errors: `file.write` (2).
Status emitRemarks(Pipeline &pipeline, const Document &document,
                   const RemarkOptions &options);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_REMARKS_H
