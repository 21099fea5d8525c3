//===- Report.h - What a run tells -----------------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The report of an executable (text or JSON) and its trace in Chrome's format.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_REPORT_H
#define PARTITA_LIB_RUNTIME_REPORT_H

#include "Session.h"

namespace partita::runtime {

/// One line of the bill of a step: all collectives of a kind, among the same
/// ranks, of the same size. Bytes are of one of them, on one rank: the larger
/// of operand and result.
struct CollectiveBill {
  std::string kind;
  std::vector<int64_t> group;
  std::vector<std::string> axes;
  int64_t bytes = 0, count = 0;
};
std::vector<CollectiveBill> collectiveBill(const Program &program);

struct RunResult {
  double loadSeconds = 0;
  StepSeries steps;
  /// Files written, by output; empty where none was.
  std::vector<std::string> files;
};

/// `ranks`, `step_seconds` (median), `step_seconds_all`,
/// `step_latency_seconds` (median), `load_seconds`, `predicted` and `measured`
/// (see StepTimes.h), by rank `peak_bytes`, `promised_peak_bytes`,
/// `weight_bytes_read`, `matmul_flops`, then `collectives` and `outputs`;
/// `counted_peak_bytes` of the process if allocations were counted.
std::string reportJson(const Session &session, const RunResult &result);
std::string reportText(const Session &session, const RunResult &result);

/// Chrome trace events: one thread per rank, one event per command.
std::string traceJson(const Session &session);

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_REPORT_H
