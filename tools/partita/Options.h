//===- Options.h - What the commands that compile have in common -*- C++
//-*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `plan`, `compile`, `verify` and `bench` take a model, a machine and ways to
// steer the plan. The text of the options becomes checked values here, so that
// no later step meets a spelling mistake.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TOOLS_PARTITA_OPTIONS_H
#define PARTITA_TOOLS_PARTITA_OPTIONS_H

#include "partita/Differentiate/Differentiate.h"
#include "partita/Planner/Expert.h"
#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace partita::tool {

/// What to compile and how, checked.
struct Request {
  std::string model;
  std::map<std::string, int64_t> dims;
  /// Samples in one step; without it the model's dimensions say.
  std::optional<int64_t> globalBatch;
  /// Make the model's training step, and go on with that.
  std::optional<TrainingOptions> training;
  PlanOptions plan;
  /// Decides the mesh, and what its pins decide of the graph.
  std::optional<Expert> expert;
  /// Take this plan instead of looking for one; empty: look.
  std::string planFile;
  /// Look for a plan from this one on; empty: from none.
  std::string resumeFile;
  /// Write every stage here; empty: nowhere.
  std::string dumpDir;
  /// Keep the program as it was imported, to compare with.
  bool keepImported = false;
  /// This phase fails as if it had a defect; for tests.
  std::string injectedDefect;
  /// Seconds that the search for a plan may take: then the best so far is
  /// taken.
  double timeLimit = std::numeric_limits<double>::infinity();
  /// Asked by the search: whether the user wants the best so far.
  std::function<bool()> interrupted;
};

/// The same as the user wrote it.
struct RequestOptions {
  std::string model, topology = "cpu:1", calibration, mesh, planFile,
                     resumeFile, dumpDir, injectedDefect, expert;
  std::vector<std::string> dims, pins;
  std::optional<uint64_t> randomPlan, splitPlan;
  uint64_t seed = 0;
  int64_t effort = PlanOptions().effort;
  double timeLimit = Request().timeLimit;
  int axes = PlanOptions().maxAxes;
  std::string memoryLimit;
  std::string train, loss = "cross-entropy", lossOutput, precision = "model";
  bool inputGradients = false;
  std::optional<int64_t> globalBatch;
  std::optional<int64_t> microBatches, maxStages;
  std::string recompute, schedule, stages;
  bool mayPipeline = false;

  /// Declares the options that a model takes without a machine.
  void declareModel(CLI::App &command);
  /// Declares --dim.
  void declareDims(CLI::App &command);
  /// Declares all options; without `withMachine`, neither --topology nor what
  /// is about one machine only (--mesh, --plan).
  void declare(CLI::App &command, bool withMachine = true);
  /// Declares --calibration, which declare() does for commands with a machine.
  void declareCalibration(CLI::App &command);
  /// Declares what makes a training step of the model; without `withGradients`,
  /// only of the kinds that are more than gradients.
  void declareTraining(CLI::App &command, bool withGradients);
  /// Declares what cuts a step into micro-batches and stages. Without it there
  /// is one of each.
  void declareExecution(CLI::App &command, bool withTraining);
  /// Declares --micro-batches alone, for commands with meshes of their own.
  void declareMicroBatches(CLI::App &command);
  /// Errors: exit code 1, naming the option.
  Result<Request> resolve() const;
  /// The same for commands that make executables. Errors: exit code 3 for
  /// machines that these do not run on.
  Result<Request> resolveToRun() const;

private:
  Status resolveTraining(Request &request) const;
  Status resolveExecution(Request &request) const;
};

/// An option that may be given several times with one value each: it must not
/// take the positional argument that follows.
CLI::Option *addRepeated(CLI::App &command, const std::string &name,
                         std::vector<std::string> &values,
                         const std::string &description);

/// "text" or "json".
void addFormat(CLI::App &command, std::string &format);

} // namespace partita::tool

#endif // PARTITA_TOOLS_PARTITA_OPTIONS_H
