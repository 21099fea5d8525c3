//===- Build.cpp - All phases in one call ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Build.h"
#include "Document.h"
#include "Table.h"
#include "partita/Target/Target.h"

using namespace partita;
using namespace partita::tool;

/// The most that a rank of the program allocates.
static int64_t peakOf(const runtime::Program &program, int64_t ranks) {
  int64_t most = 0;
  for (int64_t rank = 0; rank < ranks; ++rank)
    most = std::max(most, program.peakBytes(rank));
  return most;
}

/// What is wrong with a plan whose program needs `peak` bytes on a rank.
static Error noRoom(const Pipeline &pipeline, int64_t peak) {
  return makeError(ExitCode::Infeasible, "plan.memory",
                   "--topology " + pipeline.asked().plan.topology.text,
                   "the program of the last plan that was tried needs " +
                       bytesText(peak) + " on a rank, which is too much",
                   "give more ranks, smaller dimensions or a narrower type");
}

/// Programs do not train yet.
static Error cannotRun(const Pipeline &pipeline) {
  return makeError(
      ExitCode::Unsupported, "plan.axis-unsupported",
      pipeline.asked().planFile.empty() ? "--mesh " + pipeline.plan().mesh.str()
                                        : pipeline.asked().planFile,
      "programs do not run training steps in micro-batches or stages yet",
      "partita plan plans them");
}

/// Chooses and lowers until the program has room: the planner knows the buffers
/// of operations, not those of reshards nor what is packed and scheduled. What
/// is too much is taken off its limit. Nothing where programs cannot run the
/// plan yet.
static Result<std::optional<runtime::Program>>
programWithRoom(Pipeline &pipeline) {
  const int64_t limit = pipeline.asked().plan.memoryLimit;
  constexpr int maxAttempts = 8;
  int64_t peak = 0;
  for (int attempt = 1;; ++attempt) {
    Status chosen = pipeline.choose();
    if (!chosen) {
      Error error = chosen.takeError();
      return attempt > 1 && error.exit == ExitCode::Infeasible
                 ? noRoom(pipeline, peak)
                 : error;
    }
    if (!pipeline.mayRun())
      return std::optional<runtime::Program>();
    PARTITA_CHECK(pipeline.lower());
    PARTITA_TRY(runtime::Program program, pipeline.tabulate());
    // Whoever brings a plan has decided. Of machines that programs do not run
    // on yet, what processors need says nothing.
    if (limit == 0 || !pipeline.asked().planFile.empty() ||
        !pipeline.asked().plan.topology.isOneProcess())
      return std::optional(std::move(program));
    peak = peakOf(program, pipeline.plan().mesh.numRanks());
    if (peak <= limit)
      return std::optional(std::move(program));
    int64_t excess = peak - limit;
    if (attempt == maxAttempts || excess >= pipeline.asked().plan.memoryLimit)
      return noRoom(pipeline, peak);
    pipeline.tighten(excess);
  }
}

Result<runtime::Program> tool::buildProgramOf(Pipeline &pipeline) {
  PARTITA_CHECK(pipeline.load());
  PARTITA_TRY(std::optional<runtime::Program> made, programWithRoom(pipeline));
  if (!made)
    return cannotRun(pipeline);
  runtime::Program &program = *made;
  // Without `run`: equal requests give equal bytes.
  program.planJson = writeDocument(makeDocument(pipeline, &program));
  return std::move(program);
}

Result<Document> tool::planDocumentOf(Pipeline &pipeline) {
  PARTITA_CHECK(pipeline.load());
  PARTITA_TRY(std::optional<runtime::Program> program,
              programWithRoom(pipeline));
  return makeDocument(pipeline, program ? &*program : nullptr);
}

Status tool::writeProgram(Pipeline &pipeline, const runtime::Program &program,
                          const std::string &out) {
  PARTITA_TRY(std::vector<char> object, pipeline.emit());
  PARTITA_CHECK(pipeline.dump("program.txt",
                              [&] { return runtime::printProgram(program); }));
  return writeExecutable(program, object, out);
}
