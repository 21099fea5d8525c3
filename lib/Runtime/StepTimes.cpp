//===- StepTimes.cpp - Where a step's time goes ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StepTimes.h"
#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

using namespace partita;
using namespace partita::runtime;
using nlohmann::json;
using nlohmann::ordered_json;

/// What a rank of a stage computes and moves in a step, by stage. Empty if the
/// plan has other chunks.
static std::vector<StepTimes> workOfStages(const Program &program,
                                           const json &plan) {
  std::vector<StepTimes> work;
  if (program.stages.size() < 2)
    return work;
  const json &execution = plan.at("execution");
  if (execution.at("stages").size() != program.stages.size())
    return work;
  for (const json &stage : execution.at("stages")) {
    auto sum = [&](int part) {
      return stage.at("forward_seconds").at(part).get<double>() *
                 static_cast<double>(program.microBatches) +
             stage.at("once_seconds").at(part).get<double>();
    };
    StepTimes &times = work.emplace_back();
    times.compute = sum(0);
    times.communication = sum(1);
    times.step = times.compute + times.communication;
  }
  return work;
}

/// The step of the plan is a first one. In the others the fullest stage goes
/// on.
static StepTimes predict(const Program &program, const json &plan,
                         const StepSeries &series) {
  const json &predicted = plan.at("predicted");
  StepTimes times{predicted.at("step_seconds"), predicted.at("compute_seconds"),
                  predicted.at("communication_seconds")};
  std::vector<StepTimes> work = workOfStages(program, plan);
  if (work.empty())
    return times;
  double fullest = 0;
  times.compute = times.communication = 0;
  for (size_t s = 0; s < work.size(); ++s) {
    double share = static_cast<double>(program.stages[s].ranks.size()) /
                   static_cast<double>(program.numRanks());
    times.compute += share * work[s].compute;
    times.communication += share * work[s].communication;
    fullest = std::max(fullest, work[s].step);
  }
  double first =
      series.uncounted == 0
          ? 1 / static_cast<double>(std::max<int64_t>(series.count, 1))
          : 0;
  times.step = first * times.step + (1 - first) * fullest;
  return times;
}

std::optional<StepTimes>
partita::runtime::predictedTimes(const Program &program,
                                 const StepSeries &series) {
  try {
    return predict(program, json::parse(program.planJson), series);
  } catch (const json::exception &) {
    return std::nullopt;
  }
}

StepTimes partita::runtime::measuredTimes(const Session &session,
                                          const StepSeries &series) {
  double steps = static_cast<double>(series.seconds.size());
  StepTimes times;
  times.step =
      std::accumulate(series.seconds.begin(), series.seconds.end(), 0.0) /
      steps;
  double each = 1e-9 / steps / static_cast<double>(session.summaries().size());
  for (const RankSummary &rank : session.summaries()) {
    times.compute += static_cast<double>(rank.times.compute) * each;
    times.communication += static_cast<double>(rank.times.communication) * each;
  }
  return times;
}

ordered_json partita::runtime::toJson(const StepTimes &times) {
  return {{"step_seconds", times.step},
          {"compute_seconds", times.compute},
          {"communication_seconds", times.communication},
          {"idle_seconds", times.idle()},
          {"bubble", times.step > 0 ? times.idle() / times.step : 0}};
}

static void addLine(std::ostringstream &os, const char *name,
                    const StepTimes &times) {
  auto share = [&](double part) {
    os << std::setw(9) << 100 * part / times.step << " %";
  };
  os << "  " << std::left << std::setw(10) << name << std::right << std::fixed
     << std::setprecision(1) << std::setw(10) << 1e3 * times.step << " ms";
  share(times.compute);
  share(times.communication);
  share(times.idle());
  os << '\n';
}

std::string partita::runtime::timesText(const Session &session,
                                        const StepSeries &series) {
  std::ostringstream os;
  os << "  mean step          time    compute  exchange       idle\n";
  if (auto predicted = predictedTimes(session.program(), series))
    addLine(os, "predicted", *predicted);
  addLine(os, "measured", measuredTimes(session, series));
  return os.str();
}
