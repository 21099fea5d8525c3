//===- Document.h - A plan and what follows from it ------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `plan -o` writes, what an executable carries, and what `inspect` shows:
// a plan, and in its field "report" the facts that lowering found:
//
//   "report": {
//     "collectives": [{"kind": "all_reduce", "axes": ["tp"], "ranks": 2,
//                      "bytes": 23040, "count": 6, "at_load": false}, ..],
//     "replicated": [{"id": "add_3", "op": "nn.add", "axes": ["tp"],
//                     "seconds": 1e-6}, ..],
//     "raised": {"attention": 3}, "not_raised": {},
//     "memory": [{"arena_bytes": .., "persistent_bytes": ..}, ..],
//     "commands": 120, "kernels": 7
//   }
//
// The report is for readers: compiling with a plan takes no notice of it.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_DOCUMENT_H
#define PARTITA_TOOLS_PARTITA_DOCUMENT_H

#include "Pipeline.h"
#include "partita/Plan/Plan.h"
#include <map>

namespace partita::tool {

/// Collectives of one kind, size and set of axes, as the first rank of each
/// stage executes them in a step. Bytes are of one of them: the larger of
/// operand and result. Or transfers to so many ranks of other stages: bytes are
/// what a rank receives.
struct BillLine {
  std::string kind;
  std::vector<std::string> axes;
  int64_t ranks = 0, bytes = 0, count = 0;
  bool atLoad = false;
};

/// An operation that does the same work more than once: on all ranks that
/// differ along `axes`. Seconds are of one execution.
struct ReplicatedOp {
  std::string id, kind;
  std::vector<std::string> axes;
  double seconds = 0;
};

struct RankMemory {
  int64_t arenaBytes = 0, persistentBytes = 0;
  bool operator==(const RankMemory &) const = default;
};

struct PlanReport {
  std::vector<BillLine> collectives;
  /// The most expensive first.
  std::vector<ReplicatedOp> replicated;
  std::map<std::string, int64_t> raised, notRaised;
  std::vector<RankMemory> memory;
  int64_t commands = 0, kernels = 0;
};

struct Document {
  Plan plan;
  std::optional<PlanReport> report;
};

/// Of a pipeline that has been lowered, and its program; null: it has only been
/// planned.
Document makeDocument(Pipeline &pipeline, const runtime::Program *program);

/// Whether the plan is of one stage and one micro-batch. Errors: exit code 3.
Status checkPlain(const Plan &plan, const std::string &place);

/// What would be an error of usage on the command line is one of the plan's
/// file there.
Error ofPlanFile(const std::string &path, Error error);

/// JSON with a final newline.
std::string writeDocument(const Document &document);

/// Errors: those of readPlan, and `plan.field` (2) for a report that is none.
Result<Document> readDocument(const std::string &text,
                              const std::string &place);

/// For people.
std::string describe(const Document &document);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_DOCUMENT_H
