//===- CompareTest.cpp - What two plans decide differently ----------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Plan/Compare.h"
#include "test/unit/Planner/Graphs.h"
#include <catch2/catch.hpp>

using namespace partita;
using namespace partita::test;

TEST_CASE("changes are put together") {
  Graph graph = transformer({4, 16, 96, 6, 6, 1021, 4});
  PlanOptions options;
  options.topology = *Topology::parse("cpu:2");
  options.mesh = *Mesh::parse("tp=2");
  Plan first = makePlan(graph, options, *partita::plan(graph, options));
  CHECK(changesBetween(first, first).empty());
  options.pins = {*Pin::parse("*:replicated")};
  Plan second = makePlan(graph, options, *partita::plan(graph, options));
  std::vector<Change> changes = changesBetween(first, second);
  size_t ids = 0, grouped = 0;
  for (const Change &change : changes) {
    CHECK(change.first != change.second);
    CHECK(change.second == "whole");
    ids += change.ids.size();
    grouped += change.ids.size() >= 3;
  }
  size_t differ = 0;
  for (size_t o = 0; o < first.ops.size(); ++o)
    differ += first.ops[o].factors != second.ops[o].factors;
  CHECK(ids == differ);
  CHECK(grouped > 0);

  // What only one of them has.
  PlannedOp gone = second.ops.back();
  second.ops.pop_back();
  gone.id += "!";
  second.ops.push_back(gone);
  changes = changesBetween(first, second);
  REQUIRE(changes.size() >= 2);
  CHECK(changes.back().first.empty());
  CHECK(changes.back().ids == std::vector{gone.id});
  CHECK(std::count_if(changes.begin(), changes.end(), [](const Change &change) {
          return change.second.empty();
        }) == 1);
}
