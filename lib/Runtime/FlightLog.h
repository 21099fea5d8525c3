//===- FlightLog.h - Records of ranks as files -----------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// When a run fails, each process writes what its ranks were doing, and the hub
// writes it for processes that cannot any more: DIR/rank-N.json, which `partita
// doctor DIR` puts together. A file has the state of the rank (see
// Diagnosis.h), "job" (the run that it is of), "ranks", "timeout", "machine",
// and "events": the last commands with their times.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_FLIGHTLOG_H
#define PARTITA_LIB_RUNTIME_FLIGHTLOG_H

#include "Recorder.h"
#include "partita/Runtime/Diagnosis.h"
#include <functional>

namespace partita::runtime {

/// The text of a rank's command.
using Describe = std::function<std::string(int64_t rank, CommandNumber)>;

/// Of all records of a run.
struct FlightLog {
  std::string directory; ///< empty: nothing is written
  std::string job;
  int64_t ranks = 1;
  double timeoutSeconds = 30;

  /// Writes the record of a rank. A place that cannot be written is no further
  /// failure: the run has one already.
  void write(const RankState &state, const FlightRecord &record,
             const Describe &describe) const;
  /// What is added to the message of a run whose records are written.
  std::string note() const;
};

/// A name that no other run has.
std::string randomName();

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_FLIGHTLOG_H
