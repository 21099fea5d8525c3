//===- Diagnosis.h - Which rank is to blame --------------------*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// When one rank stops, all others soon wait for it or for each other, and
// whoever notices first is rarely the culprit. What every rank was doing, put
// together, says who it was:
//
//   a rank that died         before anything else
//   a rank that failed       by itself: its own error counts, the first if
//                            there are several
//   a rank that is silent    its process neither answers nor died: it is
//                            stopped, or cut off
//   a rank that is late      others wait for it, it waits for nobody
//
// If all wait for each other, messages were lost.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_RUNTIME_DIAGNOSIS_H
#define PARTITA_RUNTIME_DIAGNOSIS_H

#include "partita/Support/Error.h"
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace partita::runtime {

/// What is known of a rank when something went wrong.
struct RankState {
  enum class Kind { Idle, Busy, Waiting, Failed, Silent, Died };
  int64_t rank = 0;
  Kind kind = Kind::Idle;
  /// The command that it is or was in, the last one that it finished, as
  /// describeCommand() has them; empty if unknown.
  std::string doing, last;
  /// Whom it waits for.
  std::vector<int64_t> waitsFor;
  /// Of Failed: its error. Of Died: how.
  std::optional<Error> error;
  std::string how;

  nlohmann::json toJson() const;
  /// Nothing if it is not what toJson() writes.
  static std::optional<RankState> fromJson(const nlohmann::json &json);
};

/// The one error of a run: place and message name the culprit and what all
/// others did, a line each. Exit code 6, or that of the rank that failed by
/// itself. `seconds` is how long ranks wait for each other.
Error diagnose(const std::vector<RankState> &states, double seconds);

/// Errors as they travel.
nlohmann::json errorToJson(const Error &error);
std::optional<Error> errorFromJson(const nlohmann::json &json);

} // namespace partita::runtime

#endif // PARTITA_RUNTIME_DIAGNOSIS_H
