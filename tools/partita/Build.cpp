//===- Build.cpp - All phases in one call ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Document.h"
#include "partita/Target/Target.h"

using namespace partita;
using namespace partita::tool;

Result<runtime::Program> tool::buildProgramOf(Pipeline &pipeline) {
  PARTITA_CHECK(pipeline.load());
  PARTITA_CHECK(pipeline.choose());
  PARTITA_CHECK(pipeline.lower());
  PARTITA_TRY(runtime::Program program, pipeline.tabulate());
  // Without `run`: equal requests give equal bytes.
  program.planJson = writeDocument(makeDocument(pipeline, program));
  return program;
}

Status tool::writeProgram(Pipeline &pipeline, const runtime::Program &program,
                          const std::string &out) {
  PARTITA_TRY(std::vector<char> object, pipeline.emit());
  PARTITA_CHECK(pipeline.dump("program.txt",
                              [&] { return runtime::printProgram(program); }));
  return writeExecutable(program, object, out);
}
