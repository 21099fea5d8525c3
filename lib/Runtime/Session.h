//===- Session.h - A program that is loaded and can be run -----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ranks of this process as threads, each walking its command table. The
// session hands them work, waits for all of them, and turns the failure of one
// into one message that names the rank, its command, and what every other rank
// did. With a job, other processes have the other ranks; they call the same
// functions in the same order.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_LIB_RUNTIME_SESSION_H
#define PARTITA_LIB_RUNTIME_SESSION_H

#include "Job.h"
#include "Rank.h"

namespace partita::runtime {

struct SessionOptions {
  std::string weightsDirectory;
  double timeoutSeconds = 30;
  bool checkArena = false, pin = false, trace = false, skipWeightCheck = false;
  /// Where records go when a run fails; with a job, it says that.
  std::string flightDirectory;
  /// Without it all ranks are threads of this process.
  std::optional<Job> job;
};

/// A caller's tensor.
struct NamedTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::byte *data = nullptr;
};

/// The error of running a program without weights.
Error weightsAbsentError(const Program &program);

/// Checks names, element types and shapes against the program's inputs; data is
/// not looked at. Errors (exit code 2) list what is expected.
Status checkInputs(const Program &program,
                   const std::vector<NamedTensor> &inputs);

/// How often a step runs on the same tensors, and how that went.
struct StepSeries {
  int64_t count = 1;
  /// The first of them that are not counted; -1: ranks count none.
  int64_t uncounted = 0;
  /// Of each that is: seconds since the step before it was done everywhere
  /// (for the first of all, since it began), and since it began itself.
  std::vector<double> seconds, latencies;
};

class Session {
public:
  static Result<std::unique_ptr<Session>> create(const partita_module &module,
                                                 const SessionOptions &options);
  ~Session();

  /// Checks names, shapes and element types (exit code 2, listing what is
  /// expected), then runs `entry` on all ranks. Every input must be given,
  /// outputs may be a subset. After a failure the session only fails. Stages
  /// begin a step of a series while later ones still do the one before.
  Status run(const std::string &entry, const std::vector<NamedTensor> &inputs,
             const std::vector<NamedTensor> &outputs, StepSeries &series);
  /// One step.
  Status run(const std::string &entry, const std::vector<NamedTensor> &inputs,
             const std::vector<NamedTensor> &outputs) {
    StepSeries once;
    return run(entry, inputs, outputs, once);
  }

  /// Ends a series of runs: the first process gets the outputs of the last one
  /// whole (until then each has its own ranks' parts) and all summaries.
  /// Returns when all processes have come here without a failure.
  Status finish(const std::vector<NamedTensor> &outputs);

  const Program &program() const;
  /// By rank, after finish(); in other processes than the first, of their own.
  const std::vector<RankSummary> &summaries() const;
  /// Whether a thread of any session so far could not be ended. The process
  /// should then end without running destructors of globals.
  static bool anyStuckThread();

private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace partita::runtime

#endif // PARTITA_LIB_RUNTIME_SESSION_H
