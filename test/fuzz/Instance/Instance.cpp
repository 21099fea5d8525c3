//===- Instance.cpp - Any bytes as a problem of the solver ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What can be read is solved for two rounds: the answer fits, costs what it
// says, and no less than the bound.
//
//===----------------------------------------------------------------------===//

#include "partita/Solve/Solve.h"
#include "test/fuzz/Fuzz.h"

using namespace partita;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fuzz::ScratchFolder folder;
  auto instance =
      solve::readInstance(folder.write("instance.json", data, size));
  if (!instance) {
    fuzz::expectUsersError(instance.error());
    return 0;
  }
  solve::Options options;
  options.rounds = 2;
  options.threads = 1;
  auto answer = solve::solve(*instance, options);
  if (!answer) {
    if (answer.error().exit != ExitCode::Infeasible)
      fuzz::finding(answer.error().str());
    return 0;
  }
  if (answer->assignment.empty())
    return 0;
  solve::Verdict verdict = solve::evaluate(*instance, answer->assignment);
  if (!verdict.valid)
    fuzz::finding("an answer that does not fit");
  if (answer->cost < solve::infinity && verdict.cost != answer->cost)
    fuzz::finding("an answer that does not cost what it says");
  if (verdict.cost < answer->bound)
    fuzz::finding("an answer below the bound");
  return 0;
}
