//===- PlanFile.cpp - Any bytes as a plan ---------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A plan that can be read can be written, and reads again as itself.
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Plan.h"
#include "test/fuzz/Fuzz.h"

using namespace partita;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string report;
  auto plan = readPlan(std::string(reinterpret_cast<const char *>(data), size),
                       "plan.json", &report);
  if (!plan) {
    fuzz::expectUsersError(plan.error());
    return 0;
  }
  std::string text = writePlan(*plan, report);
  auto again = readPlan(text, "again.json", &report);
  if (!again)
    fuzz::finding(again.error().str() + "\n" + text);
  if (writePlan(*again, report) != text)
    fuzz::finding("not read as written:\n" + text);
  return 0;
}
