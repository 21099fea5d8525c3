//===- Build.h - All phases in one call ------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `compile`, `verify` and `bench` share: from a request to a program, and
// from a program to an executable. Between the two, `verify` may break the
// program on purpose.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_BUILD_H
#define PARTITA_TOOLS_PARTITA_BUILD_H

#include "Document.h"
#include "Pipeline.h"

namespace partita::tool {

/// Runs the pipeline up to the command table, which gets its plan's document.
Result<runtime::Program> buildProgramOf(Pipeline &pipeline);

/// The same for a plan, whose document needs no program where the step runs in
/// micro-batches or stages.
Result<Document> planDocumentOf(Pipeline &pipeline);

/// Generates the kernels and writes OUT and OUT.d. Errors: exit code 2 for a
/// place that cannot be written; nothing is left there then.
Status writeProgram(Pipeline &pipeline, const runtime::Program &program,
                    const std::string &out);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_BUILD_H
